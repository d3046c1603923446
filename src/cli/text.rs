//! Words for people: colour only on a terminal, one write a line.

use super::exit::Exit;
use crate::stdio::{err, out};
use ctwarden::protocol::Reply;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard};

/// A longer line is cut. The longest, with a path, is half of this.
const LINE: usize = 1024;

/// Longest text that is printed or answered as one. The longest there is, eight incidents, is a third of this.
pub const MOST: usize = 16 * 1024;

/// What is printed as one, or goes to whoever asked the daemon.
struct Output {
    text: heapless::String<MOST>,
    /// Nothing is printed, all is kept for an asker ...
    keeping: bool,
    /// ... in colour or not. (An `Option` of it would not be all zeros, and the whole would stand in flash.)
    colour: bool,
}

/// Not on the stack: MIPS takes three instructions instead of one for every access to a frame of 32 KiB and more.
static OUTPUT: Mutex<Output> = Mutex::new(Output { text: heapless::String::new(), keeping: false, colour: false });

fn output() -> MutexGuard<'static, Output> {
    OUTPUT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What `show` prints is given to `to` instead. With `colour`, as for a terminal.
pub fn keep(colour: bool, show: &dyn Fn() -> Exit, to: &mut dyn FnMut(Exit, &str)) {
    let mut kept = output();
    kept.text.clear();
    (kept.keeping, kept.colour) = (true, colour);
    drop(kept);
    let exit = show();
    let mut kept = output();
    kept.keeping = false;
    to(exit, &kept.text);
}

/// Prints what `fill` writes in one write.
pub fn print_whole(fill: &mut dyn FnMut(&mut dyn fmt::Write)) {
    let mut whole = output();
    if !whole.keeping {
        whole.text.clear();
    }
    fill(&mut whole.text.as_mut_view());
    if !whole.keeping {
        write_all(out(), whole.text.as_bytes());
    }
}

/// A line in one write. Not through std's buffered streams: they cost 4 KB of the binary and know nothing that is wanted.
fn line(to: impl AsFd, before: &str, text: fmt::Arguments<'_>) {
    let mut line = heapless::String::<LINE>::new();
    let _ = line.push_str(before);
    let _ = fmt::write(&mut line.as_mut_view(), text);
    if line.len() == LINE {
        line.pop();
    }
    let _ = line.push('\n');
    let mut whole = output();
    if whole.keeping {
        // What does not fit is left out: nothing that is asked for is as long.
        let _ = whole.text.push_str(&line);
    } else {
        write_all(to, line.as_bytes());
    }
}

/// A closed pipe (`| head`) is no fault.
fn write_all(to: impl AsFd, mut bytes: &[u8]) {
    while let Ok(n @ 1..) = nix::unistd::write(&to, bytes) {
        bytes = bytes.get(n..).unwrap_or_default();
    }
}

/// A line to standard output.
pub fn print(text: fmt::Arguments<'_>) {
    line(out(), "", text);
}

/// A text to standard output.
pub fn print_text(text: &str) {
    write_all(out(), text.as_bytes());
}

/// The daemon's reply: what it says, or what it complains of.
pub fn print_reply(reply: &Reply<'_>) -> Exit {
    let exit = Exit::from_number(reply.exit);
    let to = if exit == Exit::Done { out() } else { err() };
    write_all(to, reply.text.as_bytes());
    exit
}

/// A line to standard error, with our name before it.
pub fn complain(text: fmt::Arguments<'_>) {
    line(err(), "ctwarden: ", text);
}

/// Standard output is a terminal.
pub fn is_terminal() -> bool {
    nix::unistd::isatty(out()).unwrap_or(false)
}

/// Colours, or nothing.
#[derive(Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    pub fn new() -> Self {
        let output = output();
        Self(if output.keeping { output.colour } else { is_terminal() })
    }
    pub fn red(self) -> &'static str {
        if self.0 { "\x1b[31;1m" } else { "" }
    }
    pub fn yellow(self) -> &'static str {
        if self.0 { "\x1b[33m" } else { "" }
    }
    pub fn green(self) -> &'static str {
        if self.0 { "\x1b[32m" } else { "" }
    }
    pub fn bold(self) -> &'static str {
        if self.0 { "\x1b[1m" } else { "" }
    }
    pub fn plain(self) -> &'static str {
        if self.0 { "\x1b[0m" } else { "" }
    }
}

/// A number with its thousands apart: `12,400`.
pub struct Grouped(pub u32);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // From the last digit on. 4,294,967,295 has 13 bytes.
        const MOST: usize = 13;
        let mut text = [b','; MOST];
        let (mut rest, mut from) = (self.0, MOST);
        for (place, to) in text.iter_mut().enumerate().rev() {
            if (MOST - place).is_multiple_of(4) {
                continue;
            }
            *to = b'0' + (rest % 10) as u8;
            (rest, from) = (rest / 10, place);
            if rest == 0 {
                break;
            }
        }
        f.pad(text.get(from..).and_then(|t| core::str::from_utf8(t).ok()).unwrap_or_default())
    }
}

/// A value as text, to be aligned: most of them do not know of widths.
pub fn cell(value: fmt::Arguments<'_>) -> heapless::String<32> {
    let mut text = heapless::String::new();
    let _ = fmt::write(&mut text.as_mut_view(), value);
    text
}

#[cfg(test)]
mod tests {
    use super::Grouped;

    #[test]
    fn thousands_are_apart() {
        for (n, text) in
            [(0, "0"), (7, "7"), (999, "999"), (1000, "1,000"), (65_536, "65,536"), (1_000_000, "1,000,000")]
        {
            assert_eq!(format!("{}", Grouped(n)), text);
        }
        assert_eq!(format!("{:>14}|{:<6}|", Grouped(u32::MAX), Grouped(1234)), " 4,294,967,295|1,234 |");
    }
}
