//! Texts on a screen of so many rows and columns: lines are cut, never wrapped, and all goes out in one write.

use ctwarden::text::lines;

/// More rows and columns than this are not used.
const ROWS_MOST: usize = 60;
const COLUMNS_MOST: usize = 160;
/// 60 rows of 80 columns with their colours; what does not fit is left out.
const ROOM: usize = 12 * 1024;
/// A text that stays on the screen.
const KEPT: usize = 4 * 1024;

/// Home; what is below the last line goes at the end.
const HOME: &str = "\x1b[H";
const REST: &str = "\x1b[J";
/// The line is emptied before it is written: behind a line that fills the row it would take its last letter.
const CLEAR: &str = "\x1b[K";
const PLAIN: &str = "\x1b[0m";

pub struct Screen {
    text: heapless::String<ROOM>,
    rows: usize,
    columns: usize,
}

impl Screen {
    pub fn new(rows: usize, columns: usize) -> Self {
        let mut text = heapless::String::new();
        let _ = text.push_str(HOME);
        Self { text, rows: rows.min(ROWS_MOST), columns: columns.min(COLUMNS_MOST) }
    }

    pub fn rows_left(&self) -> usize {
        self.rows
    }

    /// A line of several parts.
    pub fn line(&mut self, parts: &[&str]) {
        if self.rows == 0 {
            return;
        }
        self.rows -= 1;
        // The last row's end would scroll.
        let _ = self.text.push_str(if self.text.len() > HOME.len() { "\n" } else { "" });
        let _ = self.text.push_str(CLEAR);
        let mut left = self.columns;
        for part in parts {
            let cut = cut(part, &mut left);
            let _ = self.text.push_str(cut);
        }
        // It may have been cut within colours.
        let _ = self.text.push_str(PLAIN);
    }

    /// The lines of a text, so many at most.
    pub fn lines(&mut self, text: &str, most: usize) {
        for line in lines(text).take(most) {
            self.line(&[line]);
        }
    }

    /// All of it, as the terminal wants it.
    pub fn finish(&mut self) -> &str {
        let _ = self.text.push_str(REST);
        &self.text
    }
}

/// As much of the text as `left` columns hold. Letters take one each, colours none.
fn cut<'a>(text: &'a str, left: &mut usize) -> &'a str {
    let mut colour = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\x1b' => colour = true,
            _ if colour => colour = byte != b'm',
            // Not the first byte of a letter.
            0x80..0xc0 => {}
            _ if *left == 0 => return text.get(..at).unwrap_or_default(),
            _ => *left -= 1,
        }
    }
    text
}

/// Whole lines of a text.
pub struct Kept(heapless::String<KEPT>);

impl Kept {
    pub const fn new() -> Self {
        Self(heapless::String::new())
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// How many lines.
    pub fn count(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == b'\n').count()
    }

    /// The last so many lines.
    pub fn last(&self, lines: usize) -> &str {
        let end = self.0.bytes().enumerate().rev().filter(|(_, byte)| *byte == b'\n');
        // The newline before them.
        let from = end.map(|(at, _)| at + 1).nth(lines).unwrap_or(0);
        self.0.get(from..).unwrap_or_default()
    }

    pub fn start_of(&mut self, text: &str) {
        self.0.clear();
        let most = text.as_bytes().get(..KEPT).unwrap_or(text.as_bytes());
        let end = most.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let _ = self.0.push_str(text.get(..end).unwrap_or_default());
    }

    /// Without lines that are set in: they tell more of the one before. All of a log's others fit.
    pub fn heads_of(&mut self, text: &str) {
        self.0.clear();
        for line in lines(text) {
            if !line.starts_with(" ") && self.0.push_str(line).is_ok() {
                let _ = self.0.push_str("\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_letters_and_colours_take_no_room() {
        let cut = |text, mut left| cut(text, &mut left);
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("▁▂▃", 2), "▁▂");
        assert_eq!(cut("\x1b[31;1mred\x1b[0m", 3), "\x1b[31;1mred\x1b[0m");
        assert_eq!(cut("\x1b[31;1mred\x1b[0m!", 3), "\x1b[31;1mred\x1b[0m");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_screen_has_no_more_rows_than_the_terminal() {
        let mut screen = Screen::new(3, 4);
        screen.line(&["ab", "cdef"]);
        screen.lines("1\n2\n3\n4\n", 9);
        screen.line(&["no"]);
        assert_eq!(screen.finish(), "\x1b[H\x1b[Kabcd\x1b[0m\n\x1b[K1\x1b[0m\n\x1b[K2\x1b[0m\x1b[J");
        assert_eq!(Screen::new(0, 0).finish(), "\x1b[H\x1b[J");
    }

    #[test]
    fn what_is_kept_are_whole_lines() {
        let mut kept = Kept::new();
        kept.heads_of("a\n  more of a\nb\nc\n");
        assert_eq!((kept.last(2), kept.last(9), kept.last(0), kept.count()), ("b\nc\n", "a\nb\nc\n", "", 3));
        let long = "0123456789\n".repeat(1_000);
        kept.start_of(&long);
        assert!(kept.text().starts_with("0123") && kept.text().ends_with("9\n") && kept.text().len() > KEPT - 11);
    }
}
