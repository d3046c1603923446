//! What a request leads to.

use super::act::{self, Trim};
use super::job::{Job, Then};
use super::report::tell;
use super::run::Daemon;
use super::work::Purpose;
use super::{control, ubus};
use ctwarden::event::Event;
use ctwarden::history::{History, Span};
use ctwarden::journal::Setting;
use ctwarden::lease::{Lease, Scope};
use ctwarden::protocol::{Answer, Done, Log, Request, Selection, Status, Windows};
use ctwarden::rung::Rung;
use ctwarden::units::Millis;
use ctwarden::who::{Asked, Who};
use nix::errno::Errno;

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Control(control::Asker),
    Bus(ubus::Asker),
}

/// A request whose turn it is, or will be.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    pub asker: Asker,
    pub request: Request,
    /// Nothing is to be changed, only said.
    pub dry: bool,
}

impl Daemon {
    /// Answers a request, or begins the job whose end answers it.
    #[inline(never)] // within the loop it is 1 KB larger on MIPS
    pub(super) fn serve(&mut self, asking: Asking) {
        let Asking { asker, request, dry } = asking;
        let dry = dry || self.config.dry_run;
        let answer = match request {
            Request::Status => Some(Answer::Status(self.status())),
            Request::Log => Some(Answer::Log(self.log())),
            Request::Top { by, rows, exact } => self.serve_top(asker, by, rows, exact),
            Request::Trim(selection) => self.serve_trim(asker, selection, dry, Then::Nothing),
            Request::Flush if dry => self.serve_trim(asker, Selection::All, dry, Then::Nothing),
            Request::Flush => Some(self.serve_flush()),
            Request::Shed { lease, seconds } => self.serve_shed(asker, lease, seconds, dry),
            Request::Open { scope, seconds } => self.serve_open(asker, scope, seconds, dry),
            Request::History { span, since } => Some(Answer::History(self.history(span, since))),
            Request::Metrics => {
                self.begin_metrics(Some(asker));
                None
            }
            Request::Close => {
                self.close("as asked");
                self.unshed();
                Some(Answer::Windows(self.windows()))
            }
            Request::Reload => Some(Answer::not_understood()),
        };
        if let Some(answer) = answer {
            self.answer(asker, &answer);
        }
    }

    pub(super) fn answer(&mut self, asker: Asker, answer: &Answer) {
        match asker {
            Asker::Control(asker) => self.control.answer(asker, answer),
            Asker::Bus(asker) => self.bus.answer(asker, answer, self.control.render()),
        }
    }

    /// Says and keeps who asked for what.
    pub(super) fn asked_for(&mut self, request: Request, who: Who) {
        tell(Event::Asked { request, who });
        self.guard.incidents.asked_for(Asked { at: self.now(), request, who, incident: 0 });
    }

    pub(super) fn log(&self) -> Log {
        let incidents = &self.guard.incidents;
        Log { incidents: incidents.all().cloned().collect(), asked: incidents.asked().copied().collect() }
    }

    fn serve_top(&mut self, asker: Asker, by: ctwarden::protocol::By, rows: u8, exact: bool) -> Option<Answer> {
        let Some(count) = self.counters.count(&self.root) else { return Some(failed(Errno::ENOENT)) };
        self.work.read_timeouts(&self.root);
        match self.work.begin(Purpose::Census { by, exact }, &self.root, count) {
            Ok(pass) => {
                self.job = Some(Job::Census { pass, asker, by, rows, count });
                None
            }
            Err(e) => Some(failed(e)),
        }
    }

    fn serve_trim(&mut self, asker: Asker, selection: Selection, dry: bool, then: Then) -> Option<Answer> {
        let began = self.now();
        let Some(before) = self.counters.count(&self.root) else { return Some(failed(Errno::ENOENT)) };
        let in_kernel = if dry { None } else { act::trim_in_kernel(selection, &self.config, &mut self.work) };
        if let Some(result) = in_kernel {
            let after = self.counters.count(&self.root).unwrap_or(before);
            let took = self.now().since(began);
            return Some(match result {
                Ok(()) => {
                    let (steps, level) = ([0; 5], None);
                    tell(Event::Trimmed { before, after, steps, level, took, interrupted: false, repeated: false });
                    Answer::Done(Done { what: Rung::Trim, before, after, took, steps, dry })
                }
                Err(e) => failed(e),
            });
        }
        match Trim::begin(selection, false, dry, &mut self.work, &self.root, before) {
            Ok(trim) => {
                self.job = Some(Job::Trim { trim, began, asker: Some(asker), then });
                None
            }
            Err(e) => Some(failed(e)),
        }
    }

    fn serve_shed(&mut self, asker: Asker, lease: Lease, seconds: u32, dry: bool) -> Option<Answer> {
        // A config that changes nothing has no rules.
        if !self.emergency.ready() && !self.config.dry_run {
            return Some(Answer::NoRules);
        }
        if let Some(why) = self.spared(&lease) {
            return Some(Answer::Spared(why));
        }
        if dry {
            return self.serve_trim(asker, Selection::Under(lease), true, Then::Would(Rung::Shed));
        }
        let until = self.now().after(Millis::seconds(seconds.into()));
        Some(self.shed_asked(&lease, until))
    }

    fn serve_open(&mut self, asker: Asker, scope: Option<Scope>, seconds: Option<u32>, dry: bool) -> Option<Answer> {
        let scope = scope.unwrap_or(self.config.open_scope);
        let total = seconds.map_or(self.config.open_seconds, |s| Millis::seconds(s.into()));
        if scope == Scope::All && self.config.open_scope != Scope::All {
            return Some(Answer::NotConfigured);
        }
        if !self.emergency.ready() && !self.config.dry_run {
            return Some(Answer::NoRules);
        }
        if dry {
            return self.serve_trim(asker, Selection::Level, true, Then::Would(Rung::Open));
        }
        let Some(before) = self.counters.count(&self.root) else { return Some(failed(Errno::ENOENT)) };
        self.begin_trim(self.now(), before, Then::Open { scope, total }, Some(asker));
        None
    }

    /// A part of a chart.
    pub(super) fn history(&self, span: Span, since: u32) -> History {
        self.rings.since(span, since, &self.settings.marks)
    }

    /// How it stands with emergency rules.
    pub(super) fn windows(&self) -> Windows {
        let (e, now) = (&self.emergency, self.now());
        Windows {
            backend: e.firewall.backend(),
            ready: e.ready(),
            left_alone: e.firewall.left_alone(),
            counts: e.firewall.counts(),
            lifeline: e.lifeline,
            open: e.windows.opening().map(|o| (o.scope, o.until.since(now))),
            shedding: e.windows.shedding(now).count() as u8,
        }
    }

    fn serve_flush(&mut self) -> Answer {
        let Some(before) = self.counters.count(&self.root) else { return failed(Errno::ENOENT) };
        if let Err(why) = self.guard.ladder.may_flush(self.now(), &self.settings) {
            return Answer::Refused(why);
        }
        match self.flush(before) {
            Ok((after, took)) => {
                Answer::Done(Done { what: Rung::Flush, before, after, took, steps: [0; 5], dry: false })
            }
            Err(e) => failed(e),
        }
    }

    pub(super) fn status(&self) -> Status {
        let version = env!("CARGO_PKG_VERSION");
        Status {
            version: heapless::String::try_from(version).unwrap_or_default(),
            pid: std::process::id(),
            uptime: self.now(),
            evidence: *self.guard.evidence(),
            dry_run: self.config.dry_run,
            ladder: self.settings.ladder.clone(),
            unusable: self.unusable.clone(),
            max_before: self.journal.change(Setting::Max).map(|c| c.before),
            windows: self.windows(),
            out: self.state.taken_out(&self.root),
            flushes: (self.guard.ladder.flushes_within_hour(self.now()), self.settings.flushes_per_hour),
            incident: self.guard.incidents.last().cloned(),
            log_readable: self.log_readable,
            longest_blind_us: self.longest_blind_us.min(u32::MAX.into()) as u32,
            allocations: crate::allocations::since_mark(),
        }
    }
}

fn failed(e: Errno) -> Answer {
    Answer::Failed { errno: e as i32 }
}
