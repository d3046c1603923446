//! What an owner wants to know afterwards: when it was full, who filled it, what was done.

use crate::decide::ladder::{Action, Outcome};
use crate::detect::{Evidence, Verdict};
use crate::protocol::TopKey;
use crate::rung::Rung;
use crate::units::{Entries, Millis, Permille};
use crate::who::Asked;

/// Incidents kept. Full: the oldest goes.
pub const KEPT: usize = 8;
/// Requests kept. Full: the oldest goes.
pub const ASKED: usize = 8;
/// Holders and destinations named in a culprit snapshot.
pub const CULPRITS: usize = 3;
/// Calm for this long ends an incident: what flares up again sooner is the same one.
pub const QUIET: Millis = Millis(10_000);

/// Who held how much when relief began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Culprits {
    /// Heaviest holders (hosts; IPv6 /64).
    pub sources: heapless::Vec<Culprit, CULPRITS>,
    /// Heaviest destinations.
    pub destinations: heapless::Vec<Culprit, CULPRITS>,
}

/// One of the heaviest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Culprit {
    /// Who, or where to.
    pub key: TopKey,
    /// Its share of the table.
    pub share: Permille,
}

/// One time that the table was filling or full.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incident {
    /// Its number since the daemon's start, from 1.
    pub number: u32,
    /// When it began, in milliseconds since the daemon's start.
    pub began: Millis,
    /// When it ended; `None` while it lasts.
    pub ended: Option<Millis>,
    /// The gravest verdict.
    pub worst: Verdict,
    /// The highest count seen.
    pub peak: Entries,
    /// max at its beginning.
    pub max: Entries,
    /// Packets refused.
    pub refused: u32,
    /// Times that max was raised.
    pub grows: u32,
    /// Trims done.
    pub trims: u32,
    /// Entries that trims and flushes took out.
    pub evicted: u32,
    /// Flushes done.
    pub flushes: u32,
    /// Sources and destinations capped.
    pub sheds: u32,
    /// Openings.
    pub opens: u32,
    /// Who held the table when relief began.
    pub culprits: Culprits,
}

/// The incidents of this run, the last [`KEPT`].
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    kept: heapless::Deque<Incident, KEPT>,
    open: bool,
    quiet_since: Option<Millis>,
    numbered: u32,
    /// The evidence counts refusals anew after each calm; an incident goes on over short ones.
    refused_before: u32,
    refused_last: u32,
    asked: heapless::Deque<Asked, ASKED>,
}

/// What a look did to the list of incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Change {
    Began,
    Ended,
    None,
}

impl Incidents {
    /// Takes in the evidence of a turn.
    pub fn feed(&mut self, now: Millis, e: &Evidence) -> Change {
        let grave = matches!(e.verdict, Verdict::Filling | Verdict::Saturated);
        if grave && !self.open {
            if self.kept.is_full() {
                self.kept.pop_front();
            }
            self.numbered += 1;
            let new = Incident {
                number: self.numbered,
                began: now,
                max: e.table.max,
                worst: e.verdict,
                ..Incident::default()
            };
            let _ = self.kept.push_back(new);
            self.open = true;
            self.quiet_since = None;
            (self.refused_before, self.refused_last) = (0, 0);
            self.note(e);
            return Change::Began;
        }
        if !self.open {
            return Change::None;
        }
        if grave {
            self.quiet_since = None;
            self.note(e);
            return Change::None;
        }
        let since = *self.quiet_since.get_or_insert(now);
        if now.since(since) < QUIET {
            return Change::None;
        }
        self.open = false;
        if let Some(i) = self.kept.back_mut() {
            i.ended = Some(since);
        }
        Change::Ended
    }

    fn note(&mut self, e: &Evidence) {
        if let Some(i) = self.kept.back_mut() {
            if e.verdict == Verdict::Saturated {
                i.worst = e.verdict;
            }
            i.peak = i.peak.max(e.table.count);
            if e.refused < self.refused_last {
                self.refused_before = self.refused_before.saturating_add(self.refused_last);
            }
            self.refused_last = e.refused;
            i.refused = self.refused_before.saturating_add(e.refused);
        }
    }

    /// Counts what was done, if it was done within an incident.
    pub fn acted(&mut self, o: &Outcome) {
        let Some(i) = self.kept.back_mut().filter(|_| self.open && o.done) else { return };
        match o.action {
            Action::Grow { .. } => i.grows += 1,
            Action::Shrink { .. } => return,
            Action::Trim | Action::Shed => i.trims += 1,
            Action::Flush => i.flushes += 1,
            Action::Open { .. } => i.opens += 1,
            Action::Stateless | Action::Unload => return,
        }
        if o.action.rung() != Rung::Grow {
            i.evicted = i.evicted.saturating_add(o.before.less(o.after).0);
        }
    }

    /// The incident that lasts, to put the culprits in.
    pub fn current(&mut self) -> Option<&mut Incident> {
        self.kept.back_mut().filter(|_| self.open)
    }

    /// The last one to have begun, whether it lasts or not.
    pub fn last(&self) -> Option<&Incident> {
        self.kept.back()
    }

    /// Keeps what somebody asked for.
    pub fn asked_for(&mut self, mut asked: Asked) {
        asked.incident = self.current().map_or(0, |i| i.number);
        if self.asked.is_full() {
            self.asked.pop_front();
        }
        let _ = self.asked.push_back(asked);
    }

    /// All that was asked for, oldest first.
    pub fn asked(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter()
    }

    /// How many there have been.
    pub const fn numbered(&self) -> u32 {
        self.numbered
    }

    /// All kept, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Incident> {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Table;

    fn evidence(verdict: Verdict, count: u32, refused: u32) -> Evidence {
        let table = Table { count: Entries(count), max: Entries(1_000), buckets: Entries(1_000) };
        Evidence { verdict, table, refused, ..Evidence::default() }
    }

    fn feed(i: &mut Incidents, at: u64, verdict: Verdict, count: u32, refused: u32) -> Change {
        i.feed(Millis(at), &evidence(verdict, count, refused))
    }

    #[test]
    fn one_incident_goes_on_over_short_calms_and_sums_what_each_part_of_it_refused() {
        let mut i = Incidents::default();
        assert_eq!(feed(&mut i, 0, Verdict::Calm, 100, 0), Change::None);
        assert_eq!(feed(&mut i, 1_000, Verdict::Filling, 900, 4), Change::Began);
        assert_eq!(feed(&mut i, 2_000, Verdict::Saturated, 1_000, 30), Change::None);
        assert_eq!(feed(&mut i, 3_000, Verdict::Calm, 500, 0), Change::None);
        assert_eq!(feed(&mut i, 12_999, Verdict::Filling, 870, 7), Change::None);
        assert_eq!(feed(&mut i, 14_000, Verdict::Misreported, 500, 9), Change::None);
        assert_eq!(feed(&mut i, 23_999, Verdict::Blind, 0, 0), Change::None);
        assert_eq!(feed(&mut i, 24_000, Verdict::Calm, 500, 0), Change::Ended);
        assert_eq!(feed(&mut i, 60_000, Verdict::Calm, 500, 0), Change::None);
        let over = i.last().unwrap();
        assert_eq!((over.number, over.began, over.ended), (1, Millis(1_000), Some(Millis(14_000))));
        assert_eq!((over.worst, over.peak, over.refused), (Verdict::Saturated, Entries(1_000), 37));
    }

    #[test]
    fn what_is_done_counts_within_an_incident_only() {
        let mut i = Incidents::default();
        let done = |action, after| Outcome {
            action,
            before: Entries(1_000),
            after: Entries(after),
            took: Millis(1),
            done: true,
        };
        i.acted(&done(Action::Flush, 0));
        assert!(i.last().is_none() && i.current().is_none());
        feed(&mut i, 0, Verdict::Filling, 1_000, 0);
        for outcome in [
            done(Action::Grow { to: Entries(2_000) }, 1_000),
            done(Action::Trim, 600),
            done(Action::Trim, 1_010),
            done(Action::Flush, 5),
            Outcome { done: false, ..done(Action::Trim, 0) },
            done(Action::Shrink { to: Entries(1_000) }, 0),
        ] {
            i.acted(&outcome);
        }
        let now = i.current().unwrap();
        assert_eq!((now.grows, now.trims, now.flushes, now.evicted), (1, 2, 1, 400 + 995));
    }

    #[test]
    fn the_oldest_goes() {
        let mut i = Incidents::default();
        for n in 0..KEPT as u64 + 3 {
            feed(&mut i, n * 100_000, Verdict::Filling, 900, 0);
            feed(&mut i, n * 100_000 + 10, Verdict::Calm, 100, 0);
            feed(&mut i, n * 100_000 + 20_000, Verdict::Calm, 100, 0);
        }
        assert!(i.all().map(|i| i.number).eq(4..=KEPT as u32 + 3));
    }
}
