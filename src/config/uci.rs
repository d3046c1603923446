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
//! * it stops at the first fault; we name it and go on with the next line, so that all are named at once. Behind a quote
//!   that never closes that is the line after the one where it opened, the first time; the second time the rest is given up.

use super::word::{Lines, Word};

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
    /// There was more of `value` than fits into [`WORD`].
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
            Flaw::OpenQuote => "the quote is never closed",
            Flaw::TooLong => "longer than 128 bytes",
            Flaw::ZeroByte => "a zero byte",
            Flaw::Dropped => "uci ignores what follows a ; right behind a word; use a line of its own",
        }
    }
}

/// Reads UCI text, a command a call.
pub struct Reader<'a> {
    lines: Lines<'a>,
    /// In the midst of a line, behind a `;`.
    inside: bool,
    section_opened: bool,
    /// The second quote that never closes ends the reading, or a text full of them would be read over and over.
    reread: bool,
    first: Word,
    second: Word,
    third: Word,
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Reader {
            lines: Lines::new(text),
            inside: false,
            section_opened: false,
            reread: false,
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
        let read = match verb {
            Ok(verb) => self.words(verb).map(|()| verb),
            Err((_, flaw)) => Err(flaw),
        };
        let verb = verb.map_or_else(|(verb, _)| verb, Some);
        // Options that follow belong to a section, even if its name could not be read.
        self.section_opened |= verb == Some(Verb::Section);
        if let Err(flaw) = read {
            self.end_line();
            if flaw == Flaw::OpenQuote && !self.reread {
                self.reread = true;
                self.lines.back_behind(start);
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
        let culprit = match flaw {
            _ if !self.third.bytes().is_empty() => &self.third,
            Flaw::BadType | Flaw::NoWord => &self.first,
            Flaw::BadName if verb != Some(Verb::Section) => &self.first,
            Flaw::TooLong if self.first.is_cut() => &self.first,
            _ if second.is_empty() => &self.first,
            _ => &self.second,
        };
        What::Broken(Broken { verb, name: first, value: culprit.bytes(), cut: culprit.is_cut(), flaw })
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
        let verb = match trimmed {
            b"p" | b"package" => Verb::Package,
            b"c" | b"config" => Verb::Section,
            b"o" | b"option" => Verb::Option,
            b"l" | b"list" => Verb::List,
            _ => {
                trimmed.iter().for_each(|b| self.third.push(*b));
                return Err((None, Flaw::NoCommand));
            }
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
