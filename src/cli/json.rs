//! What `--json` prints: one object, one line, numbers without floating point.
//!
//! Written by hand: the serializer of a JSON crate, stamped out for each of our types, was 9 KB on MIPS, this is two.

use super::text::print_whole;
use std::fmt::{self, Write};

/// An object or array being written.
pub struct Json<'a> {
    to: &'a mut dyn Write,
    first: bool,
}

impl Json<'_> {
    fn key(&mut self, name: &str) {
        let _ = self.to.write_str(if self.first { "" } else { "," });
        self.first = false;
        if !name.is_empty() {
            let _ = write!(self.to, "\"{name}\":");
        }
    }

    /// A number, or what else needs no quotes. In an array the name is empty.
    pub fn bare(&mut self, name: &str, value: &dyn fmt::Display) {
        self.key(name);
        let _ = write!(self.to, "{value}");
    }

    /// A number, or `null`.
    pub fn maybe(&mut self, name: &str, value: Option<u32>) {
        match value {
            Some(n) => self.bare(name, &n),
            None => self.bare(name, &"null"),
        }
    }

    /// A text, quoted and escaped.
    pub fn text(&mut self, name: &str, value: &dyn fmt::Display) {
        self.key(name);
        let _ = self.to.write_char('"');
        let _ = write!(Escaped(self.to), "{value}");
        let _ = self.to.write_char('"');
    }

    /// An object within.
    pub fn object(&mut self, name: &str, fill: &mut dyn FnMut(&mut Json<'_>)) {
        self.within(name, ['{', '}'], fill);
    }

    /// An array within.
    pub fn array(&mut self, name: &str, fill: &mut dyn FnMut(&mut Json<'_>)) {
        self.within(name, ['[', ']'], fill);
    }

    fn within(&mut self, name: &str, [open, close]: [char; 2], fill: &mut dyn FnMut(&mut Json<'_>)) {
        self.key(name);
        let _ = self.to.write_char(open);
        fill(&mut Json { to: self.to, first: true });
        let _ = self.to.write_char(close);
    }
}

struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let mut from = 0;
        for (at, byte) in s.bytes().enumerate() {
            let quoted = matches!(byte, b'"' | b'\\');
            if quoted || matches!(byte, b'\0'..b' ' | b'\x7f') {
                self.0.write_str(s.get(from..at).unwrap_or_default())?;
                // What is quoted follows with the rest.
                from = if quoted { at } else { at + 1 };
                match byte {
                    _ if quoted => self.0.write_str("\\")?,
                    _ => write!(self.0, "\\u{byte:04x}")?,
                }
            }
        }
        self.0.write_str(s.get(from..).unwrap_or_default())
    }
}

/// Prints one object.
pub fn print(fill: &mut dyn FnMut(&mut Json<'_>)) {
    print_whole(&mut |to| {
        Json { to, first: true }.object("", fill);
        let _ = to.write_char('\n');
    });
}
