//! Chains of our own behind `-m recent`; a lease is a line written to /proc/net/xt_recent.
//!
//! ```text
//! install   config, iptables-save ─> plan ─> rules ─> iptables-restore --noflush (ctwarden::iptables)
//! recheck   a marker's list is gone with the rule that named it: somebody has flushed that chain ─> install
//! grant     lists.rs: one write for each lease
//! left      the stamp of the kernel in the list, by the kernel's own clock
//! ```
//!
//! The kernel ends a lease `TERM` after the last write, since `--seconds` is in the rules: a shorter one lasts as long, unless
//! it is revoked. What a lease can be narrower elsewhere, it cannot be here:
//! - a lease of a port on a LAN interface opens all ports of the config, on all LAN interfaces; any other port is refused;
//! - a capped destination is an address: each port of it has the rate for itself;
//! - scopes `lan` and `all` have rules only where `open_scope` says so: for a wider one by hand, install with that scope first.

mod lists;

use super::Health;
use super::program::{find, output, pause, piped, run};
use crate::daemon::kernel::tables::nft_tables;
use crate::daemon::root::{RECENT, Root};
use ctwarden::config::{Config, LANS};
use ctwarden::entry::protocol::TCP;
use ctwarden::iptables::Family;
use ctwarden::iptables::plan::Plan;
use ctwarden::iptables::recent::{List, Lists, entry, left};
use ctwarden::iptables::rules::{Out, TABLES, Table};
use ctwarden::lease::{Lease, Scope, TERM};
use ctwarden::units::Millis;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::unistd::{AccessFlags, access};
use std::ffi::CStr;

const RESTORE: [&CStr; 2] = [c"iptables-restore", c"ip6tables-restore"];
const SAVE: [&CStr; 2] = [c"iptables-save", c"ip6tables-save"];

/// Somebody else may be loading rules: wait for the lock, which programs before 1.6.2 did not know.
const PATIENT: &CStr = c"--wait=5";
/// `--noflush` a second time: no more than that.
const PLAIN: &CStr = c"--noflush";

/// After a vain attempt to put rules back this many looks are let pass.
const LOOKS_BETWEEN_ATTEMPTS: u8 = 12;
/// What somebody may have doubled, or nftables not have taken down yet.
const REMOVALS: u8 = 5;
const TAKEN_DOWN_MS: u8 = 100;

pub struct Iptables {
    plans: [Plan; 2],
    /// Heads that our last installation put in place, by family.
    installed: [u8; 2],
    pause: u8,
}

fn name(list: List, family: Family) -> lists::Name<'static> {
    ([list.name(), ""], family)
}

fn of(names: [&'static CStr; 2], family: Family) -> &'static CStr {
    let [v4, v6] = names;
    if family == Family::V4 { v4 } else { v6 }
}

/// Loads a text that `fill` writes.
fn restore(root: &Root, family: Family, how: &CStr, fill: &dyn Fn(Out<'_>)) -> Result<(), Errno> {
    let name = of(RESTORE, family);
    let program = find(root, name).ok_or(Errno::ENOENT)?;
    let mut text = Vec::new();
    fill(&mut |part| text.extend_from_slice(part.as_bytes()));
    run(root, &program, &[name, c"--noflush", how], Some(&piped(&text)?))
}

impl Iptables {
    pub const fn new() -> Self {
        Self { plans: [Plan::none(Family::V4), Plan::none(Family::V6)], installed: [0; 2], pause: 0 }
    }

    /// Whether the programs are there, xt_recent works, and it is not nftables that has the firewall.
    pub fn usable(&mut self, root: &Root) -> bool {
        let tables = nft_tables(root);
        if tables.foreign && !tables.iptables {
            return false;
        }
        // Reading a rule loads the module; nothing is changed.
        let probe = "*filter\n:ctwarden -\n-A ctwarden -m recent --rcheck --name ctwarden\nCOMMIT\n";
        restore(root, Family::V4, c"--test", &|out| out(probe)).is_ok()
            && access(root.path(&[RECENT]).as_str(), AccessFlags::F_OK).is_ok()
    }

    pub fn install(&mut self, root: &Root, config: &Config) -> Result<(), Errno> {
        let nft = nft_tables(root).foreign;
        for (family, (plan, installed)) in Family::ALL.into_iter().zip(self.plans.iter_mut().zip(&mut self.installed)) {
            let save = of(SAVE, family);
            let Some(program) = find(root, save) else { continue };
            *plan = Plan::new(family, config, &output(root, &program, &[save])?, nft);
            let load = |tables: &[Table], how| {
                let there = lists::heads(root, family);
                restore(root, family, how, &|out| tables.iter().for_each(|table| table.load(out, plan, there)))
            };
            if load(&TABLES, PATIENT).is_err() {
                // One that cannot be loaded (no raw table, no hashlimit) does not keep the others away.
                for table in TABLES.chunks(1) {
                    let _ = load(table, PLAIN);
                }
            }
            *installed = lists::heads(root, family);
        }
        match self.installed {
            [0, 0] if !nix::unistd::geteuid().is_root() => Err(Errno::EPERM),
            [0, 0] => Err(Errno::EOPNOTSUPP),
            _ => Ok(()),
        }
    }

    /// When nothing has changed: a system call for each head, no program, nothing allocated.
    pub fn recheck(&mut self, root: &Root, config: &Config) -> Health {
        let before = self.installed;
        let missing = |before: [u8; 2]| {
            Family::ALL.into_iter().zip(before).any(|(family, heads)| heads & !lists::heads(root, family) != 0)
        };
        if before == [0, 0] || self.pause > 0 {
            self.pause = self.pause.saturating_sub(1);
            return Health::Missing;
        }
        if !missing(before) {
            return Health::Sound;
        }
        let _ = self.install(root, config);
        if missing(before) {
            self.installed = before;
            self.pause = LOOKS_BETWEEN_ATTEMPTS;
            return Health::Missing;
        }
        Health::Mended
    }

    pub fn grant(&mut self, root: &Root, leases: &[Lease], term: Millis) -> Result<(), Errno> {
        let lans = self.lans();
        // A port that no rule is for here (DHCPv6 without IPv6, one that the firewall refuses) is left out, as long as
        // something is left.
        let covered = |lease: &Lease| !self.lists(&lans, lease).only(term > TERM).is_empty();
        let left_out = |lease: &Lease| matches!(lease, Lease::Router { .. }) && !covered(lease);
        if !leases.iter().any(covered) {
            return Err(Errno::EOPNOTSUPP);
        }
        for stamp in [false, true] {
            for lease in leases {
                if left_out(lease) {
                    continue;
                }
                let lists = self.lists(&lans, lease).only(term > TERM);
                if lists.is_empty() {
                    return Err(Errno::EOPNOTSUPP);
                }
                for (list, family) in lists.each() {
                    let done = match stamp {
                        // All or none: first they are all looked for.
                        false => lists::is_there(root, name(list, family)).then_some(()).ok_or(Errno::EOPNOTSUPP),
                        true => lists::put(root, name(list, family), true, entry(lease, family)),
                    };
                    if let Err(e) = done {
                        return if stamp { self.revoke(root, leases).and(Err(e)) } else { Err(e) };
                    }
                }
            }
        }
        Ok(())
    }

    /// A port's ends all ports' lease, and the lifeline: they are one switch each.
    pub fn revoke(&mut self, root: &Root, leases: &[Lease]) -> Result<(), Errno> {
        let lans = self.lans();
        for lease in leases {
            for (list, family) in self.lists(&lans, lease).each() {
                match lists::put(root, name(list, family), false, entry(lease, family)) {
                    Ok(()) | Err(Errno::ENOENT) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }

    /// The longer of lifeline and `open`; of two families the shorter.
    pub fn left(&mut self, root: &Root, lease: &Lease) -> Option<Millis> {
        let all = self.lists(&self.lans(), lease);
        let mut longest = None;
        for lifeline in [true, false] {
            let mut shortest = None;
            for (list, family) in all.only(lifeline).each() {
                let left = self.left_in(root, list, family, lease);
                shortest = Some(shortest.map_or(left, |before| left.min(before)));
            }
            // `None` is less than any time.
            longest = longest.max(shortest.flatten());
        }
        longest
    }

    fn left_in(&self, root: &Root, list: List, family: Family, lease: &Lease) -> Option<Millis> {
        let installed = *self.installed.get(family as usize)?;
        let head = TABLES.iter().flat_map(|t| t.heads).find(|h| h.bit & installed != 0)?;
        let last = lists::seen(root, name(list, family), entry(lease, family))?;
        left(list, lists::now(root, head, family)?, last, lists::jiffies_per_second())
    }

    pub fn remove(&mut self, root: &Root) -> Result<(), Errno> {
        let mut done = Ok(());
        for (family, installed) in Family::ALL.into_iter().zip(&mut self.installed) {
            done = done.and(remove(root, family, installed));
        }
        done
    }

    /// The kernel's numbers of the LAN interfaces, in the order of the plans; 0: it is not there.
    fn lans(&self) -> heapless::Vec<u32, LANS> {
        let [plan, _] = &self.plans;
        plan.lans.iter().map(|lan| if_nametoindex(lan.interface.as_str()).unwrap_or(0)).collect()
    }

    /// The lists that a lease is in. None: it cannot be given here.
    fn lists(&self, lans: &[u32], lease: &Lease) -> Lists {
        let mut lists = Lists::default();
        for (plan, installed) in self.plans.iter().zip(self.installed) {
            let mut add = |list: List, holds: bool| {
                if holds && installed & list.needs() == list.needs() {
                    lists = lists.with(list, plan.family);
                }
            };
            let ipv6 = plan.family == Family::V6;
            let lan = |interface: u32| {
                let at = lans.iter().position(|index| *index == interface && interface != 0);
                at.and_then(|at| plan.lans.get(at))
            };
            match *lease {
                Lease::Source(address) => add(List::Shed, address.is_ipv6() == ipv6),
                Lease::Destination { address, .. } => add(List::Destination, address.is_ipv6() == ipv6),
                Lease::Router { interface, protocol, port } => match lan(interface) {
                    Some(lan) => {
                        let covers = |lifeline| plan.covers(lan, protocol, port, lifeline);
                        add(List::Lifeline, covers(true));
                        add(List::Router, covers(false));
                    }
                    None => {
                        let named = protocol == TCP && plan.ports.contains(&port);
                        add(List::Ports, named && plan.scope == Scope::All);
                    }
                },
                Lease::Lan { interface } => add(List::Lan, plan.routed && lan(interface).is_some()),
                Lease::All { ipv6: wanted } => add(List::All, plan.scope == Scope::All && wanted == ipv6),
            }
        }
        lists
    }
}

/// Takes out what is ours of one family, until it is gone.
fn remove(root: &Root, family: Family, installed: &mut u8) -> Result<(), Errno> {
    let mut done = Ok(());
    for _ in 0..REMOVALS {
        let there = lists::heads(root, family);
        if there | *installed == 0 {
            return Ok(());
        }
        done = unload(root, family, there, there | *installed);
        if done.is_ok() {
            *installed = 0;
        }
        // nftables takes rules down in the background: their lists go a moment later.
        for _ in 0..TAKEN_DOWN_MS {
            if lists::heads(root, family) != 0 {
                pause(1);
            }
        }
    }
    done
}

/// One removal of the tables in which `ours` stand. Should it fail as a whole (somebody has taken out a part of it), line by
/// line, so that what can go goes.
fn unload(root: &Root, family: Family, there: u8, ours: u8) -> Result<(), Errno> {
    let tables = || TABLES.iter().filter(move |t| t.heads.iter().any(|h| h.bit & ours != 0));
    let whole = |out: Out<'_>| tables().for_each(|table| table.unload(out, family, there));
    if restore(root, family, PATIENT, &whole).is_ok() || restore(root, family, PLAIN, &whole).is_ok() {
        return Ok(());
    }
    for table in tables() {
        let mut text = String::new();
        table.unload(&mut |part| text.push_str(part), family, ours);
        let mut lines = text.lines();
        let begin = lines.next().unwrap_or_default();
        for line in lines.filter(|line| *line != "COMMIT") {
            let one = [begin, "\n", line, "\nCOMMIT\n"];
            let _ = restore(root, family, PLAIN, &|out| one.iter().for_each(|part| out(part)));
        }
    }
    Err(Errno::ECANCELED)
}
