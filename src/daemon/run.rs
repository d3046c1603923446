//! The loop: what wakes it, and what is served. The only reader of the clock.

use super::answer::{Asker, Asking};
use super::clock::Moment;
use super::control::{CONNECTIONS, Control};
use super::emergency::Emergency;
use super::front::{Front, Reload};
use super::hooks;
use super::job::Job;
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
use ctwarden::decide::ladder::{Action, Settings};
use ctwarden::detect::{LOOK_LATEST, Table};
use ctwarden::event::Event;
use ctwarden::guard::Guard;
use ctwarden::history::Rings;
use ctwarden::journal::Journal;
use ctwarden::metrics::Holding;
use ctwarden::observe::memory::EntryCost;
use ctwarden::rung::{RUNGS, Rung};
use ctwarden::units::Millis;
use ctwarden::who::Who;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ops::ControlFlow;
use std::sync::MutexGuard;

/// Work goes on for so long before the log is looked at again.
const SLICE_US: u64 = 4_000;

/// Calls over ubus that wait for their turn. Full: the next one is sent away.
pub(super) const CALLS: usize = 4;
/// Calls that are taken in a turn. More: the next turn comes at once.
const CALLS_A_TURN: u8 = 8;

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
    pub(super) log: Log,
    pub(super) guard: Guard,
    pub(super) journal: Journal,
    pub(super) state: StateFile,
    pub(super) control: Control,
    pub(super) bus: Ubus,
    pub(super) cost: EntryCost,
    pub(super) work: Work,
    pub(super) job: Option<Job>,
    pub(super) waiting: heapless::Deque<Asking, { CONNECTIONS + CALLS }>,
    pub(super) next_look: Millis,
    pub(super) last_slow: Option<Millis>,
    pub(super) table: Option<Table>,
    pub(super) unusable: heapless::Vec<Rung, RUNGS>,
    /// When the log was last asked, and the longest that work has kept us from it.
    log_asked: Moment,
    pub(super) longest_blind_us: u64,
    pub(super) log_readable: bool,
    pub(super) trim_told: Option<Millis>,
    /// What a dry run would have done last, when that was told, and how long it is no news then.
    pub(super) dry_told: Option<(Action, Millis, Millis)>,
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
        if self.config.dry_run {
            system::put_back_all(&self.root, &self.state, &mut self.journal, &mut tell);
        }
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
        let rules = !super::rules::same_rules(&self.config, &config);
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
