//! Words of UCI text: fetched lines, quotes, backslashes and comments, byte for byte as libuci takes them.

use super::uci::Flaw;
use heapless::Vec;

/// Longest word (a name or an unescaped value) in bytes. Longer ones are refused, with their beginning shown.
pub const WORD: usize = 128;

/// A word in the making.
#[derive(Default)]
pub(super) struct Word {
    bytes: Vec<u8, WORD>,
    cut: bool,
}

impl Word {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// There was more of it than fits.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cut = false;
    }
    pub(super) fn push(&mut self, byte: u8) {
        self.cut |= self.bytes.push(byte).is_err();
    }
}

/// C's `isspace`.
const fn is_space(byte: u8) -> bool {
    matches!(byte, 9..=13 | b' ')
}

/// What separates a command from its words: they are told apart by strtok(), the words by isspace().
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A line to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    end: usize,
    line: u32,
}

impl Mark {
    /// Its number.
    pub(super) fn line(self) -> u32 {
        self.line
    }
}

/// The text, fetched line by line. The real reader fetches lines as it needs them, and much of its behaviour follows from
/// where the fetched text ends: there is no current byte behind it.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    position: usize,
    /// End of what was fetched, behind a line feed or at the end of the text.
    end: usize,
    /// Number of lines fetched.
    line: u32,
    /// A quote went on over lines.
    quoted_over: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Lines { text, position: 0, end: 0, line: 0, quoted_over: false }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// A quote has gone on over lines since the command began.
    pub(super) fn quoted_over(&self) -> bool {
        self.quoted_over
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { end: self.end, line: self.line }
    }

    /// Goes back to the end of the marked line.
    pub(super) fn back_behind(&mut self, mark: Mark) {
        (self.position, self.end, self.line) = (mark.end, mark.end, mark.line);
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.position..self.end).unwrap_or_default()
    }

    pub(super) fn current(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Goes to the next line, leaving out what was still unread of this one; false if there is none.
    pub(super) fn fetch(&mut self) -> bool {
        self.position = self.end;
        let unfetched = self.text.get(self.end..).unwrap_or_default();
        if unfetched.is_empty() {
            return false;
        }
        self.end += unfetched.iter().position(|b| *b == b'\n').map_or(unfetched.len(), |n| n + 1);
        self.line = self.line.saturating_add(1);
        true
    }

    pub(super) fn skip_line(&mut self) {
        self.position = self.end;
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        while self.current().is_some_and(&which) {
            self.position += 1;
        }
    }

    pub(super) fn skip_spaces(&mut self) {
        self.skip(is_space);
    }

    pub(super) fn skip_blanks(&mut self) {
        self.skip(is_blank);
    }

    /// Takes a command's own word.
    pub(super) fn command(&mut self) -> &'a [u8] {
        self.quoted_over = false;
        let rest = self.rest();
        let word = rest.split(|b| is_blank(*b)).next().unwrap_or_default();
        self.position += word.len();
        word
    }

    /// Takes one word; at the end of the line or before a `;` it is empty.
    pub(super) fn word(&mut self, word: &mut Word) -> Result<(), Flaw> {
        self.skip_spaces();
        if self.current() == Some(b';') {
            self.position += 1;
            return Ok(());
        }
        // The real reader unescapes in place and ends the word with a zero. As long as it has dropped nothing, that zero
        // lands on the byte behind the word: on a blank, which is skipped, or on a `;`, which then ends the line.
        let mut plain = true;
        loop {
            match self.current() {
                None => return Ok(()),
                Some(b'#') => {
                    self.skip_line();
                    return Ok(());
                }
                Some(b';') => return if plain { self.drop_rest() } else { Ok(()) },
                Some(quote @ (b'\'' | b'"')) => {
                    plain = false;
                    self.position += 1;
                    self.quoted(quote, word)?;
                }
                Some(b'\\') => {
                    plain = false;
                    self.backslash(word)?;
                }
                Some(byte) => self.take(byte, word)?,
            }
            if self.current().is_some_and(is_space) {
                self.position += 1;
                return Ok(());
            }
        }
    }

    /// Takes everything to the closing quote, over lines if need be.
    fn quoted(&mut self, quote: u8, word: &mut Word) -> Result<(), Flaw> {
        loop {
            match self.current() {
                None => {
                    self.quoted_over = true;
                    if !self.fetch() {
                        return Err(Flaw::OpenQuote);
                    }
                }
                Some(byte) if byte == quote => {
                    self.position += 1;
                    return Ok(());
                }
                Some(b'\\') if quote == b'"' => self.backslash(word)?,
                Some(byte) => self.take(byte, word)?,
            }
        }
    }

    /// At a backslash: takes the next byte as it is, or joins the next line.
    fn backslash(&mut self, word: &mut Word) -> Result<(), Flaw> {
        self.position += 1;
        match self.rest() {
            [] | [b'\n'] | [b'\r', b'\n'] => {
                self.fetch();
                Ok(())
            }
            [byte, ..] => self.take(*byte, word),
        }
    }

    fn take(&mut self, byte: u8, word: &mut Word) -> Result<(), Flaw> {
        if byte == 0 {
            return Err(Flaw::ZeroByte);
        }
        self.position += 1;
        word.push(byte);
        Ok(())
    }

    /// At a `;` right behind a plain word: the rest of the line is lost, which is a fault unless nothing is in it.
    fn drop_rest(&mut self) -> Result<(), Flaw> {
        self.position += 1;
        self.skip_spaces();
        let lost = !matches!(self.current(), None | Some(b'#'));
        self.skip_line();
        if lost { Err(Flaw::Dropped) } else { Ok(()) }
    }
}
