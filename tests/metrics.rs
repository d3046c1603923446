//! What a monitoring system reads, word for word, and that what is done is counted.

use ctwarden::config::Config;
use ctwarden::decide::ladder::{Action, Decision, Means, Outcome, Reason, Refusal, Settings};
use ctwarden::describe;
use ctwarden::detect::{Look, Table, Verdict};
use ctwarden::entry::Class;
use ctwarden::event::{Event, Lifeline, Obstacle};
use ctwarden::guard::Guard;
use ctwarden::lease::{Lease, Scope};
use ctwarden::metrics::{Facts, Holding, Metrics};
use ctwarden::observe::tally::Share;
use ctwarden::out::Json;
use ctwarden::protocol::Windows;
use ctwarden::rung::Rung;
use ctwarden::totals::{Outcome as Came, Totals};
use ctwarden::units::{Entries, Millis, Permille};

mod expected;

fn trimmed(before: u32, after: u32) -> Event {
    let (steps, level, took) = ([0; 5], None, Millis(1));
    let (before, after) = (Entries(before), Entries(after));
    Event::Trimmed { before, after, steps, level, took, interrupted: false, repeated: true }
}

fn decided(dry: bool) -> Event {
    let reason = Reason::High { occupancy: Permille(900), high: Permille(850) };
    Event::Decided { decision: Decision { action: Action::Trim, reason }, dry }
}

fn totals() -> Totals {
    let mut totals = Totals::new();
    let first = Lease::of_key("10.0.0.5").unwrap();
    for event in [
        Event::MaxSet { action: Action::Grow { to: Entries(9) }, from: Entries(8), read_back: Entries(9) },
        Event::MaxSet { action: Action::Shrink { to: Entries(8) }, from: Entries(9), read_back: Entries(8) },
        decided(false),
        trimmed(1_000, 600),
        trimmed(900, 590),
        Event::Flushed { before: Entries(1_000), after: Entries(3), way: "at once", took: Millis(1) },
        Event::Shed { first, count: 1, left_out: 0, again: false },
        Event::LeaseFailed { lease: first, errno: 2 },
        Event::Refused { rung: Rung::Flush, why: Refusal::NotDone },
        Event::Skipped { rung: Rung::Grow, why: Obstacle::NotPermitted },
        Event::NotOpened { scope: Scope::Router, errno: Some(95) },
        decided(true),
        Event::Reloaded,
    ] {
        totals.count(&event);
    }
    totals
}

/// Fills twice with a calm between, refuses 51 packets, and grows by 100 a second at last.
fn guard(settings: &Settings) -> Guard {
    let mut guard = Guard::default();
    let means = Means { can_trim: true, ..Means::default() };
    for (at, count, dropped) in
        [(0, 1_000, 0), (1_000, 1_900, 51), (3_000, 300, 0), (30_000, 300, 0), (65_000, 1_800, 0)]
    {
        let table = Some(Table { count: Entries(count), max: Entries(2_048), buckets: Entries(2_048) });
        let look = Look { at: Millis(at), table, dropped: Some(dropped), ..Look::default() };
        guard.turn(&look, &means, settings, &mut |_| {});
    }
    let outcome =
        Outcome { action: Action::Flush, before: Entries(1_000), after: Entries(3), took: Millis(1), done: true };
    guard.outcome(Millis(66_000), &outcome, settings);
    guard
}

fn with(holding: Option<Holding>, guard: &Guard, settings: &Settings) -> Metrics {
    Metrics::of(&Facts {
        now: Millis(125_999),
        guard,
        settings,
        dry_run: false,
        totals: &totals(),
        windows: &Windows {
            lifeline: Lifeline::On,
            open: Some((Scope::Router, Millis(29_000))),
            shedding: 1,
            ..Windows::default()
        },
        holding: holding.as_ref(),
    })
}

fn metrics() -> Metrics {
    let holding = Holding { at: Millis(120_000), classes: [3, 20, 100, 1_370, 7], top: Share(3_012) };
    let settings = Config::default().settings();
    with(Some(holding), &guard(&settings), &settings)
}

/// tests/fleet has promtool check that file, and the collectors told the same.
#[test]
fn as_prometheus_reads_it() {
    let mut text = String::new();
    metrics().text(&mut text);
    expected::same("expected/metrics.prom", &text.replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"0.0.0\""));
}

#[test]
fn what_is_not_known_is_left_out() {
    let nothing = with(None, &Guard::default(), &Config::default().settings());
    let mut text = String::new();
    nothing.text(&mut text);
    for name in ["ctwarden_entries", "ctwarden_top_holder_ratio", "ctwarden_census_age", "ctwarden_time_to_full"] {
        assert!(!text.contains(name));
    }
    assert!(text.contains("ctwarden_verdict{verdict=\"blind\"} 1\n"));
}

#[test]
fn rows_are_those_of_the_text() {
    let (mut json, mut text) = (String::new(), String::new());
    Json::object(&mut json, &|o| describe::metrics(o, &metrics()));
    metrics().text(&mut text);
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(json.matches("\"name\":").count(), samples);
    for row in [
        r#"{"name":"ctwarden_actions_total","type":"counter","labels":{"rung":"flush","outcome":"refused"},"value":1}"#,
        r#"{"name":"ctwarden_top_holder_ratio","type":"gauge","labels":{},"value":"0.3012"}"#,
    ] {
        assert!(json.contains(row), "{json}");
    }
}

/// The table of names has the words that everything else has.
#[test]
fn labels_are_the_words_of_the_log() {
    let mut told = String::new();
    metrics().text(&mut told);
    let of = |name: &str| -> Vec<String> {
        let rows = told.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        rows.map(|line| line[name.len() + 1..].split('}').next().unwrap().replace('"', "")).collect()
    };
    assert_eq!(of("ctwarden_verdict"), Verdict::ALL.map(|v| format!("verdict={v}")));
    assert_eq!(of("ctwarden_entries"), Class::ALL.map(|c| format!("class={}", c.name())));
    let actions: Vec<_> = [Rung::Grow, Rung::Trim, Rung::Shed, Rung::Flush, Rung::Open]
        .iter()
        .flat_map(|rung| Came::ALL.map(|o| format!("rung={},outcome={}", rung.name(), o.name())))
        .collect();
    assert_eq!(of("ctwarden_actions_total"), actions);
}

#[test]
fn what_is_done_is_counted_and_flagged_once() {
    let mut totals = totals();
    let of = |rung| Came::ALL.map(|outcome| totals.of(rung, outcome));
    assert_eq!(Came::ALL.map(Came::name), ["done", "failed", "refused", "dry_run"]);
    assert_eq!(of(Rung::Grow), [1, 1, 0, 0]);
    assert_eq!(of(Rung::Trim), [2, 0, 0, 1]);
    assert_eq!(of(Rung::Shed), [1, 1, 0, 0]);
    assert_eq!(of(Rung::Flush), [1, 0, 1, 0]);
    assert_eq!(of(Rung::Open), [0, 1, 0, 0]);
    assert_eq!(totals.evicted, 400 + 310 + 997);
    let flags = [Rung::Grow, Rung::Trim, Rung::Shed, Rung::Flush].map(|rung| 1 << rung as u8);
    assert_eq!(totals.take_acted(), flags.into_iter().sum::<u8>());
    assert_eq!(totals.take_acted(), 0);
}
