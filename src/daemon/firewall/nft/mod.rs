//! Sets with timeouts, in `inet fw4` (put there by fw4 itself, from the package's snippets) or in a table of our own.
//!
//! ```text
//! install   look ─> text ─> nft -f - (one transaction; fw4 has loaded its own)
//! recheck   the same generation as after our last change: nothing has changed. Else look ─> install
//! grant     one transaction from a fixed buffer: elements, in our table and in each foreign one that has the set
//! left      one element, read back
//! ```
//!
//! Leases of `Lan` share an element in `ctwarden_routed`: revoking one ends all.

mod link;
mod look;

use super::Health;
use super::program::{Text, find, run};
use crate::daemon::root::{IP6TABLES_NAMES, IPTABLES_NAMES, Root};
use ctwarden::config::Config;
use ctwarden::lease::Lease;
use ctwarden::nftables::{FW4, OWN, Sink, delete_rule, foreign_sets, insert_heads, is_plain, own_table};
use ctwarden::units::Millis;
use ctwarden::wire::netlink::Batch;
use ctwarden::wire::nftables::{
    self, All, Chain, Rule, Set, Sets, Table, begin, delete_set, delete_table, dump, element,
};
use link::{DATAGRAM, Link};
use look::Seen;
use nix::errno::Errno;
use std::fmt::Write as _;

/// After a vain attempt to put rules back this many looks are let pass.
const LOOKS_BETWEEN_ATTEMPTS: u8 = 12;
/// Somebody else may be loading rules while we read or take out ours.
const ATTEMPTS: u8 = 4;

pub struct Nft {
    table: Table<'static>,
    link: Link,
    seen: Seen,
    /// The generation at which all was whole, counted up with our own changes.
    whole: Option<u32>,
    /// The sets by which connections are counted are there.
    counts: bool,
    /// ip6tables has a nat table of its own in the kernel, whatever is in it.
    legacy_nat: bool,
    pause: u8,
}

impl Nft {
    /// In `inet fw4`.
    pub const fn fw4() -> Self {
        Self::of(FW4)
    }
    /// In a table of our own.
    pub const fn own() -> Self {
        Self::of(OWN)
    }
    const fn of(table: Table<'static>) -> Self {
        Self { table, link: Link::new(), seen: Seen::NOTHING, whole: None, counts: false, legacy_nat: false, pause: 0 }
    }

    fn is_own(&self) -> bool {
        self.table == OWN
    }

    /// Foreign base chains that may refuse what a lease opens, and where it has no say: iptables-nft's, those of a program
    /// that lets nobody else change its table, those of a name that cannot be written.
    pub const fn left_alone(&self) -> u16 {
        self.seen.left_alone
    }

    /// Connections of capped sources are counted: `shed_count` is set, and the kernel can (kmod-nft-connlimit).
    pub const fn counts(&self) -> bool {
        self.counts
    }

    /// IPv6 is translated, by a rule of nftables' or perhaps by ip6tables'.
    pub const fn translates(&self) -> bool {
        self.seen.translates || self.legacy_nat
    }

    /// fw4: whether its table is there, our snippets loaded or not. Own: whether there is an nft, and it is not iptables alone
    /// that has the firewall: a head rule of ours among rules of iptables-nft is shown by it as what it is not, or makes it
    /// refuse the whole table.
    pub fn usable(&mut self, root: &Root) -> bool {
        if !root.is_real() || self.look().is_err() {
            return false;
        }
        if !self.is_own() {
            return self.seen.there;
        }
        let mut names = [0; 64];
        let legacy = root.read(IPTABLES_NAMES, &mut names).is_ok_and(|names| !names.is_empty());
        let [native, _] = self.seen.heads;
        find(root, c"nft").is_some() && (native > 0 || !(legacy || self.seen.iptables))
    }

    fn look(&mut self) -> Result<(), Errno> {
        let (mut done, own) = (Err(Errno::EAGAIN), self.is_own());
        for _ in 0..ATTEMPTS {
            done = self.seen.look(&mut self.link, self.table, own);
            if done != Err(Errno::EAGAIN) {
                break;
            }
        }
        done
    }

    fn wanted(&self) -> Sets {
        if self.counts { Set::OWN | Set::COUNTED } else { Set::OWN }
    }

    /// Looks, and remembers the generation if all is whole.
    fn is_whole(&mut self, root: &Root) -> Result<bool, Errno> {
        let mut names = [0; 64];
        self.legacy_nat =
            root.read(IP6TABLES_NAMES, &mut names).is_ok_and(|n| n.split(|b| *b == b'\n').any(|n| n == b"nat"));
        // First: what changes while we look is seen the next time.
        let now = look::now(&mut self.link)?;
        self.look()?;
        let whole = self.seen.is_whole(self.wanted());
        self.whole = whole.then_some(now);
        Ok(whole)
    }

    pub fn install(&mut self, root: &Root, config: &Config) -> Result<(), Errno> {
        self.pause = 0;
        self.counts = false;
        if self.is_own() {
            self.load(root, config.shed_count)?;
        }
        if self.is_whole(root)? { Ok(()) } else { Err(Errno::ENOENT) }
    }

    fn load(&mut self, root: &Root, count: u16) -> Result<(), Errno> {
        let program = find(root, c"nft").ok_or(Errno::ENOENT)?;
        let mut done = Err(Errno::ECANCELED);
        // As it is; from scratch, should there be sets of a former version; without counting, should the kernel not know how.
        for (keep, count) in [(true, count), (false, count), (false, 0)] {
            self.look()?;
            let mut text = Text::new()?;
            let mut whole = Ok(());
            let out = &mut |part: &str| whole = whole.and(text.write_str(part));
            own_table(out, keep, count);
            self.foreign(out)?;
            whole.map_err(|_| Errno::EMSGSIZE)?;
            done = run(root, &program, &[c"nft", c"-f", c"-"], Some(&text.end()));
            if done.is_ok() {
                self.counts = count > 0;
                break;
            }
        }
        done
    }

    /// Head rules for all foreign base chains, in place of those that are there.
    fn foreign(&mut self, out: Sink<'_>) -> Result<(), Errno> {
        let Self { seen, link, .. } = self;
        link.ask(&|b| dump(b, All::Rules), &mut |payload| {
            if let Some(rule) = Rule::read(payload).filter(|r| is_plain(r.chain) && is_plain(r.table.name)) {
                delete_rule(out, &rule);
            }
        })?;
        for place in &seen.places {
            foreign_sets(out, place.table(), place.wants);
        }
        link.ask(&|b| dump(b, All::Chains), &mut |payload| {
            if let Some(chain) = Chain::read(payload).filter(|chain| seen.serves(chain)) {
                insert_heads(out, &chain);
            }
        })
    }

    /// When nothing has changed: one question, no program, nothing allocated.
    pub fn recheck(&mut self, root: &Root, config: &Config) -> Health {
        match look::now(&mut self.link) {
            Ok(now) if self.whole == Some(now) => return Health::Sound,
            Ok(_) => {}
            Err(_) => return Health::Missing,
        }
        let before = self.seen.mark;
        match self.is_whole(root) {
            // Where the kernel does not say that it is the same table, it may be another.
            Ok(true) if before.is_some() && before == self.seen.mark => return Health::Sound,
            Ok(true) => return Health::Mended,
            // Somebody is at it: the next look will tell.
            Err(Errno::EAGAIN) => return Health::Sound,
            _ => {}
        }
        if self.pause > 0 || !self.is_own() {
            self.pause = self.pause.saturating_sub(1);
            return Health::Missing;
        }
        if self.install(root, config).is_ok() {
            return Health::Mended;
        }
        self.pause = LOOKS_BETWEEN_ATTEMPTS;
        Health::Missing
    }

    pub fn grant(&mut self, _root: &Root, leases: &[Lease], term: Millis) -> Result<(), Errno> {
        self.put(leases, Some(term)).inspect_err(|_| {
            // Of more than fit into one transaction some may have been given.
            let _ = self.put(leases, None);
        })
    }

    pub fn revoke(&mut self, _root: &Root, leases: &[Lease]) -> Result<(), Errno> {
        match self.put(leases, None) {
            // No table, no lease.
            Err(Errno::ENOENT) => Ok(()),
            done => done,
        }
    }

    fn put(&mut self, leases: &[Lease], term: Option<Millis>) -> Result<(), Errno> {
        match self.transact(leases, term) {
            // A foreign table may be gone since the last look, or our own be there again.
            Err(Errno::ENOENT) => {
                self.whole = None;
                self.look()?;
                self.transact(leases, term)
            }
            done => done,
        }
    }

    fn transact(&mut self, leases: &[Lease], term: Option<Millis>) -> Result<(), Errno> {
        let Self { seen, whole, table, link, .. } = self;
        let mut room = [0; DATAGRAM];
        let mut batch = Batch::new(&mut room);
        begin(&mut batch);
        let empty = batch.room();
        let mut send = |batch: &mut Batch<'_>| {
            link.commit(batch)?;
            // 0 is left out.
            *whole = whole.map(|n| n.checked_add(1).unwrap_or(1));
            Ok(())
        };
        for lease in leases {
            let (sets, key) = element(lease);
            if sets & seen.sets == 0 {
                return Err(Errno::ENOENT);
            }
            let places = seen.places.iter().map(|p| (p.table(), p.has));
            for (table, has) in core::iter::once((*table, seen.sets)).chain(places) {
                for set in Set::ALL.into_iter().filter(|set| sets & has & set.bit() != 0) {
                    if !nftables::lease(&mut batch, table, set, &key, term) {
                        send(&mut batch)?;
                        nftables::lease(&mut batch, table, set, &key, term);
                    }
                }
            }
        }
        if batch.room() < empty { send(&mut batch) } else { Ok(()) }
    }

    pub fn left(&mut self, _root: &Root, lease: &Lease) -> Option<Millis> {
        let (sets, key) = element(lease);
        // The first is in every table.
        let set = Set::ALL.into_iter().find(|set| sets & set.bit() != 0)?;
        let mut left = None;
        let table = self.table;
        let asked = self.link.ask(&|b| nftables::get_element(b, table, set, &key), &mut |p| left = nftables::left(p));
        left.filter(|_| asked.is_ok())
    }

    pub fn remove(&mut self, _root: &Root) -> Result<(), Errno> {
        let mut done = Ok(());
        self.whole = None;
        let mut note = |outcome| match outcome {
            // Gone already.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(e) => done = Err(e),
        };
        if !self.is_own() {
            for set in Set::ALL {
                note(self.link.change(&|b| nftables::empty_set(b, FW4, set)));
            }
            self.seen.clear();
            self.link.close();
            return done;
        }
        for _ in 0..ATTEMPTS {
            let rules = remove_rules(&mut self.link);
            if rules == Ok(0) {
                break;
            }
            note(rules.map(drop));
        }
        note(self.look());
        for place in &self.seen.places {
            for set in Set::ALL.into_iter().filter(|set| place.has & set.bit() != 0) {
                // fw4's, which looks into it too: what we put there.
                note(match self.link.change(&|b| delete_set(b, place.table(), set)) {
                    Err(Errno::EBUSY) => self.link.change(&|b| nftables::empty_set(b, place.table(), set)),
                    done => done,
                });
            }
        }
        note(self.link.change(&|b| delete_table(b, OWN)));
        self.seen.clear();
        self.link.close();
        done
    }
}

/// Names have 255 bytes at most.
const LONGEST_REMOVAL: usize = 640;

/// Takes rules of ours out of foreign chains, as many as fit into one transaction; how many.
fn remove_rules(link: &mut Link) -> Result<u32, Errno> {
    let mut room = [0; DATAGRAM];
    let mut batch = Batch::new(&mut room);
    begin(&mut batch);
    let mut count = 0;
    link.ask(&|b| dump(b, All::Rules), &mut |payload| {
        if let Some(rule) = Rule::read(payload)
            && batch.room() > LONGEST_REMOVAL
        {
            count += u32::from(nftables::delete_rule(&mut batch, &rule));
        }
    })?;
    if count > 0 { link.commit(&mut batch).map(|()| count) } else { Ok(0) }
}
