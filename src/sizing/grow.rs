//! The rung `grow`.

use super::{MAX_PER_BUCKET, NO_LIMIT};
use crate::observe::memory::EntryCost;
use crate::units::{Entries, Kib, Permille};

/// The table that is to grow, and what it may grow into.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Max now.
    pub max: Entries,
    /// Entries now.
    pub count: Entries,
    /// Buckets now.
    pub buckets: Entries,
    /// `MemAvailable` now.
    pub mem_available: Kib,
    /// Memory that must stay available (`Policy::reserve`).
    pub reserve: Kib,
    /// What an entry costs.
    pub cost: EntryCost,
    /// Never above this (`Policy::ceiling`).
    pub ceiling: Entries,
    /// The low mark: a step brings occupancy down to it, if it can.
    pub low: Permille,
}

/// What kept a step from being longer, or from being taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `MemAvailable` less the reserve pays for no more.
    Memory,
    /// 8 × buckets: longer chains lose flows.
    Chains,
    /// The config's or the board's ceiling.
    Ceiling,
}

impl Limit {
    /// The word for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Memory => "memory",
            Limit::Chains => "chains",
            Limit::Ceiling => "ceiling",
        }
    }
}

/// A step up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grow {
    /// From this max.
    pub from: Entries,
    /// To this one.
    pub to: Entries,
    /// What the entries from the count now to the new max cost, once they are there.
    pub cost: Kib,
    /// What kept it from being longer; `None` if it is as long as wanted.
    pub limited_by: Option<Limit>,
}

/// No step: what stands against it, and how far one could go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What stands against it.
    pub by: Limit,
    /// The max that this allows.
    pub most: Entries,
}

/// A gain below max / 16 is not worth a write, a journal record and a line in the log.
const LEAST_GAIN: u32 = 16;

/// The next step up: a quarter more, and at least what brings occupancy down to the low mark, so that nothing need be
/// evicted; less where memory, chains or the ceiling allow only that. What counts against memory is every entry above
/// the *count*: those between count and max are not paid for yet either.
pub fn grow_step(t: &Table) -> Result<Grow, Refusal> {
    let low = t.low.0.clamp(1, 1000) as u64;
    let for_low = (t.count.0 as u64 * 1000).div_ceil(low);
    let quarter = t.max.0 as u64 + t.max.0.div_ceil(4) as u64;
    let wanted = clip(for_low.max(quarter));

    let spare = t.mem_available.0.saturating_sub(t.reserve.0) as u64 * 1024;
    let paid = clip(t.count.0 as u64 + spare / t.cost.bytes.max(1) as u64);
    let limits = [
        (Limit::Ceiling, t.ceiling.0.min(NO_LIMIT.0)),
        (Limit::Chains, t.buckets.0.saturating_mul(MAX_PER_BUCKET)),
        (Limit::Memory, paid),
    ];
    let mut tightest = limits[0];
    for limit in limits {
        if limit.1 < tightest.1 {
            tightest = limit;
        }
    }
    let to = wanted.min(tightest.1);
    // max = 0 is none at all (unlimited, or not read): nothing to raise.
    if t.max.0 == 0 || to <= t.max.0 || to - t.max.0 < t.max.0 / LEAST_GAIN {
        return Err(Refusal { by: tightest.0, most: Entries(tightest.1) });
    }
    let cost = to.saturating_sub(t.count.0) as u64 * t.cost.bytes as u64 / 1024;
    Ok(Grow { from: t.max, to: Entries(to), cost: Kib(clip(cost)), limited_by: (to < wanted).then_some(tightest.0) })
}

fn clip(n: u64) -> u32 {
    if n > u32::MAX as u64 { u32::MAX } else { n as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 128 MB router at its high mark with room to grow.
    fn table() -> Table {
        Table {
            max: Entries(16_384),
            count: Entries(14_000),
            buckets: Entries(16_384),
            mem_available: Kib(40_000),
            reserve: Kib(8_192),
            cost: EntryCost::ASSUMED,
            ceiling: Entries(262_144),
            low: Permille(600),
        }
    }

    #[test]
    fn one_step_brings_occupancy_down_to_the_low_mark() {
        let step = grow_step(&table()).unwrap();
        assert_eq!((step.from, step.to, step.limited_by), (Entries(16_384), Entries(23_334), None));
        assert!(table().count.share_of(step.to) <= Permille(600));
        assert_eq!(step.cost, Kib((23_334 - 14_000) * 384 / 1024));
    }

    #[test]
    fn a_table_with_room_grows_by_a_quarter() {
        let step = grow_step(&Table { count: Entries(100), ..table() }).unwrap();
        assert_eq!(step.to, Entries(20_480));
    }

    /// Memory pays for 4,266 entries more than there are: as far as that, and no further.
    #[test]
    fn memory_shortens_a_step_and_then_refuses_it() {
        let step = grow_step(&Table { mem_available: Kib(8_192 + 1_600), ..table() }).unwrap();
        assert_eq!((step.to, step.limited_by), (Entries(14_000 + 4_266), Some(Limit::Memory)));
        assert!(step.cost <= Kib(1_600));
        // Entries up to max are not paid for yet: 2,384 of them cost 894 KiB.
        let poor = grow_step(&Table { mem_available: Kib(8_192 + 894), ..table() });
        assert_eq!(poor, Err(Refusal { by: Limit::Memory, most: Entries(16_384) }));
        // MemAvailable below the reserve, or not readable.
        assert_eq!(grow_step(&Table { mem_available: Kib(0), ..table() }).unwrap_err().by, Limit::Memory);
    }

    #[test]
    fn never_more_than_eight_entries_a_bucket() {
        let step = grow_step(&Table { buckets: Entries(2_560), ..table() }).unwrap();
        assert_eq!((step.to, step.limited_by), (Entries(20_480), Some(Limit::Chains)));
        let full = grow_step(&Table { buckets: Entries(2_048), ..table() });
        assert_eq!(full, Err(Refusal { by: Limit::Chains, most: Entries(16_384) }));
    }

    #[test]
    fn the_ceiling_stands_even_where_max_is_above_it_already() {
        let step = grow_step(&Table { ceiling: Entries(18_000), ..table() }).unwrap();
        assert_eq!((step.to, step.limited_by), (Entries(18_000), Some(Limit::Ceiling)));
        // 100 entries more are not worth it.
        let done = grow_step(&Table { ceiling: Entries(16_484), ..table() });
        assert_eq!(done, Err(Refusal { by: Limit::Ceiling, most: Entries(16_484) }));
        assert!(grow_step(&Table { ceiling: Entries(8_192), ..table() }).is_err());
    }

    #[test]
    fn no_max_is_nothing_to_raise() {
        assert!(grow_step(&Table { max: Entries(0), ..table() }).is_err());
    }
}
