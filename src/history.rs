//! What the charts are drawn from: how full the table was, over five minutes and over a day, in fixed memory.
//!
//! ```text
//!   slot        0     1     2           149   150
//!             ┌─────┬─────┬─────┬─ ─ ─┬─────┬─────┐
//!   5m, 2 s   │     │     │     │     │     │     │   a slot's number is time / step; it stands at number % slots
//!             └─────┴─────┴─────┴─ ─ ─┴─────┴─────┘
//!                      ^ being filled (not answered yet), behind it the oldest that is kept
//! ```
//!
//! A poll asks for what is new since its last: for the slot numbers from the `next` of that answer on.

use crate::detect::{LOOK_LATEST, Marks, Table};
use crate::units::{Entries, Millis, Permille};
use serde::{Deserialize, Serialize};

/// How far back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// Five minutes, in steps of 2 s.
    #[default]
    Minutes,
    /// A day, in steps of 6 min.
    Day,
}

impl Span {
    /// Both.
    pub const ALL: [Span; 2] = [Span::Minutes, Span::Day];

    /// The word on the command line and on the bus.
    pub const fn name(self) -> &'static str {
        match self {
            Span::Minutes => "5m",
            Span::Day => "24h",
        }
    }
    /// From its word.
    pub fn from_name(name: &str) -> Option<Span> {
        Span::ALL.into_iter().find(|s| s.name() == name)
    }
    /// Seconds that a slot stands for.
    pub const fn step_s(self) -> u32 {
        match self {
            Span::Minutes => 2,
            Span::Day => 360,
        }
    }
}

/// Slots that are answered at most: five minutes of 2 s, a day of 6 min.
pub const SLOTS_MOST: usize = DAY - 1;
const MINUTES: usize = 150 + 1;
const DAY: usize = 240 + 1;
/// A look that comes later than this does not say what was between: the loop hung, or the machine slept.
const GAP_MOST: Millis = Millis(3 * LOOK_LATEST.0);
/// No count or sum in a slot is larger, so that an answer is at most 8 KiB of text: a table of more entries would take 38 GB.
pub const NUMBER_MOST: u32 = 99_999_999;

/// What was seen in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The highest count.
    pub count: u32,
    /// The limit, as last seen. 0: nothing could be read, or there is no limit.
    pub max: u32,
    /// Packets refused.
    pub refused: u32,
    /// What was done: one bit a [`Rung`](crate::rung::Rung), `1 << rung as u8`.
    pub rungs: u8,
}

/// Which slots of a ring stand for something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marker {
    /// The oldest one kept.
    first: u32,
    /// The one being filled.
    at: u32,
}

/// Both rings: 6.2 KiB, all zeros to begin with.
#[derive(Clone, Debug, PartialEq)]
pub struct Rings {
    minutes: [Slot; MINUTES],
    day: [Slot; DAY],
    markers: [Marker; 2],
    /// When it was fed last, and what the table was; not as an `Option`, which would not be all zeros.
    last_at: Millis,
    last: Slot,
    /// As in the last [`Turn`].
    refused_ever: u32,
    fed: bool,
}

impl Default for Rings {
    fn default() -> Self {
        Self::new()
    }
}

/// What a turn of the loop brings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Turn {
    /// The table, if it could be read.
    pub table: Option<Table>,
    /// Packets refused since the start, as 32 bits that begin anew.
    pub refused_ever: u32,
    /// What was done since the turn before: bits as in [`Slot::rungs`].
    pub rungs: u8,
}

impl Rings {
    /// Empty.
    pub const fn new() -> Self {
        let slot = Slot { count: 0, max: 0, refused: 0, rungs: 0 };
        Self {
            minutes: [slot; MINUTES],
            day: [slot; DAY],
            markers: [Marker { first: 0, at: 0 }; 2],
            last_at: Millis(0),
            last: slot,
            refused_ever: 0,
            fed: false,
        }
    }

    /// Takes a turn in. Slots without a look of their own are as the look before: in calm looks are 5 s apart. Time that
    /// went back stays in the slot that is being filled.
    pub fn feed(&mut self, now: Millis, turn: &Turn) {
        let between = if now.since(self.last_at) <= GAP_MOST { self.last } else { Slot::default() };
        let fed = core::mem::replace(&mut self.fed, true);
        let seen = turn.table.as_ref().map(slot_of);
        let refused = turn.refused_ever.wrapping_sub(self.refused_ever);
        self.refused_ever = turn.refused_ever;
        (self.last_at, self.last) = (now, seen.unwrap_or_default());
        for (span, marker) in Span::ALL.into_iter().zip(&mut self.markers) {
            let slots = match span {
                Span::Minutes => &mut self.minutes[..],
                Span::Day => &mut self.day[..],
            };
            let number = number(now, span);
            if !fed {
                *marker = Marker { first: number, at: number };
            }
            let kept = slots.len() as u32;
            while marker.at < number {
                // Over a leap longer than the ring nothing is left: at most one round.
                marker.at = (marker.at + 1).max(number.saturating_sub(kept - 1));
                marker.first = marker.first.max((marker.at + 1).saturating_sub(kept));
                put(slots, marker.at, if marker.at < number { between } else { Slot::default() });
            }
            if let Some(slot) = slots.get_mut(marker.at as usize % slots.len()) {
                if let Some(seen) = &seen {
                    (slot.count, slot.max) = (slot.count.max(seen.count), seen.max);
                }
                slot.refused = slot.refused.saturating_add(refused).min(NUMBER_MOST);
                slot.rungs |= turn.rungs;
            }
        }
    }

    /// The slots that are full, from number `since` on. A `since` that is not there yet is of a former run: then all.
    pub fn since(&self, span: Span, since: u32, marks: &Marks) -> History {
        let [minutes, day] = self.markers;
        let (slots, marker) = match span {
            Span::Minutes => (&self.minutes[..], minutes),
            Span::Day => (&self.day[..], day),
        };
        let since = if since > marker.at { 0 } else { since };
        let first = since.max(marker.first);
        let slots = (first..marker.at).filter_map(|n| slots.get(n as usize % slots.len())).copied().collect();
        History { span, first, slots, high: marks.high, low: marks.low }
    }
}

/// A part of a ring, as it is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Which ring.
    pub span: Span,
    /// The number of the first slot.
    pub first: u32,
    /// One behind the other, without a gap.
    pub slots: heapless::Vec<Slot, SLOTS_MOST>,
    /// Where relief starts.
    pub high: Permille,
    /// Where it stops.
    pub low: Permille,
}

impl History {
    /// The number of the slot behind the last: to ask for next.
    pub fn next(&self) -> u32 {
        self.first + self.slots.len() as u32
    }
}

/// As 32 bits: 272 years of the finer one.
const fn number(now: Millis, span: Span) -> u32 {
    (now.0 / 1000 / span.step_s() as u64) as u32
}

fn slot_of(table: &Table) -> Slot {
    let Table { count: Entries(count), max: Entries(max), .. } = *table;
    Slot { count: count.min(NUMBER_MOST), max, ..Slot::default() }
}

fn put(slots: &mut [Slot], number: u32, to: Slot) {
    let at = number as usize % slots.len();
    if let Some(slot) = slots.get_mut(at) {
        *slot = to;
    }
}
