//! The rules that need connection tracking, out of the kernel and back: by the text that iptables-save and nft print and
//! take ([`ctwarden::stateless`] says what becomes of which rule, and what is left open).
//!
//! ```text
//! take_out   each firewall: text ──> any masquerade? ──> snapshot kept ──> script loaded ──> read back
//! back       each firewall, the last first: what stands there now, beside the snapshot ──> script ──> loaded
//! ```
//!
//! iptables comes first: what it can show, it can put back; nft sees what is left. Rules of ours that look at connections go
//! out too: whoever keeps them in place must not put them back meanwhile (`StateFile::rules_are_out`).

use super::program::{find, output, run};
use super::room::{Room, Rooms, in_rooms};
use crate::daemon::crash;
use crate::daemon::root::{RESOLVERS, Root};
use crate::daemon::taken::{NotTaken, Record, Say, permitted, text};
use ctwarden::stateless::{Back, Dialect, Fate, apply, judge, resolvers};
use nix::errno::Errno;
use std::ffi::CStr;

/// A firewall's programs, each with its words, and the file that its rules are kept in.
struct Way {
    list: &'static [&'static CStr],
    load: &'static [&'static CStr],
    dialect: Dialect,
    snapshot: &'static str,
}

/// Without the elements of sets: a list of bans may be megabytes.
const NFT: Way = Way {
    list: &[c"nft", c"-a", c"-t", c"list", c"ruleset"],
    load: &[c"nft", c"-f", c"-"],
    dialect: Dialect::Nft,
    snapshot: "stateless.nft",
};
/// Somebody else may be loading rules: `--wait` for the lock, which iptables before 1.6.2 did not know.
#[cfg(feature = "iptables")]
const fn iptables(list: &'static [&'static CStr], load: &'static [&'static CStr], v6: bool, name: &'static str) -> Way {
    Way { list, load, dialect: if v6 { Dialect::V6 } else { Dialect::V4 }, snapshot: name }
}
/// Where iptables is iptables-legacy under its plain name, the second pair finds nothing more to do.
#[cfg(feature = "iptables")]
const WAYS: [Way; 5] = [
    iptables(&[c"iptables-save"], &[c"iptables-restore", c"--noflush", c"--wait=5"], false, "stateless.v4"),
    iptables(&[c"ip6tables-save"], &[c"ip6tables-restore", c"--noflush", c"--wait=5"], true, "stateless.v6"),
    iptables(
        &[c"iptables-legacy-save"],
        &[c"iptables-legacy-restore", c"--noflush", c"--wait=5"],
        false,
        "stateless.l4",
    ),
    iptables(
        &[c"ip6tables-legacy-save"],
        &[c"ip6tables-legacy-restore", c"--noflush", c"--wait=5"],
        true,
        "stateless.l6",
    ),
    NFT,
];
#[cfg(not(feature = "iptables"))]
const WAYS: [Way; 1] = [NFT];
/// What is being loaded.
const SCRIPT: &str = "stateless.in";

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Though masquerade is in use, or a rule is not understood.
    pub force: bool,
    /// Only says what would be.
    pub dry: bool,
}

/// A program's name, for people.
fn name(words: &[&'static CStr]) -> &'static str {
    words.first().and_then(|name| name.to_str().ok()).unwrap_or("")
}

impl Way {
    /// Lists its rules. ENOENT: no such firewall here.
    fn list(&self, root: &Root, room: &mut Room, say: Say<'_>) -> Result<(), Errno> {
        let path = self.list.first().and_then(|name| find(root, name)).ok_or(Errno::ENOENT)?;
        output(root, &path, self.list, room).inspect_err(|_| {
            say(format_args!("{path} does not say its rules: they stay as they are"));
        })
    }

    /// Loads a script.
    fn load(&self, root: &Root, record: &Record, script: &Room) -> Result<(), Errno> {
        let path = self.load.first().and_then(|name| find(root, name)).ok_or(Errno::ENOENT)?;
        record.keep(SCRIPT, script.text()?)?;
        let mut loaded = record.file(SCRIPT).and_then(|script| run(root, &path, self.load, Some(&script)));
        if loaded.is_err() && self.dialect != Dialect::Nft {
            let (_, old) = self.load.split_last().unwrap_or((&c"", &[]));
            loaded = record.file(SCRIPT).and_then(|script| run(root, &path, old, Some(&script)));
        }
        crash::step();
        record.drop_file(SCRIPT);
        loaded
    }

    /// Writes what puts its rules back, and says what becomes of its chains.
    fn back(&self, rooms: &mut Rooms, ours: bool) -> Result<Back, Errno> {
        let Rooms { found, now, script } = rooms;
        script.clear();
        Ok(ctwarden::stateless::back(found.text()?, now.text()?, self.dialect, ours, &mut |piece| script.push(piece)))
    }

    /// Takes its rules out and looks whether it is so. `true`: there were some.
    fn take_out(
        &self,
        root: &Root,
        record: &Record,
        rooms: &mut Rooms,
        force: bool,
        say: Say<'_>,
    ) -> Result<bool, NotTaken> {
        let Rooms { found, script, .. } = rooms;
        if self.list(root, found, say).is_err() {
            return Ok(false);
        }
        if !force && names(self, found.text()?, Some(Fate::NotUnderstood), say) {
            return Err(NotTaken::Refused);
        }
        let known = resolvers(root.read(RESOLVERS, &mut [0; 2048]).unwrap_or(&[]));
        script.clear();
        apply(found.text()?, self.dialect, &known, &mut |piece| script.push(piece));
        if script.text()?.is_empty() {
            return Ok(false);
        }
        record.keep(self.snapshot, found.text()?)?;
        self.load(root, record, script).inspect_err(|_| {
            say(format_args!("{} does not take the rules as they would be left", name(self.load)));
        })?;
        // Read back: only what stands as it is meant to can be put back later.
        self.list(root, &mut rooms.now, say)?;
        let back = self.back(rooms, false)?;
        if back.left > 0 || back.as_before > 0 {
            say(format_args!("{}: the rules are not as they were to be left", name(self.load)));
            return Err(Errno::EBADMSG.into());
        }
        Ok(true)
    }

    /// Puts its rules back. `ours`: nobody but we had the time to change what stands there.
    fn put_back(&self, root: &Root, record: &Record, rooms: &mut Rooms, ours: bool, say: Say<'_>) -> Result<(), Errno> {
        record.read(self.snapshot, &mut rooms.found)?;
        if rooms.found.text()?.is_empty() {
            return Ok(());
        }
        self.list(root, &mut rooms.now, say)?;
        let back = self.back(rooms, ours)?;
        if !rooms.script.text()?.is_empty() {
            self.load(root, record, &rooms.script).inspect_err(|_| {
                say(format_args!("{} does not take its former rules again: load the firewall anew", name(self.load)));
            })?;
        }
        if back.left > 0 {
            say(format_args!(
                "{}: {} chains are not as they were left: somebody has changed them, left alone",
                name(self.load),
                back.left
            ));
        }
        Ok(())
    }
}

/// What is said of a rule, by its fate.
const WORDS: [&str; 6] = ["stays", "out", "without state", "replies only", "not understood", "in use"];

/// Names the rules of that fate, or all; `false`: there is none.
fn names(way: &Way, rules: &[u8], only: Option<Fate>, say: Say<'_>) -> bool {
    let mut any = false;
    judge(rules, way.dialect, &mut |fate, [table, chain, rule]| {
        if only.is_none_or(|only| only == fate) {
            any = true;
            let word = WORDS.get(fate as usize).unwrap_or(&"");
            say(format_args!("{word}: {} {}: {}", text(table), text(chain), text(rule)));
        }
    });
    any
}

/// Takes out what needs connection tracking, everywhere or nowhere.
pub fn take_out(root: &Root, dir: &str, how: How, say: Say<'_>) -> Result<(), NotTaken> {
    permitted(root)?;
    in_rooms(|rooms| {
        // That there are none is not said of rules that were not seen.
        let (mut any, mut seen, mut unread) = (false, false, false);
        for way in &WAYS {
            if let Err(e) = way.list(root, &mut rooms.found, say) {
                unread |= e != Errno::ENOENT;
                continue;
            }
            seen = true;
            let rules = rooms.found.text()?;
            if !how.force && names(way, rules, Some(Fate::SourceNat), say) {
                say(format_args!(
                    "refused: without masquerade LAN addresses appear on the WAN and nothing comes back to them, and the \
                     router's own connections time out (--force)"
                ));
                return Err(NotTaken::Refused);
            }
            any |= how.dry && names(way, rules, None, say);
        }
        if !seen && !unread {
            say(format_args!("not done: no program is here that shows rules (nft, iptables-save)"));
            return Err(NotTaken::Refused);
        }
        if !how.dry {
            let mut record = Record::open(root, dir)?;
            if record.journal.stateless {
                say(format_args!("the rules are out already"));
                return Ok(());
            }
            WAYS.iter().for_each(|way| record.drop_file(way.snapshot));
            record.journal.stateless = true;
            record.save()?;
            for way in &WAYS {
                match way.take_out(root, &record, rooms, how.force, say) {
                    Ok(some) => any |= some,
                    Err(e) => {
                        back(root, &mut record, rooms, true, say)?;
                        return Err(e);
                    }
                }
            }
            record.journal.stateless = any;
            record.save()?;
        }
        if unread && !any {
            return Err(Errno::EIO.into());
        }
        let end = match any {
            false => "no rule here needs connection tracking",
            true if how.dry => "dry run: nothing is changed",
            true => {
                "the rules that need connection tracking are out; TCP and ICMP replies pass, those of UDP cannot be told \
                 (`ctwarden back` ends it)"
            }
        };
        say(format_args!("{end}"));
        Ok(())
    })
}

/// Puts the rules back where they stand as they were left; `ours`: however they stand.
pub fn back(root: &Root, record: &mut Record, rooms: &mut Rooms, ours: bool, say: Say<'_>) -> Result<(), NotTaken> {
    let mut done = Ok(());
    for way in WAYS.iter().rev() {
        done = done.and(way.put_back(root, record, rooms, ours, say));
    }
    // Kept where it could not be put back: the next start tries again.
    if done.is_ok() {
        record.journal.stateless = false;
        record.save()?;
        WAYS.iter().for_each(|way| record.drop_file(way.snapshot));
    }
    Ok(done?)
}
