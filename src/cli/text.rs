//! Words for people: colour only on a terminal, one write a line.

use crate::stdio::{err, out};
use std::fmt;
use std::os::fd::AsFd;

/// A longer line is cut. The longest, with a path, is half of this.
const LINE: usize = 1024;

/// A line in one write. Not through std's buffered streams: they cost 4 KB of the binary and know nothing that is wanted.
fn line(to: impl AsFd, before: &str, text: fmt::Arguments<'_>) {
    let mut line = heapless::String::<LINE>::new();
    let _ = line.push_str(before);
    let _ = fmt::write(&mut line, text);
    if line.len() == LINE {
        line.pop();
    }
    let _ = line.push('\n');
    write_all(to, line.as_bytes());
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

/// A line to standard error, with our name before it.
pub fn complain(text: fmt::Arguments<'_>) {
    line(err(), "ctwarden: ", text);
}

/// Colours, or nothing.
#[derive(Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    pub fn new() -> Self {
        Self(nix::unistd::isatty(out()).unwrap_or(false))
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
        let mut text = heapless::String::<32>::new();
        let (millions, thousands, ones) = (self.0 / 1_000_000, self.0 / 1000 % 1000, self.0 % 1000);
        let _ = match (millions, thousands) {
            (0, 0) => fmt::write(&mut text, format_args!("{ones}")),
            (0, t) => fmt::write(&mut text, format_args!("{t},{ones:03}")),
            (m, t) => fmt::write(&mut text, format_args!("{m},{t:03},{ones:03}")),
        };
        f.pad(&text)
    }
}

/// A value as text, to be aligned: most of them do not know of widths.
pub fn cell(value: fmt::Arguments<'_>) -> heapless::String<32> {
    let mut text = heapless::String::new();
    let _ = fmt::write(&mut text, value);
    text
}
