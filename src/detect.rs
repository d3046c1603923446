//! Looks at the table → a verdict, with the evidence it rests on.
//!
//! ```text
//!             count ≥ high, or refused while full        refused while full, for `hold`
//!      Calm ─────────────────────────────────────> Filling ────────────────────> Saturated
//!        ^  <── count ≤ low, or below high for 10 s ──┘ <── no refusal for a while ──┘
//!        │
//!        ├── refused, but the table is not full ──> Misreported     (for as long as it is so)
//!        └── count or max cannot be read ─────────> Blind
//! ```
//!
//! A refusal is seen three ways: the `drop` column (every packet), the log line (at most ten in 5 s, but at once, and
//! on kernels without the column), and count ≥ max.

use crate::units::{Entries, Millis, Permille};
use core::fmt;

/// What the state of the table is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Room enough.
    Calm,
    /// Above the high mark, or refusing for less than `hold`.
    Filling,
    /// Refusing packets with a full table, for `hold`.
    Saturated,
    /// Refusals with room left: another table, or a counter that lies. Never a reason to flush.
    Misreported,
    /// Nothing can be read. Never a reason to act.
    #[default]
    Blind,
}

impl Verdict {
    /// All.
    pub const ALL: [Verdict; 5] =
        [Verdict::Calm, Verdict::Filling, Verdict::Saturated, Verdict::Misreported, Verdict::Blind];

    /// The word in log, status and ubus.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Calm => "calm",
            Verdict::Filling => "filling",
            Verdict::Saturated => "saturated",
            Verdict::Misreported => "misreported",
            Verdict::Blind => "blind",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Count and limits as read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Entries now.
    pub count: Entries,
    /// The limit. 0 on old kernels: unlimited.
    pub max: Entries,
    /// Hash slots; 0 where it cannot be read.
    pub buckets: Entries,
}

impl Table {
    /// count / max; an unlimited table is empty.
    pub const fn occupancy(&self) -> Permille {
        if self.max.0 == 0 { Permille(0) } else { self.count.share_of(self.max) }
    }
}

impl fmt::Display for Table {
    /// `1740 of 2048 entries (84.9 %)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max.0 {
            0 => write!(f, "{} entries, no limit", self.count),
            _ => write!(f, "{} of {} entries ({})", self.count, self.max, self.occupancy()),
        }
    }
}

/// All that one look brought in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// When.
    pub at: Millis,
    /// `None`: no source could be read.
    pub table: Option<Table>,
    /// Packets refused since the look before, from the `drop` column; `None` where it is missing or was not read now.
    pub dropped: Option<u32>,
    /// The kernel's lines about a full table since the look before.
    pub logged: u32,
    /// Lines that it says it held back before these: they count, but speak of the past.
    pub suppressed: u32,
    /// Lines about a full *expectation* table: refusals of another kind.
    pub expectations: u32,
}

/// The marks and the patience, from the config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marks {
    /// Relief starts here.
    pub high: Permille,
    /// Relief stops here.
    pub low: Permille,
    /// How long refusals with a full table must last to be `Saturated`.
    pub hold: Millis,
}

/// From here on a refusal is believed to come of a full table: between the refusal and our look some entries end.
pub const FULL: Permille = Permille(950);
/// A refusal is news for this long. Longer than the 5 s in which the kernel prints at most ten lines, so that on kernels
/// without the `drop` column a steady stream of refusals has no gaps.
const REFUSAL_MEMORY: Millis = Millis(6_000);
/// The same where the exact column is read at every look.
const REFUSAL_MEMORY_EXACT: Millis = Millis(2_000);
/// A table that stays between the marks for so long has settled there.
const SETTLED: Millis = Millis(10_000);
/// New flows a second assumed where none were seen yet. 3,200 a second (a hog that reconnects as fast as it can) fill a table of
/// 2,048 in 0.55 s: at 1,000 assumed one burst in four was full before the first look. At 1,500 an idle daemon makes over four
/// system calls a second.
const ASSUMED_PER_SECOND: u64 = 1_300;
/// The next look is never nearer than this, nor further than [`LOOK_LATEST`].
pub const LOOK_SOONEST: Millis = Millis(20);
/// See [`LOOK_SOONEST`].
pub const LOOK_LATEST: Millis = Millis(5_000);

/// A verdict and what it rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The verdict.
    pub verdict: Verdict,
    /// Since when it has been that.
    pub since: Millis,
    /// The table as last read.
    pub table: Table,
    /// Packets refused since the table last was `Calm`: exact where the column is there, else what the log told.
    pub refused: u32,
    /// Entries that the table grew by in a second, of late; 0 when it shrinks.
    pub fill_rate: u32,
    /// How long packets have been refused with a full table; 0 if they are not.
    pub full_for: Millis,
}

impl Evidence {
    /// From this occupancy on relief is called for: the high mark. Refused packets call for it wherever that mark is.
    pub fn relief_from(&self, marks: &Marks) -> Permille {
        if self.full_for.0 > 0 { marks.high.min(FULL) } else { marks.high }
    }
}

/// Turns looks into a verdict. Fed with every look, so that its windows stay true.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detector {
    evidence: Evidence,
    last: Option<(Millis, Table)>,
    full_since: Option<Millis>,
    refused_at: Option<Millis>,
    misreported_at: Option<Millis>,
    below_high_since: Option<Millis>,
    exact: bool,
    refused_ever: u32,
}

impl Detector {
    /// Takes a look in; the evidence is then that of this moment.
    pub fn feed(&mut self, look: &Look, marks: &Marks) -> &Evidence {
        let now = look.at;
        let Some(table) = look.table else {
            self.become_(Verdict::Blind, now);
            self.last = None;
            self.full_since = None;
            return &self.evidence;
        };
        self.measure_rate(now, table);
        self.weigh_refusals(look, table, marks);
        self.evidence.table = table;
        self.evidence.full_for = self.full_since.map_or(Millis(0), |since| now.since(since));

        let occupancy = table.occupancy();
        if occupancy >= marks.high {
            self.below_high_since = None;
        } else if self.below_high_since.is_none() {
            self.below_high_since = Some(now);
        }
        let settled = occupancy <= marks.low || self.below_high_since.is_some_and(|s| now.since(s) >= SETTLED);
        let relieving = matches!(self.evidence.verdict, Verdict::Filling | Verdict::Saturated);
        let verdict = if self.full_since.is_some_and(|since| now.since(since) >= marks.hold) {
            Verdict::Saturated
        } else if self.full_since.is_some() || occupancy >= marks.high || relieving && !settled {
            Verdict::Filling
        } else if self.misreported_at.is_some() {
            Verdict::Misreported
        } else {
            Verdict::Calm
        };
        self.become_(verdict, now);
        &self.evidence
    }

    /// The evidence as of the last look.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Packets refused since the start, as in [`Evidence::refused`]; from 2³² on it begins anew.
    pub const fn refused_ever(&self) -> u32 {
        self.refused_ever
    }

    /// Relief changes the table, or has just done so: the rate of filling cannot be told from before to now. Measured with
    /// a flood of 10,000 a second: taken over a trim, the rate came out negative, and the next look far too late.
    pub fn relieved(&mut self) {
        self.last = None;
    }

    /// How long until the next look: half the time to the high mark (above it: to a full table) at the rate seen, and at
    /// an assumed 1,300 new flows a second.
    pub fn next_look(&self, marks: &Marks) -> Millis {
        let t = &self.evidence.table;
        if self.evidence.verdict == Verdict::Blind || t.max.0 == 0 {
            return LOOK_LATEST;
        }
        let high = t.max.part(marks.high);
        let room = if t.count < high { high.less(t.count) } else { t.max.less(t.count) };
        let rate = (self.evidence.fill_rate as u64).max(ASSUMED_PER_SECOND);
        Millis(room.0 as u64 * 1000 / rate / 2).clamp(LOOK_SOONEST, LOOK_LATEST)
    }

    fn become_(&mut self, verdict: Verdict, now: Millis) {
        if self.evidence.verdict != verdict {
            self.evidence.verdict = verdict;
            self.evidence.since = now;
            if verdict == Verdict::Calm {
                self.evidence.refused = 0;
            }
        }
    }

    /// A faster rate counts at once, a slower one is believed by halves: a burst must not be averaged away.
    fn measure_rate(&mut self, now: Millis, table: Table) {
        let Some((then, before)) = self.last else {
            self.last = Some((now, table));
            return;
        };
        let span = now.since(then).0;
        if span == 0 {
            return;
        }
        self.last = Some((now, table));
        let rate = (table.count.less(before.count).0 as u64 * 1000 / span).min(u32::MAX as u64) as u32;
        let old = self.evidence.fill_rate;
        self.evidence.fill_rate = if rate >= old { rate } else { rate + (old - rate) / 2 };
    }

    fn weigh_refusals(&mut self, look: &Look, table: Table, marks: &Marks) {
        let now = look.at;
        self.exact |= look.dropped.is_some();
        let told = look.dropped.unwrap_or(if self.exact { 0 } else { look.logged.saturating_add(look.suppressed) });
        let at_limit = table.max.0 != 0 && table.count >= table.max;
        // Lines held back count, but the kernel tells of them later: they are no evidence of now.
        let refusing = look.dropped.unwrap_or(0) > 0 || look.logged > 0 || at_limit;
        self.evidence.refused = self.evidence.refused.saturating_add(told);
        self.refused_ever = self.refused_ever.wrapping_add(told);
        // Refusals are told for the time since the look before: full then or full now is full.
        let peak = self.occupancy_before().max(table.occupancy());
        if refusing && (peak >= FULL || self.full_since.is_some() && table.occupancy() >= marks.high) {
            self.refused_at = Some(now);
            self.full_since.get_or_insert(now);
            self.misreported_at = None;
        } else if refusing || look.expectations > 0 {
            self.misreported_at = Some(now);
        }
        let memory = if self.exact { REFUSAL_MEMORY_EXACT } else { REFUSAL_MEMORY };
        if self.refused_at.is_some_and(|at| now.since(at) >= memory) || table.occupancy() <= marks.low {
            self.refused_at = None;
            self.full_since = None;
        }
        if self.misreported_at.is_some_and(|at| now.since(at) >= REFUSAL_MEMORY) {
            self.misreported_at = None;
        }
    }

    /// At the look before. If that was blind nobody knows, and what was there last may have been another table.
    fn occupancy_before(&self) -> Permille {
        if self.evidence.verdict == Verdict::Blind { Permille(0) } else { self.evidence.table.occupancy() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { high: Permille(850), low: Permille(600), hold: Millis(2_000) };

    fn look(at: u64, count: u32, dropped: u32) -> Look {
        let table = Table { count: Entries(count), max: Entries(1000), buckets: Entries(1000) };
        Look { at: Millis(at), table: Some(table), dropped: Some(dropped), ..Look::default() }
    }

    #[test]
    fn saturated_only_after_hold_and_calm_again_after_relief() {
        let mut d = Detector::default();
        assert_eq!(d.feed(&look(0, 100, 0), &MARKS).verdict, Verdict::Calm);
        assert_eq!(d.feed(&look(1_000, 900, 0), &MARKS).verdict, Verdict::Filling);
        assert_eq!(d.feed(&look(1_100, 1000, 5), &MARKS).verdict, Verdict::Filling);
        assert_eq!(d.feed(&look(3_000, 1000, 70), &MARKS).verdict, Verdict::Filling);
        let e = *d.feed(&look(3_100, 1000, 7), &MARKS);
        assert_eq!((e.verdict, e.full_for, e.refused), (Verdict::Saturated, Millis(2_000), 82));
        assert_eq!(d.feed(&look(3_200, 590, 1), &MARKS).verdict, Verdict::Calm);
        assert_eq!(d.evidence().refused, 0);
    }

    #[test]
    fn refusals_with_room_left_are_misreported_and_pass() {
        let mut d = Detector::default();
        d.feed(&look(0, 300, 0), &MARKS);
        assert_eq!(d.feed(&look(100, 300, 9), &MARKS).verdict, Verdict::Misreported);
        assert_eq!(d.feed(&look(5_000, 300, 9), &MARKS).verdict, Verdict::Misreported);
        assert_eq!(d.feed(&look(11_000, 300, 0), &MARKS).verdict, Verdict::Calm);
    }

    #[test]
    fn refusals_of_the_moment_before_relief_are_not_misreported() {
        let mut d = Detector::default();
        d.feed(&look(0, 1000, 0), &MARKS);
        assert_eq!(d.feed(&look(20, 700, 3), &MARKS).verdict, Verdict::Filling);
    }

    #[test]
    fn without_the_column_the_log_carries_the_hold_over_its_own_silence() {
        let mut d = Detector::default();
        let line = |at, logged| Look { dropped: None, logged, ..look(at, 1000, 0) };
        let hold = Marks { hold: Millis(8_000), ..MARKS };
        d.feed(&Look { table: Some(Table { count: Entries(990), ..line(0, 0).table.unwrap() }), ..line(0, 3) }, &hold);
        assert_eq!(d.feed(&line(5_000, 10), &hold).verdict, Verdict::Filling);
        assert_eq!(d.feed(&line(8_000, 0), &hold).verdict, Verdict::Saturated);
    }

    #[test]
    fn nothing_readable_is_blind_and_comes_back() {
        let mut d = Detector::default();
        assert_eq!(d.feed(&Look { at: Millis(5), ..Look::default() }, &MARKS).verdict, Verdict::Blind);
        assert_eq!(d.next_look(&MARKS), LOOK_LATEST);
        assert_eq!(d.feed(&look(10, 10, 0), &MARKS).verdict, Verdict::Calm);
    }

    #[test]
    fn the_next_look_is_half_the_time_to_the_high_mark() {
        let mut d = Detector::default();
        d.feed(&look(0, 0, 0), &MARKS);
        assert_eq!(d.next_look(&MARKS), Millis(326), "at the assumed 1,300 a second");
        d.feed(&look(100, 450, 0), &MARKS);
        assert_eq!(d.next_look(&MARKS), Millis(400 * 1000 / 4500 / 2), "at the 4,500 a second seen");
        d.feed(&look(200, 849, 0), &MARKS);
        assert_eq!(d.next_look(&MARKS), LOOK_SOONEST);
    }
}
