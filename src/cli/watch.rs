//! `watch`: status, chart, holders and log, live in a terminal.
//!
//! What is shown are the daemon's own replies, asked for anew every second; here is only what a terminal wants: its size, its
//! keys, and to be left as it was found.

use super::Place;
use super::exit::{Exit, Why, no_daemon};
use super::screen::{Kept, Screen};
use super::terminal::{Modes, size};
use super::text::{complain, is_terminal};
use crate::daemon::control::ask_while;
use crate::daemon::signals::Signals;
use crate::stdio::{input, out};
use ctwarden::history::Span;
use ctwarden::protocol::{Ask, By, Reply, Request};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use signal_hook::consts::SIGWINCH;
use std::os::fd::BorrowedFd;

/// Between two looks, in milliseconds.
const EVERY: u16 = 1_000;
/// Who holds the table is asked at every so many looks: a sample of it is 0.2 s of a small router's CPU.
const TOP_EVERY: u32 = 5;
/// Holders asked for.
const HOLDERS: u8 = 40;

/// The other screen and no cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

struct Watch<'a> {
    place: &'a Place,
    signals: Signals,
    by: By,
    looks: u32,
    ended: bool,
}

pub fn run(place: &Place) -> Exit {
    let modes = match Modes::now() {
        Some(modes) if is_terminal() => modes,
        _ => {
            complain(format_args!("watch wants a terminal (over SSH: ssh -t)"));
            return Exit::Usage;
        }
    };
    let signals = match Signals::new(SIGWINCH) {
        Ok(signals) => signals,
        Err(e) => {
            complain(format_args!("signals: {}", Why(e)));
            return Exit::Fault;
        }
    };
    let mut watch = Watch { place, signals, by: By::Source, looks: 0, ended: false };
    // Before the screen is taken: whoever has no daemon reads that where all complaints are read.
    if let Err(e) = watch.ask(Request::Status, &mut |_| {})
        && !watch.ended
    {
        if no_daemon(e) {
            complain(format_args!("the daemon is not running; nobody watches the table"));
            return Exit::NoDaemon;
        }
        complain(format_args!("{}: {}", place.socket, Why(e)));
        return if matches!(e, Errno::EACCES | Errno::EPERM) { Exit::NotPermitted } else { Exit::Fault };
    }
    modes.set_for_keys();
    watch.put(ENTER);
    let (mut top, mut log) = (Kept::new(), Kept::new());
    while !watch.ended {
        watch.draw(&mut top, &mut log);
        watch.wait(None);
    }
    watch.put(LEAVE);
    modes.set_back();
    Exit::Done
}

impl Watch<'_> {
    fn ask(&mut self, request: Request, to: &mut dyn FnMut(&Reply<'_>)) -> Result<(), Errno> {
        let place = self.place;
        ask_while(&place.socket, &Ask { request, json: false, colour: true }, &mut |fd| self.wait(Some(fd)), to)
    }

    fn draw(&mut self, top: &mut Kept, log: &mut Kept) {
        let (rows, columns) = size();
        let mut screen = Screen::new(rows, columns);
        let by = self.by.name();
        screen.line(&["\x1b[1mctwarden\x1b[0m  by ", by, "  (s p d t: source, prefix, destination, state; q ends)"]);
        let holders = Request::Top { by: self.by, rows: HOLDERS, exact: false };
        let chart = Request::History { span: Span::Minutes, since: 0 };
        for (request, every) in [(Request::Status, 1), (chart, 1), (Request::Log, 1), (holders, TOP_EVERY)] {
            if !self.looks.is_multiple_of(every) {
                continue;
            }
            let done = self.ask(request, &mut |reply| match request {
                Request::Log => log.heads_of(reply.text),
                // Relief comes first: then who it was last time.
                Request::Top { .. } if reply.exit == 0 => top.start_of(reply.text),
                Request::Top { .. } => {}
                _ => screen.lines(reply.text, rows),
            });
            if done.is_err() {
                screen.line(&["\x1b[31;1mthe daemon does not answer\x1b[0m"]);
                break;
            }
        }
        self.looks += 1;
        let last = (screen.rows_left() / 3).min(log.count());
        screen.lines(top.text(), screen.rows_left().saturating_sub(last));
        screen.lines(log.last(last), last);
        if !self.ended {
            self.put(screen.finish());
        }
    }

    /// Waits: for keys, signals and, if there is one, for `fd`; else for a second at most. `false`: it is to end.
    fn wait(&mut self, fd: Option<BorrowedFd<'_>>) -> bool {
        loop {
            let wanted = [input(), self.signals.poll_fd(), fd.unwrap_or(input())];
            let mut fds = wanted.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            let time = if fd.is_some() { PollTimeout::NONE } else { PollTimeout::from(EVERY) };
            let _ = poll(&mut fds, time);
            let [key, signal, answer] = fds.map(|fd| fd.revents().is_some_and(|r| !r.is_empty()));
            if signal {
                self.signals.drain();
                self.ended |= self.signals.stop() || self.signals.take_reload();
            }
            if key {
                self.take_key();
            }
            if self.ended || fd.is_none() || answer {
                return !self.ended;
            }
        }
    }

    fn take_key(&mut self) {
        let mut key = [0];
        let by = match (read(input(), &mut key), key) {
            (Ok(1), [b's']) => By::Source,
            (Ok(1), [b'p']) => By::Prefix,
            (Ok(1), [b'd']) => By::Destination,
            (Ok(1), [b't']) => By::State,
            // Also Ctrl-C, Ctrl-D and Ctrl-\, which are keys here. Nothing to read: nobody sits there any more.
            (Ok(0) | Err(_), _) | (_, [b'q' | b'Q' | 3 | 4 | 28]) => {
                self.ended = true;
                return;
            }
            _ => return,
        };
        (self.by, self.looks) = (by, 0);
    }

    /// A terminal that takes nothing any more is the end.
    fn put(&mut self, text: &str) {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            match write(out(), bytes) {
                Ok(n @ 1..) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                _ => {
                    self.ended = true;
                    return;
                }
            }
        }
    }
}
