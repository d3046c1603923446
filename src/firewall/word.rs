//! A line of rules → its words, and what they are.

use super::graph::Verdict;
use super::matches::Kind;

/// One word, without the comma or semicolon behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Word<'a> {
    pub text: &'a [u8],
    /// It stood in quotes: a name or a comment, never a word of the language.
    pub quoted: bool,
}

/// What a word of either language is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Is {
    Verdict(Verdict),
    /// It does something that changes nothing here.
    Statement,
    /// It takes so many words with it.
    Passing(u8),
    Counter,
    Limit,
    Fib,
    /// Of which packets: then a key and a value come.
    Of(Whose),
    /// A key by itself: a value comes.
    Key(Kind),
    /// The rest is for people.
    Comment,
    /// Of iptables: what comes is meant the other way about.
    #[cfg(any(feature = "iptables", not(feature = "daemon")))]
    Not,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Whose {
    Anybody,
    Ipv4,
    Ipv6,
    Tcp,
    Udp,
    /// Of protocols that are not asked about.
    Nobody,
}

/// Words that mean the same stand together.
pub(super) type Meanings = &'static [(&'static str, Is)];

/// What a word means.
#[inline(never)]
pub(crate) fn meaning<T: Copy>(word: &[u8], meanings: &[(&str, T)]) -> Option<T> {
    meanings.iter().find(|(words, _)| super::matches::is(word, words)).map(|(_, is)| *is)
}

/// The words of a line. What is in quotes is one word. Copied to look ahead.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a>(pub &'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    #[inline(never)]
    fn next(&mut self) -> Option<Word<'a>> {
        let rest = self.0.trim_ascii_start();
        let quoted = rest.first()? == &b'"';
        let mut escaped = false;
        let inside = rest.get(usize::from(quoted)..)?;
        // Without its end all the rest is in the quotes.
        let end = inside.iter().position(|b| {
            let ends = if quoted { *b == b'"' && !escaped } else { b.is_ascii_whitespace() };
            escaped = *b == b'\\' && !escaped;
            ends
        });
        let (mut text, mut behind) = inside.split_at_checked(end.unwrap_or(inside.len()))?;
        if quoted {
            behind = behind.strip_prefix(b"\"").unwrap_or(behind);
            behind = behind.strip_prefix(b",").unwrap_or(behind);
        } else if let [word @ .., b',' | b';'] = text {
            text = word;
        }
        self.0 = behind;
        Some(Word { text, quoted })
    }
}

impl<'a> Words<'a> {
    /// The next word, if it is this one of the language; then it is taken.
    #[inline(never)]
    pub fn eat(&mut self, wanted: &str) -> bool {
        let mut ahead = *self;
        let found = ahead.next() == Some(Word { text: wanted.as_bytes(), quoted: false });
        if found {
            *self = ahead;
        }
        found
    }

    /// The text of the next word; empty at the end.
    #[inline(never)]
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
