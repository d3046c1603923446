//! Words for people: colour only on a terminal, one write a line.

use std::fmt;
use std::io::{IsTerminal, Write, stderr, stdout};

/// A line to standard output. A closed pipe (`| head`) is no fault.
pub fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(stdout().lock(), "{line}");
}

/// A line to standard error, with our name before it.
pub fn complain(line: fmt::Arguments<'_>) {
    let _ = writeln!(stderr().lock(), "ctwarden: {line}");
}

/// Colours, or nothing.
#[derive(Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    pub fn new() -> Self {
        Self(stdout().is_terminal())
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
        let mut text = heapless::String::<16>::new();
        let (millions, thousands, ones) = (self.0 / 1_000_000, self.0 / 1000 % 1000, self.0 % 1000);
        let _ = match (millions, thousands) {
            (0, 0) => fmt::write(&mut text, format_args!("{ones}")),
            (0, t) => fmt::write(&mut text, format_args!("{t},{ones:03}")),
            (m, t) => fmt::write(&mut text, format_args!("{m},{t:03},{ones:03}")),
        };
        f.pad(&text)
    }
}

/// What `--json` prints: one object, one line.
pub fn print_json<T: serde::Serialize>(value: &T) {
    let mut room = [0; 16 * 1024];
    match serde_json_core::to_slice(value, &mut room) {
        Ok(n) => {
            let _ = stdout().lock().write_all(room.get(..n).unwrap_or_default());
            let _ = stdout().lock().write_all(b"\n");
        }
        Err(_) => complain(format_args!("the answer does not fit into 16 KiB of JSON")),
    }
}
