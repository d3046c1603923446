//! Which rung now: (now, evidence, settings, means) → at most one action, with its reason and the numbers behind it.
//!
//! One action a turn, since the table is looked at again before the next. The ladder is climbed in its configured order:
//! a rung that can do nothing here is passed over, one that reached the low mark ends the climb, one that did not leads
//! to the next after `hold`.
//!
//! ```text
//!   count ≥ high ──> grow (while memory pays) ──> trim ──┬─ reached low: done
//!                                                        └─ did not, still refusing for `hold` ──> flush ──> (breaker)
//! ```

use crate::detect::{Evidence, Marks, Verdict};
use crate::rung::Rung;
use crate::units::{Entries, Millis, Permille};
use core::fmt;
use serde::{Deserialize, Serialize};

/// What the config says to the ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Rungs in the order to be tried.
    pub ladder: heapless::Vec<Rung, 5>,
    /// Marks and hold.
    pub marks: Marks,
    /// Flushes allowed in any hour.
    pub flushes_per_hour: u8,
    /// A flush that kept the table below the high mark for less than this is not repeated.
    pub flush_gain: Millis,
}

/// What could be done now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Means {
    /// The max that memory, buckets and ceiling allow as a next step; `None`: it cannot be raised here.
    pub grow_to: Option<Entries>,
    /// The max to go back to after calm; `None`: it was not raised.
    pub grown_from: Option<Entries>,
    /// Entries can be deleted one by one (ctnetlink is there).
    pub can_trim: bool,
}

/// A change to the system that was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Raise max.
    Grow {
        /// The new max.
        to: Entries,
    },
    /// Put max back to what it was before it was raised.
    Shrink {
        /// The former max.
        to: Entries,
    },
    /// Evict down to the low mark.
    Trim,
    /// Empty the table.
    Flush,
}

impl Action {
    /// The rung it belongs to.
    pub const fn rung(self) -> Rung {
        match self {
            Action::Grow { .. } | Action::Shrink { .. } => Rung::Grow,
            Action::Trim => Rung::Trim,
            Action::Flush => Rung::Flush,
        }
    }
}

/// Why, with the value and the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Reason {
    /// The high mark was reached.
    High { occupancy: Permille, high: Permille },
    /// Packets have been refused with a full table, and gentler rungs did not end it.
    Full { lasted: Millis, hold: Millis },
    /// The table has been calm.
    Calm { lasted: Millis, after: Millis },
}

/// An action and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Decision {
    pub action: Action,
    pub reason: Reason,
}

/// Why a flush is not done though it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Refusal {
    /// So many were done within the hour.
    Budget { done: u8, allowed: u8 },
    /// The last one bought too little.
    Breaker { bought: Millis, wanted: Millis },
    /// The last one was not done: it failed, or was only to be told of.
    NotDone,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Grow { to } => write!(f, "grow max to {to}"),
            Action::Shrink { to } => write!(f, "put max back to {to}"),
            Action::Trim => f.write_str("trim"),
            Action::Flush => f.write_str("flush"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::High { occupancy, high } => write!(f, "occupancy {occupancy}, high mark {high}"),
            Reason::Full { lasted, hold } => write!(f, "full and refusing for {lasted}, hold {hold}"),
            Reason::Calm { lasted, after } => write!(f, "calm for {lasted}, after {after}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Budget { done, allowed } => write!(f, "{done} flushes within the hour, {allowed} allowed"),
            Refusal::Breaker { bought, wanted } => write!(f, "the last flush bought {bought}, less than {wanted}"),
            Refusal::NotDone => f.write_str("the last flush failed or was a dry run; not again within the hour"),
        }
    }
}

/// Max goes back so long after the table became calm.
const GROWN_REST: Millis = Millis(60_000);
/// A trim that gained next to nothing is repeated after this, then after twice that, up to [`PAUSE_MOST`].
const PAUSE_FIRST: Millis = Millis(40);
/// See [`PAUSE_FIRST`].
const PAUSE_MOST: Millis = Millis(2_000);
/// Gained next to nothing: less than this part of max.
const GAIN_LEAST: Permille = Permille(10);
const HOUR: Millis = Millis(3_600_000);
/// Flush times remembered, and so the most that `flushes_per_hour` can be. Full: the oldest goes.
pub const FLUSHES_REMEMBERED: usize = 16;

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was done.
    pub action: Action,
    /// Count before, as re-read just before acting.
    pub before: Entries,
    /// Count after, as read back.
    pub after: Entries,
    /// How long it took.
    pub took: Millis,
    /// It was done as far as could be; `false`: it failed or was only a dry run.
    pub done: bool,
}

/// Where the climb stands.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    trim_not_before: Millis,
    trim_pause: Millis,
    /// Since when trims have not brought the table below the high mark.
    trim_failing: Option<Millis>,
    /// Max could not be raised, could not be put back: not tried again in this climb, in this calm.
    grow_failed: bool,
    shrink_failed: bool,
    flushes: heapless::Deque<Millis, FLUSHES_REMEMBERED>,
    /// The last flush, and how long the table then stayed below the high mark (until known: `None`).
    last_flush: Option<(Millis, Option<Millis>)>,
    /// When a flush could not be done. It is not tried again at every look, whatever `flush_gain` says.
    flush_failed: Option<Millis>,
    /// A refusal met in this climb; `true` once it has been told.
    refused: Option<(Refusal, bool)>,
}

impl Ladder {
    /// The one action to take now, if any.
    pub fn decide(&mut self, now: Millis, e: &Evidence, s: &Settings, means: &Means) -> Option<Decision> {
        let marks = &s.marks;
        let occupancy = e.table.occupancy();
        match e.verdict {
            // What comes back may be another table, of a module loaded anew.
            Verdict::Blind => {
                self.renew();
                return None;
            }
            Verdict::Misreported => {
                self.end_climb();
                return None;
            }
            Verdict::Calm => return self.rest(now, e, s, means),
            Verdict::Filling | Verdict::Saturated => self.shrink_failed = false,
        }
        if occupancy < e.relief_from(marks) {
            return None;
        }
        if let Some((at, bought @ None)) = &mut self.last_flush {
            *bought = Some(now.since(*at));
        }
        let full = Reason::Full { lasted: e.full_for, hold: marks.hold };
        let high = if occupancy < marks.high { full } else { Reason::High { occupancy, high: marks.high } };
        // What was tried and did not help must have had its time before the next rung.
        let mut before_had_its_time = true;
        for rung in &s.ladder {
            match rung {
                Rung::Grow => {
                    if let Some(to) = means.grow_to.filter(|to| *to > e.table.max && !self.grow_failed) {
                        return Some(Decision { action: Action::Grow { to }, reason: high });
                    }
                }
                Rung::Trim if means.can_trim => {
                    before_had_its_time = self.trim_failing.is_some_and(|since| now.since(since) >= marks.hold);
                    // Due again, though it may be failing: an ever-repeated flush is worse than a trim in vain.
                    let flush_is_due = before_had_its_time
                        && e.verdict == Verdict::Saturated
                        && s.ladder.contains(&Rung::Flush)
                        && self.flush_is_allowed(now, s);
                    if now >= self.trim_not_before && !flush_is_due {
                        return Some(Decision { action: Action::Trim, reason: high });
                    }
                }
                Rung::Flush if e.verdict == Verdict::Saturated && before_had_its_time => {
                    if self.flush_is_allowed(now, s) {
                        return Some(Decision { action: Action::Flush, reason: full });
                    }
                }
                // Rungs of a later version, or without their means here, are passed over.
                Rung::Trim | Rung::Flush | Rung::Shed | Rung::Open => {}
            }
        }
        None
    }

    /// The load is gone: what trims did not do counts for no later climb.
    fn end_climb(&mut self) {
        self.trim_failing = None;
        self.trim_pause = Millis(0);
        self.refused = None;
    }

    /// In calm: the climb starts anew next time, and max goes back.
    fn rest(&mut self, now: Millis, e: &Evidence, s: &Settings, means: &Means) -> Option<Decision> {
        let lasted = now.since(e.since);
        self.end_climb();
        // Not at once: in an attack that trims hold, calm comes several times a second.
        self.grow_failed &= lasted < GROWN_REST;
        if lasted >= s.flush_gain
            && self.last_flush.is_some_and(|(at, bought)| bought.is_some() && now.since(at) >= HOUR)
        {
            self.last_flush = None;
        }
        let to = means.grown_from?;
        if lasted >= GROWN_REST && !self.shrink_failed && e.table.count <= to.part(s.marks.low) {
            let reason = Reason::Calm { lasted, after: GROWN_REST };
            return Some(Decision { action: Action::Shrink { to }, reason });
        }
        None
    }

    /// Whether it may be flushed now. If not, why is told once in a climb.
    fn flush_is_allowed(&mut self, now: Millis, s: &Settings) -> bool {
        let allowed = self.may_flush(now, s);
        if let Err(why) = allowed {
            self.refused.get_or_insert((why, false));
        }
        allowed.is_ok()
    }

    /// Budget and breaker: may the table be flushed now?
    pub fn may_flush(&self, now: Millis, s: &Settings) -> Result<(), Refusal> {
        let done = self.flushes.iter().filter(|at| now.since(**at) < HOUR).count() as u8;
        if done >= s.flushes_per_hour {
            return Err(Refusal::Budget { done, allowed: s.flushes_per_hour });
        }
        if self.flush_failed.is_some_and(|at| now.since(at) < HOUR) {
            return Err(Refusal::NotDone);
        }
        match self.last_flush {
            Some((at, Some(bought))) if bought < s.flush_gain && now.since(at) < HOUR => {
                Err(Refusal::Breaker { bought, wanted: s.flush_gain })
            }
            _ => Ok(()),
        }
    }

    /// The refusal met in this climb, told once.
    pub fn take_refusal(&mut self) -> Option<Refusal> {
        let (why, told) = self.refused.as_mut()?;
        (!core::mem::replace(told, true)).then_some(*why)
    }

    /// Takes in what came of an action, the ladder's own or a requested one.
    pub fn outcome(&mut self, now: Millis, o: &Outcome, e: &Evidence, marks: &Marks) {
        let max = e.table.max;
        match o.action {
            Action::Grow { .. } => self.grow_failed = !o.done,
            Action::Shrink { .. } => self.shrink_failed = !o.done,
            Action::Trim => {
                let gained = o.before.less(o.after);
                if o.after < max.part(e.relief_from(marks)) {
                    self.trim_failing = None;
                } else {
                    self.trim_failing.get_or_insert(now);
                }
                let vain = !o.done || gained < max.part(GAIN_LEAST);
                self.trim_pause = match self.trim_pause {
                    _ if !vain => Millis(0),
                    Millis(0) => PAUSE_FIRST,
                    Millis(p) => Millis(p * 2).min(PAUSE_MOST),
                };
                // Never more than half of the time: a slow core must also forward packets.
                self.trim_not_before = now.after(self.trim_pause.max(o.took));
            }
            Action::Flush if o.done => {
                if self.flushes.is_full() {
                    self.flushes.pop_front();
                }
                let _ = self.flushes.push_back(now);
                self.last_flush = Some((now, None));
                self.trim_failing = None;
            }
            // Why, whoever tried has told.
            Action::Flush => {
                self.flush_failed = Some(now);
                self.refused = Some((Refusal::NotDone, true));
            }
        }
    }

    /// The config changed, or the module came anew: what failed may work now.
    pub fn renew(&mut self) {
        self.end_climb();
        self.trim_not_before = Millis(0);
        (self.grow_failed, self.shrink_failed) = (false, false);
        self.flush_failed = None;
    }

    /// Flushes done within the last hour.
    pub fn flushes_within_hour(&self, now: Millis) -> u8 {
        self.flushes.iter().filter(|at| now.since(**at) < HOUR).count() as u8
    }
}
