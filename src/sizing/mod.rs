//! RAM, board, entry cost → max and buckets.
//!
//! ```text
//! MemTotal ─ what the system takes ─ what the board takes = spare      [`board`]
//! spare × ram_percent / (entry + one bucket) = raw                     [`plan`]
//! raw, clamped to floor and ceiling, but never below what is set already = max
//! buckets: whole pages, buckets ≤ max ≤ 8 × buckets
//!
//! later, in need: [`grow_step`]
//! ```
//!
//! [`board`]: crate::board

mod grow;
mod plan;

pub use grow::{Grow, Limit, Refusal, Table, grow_step};
pub use plan::{Found, MAX_STEPS, Machine, Plan, plan, plan_beside};
mod step;
pub use step::{CeilingOf, Step};

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

impl Policy {
    /// What holds where the config says nothing. The table it makes of RAM is in `docs/sizing.md`.
    ///
    /// - `ram_percent` 12 %: of what the system, radios and offload leave. A full table then takes 7 % of all RAM at
    ///   128 MB and 9 % at 256 MB: an owner does not miss it, and 256 MB carry about 60,000 flows, 1 GB 262,144.
    /// - `floor` 8,192: what OpenWrt's own kernel sets at 64 MB (RAM / 2048 / pointer, in whole pages). Twelve percent
    ///   of the little that 64 MB leave would be half of that, and a table so small is filled by one host with a
    ///   file-sharing program. Full, it takes 3 MB.
    /// - `ceiling` 262,144: the largest that a kernel gives itself, whatever the RAM, and as far as anything here was
    ///   measured. Full, 100 MB; looking through all of it takes 0.5 s on a PC, 20 times that on a weak router.
    /// - `reserve` 8 MiB, assumed: what a package update or a burst of daemons (a reload of everything) wants at once.
    ///   `MemAvailable` is already less the kernel's watermarks, so this is memory that can really be had.
    pub const DEFAULT: Policy = Policy {
        max: None,
        ram_percent: Permille(120),
        reserve: Kib(8 * 1024),
        floor: Entries(8_192),
        ceiling: Entries(262_144),
        buckets: None,
        enforce: false,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Most entries a bucket: above 16 new flows are lost to the kernel's chain limit (measured: 30 a bucket lose 7 %,
/// 38 lose 40 %); half of it, since buckets fill unevenly.
pub const MAX_PER_BUCKET: u32 = 8;

/// Most entries a bucket at which buckets found are left alone: the ratio that kernels before 5.15 set by themselves.
/// It leaves the table room to double before chains limit it.
pub const KEEP_PER_BUCKET: u32 = 4;

/// Above this a max is no limit: half of what the kernel's `int` holds, so that sums here stay inside 32 bits.
pub const NO_LIMIT: Entries = Entries(1 << 30);

/// The kernel rounds buckets up to whole pages of pointers (`nf_ct_alloc_hashtable`): 1,024 on 32 bits, 512 on 64,
/// with the 4 KiB pages that routers have.
const PAGE_BYTES: u32 = 4096;

/// Buckets that one page holds, for a kernel with pointers of `pointer` bytes.
const fn page_of(pointer: u32) -> u32 {
    PAGE_BYTES / pointer
}

/// A resize of the buckets now does no harm that anyone sees. It stops all packets on its CPU while it walks the old
/// buckets and rehashes every entry: 0.4 µs an entry on a PC (100 ms at 250,000, measured), 20 times that on a weak
/// router core, so 1,024 entries are at most 8 ms. 262,144 empty buckets took 13 to 27 ms (measured, memory for the new
/// ones included); who has more than twice that waits for a restart.
pub const fn may_resize(count: Entries, buckets: Entries) -> bool {
    count.0 <= 1_024 && buckets.0 <= 524_288
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_come_in_pages_of_pointers() {
        assert_eq!((page_of(4), page_of(8)), (1_024, 512));
    }

    /// 100 ms at 250,000 entries is what must never happen; a table at its start is what it is for.
    #[test]
    fn a_table_is_resized_only_while_it_is_nearly_empty() {
        assert!(may_resize(Entries(0), Entries(16_384)));
        assert!(may_resize(Entries(1_024), Entries(262_144)));
        assert!(!may_resize(Entries(1_025), Entries(16_384)));
        assert!(!may_resize(Entries(250_000), Entries(262_144)));
        assert!(!may_resize(Entries(0), Entries(4 << 20)));
    }
}
