//! A pass under way, and for whom; done in slices between looks at the log.

use super::act::{Trim, TrimStep};
use super::answer::Asker;
use super::clock::Moment;
use super::kernel::reader::Progress;
use super::report::tell;
use super::run::Daemon;
use super::work::{Pass, Purpose};
use ctwarden::decide::ladder::{Action, Outcome};
use ctwarden::decide::trim::Steps;
use ctwarden::event::{Event, Obstacle};
use ctwarden::lease::Scope;
use ctwarden::protocol::{Answer, By, Done, Selection};
use ctwarden::rung::Rung;
use ctwarden::units::{Entries, Millis};
use nix::errno::Errno;

#[allow(clippy::large_enum_variant)] // one of them exists, inside the daemon, for ever
pub enum Job {
    /// The ladder's own, or one that somebody asked for.
    Trim { trim: Trim, began: Millis, asker: Option<Asker>, then: Then },
    /// Somebody wants to know who holds the table.
    Census { pass: Pass, asker: Asker, by: By, rows: u8, count: Entries },
    /// The same for metrics: somebody asks, or the textfile is due.
    Metrics { pass: Pass, asker: Option<Asker> },
    /// Who holds it, for the incident: where the first rung is not the one that looks anyway.
    Snapshot { pass: Pass },
}

/// What a trim is the first half of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    /// Whoever holds too much is capped, before entries are deleted.
    Shed,
    /// Nothing: a dry run of this rung.
    Would(Rung),
    /// Room was made: now open.
    Open {
        scope: Scope,
        total: Millis,
    },
}

/// A trim is told again after this, if they go on.
const TELL_AGAIN: Millis = Millis(10_000);

impl Daemon {
    /// Begins the ladder's trim. It comes first: whoever waits for a census is sent away.
    pub(super) fn begin_trim(&mut self, now: Millis, count: Entries, then: Then, asker: Option<Asker>) {
        self.send_away();
        let culprits =
            then == Then::Shed || self.guard.incidents.current().is_some_and(|i| i.culprits.sources.is_empty());
        match Trim::begin(Selection::Level, culprits, false, &mut self.work, &self.root, count) {
            Ok(mut trim) => {
                trim.level_only = then == Then::Shed && !self.config.ladder.contains(&Rung::Trim);
                self.job = Some(Job::Trim { trim, began: now, asker, then });
            }
            Err(e) => {
                self.obstacle(Rung::Trim, e);
                // What cannot be made room for is opened all the same: the owner has to get in.
                self.follow_up(then, asker);
            }
        }
    }

    /// Nobody waits for a census while there is something to be done. Metrics are told with the last one's.
    fn send_away(&mut self) {
        match self.job.take() {
            Some(Job::Census { asker, .. }) => self.answer(asker, &Answer::busy()),
            Some(Job::Metrics { asker, .. }) => self.tell_metrics(asker),
            _ => {}
        }
    }

    /// The second half.
    fn follow_up(&mut self, then: Then, asker: Option<Asker>) {
        let Then::Open { scope, total } = then else { return };
        let now = self.now();
        let before = self.counters.count(&self.root).unwrap_or_default();
        let done = self.open(scope, total, asker.is_some());
        if let Some(asker) = asker {
            let answer = match done {
                Ok(()) => Answer::Windows(self.windows()),
                Err(Errno::EOPNOTSUPP) => Answer::NoRules,
                Err(Errno::EADDRNOTAVAIL) => Answer::Translated,
                Err(e) => Answer::Failed { errno: e as i32 },
            };
            self.answer(asker, &answer);
        } else {
            let action = Action::Open { scope };
            let outcome = Outcome { action, before, after: before, took: Millis(0), done: done.is_ok() };
            self.guard.outcome(now, &outcome, &self.settings);
            if done.is_err() {
                self.skip(Rung::Open, Obstacle::NoRules);
            }
        }
    }

    pub(super) fn begin_snapshot(&mut self, count: Entries) {
        let wanted = self.guard.incidents.current().is_some_and(|i| i.culprits.sources.is_empty());
        if wanted && self.job.is_none() {
            self.work.read_timeouts(&self.root);
            if let Ok(pass) = self.work.begin(Purpose::Sample { culprits: true }, &self.root, count) {
                self.job = Some(Job::Snapshot { pass });
            }
        }
    }

    /// The same at once: before the table is emptied.
    pub(super) fn snapshot_now(&mut self, count: Entries) {
        self.send_away();
        self.begin_snapshot(count);
        while self.job.is_some() {
            self.work_on(1_000_000);
        }
    }

    /// Works on the job for one slice of so many microseconds.
    pub(super) fn work_on(&mut self, slice_us: u64) {
        let Some(mut job) = self.job.take() else { return };
        let until = Moment::now().after_us(slice_us);
        loop {
            let step = match &mut job {
                Job::Trim { trim, then, .. } => {
                    match trim.step(&mut self.work, &self.config, &self.root, &mut self.counters) {
                        Ok(TrimStep::More) => Ok(None),
                        Ok(TrimStep::Planned) => {
                            if *then == Then::Shed {
                                self.shed_whoever(trim.before);
                            }
                            Ok(None)
                        }
                        Ok(TrimStep::Done(steps)) => Ok(Some(steps)),
                        Err(e) => Err(e),
                    }
                }
                Job::Census { pass, .. } | Job::Metrics { pass, .. } | Job::Snapshot { pass } => {
                    pass.step(&mut self.work, &self.config).map(|p| (p == Progress::Done).then_some([0; 5]))
                }
            };
            match step {
                Ok(None) if Moment::now() >= until => {
                    self.job = Some(job);
                    return;
                }
                Ok(None) => {}
                Ok(Some(steps)) => return self.finish(job, Ok(steps)),
                Err(e) => return self.finish(job, Err(e)),
            }
        }
    }

    fn finish(&mut self, job: Job, result: Result<Steps, Errno>) {
        match job {
            Job::Trim { trim, began, asker, then: then @ Then::Open { .. } } => {
                self.finish_trim(trim, began, None, Then::Nothing, result);
                self.follow_up(then, asker);
            }
            Job::Trim { trim, began, asker, then } => self.finish_trim(trim, began, asker, then, result),
            Job::Snapshot { pass } => {
                let _ = pass.end(&mut self.work);
                if result.is_ok() {
                    self.note_culprits(self.work.culprits());
                }
            }
            Job::Metrics { pass, asker } => {
                let _ = pass.end(&mut self.work);
                if result.is_ok() {
                    self.holding = Some(self.work.holding(self.now()));
                }
                self.tell_metrics(asker);
            }
            Job::Census { pass, asker, by, rows, count } => {
                let _ = pass.end(&mut self.work);
                let answer = match result {
                    Ok(_) => Answer::Top(self.work.top(by, rows as usize, count)),
                    Err(e) => Answer::Failed { errno: e as i32 },
                };
                self.answer(asker, &answer);
            }
        }
    }

    fn finish_trim(
        &mut self,
        mut trim: Trim,
        began: Millis,
        asker: Option<Asker>,
        then: Then,
        result: Result<Steps, Errno>,
    ) {
        let (before, selection, interrupted) = (trim.before, trim.selection, trim.interrupted);
        let culprits = trim.culprits.take();
        let (dry, would) = (trim.dry, trim.would);
        let result = trim.end(&mut self.work).and(result);
        let now = self.now();
        let took = now.since(began);
        let after = match dry {
            true => before.less(Entries(would)),
            false => self.counters.count(&self.root).unwrap_or(before),
        };
        if let Some(culprits) = culprits {
            self.note_culprits(culprits);
        }
        let what = match (then, selection) {
            (Then::Would(rung), _) => rung,
            (_, Selection::All) => Rung::Flush,
            _ => Rung::Trim,
        };
        if !dry {
            let action = if then == Then::Shed { Action::Shed } else { Action::Trim };
            let outcome = Outcome { action, before, after, took, done: result.is_ok() };
            self.guard.outcome(now, &outcome, &self.settings);
        }
        match result {
            Ok(steps) => {
                let level = self.work.plan().level.filter(|_| selection == Selection::Level);
                let steps = if selection == Selection::Level { steps } else { [0; 5] };
                if !dry {
                    // In an attack trims come many times a second: one line in ten seconds will do.
                    let repeated = asker.is_none() && self.trim_told.is_some_and(|at| now.since(at) < TELL_AGAIN);
                    if !repeated {
                        self.trim_told = Some(now);
                    }
                    tell(Event::Trimmed { before, after, steps, level, took, interrupted, repeated });
                }
                if let Some(asker) = asker {
                    self.answer(asker, &Answer::Done(Done { what, before, after, took, steps, dry }));
                }
            }
            Err(e) => {
                self.obstacle(Rung::Trim, e);
                if let Some(asker) = asker {
                    self.answer(asker, &Answer::Failed { errno: e as i32 });
                }
            }
        }
    }

    fn note_culprits(&mut self, culprits: ctwarden::incident::Culprits) {
        if let Some(incident) = self.guard.incidents.current() {
            if let Some(first) = culprits.sources.first() {
                tell(Event::HeldBy { who: first.key, share: first.share });
            }
            incident.culprits = culprits;
        }
    }
}
