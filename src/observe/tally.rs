//! A count of entries read → what it says of the table: its share, and how far off that may be.
//!
//! The standard error is √(p(1−p)/n), times √((N−n)/(N−1)), since no entry is drawn twice: with the whole table read there is none.

use crate::units::Entries;
use core::fmt;

/// Hundredths of a percent: 10000 is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(pub u16);

impl fmt::Display for Share {
    /// `12.34 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}

/// What the census rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Every entry was read.
    Exact,
    /// The first `read` of about `of` entries were read.
    Sample {
        /// Entries read.
        read: Entries,
        /// Entries in the table then.
        of: Entries,
    },
}

/// A count, and what it says of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Entries counted.
    pub count: u32,
    /// Their share of what was read, and so the estimate of their share of the table.
    pub share: Share,
    /// The standard error of the share, rounded up; zero in an exact census.
    pub standard_error: Share,
    /// Entries of the table, estimated.
    pub entries: Entries,
}

impl Tally {
    /// What `count` of `read` entries say of the table; `of` is how large that is where not all of it was read.
    pub fn of(count: u32, read: u32, of: Option<u32>) -> Tally {
        let read = read.max(1) as u64;
        let share = ((count as u64 * 10_000 + read / 2) / read).min(10_000);
        let Some(of) = of else {
            return Tally { count, share: Share(share as u16), standard_error: Share(0), entries: Entries(count) };
        };
        let of = (of as u64).max(read);
        let entries = (count as u64 * of + read / 2) / read;
        Tally {
            count,
            share: Share(share as u16),
            standard_error: standard_error(count as u64, read, of),
            entries: Entries(u32::try_from(entries).unwrap_or(u32::MAX)),
        }
    }
}

/// √(p(1−p)/n · (N−n)/(N−1)), in parts of a million up to the last step: the products fit into 64 bits (0.25·10¹² · 10⁶).
fn standard_error(count: u64, n: u64, of: u64) -> Share {
    const MILLION: u64 = 1_000_000;
    let p = (count * MILLION / n).min(MILLION);
    let left_out = (of - n) * MILLION / (of - 1).max(1);
    let variance = (p * (MILLION - p) * left_out).div_ceil(MILLION).div_ceil(n);
    Share(ceil_sqrt(variance).div_ceil(100).min(10_000) as u16)
}

fn ceil_sqrt(n: u64) -> u64 {
    let root = n.isqrt();
    root + (root * root < n) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the measured sample: 4,096 of 250,000 said 30.0 %; standard error √(0.3·0.7/4096) = 0.716 %.
    #[test]
    fn a_sample_states_its_error() {
        let of = |n| Tally::of(1229, 4096, Some(n));
        let t = of(250_000);
        assert_eq!((t.share, t.standard_error, t.entries), (Share(3000), Share(72), Entries(75_012)));
        assert_eq!(of(8192).standard_error, Share(51), "half of the table read: √½ of the error");
        assert_eq!(of(4096).standard_error, Share(0), "all of it read");
        assert_eq!(of(10), of(4096), "the table shrank meanwhile");
        assert_eq!(Tally::of(0, 4096, Some(250_000)).standard_error, Share(0));
    }

    #[test]
    fn the_ends_of_the_range() {
        let nothing = Tally { count: 0, share: Share(0), standard_error: Share(0), entries: Entries(0) };
        assert_eq!(Tally::of(0, 0, None), nothing);
        assert_eq!(Tally::of(0, 0, Some(0)), nothing);
        let t = Tally::of(u32::MAX, u32::MAX, Some(u32::MAX));
        assert_eq!((t.share, t.standard_error, t.entries), (Share(10_000), Share(0), Entries(u32::MAX)));
        let t = Tally::of(1, 1, Some(u32::MAX));
        assert_eq!((t.share, t.entries), (Share(10_000), Entries(u32::MAX)));
        assert_eq!(Tally::of(u32::MAX, 1, None).share, Share(10_000));
        assert_eq!(Tally::of(2, 3, None).share, Share(6667));
    }
}
