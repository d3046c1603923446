//! One file a verb (the small ones share one): text for people, `--json` for programs.

pub mod args;
pub mod chart;
mod check;
mod direct;
pub mod exit;
#[cfg(test)]
mod largest;
mod replay;
#[cfg(feature = "watch")]
mod screen;
pub mod show;
mod show_json;
mod size;
mod start;
#[cfg(feature = "stateless")]
mod take;
#[cfg(not(feature = "stateless"))]
#[path = "no_take.rs"]
mod take;
#[cfg(feature = "watch")]
mod terminal;
pub mod text;
mod verbs;
#[cfg(feature = "watch")]
mod watch;
#[cfg(not(feature = "watch"))]
#[path = "no_watch.rs"]
mod watch;

use crate::daemon::root::{Root, STATE_DIR, SystemPath};
use args::{Arguments, Verb};
use ctwarden::entry::holder_of;
use ctwarden::lease::Lease;
use ctwarden::protocol::{Request, SHED_SECONDS};
use exit::Exit;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// Carries a command out.
pub fn run(arguments: &Arguments) -> Exit {
    let Some(root) = Root::new(arguments.root) else {
        text::complain(format_args!("--root: longer than 128 bytes"));
        return Exit::Usage;
    };
    let place = Place::new(root, arguments);
    let json = arguments.json;
    match &arguments.verb {
        Verb::Run { dry_run, debug } => start::run(place, *dry_run, *debug),
        Verb::Check { file } => check::run(&place, *file),
        Verb::Size { ram_mib, board, apply, save } => size::run(&place, *ram_mib, *board, *apply, *save, json),
        Verb::Status => verbs::status(&place, json),
        Verb::Top { by, rows, exact } => verbs::top(&place, *by, *rows, *exact, json),
        Verb::Trim { source, only } => verbs::trim(&place, *source, *only, json),
        Verb::Flush => verbs::flush(&place, json),
        Verb::Shed { source, seconds } => {
            let lease = Lease::Source(holder_of((*source).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))));
            let request = Request::Shed { lease, seconds: seconds.unwrap_or(SHED_SECONDS) };
            verbs::only_asked(&place, request, "it gives the lease and renews it", json)
        }
        Verb::Open { scope, seconds } => {
            let request = Request::Open { scope: *scope, seconds: *seconds };
            verbs::only_asked(&place, request, "it renews what is open, and closes it", json)
        }
        Verb::Close => verbs::only_asked(&place, Request::Close, "nothing of it is open for long", json),
        Verb::History { span, since } => {
            let request = Request::History { span: *span, since: *since };
            verbs::only_asked(&place, request, "the charts are kept by it", json)
        }
        Verb::Stateless { force, dry_run } => take::stateless(&place, *force, *dry_run),
        Verb::Unload { dry_run } => take::unload(&place, *dry_run),
        Verb::Back => take::back(&place),
        Verb::Watch => watch::run(&place),
        Verb::Metrics => verbs::only_asked(&place, Request::Metrics, "they are counted by it", json),
        Verb::Log => verbs::only_asked(&place, Request::Log, "incidents are kept by it", json),
        Verb::Drill => replay::drill(&place),
        Verb::Replay { file } => replay::run(&place, file),
    }
}

/// Where things are: the root, and what the command line said of the rest.
pub struct Place {
    pub root: Root,
    /// The config file named on the command line.
    pub config: Option<&'static str>,
    pub state_dir: SystemPath,
    pub socket: SystemPath,
}

impl Place {
    fn new(root: Root, arguments: &Arguments) -> Self {
        let own = |given: Option<&str>, usual: SystemPath| match given {
            Some(path) => SystemPath::try_from(path).unwrap_or_default(),
            None => usual,
        };
        let state_dir = own(arguments.state_dir, root.path(&[STATE_DIR]));
        let mut socket = state_dir.clone();
        let _ = socket.write_str("/socket");
        let socket = own(arguments.socket, socket);
        Self { root, config: arguments.config, state_dir, socket }
    }
}
