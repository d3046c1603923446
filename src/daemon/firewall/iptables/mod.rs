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
use super::program::{find, output, piped, run};
use crate::daemon::kernel::tables::{Found, nft_tables};
use crate::daemon::root::{RECENT, Root};
use ctwarden::config::Config;
use ctwarden::entry::protocol::TCP;
use ctwarden::iptables::Family;
use ctwarden::iptables::plan::Plan;
use ctwarden::iptables::recent::{List, hog, left, zeros};
use ctwarden::iptables::rules::{FORWARD, INPUT, NEW, RAW, TABLES, Table};
use ctwarden::lease::{Lease, Scope, TERM};
use ctwarden::units::Millis;
use heapless::Vec;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::unistd::{AccessFlags, access};
use std::ffi::CStr;
use std::net::IpAddr;
use std::time::Duration;

const RESTORE: [&str; 2] = ["iptables-restore", "ip6tables-restore"];
const SAVE: [&str; 2] = ["iptables-save", "ip6tables-save"];

/// Somebody else may be loading rules: wait for the lock, which programs before 1.6.2 did not know.
const PATIENT: &[&CStr] = &[c"--noflush", c"--wait=5"];
const PLAIN: &[&CStr] = &[c"--noflush"];

/// After a vain attempt to put rules back this many looks are let pass.
const LOOKS_BETWEEN_ATTEMPTS: u8 = 12;
/// What somebody may have doubled, or nftables not have taken down yet.
const REMOVALS: u8 = 5;

/// Entries that a lease is made of: one a family at most for each of two lists.
type Places = Vec<(List, Family, IpAddr), 4>;

pub struct Iptables {
    plans: [Plan; 2],
    /// Heads that our last installation put in place, by family.
    installed: [u8; 2],
    pause: u8,
}

fn name(list: List, family: Family) -> lists::Name<'static> {
    ([list.name(), ""], family)
}

fn program(root: &Root, names: [&str; 2], family: Family) -> Option<crate::daemon::root::SystemPath> {
    find(root, names.get(family as usize)?)
}

/// Loads a text that `fill` writes.
fn restore(
    root: &Root,
    family: Family,
    arguments: &[&CStr],
    fill: &dyn Fn(&mut String) -> std::fmt::Result,
) -> Result<(), Errno> {
    let program = program(root, RESTORE, family).ok_or(Errno::ENOENT)?;
    let mut text = String::new();
    fill(&mut text).map_err(|_| Errno::EINVAL)?;
    run(root, &program, arguments, Some(&piped(text.as_bytes())?))
}

impl Iptables {
    pub const fn new() -> Self {
        Self { plans: [Plan::none(Family::V4), Plan::none(Family::V6)], installed: [0; 2], pause: 0 }
    }

    /// Whether the programs are there, xt_recent works, and it is not nftables that has the firewall.
    pub fn usable(&mut self, root: &Root) -> bool {
        if program(root, RESTORE, Family::V4).is_none() {
            return false;
        }
        // Reading a rule loads the module; nothing is changed.
        let probe = |text: &mut String| {
            text.push_str("*filter\n:ctwarden -\n-A ctwarden -m recent --rcheck --name ctwarden\nCOMMIT\n");
            Ok(())
        };
        let read = restore(root, Family::V4, &[c"--noflush", c"--test"], &probe);
        let there = access(root.path(&[RECENT]).as_str(), AccessFlags::F_OK);
        let tables = nft_tables(root);
        read.is_ok() && there.is_ok() && (!tables.foreign || tables.iptables)
    }

    pub fn install(&mut self, root: &Root, config: &Config) -> Result<(), Errno> {
        let Found { foreign, .. } = nft_tables(root);
        for (family, (plan, installed)) in
            Family::ALL.into_iter().zip(self.plans.iter_mut().zip(self.installed.iter_mut()))
        {
            let Some(save) = program(root, SAVE, family) else { continue };
            let saved = output(root, &save, &[])?;
            *plan = Plan::new(family, config, &saved, foreign);
            let load = |tables: &[Table], arguments| {
                let there = lists::heads(root, family);
                restore(root, family, arguments, &|text| tables.iter().try_for_each(|t| t.load(text, plan, there)))
            };
            if load(&TABLES, PATIENT).is_err() {
                // One that cannot be loaded (no raw table, no hashlimit) does not keep the others away.
                for table in TABLES {
                    let _ = load(&[table], PLAIN);
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
        let places = |lease: &Lease| self.places(&lans, lease, &|list| (list == List::Lifeline) == (term > TERM));
        for lease in leases {
            let places = places(lease);
            if places.is_empty() || !places.iter().all(|(list, family, _)| lists::is_there(root, name(*list, *family)))
            {
                return Err(Errno::EOPNOTSUPP);
            }
        }
        for (done, lease) in leases.iter().enumerate() {
            for (list, family, address) in places(lease) {
                if let Err(e) = lists::put(root, name(list, family), true, address) {
                    let _ = self.revoke(root, leases.get(..=done).unwrap_or(leases));
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// A port's ends all ports' lease, and the lifeline: they are one switch each.
    pub fn revoke(&mut self, root: &Root, leases: &[Lease]) -> Result<(), Errno> {
        let lans = self.lans();
        for lease in leases {
            for (list, family, address) in self.places(&lans, lease, &|_| true) {
                match lists::put(root, name(list, family), false, address) {
                    Ok(()) | Err(Errno::ENOENT) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }

    /// The longer of lifeline and `open`; of two families the shorter.
    pub fn left(&mut self, root: &Root, lease: &Lease) -> Option<Millis> {
        let of = |list: List, family: Family, address| {
            let installed = *self.installed.get(family as usize)?;
            let head = TABLES.iter().flat_map(|t| t.heads).find(|h| h.bit & installed != 0)?;
            let last = lists::seen(root, name(list, family), address)?;
            left(list, lists::now(root, head, family)?, last, lists::jiffies_per_second())
        };
        let mut best = None;
        let places = self.places(&self.lans(), lease, &|_| true);
        for list in List::ALL {
            let each = places.iter().filter(|(l, ..)| *l == list).map(|(l, family, address)| of(*l, *family, *address));
            // `None` is less than any time.
            best = best.max(each.min().flatten());
        }
        best
    }

    pub fn remove(&mut self, root: &Root) -> Result<(), Errno> {
        let mut done = Ok(());
        for (family, installed) in Family::ALL.into_iter().zip(self.installed.iter_mut()) {
            if program(root, RESTORE, family).is_none() {
                continue;
            }
            for _ in 0..REMOVALS {
                let there = lists::heads(root, family);
                if there | *installed == 0 {
                    break;
                }
                match unload(root, family, there, there | *installed) {
                    Ok(()) => *installed = 0,
                    Err(e) => done = Err(e),
                }
                // nftables takes rules down in the background: their lists go a moment later.
                for _ in 0..50 {
                    if lists::heads(root, family) == 0 {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            if lists::heads(root, family) == 0 && *installed == 0 {
                done = Ok(());
            }
        }
        done
    }

    /// The kernel's numbers of the LAN interfaces, in the order of the plans; 0: it is not there.
    fn lans(&self) -> Vec<u32, { ctwarden::config::LANS }> {
        let [plan, _] = &self.plans;
        plan.lans.iter().map(|lan| if_nametoindex(lan.interface.as_str()).unwrap_or(0)).collect()
    }

    /// The entries that are a lease, of the lists that `wanted` admits. None: it cannot be given here.
    fn places(&self, lans: &[u32], lease: &Lease, wanted: &dyn Fn(List) -> bool) -> Places {
        let mut places = Places::new();
        let mut add = |list, family: Family, address, needs: u8| {
            let installed = self.installed.get(family as usize).copied().unwrap_or(0);
            if wanted(list) && installed & needs == needs {
                // Never full: two lists for each of two families.
                let _ = places.push((list, family, address));
            }
        };
        if let Some((list, family, address)) = hog(lease) {
            // Hogs have one list, whatever the term.
            let installed = self.installed.get(family as usize).copied().unwrap_or(0);
            if installed & NEW != 0 {
                let _ = places.push((list, family, address));
            }
            return places;
        }
        for (family, plan) in Family::ALL.into_iter().zip(&self.plans) {
            let zeros = zeros(family);
            match *lease {
                Lease::Router { interface, protocol, port } => {
                    let lan = lans.iter().position(|index| *index == interface && interface != 0);
                    let covers = |lifeline| {
                        let lan = lan.and_then(|at| plan.lans.get(at));
                        lan.is_some_and(|lan| plan.covers(&lan.interface, protocol, port, lifeline))
                    };
                    if covers(true) {
                        add(List::Lifeline, family, zeros, RAW | INPUT);
                    }
                    if covers(false) {
                        add(List::Router, family, zeros, RAW | INPUT);
                    }
                    if lan.is_none() && plan.scope == Scope::All && protocol == TCP && plan.ports.contains(&port) {
                        add(List::Ports, family, zeros, RAW);
                    }
                }
                Lease::Lan { interface } if plan.routed && lans.contains(&interface) && interface != 0 => {
                    add(List::Lan, family, zeros, RAW | FORWARD);
                }
                Lease::All { ipv6 } if plan.scope == Scope::All && ipv6 == (family == Family::V6) => {
                    add(List::All, family, zeros, INPUT | FORWARD);
                }
                _ => {}
            }
        }
        places
    }
}

/// One removal of the tables in which `ours` stand. Should it fail as a whole (somebody has taken out a part of it), line by
/// line, so that what can go goes.
fn unload(root: &Root, family: Family, there: u8, ours: u8) -> Result<(), Errno> {
    let tables = || TABLES.iter().filter(move |t| t.heads.iter().any(|h| h.bit & ours != 0));
    let whole = |text: &mut String| tables().try_for_each(|t| t.unload(text, family, there));
    if restore(root, family, PATIENT, &whole).is_ok() || restore(root, family, PLAIN, &whole).is_ok() {
        return Ok(());
    }
    for table in tables() {
        let mut text = String::new();
        table.unload(&mut text, family, there).map_err(|_| Errno::EINVAL)?;
        let begin = text.lines().next().unwrap_or_default();
        for line in text.lines().skip(1).filter(|l| *l != "COMMIT") {
            let _ = restore(root, family, PLAIN, &|one| {
                [begin, "\n", line, "\nCOMMIT\n"].iter().for_each(|part| one.push_str(part));
                Ok(())
            });
        }
    }
    Err(Errno::ECANCELED)
}
