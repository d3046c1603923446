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
use super::program::{Text, find, output, pause, run};
use super::room::in_rooms;
use crate::daemon::kernel::addresses::{self, index_of};
use crate::daemon::kernel::tables::nft_tables;
use crate::daemon::root::{RECENT, Root, terminated};
use ctwarden::config::{Config, LANS};
use ctwarden::entry::protocol::TCP;
use ctwarden::iptables::Family;
use ctwarden::iptables::plan::Plan;
use ctwarden::iptables::recent::{List, Lists, entry, left};
use ctwarden::iptables::rules::{HEADS, Out, TABLES, Table};
use ctwarden::lease::{Lease, Scope, TERM};
use ctwarden::text::lines;
use ctwarden::units::Millis;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use std::ffi::CStr;
use std::fmt::Write as _;

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

/// What we have in one family.
struct Side {
    plan: Plan,
    /// Heads that our last installation put in place.
    installed: u8,
}

pub struct Iptables {
    sides: [Side; 2],
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
    let mut text = Text::new()?;
    let mut whole = true;
    fill(&mut |part| whole &= text.write_str(part).is_ok());
    if !whole {
        return Err(Errno::EMSGSIZE);
    }
    run(root, &program, &[name, c"--noflush", how], Some(&text.end()))
}

impl Iptables {
    pub const fn new() -> Self {
        let [v4, v6] = [Family::V4, Family::V6];
        Self {
            sides: [Side { plan: Plan::none(v4), installed: 0 }, Side { plan: Plan::none(v6), installed: 0 }],
            pause: 0,
        }
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
            && access(&terminated(&root.path(&[RECENT])), AccessFlags::F_OK).is_ok()
    }

    pub fn install(&mut self, root: &Root, config: &Config) -> Result<(), Errno> {
        let nft = nft_tables(root).foreign;
        let mut installed = 0;
        for side in &mut self.sides {
            side.install(root, config, nft)?;
            installed |= side.installed;
        }
        match installed {
            0 if !nix::unistd::geteuid().is_root() => Err(Errno::EPERM),
            0 => Err(Errno::EOPNOTSUPP),
            _ => Ok(()),
        }
    }

    /// When nothing has changed: a system call for each head, no program, nothing allocated.
    pub fn recheck(&mut self, root: &Root, config: &Config) -> Health {
        let [v4, v6] = &self.sides;
        let before = [v4.installed, v6.installed];
        if before == [0, 0] || self.pause > 0 {
            self.pause = self.pause.saturating_sub(1);
            return Health::Missing;
        }
        if !missing(root, before) {
            return Health::Sound;
        }
        let _ = self.install(root, config);
        if missing(root, before) {
            for (side, installed) in self.sides.iter_mut().zip(before) {
                side.installed = installed;
            }
            self.pause = LOOKS_BETWEEN_ATTEMPTS;
            return Health::Missing;
        }
        Health::Mended
    }

    pub fn grant(&mut self, root: &Root, leases: &[Lease], term: Millis) -> Result<(), Errno> {
        let lans = self.lans();
        // A port that no rule is for here (DHCPv6 without IPv6, one that the firewall refuses) is left out, as long as
        // something is left; and so is a family that there are no programs for.
        let covered = |lease: &Lease| !self.lists(&lans, lease).only(term > TERM).is_empty();
        let left_out = |lease: &Lease| matches!(lease, Lease::Router { .. } | Lease::All { .. }) && !covered(lease);
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
                for (list, family) in lists {
                    // All or none: first they are all looked for.
                    if !stamp && !lists::is_there(root, name(list, family)) {
                        return Err(Errno::EOPNOTSUPP);
                    }
                    if stamp && let Err(e) = lists::put(root, name(list, family), true, entry(lease, family)) {
                        let _ = self.revoke(root, leases);
                        return Err(e);
                    }
                }
            }
        }
        Ok(())
    }

    /// By the rules as they were when ours were put there.
    pub fn translates(&self) -> bool {
        let [_, v6] = &self.sides;
        v6.installed != 0 && v6.plan.scope >= Scope::Lan && !v6.plan.routed
    }

    /// A port's ends all ports' lease, and the lifeline: they are one switch each.
    pub fn revoke(&mut self, root: &Root, leases: &[Lease]) -> Result<(), Errno> {
        let lans = self.lans();
        for lease in leases {
            for (list, family) in self.lists(&lans, lease) {
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
            for (list, family) in all.only(lifeline) {
                let left = self.left_in(root, list, family, lease);
                shortest = Some(shortest.map_or(left, |before| left.min(before)));
            }
            // `None` is less than any time.
            longest = longest.max(shortest.flatten());
        }
        longest
    }

    fn left_in(&self, root: &Root, list: List, family: Family, lease: &Lease) -> Option<Millis> {
        let side = self.sides.get(family as usize)?;
        let head = HEADS.iter().find(|head| head.bit & side.installed != 0)?;
        let last = lists::seen(root, name(list, family), entry(lease, family))?;
        left(list, lists::now(root, head, family)?, last, lists::jiffies_per_second())
    }

    pub fn remove(&mut self, root: &Root) -> Result<(), Errno> {
        let [v4, v6] = &mut self.sides;
        v4.remove(root).and(v6.remove(root))
    }

    /// The kernel's numbers of the LAN interfaces, in the order of the plans; 0: it is not there.
    fn lans(&self) -> heapless::Vec<u32, LANS> {
        let [side, _] = &self.sides;
        side.plan.lans.iter().map(|lan| index_of(&lan.interface).unwrap_or(0)).collect()
    }

    /// The lists that a lease is in. None: it cannot be given here.
    fn lists(&self, lans: &[u32], lease: &Lease) -> Lists {
        let mut lists = Lists::default();
        for Side { plan, installed } in &self.sides {
            let mut add = |list: List, holds: bool| {
                if holds && installed & list.needs() == list.needs() {
                    lists.add(list, plan.family);
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
                        add(List::Lifeline, plan.covers(lan, protocol, port, true));
                        add(List::Router, plan.covers(lan, protocol, port, false));
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

/// Whether heads that were put there are there no more.
fn missing(root: &Root, [v4, v6]: [u8; 2]) -> bool {
    v4 & !lists::heads(root, Family::V4) != 0 || v6 & !lists::heads(root, Family::V6) != 0
}

impl Side {
    fn install(&mut self, root: &Root, config: &Config, nft: bool) -> Result<(), Errno> {
        let family = self.plan.family;
        let save = of(SAVE, family);
        let Some(program) = find(root, save) else { return Ok(()) };
        self.plan = in_rooms(|rooms| {
            output(root, &program, &[save], &mut rooms.found)?;
            rooms.found.text().map(|text| Plan::new(family, config, text, nft, &addresses::on))
        })?;
        if self.load(root, &TABLES, PATIENT).is_err() {
            // One that cannot be loaded (no raw table, no hashlimit) does not keep the others away.
            for table in TABLES.chunks(1) {
                let _ = self.load(root, table, PLAIN);
            }
        }
        self.installed = lists::heads(root, family);
        Ok(())
    }

    fn load(&self, root: &Root, tables: &[Table], how: &CStr) -> Result<(), Errno> {
        let there = lists::heads(root, self.plan.family);
        let fill = |out: Out<'_>| tables.iter().for_each(|table| table.load(out, &self.plan, there));
        restore(root, self.plan.family, how, &fill)
    }

    /// Takes out what is ours, until it is gone.
    fn remove(&mut self, root: &Root) -> Result<(), Errno> {
        let family = self.plan.family;
        let mut done = Ok(());
        for _ in 0..REMOVALS {
            let there = lists::heads(root, family);
            if there | self.installed == 0 {
                return Ok(());
            }
            done = self.unload(root, there);
            if done.is_ok() {
                self.installed = 0;
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

    /// One removal of the tables in which something of ours stands. Should it fail as a whole (somebody has taken out a part
    /// of it), line by line, so that what can go goes.
    fn unload(&self, root: &Root, there: u8) -> Result<(), Errno> {
        let family = self.plan.family;
        let ours = there | self.installed;
        let whole = |out: Out<'_>| {
            TABLES.iter().filter(|table| table.heads & ours != 0).for_each(|table| table.unload(out, family, there));
        };
        if restore(root, family, PATIENT, &whole).is_ok() || restore(root, family, PLAIN, &whole).is_ok() {
            return Ok(());
        }
        for table in TABLES.iter().filter(|table| table.heads & ours != 0) {
            in_rooms(|rooms| {
                rooms.script.clear();
                table.unload(&mut |part| rooms.script.push(part.as_bytes()), family, ours);
                let mut lines = lines(str::from_utf8(rooms.script.text().unwrap_or_default()).unwrap_or_default());
                let begin = lines.next().unwrap_or_default();
                for line in lines.filter(|line| *line != "COMMIT") {
                    let one = [begin, "\n", line, "\nCOMMIT\n"];
                    let _ = restore(root, family, PLAIN, &|out| one.iter().for_each(|part| out(part)));
                }
            });
        }
        Err(Errno::ECANCELED)
    }
}
