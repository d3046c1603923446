//! `replay` and `drill`: a recording through the guard, each decision with its reason, value and threshold.

use super::Place;
use super::check::load_or_complain;
use super::exit::{Exit, Why};
use super::text::{cell, complain, print};
use crate::daemon::root::{PIECE, terminated};
use ctwarden::observe::lines::LineSplitter;
use ctwarden::replay::Replay;
use ctwarden::text::lines;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::read;

const DRILL: &str = include_str!("drill.replay");

#[inline(never)]
pub fn run(place: &Place, file: &str) -> Exit {
    let Some(config) = load_or_complain(place, None) else { return Exit::Fault };
    let mut replay = Replay::new(&config);
    let mut splitter = LineSplitter::<PIECE>::new();
    let read_on = open(&terminated(file), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).and_then(|fd| {
        loop {
            let n = read(&fd, splitter.room())?;
            splitter.filled(n);
            while let Some(line) = if n > 0 { splitter.next_line() } else { splitter.last_line() } {
                if !feed(&mut replay, file, line.bytes) {
                    return Ok(Exit::Fault);
                }
            }
            if n == 0 {
                return Ok(Exit::Done);
            }
        }
    });
    read_on.unwrap_or_else(|e| {
        complain(format_args!("{file}: {}", Why(e)));
        Exit::Fault
    })
}

/// The built-in recording, under the running config: nothing is touched.
#[inline(never)]
pub fn drill(place: &Place) -> Exit {
    let Some(config) = load_or_complain(place, None) else { return Exit::Fault };
    print(format_args!("a drill: what would be done while a host fills a table of 2,048 that relief cannot empty"));
    let mut replay = Replay::new(&config);
    for line in lines(DRILL) {
        feed(&mut replay, "drill", line.as_bytes());
    }
    Exit::Done
}

/// One line through the guard; `false`: it is none, and that was said.
fn feed(replay: &mut Replay<'_>, name: &str, line: &[u8]) -> bool {
    let fed = replay.line(line, &mut |at, event| print(format_args!("{:>12}  {event}", cell(format_args!("{at}")))));
    if let Err(fault) = &fed {
        complain(format_args!("{name}:{}: expected {}", fault.line, fault.expected));
    }
    fed.is_ok()
}
