//! A place in the texts → the rule that stands there, for people.

use super::{Place, Reader, Text};
use crate::observe::lines::CutLine;
use heapless::{Vec, VecView};

/// Longest quotation: table, chain and rule.
pub const QUOTE: usize = 160;
/// Longest name of table and chain in it.
const HEADING: usize = 40;

/// Finds a line again. Fed with the same texts as the [`Check`](super::Check) was.
pub struct Quote {
    place: Place,
    at: Place,
    table: Vec<u8, HEADING>,
    chain: Vec<u8, HEADING>,
    line: Vec<u8, QUOTE>,
}

impl Quote {
    /// Looks for this place.
    pub const fn new(place: Place) -> Self {
        Self { place, at: Place { text: 0, line: 0 }, table: Vec::new(), chain: Vec::new(), line: Vec::new() }
    }

    /// What was found; empty if nothing was.
    pub fn line(&self) -> &str {
        core::str::from_utf8(&self.line).unwrap_or_default()
    }
}

impl Reader for Quote {
    fn begin(&mut self, _text: Text) {
        self.at = Place { text: self.at.text.saturating_add(1), line: 0 };
    }

    fn line(&mut self, line: CutLine<'_>) {
        self.at.line = self.at.line.saturating_add(1);
        let text = line.bytes.trim_ascii();
        let heading = text.strip_suffix(b" {").unwrap_or(text);
        if heading.starts_with(b"table ") || heading.starts_with(b"*") {
            self.table.clear();
            put(&mut self.table, heading);
        } else if heading.starts_with(b"chain ") {
            self.chain.clear();
            put(&mut self.chain, heading);
        }
        if self.at == self.place {
            for part in [&self.table, &self.chain, text] {
                if !part.is_empty() {
                    let comma: &[u8] = if self.line.is_empty() { b"" } else { b", " };
                    put(&mut self.line, comma);
                    put(&mut self.line, part);
                }
            }
        }
    }
}

/// Adds what there is room for.
fn put(to: &mut VecView<u8>, text: &[u8]) {
    for b in text {
        // What is not plain is none of the language.
        let _ = to.push(if b.is_ascii() { *b } else { b'?' });
    }
}
