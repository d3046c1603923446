//! The rules that need connection tracking, out of the kernel and back: by the text that iptables-save and nft print and
//! take ([`ctwarden::stateless`] says what becomes of which rule, and what is left open).
//!
//! ```text
//! take_out   each firewall: text ──> any masquerade? ──> snapshot kept ──> script loaded ──> read back
//! back       each firewall, the last first: what stands there now, beside the snapshot ──> script ──> loaded
//! ```
//!
//! iptables comes first: what it can show, it can put back; nft sees what is left. Rules of ours that look at connections go
//! out too: whoever keeps them in place must not put them back meanwhile ([`taken::is_out`]).
//!
//! [`taken::is_out`]: crate::daemon::taken::is_out

use super::program::{find, output, run};
use crate::daemon::root::{RESOLVERS, Root};
use crate::daemon::taken::{NotTaken, Record, Say, text};
use ctwarden::stateless::{Back, Dialect, Fate, apply, judge, resolvers};
use nix::errno::Errno;
use std::ffi::CStr;

/// A firewall's programs, and the file that its rules are kept in.
struct Way {
    list: &'static str,
    load: &'static str,
    dialect: Dialect,
    snapshot: &'static str,
}

const fn way(list: &'static str, load: &'static str, dialect: Dialect, snapshot: &'static str) -> Way {
    Way { list, load, dialect, snapshot }
}

/// Where iptables is iptables-legacy under its plain name, the second pair finds nothing more to do.
const WAYS: [Way; 5] = [
    way("iptables-save", "iptables-restore", Dialect::V4, "stateless.v4"),
    way("ip6tables-save", "ip6tables-restore", Dialect::V6, "stateless.v6"),
    way("iptables-legacy-save", "iptables-legacy-restore", Dialect::V4, "stateless.l4"),
    way("ip6tables-legacy-save", "ip6tables-legacy-restore", Dialect::V6, "stateless.l6"),
    way("nft", "nft", Dialect::Nft, "stateless.nft"),
];
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

impl Way {
    /// Its rules; `None`: no such firewall here.
    fn text(&self, root: &Root, say: Say<'_>) -> Option<Vec<u8>> {
        let path = find(root, self.list)?;
        // Without the elements of sets: a list of bans may be megabytes.
        let nft: &[&CStr] = &[c"-a", c"-t", c"list", c"ruleset"];
        let listed = output(root, &path, if self.dialect == Dialect::Nft { nft } else { &[] }).ok();
        if listed.is_none() {
            say(format_args!("{path} does not say its rules: they stay as they are"));
        }
        listed
    }

    /// Loads a script.
    fn load(&self, root: &Root, record: &Record, script: &[u8]) -> Result<(), Errno> {
        let path = find(root, self.load).ok_or(Errno::ENOENT)?;
        record.keep(SCRIPT, &[script])?;
        // Somebody else may be loading rules: wait for the lock, which iptables before 1.6.2 did not know.
        let arguments: [&[&CStr]; 2] = match self.dialect {
            Dialect::Nft => [&[c"-f", c"-"], &[]],
            _ => [&[c"--noflush", c"--wait=5"], &[c"--noflush"]],
        };
        let mut loaded = Err(Errno::ENOENT);
        for arguments in arguments.iter().filter(|a| !a.is_empty()) {
            loaded = record.file(SCRIPT).and_then(|script| run(root, &path, arguments, Some(&script)));
            if loaded.is_ok() {
                break;
            }
        }
        crate::crash::step();
        record.drop_file(SCRIPT);
        loaded
    }

    /// What puts its rules back, and what becomes of its chains.
    fn back(&self, snapshot: &[u8], now: &[u8]) -> (Back, Vec<u8>) {
        let mut script = Vec::new();
        let back = ctwarden::stateless::back(snapshot, now, self.dialect, &mut |p| script.extend_from_slice(p));
        (back, script)
    }

    /// Takes its rules out and looks whether it is so. `true`: there were some.
    fn take_out(&self, root: &Root, record: &Record, force: bool, say: Say<'_>) -> Result<bool, NotTaken> {
        let Some(rules) = self.text(root, say) else { return Ok(false) };
        if !force && names(self, &rules, Some(Fate::NotUnderstood), say) {
            return Err(NotTaken::Refused);
        }
        let known = resolvers(root.read(RESOLVERS, &mut [0; 2048]).unwrap_or(&[]));
        let mut script = Vec::new();
        apply(&rules, self.dialect, &known, &mut |p| script.extend_from_slice(p));
        if script.is_empty() {
            return Ok(false);
        }
        record.keep(self.snapshot, &[&rules])?;
        self.load(root, record, &script).inspect_err(|_| {
            say(format_args!("{} does not take the rules as they would be left", self.load));
        })?;
        // Read back: only what stands as it is meant to can be put back later.
        let now = self.text(root, say).unwrap_or_default();
        let (back, _) = self.back(&rules, &now);
        if back.left > 0 || back.as_before > 0 {
            say(format_args!("{}: the rules are not as they were to be left", self.load));
            return Err(Errno::EBADMSG.into());
        }
        Ok(true)
    }

    /// Puts its rules back.
    fn put_back(&self, root: &Root, record: &Record, say: Say<'_>) -> Result<(), Errno> {
        let rules = record.kept(self.snapshot)?;
        if rules.is_empty() {
            return Ok(());
        }
        let now = self.text(root, say).ok_or(Errno::ENOENT)?;
        let (back, script) = self.back(&rules, &now);
        if !script.is_empty() {
            self.load(root, record, &script).inspect_err(|_| {
                say(format_args!("{} does not take its former rules again: load the firewall anew", self.load));
            })?;
        }
        if back.left > 0 {
            say(format_args!(
                "{}: {} chains are not as they were left: somebody has changed them, left alone",
                self.load, back.left
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
    let mut any = false;
    let mut unread = false;
    for way in &WAYS {
        let Some(rules) = way.text(root, say) else {
            unread |= find(root, way.list).is_some();
            continue;
        };
        if !how.force && names(way, &rules, Some(Fate::SourceNat), say) {
            say(format_args!(
                "refused: without masquerade LAN addresses appear on the WAN and nothing comes back to them, and the \
                 router's own connections time out (--force)"
            ));
            return Err(NotTaken::Refused);
        }
        any |= how.dry && names(way, &rules, None, say);
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
            match way.take_out(root, &record, how.force, say) {
                Ok(some) => any |= some,
                Err(e) => {
                    back(root, &mut record, say)?;
                    return Err(e);
                }
            }
        }
        record.journal.stateless = any;
        record.save()?;
    }
    // That there are none is not said of rules that were not seen.
    if unread && !any {
        return Err(Errno::EIO.into());
    }
    say(format_args!(
        "{}",
        match any {
            false => "no rule here needs connection tracking",
            true if how.dry => "dry run: nothing is changed",
            true => {
                "the rules that need connection tracking are out; TCP and ICMP replies pass, those of UDP cannot be told \
                 (`ctwarden back` ends it)"
            }
        }
    ));
    Ok(())
}

/// Puts the rules back where they stand as they were left.
pub fn back(root: &Root, record: &mut Record, say: Say<'_>) -> Result<(), NotTaken> {
    let mut done = Ok(());
    for way in WAYS.iter().rev() {
        done = done.and(way.put_back(root, record, say));
    }
    // Kept where it could not be put back: the next start tries again.
    if done.is_ok() {
        record.journal.stateless = false;
        record.save()?;
        WAYS.iter().for_each(|way| record.drop_file(way.snapshot));
    }
    Ok(done?)
}
