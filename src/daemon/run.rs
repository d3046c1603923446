//! The loop: poll, look, turn, act. The only reader of the clock.

use super::act;
use super::answer::{Asker, Asking};
use super::clock::Moment;
use super::control::{CONNECTIONS, Control};
use super::emergency::Emergency;
use super::front::{Front, Reload};
use super::hooks;
use super::job::{Job, Then};
use super::kernel::counters::Counters;
use super::kernel::log::{Log, News};
use super::metrics::Textfile;
use super::past;
use super::report::tell;
use super::root::Root;
use super::signals::Signals;
use super::statefile::StateFile;
use super::system;
use super::taken::Taken;
use super::ubus::{self, Ubus};
use super::work::Work;
use ctwarden::config::Config;
use ctwarden::decide::ladder::{Action, Decision, Means, Outcome, Settings};
use ctwarden::detect::{LOOK_LATEST, Look, Table, Verdict};
use ctwarden::event::{Event, Obstacle};
use ctwarden::guard::Guard;
use ctwarden::history::{Rings, Turn};
use ctwarden::journal::{Journal, Setting};
use ctwarden::metrics::Holding;
use ctwarden::observe::memory::EntryCost;
use ctwarden::rung::{RUNGS, Rung};
use ctwarden::sizing;
use ctwarden::units::{Entries, Millis};
use ctwarden::who::Who;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ops::ControlFlow;
use std::sync::MutexGuard;

/// Work goes on for so long before the log is looked at again.
const SLICE_US: u64 = 4_000;
/// What changes rarely is read this often.
const SLOW: Millis = Millis(5_000);

/// While leases run, their rules are looked after this often.
const LOOK_WITH_LEASES: Millis = Millis(1_000);

/// Calls over ubus that wait for their turn. Full: the next one is sent away.
pub(super) const CALLS: usize = 4;
/// Calls that are taken in a turn. More: the next turn comes at once.
const CALLS_A_TURN: u8 = 8;
/// A dry run tells the same again after this, then after twice that, and so on.
const DRY_AGAIN: Millis = Millis(10_000);
/// See [`DRY_AGAIN`].
const DRY_AGAIN_MOST: Millis = Millis(3_600_000);

/// What ended a wait.
struct Woken {
    log: bool,
    signal: bool,
    control: bool,
    bus: bool,
}

pub struct Daemon {
    pub(super) root: Root,
    pub(super) config: Config,
    pub(super) settings: Settings,
    started: Moment,
    pub(super) counters: Counters,
    log: Log,
    pub(super) guard: Guard,
    pub(super) journal: Journal,
    pub(super) state: StateFile,
    pub(super) control: Control,
    pub(super) bus: Ubus,
    cost: EntryCost,
    pub(super) work: Work,
    pub(super) job: Option<Job>,
    pub(super) waiting: heapless::Deque<Asking, { CONNECTIONS + CALLS }>,
    next_look: Millis,
    pub(super) last_slow: Option<Millis>,
    table: Option<Table>,
    pub(super) unusable: heapless::Vec<Rung, RUNGS>,
    /// When the log was last asked, and the longest that work has kept us from it.
    log_asked: Moment,
    pub(super) longest_blind_us: u64,
    pub(super) log_readable: bool,
    pub(super) trim_told: Option<Millis>,
    /// What a dry run would have done last, when that was told, and how long it is no news then.
    dry_told: Option<(Action, Millis, Millis)>,
    /// Until the first look: the journal is of a former run.
    pub(super) resumed: bool,
    pub(super) emergency: Emergency,
    #[cfg_attr(not(feature = "stateless"), allow(dead_code))]
    pub(super) taken: Taken,
    pub(super) rings: MutexGuard<'static, Rings>,
    /// Who held the table when metrics were last asked for.
    pub(super) holding: Option<Holding>,
    pub(super) textfile: Textfile,
    /// When a script of the owner's is to be looked after.
    hooks_due: Option<Millis>,
}

impl Daemon {
    pub fn new(root: Root, config: Config, mut state: StateFile, control: Control) -> Self {
        let journal = state.load(&root);
        Self {
            settings: config.settings(),
            log: Log::new(&root),
            cost: system::entry_cost(&root),
            work: Work::new(&root),
            bus: ubus::open(&root),
            root,
            config,
            started: Moment::now(),
            counters: Counters::new(),
            guard: Guard::default(),
            journal,
            state,
            control,
            job: None,
            waiting: heapless::Deque::new(),
            next_look: Millis(0),
            last_slow: None,
            table: None,
            unusable: heapless::Vec::new(),
            log_asked: Moment::now(),
            longest_blind_us: 0,
            log_readable: false,
            trim_told: None,
            dry_told: None,
            resumed: true,
            emergency: Emergency::new(),
            taken: Taken::new(),
            rings: past::rings(),
            holding: None,
            textfile: Textfile::default(),
            hooks_due: None,
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.started.ago()
    }

    /// Runs until a signal or a config that switches it off ends it.
    #[inline(never)]
    pub fn run(&mut self, signals: &Signals, front: &dyn Front) {
        if let Some(why) = self.state.void {
            tell(Event::JournalVoid { why });
        }
        self.log.start(&self.root, &mut tell);
        // Of a former run, or by hand: a guard begins with what the owner had.
        self.put_taken_back();
        self.prepare();
        crate::allocations::mark();
        'run: while !signals.stop() {
            let woken = self.wait(signals);
            if woken.signal {
                signals.drain();
            }
            if signals.take_reload() && !self.reload(front) {
                break;
            }
            if signals.take_status() {
                self.tell_status();
            }
            let now = self.now();
            // A log that poll does not watch is read at every look.
            let unwatched = now >= self.next_look && self.log.poll_fd().is_none();
            let news = self.read_log(woken.log || unwatched);
            if now >= self.next_look || news != News::default() {
                self.turn(now, news);
            }
            if self.emergency.next().is_some_and(|at| now >= at) {
                self.tend();
            }
            if woken.control || self.control.next_deadline().is_some_and(|d| now >= d) {
                while let Some((asker, request)) = self.control.next_request(now) {
                    if request.changes() {
                        self.asked_for(request, Who::COMMAND);
                    }
                    // As many as there are places for askers: it is never full.
                    let _ = self.waiting.push_back(Asking { asker: Asker::Control(asker), request, dry: false });
                }
            }
            let mut asking = if self.job.is_none() { self.waiting.pop_front() } else { None };
            let mut calls =
                if woken.bus || self.bus.next_deadline().is_some_and(|d| now >= d) { CALLS_A_TURN } else { 0 };
            loop {
                if let Some(asking) = asking.take() {
                    self.serve(asking);
                }
                if calls == 0 {
                    break;
                }
                match self.serve_bus(now, front) {
                    ControlFlow::Continue(at_once) => asking = at_once,
                    ControlFlow::Break(()) => break 'run,
                }
                calls = if self.bus.has_more() { calls - 1 } else { 0 };
            }
            self.work_on(SLICE_US);
            while let Some(hook) = hooks::heard() {
                if !self.bus.announce(now, &hook) {
                    hooks::call(hook);
                }
            }
            self.hooks_due = hooks::tend(&self.root, self.now());
        }
        self.leave();
    }

    /// Sleeps until something comes or the next look is due. Nothing is read that poll does not tell of: in calm a turn
    /// is two system calls.
    fn wait(&mut self, signals: &Signals) -> Woken {
        let deadlines = [self.control.next_deadline(), self.bus.next_deadline(), self.emergency.next(), self.hooks_due];
        let until = deadlines.into_iter().flatten().fold(self.next_look, Millis::min);
        let idle = self.job.is_none() && self.waiting.is_empty() && !self.bus.has_more();
        // One more: poll counts whole milliseconds and must not wake just before.
        let span = if idle { until.since(self.now()).0.min(LOOK_LATEST.0 + 1) + 1 } else { 0 };
        let mut fds = heapless::Vec::<PollFd<'_>, { CONNECTIONS + 4 }>::new();
        let log = self.log.poll_fd();
        let logs = log.is_some() as usize;
        for fd in log.into_iter().chain([signals.poll_fd()]).chain(self.control.poll_fds()) {
            let _ = fds.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        let bus = self.bus.poll_fd();
        let buses = bus.is_some() as usize;
        fds.extend(bus);
        let came = poll(&mut fds, PollTimeout::from(span as u16));
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|r| !r.is_empty());
        let mut fds = fds.iter();
        let woken = Woken {
            log: fds.by_ref().take(logs).any(ready),
            signal: fds.by_ref().take(1).any(ready) || came.is_err(),
            // The last one.
            bus: fds.by_ref().rev().take(buses).any(ready),
            control: fds.any(ready),
        };
        // Asking whether there is something in the log is looking at it.
        if self.job.is_some() {
            self.longest_blind_us = self.longest_blind_us.max(self.log_asked.us_ago());
        }
        self.log_asked = Moment::now();
        woken
    }

    fn read_log(&mut self, due: bool) -> News {
        let news = if due { self.log.news(&self.root, &mut tell) } else { News::default() };
        self.log_readable = self.log.readable();
        news
    }

    /// One look and what follows from it.
    fn turn(&mut self, now: Millis, news: News) {
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
            // A firewall that is loaded anew takes leases with it: put back at the next look.
            self.recheck_firewall();
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

    /// Reads the config anew. `false`: it switches the guard off.
    pub(super) fn reload(&mut self, front: &dyn Front) -> bool {
        match front.reload() {
            Reload::Config(config) => self.renew(config),
            Reload::Stay => {}
            Reload::Leave => return false,
        }
        true
    }

    /// A new config.
    fn renew(&mut self, config: Config) {
        self.settings = config.settings();
        let rules = !super::emergency::same_rules(&self.config, &config);
        if rules {
            self.take_rules_out();
        }
        self.config = config;
        self.unusable.clear();
        self.guard.ladder.renew();
        self.size();
        if rules {
            self.prepare();
            self.give_again();
        }
        (self.next_look, self.last_slow) = (Millis(0), None);
        tell(Event::Reloaded);
    }

    fn tell_status(&self) {
        tell(Event::Status { evidence: *self.guard.evidence() });
    }

    /// Leaves things as they were found.
    fn leave(&mut self) {
        self.job = None;
        self.remove_textfile();
        // Of ours too: they are taken out next.
        self.put_taken_back();
        self.put_rules_back();
        system::put_back_all(&self.root, &self.state, &mut self.journal, &mut tell);
        hooks::end();
    }
}
