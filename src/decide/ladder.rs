//! Which rung now: (now, evidence, settings, means) → at most one action, with its reason and the numbers behind it.
//!
//! One action a turn, since the table is looked at again before the next. The ladder is climbed in its configured order:
//! a rung that can do nothing here is passed over, one that reached the low mark ends the climb, one that did not leads
//! to the next after `hold`.
//!
//! ```text
//!   count ≥ high ──> grow (while memory pays) ──> trim ──┬─ reached low: done
//!                                                 │  ^   └─ did not, still refusing for `hold` ──> flush ──> open
//!                    full again at once, thrice ──┘  └── shed: a trim that also caps whoever holds too much
//! ```

pub use super::action::{Action, Decision, Reason, Refusal};
use crate::detect::{Evidence, Marks, Verdict};
use crate::lease::Scope;
use crate::rung::{RUNGS, Rung};
use crate::units::{Entries, Millis, Permille};

/// What the config says to the ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Rungs in the order to be tried.
    pub ladder: heapless::Vec<Rung, RUNGS>,
    /// Marks and hold.
    pub marks: Marks,
    /// Flushes allowed in any hour.
    pub flushes_per_hour: u8,
    /// A flush that kept the table below the high mark for less than this is not repeated.
    pub flush_gain: Millis,
    /// How far the ladder's own openings go.
    pub open_scope: Scope,
    /// Openings allowed in any hour.
    pub opens_per_hour: u8,
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
    /// Sources and destinations can be capped by leases.
    pub can_shed: bool,
    /// The firewall can be opened, and is not open.
    pub can_open: bool,
    /// The rules that need connection tracking can be taken out, and are in.
    pub can_stateless: bool,
    /// The modules can be unloaded, as far as is known.
    pub can_unload: bool,
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
/// Times remembered of a budget, and so the most that `flushes_per_hour` can be. Full: the oldest goes.
pub const FLUSHES_REMEMBERED: usize = 16;
/// A table that is at the high mark again so soon after a trim is being filled as fast as it is trimmed, or the trim was in
/// vain.
const COMES_BACK: Millis = Millis(3_000);
/// So many times in a row, and whoever fills it is capped: fewer may be a burst.
const COMES_BACK_TIMES: u8 = 3;
/// A cap has to show its effect before the next is looked for.
const SHED_PAUSE: Millis = Millis(3_000);

/// So many an hour.
#[derive(Clone, Debug, Default)]
struct Budget {
    times: heapless::Deque<Millis, FLUSHES_REMEMBERED>,
}

impl Budget {
    fn done(&self, now: Millis) -> u8 {
        self.times.iter().filter(|at| now.since(**at) < HOUR).count() as u8
    }
    fn check(&self, now: Millis, allowed: u8) -> Result<(), Refusal> {
        let done = self.done(now);
        if done >= allowed { Err(Refusal::Budget { done, allowed }) } else { Ok(()) }
    }
    fn spend(&mut self, now: Millis) {
        if self.times.is_full() {
            self.times.pop_front();
        }
        let _ = self.times.push_back(now);
    }
}

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The last trim, until the table is at the high mark again.
    trimmed_at: Option<Millis>,
    /// Times in a row that the table was at the high mark again soon after a trim.
    came_back: u8,
    shed_not_before: Millis,
    flushes: Budget,
    opens: Budget,
    /// The last flush, and how long the table then stayed below the high mark (until known: `None`).
    last_flush: Option<(Millis, Option<Millis>)>,
    /// When a flush could not be done. It is not tried again at every look, whatever `flush_gain` says.
    flush_failed: Option<Millis>,
    /// Refusals met in this climb, of flush and open; `true` once it has been told.
    refused: heapless::Vec<(Rung, Refusal, bool), 2>,
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
                self.end_climb(now.since(e.since));
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
        // Over calms too: in an attack that trims hold, they come several times a second.
        if let Some(at) = self.trimmed_at.take() {
            let soon = now.since(at) < COMES_BACK;
            self.came_back = if soon { self.came_back.saturating_add(1) } else { 0 };
        }
        let full = Reason::Full { lasted: e.full_for, hold: marks.hold };
        let high = if occupancy < marks.high { full } else { Reason::High { occupancy, high: marks.high } };
        let saturated = e.verdict == Verdict::Saturated;
        let may_trim = means.can_trim && s.ladder.contains(&Rung::Trim);
        let may_shed = means.can_shed && s.ladder.contains(&Rung::Shed);
        // What was tried and did not help must have had its time before the next rung.
        let mut before_had_its_time = true;
        for rung in &s.ladder {
            match rung {
                Rung::Grow => {
                    if let Some(to) = means.grow_to.filter(|to| *to > e.table.max && !self.grow_failed) {
                        return Some(Decision { action: Action::Grow { to }, reason: high });
                    }
                }
                // One pass, at the first of their places: shed is what trim becomes when it has to come back too often.
                Rung::Trim | Rung::Shed if may_trim || may_shed => {
                    before_had_its_time = self.trim_failing.is_some_and(|since| now.since(since) >= marks.hold);
                    // Due again, though it may be failing: an ever-repeated flush is worse than a trim in vain.
                    let flush_is_due = before_had_its_time
                        && e.verdict == Verdict::Saturated
                        && s.ladder.contains(&Rung::Flush)
                        && self.flush_is_allowed(now, s);
                    if now >= self.trim_not_before && !flush_is_due {
                        let shed = may_shed
                            && now >= self.shed_not_before
                            && (!may_trim || self.came_back >= COMES_BACK_TIMES);
                        let action = if shed || !may_trim { Action::Shed } else { Action::Trim };
                        return Some(Decision { action, reason: high });
                    }
                }
                Rung::Flush if saturated && before_had_its_time && self.flush_is_allowed(now, s) => {
                    return Some(Decision { action: Action::Flush, reason: full });
                }
                Rung::Open if saturated && before_had_its_time && means.can_open => {
                    match self.opens.check(now, s.opens_per_hour) {
                        Ok(()) => {
                            return Some(Decision { action: Action::Open { scope: s.open_scope }, reason: full });
                        }
                        Err(why) => self.refuse(Rung::Open, why, false),
                    }
                }
                Rung::Stateless if saturated && before_had_its_time && means.can_stateless => {
                    return Some(Decision { action: Action::Stateless, reason: full });
                }
                Rung::Unload if saturated && before_had_its_time && means.can_unload => {
                    return Some(Decision { action: Action::Unload, reason: full });
                }
                // Rungs whose time has not come, or without their means here, are passed over.
                _ => {}
            }
        }
        None
    }

    /// The load has been gone for so long: what trims did not do counts for no later climb.
    fn end_climb(&mut self, lasted: Millis) {
        if lasted >= COMES_BACK {
            self.came_back = 0;
        }
        self.trim_failing = None;
        self.trim_pause = Millis(0);
        self.refused.clear();
    }

    /// In calm: the climb starts anew next time, and max goes back.
    fn rest(&mut self, now: Millis, e: &Evidence, s: &Settings, means: &Means) -> Option<Decision> {
        let lasted = now.since(e.since);
        self.end_climb(lasted);
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
            self.refuse(Rung::Flush, why, false);
        }
        allowed.is_ok()
    }

    /// Budget and breaker: may the table be flushed now?
    pub fn may_flush(&self, now: Millis, s: &Settings) -> Result<(), Refusal> {
        self.flushes.check(now, s.flushes_per_hour)?;
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

    fn refuse(&mut self, rung: Rung, why: Refusal, told: bool) {
        if !self.refused.iter().any(|(known, ..)| *known == rung) {
            // Never full: two rungs have a budget.
            let _ = self.refused.push((rung, why, told));
        }
    }

    /// A refusal met in this climb, each told once.
    pub fn take_refusal(&mut self) -> Option<(Rung, Refusal)> {
        let (rung, why, told) = self.refused.iter_mut().find(|(.., told)| !told)?;
        *told = true;
        Some((*rung, *why))
    }

    /// Takes in what came of an action, the ladder's own or a requested one.
    pub fn outcome(&mut self, now: Millis, o: &Outcome, e: &Evidence, marks: &Marks) {
        let max = e.table.max;
        match o.action {
            Action::Grow { .. } => self.grow_failed = !o.done,
            Action::Shrink { .. } => self.shrink_failed = !o.done,
            Action::Trim | Action::Shed => {
                if o.action == Action::Shed {
                    self.shed_not_before = now.after(SHED_PAUSE);
                }
                self.trimmed_at = Some(now);
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
            Action::Open { .. } => self.opens.spend(now),
            Action::Stateless | Action::Unload => {}
            Action::Flush if o.done => {
                self.flushes.spend(now);
                self.last_flush = Some((now, None));
                self.trim_failing = None;
            }
            // Why, whoever tried has told.
            Action::Flush => {
                self.flush_failed = Some(now);
                self.refuse(Rung::Flush, Refusal::NotDone, true);
            }
        }
    }

    /// The config changed, or the module came anew: what failed may work now.
    pub fn renew(&mut self) {
        self.end_climb(COMES_BACK);
        self.trim_not_before = Millis(0);
        (self.grow_failed, self.shrink_failed) = (false, false);
        self.flush_failed = None;
        self.trimmed_at = None;
    }

    /// Openings of the ladder's own within the last hour.
    pub fn opens_within_hour(&self, now: Millis) -> u8 {
        self.opens.done(now)
    }

    /// Flushes done within the last hour.
    pub fn flushes_within_hour(&self, now: Millis) -> u8 {
        self.flushes.done(now)
    }
}
