//! The clock, in microseconds: std's, with its nanoseconds and its checks, is 0.8 KB on MIPS.

use ctwarden::units::Millis;
use nix::time::{ClockId, clock_gettime};

/// A moment; only the time between two means something. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Moment(u64);

impl Moment {
    pub fn now() -> Self {
        // Every Linux has this clock.
        let (s, ns) = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or((0, 0), |t| (t.tv_sec(), t.tv_nsec()));
        Self(s as u64 * 1_000_000 + ns as u64 / 1000)
    }

    pub const fn after_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Microseconds from it to now.
    pub fn us_ago(self) -> u64 {
        Self::now().0.saturating_sub(self.0)
    }

    /// Microseconds from now to it, where somebody waits for it.
    #[cfg_attr(not(feature = "iptables"), allow(dead_code))]
    pub fn us_ahead(self) -> u64 {
        self.0.saturating_sub(Self::now().0)
    }

    /// The time from it to now.
    pub fn ago(self) -> Millis {
        Millis(self.us_ago() / 1000)
    }
}
