//! Sizing over all machines: the table an owner can read (`tests/sizing/expected`, made anew with `UPDATE=1`), and what
//! must hold whatever the numbers.

#[allow(dead_code)]
#[path = "../build.rs"]
mod build_script;

use ctwarden::board;
use ctwarden::observe::memory::EntryCost;
use ctwarden::sizing::{Found, Grow, MAX_STEPS, Machine, Plan, Policy, Step, Table, grow_step, plan};
use ctwarden::units::{Entries, Kib, Permille};
use proptest::prelude::*;
use std::fmt::Write as _;

mod expected;

fn machine(mem_total: u32, pointer: u32, board: &str) -> Machine {
    let cost = EntryCost::ASSUMED;
    let board = board::by_name(board);
    Machine { mem_total: Kib(mem_total), mem_available: Kib(mem_total / 2), cost, pointer, board }
}

/// MiB with one decimal, rounded to the nearest.
fn mib(kib: u32) -> String {
    let tenths = (kib as u64 * 10 + 512) / 1024;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn row(out: &mut String, name: &str, m: &Machine) {
    let p = plan(m, &Policy::DEFAULT, None);
    let system = board::system_reserve(m.mem_total).0;
    let takes = m.board.map_or(0, |b| b.class.burden.reserve().0);
    let share = Entries(p.cost.0).share_of(Entries(m.mem_total.0));
    let _ = writeln!(
        out,
        "{name:<28} {:>8} {:>7} {:>7} {:>8} {:>8} {:>9} {:>7}",
        mib(m.mem_total.0),
        mib(system),
        mib(takes),
        p.max.0,
        p.buckets.0,
        mib(p.cost.0),
        share.to_string(),
    );
}

const HEAD: &str = "                             MemTotal  system  radios      max  buckets  full, MiB  of RAM\n";

/// What each amount of RAM and each board gets under the default policy, where nothing is set yet.
#[test]
fn the_table_for_owners() {
    let mut out = String::from("RAM, board not listed\n");
    out += HEAD;
    // MemTotal as such routers show it: 28,616 an RT5350, 124,260 an Archer C7 v4, 238,100 an MT7981 board, 511,960 a
    // WRT3200ACM; the others about 2 % below the nominal size.
    for (name, mem_total, pointer) in [
        ("32 MB, 32-bit", 28_616, 4),
        ("64 MB, 32-bit", 59_800, 4),
        ("128 MB, 32-bit", 124_260, 4),
        ("256 MB, 32-bit", 250_000, 4),
        ("256 MB, 64-bit", 238_100, 8),
        ("512 MB, 32-bit", 511_960, 4),
        ("512 MB, 64-bit", 500_000, 8),
        ("1 GB, 32-bit", 1_022_000, 4),
        ("1 GB, 64-bit", 1_010_000, 8),
        ("2 GB, 64-bit", 2_040_000, 8),
    ] {
        row(&mut out, name, &machine(mem_total, pointer, ""));
    }
    out += "\nboards\n";
    out += HEAD;
    // Their RAM stands here and not in board/: a router reads its own.
    for (board, mem_total, pointer) in [
        ("glinet,gl-ar750", 124_260, 4),
        ("tplink,archer-c7-v2", 124_260, 4),
        ("mikrotik,wap-r-ac", 117_400, 4),
        ("xiaomi,mi-router-4a-gigabit", 121_800, 4),
        ("xiaomi,ax3600", 415_980, 8),
        ("netgear,r7800", 480_000, 4),
        ("linksys,wrt3200acm", 511_960, 4),
        ("raspberrypi,4-model-b", 1_010_000, 8),
        ("bananapi,bpi-r3", 2_040_000, 8),
        ("pc-engines-apu2", 2_040_000, 8),
    ] {
        assert!(board::by_name(board).is_some(), "{board}");
        row(&mut out, board, &machine(mem_total, pointer, board));
    }
    out += "\nstep by step: a WRT3200ACM whose kernel set 65,536, 900 entries in it\n";
    let found = Found { max: Entries(65_536), buckets: Some(Entries(65_536)), count: Entries(900) };
    let p = plan(&machine(511_960, 4, "linksys,wrt3200acm"), &Policy::DEFAULT, Some(&found));
    for step in &p.steps {
        let _ = writeln!(out, "  {step:?}");
    }
    let _ = writeln!(out, "  write max {:?}, buckets {:?}", p.set_max, p.set_buckets);
    expected::same("sizing/expected", &out);
}

/// RAM from nothing to absurd, mostly as routers have it.
fn kib() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 8_000..4_000_000u32, 1 => any::<u32>()]
}

fn entries() -> impl Strategy<Value = Entries> {
    prop_oneof![6 => 0..2_000_000u32, 1 => any::<u32>()].prop_map(Entries)
}

prop_compose! {
    fn machines()(
        mem_total in kib(), mem_available in kib(), pointer in prop_oneof![Just(4u32), Just(8), any::<u32>()],
        bytes in prop_oneof![4 => 200..1_000u32, 1 => any::<u32>()], measured: bool, board in 0..=board::ALL.len(),
    ) -> Machine {
        let cost = EntryCost { bytes, measured };
        Machine { mem_total: Kib(mem_total), mem_available: Kib(mem_available), cost, pointer, board: board::ALL.get(board) }
    }
}

prop_compose! {
    fn policies()(
        max in prop::option::weighted(0.2, entries()), ram_percent in prop_oneof![4 => 0..=1000u16, 1 => any::<u16>()],
        reserve in kib(), floor in entries(), ceiling in entries(), buckets in prop::option::weighted(0.3, entries()),
        enforce: bool,
    ) -> Policy {
        Policy { max, ram_percent: Permille(ram_percent), reserve: Kib(reserve), floor, ceiling, buckets, enforce }
    }
}

prop_compose! {
    fn founds()(max in entries(), buckets in prop::option::weighted(0.9, entries()), count in entries()) -> Found {
        Found { max, buckets, count }
    }
}

fn says(plan: &Plan, what: impl Fn(&Step) -> bool) -> bool {
    plan.steps.iter().any(what)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is read and configured: no panic, every step has room, and buckets fit max unless the steps say why not.
    #[test]
    fn a_plan_holds_its_own_rules(m in machines(), policy in policies(), found in prop::option::of(founds())) {
        let p = plan(&m, &policy, found.as_ref());
        prop_assert!(p.steps.len() < MAX_STEPS);
        let later = says(&p, |s| matches!(s, Step::BucketsLater { .. }));
        if !later {
            prop_assert!(p.buckets <= p.max, "{p:?}");
            prop_assert!(p.max.0 as u64 <= 8 * p.buckets.0 as u64, "{p:?}");
        }
        // Chains are only ever too long where what was found made them so already.
        let kept = found.is_some_and(|f| p.max <= f.max);
        prop_assert!(p.max.0 as u64 <= 8 * p.buckets.0 as u64 || (later && kept));
        // Within floor and ceiling, unless a step says what else decided.
        let other = |s: &Step| matches!(s, Step::Fixed(_) | Step::FoundKept(_) | Step::WholePage(_) | Step::Chains(_));
        if !says(&p, other) {
            prop_assert!(p.max <= policy.ceiling, "{p:?}");
            let low = says(&p, |s| matches!(s, Step::Ceiling { .. })) || found.is_none() && m.mem_total.0 == 0;
            prop_assert!(p.max >= policy.floor || low || m.mem_total.0 == 0, "{p:?}");
        }
        // Nothing is written that is so already.
        prop_assert!(found.is_none_or(|f| p.set_max != Some(f.max) && (f.buckets.is_none() || p.set_buckets != f.buckets)));
    }

    #[test]
    fn never_below_what_was_found_unless_told_to(m in machines(), policy in policies(), found in founds()) {
        let p = plan(&m, &Policy { enforce: false, ..policy }, Some(&found));
        // 0, and more than 2^30, is no limit.
        prop_assert!(p.max >= found.max || found.max.0 > 1 << 30, "{p:?}");
    }

    /// A full table never takes more than its share of what is left, unless floor, config or system said so.
    #[test]
    fn cost_stays_within_the_share(m in machines(), policy in policies(), found in prop::option::of(founds())) {
        let p = plan(&m, &policy, found.as_ref());
        let raised = |s: &Step| matches!(s, Step::Floor(_) | Step::Fixed(_) | Step::FoundKept(_) | Step::WholePage(_) | Step::RamUnknown);
        let share = p.steps.iter().find_map(|s| match s { Step::Share { kib, .. } => Some(kib.0), _ => None });
        let stale = says(&p, |s| matches!(s, Step::BucketsLater { .. }));
        if let (Some(share), false, false) = (share, says(&p, raised), stale) {
            prop_assert!(p.cost.0 <= share.saturating_add(2), "{} of {share}: {p:?}", p.cost);
        }
    }

    #[test]
    fn more_ram_is_never_a_smaller_table(m in machines(), policy in policies(), more in 0..2_000_000u32) {
        let bigger = Machine { mem_total: Kib(m.mem_total.0.saturating_add(more)), ..m };
        prop_assume!(m.mem_total.0 > 0);
        prop_assert!(plan(&m, &policy, None).max <= plan(&bigger, &policy, None).max);
    }

    /// A plan that was carried out plans nothing more.
    #[test]
    fn a_plan_carried_out_is_done(m in machines(), policy in policies(), found in prop::option::of(founds())) {
        let p = plan(&m, &policy, found.as_ref());
        let now = Found { max: p.max, buckets: Some(p.buckets), count: found.map_or(Entries(0), |f| f.count) };
        let again = plan(&m, &policy, Some(&now));
        prop_assert_eq!((again.set_max, again.set_buckets), (None, None));
    }

    #[test]
    fn a_step_up_is_up_and_paid_for(
        max in entries(), count in entries(), buckets in entries(), available in kib(), reserve in kib(),
        bytes in any::<u32>(), ceiling in entries(), low in any::<u16>(),
    ) {
        let (mem_available, reserve, low) = (Kib(available), Kib(reserve), Permille(low));
        let cost = EntryCost { bytes, measured: true };
        let table = Table { max, count, buckets, mem_available, reserve, cost, ceiling, low };
        match grow_step(&table) {
            Ok(Grow { from, to, cost, limited_by }) => {
                prop_assert!(from == max && to > max && to <= ceiling && to.0 as u64 <= 8 * buckets.0 as u64);
                prop_assert!(cost.0 <= available.saturating_sub(reserve.0));
                prop_assert!(limited_by.is_some() || count.share_of(to) <= Permille(low.0.clamp(1, 1000)));
            }
            // Refused: what stands against it leaves no step worth taking.
            Err(refusal) => prop_assert!(max.0 == 0 || refusal.most.0 as u64 <= max.0 as u64 * 17 / 16),
        }
    }
}

/// The build stops at the first fault of a board file and says where it is.
#[test]
fn a_fault_in_a_board_file_is_named_with_file_and_line() {
    let ok = [
        ("ram/ram-64", "ram = 64 MiB\ntakes = 30 MiB system\nsource = seen\n"),
        ("ram/ram-128", "# two\nram = 128 MiB\ntakes = 40 MiB system\nsource = seen\n"),
        ("class/c", "soc = ath79\nradio = ath9k\ntakes = 4 MiB radios\nsource = seen\n"),
        ("device/a,b", "class = c\n"),
    ];
    let cases: &[(&str, &str, &str)] = &[
        ("", "", ""),
        ("class/c", "soc = x\ntakes = 4 MiB radios\n", "class/c:2: `takes` has no source"),
        ("class/c", "soc = x\ntakes = 4 MiB radios\nnote = n\n", "class/c:3: the source of `takes` must come next"),
        ("class/c", "soc = x\nsource = s\n", "class/c:2: a source belongs right after"),
        ("class/c", "soc = x\n\ntakes = 4 MB radios\n", "class/c:3: `MB` is neither KiB nor MiB"),
        ("class/c", "soc = x\ntakes = 4194304 MiB radios\n", "class/c:2: 4194304 MiB is out of range"),
        ("class/c", "soc = x\ntakes = 4 MiB gremlins\n", "class/c:2: `gremlins` is none of"),
        ("class/c", "soc = x\nsoc = y\n", "class/c:2: `soc` does not belong here, or stands here twice"),
        ("class/c", "soc = x\nceiling = many\n", "class/c:2: `many` is not a number of entries"),
        ("class/c", "soc x\n", "class/c:1: `soc x` is not `key = value`"),
        ("class/c", "soc =\n", "class/c:1: `soc` has no value"),
        ("class/c", "soc = x\ncolour = red\n", "class/c:2: no such key `colour`"),
        ("class/c", "radio = ath9k\n", "class/c:1: `soc` is missing"),
        ("class/c", "soc = \u{e4}\n", "class/c:1: only printable ASCII"),
        ("device/a,b", "class = d\n", "device/a,b:1: no such class `d`"),
        ("device/a,b", "class = c\ntakes = 4 MiB radios\n", "device/a,b:2: `takes` does not belong here"),
        ("ram/ram-128", "ram = 128 MiB\ntakes = 99 MiB system\nsource = s\n", "ram/ram-128:0: leaves less than"),
        ("ram/ram-128", "ram = 127 MiB\ntakes = 9 MiB system\nsource = s\n", "ram/ram-128:0: the name of a RAM class"),
    ];
    let root = std::env::temp_dir().join(format!("ctwarden-board-{}", std::process::id()));
    for (file, text, expected) in cases {
        let _ = std::fs::remove_dir_all(&root);
        for folder in ["ram", "class", "device"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (name, good) in ok {
            std::fs::write(root.join(name), if name == *file { text } else { good }).unwrap();
        }
        let said = build_script::table(&root).map_or_else(|fault| fault.to_string(), |_| String::new());
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{file}, {text:?}: {said:?}");
    }
    let _ = std::fs::remove_dir_all(&root);
}
