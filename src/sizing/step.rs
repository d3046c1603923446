//! What a plan was made of, so that `ctwarden size` can explain every number.

use crate::board::What;
use crate::units::{Entries, Kib, Permille};

/// Whose ceiling it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CeilingOf {
    /// The config's.
    Policy,
    /// A RAM class's or a board class's, by name.
    Board(&'static str),
}

/// One step of a plan, in the order in which they were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `MemTotal`.
    Ram(Kib),
    /// `MemTotal` could not be read: nothing is computed from it, and nothing lowered.
    RamUnknown,
    /// On 32 bits the table lives in low memory: only so much of the RAM counts.
    LowMemory(Kib),
    /// What the system itself takes, by RAM class; `part` is less than the class says just above the border of two.
    System {
        /// The class.
        class: &'static str,
        /// What is taken off.
        part: Kib,
    },
    /// What something on this board takes, with the source of the number.
    Taken {
        /// The board's class.
        class: &'static str,
        /// Who takes it.
        what: What,
        /// What is taken off.
        kib: Kib,
        /// Where the number comes from.
        source: &'static str,
    },
    /// What is left.
    Spare(Kib),
    /// The table's share of it.
    Share {
        /// `ram_percent`.
        percent: Permille,
        /// The share.
        kib: Kib,
    },
    /// What one entry costs.
    EntryCost {
        /// Bytes of an entry.
        bytes: u32,
        /// Bytes of the one bucket that goes with it.
        bucket: u32,
        /// The entry's were read from `/proc/slabinfo`, not assumed.
        measured: bool,
    },
    /// Share / cost.
    Raw(Entries),
    /// The config fixes max.
    Fixed(Entries),
    /// Raised to the floor.
    Floor(Entries),
    /// Lowered to a ceiling.
    Ceiling {
        /// To this.
        to: Entries,
        /// Whose it was.
        of: CeilingOf,
    },
    /// The user or the system has set more: kept.
    FoundKept(Entries),
    /// The user or the system has set more, and the config says `enforce`: lowered.
    FoundLowered(Entries),
    /// A sysctl file sets more at boot: kept.
    FileKept(Entries),
    /// What was found is no limit at all (0, or more than any machine holds): it counts as not set.
    FoundUnlimited,
    /// Raised: buckets come in whole pages and must not be more than max.
    WholePage(Entries),
    /// Buckets as found: they fit.
    BucketsKept(Entries),
    /// Buckets as the config says, in whole pages.
    BucketsFixed(Entries),
    /// Buckets as many as max, in whole pages: a dense table heals itself of unanswered floods.
    BucketsDense(Entries),
    /// What was wanted does not fit buckets ≤ max ≤ 8 × buckets: the nearest that does.
    BucketsForMax(Entries),
    /// How many buckets there are could not be read: they are left alone.
    BucketsUnknown,
    /// A resize would stop packets while so many entries are there: later.
    BucketsLater {
        /// Buckets wanted.
        want: Entries,
        /// Entries now.
        count: Entries,
    },
    /// Lowered to 8 × the buckets that must stay for now.
    Chains(Entries),
    /// What it costs.
    Cost {
        /// All entries.
        entries: Kib,
        /// The buckets.
        buckets: Kib,
        /// Both, as a share of `MemTotal`.
        of_ram: Permille,
    },
    /// Full, the table would take more than is available now less the reserve.
    Tight {
        /// `MemAvailable` less the reserve.
        room: Kib,
    },
}
