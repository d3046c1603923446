//! Sizing over all machines: the table an owner can read (in `docs/sizing.md`, made anew with `UPDATE=1`), and what must hold
//! whatever the numbers.

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

/// Amounts of RAM as an owner calls them, `MemTotal` as routers show it, and bytes of a kernel pointer. 28,616 KiB an RT5350
/// shows, 124,260 an Archer C7 v4, 511,960 a WRT3200ACM; the others are about 2 % below the nominal size.
const RAMS: [(&str, u32, u32); 7] = [
    ("32 MB", 28_616, 4),
    ("64 MB", 59_800, 4),
    ("128 MB", 124_260, 4),
    ("256 MB", 250_000, 4),
    ("512 MB", 511_960, 4),
    ("1 GB", 1_010_000, 8),
    ("2 GB", 2_040_000, 8),
];

/// 21839 as `21,839`.
fn grouped(n: u32) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
    groups.join(",")
}

/// What each amount of RAM gets under the default policy where nothing is set yet: on a board that is not listed, and in
/// each class. The smallest and the largest RAM are left out there: they are the same in every class.
fn tables() -> String {
    let mut out = String::from("| RAM | `MemTotal` | max | full, MB | of the RAM |\n|---|---:|---:|---:|---:|\n");
    for (name, mem_total, pointer) in RAMS {
        let p = plan(&machine(mem_total, pointer, ""), &Policy::DEFAULT, None);
        let share = Entries(p.cost.0).share_of(Entries(mem_total));
        let (max, cost) = (grouped(p.max.0), mib(p.cost.0));
        let _ = writeln!(out, "| {name} | {} KiB | {max} | {cost} | {share} |", grouped(mem_total));
    }
    out += "\n| class | takes, MB | 128 MB of RAM | 256 MB | 512 MB | 1 GB | boards |\n";
    out += "|---|---:|---:|---:|---:|---:|---|\n";
    let mut boards: Vec<board::Board> = board::all().collect();
    boards.sort_by_key(|b| (b.class.name, b.name));
    for of in boards.chunk_by(|a, b| std::ptr::eq(a.class, b.class)) {
        let class = of[0].class;
        let _ = write!(out, "| {} | {} ", class.name, mib(class.reserve().0));
        for (_, mem_total, pointer) in &RAMS[2..6] {
            let p = plan(&machine(*mem_total, *pointer, of[0].name), &Policy::DEFAULT, None);
            let _ = write!(out, "| {} ({} MB) ", grouped(p.max.0), mib(p.cost.0));
        }
        let names: Vec<String> = of.iter().map(|b| format!("`{}`", b.name)).collect();
        let _ = writeln!(out, "| {} |", names.join(", "));
    }
    out
}

/// The owner's guide shows what is computed.
#[test]
fn the_table_in_the_owners_guide_is_what_is_computed() {
    let file = expected::under_tests("../docs/sizing.md");
    let guide = std::fs::read_to_string(&file).unwrap();
    let (begin, end) = ("<!-- sizes: written by UPDATE=1 cargo test --test sizing -->\n\n", "\n<!-- /sizes -->");
    let (before, rest) = guide.split_once(begin).unwrap();
    let (_, behind) = rest.split_once(end).unwrap();
    let now = [before, begin, &tables(), end, behind].concat();
    println!("{}", tables());
    let difference = expected::differs(&file, &now);
    assert!(difference.is_none(), "{}", difference.unwrap_or_default());
}

/// Names as OpenWrt writes them, over all the families that are promised; none twice.
#[test]
fn boards_are_named_as_openwrt_names_them() {
    let boards: Vec<board::Board> = board::all().collect();
    let small = |text: &str, more: &str| text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9') || more.contains(c));
    for b in &boards {
        let form = match b.name.split_once(',') {
            Some((vendor, model)) => small(vendor, "-") && small(model, "-._") && vendor.len() > 1 && model.len() > 1,
            None => b.class.name == "x86" && small(b.name, "-_"),
        };
        assert!(form && b.name.len() < 64, "{b:?}");
        assert!(board::by_name(b.name).is_some_and(|found| std::ptr::eq(found.class, b.class)), "{b:?}");
        assert_eq!(boards.iter().filter(|other| other.name == b.name).count(), 1, "{}", b.name);
    }
    assert!(boards.len() >= 30);
    for family in ["ath79", "mt76", "mt7621", "ipq40xx", "ipq806x", "mvebu", "bcm27xx", "filogic", "x86"] {
        assert!(boards.iter().any(|b| b.class.name.starts_with(family)), "{family}");
    }
}

#[test]
fn each_step_of_a_plan() {
    let mut out = String::from("a WRT3200ACM whose kernel set 65,536, 900 entries in it\n");
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
        bytes in prop_oneof![4 => 200..1_000u32, 1 => any::<u32>()], measured: bool, board in 0..=board::all().count(),
    ) -> Machine {
        let cost = EntryCost { bytes, measured };
        Machine { mem_total: Kib(mem_total), mem_available: Kib(mem_available), cost, pointer, board: board::all().nth(board) }
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
        ("class/c", "soc = x\nmatch = a\nmatch = b\n", "class/c:3: `match` does not belong here, or stands here twice"),
        ("device/a,b", "class = d\n", "device/a,b:1: no such class `d`"),
        ("device/a-b", "class = c\n", "device/a-b:0: is no name that OpenWrt gives"),
        ("device/A,b", "class = c\n", "device/A,b:0: is no name that OpenWrt gives"),
        ("device/a,b,c", "class = c\n", "device/a,b,c:0: is no name that OpenWrt gives"),
        ("device/a,", "class = c\n", "device/a,:0: is no name that OpenWrt gives"),
        ("class/c", "soc = x86\n", "device/a,b:0: is no name that OpenWrt gives"),
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
            std::fs::write(root.join(name), good).unwrap();
        }
        if !file.is_empty() {
            std::fs::write(root.join(file), text).unwrap();
        }
        let said = build_script::table(&root).map_or_else(|fault| fault.to_string(), |_| String::new());
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{file}, {text:?}: {said:?}");
    }
    let _ = std::fs::remove_dir_all(&root);
}
