//! All that is ever reported, as a reader of the log sees it: `tests/events/expected`, written anew with `UPDATE=1`.

use ctwarden::decide::ladder::{Action, Decision, Reason, Refusal};
use ctwarden::detect::{Evidence, Table, Verdict};
use ctwarden::event::{Event, Lifeline, Obstacle, UbusState};
use ctwarden::journal::{Setting, Void};
use ctwarden::lease::{Backend, Lease, Scope};
use ctwarden::protocol::TopKey;
use ctwarden::rung::Rung;
use ctwarden::units::{Entries, Millis, Permille};
use std::fmt::Write as _;

mod expected;

fn evidence(verdict: Verdict, count: u32, refused: u32, full_for: u64) -> Evidence {
    let table = Table { count: Entries(count), max: Entries(16_384), buckets: Entries(16_384) };
    Evidence { verdict, table, refused, full_for: Millis(full_for), ..Evidence::default() }
}

fn verdicts() -> impl Iterator<Item = Event> {
    let told =
        |from, to, count, refused, full_for| Event::Verdict { from, evidence: evidence(to, count, refused, full_for) };
    let unlimited = Evidence {
        verdict: Verdict::Calm,
        table: Table { count: Entries(90), ..Table::default() },
        ..Evidence::default()
    };
    [
        told(Verdict::Blind, Verdict::Calm, 900, 0, 0),
        told(Verdict::Calm, Verdict::Filling, 13_927, 0, 0),
        told(Verdict::Filling, Verdict::Saturated, 16_384, 1_860, 10_020),
        told(Verdict::Calm, Verdict::Misreported, 900, 12, 0),
        told(Verdict::Saturated, Verdict::Blind, 16_384, 1_860, 10_020),
        Event::Verdict { from: Verdict::Blind, evidence: unlimited },
        Event::Status { evidence: evidence(Verdict::Filling, 14_000, 0, 0) },
    ]
    .into_iter()
}

fn decisions() -> impl Iterator<Item = Event> {
    let high = Reason::High { occupancy: Permille(871), high: Permille(850) };
    let full = Reason::Full { lasted: Millis(10_020), hold: Millis(10_000) };
    let calm = Reason::Calm { lasted: Millis(60_400), after: Millis(60_000) };
    let (grow, shrink) = (Action::Grow { to: Entries(23_334) }, Action::Shrink { to: Entries(16_384) });
    let open = Action::Open { scope: Scope::Router };
    let decided =
        [(grow, high), (Action::Trim, high), (Action::Shed, high), (Action::Flush, full), (open, full), (shrink, calm)];
    decided.into_iter().flat_map(|(action, reason)| {
        [false, true].map(|dry| Event::Decided { decision: Decision { action, reason }, dry })
    })
}

fn outcomes() -> impl Iterator<Item = Event> {
    let (before, after, took) = (Entries(13_940), Entries(9_830), Millis(31));
    let trimmed = |steps, level, interrupted, repeated| Event::Trimmed {
        before,
        after,
        steps,
        level,
        took,
        interrupted,
        repeated,
    };
    let grow = Action::Grow { to: Entries(23_334) };
    [
        Event::MaxSet { action: grow, from: Entries(16_384), read_back: Entries(23_334) },
        trimmed([12, 4_000, 90, 0, 8], Some(Entries(410)), false, false),
        trimmed([0; 5], None, true, false),
        trimmed([4_110, 0, 0, 0, 0], None, false, true),
        Event::Flushed { before, after: Entries(3), way: "one by one", took },
        Event::Refused { rung: Rung::Flush, why: Refusal::Budget { done: 4, allowed: 4 } },
        Event::Refused { rung: Rung::Flush, why: Refusal::Breaker { bought: Millis(3_000), wanted: Millis(60_000) } },
        Event::Refused { rung: Rung::Flush, why: Refusal::NotDone },
        Event::Refused { rung: Rung::Open, why: Refusal::Budget { done: 2, allowed: 2 } },
        Event::HeldBy { who: TopKey::Source("192.168.1.50".parse().unwrap()), share: Permille(859) },
        Event::IncidentOver { number: 3, lasted: Millis(58_400), refused: 3_550, evicted: 4_338 },
    ]
    .into_iter()
}

fn obstacles() -> impl Iterator<Item = Event> {
    [
        (Rung::Grow, Obstacle::ReadOnlySysctl { errno: 13 }),
        (Rung::Grow, Obstacle::NoJournal { errno: 28 }),
        (Rung::Trim, Obstacle::NoCtnetlink),
        (Rung::Trim, Obstacle::NotPermitted),
        (Rung::Flush, Obstacle::NoEffect),
        (Rung::Open, Obstacle::NoRules),
    ]
    .into_iter()
    .map(|(rung, why)| Event::Skipped { rung, why })
}

fn settings() -> impl Iterator<Item = Event> {
    let (name, from, to) = (Setting::Max.name(), Entries(15_360), Entries(57_302));
    let buckets = Setting::Buckets.name();
    [
        Event::Sized { name, from, to },
        Event::WouldSize { name: buckets, from, to },
        Event::LeftAlone { name, ours: to, found: Entries(65_536) },
        Event::NotWritten { name: buckets, why: Obstacle::ReadOnlySysctl { errno: 13 } },
        Event::PutBack { name, to: from },
        Event::FellBack { name, found: from },
        Event::JournalVoid { why: Void::Damaged },
        Event::JournalVoid { why: Void::Version(9) },
        Event::JournalVoid { why: Void::Rebooted },
        Event::Reloaded,
        Event::TableAppeared { max: from },
        Event::TableVanished,
        Event::LoggedBefore { lines: 6 },
        Event::LogOverrun,
        Event::LogUnreadable { errno: 1 },
    ]
    .into_iter()
}

fn windows() -> impl Iterator<Item = Event> {
    let host = Lease::Source("192.168.1.50".parse().unwrap());
    let (scope, backend) = (Scope::Lan, Backend::Fw4);
    let shed = |left_out, again| Event::Shed { first: host, count: 3, left_out, again };
    let lifelines = [
        Lifeline::Off,
        Lifeline::On,
        Lifeline::NoLan,
        Lifeline::NoLeases,
        Lifeline::NotAccepted,
        Lifeline::Nat,
        Lifeline::Unknown,
        Lifeline::Failed { errno: 1 },
    ];
    let told = [
        Event::Backend { backend },
        Event::BackendUnusable { backend, errno: 2 },
        Event::BackendUnusable { backend: Backend::Nft, errno: 95 },
        Event::RulesBack { backend },
        shed(0, false),
        shed(12, false),
        shed(0, true),
        Event::ShedSpent { count: 1, total: Millis(600_000) },
        Event::LeaseFailed { lease: Lease::Router { interface: 4, protocol: 6, port: 22 }, errno: 1 },
        Event::LeaseFailed { lease: Lease::All { ipv6: true }, errno: 1 },
        Event::Opened {
            scope,
            total: Millis(600_000),
            asked: true,
            impossible: "masqueraded IPv4 still needs an entry",
        },
        Event::StillOpen { scope: Scope::All, left: Millis(540_000) },
        Event::NotOpened { scope: Scope::All, errno: Some(95) },
        Event::NotOpened { scope: Scope::Lan, errno: None },
        Event::Closed { scope, lasted: Millis(31_000), because: "the table is calm" },
    ];
    told.into_iter().chain(lifelines.map(Event::Lifeline))
}

fn bus() -> impl Iterator<Item = Event> {
    [UbusState::Published, UbusState::Refused { status: 2 }, UbusState::Gone].into_iter().map(Event::Ubus)
}

#[test]
fn every_event_in_words() {
    let mut out = String::new();
    let ours = verdicts().chain(decisions()).chain(outcomes()).chain(obstacles()).chain(settings()).chain(windows());
    for event in ours.chain(bus()) {
        let _ = writeln!(out, "{:<6}{event}", format!("{:?}", event.level()).to_lowercase());
    }
    expected::same("events/expected", &out);
}
