//! status, top, trim, flush, log: asked of the daemon, or done straight to the kernel where there is none.

use super::check::load_or_complain;
use super::exit::{Exit, Why, complain_of, no_daemon};
use super::text::complain;
use super::{Place, direct, show};
use crate::daemon::control::ask;
use crate::daemon::kernel::counters::Counters;
use ctwarden::protocol::{Answer, By, Only, Request, Selection};
use nix::errno::Errno;
use std::net::IpAddr;

/// What the daemon answers where it has no rules to give a lease by.
const NO_RULES: i32 = Errno::EOPNOTSUPP as i32;

/// The daemon's answer; `None`: no daemon. What every verb answers alike is answered here.
fn asked(place: &Place, request: &Request) -> Option<Result<Answer, Exit>> {
    let exit = match ask(&place.socket, request) {
        Ok(Answer::Refused(why)) => {
            complain(format_args!("refused: {why}"));
            Exit::Refused
        }
        Ok(Answer::Busy) => {
            complain(format_args!("the daemon is relieving the table and has no time; try again in a moment"));
            Exit::Fault
        }
        Ok(Answer::NotConfigured) => {
            complain(format_args!("refused: only with option open_scope 'all' in the config"));
            Exit::Refused
        }
        Ok(Answer::Failed { errno: NO_RULES }) => {
            complain(format_args!("no emergency rules are in place; `ctwarden status` says why"));
            Exit::Fault
        }
        Ok(Answer::Failed { errno }) => complain_of(Errno::from_raw(errno)),
        Ok(Answer::NotUnderstood) => {
            complain(format_args!("the daemon is of another version"));
            Exit::Fault
        }
        Ok(answer) => return Some(Ok(answer)),
        Err(e) if no_daemon(&e) => return None,
        Err(e) => {
            complain(format_args!("{}: {}", place.socket, Why::from(&e)));
            if e.kind() == std::io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Fault }
        }
    };
    Some(Err(exit))
}

pub fn status(place: &Place, json: bool) -> Exit {
    match asked(place, &Request::Status) {
        Some(Ok(Answer::Status(status))) => show::status(&status, json),
        Some(Err(exit)) => return exit,
        _ => match Counters::new().table_with_buckets(&place.root) {
            Some(table) => show::table(&table, json),
            None => return complain_of(direct::no_table(&place.root)),
        },
    }
    Exit::Done
}

pub fn top(place: &Place, by: By, rows: u8, exact: bool, json: bool) -> Exit {
    let top = match asked(place, &Request::Top { by, rows, exact }) {
        Some(Ok(Answer::Top(top))) => top,
        Some(Err(exit)) => return exit,
        _ => match direct::top(&place.root, by, rows, exact) {
            Ok(top) => top,
            Err(e) => return complain_of(e),
        },
    };
    show::top(&top, json);
    Exit::Done
}

pub fn trim(place: &Place, source: Option<IpAddr>, only: Option<Only>, json: bool) -> Exit {
    let selection = match (source, only) {
        (Some(source), only) => Selection::Source(source, only),
        (None, Some(only)) => Selection::Kind(only),
        (None, None) => Selection::Level,
    };
    let done = match asked(place, &Request::Trim(selection)) {
        Some(Ok(Answer::Done(done))) => done,
        Some(Err(exit)) => return exit,
        _ => {
            let Some(config) = load_or_complain(place, None) else { return Exit::Fault };
            match direct::trim(&place.root, &config, selection) {
                Ok(done) => done,
                Err(e) => return complain_of(e),
            }
        }
    };
    show::done("trim", &done, json);
    Exit::Done
}

pub fn flush(place: &Place, json: bool) -> Exit {
    let done = match asked(place, &Request::Flush) {
        Some(Ok(Answer::Done(done))) => done,
        Some(Err(exit)) => return exit,
        _ => {
            let Some(config) = load_or_complain(place, None) else { return Exit::Fault };
            match direct::flush(&place.root, &config) {
                Ok(done) => done,
                Err(e) => return complain_of(e),
            }
        }
    };
    show::done("flush", &done, json);
    Exit::Done
}

/// open, close: only a daemon renews leases, and ends them in time.
pub fn windows(place: &Place, request: &Request, json: bool) -> Exit {
    match asked(place, request) {
        Some(Ok(Answer::Windows(windows))) => show::windows(&windows, json),
        Some(Err(exit)) => return exit,
        _ => {
            complain(format_args!("the daemon is not running; it renews what is open, and closes it"));
            return Exit::NoDaemon;
        }
    }
    Exit::Done
}

pub fn log(place: &Place, json: bool) -> Exit {
    match asked(place, &Request::Log) {
        Some(Ok(Answer::Log(incidents))) => show::log(&incidents, json),
        Some(Err(exit)) => return exit,
        _ => {
            complain(format_args!("the daemon is not running; incidents are kept by it"));
            return Exit::NoDaemon;
        }
    }
    Exit::Done
}
