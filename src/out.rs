//! One way to say what an answer consists of, whoever reads it: JSON text on the command line, blobmsg on the bus.
//!
//! [`describe`](crate::describe) tells every answer once, to an [`Out`]. So a name or a type cannot differ between the two.

use crate::units::Millis;
use core::fmt::{self, Write};

/// Where an answer is told to, part by part. In an array the names are empty.
pub trait Out {
    /// A number.
    fn number(&mut self, name: &str, value: u32);
    /// A number that may pass 31 bits in the life of a daemon.
    fn long(&mut self, name: &str, value: u64);
    /// True or false.
    fn flag(&mut self, name: &str, value: bool);
    /// A text.
    fn text(&mut self, name: &str, value: &dyn fmt::Display);
    /// Nothing to be told under this name.
    fn null(&mut self, name: &str);
    /// An object or array begins; what is told up to its [`end`](Self::end) is in it.
    fn begin(&mut self, name: &str, array: bool);
    /// The last one begun is complete.
    fn end(&mut self);
}

/// Tells something to whoever listens. It may be asked to more than once, and must tell the same each time.
pub type Fill<'a> = &'a dyn Fn(&mut dyn Out);

impl dyn Out + '_ {
    /// A time, in milliseconds.
    pub fn time(&mut self, name: &str, value: Millis) {
        self.long(name, value.0);
    }
    /// A number, or nothing.
    pub fn maybe(&mut self, name: &str, value: Option<u32>) {
        match value {
            Some(n) => self.number(name, n),
            None => self.null(name),
        }
    }
    /// An object begins.
    pub fn object(&mut self, name: &str) {
        self.begin(name, false);
    }
    /// An array begins.
    pub fn array(&mut self, name: &str) {
        self.begin(name, true);
    }
}

/// JSON text: one line, numbers without floating point.
pub struct Json<'a> {
    to: &'a mut dyn Write,
    first: bool,
    /// Which of those that are open are arrays: one bit each, the innermost lowest.
    arrays: u32,
}

impl<'a> Json<'a> {
    /// The whole text of one object that `fill` tells.
    pub fn object(to: &'a mut dyn Write, fill: Fill<'_>) {
        let mut json = Json { to, first: true, arrays: 0 };
        json.begin("", false);
        fill(&mut json);
        json.end();
    }

    fn key(&mut self, name: &str) {
        let _ = self.to.write_str(if self.first { "" } else { "," });
        self.first = false;
        if !name.is_empty() {
            let _ = write!(self.to, "\"{name}\":");
        }
    }
}

impl Out for Json<'_> {
    fn number(&mut self, name: &str, value: u32) {
        self.long(name, value.into());
    }
    fn long(&mut self, name: &str, value: u64) {
        self.key(name);
        let _ = write!(self.to, "{value}");
    }
    fn flag(&mut self, name: &str, value: bool) {
        self.key(name);
        let _ = self.to.write_str(if value { "true" } else { "false" });
    }
    fn text(&mut self, name: &str, value: &dyn fmt::Display) {
        self.key(name);
        let _ = self.to.write_char('"');
        let _ = write!(Escaped(self.to), "{value}");
        let _ = self.to.write_char('"');
    }
    fn null(&mut self, name: &str) {
        self.key(name);
        let _ = self.to.write_str("null");
    }
    fn begin(&mut self, name: &str, array: bool) {
        self.key(name);
        self.first = true;
        self.arrays = self.arrays << 1 | array as u32;
        let _ = self.to.write_char(if array { '[' } else { '{' });
    }
    fn end(&mut self) {
        self.first = false;
        let _ = self.to.write_char(if self.arrays & 1 == 1 { ']' } else { '}' });
        self.arrays >>= 1;
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
