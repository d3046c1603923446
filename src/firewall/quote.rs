//! A place in the texts → the rule that stands there, for people.

use super::{Place, Reader, Text};
use crate::observe::lines::CutLine;
use heapless::String;

/// Longest quotation of a rule.
pub const QUOTE: usize = 160;

/// Finds a line again, for people: table, chain and rule. Fed with the same texts as the [`Check`](super::Check) was.
pub struct Quote {
    place: Place,
    at: Place,
    table: String<48>,
    chain: String<48>,
    /// What was found; empty until then.
    pub line: String<QUOTE>,
}

impl Quote {
    /// Looks for this place.
    pub const fn new(place: Place) -> Self {
        Self { place, at: Place { text: 0, line: 0 }, table: String::new(), chain: String::new(), line: String::new() }
    }
}

impl Reader for Quote {
    fn begin(&mut self, _text: Text) {
        self.at = Place { text: self.at.text.saturating_add(1), line: 0 };
    }

    fn line(&mut self, line: CutLine<'_>) {
        self.at.line = self.at.line.saturating_add(1);
        // What is cut may be cut in a character.
        let text = line.bytes.utf8_chunks().next().map_or("", |c| c.valid()).trim();
        let heading = text.trim_end_matches([' ', '{']);
        if heading.starts_with("table ") || heading.starts_with('*') {
            put(&mut self.table, heading);
        } else if heading.starts_with("chain ") {
            put(&mut self.chain, heading);
        }
        if self.at == self.place {
            let mut all = String::new();
            for part in [&self.table, &self.chain, text].into_iter().filter(|p| !p.is_empty()) {
                let comma = if all.is_empty() { "" } else { ", " };
                push(&mut all, comma);
                push(&mut all, part);
            }
            self.line = all;
        }
    }
}

fn put<const N: usize>(to: &mut String<N>, text: &str) {
    to.clear();
    push(to, text);
}

fn push<const N: usize>(to: &mut String<N>, text: &str) {
    text.chars().take_while(|c| to.push(*c).is_ok()).for_each(drop);
}
