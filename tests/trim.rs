//! Whom the water level takes, and whom it spares: small tables, one a test.

use ctwarden::decide::sample::{HolderId, Order, ROWS, Sample};
use ctwarden::decide::trim::{Goal, Plan, Step};
use ctwarden::entry::Class;
use ctwarden::units::Entries;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Flow {
    holder: u32,
    class: Class,
    idle: u32,
    protected: bool,
}

fn flows(n: usize, holder: u32, class: Class, idle: u32) -> Vec<Flow> {
    vec![Flow { holder, class, idle, protected: false }; n]
}

fn order(f: &Flow) -> Order {
    Order::new(f.class, f.idle, f.protected)
}

/// Shuffles, samples the front as the kernel's dump would, makes the plan and carries it out.
fn trim(table: Vec<Flow>, max: u32) -> (Vec<Flow>, Vec<(Flow, Step)>, Plan) {
    trim_after(0, table, max)
}

/// The same where so many seconds end between the sample and the pass.
fn trim_after(seconds: u32, mut table: Vec<Flow>, max: u32) -> (Vec<Flow>, Vec<(Flow, Step)>, Plan) {
    let mut seed = 7u32;
    for i in (1..table.len()).rev() {
        seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
        table.swap(i, (seed >> 8) as usize % (i + 1));
    }
    let mut sample = Sample::new();
    for f in table.iter().take(ROWS) {
        sample.draw(HolderId(f.holder), order(f), 0);
    }
    let count = Entries(table.len() as u32);
    let goal = Goal { count, low: Entries(max * 60 / 100), near: Entries(max * 80 / 100) };
    let mut plan = Plan::new();
    plan.make(&mut sample, goal, 99);
    let (mut stay, mut gone) = (vec![], vec![]);
    for (id, mut f) in table.into_iter().enumerate() {
        f.idle += seconds;
        match plan.takes(HolderId(f.holder), order(&f), (id as u32).wrapping_mul(0x9e37_79b9)) {
            Some(step) => gone.push((f, step)),
            None => stay.push(f),
        }
    }
    (stay, gone, plan)
}

#[test]
fn a_hog_pays_and_its_neighbour_does_not() {
    let mut table = flows(1700, 1, Class::Assured, 1);
    table.extend(flows(32, 2, Class::Assured, 400));
    table.extend(flows(8, 2, Class::Unreplied, 1));
    let (stay, gone, plan) = trim(table, 2048);
    assert!(gone.iter().all(|(f, step)| f.holder == 1 && *step == Step::Level));
    assert_eq!(stay.len(), 1228, "exactly the low mark");
    assert_eq!(plan.level, Some(Entries(1228 - 40)));
}

#[test]
fn a_hog_loses_its_stale_half_open_ones_first_and_its_handshakes_last() {
    let mut table = flows(900, 1, Class::Assured, 5);
    table.extend(flows(300, 1, Class::Unreplied, 4));
    table.extend(flows(540, 1, Class::Unreplied, 1));
    let (_, gone, _) = trim(table, 2048);
    assert_eq!(gone.iter().filter(|(f, _)| f.class == Class::Unreplied && f.idle == 4).count(), 300);
    assert_eq!(gone.iter().filter(|(f, _)| f.class == Class::Assured).count(), 1740 - 300 - 1228);
    assert!(gone.iter().all(|(f, _)| f.idle != 1));
}

#[test]
fn what_is_over_goes_before_anything_else() {
    let mut table = flows(1100, 1, Class::Assured, 50);
    for host in 10..150 {
        table.extend(flows(5, host, Class::Closing, 30));
    }
    let (stay, gone, plan) = trim(table, 2048);
    assert!(gone.iter().all(|(_, step)| *step == Step::Closing));
    assert_eq!(stay.len(), 1228);
    assert_eq!(plan.level, None);
}

#[test]
fn a_spoofed_flood_is_only_taken_from_where_no_handshake_can_be_in_flight() {
    let mut table: Vec<Flow> =
        (0..1740).flat_map(|i| flows(1, 1000 + i, Class::Replied, if i < 1000 { 1 } else { 2 })).collect();
    table.extend(flows(30, 2, Class::Assured, 900));
    let (stay, gone, _) = trim(table, 2048);
    assert!(gone.iter().all(|(f, step)| f.idle == 2 && *step == Step::Young));
    assert_eq!(stay.len(), 2048 * 80 / 100, "just under high, no further: one of them may be somebody's");
}

#[test]
fn hundreds_of_light_holders_pay_by_idle_time_alone() {
    let mut table = vec![];
    for host in 0..200 {
        table.extend(flows(9, 100 + host, Class::Assured, 4 + host % 4));
    }
    let (stay, gone, _) = trim(table, 2048);
    assert_eq!(stay.len(), 1228);
    let youngest_gone = gone.iter().map(|(f, _)| f.idle).min();
    assert!(stay.iter().all(|f| Some(f.idle) <= youngest_gone));
}

#[test]
fn quiet_flows_of_light_holders_go_only_down_to_just_under_high() {
    let mut table = vec![];
    for host in 0..60 {
        table.extend(flows(30, 100 + host, Class::Assured, 60));
    }
    let (stay, gone, _) = trim(table, 2048);
    assert_eq!(stay.len(), 2048 * 80 / 100);
    assert!(gone.iter().all(|(_, step)| *step == Step::Quiet));
}

#[test]
fn protected_entries_stay_though_their_holder_is_far_above_the_level() {
    let mut table = flows(1000, 1, Class::Assured, 500);
    table.iter_mut().for_each(|f| f.protected = true);
    table.extend(flows(800, 1, Class::Assured, 5));
    let (stay, gone, _) = trim(table, 2048);
    assert!(gone.iter().all(|(f, _)| !f.protected));
    assert_eq!(stay.len(), 1228);
}

#[test]
fn a_sampled_plan_comes_within_two_percent_and_thins_evenly() {
    let mut table = flows(150_000, 1, Class::Assured, 1);
    for host in 0..1000 {
        table.extend(flows(70, 100 + host, Class::Assured, 20 + host));
    }
    let (stay, gone, _) = trim(table, 250_000);
    assert!((150_000..=153_000).contains(&stay.len()), "{}", stay.len());
    assert!(gone.iter().filter(|(f, _)| f.holder == 1).count() * 100 >= gone.len() * 99);
    // The front of what remains must still be a sample: a tenth of it holds a tenth of the hog's, within chance.
    let front = stay.iter().take(15_000).filter(|f| f.holder == 1).count() as f64 / 15_000.0;
    let all = stay.iter().filter(|f| f.holder == 1).count() as f64 / stay.len() as f64;
    assert!((front - all).abs() < 0.02, "front {front}, all {all}");
}

#[test]
fn a_burst_of_one_second_is_thinned_though_the_second_ends_before_the_pass() {
    for (hog, max, slack) in [(1_740, 2_048, 0), (17_000, 20_000, 400)] {
        let (stay, _, _) = trim_after(1, flows(hog, 1, Class::Assured, 30), max);
        let low = max as usize * 60 / 100;
        assert!((low..=low + slack).contains(&stay.len()), "{} of {hog}", stay.len());
    }
}

#[test]
fn of_more_hogs_than_a_plan_can_name_the_heaviest_are_in_it() {
    let mut table = vec![];
    for host in 0..300 {
        table.extend(flows(if host < 20 { 600 } else { 300 }, host, Class::Assured, 1));
    }
    let (_, gone, plan) = trim(table, 25_000);
    assert!(plan.unnamed > 0);
    let heavy_lost = gone.iter().filter(|(f, _)| f.holder < 20).count();
    assert!(heavy_lost > 20 * 300, "each held 600, together they lost {heavy_lost}");
}

fn any_flow() -> impl Strategy<Value = Flow> {
    (0u32..40, 0usize..5, 0u32..700, prop::bool::weighted(0.1)).prop_map(|(h, class, idle, protected)| Flow {
        holder: h * h / 40,
        class: Class::ALL[class],
        idle,
        protected,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn never_below_low_never_a_protected_one_never_a_light_holders_handshake(
        table in prop::collection::vec(any_flow(), 0..3000), max in 100u32..3500,
    ) {
        let before = table.len() as u32;
        let (stay, gone, plan) = trim(table.clone(), max);
        prop_assert_eq!(stay.len() + gone.len(), before as usize);
        let low = max * 60 / 100;
        prop_assert!(stay.len() as u32 >= low.min(before));
        for (f, step) in &gone {
            prop_assert!(!f.protected);
            let held = table.iter().filter(|g| g.holder == f.holder && g.class != Class::Closing && !g.protected).count();
            if *step == Step::Level {
                prop_assert!(held > 64);
            } else {
                let young = matches!(f.class, Class::Unreplied | Class::Replied) && f.idle < 2;
                prop_assert!(!young, "{:?} by {:?}", f, step);
            }
        }
        prop_assert_eq!(plan.taken().iter().sum::<u32>(), gone.len() as u32);
    }
}
