//! A turn: what is seen becomes a decision, and the decision an action.
//!
//! ```text
//!   look ──> Guard::turn (detect, decide) ──> act, if a last look still calls for it ──> outcome
//!     ▲                          ▲
//!   counters, log's news       means: what could be done now
//! ```

use super::act;
use super::hooks;
use super::job::{Job, Then};
use super::kernel::log::News;
use super::past;
use super::report::tell;
use super::run::Daemon;
use super::system;
use ctwarden::decide::ladder::{Action, Decision, Means, Outcome};
use ctwarden::detect::{Look, Table, Verdict};
use ctwarden::event::{Event, Obstacle};
use ctwarden::history::Turn;
use ctwarden::journal::Setting;
use ctwarden::rung::Rung;
use ctwarden::sizing;
use ctwarden::units::{Entries, Millis};
use nix::errno::Errno;

/// What changes rarely is read this often.
const SLOW: Millis = Millis(5_000);
/// While leases run, their rules are looked after this often.
const LOOK_WITH_LEASES: Millis = Millis(1_000);
/// A dry run tells the same again after this, then after twice that, and so on.
const DRY_AGAIN: Millis = Millis(10_000);
/// See [`DRY_AGAIN`].
const DRY_AGAIN_MOST: Millis = Millis(3_600_000);

impl Daemon {
    /// One look and what follows from it.
    pub(super) fn turn(&mut self, now: Millis, news: News) {
        let look = self.look(now, news);
        let means = self.means(look.table);
        hooks::seen(look.table.unwrap_or_default());
        if matches!(self.job, Some(Job::Trim { .. })) {
            self.guard.relieving();
        }
        let decision = self.guard.turn(&look, &means, &self.settings, &mut tell);
        let rungs = past::totals().take_acted();
        self.rings.feed(now, &Turn { table: look.table, refused_ever: self.guard.refused_ever(), rungs });
        let e = self.guard.evidence();
        if e.verdict == Verdict::Calm && now.since(e.since) >= DRY_AGAIN {
            self.dry_told = None;
        }
        if let Some(decision) = decision
            && !matches!(self.job, Some(Job::Trim { .. }))
        {
            self.act(now, decision);
        }
        self.tend_taken(now);
        let mut next = self.guard.next_look(&self.settings);
        if self.emergency.windows.opening().is_some() || self.emergency.windows.shedding(now).next().is_some() {
            // A firewall that is loaded anew takes leases with it: put back at the next look. A slow look has seen to it.
            if self.last_slow != Some(now) {
                self.recheck_firewall();
            }
            next = next.min(LOOK_WITH_LEASES);
        }
        if self.last_slow.is_none() {
            // Max has just been set: by the new one at once.
            next = Millis(0);
        }
        self.next_look = now.after(next);
    }

    /// Reads what a look consists of: always the count; the rest when it is time, or when there is reason to.
    fn look(&mut self, now: Millis, news: News) -> Look {
        let slow = self.last_slow.is_none_or(|last| now.since(last) >= SLOW);
        let calm = self.guard.evidence().verdict == Verdict::Calm && news == News::default();
        let mut table = match self.table {
            Some(before) if calm && !slow => self.counters.table_of_max(&self.root, before.max),
            Some(_) if calm => self.counters.table(&self.root),
            _ => self.counters.table_with_buckets(&self.root),
        };
        let near = table.is_some_and(|t| t.occupancy() >= self.settings.marks.low);
        let dropped = if slow || !calm || near { self.counters.dropped(&self.root) } else { None };
        let sized = match (self.table, table) {
            (None, Some(t)) => self.table_appeared(t),
            (Some(_), None) => {
                tell(Event::TableVanished);
                self.counters.forget();
                false
            }
            (Some(_), Some(t)) if slow => self.watch_drift(t.max),
            _ => false,
        };
        if sized {
            table = self.counters.table_with_buckets(&self.root);
        }
        self.resumed = false;
        self.table = table;
        if slow {
            self.last_slow = Some(now);
            self.tend_textfile(now);
            self.recheck_firewall();
        }
        Look {
            at: now,
            table,
            dropped,
            logged: news.refusals,
            suppressed: news.suppressed,
            expectations: news.expectations,
        }
    }

    /// True: it was sized anew.
    fn table_appeared(&mut self, table: Table) -> bool {
        tell(Event::TableAppeared { max: table.max });
        self.unusable.clear();
        if self.work.has_netlink()
            && self.config.ladder.contains(&Rung::Trim)
            && let Err(e) = self.work.probe(&self.root)
        {
            self.obstacle(Rung::Trim, e);
        }
        self.size();
        true
    }

    /// What could be done about a table like this.
    fn means(&self, table: Option<Table>) -> Means {
        let Some(t) = table else { return Means::default() };
        let base = self.journal.change(Setting::Max).map(|c| (self.journal.sized.unwrap_or(c.before), c.ours));
        let grown_from = base.filter(|(base, ours)| ours > base && t.max == *ours).map(|(base, _)| base);
        let can_trim = self.work.has_netlink() && !self.unusable.contains(&Rung::Trim);
        let may_grow = t.occupancy() >= self.settings.marks.high
            && self.settings.ladder.contains(&Rung::Grow)
            && !self.unusable.contains(&Rung::Grow);
        let grow_to = may_grow.then(|| self.grow_to(t)).flatten();
        let ready = self.emergency.ready();
        let can_shed = can_trim && ready && self.emergency.firewall.backend().can_shed();
        let can_open = ready && self.emergency.windows.opening().is_none() && !self.unusable.contains(&Rung::Open);
        let [can_stateless, can_unload] = self.can_take_out();
        Means { grow_to, grown_from, can_trim, can_shed, can_open, can_stateless, can_unload }
    }

    fn grow_to(&self, t: Table) -> Option<Entries> {
        let s = &self.config.sizing;
        let table = sizing::Table {
            max: t.max,
            count: t.count,
            buckets: t.buckets,
            mem_available: system::available(&self.root),
            reserve: s.reserve,
            cost: self.cost,
            ceiling: s.ceiling,
            low: self.settings.marks.low,
        };
        sizing::grow_step(&table).ok().map(|step| step.to)
    }

    /// Does what was decided, if a last look still calls for it.
    fn act(&mut self, now: Millis, decision: Decision) {
        let table = self.counters.table(&self.root);
        let fresh = Look { at: now, table, ..Look::default() };
        let Some(table) = table.filter(|_| self.guard.still_wanted(&decision.action, &fresh, &self.settings)) else {
            return;
        };
        let dry = self.config.dry_run;
        let action = decision.action;
        if !dry || self.is_news(now, action) {
            tell(Event::Decided { decision, dry });
        }
        let outcome = |after, took, done| Outcome { action, before: table.count, after, took, done };
        let takes_out = matches!(action, Action::Stateless | Action::Unload);
        if takes_out {
            self.not_again_soon(now, action);
        }
        if dry {
            return self.guard.outcome(now, &outcome(table.count, Millis(0), false), &self.settings);
        }
        match action {
            Action::Trim => self.begin_trim(now, table.count, Then::Nothing, None),
            Action::Shed => self.begin_trim(now, table.count, Then::Shed, None),
            Action::Open { scope } => {
                let total = self.config.open_seconds;
                self.begin_trim(now, table.count, Then::Open { scope, total }, None);
            }
            Action::Flush => {
                let _ = self.flush(table.count);
            }
            Action::Stateless | Action::Unload => {
                let done = self.take_out(action);
                let took = self.now().since(now);
                self.guard.outcome(now, &outcome(table.count, took, done), &self.settings);
            }
            Action::Grow { to } | Action::Shrink { to } => {
                let done = match system::set(&self.root, &self.state, &mut self.journal, Setting::Max, to) {
                    Ok(read_back) => {
                        tell(Event::MaxSet { action, from: table.max, read_back });
                        read_back == to
                    }
                    Err(why) => {
                        self.skip(Rung::Grow, why);
                        false
                    }
                };
                if done {
                    self.last_slow = None;
                }
                self.guard.outcome(now, &outcome(table.count, Millis(0), done), &self.settings);
                if matches!(action, Action::Grow { .. }) {
                    self.begin_snapshot(table.count);
                }
            }
        }
    }

    /// A dry run relieves nothing: it would do the same again every two seconds, and tells of it at growing distances, until
    /// something else would be done.
    fn is_news(&mut self, now: Millis, action: Action) -> bool {
        let same = self.dry_told.filter(|(last, ..)| *last == action);
        if same.is_some_and(|(_, at, quiet)| now.since(at) < quiet) {
            return false;
        }
        let quiet = same.map_or(DRY_AGAIN, |(.., quiet)| Millis(quiet.0 * 2).min(DRY_AGAIN_MOST));
        self.dry_told = Some((action, now, quiet));
        true
    }

    /// Empties the table: the ladder's, or a requested one.
    pub(super) fn flush(&mut self, before: Entries) -> Result<(Entries, Millis), Errno> {
        let began = self.now();
        self.snapshot_now(before);
        let Self { root, config, work, counters, log, .. } = self;
        let done = act::flush(root, config, work, counters, &mut || {
            log.news(root, &mut tell);
        });
        let now = self.now();
        let took = now.since(began);
        let after = done.as_ref().map_or(before, |(after, _)| *after);
        let outcome = Outcome { action: Action::Flush, before, after, took, done: done.is_ok() };
        self.guard.outcome(now, &outcome, &self.settings);
        match done {
            Ok((after, way)) => {
                tell(Event::Flushed { before, after, way, took });
                Ok((after, took))
            }
            Err(e) => {
                self.obstacle(Rung::Flush, e);
                Err(e)
            }
        }
    }

    /// A rung met an error: said once, and not tried again until config or module change.
    pub(super) fn obstacle(&mut self, rung: Rung, e: Errno) {
        let why = match e {
            Errno::EPERM | Errno::EACCES => Obstacle::NotPermitted,
            Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::EOPNOTSUPP => {
                self.work.without_netlink();
                Obstacle::NoCtnetlink
            }
            _ => Obstacle::NoEffect,
        };
        self.skip(rung, why);
    }

    pub(super) fn skip(&mut self, rung: Rung, why: Obstacle) {
        if !self.unusable.contains(&rung) {
            let _ = self.unusable.push(rung);
            tell(Event::Skipped { rung, why });
        }
    }
}
