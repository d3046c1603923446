//! The charts' rings beside a plain list of all that was ever seen: over gaps, leaps of the clock, the wrap of the ring, and
//! asked in parts.

use ctwarden::describe;
use ctwarden::detect::{Marks, Table};
use ctwarden::history::{History, NUMBER_MOST, Rings, SLOTS_MOST, Slot, Span, Turn};
use ctwarden::out::Json;
use ctwarden::units::{Entries, Millis, Permille};
use proptest::prelude::*;
use std::collections::BTreeMap;

const MARKS: Marks = Marks { high: Permille(850), low: Permille(600), hold: Millis(10_000) };

fn table(count: u32, max: u32) -> Table {
    Table { count: Entries(count), max: Entries(max), buckets: Entries(max) }
}

fn kept(span: Span) -> u32 {
    match span {
        Span::Minutes => 150,
        Span::Day => 240,
    }
}

/// Every slot there has ever been, without a ring.
struct Model {
    span: Span,
    slots: BTreeMap<u32, Slot>,
    at: Option<u32>,
    last: Option<(u64, Option<Table>)>,
    refused_ever: u32,
}

impl Model {
    fn new(span: Span) -> Self {
        Self { span, slots: BTreeMap::new(), at: None, last: None, refused_ever: 0 }
    }

    fn feed(&mut self, now: u64, turn: &Turn) {
        let number = (now / 1000 / u64::from(self.span.step_s())) as u32;
        let at = self.at.map_or(number, |at| at.max(number));
        // Of a leap over days, what no ring could hold is left out.
        for empty in self.at.map_or(at, |before| (before + 1).max(at.saturating_sub(1_000)))..at {
            let mut slot = Slot::default();
            if let Some((then, Some(t))) = self.last
                && now.saturating_sub(then) <= 15_000
            {
                (slot.count, slot.max) = (t.count.0, t.max.0);
            }
            self.slots.insert(empty, slot);
        }
        let slot = self.slots.entry(at).or_default();
        if let Some(t) = turn.table {
            (slot.count, slot.max) = (slot.count.max(t.count.0), t.max.0);
        }
        slot.refused += turn.refused_ever.wrapping_sub(self.refused_ever);
        slot.rungs |= turn.rungs;
        (self.at, self.last, self.refused_ever) = (Some(at), Some((now, turn.table)), turn.refused_ever);
    }

    fn since(&self, since: u32) -> (u32, Vec<Slot>) {
        let at = self.at.unwrap_or(0);
        let oldest = self.slots.keys().next().copied().unwrap_or(0);
        let since = if since > at { 0 } else { since };
        let first = since.max(oldest).max(at.saturating_sub(kept(self.span)));
        (first, (first..at).map(|n| self.slots[&n]).collect())
    }
}

/// How far the clock goes between two turns: as in an attack, as in calm, after a hang, over a sleep, backwards.
fn leap() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0_i64..100,
        8 => 400_i64..5_100,
        2 => 10_000_i64..30_000,
        1 => 100_000_i64..800_000,
        1 => 1_000_000_i64..200_000_000,
        1 => -20_000_i64..0,
    ]
}

fn turn() -> impl Strategy<Value = (i64, Option<Table>, u32, u8)> {
    let table = prop::option::weighted(0.9, (0_u32..70_000, 0_u32..70_000).prop_map(|(c, m)| table(c, m)));
    (leap(), table, 0_u32..1_000, prop_oneof![9 => Just(0_u8), 1 => any::<u8>()])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rings_are_as_a_list_of_everything(
        start in prop_oneof![0_u64..10_000, 0_u64..u64::from(u32::MAX) * 1000],
        turns in prop::collection::vec(turn(), 1..400),
        asks in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        for span in Span::ALL {
            let (mut rings, mut model) = (Rings::new(), Model::new(span));
            let (mut now, mut refused_ever) = (start, 0_u32);
            let (mut next, mut polled) = (0, Vec::new());
            for (n, (leap, table, refused, rungs)) in turns.iter().enumerate() {
                now = now.saturating_add_signed(*leap);
                refused_ever = refused_ever.wrapping_add(*refused);
                let turn = Turn { table: *table, refused_ever, rungs: *rungs };
                rings.feed(Millis(now), &turn);
                model.feed(now, &turn);
                let (first, slots) = model.since(0);
                let all = rings.since(span, 0, &MARKS);
                prop_assert_eq!((all.first, &all.slots[..]), (first, &slots[..]));
                // Asked for what is new, now and then.
                if n % 7 == 0 {
                    let new = rings.since(span, next, &MARKS);
                    prop_assert!(new.first >= next, "nothing comes twice");
                    polled.extend((new.first..).zip(new.slots.iter().copied()));
                    next = new.next();
                }
            }
            for (number, slot) in polled {
                prop_assert_eq!(Some(&slot), model.slots.get(&number), "a slot that was answered does not change");
            }
            let all = rings.since(span, 0, &MARKS);
            for ask in &asks {
                let since = all.first + ask.index(all.slots.len() + 3) as u32;
                let (first, slots) = model.since(since);
                let part = rings.since(span, since, &MARKS);
                prop_assert_eq!((part.first, part.next(), &part.slots[..]), (first, first + slots.len() as u32, &slots[..]));
            }
        }
    }
}

fn json(h: &History) -> String {
    let mut text = String::new();
    Json::object(&mut text, &|o| describe::history(o, h));
    text
}

#[test]
fn calm_that_is_looked_at_every_five_seconds_has_no_holes() {
    let mut rings = Rings::new();
    for turn in 0..400_u64 {
        rings.feed(Millis(turn * 5_000), &Turn { table: Some(table(300, 1_000)), ..Turn::default() });
    }
    let h = rings.since(Span::Minutes, 0, &MARKS);
    assert!(h.slots.is_full() || h.slots.len() == 150);
    assert!(h.slots.iter().all(|s| (s.count, s.max) == (300, 1_000)));
    assert_eq!(rings.since(Span::Day, 0, &MARKS).slots.len(), 5);
}

#[test]
fn what_was_not_seen_is_not_made_up() {
    let mut rings = Rings::new();
    let seen = Turn { table: Some(table(300, 1_000)), ..Turn::default() };
    rings.feed(Millis(0), &seen);
    rings.feed(Millis(60_000), &seen);
    rings.feed(Millis(66_000), &Turn::default());
    rings.feed(Millis(70_000), &Turn::default());
    let counts: Vec<u32> = rings.since(Span::Minutes, 0, &MARKS).slots.iter().map(|s| s.count).collect();
    assert_eq!(counts[..2], [300, 0], "a minute without a look");
    assert_eq!(counts[30..], [300, 300, 300, 0, 0], "blind from 66 s on");
}

#[test]
fn the_largest_answer_is_eight_kibibytes_and_the_memory_sixteen() {
    let mut rings = Rings::new();
    let mut refused_ever = 0_u32;
    for slot in 0..300 {
        refused_ever = refused_ever.wrapping_add(u32::MAX / 2);
        let table = Some(table(u32::MAX, u32::MAX));
        let turn = Turn { table, refused_ever, rungs: u8::MAX };
        rings.feed(Millis(slot * 360_000 + 20_000_000_000), &turn);
    }
    for span in Span::ALL {
        let h = rings.since(span, 0, &MARKS);
        let text = json(&h);
        assert!(text.len() <= 8 * 1024, "{} bytes", text.len());
    }
    let day = rings.since(Span::Day, 0, &MARKS);
    assert_eq!(day.slots.len(), SLOTS_MOST);
    let full = Slot { count: NUMBER_MOST, max: u32::MAX, refused: NUMBER_MOST, rungs: u8::MAX };
    assert!(day.slots.iter().all(|s| *s == full));
    assert!(size_of::<Rings>() <= 16 * 1024, "{}", size_of::<Rings>());
}

#[test]
fn an_answer_in_words() {
    let mut rings = Rings::new();
    for (at, count, refused_ever, rungs) in [(0, 10, 0, 0), (1_900, 90, 5, 0b10), (2_100, 50, 5, 0), (4_000, 20, 6, 0)]
    {
        rings.feed(Millis(at), &Turn { table: Some(table(count, 100)), refused_ever, rungs });
    }
    assert_eq!(
        json(&rings.since(Span::Minutes, 0, &MARKS)),
        r#"{"span":"5m","step":2,"first":0,"next":2,"high":850,"low":600,"count":[90,50],"max":[100,100],"refused":[5,0],"rungs":[2,0]}"#
    );
    assert_eq!(
        json(&rings.since(Span::Minutes, 2, &MARKS)),
        r#"{"span":"5m","step":2,"first":2,"next":2,"high":850,"low":600,"count":[],"max":[],"refused":[],"rungs":[]}"#
    );
    // The daemon was started anew since.
    assert_eq!(rings.since(Span::Minutes, 700, &MARKS).slots.len(), 2);
    assert_eq!(Span::from_name("7d"), None);
}
