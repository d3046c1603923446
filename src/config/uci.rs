//! UCI text → commands, one at a time, without a heap.
//!
//! It reads what the real libuci reads and refuses what that refuses, quirks included, so that `uci show ctwarden` and
//! we never disagree on what a file says (`tests/uci` compares the two). The quirks, since no manual has them:
//!
//! * `#` starts a comment anywhere outside quotes, in the midst of a word too: `option high 85#%` is 85.
//! * Pieces stuck together are one word (`'8'"5"`); a backslash takes the next byte as it is, but not inside `''`; before
//!   the end of a line it joins the next one; quotes go on over lines.
//! * `;` separates commands on a line, but only behind a blank or a quoted word. Behind a plain word it ends the *line*:
//!   of `option high 90; option low 50` the real reader never sees the second half. A `;` before the end of a line is
//!   refused.
//! * `p c o l` are short for `package config option list`.
//! * An empty word is as good as none: `config x ''` is anonymous, `option '' x` lacks a name.
//!
//! Where we differ, each time on the strict side and never in what a value is:
//!
//! * words longer than [`WORD`] are refused, and zero bytes outside comments (at which the real one loses text);
//! * what the real one would silently drop behind a `;` is a fault;
//! * the real one loses hold of a named section that is opened a third time, and refuses its options; we read on;
//! * it stops at the first fault; we name it and go on with the next line, so that all are named at once. A fault behind a
//!   quote that went on over lines most likely means that the quote was left open by mistake, so that is what we say, and
//!   go on with the line after the one where it opened (8 times, then behind it).

use super::word::{Lines, Word};
use crate::text::find;

pub use super::word::WORD;

/// The four commands of UCI text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Package,
    Section,
    Option,
    List,
}

const VERBS: [(&str, Verb); 8] = [
    ("p", Verb::Package),
    ("package", Verb::Package),
    ("c", Verb::Section),
    ("config", Verb::Section),
    ("o", Verb::Option),
    ("option", Verb::Option),
    ("l", Verb::List),
    ("list", Verb::List),
];

impl Verb {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Package => "package",
            Verb::Section => "config",
            Verb::Option => "option",
            Verb::List => "list",
        }
    }
}

/// One command and where it began.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'b> {
    /// Line of the command's first word, counted from 1.
    pub line: u32,
    /// What it says.
    pub what: What<'b>,
}

/// What a command says. Words are bytes as unescaped; names and types are ASCII, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum What<'b> {
    /// `package NAME`: allowed and without effect where one file is one package.
    Package(&'b [u8]),
    /// `config KIND [NAME]`: opens a section, or goes on with the one that has this name. Anonymous: `name` is empty.
    Section {
        /// Its type.
        kind: &'b [u8],
        /// Its name, or nothing.
        name: &'b [u8],
    },
    /// `option NAME [VALUE]`: replaces what the option was, list or not. Without a value (or an empty one): no effect.
    Option {
        /// Its name.
        name: &'b [u8],
        /// Its value, or nothing.
        value: &'b [u8],
    },
    /// `list NAME [VALUE]`: adds a value, to a plain option's one too.
    List {
        /// Its name.
        name: &'b [u8],
        /// The value, or nothing (which is added all the same).
        value: &'b [u8],
    },
    /// A fault; nothing of the command has effect.
    Broken(Broken<'b>),
}

/// A command that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken<'b> {
    /// Which command, where that much could be told.
    pub verb: Option<Verb>,
    /// Its first word.
    pub name: &'b [u8],
    /// The bytes that are wrong.
    pub value: &'b [u8],
    /// There was more of `value` than is shown.
    pub cut: bool,
    /// What is wrong with them.
    pub flaw: Flaw,
}

/// What can be wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Flaw {
    NoCommand,
    NoWord,
    ExtraWord,
    BadType,
    BadName,
    NoSection,
    OpenQuote,
    TooLong,
    ZeroByte,
    Dropped,
}

impl Flaw {
    /// What is wrong, or what is allowed, for people.
    pub const fn text(self) -> &'static str {
        match self {
            Flaw::NoCommand => "not a command; there are config, option, list and package",
            Flaw::NoWord => "a word is missing behind the command",
            Flaw::ExtraWord => "one word too many; a value with blanks needs quotes",
            Flaw::BadType => "a type is made of ASCII characters without blanks",
            Flaw::BadName => "a name is made of letters, digits and _",
            Flaw::NoSection => "no section was opened before it (config TYPE 'NAME')",
            Flaw::OpenQuote => "a quote is left open",
            Flaw::TooLong => "longer than 128 bytes",
            Flaw::ZeroByte => "a zero byte",
            Flaw::Dropped => "uci ignores what follows a ; right behind a word; use a line of its own",
        }
    }
}

/// Lines are gone back to so often, or a text full of open quotes would take time with the square of its length.
const REREADS: u8 = 8;

/// Reads UCI text, a command a call.
pub struct Reader<'a> {
    lines: Lines<'a>,
    /// In the midst of a line, behind a `;`.
    inside: bool,
    section_opened: bool,
    /// How often lines have been gone back to.
    rereads: u8,
    first: Word,
    second: Word,
    third: Word,
}

fn until_line_feed(word: &[u8]) -> &[u8] {
    word.split(|b| *b == b'\n').next().unwrap_or_default()
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Reader {
            lines: Lines::new(text),
            inside: false,
            section_opened: false,
            rereads: 0,
            first: Word::default(),
            second: Word::default(),
            third: Word::default(),
        }
    }

    /// Offset of the first byte that is still to be read.
    pub fn position(&self) -> usize {
        self.lines.position()
    }

    /// The next command; none at the end of the text.
    pub fn next_item(&mut self) -> Option<Item<'_>> {
        for word in [&mut self.first, &mut self.second, &mut self.third] {
            word.clear();
        }
        if !self.find_command() {
            return None;
        }
        let start = self.lines.mark();
        let verb = self.verb();
        let mut read = match verb {
            Ok(verb) => self.words(verb).map(|()| verb),
            Err((_, flaw)) => Err(flaw),
        };
        let verb = verb.map_or_else(|(verb, _)| verb, Some);
        // Options that follow belong to a section, even if its name could not be read.
        self.section_opened |= verb == Some(Verb::Section);
        if let Err(flaw) = &mut read {
            self.end_line();
            if self.lines.quoted_over() {
                *flaw = Flaw::OpenQuote;
                if self.rereads < REREADS {
                    self.rereads += 1;
                    self.lines.back_behind(start);
                }
            }
        }
        Some(Item { line: start.line(), what: self.said(verb, read) })
    }

    fn said(&self, verb: Option<Verb>, read: Result<Verb, Flaw>) -> What<'_> {
        let (first, second) = (self.first.bytes(), self.second.bytes());
        let flaw = match read {
            Ok(Verb::Package) => return What::Package(first),
            Ok(Verb::Section) => return What::Section { kind: first, name: second },
            Ok(Verb::Option) => return What::Option { name: first, value: second },
            Ok(Verb::List) => return What::List { name: first, value: second },
            Err(flaw) => flaw,
        };
        let words = [&self.first, &self.second, &self.third];
        let last = words.into_iter().rfind(|word| !word.bytes().is_empty()).unwrap_or(&self.first);
        let culprit = match flaw {
            Flaw::OpenQuote => words.into_iter().find(|word| word.bytes().contains(&b'\n')).unwrap_or(last),
            Flaw::BadType | Flaw::NoWord => &self.first,
            Flaw::BadName if verb != Some(Verb::Section) => &self.first,
            Flaw::TooLong if self.first.is_cut() => &self.first,
            _ => last,
        };
        // What an open quote took in from other lines is not what is wrong.
        let first_line = |word| if flaw == Flaw::OpenQuote { until_line_feed(word) } else { word };
        let value = first_line(culprit.bytes());
        let cut = culprit.is_cut() || value.len() < culprit.bytes().len();
        What::Broken(Broken { verb, name: first_line(first), value, cut, flaw })
    }

    fn end_line(&mut self) {
        self.lines.skip_line();
        self.inside = false;
    }

    /// Goes to the first byte of a command; false if there is none any more.
    fn find_command(&mut self) -> bool {
        loop {
            if !self.inside {
                if !self.lines.fetch() {
                    return false;
                }
                self.lines.skip_spaces();
                self.inside = true;
            }
            self.lines.skip_blanks();
            if !matches!(self.lines.current(), None | Some(b'#')) {
                return true;
            }
            self.end_line();
        }
    }

    /// Reads the command's own word. A fault names the verb where it was one, and leaves the word in `third` where not.
    fn verb(&mut self) -> Result<Verb, (Option<Verb>, Flaw)> {
        let word = self.lines.command();
        let trimmed = word.trim_ascii_end();
        let Some(verb) = find(&VERBS, trimmed) else {
            trimmed.iter().for_each(|b| self.third.push(*b));
            return Err((None, Flaw::NoCommand));
        };
        // Blanks end the word, the end of the line does not: it is then a part of it.
        if trimmed == word && self.lines.current().is_some() { Ok(verb) } else { Err((Some(verb), Flaw::NoWord)) }
    }

    /// Reads and checks the words behind the verb. All are read before the first is judged, so that a quote that goes
    /// on over lines is not taken for commands.
    fn words(&mut self, verb: Verb) -> Result<(), Flaw> {
        self.lines.word(&mut self.first)?;
        if verb != Verb::Package {
            self.lines.word(&mut self.second)?;
        }
        self.lines.word(&mut self.third)?;
        let (first, second) = (self.first.bytes(), self.second.bytes());
        if first.is_empty() {
            return Err(Flaw::NoWord);
        }
        if !self.third.bytes().is_empty() {
            return Err(Flaw::ExtraWord);
        }
        let is_name = |name: &[u8]| name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
        match verb {
            Verb::Package if !first.iter().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(b)) => {
                Err(Flaw::BadName)
            }
            Verb::Section if !first.iter().all(u8::is_ascii_graphic) => Err(Flaw::BadType),
            Verb::Section if !is_name(second) => Err(Flaw::BadName),
            Verb::Option | Verb::List if !is_name(first) => Err(Flaw::BadName),
            Verb::Option | Verb::List if !self.section_opened => Err(Flaw::NoSection),
            _ if self.first.is_cut() || self.second.is_cut() => Err(Flaw::TooLong),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, string::String, vec::Vec};

    /// One line a command: `LINE what`.
    fn read(text: &str) -> Vec<String> {
        let mut reader = Reader::new(text.as_bytes());
        let mut said = Vec::new();
        while let Some(Item { line, what }) = reader.next_item() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            said.push(match what {
                What::Package(name) => format!("{line} package {}", text(name)),
                What::Section { kind, name } => format!("{line} {} {}", text(kind), text(name)),
                What::Option { name, value } => format!("{line} {}={}", text(name), text(value)),
                What::List { name, value } => format!("{line} {}+={}", text(name), text(value)),
                What::Broken(b) => {
                    format!("{line} {:?} {}={}{}", b.flaw, text(b.name), text(b.value), if b.cut { "…" } else { "" })
                }
            });
        }
        said
    }

    #[test]
    fn a_file_as_uci_writes_it() {
        let text =
            "package ctwarden\n\nconfig ctwarden 'main'\n\toption high '85'\n\tlist ladder 'grow'\n\nconfig protect\n";
        assert_eq!(read(text), ["1 package ctwarden", "3 ctwarden main", "4 high=85", "5 ladder+=grow", "7 protect "]);
    }

    #[test]
    fn quotes_backslashes_and_comments() {
        let text = "c a\no b 'it'\\''s'\" \\\"fine\\\"\"#x\no c one\\\ntwo # three\r\no d 'a\nb'\no e \\#f\no g\n";
        assert_eq!(read(text), ["1 a ", "2 b=it's \"fine\"", "3 c=onetwo", "5 d=a\nb", "7 e=#f", "8 g="]);
    }

    #[test]
    fn semicolons() {
        assert_eq!(read("c a b ; o c 'd'; o e f;#\n"), ["1 a b", "1 c=d", "1 e=f"]);
        assert_eq!(read("c a b\no c d; o e f\no g h\n"), ["1 a b", "2 Dropped c=d", "3 g=h"]);
        assert_eq!(read("c a b ;\no c d\n"), ["1 a b", "1 NoCommand =", "2 c=d"], "refused by the real one too");
    }

    #[test]
    fn each_fault_costs_its_own_line_only() {
        let text = "o a 1\nl a 2\nc\nc x y-z\no b c d\no e-f 1\nnope\no g h";
        let said = ["1 NoSection a=1", "2 NoSection a=2", "3 NoWord =", "4 BadName x=y-z", "5 ExtraWord b=d"];
        assert_eq!(read(text)[..5], said);
        assert_eq!(read(text)[5..], ["6 BadName e-f=e-f", "7 NoCommand =nope", "8 g=h"]);
    }

    #[test]
    fn an_open_quote_does_not_hide_what_follows() {
        let text = "c a\no high '85\no low '60'\no hold \"10\no x y\n";
        assert_eq!(read(text), ["1 a ", "2 OpenQuote high=85…", "3 low=60", "4 OpenQuote hold=10…", "5 x=y"]);
        let many = format!("c a\n{}", "o b 'c' 'd\n".repeat(1000));
        assert!(read(&many).len() < 1000, "but only so often, or this would take for ever");
    }

    #[test]
    fn long_words_keep_their_beginning() {
        let text = format!("c a\no b {}\no c {}\n", "x".repeat(WORD), "y".repeat(WORD + 1));
        assert_eq!(
            read(&text)[1..],
            [format!("2 b={}", "x".repeat(WORD)), format!("3 TooLong c={}…", "y".repeat(WORD))]
        );
    }
}
