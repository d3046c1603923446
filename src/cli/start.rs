//! `run`: what the daemon needs before its loop begins.

use super::check::{self, load_or_complain};
use super::exit::{Exit, Why};
use super::text::{complain, keep};
use super::{Place, replay, show_json};
use crate::daemon::control::Control;
use crate::daemon::footing::settle;
use crate::daemon::front::{Front, Reload, Shown};
use crate::daemon::report;
use crate::daemon::run::Daemon;
use crate::daemon::signals::Signals;
use crate::daemon::statefile::{StateFault, StateFile};
use ctwarden::config::Config;
use ctwarden::out::Out;
use ctwarden::sizing::Plan;
use signal_hook::consts::SIGCHLD;

/// Says so if the config switches it off.
fn is_off(config: &Config) -> bool {
    if !config.enabled {
        complain(format_args!("switched off by the config (main.enabled)"));
    }
    !config.enabled
}

#[inline(never)]
pub fn run(place: Place, dry_run: bool, debug: bool) -> Exit {
    let Some(mut config) = load_or_complain(&place, None) else { return Exit::Fault };
    if is_off(&config) {
        return Exit::Done;
    }
    config.dry_run |= dry_run;
    let state = match StateFile::open(&place.state_dir) {
        Ok(state) => state,
        Err(StateFault::Taken) => {
            complain(format_args!("{}: another ctwarden is running", place.state_dir));
            return Exit::Fault;
        }
        Err(StateFault::Folder(e)) => {
            complain(format_args!("{}: {}", place.state_dir, Why(e)));
            return if matches!(e, nix::errno::Errno::EACCES | nix::errno::Errno::EPERM) {
                Exit::NotPermitted
            } else {
                Exit::Fault
            };
        }
    };
    let control = match Control::open(&place.socket, super::show::render) {
        Ok(control) => control,
        Err(e) => {
            complain(format_args!("{}: {}", place.socket, Why(e)));
            return Exit::Fault;
        }
    };
    // A script that has ended only wakes, for the next one's turn.
    let signals = match Signals::new(SIGCHLD) {
        Ok(signals) => signals,
        Err(e) => {
            complain(format_args!("signals: {}", Why(e)));
            return Exit::Fault;
        }
    };
    if let Err(e) = settle(config.realtime) {
        complain(format_args!("realtime: {}", Why(e)));
    }
    report::start(debug);
    let mut daemon = Daemon::new(place.root.clone(), config, state, control);
    daemon.run(&signals, &Here { place: &place, dry_run });
    Exit::Done
}

/// What the loop asks of us.
struct Here<'a> {
    place: &'a Place,
    dry_run: bool,
}

impl Front for Here<'_> {
    fn reload(&self) -> Reload {
        match load_or_complain(self.place, None) {
            Some(config) if is_off(&config) => Reload::Leave,
            Some(mut config) => {
                config.dry_run |= self.dry_run;
                Reload::Config(config)
            }
            None => {
                complain(format_args!("the new config has faults; the running one stays"));
                Reload::Stay
            }
        }
    }
    fn show(&self, what: Shown, to: &mut dyn FnMut(bool, &str)) {
        let shown = || match what {
            Shown::Check => check::run(self.place, None),
            Shown::Drill => replay::drill(self.place),
        };
        keep(false, &shown, &mut |exit, text| to(exit == Exit::Done, text));
    }
    fn plan(&self, plan: &Plan, o: &mut dyn Out) {
        show_json::plan(o, plan);
    }
}
