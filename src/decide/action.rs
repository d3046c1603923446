//! What may be done to the system, and why: the words in which the ladder decides, and which the log and `status` show.

use crate::lease::Scope;
use crate::rung::Rung;
use crate::units::{Entries, Millis, Permille};
use core::fmt;

/// A change to the system that was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Raise max.
    Grow {
        /// The new max.
        to: Entries,
    },
    /// Put max back to what it was before it was raised.
    Shrink {
        /// The former max.
        to: Entries,
    },
    /// Evict down to the low mark.
    Trim,
    /// The same, and cap whoever holds too much.
    Shed,
    /// Empty the table.
    Flush,
    /// Let in by lease, after making room.
    Open {
        /// How far.
        scope: Scope,
    },
    /// Take out the rules that need connection tracking.
    Stateless,
    /// Unload the connection tracking modules.
    Unload,
}

impl Action {
    /// The rung it belongs to.
    pub const fn rung(self) -> Rung {
        match self {
            Action::Grow { .. } | Action::Shrink { .. } => Rung::Grow,
            Action::Trim => Rung::Trim,
            Action::Shed => Rung::Shed,
            Action::Flush => Rung::Flush,
            Action::Open { .. } => Rung::Open,
            Action::Stateless => Rung::Stateless,
            Action::Unload => Rung::Unload,
        }
    }
}

/// Why, with the value and the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    /// The high mark was reached.
    High { occupancy: Permille, high: Permille },
    /// Packets have been refused with a full table, and gentler rungs did not end it.
    Full { lasted: Millis, hold: Millis },
    /// The table has been calm.
    Calm { lasted: Millis, after: Millis },
}

/// An action and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Decision {
    pub action: Action,
    pub reason: Reason,
}

/// Why a rung is not climbed though it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Refusal {
    /// So many were done within the hour.
    Budget { done: u8, allowed: u8 },
    /// The last one bought too little.
    Breaker { bought: Millis, wanted: Millis },
    /// The last one was not done: it failed, or was only to be told of.
    NotDone,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Grow { to } => write!(f, "grow max to {to}"),
            Action::Shrink { to } => write!(f, "put max back to {to}"),
            Action::Open { scope } => write!(f, "open {}", scope.name()),
            other => f.write_str(other.rung().name()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::High { occupancy, high } => write!(f, "occupancy {occupancy}, high mark {high}"),
            Reason::Full { lasted, hold } => write!(f, "full and refusing for {lasted}, hold {hold}"),
            Reason::Calm { lasted, after } => write!(f, "calm for {lasted}, after {after}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Budget { done, allowed } => write!(f, "{done} within the hour, {allowed} allowed"),
            Refusal::Breaker { bought, wanted } => write!(f, "the last flush bought {bought}, less than {wanted}"),
            Refusal::NotDone => f.write_str("the last flush failed or was a dry run; not again within the hour"),
        }
    }
}
