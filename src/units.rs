//! Numbers that cannot be mixed up.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Milliseconds: a duration, or a moment counted from an origin the caller chose (the daemon: its start; a replay: the recording's).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

/// Entries in the connection tracking table, or a limit on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Entries(pub u32);

/// Parts in a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permille(pub u16);

/// Kibibytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kib(pub u32);

impl Millis {
    /// So many whole seconds.
    pub const fn seconds(s: u64) -> Self {
        Self(s * 1000)
    }
    /// The time from `earlier` to `self`; zero if `earlier` is later.
    #[inline(never)] // on MIPS 64 bits are worth a call: 0.5 KB, and as much below
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
    /// `self` moved on by `span`.
    #[inline(never)]
    pub const fn after(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Entries {
    /// `self` as a share of `whole`, in permille, rounded down; 1000 and above when `whole` is passed. An empty whole is full.
    #[inline(never)]
    pub const fn share_of(self, whole: Self) -> Permille {
        if whole.0 == 0 {
            return Permille(1000);
        }
        let p = self.0 as u64 * 1000 / whole.0 as u64;
        Permille(if p > u16::MAX as u64 { u16::MAX } else { p as u16 })
    }
    /// `part` of `self`, rounded down.
    pub const fn part(self, part: Permille) -> Self {
        Self((self.0 as u64 * part.0 as u64 / 1000) as u32)
    }
    /// `self` less `other`, not below zero.
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Millis {
    /// Seconds with three decimals: `12.345 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1000, self.0 % 1000)
    }
}

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Permille {
    /// Percent with one decimal: `85.0 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} %", self.0 / 10, self.0 % 10)
    }
}

impl fmt::Display for Kib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB", self.0)
    }
}
