//! What is wrong with a config, in one line that says where, and what is allowed.

use super::options::{Kind, OPTIONS, Row};
use core::fmt;

/// One fault, shown as `/etc/config/ctwarden:12: main.high '850': a percentage from 10 to 99`. Parts that do not apply are
/// empty.
pub struct Fault<'a> {
    /// The file, as it was named to [`Config::parse`](super::Config::parse).
    pub file: &'a str,
    /// The line, counted from 1.
    pub line: u32,
    /// The section as uci names it: `main`, `@protect[0]`; its type where the section itself is wrong.
    pub section: &'a [u8],
    /// The option.
    pub option: &'a [u8],
    /// The bytes that are wrong: the option's value, a section's name, a word. At most
    /// [`WORD`](super::uci::WORD) of them.
    pub value: &'a [u8],
    /// There was more of it.
    pub cut: bool,
    pub(super) problem: Problem,
}

/// What is wrong, or what would be right.
#[derive(Clone, Copy)]
pub(super) enum Problem {
    Text(&'static str),
    /// What the option may be.
    Allowed(&'static Row),
    /// What options there are.
    NoOption(Kind),
    /// Two options contradict each other: what it should be, and the other's value.
    Against(&'static str, u32),
}

impl Fault<'_> {
    /// What is wrong, or what is allowed instead, without the place.
    pub fn reason(&self) -> impl fmt::Display + use<> {
        self.problem
    }
}

impl fmt::Display for Fault<'_> {
    /// One line. Bytes that are not printable ASCII, quotes and backslashes are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.section.is_empty() || self.option.is_empty() { "" } else { "." };
        let gap = if self.section.is_empty() && self.option.is_empty() { "" } else { " " };
        let more = if self.cut { "…" } else { "" };
        let [section, option, value] = [self.section, self.option, self.value].map(Escaped);
        write!(f, "{}:{}: {section}{dot}{option}{gap}'{value}'{more}: {}", self.file, self.line, self.problem)
    }
}

/// As `escape_ascii`, which is ready to be read from both ends: 0.6 KB on MIPS.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| core::ascii::escape_default(*byte).fmt(f))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Text(text) => f.write_str(text),
            Problem::Allowed(row) => row.take.fmt(f),
            Problem::NoOption(kind) => {
                let names = OPTIONS.iter().filter(|row| row.section == *kind).map(|row| row.name);
                listed(f, "no such option; there are ", names)
            }
            Problem::Against(text, number) => write!(f, "{text}{number}"),
        }
    }
}

fn listed(f: &mut fmt::Formatter<'_>, before: &str, names: impl Iterator<Item = &'static str>) -> fmt::Result {
    f.write_str(before)?;
    for (n, name) in names.enumerate() {
        f.write_str(if n == 0 { "" } else { ", " })?;
        f.write_str(name)?;
    }
    Ok(())
}
