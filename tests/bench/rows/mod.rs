//! One file a claim.

use std::path::PathBuf;

pub mod latency;
pub mod shed;
pub mod top;
pub mod trim;
pub mod trim_source;

/// Entries in the big table, the buckets they hang in, and a max that leaves them alone.
pub const ENTRIES: u32 = 250_000;
pub const BUCKETS: u32 = 262_144;
pub const ROOM: u32 = 400_000;

/// What a run is told.
pub struct Options {
    /// The ctwarden to measure.
    pub ctwarden: PathBuf,
    /// Rounds of every comparison.
    pub rounds: usize,
}
