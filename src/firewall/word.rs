//! A line of rules → its words.

/// One word, without the comma or semicolon behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Word<'a> {
    pub text: &'a [u8],
    /// It stood in quotes: a name or a comment, never a word of the language.
    pub quoted: bool,
}

/// The words of a line. What is in quotes is one word. Copied to look ahead.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a>(pub &'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let rest = self.0.trim_ascii_start();
        if let Some(inside) = rest.strip_prefix(b"\"") {
            let mut escaped = false;
            // Without its end all the rest is in the quotes.
            let end = inside.iter().position(|b| {
                let ends = *b == b'"' && !escaped;
                escaped = *b == b'\\' && !escaped;
                ends
            });
            let end = end.unwrap_or(inside.len());
            let behind = inside.get(end + 1..).unwrap_or_default();
            self.0 = behind.strip_prefix(b",").unwrap_or(behind);
            return Some(Word { text: inside.get(..end)?, quoted: true });
        }
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end)?;
        self.0 = behind;
        let text = word.strip_suffix(b",").or(word.strip_suffix(b";")).unwrap_or(word);
        (!word.is_empty()).then_some(Word { text, quoted: false })
    }
}

impl<'a> Words<'a> {
    /// The next word, if it is this one of the language; then it is taken.
    pub fn eat(&mut self, wanted: &str) -> bool {
        let mut ahead = *self;
        let found = ahead.next() == Some(Word { text: wanted.as_bytes(), quoted: false });
        if found {
            *self = ahead;
        }
        found
    }

    /// The text of the next word; empty at the end.
    pub fn text(&mut self) -> &'a [u8] {
        self.next().map_or(&[], |w| w.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn quotes_commas_and_looking_ahead() {
        let words: Vec<_> = Words(b"\tiifname { \"br-*\", \"a \\\" b\" } policy drop; \"open").collect();
        let text: Vec<_> = words.iter().map(|w| (core::str::from_utf8(w.text).unwrap(), w.quoted)).collect();
        let expected = [
            ("iifname", false),
            ("{", false),
            ("br-*", true),
            ("a \\\" b", true),
            ("}", false),
            ("policy", false),
            ("drop", false),
            ("open", true),
        ];
        assert_eq!(text, expected);
        let mut words = Words(b"over \"over\"");
        assert!(!words.eat("rate") && words.eat("over") && !words.eat("over"));
        assert_eq!((words.text(), words.text()), (&b"over"[..], &b""[..]));
    }
}
