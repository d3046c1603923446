//! Whom to cap: a hog that comes back as fast as it is trimmed may open new flows at a low rate only.
//!
//! ```text
//! sources above the level, heaviest first ──┐
//!    none (a spoofed flood)? one destination ┼──> may it be? (not the router, not what is protected, not a LAN) ──> leases
//!    and port with 30 % of the table ────────┘
//! ```

use super::trim::SAMPLED_ROWS_FLOOR;
use crate::config::{Network, Protect};
use crate::entry::Class;
use crate::lease::{Lease, SHEDS};
use crate::observe::census::Census;
use crate::observe::own::Own;
use crate::observe::tally::{Share, Tally};
use crate::units::Entries;
use core::net::IpAddr;
use heapless::Vec;

/// A destination that holds no more than this is not what fills the table.
pub const FLOODED: Share = Share(3_000);

/// Who must not be capped, and what that is told by.
#[derive(Clone, Copy, Debug)]
pub struct Spared<'a> {
    /// The router's addresses.
    pub own: &'a Own,
    /// The interfaces that are the LAN.
    pub lan: &'a [u32],
    /// The protect list.
    pub protect: &'a [Protect],
}

/// Why somebody is not capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the router.
    Own,
    /// It is on the protect list.
    Protected,
    /// It is a LAN as a whole: an IPv6 lease is for a /64, and all hosts of a LAN are in one.
    Lan,
    /// Nobody knows whether it is the router: its addresses could not be read.
    Unknown,
    /// It is no cap.
    NoCap,
}

impl Why {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Why::Own => "the router itself",
            Why::Protected => "on the protect list",
            Why::Lan => "a LAN",
            Why::Unknown => "the router's addresses are not known",
            Why::NoCap => "no cap",
        }
    }
}

/// May this be capped?
///
/// # Errors
/// Why not.
pub fn may_shed(lease: &Lease, spared: &Spared<'_>) -> Result<(), Why> {
    let Spared { own, lan, protect } = *spared;
    let (is_own, is_protected, is_lan) = match *lease {
        Lease::Source(address @ IpAddr::V4(_)) => {
            (own.is_own(address), names(protect, Network::new(address, 32)), false)
        }
        Lease::Source(address) => {
            let network = Network::new(address, 64);
            (own.is_in(network), names(protect, network), own.is_attached(network, lan))
        }
        Lease::Destination { address, protocol, port } => {
            let covers = |p: &Protect| {
                (p.destination.is_some() || p.protocol.is_some() || p.port.is_some())
                    && p.destination.is_none_or(|n| n.contains(address))
                    && p.protocol.is_none_or(|n| n == protocol)
                    && p.port.is_none_or(|n| n == port)
            };
            (own.is_own(address), protect.iter().any(covers), false)
        }
        Lease::Router { .. } | Lease::Lan { .. } | Lease::All { .. } => return Err(Why::NoCap),
    };
    if is_own {
        Err(Why::Own)
    } else if is_protected {
        Err(Why::Protected)
    } else if is_lan {
        Err(Why::Lan)
    } else if !own.is_complete() {
        Err(Why::Unknown)
    } else {
        Ok(())
    }
}

/// Whether a section names a source in this network, or all of it. What else it gives does not count: the cap would be on
/// those flows too.
fn names(protect: &[Protect], network: Network) -> bool {
    protect.iter().filter_map(|p| p.source).any(|source| source.meets(&network))
}

/// How it stands with the table.
#[derive(Clone, Copy, Debug)]
pub struct Pressure {
    /// Entries in it.
    pub count: Entries,
    /// The low mark: where relief stops.
    pub low: Entries,
    /// The level of fair sharing, where somebody is above it.
    pub level: Option<Entries>,
}

/// Who is to be capped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// The heaviest first; those that are capped already are among them, to go on.
    pub leases: Vec<Lease, SHEDS>,
    /// For so many there was no room.
    pub left_out: u32,
}

/// Chooses by a census, sampled or whole. `running`: the caps in force.
///
/// `is_cut`: the plan takes of this source what it holds above the level. The census counts closing entries too, which hold
/// nobody back: a host with many of those is no hog.
pub fn choose(
    census: &Census,
    pressure: &Pressure,
    is_cut: &dyn Fn(IpAddr) -> bool,
    running: &[Lease],
    spared: &Spared<'_>,
) -> Choice {
    let mut choice = Choice::default();
    if pressure.count <= pressure.low {
        return choice;
    }
    let mut room = SHEDS.saturating_sub(running.len());
    let mut add = |lease: Lease| {
        if may_shed(&lease, spared).is_err() {
            return;
        }
        let fresh = !running.contains(&lease);
        if fresh && room == 0 || choice.leases.push(lease).is_err() {
            choice.left_out += 1;
        } else {
            room -= usize::from(fresh);
        }
    };
    let mut nobody = true;
    if let Some(level) = pressure.level {
        let sources = census.top_sources(usize::MAX);
        for row in sources.take_while(|row| row.tally.entries > level).filter(|row| is_certain(&row.tally)) {
            if !is_cut(row.key.address()) {
                continue;
            }
            nobody = false;
            add(Lease::Source(row.key.address()));
        }
    }
    if nobody {
        // What is known of a destination's entries is their number: at least so many are unassured as there are more of them
        // than of all other entries that are not.
        let unassured = census.class(Class::Unreplied).count + census.class(Class::Replied).count;
        let others = census.read().0.saturating_sub(unassured);
        let flooded = |tally: &Tally| tally.share > FLOODED && tally.count.saturating_sub(others) > tally.count / 2;
        for row in census.top_destinations(usize::MAX).take_while(|row| flooded(&row.tally)) {
            let to = row.key;
            add(Lease::Destination { address: to.address(), protocol: to.protocol(), port: to.port() });
        }
    }
    choice
}

/// A few rows of a sample do not tell a hog from chance.
fn is_certain(tally: &Tally) -> bool {
    tally.standard_error == Share(0) || tally.count >= SAMPLED_ROWS_FLOOR
}
