//! RAM, board, entry cost → max and buckets.

use crate::units::{Entries, Kib, Permille};

/// The `sizing` section of the config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// A fixed max; `None` is `auto`.
    pub max: Option<Entries>,
    /// Share of the RAM left after the board's reserve that the table may take when full.
    pub ram_percent: Permille,
    /// Memory that must stay available when growing.
    pub reserve: Kib,
    /// Never size below this.
    pub floor: Entries,
    /// Never size above this.
    pub ceiling: Entries,
    /// Fixed number of buckets; `None` is `auto`.
    pub buckets: Option<Entries>,
    /// Also lower a max that the user or the system set higher.
    pub enforce: bool,
}
