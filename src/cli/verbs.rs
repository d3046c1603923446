//! status, top, trim, flush, log: asked of the daemon, or done straight to the kernel where there is none.

use super::check::load_or_complain;
use super::exit::{Exit, Why, complain_of, no_daemon};
use super::text::{complain, is_terminal, print_reply};
use super::{Place, direct, show};
use crate::daemon::control;
use crate::daemon::kernel::counters::Counters;
use crate::daemon::root::Root;
use ctwarden::config::Config;
use ctwarden::protocol::{Answer, Ask, By, Done, Only, Request, Selection};
use nix::errno::Errno;
use std::net::IpAddr;

/// Prints the daemon's reply; `None`: no daemon.
fn asked(place: &Place, request: Request, json: bool) -> Option<Exit> {
    let ask = Ask { request, json, colour: is_terminal() };
    let mut exit = Exit::Fault;
    let asked = control::ask(&place.socket, &ask, &mut |reply| exit = print_reply(reply));
    match asked {
        Ok(()) => Some(exit),
        Err(e) if no_daemon(e) => None,
        Err(e) => {
            complain(format_args!("{}: {}", place.socket, Why(e)));
            Some(if matches!(e, Errno::EACCES | Errno::EPERM) { Exit::NotPermitted } else { Exit::Fault })
        }
    }
}

pub fn status(place: &Place, json: bool) -> Exit {
    asked(place, Request::Status, json).unwrap_or_else(|| {
        match Counters::new().table_with_buckets(&place.root) {
            Some(table) => show::table(&table, json),
            None => return complain_of(direct::no_table(&place.root)),
        }
        Exit::Done
    })
}

pub fn top(place: &Place, by: By, rows: u8, exact: bool, json: bool) -> Exit {
    asked(place, Request::Top { by, rows, exact }, json).unwrap_or_else(|| {
        match direct::top(&place.root, by, rows, exact) {
            Ok(top) => show::answer(&Answer::Top(top), json),
            Err(e) => complain_of(e),
        }
    })
}

pub fn trim(place: &Place, source: Option<IpAddr>, only: Option<Only>, json: bool) -> Exit {
    let selection = match (source, only) {
        (Some(source), only) => Selection::Source(source, only),
        (None, Some(only)) => Selection::Kind(only),
        (None, None) => Selection::Level,
    };
    asked(place, Request::Trim(selection), json)
        .unwrap_or_else(|| directly(place, json, &|root, config| direct::trim(root, config, selection)))
}

pub fn flush(place: &Place, json: bool) -> Exit {
    asked(place, Request::Flush, json).unwrap_or_else(|| directly(place, json, &direct::flush))
}

/// Without a daemon, under the config that it would have.
fn directly(place: &Place, json: bool, how: &dyn Fn(&Root, &Config) -> Result<Done, Errno>) -> Exit {
    let Some(config) = load_or_complain(place, None) else { return Exit::Fault };
    match how(&place.root, &config) {
        Ok(done) => show::answer(&Answer::Done(done), json),
        Err(e) => complain_of(e),
    }
}

/// What only a daemon can: `without` says why.
pub fn only_asked(place: &Place, request: Request, without: &str, json: bool) -> Exit {
    asked(place, request, json).unwrap_or_else(|| {
        complain(format_args!("the daemon is not running; {without}"));
        Exit::NoDaemon
    })
}
