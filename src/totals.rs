//! What has been done since the start, counted: for the charts' flags and for metrics.

use crate::decide::ladder::Action;
use crate::event::Event;
use crate::rung::{RUNGS, Rung};

/// What came of a rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// It was tried, and the system did not let it.
    Failed,
    /// Budget or breaker did not let it.
    Refused,
    /// It would have been done, but for `dry_run`.
    DryRun,
}

/// How many outcomes there are.
pub const OUTCOMES: usize = Outcome::ALL.len();

impl Outcome {
    /// All.
    pub const ALL: [Outcome; 4] = [Outcome::Done, Outcome::Failed, Outcome::Refused, Outcome::DryRun];

    /// The word in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
            Outcome::DryRun => "dry_run",
        }
    }
}

/// Counts since the start; from 2³² on they begin anew, as those who read counters expect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    actions: [[u32; OUTCOMES]; RUNGS],
    /// Entries evicted, by trims and flushes.
    pub evicted: u32,
    acted: u8,
}

impl Totals {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { actions: [[0; OUTCOMES]; RUNGS], evicted: 0, acted: 0 }
    }

    /// Takes an event in: all that is ever done, by the ladder or as asked, is told.
    pub fn count(&mut self, event: &Event) {
        let (rung, outcome) = match event {
            Event::MaxSet { action: Action::Grow { .. }, .. } => (Rung::Grow, Outcome::Done),
            Event::Trimmed { .. } => (Rung::Trim, Outcome::Done),
            Event::Flushed { .. } => (Rung::Flush, Outcome::Done),
            Event::Shed { .. } => (Rung::Shed, Outcome::Done),
            Event::Opened { .. } => (Rung::Open, Outcome::Done),
            Event::LeaseFailed { .. } => (Rung::Shed, Outcome::Failed),
            Event::NotOpened { .. } => (Rung::Open, Outcome::Failed),
            Event::Skipped { rung, .. } => (*rung, Outcome::Failed),
            Event::Refused { rung, .. } => (*rung, Outcome::Refused),
            Event::Decided { decision, dry: true } => (decision.action.rung(), Outcome::DryRun),
            _ => return,
        };
        if let Event::Trimmed { before, after, .. } | Event::Flushed { before, after, .. } = event {
            self.evicted = self.evicted.wrapping_add(before.less(*after).0);
        }
        if outcome == Outcome::Done {
            self.acted |= 1 << rung as u8;
        }
        if let Some(n) = self.actions.get_mut(rung as usize).and_then(|a| a.get_mut(outcome as usize)) {
            *n = n.wrapping_add(1);
        }
    }

    /// How often this came of that rung.
    pub fn of(&self, rung: Rung, outcome: Outcome) -> u32 {
        self.actions.get(rung as usize).and_then(|a| a.get(outcome as usize)).copied().unwrap_or_default()
    }

    /// All of them: by rung, each with its outcomes.
    pub const fn all(&self) -> &[u32] {
        self.actions.as_flattened()
    }

    /// What was done since this was asked last: one bit a rung, `1 << rung as u8`.
    pub fn take_acted(&mut self) -> u8 {
        core::mem::take(&mut self.acted)
    }
}
