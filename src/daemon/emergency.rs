//! Leases: given, renewed while their reason lasts, taken back; what goes with them.
//!
//! ```text
//!   hog named ─────────────> shed ──┐
//!   saturated, asked ──────> open ──┼─> firewall.grant ──> the kernel ends it by itself
//!   rules.rs: start ───> lifeline ──┘        ^
//!                        tend(): renew, end, put back what a firewall reload took
//! ```

use super::firewall::Firewall;
use super::firewall::check::LEASES;
use super::kernel::addresses;
use super::report::tell;
use super::run::Daemon;
use super::system;
use ctwarden::config::{Config, LANS};
use ctwarden::decide::shed::{Pressure, Spared, Why, may_shed};
use ctwarden::detect::Verdict;
use ctwarden::event::{Event, Lifeline};
use ctwarden::journal::Setting;
use ctwarden::lease::{Due, LIFELINE_RENEW_AT, Lease, SHEDS, Scope, TERM, Windows};
use ctwarden::protocol::Answer;
use ctwarden::units::{Entries, Millis};
use nix::errno::Errno;

/// Leases that an opening or the lifeline consists of at most.
const MOST: usize = 2 * SHEDS;
/// `nf_conntrack_tcp_be_liberal` stays on so long after an opening: flows that were untracked meanwhile have sequence
/// numbers that conntrack has not followed, and would be reset.
const LIBERAL_AFTER: Millis = Millis(60_000);
/// DHCP and DHCPv6, server side.
const DHCP: [u16; 2] = [67, 547];
const TCP: u8 = ctwarden::entry::protocol::TCP;
const UDP: u8 = ctwarden::entry::protocol::UDP;

type Leases = heapless::Vec<Lease, MOST>;

/// The state of all of it.
pub struct Emergency {
    pub firewall: Firewall,
    pub windows: Windows,
    /// The rules are in place.
    pub(super) ready: bool,
    /// They are not put in place beside what `stateless` or `unload` took out: once that is back.
    pub(super) waiting: bool,
    pub lifeline: Lifeline,
    /// What it consists of.
    pub(super) lifeline_leases: heapless::Vec<Lease, LEASES>,
    pub(super) lifeline_ends: Millis,
    /// When `nf_conntrack_tcp_be_liberal` goes back.
    liberal_until: Option<Millis>,
}

impl Emergency {
    pub const fn new() -> Self {
        Self {
            firewall: Firewall::new(),
            windows: Windows::new(),
            ready: false,
            waiting: false,
            lifeline: Lifeline::Off,
            lifeline_leases: heapless::Vec::new(),
            lifeline_ends: Millis(0),
            liberal_until: None,
        }
    }

    /// Rules are there: leases can be given.
    pub const fn ready(&self) -> bool {
        self.ready
    }

    /// When [`Daemon::tend`] has something to do next.
    pub fn next(&self) -> Option<Millis> {
        let lifeline = matches!(self.lifeline, Lifeline::On)
            .then(|| Millis(self.lifeline_ends.0.saturating_sub(LIFELINE_RENEW_AT.0)));
        [self.windows.next(), lifeline, self.liberal_until].into_iter().flatten().min()
    }
}

/// The indexes of the interfaces that are the LAN, those that are there.
pub fn lan(config: &Config) -> heapless::Vec<u32, LANS> {
    config.lan.iter().filter_map(|name| addresses::index_of(name)).collect()
}

/// The router's ports on these interfaces.
fn ports(config: &Config, interfaces: &[u32], dhcp: bool, leases: &mut Leases) {
    for interface in interfaces.iter().copied() {
        let mut add = |protocol, port| {
            let _ = leases.push(Lease::Router { interface, protocol, port });
        };
        config.ports.iter().for_each(|port| add(TCP, *port));
        if dhcp {
            DHCP.into_iter().for_each(|port| add(UDP, port));
        }
    }
}

/// What an opening of this scope consists of; what it is for stands first. `routed`: un-NATed traffic
/// may go untracked.
fn leases_of(scope: Scope, config: &Config, firewall: &Firewall, routed: bool) -> Leases {
    let mut leases = Leases::new();
    if scope == Scope::All {
        leases.extend([false, true].map(|ipv6| Lease::All { ipv6 }));
    }
    if !firewall.backend().has_leases() {
        // It opens everything or nothing.
        return leases;
    }
    let lan = lan(config);
    if scope >= Scope::Lan && routed {
        leases.extend(lan.iter().map(|interface| Lease::Lan { interface: *interface }));
    }
    ports(config, &lan, true, &mut leases);
    if scope == Scope::All {
        let own = addresses::own();
        let others: heapless::Vec<u32, 16> = own.interfaces().filter(|i| !lan.contains(i)).take(16).collect();
        ports(config, &others, false, &mut leases);
    }
    leases
}

impl Daemon {
    /// Caps whoever holds too much, as the sample has it that the plan was just made from.
    pub(super) fn shed_whoever(&mut self, count: Entries) {
        let now = self.now();
        let running: heapless::Vec<Lease, SHEDS> = self.emergency.windows.shedding(now).map(|(l, _)| l).collect();
        let lan = lan(&self.config);
        let spared = Spared { own: &addresses::own(), lan: &lan, protect: &self.config.protect };
        let low = self.counters.table(&self.root).map_or(Entries(0), |t| t.max.part(self.config.low));
        let pressure = Pressure { count, low, level: self.work.plan().level };
        let choice = self.work.choose(&pressure, &running, &spared);
        let _ = self.shed(&choice.leases, choice.left_out, self.config.shed_seconds);
    }

    /// Why this is never capped, if so.
    pub(super) fn spared(&self, lease: &Lease) -> Option<Why> {
        let spared = Spared { own: &addresses::own(), lan: &lan(&self.config), protect: &self.config.protect };
        may_shed(lease, &spared).err()
    }

    /// Somebody asked for this cap, which is not of the [`spared`](Self::spared).
    pub(super) fn shed_asked(&mut self, lease: &Lease, until: Millis) -> Answer {
        let now = self.now();
        let windows = &mut self.emergency.windows;
        // As long as it is asked for, whatever it has had, and whatever was asked before.
        let since = windows.shed_since(lease).unwrap_or(now);
        let before = windows.shed_until(lease, None);
        let done = self.shed(core::slice::from_ref(lease), 0, until.since(since));
        let windows = &mut self.emergency.windows;
        let fault = match done {
            Ok(_) if windows.shedding(now).any(|(l, _)| l == *lease) => None,
            Ok(_) => Some(Errno::ENOSPC),
            Err(e) => Some(e),
        };
        windows.shed_until(lease, if fault.is_none() { Some(until) } else { before });
        fault.map_or_else(|| Answer::Windows(self.windows()), |e| Answer::Failed { errno: e as i32 })
    }

    /// Caps these, as far as they have not had `total`. Told: how many could not be.
    pub(super) fn shed(&mut self, leases: &[Lease], left_out: u32, total: Millis) -> Result<u32, Errno> {
        let now = self.now();
        let Self { emergency: e, root, .. } = self;
        // Read back: somebody may have emptied the set.
        for lease in leases {
            if e.windows.shedding(now).any(|(l, _)| l == *lease) && e.firewall.left(root, lease).is_none() {
                e.windows.shed_gone(now, lease);
            }
        }
        let (given, [spent, running]) = e.windows.to_shed(now, leases, total);
        let left_out = left_out + (leases.len() - given.len() - running) as u32;
        let Some(first) = given.first().copied() else {
            if spent > 0 {
                tell(Event::ShedSpent { count: spent as u32, total });
            }
            return Ok(0);
        };
        // One message for all but those that have less than a term left.
        let term = |w: &Windows, lease: &Lease| w.term(now, lease, total);
        let whole: heapless::Vec<Lease, SHEDS> =
            given.iter().copied().filter(|lease| term(&e.windows, lease) == TERM).collect();
        let mut granted = if whole.is_empty() { Ok(()) } else { e.firewall.grant(root, &whole, TERM) };
        for lease in given.iter().filter(|lease| !whole.contains(lease)) {
            let term = term(&e.windows, lease);
            granted = granted.and_then(|()| e.firewall.grant(root, core::slice::from_ref(lease), term));
        }
        granted.inspect_err(|errno| tell(Event::LeaseFailed { lease: first, errno: *errno as i32 }))?;
        // Read back: the kernel's word that it holds the cap.
        if e.firewall.left(root, &first).is_none() {
            tell(Event::LeaseFailed { lease: first, errno: Errno::ENOENT as i32 });
            return Err(Errno::ENOENT);
        }
        let known = e.windows.shedding(now).any(|(lease, _)| lease == first);
        for lease in &given {
            let term = term(&e.windows, lease);
            e.windows.shed(now, core::slice::from_ref(lease), term);
        }
        let count = given.len() as u32;
        if let Some(incident) = self.guard.incidents.current() {
            incident.sheds = incident.sheds.saturating_add(count);
        }
        tell(Event::Shed { first, count, left_out, again: known });
        Ok(count)
    }

    /// Opens. Room has been made before.
    pub(super) fn open(&mut self, scope: Scope, total: Millis, asked: bool) -> Result<(), Errno> {
        let now = self.now();
        self.set_liberal(true);
        let Self { emergency: e, root, config, .. } = self;
        let term = TERM.min(total);
        let routed = !e.firewall.translates();
        let leases = e.without_lifeline(leases_of(scope, config, &e.firewall, routed));
        let granted = match leases.first().map(core::mem::discriminant) {
            _ if scope == Scope::Lan && !routed => Err(Errno::EADDRNOTAVAIL),
            // With the lifeline there may be nothing left to open.
            None if e.firewall.backend().has_leases() => Ok(()),
            None => Err(Errno::EOPNOTSUPP),
            Some(kind) => e.firewall.grant(root, &leases, term).and_then(|()| {
                let mut those = leases.iter().filter(|l| core::mem::discriminant(*l) == kind);
                those.any(|l| e.firewall.left(root, l).is_some()).then_some(()).ok_or(Errno::EOPNOTSUPP)
            }),
        };
        if let Err(errno) = granted {
            let _ = e.firewall.revoke(root, &leases);
            let errno = Some(errno).filter(|e| *e != Errno::EADDRNOTAVAIL);
            tell(Event::NotOpened { scope, errno: errno.map(|e| e as i32) });
            let errno = errno.unwrap_or(Errno::EADDRNOTAVAIL);
            self.emergency.liberal_until = Some(now);
            return Err(errno);
        }
        let opening = e.windows.open(now, scope, total, asked);
        e.liberal_until = None;
        tell(Event::Opened { scope, total, asked, impossible: scope.impossible() });
        debug_assert!(opening.until >= now);
        Ok(())
    }

    /// Takes the opening back.
    pub(super) fn close(&mut self, because: &'static str) -> bool {
        let now = self.now();
        let Self { emergency: e, root, config, .. } = self;
        let Some(opening) = e.windows.close() else { return false };
        let leases = e.without_lifeline(leases_of(opening.scope, config, &e.firewall, true));
        // The kernel does it by itself should this fail.
        let _ = e.firewall.revoke(root, &leases);
        e.liberal_until = Some(now.after(LIBERAL_AFTER));
        tell(Event::Closed { scope: opening.scope, lasted: now.since(opening.since), because });
        true
    }

    /// Takes all caps back.
    pub(super) fn unshed(&mut self) {
        let now = self.now();
        let Self { emergency: e, root, .. } = self;
        let running: heapless::Vec<Lease, SHEDS> = e.windows.shedding(now).map(|(lease, _)| lease).collect();
        if !running.is_empty() {
            let _ = e.firewall.revoke(root, &running);
        }
        e.windows.forget_sheds();
    }

    /// What time asks for: renewals, ends. Called when [`Emergency::next`] is due.
    pub(super) fn tend(&mut self) {
        let now = self.now();
        let wanted = matches!(self.guard.evidence().verdict, Verdict::Filling | Verdict::Saturated);
        match self.emergency.windows.due(now, wanted) {
            Due::Nothing => {}
            Due::Renew(term) => self.renew_opening(now, term),
            Due::Tell => {
                if let Some(o) = self.emergency.windows.opening() {
                    tell(Event::StillOpen { scope: o.scope, left: o.until.since(now) });
                }
            }
            Due::End => {
                let over = self.emergency.windows.opening().is_some_and(|o| now >= o.until);
                self.close(if over { "its time is over" } else { "the table is calm" });
            }
        }
        let due: heapless::Vec<(Lease, Millis), SHEDS> = self.emergency.windows.sheds_due(now).collect();
        for (lease, term) in &due {
            let Self { emergency: e, root, .. } = self;
            match e.firewall.grant(root, core::slice::from_ref(lease), *term) {
                Ok(()) => e.windows.shed(now, core::slice::from_ref(lease), *term),
                Err(_) => e.windows.shed_failed(now, lease),
            }
        }
        let over = self.emergency.windows.sheds_over(now);
        if !over.is_empty() {
            let _ = self.emergency.firewall.revoke(&self.root, &over);
        }
        let e = &self.emergency;
        if e.lifeline == Lifeline::On && e.lifeline_ends.since(now) <= LIFELINE_RENEW_AT {
            self.throw_lifeline();
        }
        if self.emergency.liberal_until.is_some_and(|until| now >= until) {
            self.emergency.liberal_until = None;
            self.set_liberal(false);
        }
    }

    fn renew_opening(&mut self, now: Millis, term: Millis) {
        let Self { emergency: e, root, config, .. } = self;
        let Some(opening) = e.windows.opening().copied() else { return };
        let leases = e.without_lifeline(leases_of(opening.scope, config, &e.firewall, !e.firewall.translates()));
        let granted = if leases.is_empty() { Ok(()) } else { e.firewall.grant(root, &leases, term) };
        match granted {
            Ok(()) => e.windows.renewed(now, term),
            // A firewall that is just being loaded anew: tried again with the next look, until the kernel's time is over.
            Err(_) => e.ready = false,
        }
    }

    /// Gives what runs once more, with the time that it had left. All of it: what still has some of its leases may have lost
    /// the others (those of one family, or in the one foreign table that was loaded anew).
    pub(super) fn give_again(&mut self) {
        let now = self.now();
        let Self { emergency: e, root, config, .. } = self;
        let running: heapless::Vec<(Lease, Millis), SHEDS> = e.windows.shedding(now).collect();
        for (lease, left) in &running {
            let _ = e.firewall.grant(root, core::slice::from_ref(lease), *left);
        }
        if let Some(o) = e.windows.opening().copied() {
            let leases = e.without_lifeline(leases_of(o.scope, config, &e.firewall, !e.firewall.translates()));
            let _ = e.firewall.grant(root, &leases, o.ends.since(now));
        }
    }

    /// `nf_conntrack_tcp_be_liberal`, by way of the journal.
    fn set_liberal(&mut self, on: bool) {
        let Self { root, state, journal, .. } = self;
        if !on {
            system::put_back(root, state, journal, Setting::Liberal, &mut tell);
            return;
        }
        if system::value(root, Setting::Liberal) == Some(Entries(0))
            && let Err(why) = system::set(root, state, journal, Setting::Liberal, Entries(1))
        {
            tell(Event::NotWritten { name: Setting::Liberal.name(), why });
        }
    }
}

impl Emergency {
    /// The lifeline holds the router's ports open anyway, for longer: an opening's shorter lease must not take its place.
    fn without_lifeline(&self, mut leases: Leases) -> Leases {
        if self.lifeline == Lifeline::On {
            leases.retain(|l| !self.lifeline_leases.contains(l));
        }
        leases
    }
}
