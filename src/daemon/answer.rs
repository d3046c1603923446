//! What a request leads to.

use super::act::{self, Trim};
use super::control::Asker;
use super::job::Job;
use super::run::Daemon;
use super::work::Purpose;
use ctwarden::event::Event;
use ctwarden::journal::Setting;
use ctwarden::protocol::{Answer, Done, Request, Selection, Status};
use nix::errno::Errno;

impl Daemon {
    /// Answers a request, or begins the job whose end answers it.
    pub(super) fn serve(&mut self, asker: Asker, request: Request) {
        let answer = match request {
            Request::Status => Some(Answer::Status(self.status())),
            Request::Log => Some(Answer::Log(self.guard.incidents.all().cloned().collect())),
            Request::Top { by, rows, exact } => self.serve_top(asker, by, rows, exact),
            Request::Trim(selection) => self.serve_trim(asker, selection),
            Request::Flush if self.config.dry_run => self.serve_trim(asker, Selection::All),
            Request::Flush => Some(self.serve_flush()),
        };
        if let Some(answer) = answer {
            self.control.answer(asker, &answer);
        }
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

    fn serve_trim(&mut self, asker: Asker, selection: Selection) -> Option<Answer> {
        let began = self.now();
        let Some(before) = self.counters.count(&self.root) else { return Some(failed(Errno::ENOENT)) };
        let dry = self.config.dry_run;
        let in_kernel = if dry { None } else { act::trim_in_kernel(selection, &self.config, &mut self.work) };
        if let Some(result) = in_kernel {
            let after = self.counters.count(&self.root).unwrap_or(before);
            let took = self.now().since(began);
            return Some(match result {
                Ok(()) => {
                    let (steps, level) = ([0; 5], None);
                    super::report::tell(Event::Trimmed {
                        before,
                        after,
                        steps,
                        level,
                        took,
                        interrupted: false,
                        repeated: false,
                    });
                    Answer::Done(Done { before, after, took, steps, dry })
                }
                Err(e) => failed(e),
            });
        }
        match Trim::begin(selection, false, dry, &mut self.work, &self.root, before) {
            Ok(trim) => {
                self.job = Some(Job::Trim { trim, began, asker: Some(asker) });
                None
            }
            Err(e) => Some(failed(e)),
        }
    }

    fn serve_flush(&mut self) -> Answer {
        let Some(before) = self.counters.count(&self.root) else { return failed(Errno::ENOENT) };
        if let Err(why) = self.guard.ladder.may_flush(self.now(), &self.settings) {
            return Answer::Refused(why);
        }
        match self.flush(before) {
            Ok((after, took)) => Answer::Done(Done { before, after, took, steps: [0; 5], dry: false }),
            Err(e) => failed(e),
        }
    }

    fn status(&self) -> Status {
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
            flushes: (self.guard.ladder.flushes_within_hour(self.now()), self.settings.flushes_per_hour),
            incident: self.guard.incidents.last().cloned(),
            log_readable: self.log_readable,
            longest_blind_us: self.longest_blind.as_micros().min(u32::MAX as u128) as u32,
            allocations: crate::allocations::since_mark(),
        }
    }
}

fn failed(e: Errno) -> Answer {
    Answer::Failed { errno: e as i32 }
}
