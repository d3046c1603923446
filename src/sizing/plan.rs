//! The size to set at start, and why.

use super::{CeilingOf, KEEP_PER_BUCKET, MAX_PER_BUCKET, NO_LIMIT, Policy, Step, may_resize, page_of};
use crate::board::{self, Board};
use crate::observe::memory::EntryCost;
use crate::units::{Entries, Kib, Permille};
use heapless::Vec;

/// The machine to size for.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// `MemTotal`; zero where it could not be read.
    pub mem_total: Kib,
    /// `MemAvailable`.
    pub mem_available: Kib,
    /// What an entry costs.
    pub cost: EntryCost,
    /// Bytes of a pointer of the *kernel* (an armv7 program may run on a 64-bit one): 4 or 8.
    pub pointer: u32,
    /// The board, where it is listed or known by its radios.
    pub board: Option<Board>,
}

/// The limits in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Max.
    pub max: Entries,
    /// Buckets, where they could be read.
    pub buckets: Option<Entries>,
    /// Entries now.
    pub count: Entries,
}

/// More steps than any plan has (a test proves it); a further one would be left out, the numbers stay right.
pub const MAX_STEPS: usize = 24;

/// What to set, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Max as it should be.
    pub max: Entries,
    /// Buckets as they should be; as they are where a resize must wait.
    pub buckets: Entries,
    /// Max to write; `None` if it is so already.
    pub set_max: Option<Entries>,
    /// Buckets to write, before max where max rises; `None` if they are so already, or must wait.
    pub set_buckets: Option<Entries>,
    /// What the full table and its buckets cost.
    pub cost: Kib,
    /// Every number's explanation.
    pub steps: Vec<Step, MAX_STEPS>,
}

/// On 32 bits the kernel maps about so much RAM for itself (ARM, with the usual split; MIPS has 448 MB). Slabs come from there.
const LOW_MEMORY: Kib = Kib(760 * 1024);

/// The size for `machine` under `policy`. `found` is `None` while there is no table (module not loaded): then both
/// values are to be set once it appears.
pub fn plan(machine: &Machine, policy: &Policy, found: Option<&Found>) -> Plan {
    plan_beside(None, machine, policy, found)
}

/// The same beside a max that a sysctl file of the owner's sets at boot: it is not lowered either, in force or not (files
/// that were applied before the module was loaded are lost).
pub fn plan_beside(file: Option<Entries>, machine: &Machine, policy: &Policy, found: Option<&Found>) -> Plan {
    let pointer = if machine.pointer <= 4 { 4 } else { 8 };
    let page = page_of(pointer);
    let mut steps = Steps(Vec::new());
    let computed = compute(machine, policy, pointer, &mut steps);
    let mut max = settle(machine, policy, found, computed, &mut steps);
    if let Some(file) = file.filter(|file| limits(*file) && file.0 > max && !policy.enforce) {
        max = file.0;
        steps.push(Step::FileKept(file));
    }
    if max < page {
        max = page;
        steps.push(Step::WholePage(Entries(max)));
    }

    let known = found.and_then(|f| f.buckets).map(|b| b.0).filter(|&b| b > 0);
    let want = buckets(max, known, policy.buckets.map(|b| b.0), page, &mut steps);
    let mut set_buckets = known != Some(want);
    let mut buckets = want;
    if let Some(found) = found {
        match known {
            None => {
                set_buckets = false;
                steps.push(Step::BucketsUnknown);
            }
            Some(known) if set_buckets && !may_resize(found.count, Entries(known)) => {
                (set_buckets, buckets) = (false, known);
                steps.push(Step::BucketsLater { want: Entries(want), count: found.count });
                let most = known.saturating_mul(MAX_PER_BUCKET);
                let kept = if limits(found.max) { found.max.0.min(max) } else { 0 };
                if max > most.max(kept) {
                    max = most.max(kept);
                    steps.push(Step::Chains(Entries(max)));
                }
            }
            Some(_) => {}
        }
    }

    let entries = kib_up(max as u64 * machine.cost.bytes as u64);
    let slots = kib_up(buckets as u64 * pointer as u64);
    let cost = Kib(entries.0.saturating_add(slots.0));
    let of_ram =
        if machine.mem_total.0 == 0 { Permille(0) } else { Entries(cost.0).share_of(Entries(machine.mem_total.0)) };
    steps.push(Step::Cost { entries, buckets: slots, of_ram });
    let held = kib_up(found.map_or(0, |f| f.count.0) as u64 * machine.cost.bytes as u64);
    let room = machine.mem_available.0.saturating_sub(policy.reserve.0);
    if machine.mem_total.0 > 0 && entries.0.saturating_sub(held.0) > room {
        steps.push(Step::Tight { room: Kib(room) });
    }

    Plan {
        max: Entries(max),
        buckets: Entries(buckets),
        set_max: (found.map(|f| f.max) != Some(Entries(max))).then_some(Entries(max)),
        set_buckets: set_buckets.then_some(Entries(buckets)),
        cost,
        steps: steps.0,
    }
}

struct Steps(Vec<Step, MAX_STEPS>);

impl Steps {
    fn push(&mut self, step: Step) {
        // Full: left out. Explanations never decide.
        let _ = self.0.push(step);
    }
}

/// What the RAM says, clamped; or what the config fixes. `None` where the RAM is not known.
fn compute(machine: &Machine, policy: &Policy, pointer: u32, steps: &mut Steps) -> Option<u32> {
    if let Some(max) = policy.max {
        steps.push(Step::Fixed(max));
        return Some(max.0.min(NO_LIMIT.0));
    }
    if machine.mem_total.0 == 0 {
        steps.push(Step::RamUnknown);
        return None;
    }
    steps.push(Step::Ram(machine.mem_total));
    let class = board::by_ram(machine.mem_total);
    let mut ram = machine.mem_total;
    if pointer == 4 && ram > LOW_MEMORY {
        ram = LOW_MEMORY;
        steps.push(Step::LowMemory(ram));
    }
    let system = board::system_reserve(ram);
    steps.push(Step::System { class: class.name, part: system });
    let mut spare = ram.0.saturating_sub(system.0);
    let of_board = machine.board.map(|b| b.class);
    for take in of_board.map_or(&[][..], |c| c.takes) {
        spare = spare.saturating_sub(take.kib.0);
        let name = of_board.map_or("", |c| c.name);
        steps.push(Step::Taken { class: name, what: take.what, kib: take.kib, source: take.source });
    }
    steps.push(Step::Spare(Kib(spare)));
    let percent = Permille(policy.ram_percent.0.min(1000));
    let share = Entries(spare).part(percent).0;
    steps.push(Step::Share { percent, kib: Kib(share) });
    let cost = machine.cost;
    steps.push(Step::EntryCost { bytes: cost.bytes, bucket: pointer, measured: cost.measured });
    let raw = share as u64 * 1024 / (cost.bytes as u64 + pointer as u64);
    let raw = if raw > u32::MAX as u64 { u32::MAX } else { raw as u32 };
    steps.push(Step::Raw(Entries(raw)));

    let (ceiling, of) = ceiling(machine, policy);
    // A floor above the ceiling is no floor: the ceiling is what the memory bears.
    let floor = policy.floor.0.min(ceiling);
    if raw > ceiling {
        steps.push(Step::Ceiling { to: Entries(ceiling), of });
        Some(ceiling)
    } else if raw < floor {
        steps.push(Step::Floor(Entries(floor)));
        if floor < policy.floor.0 {
            steps.push(Step::Ceiling { to: Entries(ceiling), of });
        }
        Some(floor)
    } else {
        Some(raw)
    }
}

/// The lowest ceiling there is.
fn ceiling(machine: &Machine, policy: &Policy) -> (u32, CeilingOf) {
    let class = board::by_ram(machine.mem_total);
    let mut lowest = (policy.ceiling.0.min(NO_LIMIT.0), CeilingOf::Policy);
    // Not known is not little.
    let known = machine.mem_total.0 > 0;
    let of_ram = class.ceiling.filter(|_| known).map(|most| (most.0, CeilingOf::Board(class.name)));
    let of_board = machine.board.and_then(|b| b.class.ceiling.map(|most| (most.0, b.class.name)));
    for known in [of_ram, of_board.map(|(most, name)| (most, CeilingOf::Board(name)))].into_iter().flatten() {
        if known.0 < lowest.0 {
            lowest = known;
        }
    }
    lowest
}

/// A max that limits anything: 0 meant unlimited on old kernels.
fn limits(max: Entries) -> bool {
    max.0 > 0 && max <= NO_LIMIT
}

/// Never below what is set already, unless told to.
fn settle(m: &Machine, policy: &Policy, found: Option<&Found>, computed: Option<u32>, steps: &mut Steps) -> u32 {
    let Some(found) = found else {
        return computed.unwrap_or(policy.floor.0.min(ceiling(m, policy).0));
    };
    if !limits(found.max) {
        steps.push(Step::FoundUnlimited);
        return computed.unwrap_or(policy.floor.0.min(ceiling(m, policy).0));
    }
    match computed {
        Some(max) if max >= found.max.0 => max,
        Some(max) if policy.enforce => {
            steps.push(Step::FoundLowered(found.max));
            max
        }
        _ => {
            steps.push(Step::FoundKept(found.max));
            found.max.0
        }
    }
}

/// Buckets for `max`, such that buckets ≤ max ≤ 8 × buckets. `max` is a page at least.
fn buckets(max: u32, found: Option<u32>, fixed: Option<u32>, page: u32, steps: &mut Steps) -> u32 {
    // Sparse (more buckets than entries), the kernel's early drop, which looks at 8 buckets, finds nobody to evict:
    // 6,000 unanswered flows against max 1,024 were refused 4,687 times with 262,144 buckets, never with 1,024 (measured).
    let most = whole_pages_down(max, page);
    let least = whole_pages_up(max.div_ceil(MAX_PER_BUCKET), page);
    if let Some(fixed) = fixed {
        let rounded = whole_pages_up(fixed, page);
        let fits = rounded.clamp(least, most);
        steps.push(match fits == rounded {
            true => Step::BucketsFixed(Entries(fits)),
            false => Step::BucketsForMax(Entries(fits)),
        });
        return fits;
    }
    match found {
        Some(found) if found <= max && max <= found.saturating_mul(KEEP_PER_BUCKET) => {
            steps.push(Step::BucketsKept(Entries(found)));
            found
        }
        _ => {
            steps.push(Step::BucketsDense(Entries(most)));
            most
        }
    }
}

fn whole_pages_down(n: u32, page: u32) -> u32 {
    n - n % page
}

fn whole_pages_up(n: u32, page: u32) -> u32 {
    n.clamp(1, NO_LIMIT.0).div_ceil(page) * page
}

/// Bytes in KiB, rounded up.
fn kib_up(bytes: u64) -> Kib {
    let kib = bytes.div_ceil(1024);
    Kib(if kib > u32::MAX as u64 { u32::MAX } else { kib as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::by_name;

    /// A 128 MB router on 32 bits, on a board not listed.
    fn machine() -> Machine {
        let cost = EntryCost::ASSUMED;
        Machine { mem_total: Kib(124_260), mem_available: Kib(51_428), cost, pointer: 4, board: None }
    }

    fn found(max: u32, buckets: u32) -> Found {
        Found { max: Entries(max), buckets: Some(Entries(buckets)), count: Entries(40) }
    }

    fn has(plan: &Plan, step: Step) -> bool {
        plan.steps.contains(&step)
    }

    /// Every number of the way, by hand: 124,260 − 55,296 = 68,964; 12 % = 8,275 KiB; / (384 + 4) = 21,839.
    #[test]
    fn each_step_says_its_number() {
        let plan = plan(&machine(), &Policy::DEFAULT, Some(&found(15_360, 15_360)));
        let cost = Step::Cost { entries: Kib(8_190), buckets: Kib(60), of_ram: Permille(66) };
        let expected = [
            Step::Ram(Kib(124_260)),
            Step::System { class: "ram-128", part: Kib(55_296) },
            Step::Spare(Kib(68_964)),
            Step::Share { percent: Permille(120), kib: Kib(8_275) },
            Step::EntryCost { bytes: 384, bucket: 4, measured: false },
            Step::Raw(Entries(21_839)),
            Step::BucketsKept(Entries(15_360)),
            cost,
        ];
        assert_eq!(plan.steps, expected);
        assert_eq!((plan.set_max, plan.set_buckets), (Some(Entries(21_839)), None));
    }

    #[test]
    fn what_radios_take_is_not_the_tables() {
        let board = by_name("tplink,archer-c7-v2");
        let plan = plan(&Machine { board, ..machine() }, &Policy::DEFAULT, None);
        assert!(has(&plan, Step::Spare(Kib(68_964 - 17 * 1024))));
        assert_eq!(plan.max, Entries(16_325));
    }

    #[test]
    fn a_file_of_the_owners_counts_as_set() {
        let found = found(15_360, 15_360);
        let beside = |file, enforce| {
            let policy = Policy { enforce, ..Policy::DEFAULT };
            plan_beside(Some(Entries(file)), &machine(), &policy, Some(&found))
        };
        let kept = beside(65_536, false);
        assert_eq!(kept.set_max, Some(Entries(65_536)));
        assert!(has(&kept, Step::FileKept(Entries(65_536))));
        for (file, enforce) in [(16_384, false), (65_536, true), (0, false), (u32::MAX, false)] {
            assert_eq!(beside(file, enforce).max, Entries(21_839), "{file} {enforce}");
        }
    }

    /// The user or the system knows better, unless told otherwise.
    #[test]
    fn never_below_what_is_set_already() {
        let high = found(65_536, 16_384);
        let kept = plan(&machine(), &Policy::DEFAULT, Some(&high));
        assert_eq!((kept.max, kept.set_max), (Entries(65_536), None));
        assert!(has(&kept, Step::FoundKept(Entries(65_536))));
        let enforced = plan(&machine(), &Policy { enforce: true, ..Policy::DEFAULT }, Some(&high));
        assert_eq!(enforced.set_max, Some(Entries(21_839)));
        assert!(has(&enforced, Step::FoundLowered(Entries(65_536))));
    }

    #[test]
    fn no_reading_lowers_nothing() {
        let blind = Machine { mem_total: Kib(0), mem_available: Kib(0), ..machine() };
        let plan = plan(&blind, &Policy { enforce: true, ..Policy::DEFAULT }, Some(&found(65_536, 65_536)));
        assert_eq!((plan.set_max, plan.set_buckets), (None, None));
        assert!(has(&plan, Step::RamUnknown));
        assert_eq!(super::plan(&blind, &Policy::DEFAULT, None).max, Policy::DEFAULT.floor);
    }

    /// A sparse table finds nobody to evict, whoever made it so.
    #[test]
    fn more_buckets_than_entries_are_taken_back() {
        let plan = plan(&machine(), &Policy::DEFAULT, Some(&found(16_384, 65_536)));
        assert_eq!(plan.set_buckets, Some(Entries(21 * 1_024)));
    }

    #[test]
    fn a_resize_waits_for_an_empty_table_and_max_with_it() {
        let busy = Found { count: Entries(1_900), ..found(2_048, 1_024) };
        let plan = plan(&machine(), &Policy::DEFAULT, Some(&busy));
        assert_eq!((plan.set_buckets, plan.buckets), (None, Entries(1_024)));
        assert_eq!(plan.set_max, Some(Entries(8_192)));
        assert!(has(&plan, Step::BucketsLater { want: Entries(21_504), count: Entries(1_900) }));
        assert!(has(&plan, Step::Chains(Entries(8_192))));
    }

    /// 512 is the smallest of tables where a page holds 512 buckets; on 32 bits a page holds 1,024.
    #[test]
    fn a_fixed_max_is_taken_as_it_is_but_not_below_a_page_of_buckets() {
        let policy = Policy { max: Some(Entries(512)), ..Policy::DEFAULT };
        let wide = Machine { pointer: 8, ..machine() };
        assert_eq!(plan(&wide, &policy, None).max, Entries(512));
        let narrow = plan(&machine(), &policy, None);
        assert_eq!((narrow.max, narrow.buckets), (Entries(1_024), Entries(1_024)));
        let above_ceiling = Policy { max: Some(Entries(500_000)), ..Policy::DEFAULT };
        assert_eq!(plan(&machine(), &above_ceiling, None).max, Entries(500_000));
    }

    #[test]
    fn fixed_buckets_bend_to_max() {
        let with = |b| plan(&machine(), &Policy { buckets: Some(Entries(b)), ..Policy::DEFAULT }, None).buckets;
        assert_eq!(with(4_000), Entries(4_096));
        assert_eq!(with(1), Entries(3 * 1_024));
        assert_eq!(with(u32::MAX), Entries(21 * 1_024));
    }

    #[test]
    fn unlimited_is_no_limit_to_keep() {
        for none in [0, u32::MAX] {
            let plan = plan(&machine(), &Policy::DEFAULT, Some(&found(none, 16_384)));
            assert_eq!(plan.set_max, Some(Entries(21_839)));
            assert!(has(&plan, Step::FoundUnlimited));
        }
    }

    #[test]
    fn a_ram_class_may_know_a_ceiling() {
        let small = Machine { mem_total: Kib(28_616), mem_available: Kib(9_000), ..machine() };
        let plan = plan(&small, &Policy::DEFAULT, None);
        assert_eq!(plan.max, Entries(4_096));
        assert!(has(&plan, Step::Ceiling { to: Entries(4_096), of: CeilingOf::Board("ram-32") }));
    }

    #[test]
    fn a_table_that_would_not_fit_now_is_said_to_be_tight() {
        let full = Machine { mem_available: Kib(9_192), ..machine() };
        assert!(has(&plan(&full, &Policy::DEFAULT, None), Step::Tight { room: Kib(1_000) }));
        // What is in the table already is paid for.
        let held = Found { count: Entries(20_000), ..found(21_839, 21_504) };
        assert!(!has(&plan(&full, &Policy::DEFAULT, Some(&held)), Step::Tight { room: Kib(1_000) }));
    }
}
