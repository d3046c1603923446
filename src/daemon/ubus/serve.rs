//! What a call leads to: what is known is answered at once, what takes a pass over the table when its turn is over.

use super::{Asked, Asker};
use crate::daemon::answer::{self, Asking};
use crate::daemon::front::{Front, Shown};
use crate::daemon::hooks;
use crate::daemon::report::tell;
use crate::daemon::run::{CALLS, Daemon};
use crate::daemon::{sysctl, system};
use ctwarden::call::Call;
use ctwarden::describe;
use ctwarden::protocol::{Answer, Request, SHED_SECONDS};
use ctwarden::sizing;
use ctwarden::units::{Entries, Millis, Permille};
use ctwarden::wire::ubus::Code;
use std::ops::ControlFlow;

impl Daemon {
    /// Takes one call; [`has_more`](super::Ubus::has_more) says whether others have come already. Gives what is to be answered at once;
    /// `Break`: the config that was asked for switches the guard off.
    #[inline(never)]
    pub(in crate::daemon) fn serve_bus(&mut self, now: Millis, front: &dyn Front) -> ControlFlow<(), Option<Asking>> {
        self.bus.turn(now, &mut tell);
        let asked = self.bus.next_call(now, &mut tell);
        while let Some(hook) = self.bus.next_unserved() {
            hooks::call(hook);
        }
        match asked {
            Some(asked) => self.take_call(&asked, front),
            None => ControlFlow::Continue(None),
        }
    }

    fn take_call(&mut self, asked: &Asked, front: &dyn Front) -> ControlFlow<(), Option<Asking>> {
        let Asked { asker, call, who } = *asked;
        let mut dry = false;
        let request = match call {
            Call::Status => Request::Status,
            Call::Incidents => Request::Log,
            Call::History { span, since } => Request::History { span, since },
            Call::Size { max, ram_percent, board } => {
                self.think(asker, max, ram_percent, board, front);
                return ControlFlow::Continue(None);
            }
            Call::Check | Call::Drill => {
                self.show(asker, if matches!(call, Call::Check) { Shown::Check } else { Shown::Drill }, front);
                return ControlFlow::Continue(None);
            }
            Call::Reload => {
                self.asked_for(Request::Reload, who);
                let goes_on = !self.show(asker, Shown::Check, front) || self.reload(front);
                return if goes_on { ControlFlow::Continue(None) } else { ControlFlow::Break(()) };
            }
            Call::Metrics => Request::Metrics,
            Call::Top { by, rows, exact } => Request::Top { by, rows, exact },
            Call::Close => Request::Close,
            Call::Trim { selection, dry_run } => {
                dry = dry_run;
                Request::Trim(selection)
            }
            Call::Flush { dry_run } => {
                dry = dry_run;
                Request::Flush
            }
            Call::Open { scope, seconds, dry_run } => {
                dry = dry_run;
                Request::Open { scope, seconds }
            }
            Call::Shed { lease, seconds, dry_run } => {
                dry = dry_run;
                Request::Shed { lease, seconds: seconds.unwrap_or(SHED_SECONDS) }
            }
        };
        if request.changes() && !dry {
            self.asked_for(request, who);
        }
        let asking = Asking { asker: answer::Asker::Bus(asker), request, dry };
        if matches!(request, Request::Status | Request::Log | Request::History { .. }) {
            return ControlFlow::Continue(Some(asking));
        }
        // The other places are kept for the command line.
        let of_bus = self.waiting.iter().filter(|waiting| matches!(waiting.asker, answer::Asker::Bus(_))).count();
        if of_bus >= CALLS || self.waiting.push_back(asking).is_err() {
            self.answer(asking.asker, &Answer::busy());
        }
        ControlFlow::Continue(None)
    }

    /// Answers with lines for people; gives whether all is well.
    fn show(&mut self, asker: Asker, what: Shown, front: &dyn Front) -> bool {
        let mut well = false;
        front.show(what, &mut |fine, text| {
            well = fine;
            self.bus.reply(
                asker,
                Code::Ok,
                Some(&|o| {
                    o.flag("ok", fine);
                    describe::lines(o, "lines", text);
                }),
            );
        });
        well
    }

    /// What the limits should be: here and now, or with other numbers.
    fn think(
        &mut self,
        asker: Asker,
        max: Option<Entries>,
        ram_percent: Option<u8>,
        board: Option<&str>,
        front: &dyn Front,
    ) {
        let mut policy = self.config.sizing;
        policy.max = max.or(policy.max);
        policy.ram_percent = ram_percent.map_or(policy.ram_percent, |n| Permille(u16::from(n) * 10));
        let machine = system::machine(&self.root, board);
        // A board that is only thought of has no table yet.
        let found = system::found(&self.root, &mut self.counters).filter(|_| board.is_none());
        let file = sysctl::owners_max(&self.root).filter(|_| board.is_none());
        let plan = sizing::plan_beside(file, &machine, &policy, found.as_ref());
        self.bus.reply(asker, Code::Ok, Some(&|o| front.plan(&plan, o)));
    }
}
