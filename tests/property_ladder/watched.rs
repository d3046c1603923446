//! A guard, and a witness of all that it was shown and did, which knows the laws.

use super::stretch::{Fate, Stretch, Where};
use ctwarden::decide::ladder::{Action, Decision, Means, Outcome, Settings};
use ctwarden::detect::{FULL, LOOK_LATEST, LOOK_SOONEST, Look, Table, Verdict};
use ctwarden::guard::Guard;
use ctwarden::rung::Rung;
use ctwarden::units::{Entries, Millis, Permille};
use proptest::prelude::*;

pub const HOUR: u64 = 3_600_000;
/// A refusal is believed to go on for so long at most: kernels print ten lines in 5 s.
pub const REFUSAL_NEWS: u64 = 6_000;
/// The same where the drop column tells of every packet.
pub const REFUSAL_NEWS_EXACT: u64 = 2_000;
/// Max goes back after so much calm, and what failed is tried again after it.
pub const REST: u64 = 60_000;
/// The longest that a trim in vain keeps the next one waiting, beside the time that it took itself.
pub const PAUSE: u64 = 2_000;

/// So soon after a trim the table is full again at once; so often, and a cap is called for.
pub const SOON: u64 = 3_000;
pub const RETURNS: u8 = 3;

/// A flush that was done, and how long it was until the table was above the high mark again.
#[derive(Clone, Copy, Debug)]
struct Flushed {
    at: u64,
    bought: Option<u64>,
}

/// A guard, and a witness of all that it was shown and did.
pub struct Watched {
    pub guard: Guard,
    pub s: Settings,
    /// The kernel has the `drop` column.
    column: bool,
    pub now: u64,
    /// Since when packets were refused with a full table, and when last; as the looks say.
    full: Option<(u64, u64)>,
    last_occupancy: u16,
    flushes: Vec<Flushed>,
    flush_failed: Option<u64>,
    opens: Vec<u64>,
    grow_failed: bool,
    shrink_failed: bool,
    /// A trim of this climb that left the table above the high mark.
    trim_failed: bool,
    trim_due: u64,
    calm_since: Option<u64>,
    /// The last trim, until the table is above the high mark again; and how often in a row it was so at once.
    trimmed: Option<u64>,
    returns: u8,
    shed_due: u64,
    /// The last look at the table and what it counted, and how many entries a second had come then.
    counted: Option<(u64, u32)>,
    rate: u64,
}

/// New flows a second that may begin at any moment, whatever was seen.
const AT_ANY_MOMENT: u64 = 1_000;

impl Watched {
    pub fn new(s: Settings, column: bool) -> Self {
        Watched {
            guard: Guard::default(),
            s,
            column,
            now: 0,
            full: None,
            last_occupancy: 0,
            flushes: vec![],
            flush_failed: None,
            opens: vec![],
            grow_failed: false,
            shrink_failed: false,
            trim_failed: false,
            trim_due: 0,
            calm_since: None,
            trimmed: None,
            returns: 0,
            shed_due: 0,
            counted: None,
            rate: 0,
        }
    }

    fn count(&self, w: &Stretch) -> u32 {
        let (high, low) = (self.s.marks.high.0 as u64, self.s.marks.low.0 as u64);
        let (r, max) = (w.within as u64, w.max as u64);
        let part = |permille: u64| (max * permille / 1000) as u32;
        match w.at {
            Where::Low => part(low * r / 1000),
            Where::Between => part(low + (high - low) * r / 1000),
            Where::High => part(high + (1000 - high) * r / 1000).saturating_add(1).min(w.max),
            Where::Full => w.max,
            Where::Anywhere | Where::Unreadable => part(r * 2).max(r as u32),
        }
    }

    fn look(&self, w: &Stretch) -> Look {
        let table = Table { count: Entries(self.count(w)), max: Entries(w.max), buckets: Entries(w.max) };
        Look {
            at: Millis(self.now),
            table: (w.at != Where::Unreadable).then_some(table),
            dropped: self.column.then_some(w.dropped),
            logged: w.logged,
            suppressed: w.suppressed,
            expectations: w.expectations,
        }
    }

    /// What the looks themselves say about being full.
    fn witness(&mut self, look: &Look) {
        let Some(t) = look.table else {
            (self.full, self.last_occupancy) = (None, 0);
            return;
        };
        let (now, occupancy) = (self.now, t.occupancy());
        let refused = look.dropped.unwrap_or(0) > 0 || look.logged > 0 || t.max.0 > 0 && t.count >= t.max;
        let full = occupancy.max(Permille(self.last_occupancy)) >= FULL;
        if refused && (full || self.full.is_some() && occupancy >= self.s.marks.high) {
            self.full = Some((self.full.map_or(now, |(since, _)| since), now));
        }
        let news = if self.column { REFUSAL_NEWS_EXACT } else { REFUSAL_NEWS };
        if self.full.is_some_and(|(_, last)| now - last >= news) || occupancy <= self.s.marks.low {
            self.full = None;
        }
        if occupancy >= self.relief_from()
            && let Some(last) = self.flushes.last_mut()
        {
            last.bought.get_or_insert(now - last.at);
        }
        if occupancy >= self.relief_from()
            && let Some(at) = self.trimmed.take()
        {
            self.returns = if now - at < SOON { self.returns.saturating_add(1) } else { 0 };
        }
        self.last_occupancy = occupancy.0;
    }

    /// The next look comes when at most half the way to the high mark is filled, at the rate just seen and at that which may
    /// begin at any moment; above the mark, half the way to a full table.
    fn looks_in_time(&mut self, look: &Look, next: Millis) -> Result<(), TestCaseError> {
        let Some(t) = look.table else {
            self.counted = None;
            return Ok(());
        };
        match self.counted {
            Some((then, before)) if self.now > then => {
                let rate = u64::from(t.count.0.saturating_sub(before)) * 1_000 / (self.now - then);
                self.rate = rate.min(u32::MAX.into());
                self.counted = Some((self.now, t.count.0));
            }
            Some(_) => {}
            None => self.counted = Some((self.now, t.count.0)),
        }
        let high = t.max.part(self.s.marks.high);
        let until = if t.count < high { high } else { t.max };
        let room = u64::from(until.0.saturating_sub(t.count.0));
        let half = room * 1_000 / self.rate.max(AT_ANY_MOMENT) / 2;
        let in_time = t.max.0 == 0 || next.0 <= half.max(LOOK_SOONEST.0);
        prop_assert!(in_time, "next look in {next}, {room} entries to go at {} a second", self.rate);
        Ok(())
    }

    /// From here on relief is called for: the high mark; while packets are refused a full table, wherever the mark is.
    pub fn relief_from(&self) -> Permille {
        let high = self.s.marks.high;
        if self.full.is_some_and(|(since, _)| self.now > since) { high.min(FULL) } else { high }
    }

    fn flush_is_allowed(&self) -> Result<(), TestCaseError> {
        let lately = self.flushes.iter().filter(|f| self.now - f.at < HOUR).count();
        prop_assert!(lately < self.s.flushes_per_hour as usize, "{lately} flushes within the hour");
        // The last one: of those before it the config may have thought otherwise.
        let last = self.flushes.last().filter(|f| self.now - f.at < HOUR);
        let poor = last.and_then(|f| f.bought).is_some_and(|bought| bought < self.s.flush_gain.0);
        prop_assert!(!poor, "the last one bought too little: {last:?}");
        prop_assert!(self.flush_failed.is_none_or(|at| self.now - at >= HOUR), "it could not be done before");
        Ok(())
    }

    fn may_open(&self) -> bool {
        self.opens.iter().filter(|at| self.now - **at < HOUR).count() < self.s.opens_per_hour as usize
    }

    /// Entries can be deleted by one of these rungs.
    fn trims(&self, w: &Stretch, rungs: &[Rung]) -> bool {
        w.can_trim && rungs.contains(&Rung::Trim) || w.can_shed && rungs.contains(&Rung::Shed)
    }

    /// What stands before a rung in the ladder.
    fn before(&self, rung: Rung) -> impl Iterator<Item = Rung> {
        self.s.ladder.clone().into_iter().take_while(move |r| *r != rung)
    }

    /// One look and what the guard makes of it.
    pub fn turn(&mut self, w: &Stretch) -> Result<Option<Decision>, TestCaseError> {
        let look = self.look(w);
        let occupancy = look.table.map_or(Permille(0), |t| t.occupancy());
        let part = |p: u8| Entries((w.max as u64 * p as u64 / 50).min(u32::MAX as u64) as u32);
        let means = Means {
            grow_to: w.grow_by.map(part),
            grown_from: w.grown_from.map(part),
            can_trim: w.can_trim,
            can_shed: w.can_shed,
            can_open: w.can_open,
            can_stateless: w.can_open,
            can_unload: w.can_open,
        };
        self.witness(&look);
        let decision = self.guard.turn(&look, &means, &self.s, &mut |event| drop(event.to_string()));
        let e = *self.guard.evidence();
        let next = self.guard.next_look(&self.s);
        prop_assert!((LOOK_SOONEST..=LOOK_LATEST).contains(&next), "next look in {next}");
        self.looks_in_time(&look, next)?;
        prop_assert_eq!(e.verdict == Verdict::Blind, look.table.is_none());
        let climbing = matches!(e.verdict, Verdict::Filling | Verdict::Saturated);
        self.trim_failed &= climbing;
        self.shrink_failed &= !climbing;
        if e.verdict == Verdict::Calm {
            let since = *self.calm_since.get_or_insert(self.now);
            self.grow_failed &= self.now - since < REST;
        } else {
            self.calm_since = None;
        }
        if !climbing && self.now - e.since.0 >= SOON {
            self.returns = 0;
        }
        if e.verdict == Verdict::Blind {
            self.renewed();
        }
        let Some(Decision { action, .. }) = decision else {
            let wanted = climbing && occupancy >= self.relief_from();
            let trims = self.trims(w, &self.s.ladder);
            let has = |rung| e.verdict == Verdict::Saturated && w.can_open && self.s.ladder.contains(&rung);
            let opens = has(Rung::Open) && self.may_open() || has(Rung::Stateless) || has(Rung::Unload);
            let flushes = e.verdict == Verdict::Saturated && self.s.ladder.contains(&Rung::Flush);
            let idle = match trims {
                true => self.now < self.trim_due,
                false => !opens && (!flushes || self.flush_is_allowed().is_err()),
            };
            prop_assert!(!wanted || idle, "nothing is done about {e:?}");
            return Ok(None);
        };
        if let Action::Shrink { to } = action {
            prop_assert_eq!(e.verdict, Verdict::Calm);
            prop_assert!(Some(to) == means.grown_from && !self.shrink_failed);
            prop_assert!(self.calm_since.is_some_and(|since| self.now - since >= REST));
            prop_assert!(e.table.count <= to.part(self.s.marks.low), "it would be full again");
            return Ok(decision);
        }
        prop_assert!(climbing, "{action} while {}", e.verdict);
        prop_assert!(self.s.ladder.contains(&action.rung()), "{action}");
        prop_assert!(occupancy >= self.relief_from(), "{action} at {occupancy}");
        let grows = means.grow_to.is_some_and(|to| to > e.table.max);
        // One pass, at the first of their places: shed is what trim becomes when it has to come back too often.
        let place = match action {
            Action::Trim | Action::Shed => {
                let first = self.s.ladder.iter().find(|r| matches!(r, Rung::Trim | Rung::Shed));
                first.copied().unwrap_or(Rung::Trim)
            }
            other => other.rung(),
        };
        if place != Rung::Grow && self.before(place).any(|r| r == Rung::Grow) {
            prop_assert!(!grows || self.grow_failed, "{action} before grow");
        }
        match action {
            Action::Grow { to } => prop_assert!(Some(to) == means.grow_to && grows && !self.grow_failed),
            Action::Trim => prop_assert!(w.can_trim),
            Action::Shed => {
                let called_for = self.returns >= RETURNS && self.now >= self.shed_due;
                let may_trim = w.can_trim && self.s.ladder.contains(&Rung::Trim);
                prop_assert!(w.can_shed && (called_for || !may_trim), "shed after {} returns", self.returns);
            }
            Action::Flush | Action::Open { .. } | Action::Stateless | Action::Unload => {
                prop_assert_eq!(e.verdict, Verdict::Saturated);
                let lasted = self.full.map(|(since, _)| self.now - since);
                prop_assert!(lasted.is_some_and(|l| l >= self.s.marks.hold.0), "{action} after {lasted:?}");
                if self.trims(w, &self.before(place).collect::<Vec<_>>()) {
                    prop_assert!(self.trim_failed, "{action} before trim");
                }
                match action {
                    Action::Flush => self.flush_is_allowed()?,
                    Action::Open { .. } => prop_assert!(w.can_open && self.may_open()),
                    _ => prop_assert!(w.can_open),
                }
                if action != Action::Flush && self.before(place).any(|r| r == Rung::Flush) {
                    prop_assert!(self.flush_is_allowed().is_err(), "{action} before flush");
                }
            }
            Action::Shrink { .. } => {}
        }
        Ok(decision)
    }

    /// What came of it.
    fn act(&mut self, action: Action, w: &Stretch) {
        let (before, full_from) = (Entries(self.count(w)), self.relief_from());
        self.now += w.took;
        let (after, done) = match w.fate {
            Fate::Done(part) => (Entries((w.max as u64 * part as u64 / 1000).min(u32::MAX as u64) as u32), true),
            Fate::Failed => (before, false),
            Fate::Dropped => return,
        };
        if done {
            // Relief changes the table, whatever comes in meanwhile: from before to after it there is no rate.
            self.counted = None;
        }
        let outcome = Outcome { action, before, after, took: Millis(w.took), done };
        self.guard.outcome(Millis(self.now), &outcome, &self.s);
        match action {
            Action::Grow { .. } => self.grow_failed = !done,
            Action::Shrink { .. } => self.shrink_failed = !done,
            Action::Trim | Action::Shed => {
                self.trim_failed = after >= self.guard.evidence().table.max.part(full_from);
                self.trim_due = self.now + PAUSE.max(w.took);
                self.trimmed = Some(self.now);
                if action == Action::Shed {
                    self.shed_due = self.now + SOON;
                }
            }
            Action::Flush if done => {
                self.flushes.push(Flushed { at: self.now, bought: None });
                self.trim_failed = false;
            }
            Action::Flush => self.flush_failed = Some(self.now),
            Action::Open { .. } => self.opens.push(self.now),
            Action::Stateless | Action::Unload => {}
        }
    }

    /// The config is another, or the table may be: what failed may work now.
    fn renewed(&mut self) {
        (self.grow_failed, self.shrink_failed, self.trim_failed) = (false, false, false);
        (self.trim_due, self.flush_failed) = (0, None);
        (self.trimmed, self.returns) = (None, 0);
    }

    pub fn pass(&mut self, w: &Stretch) -> Result<(), TestCaseError> {
        if let Some(s) = &w.reload {
            self.s = s.clone();
            self.guard.ladder.renew();
            self.renewed();
        }
        if w.asked && self.guard.ladder.may_flush(Millis(self.now), &self.s).is_ok() {
            self.flush_is_allowed()?;
            self.act(Action::Flush, w);
        }
        for _ in 0..w.looks {
            self.now += w.gap;
            if let Some(decision) = self.turn(w)? {
                self.act(decision.action, w);
            }
        }
        Ok(())
    }
}
