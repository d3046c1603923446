//! A stream of bytes → lines, through one fixed buffer.

/// Cuts what is read piece by piece into lines. A line longer than `N` comes as its first `N` bytes and is marked; the rest of it is left out.
///
/// ```
/// # use ctwarden::observe::lines::LineSplitter;
/// let mut splitter = LineSplitter::<64>::new();
/// for piece in [&b"one\ntw"[..], b"o\nthree"] {
///     let room = splitter.room(); // read(fd, room)
///     room[..piece.len()].copy_from_slice(piece);
///     splitter.filled(piece.len());
///     while let Some(line) = splitter.next_line() {
///         assert!(matches!(line.bytes, b"one" | b"two"));
///     }
/// }
/// assert_eq!(splitter.last_line().unwrap().bytes, b"three");
/// ```
#[derive(Clone, Debug)]
pub struct LineSplitter<const N: usize> {
    buffer: [u8; N],
    from: usize,
    to: usize,
    // Bytes of [from, to) in which no line end was found yet, so that none is looked at twice.
    searched: usize,
    // The rest of a line that was too long is passed over.
    skipping: bool,
}

/// One line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutLine<'a> {
    /// The line, or its first `N` bytes.
    pub bytes: &'a [u8],
    /// It is all there.
    pub whole: bool,
}

impl<const N: usize> Default for LineSplitter<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> LineSplitter<N> {
    /// Empty.
    pub const fn new() -> Self {
        const { assert!(N > 0, "a splitter without room reads nothing") };
        Self { buffer: [0; N], from: 0, to: 0, searched: 0, skipping: false }
    }

    /// Where the next bytes go. Never empty once [`next_line`](Self::next_line) has given `None`.
    pub fn room(&mut self) -> &mut [u8] {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        self.buffer.get_mut(self.to..).unwrap_or_default()
    }

    /// So many bytes were put where [`room`](Self::room) said; more than there was room for count as all of it.
    pub fn filled(&mut self, bytes: usize) {
        self.to = self.to.saturating_add(bytes).min(N);
    }

    /// The next line that has ended, or has become too long; `None` when more bytes are wanted.
    pub fn next_line(&mut self) -> Option<CutLine<'_>> {
        loop {
            let held = self.buffer.get(self.from..self.to).unwrap_or_default();
            let end = held.get(self.searched..).and_then(|h| h.iter().position(|b| *b == b'\n'));
            let from = self.from;
            match end {
                Some(at) => {
                    let length = self.searched + at;
                    self.from += length + 1;
                    self.searched = 0;
                    if core::mem::take(&mut self.skipping) {
                        continue;
                    }
                    return Some(CutLine { bytes: self.buffer.get(from..from + length)?, whole: true });
                }
                None if self.skipping => {
                    (self.from, self.to, self.searched) = (0, 0, 0);
                    return None;
                }
                None if held.len() == N => {
                    (self.from, self.to, self.searched) = (0, 0, 0);
                    self.skipping = true;
                    return Some(CutLine { bytes: &self.buffer, whole: false });
                }
                None => {
                    self.searched = held.len();
                    return None;
                }
            }
        }
    }

    /// What stands after the last line end when nothing more will come; then the splitter is empty again.
    pub fn last_line(&mut self) -> Option<CutLine<'_>> {
        let held = self.from..self.to;
        (self.from, self.to, self.searched) = (0, 0, 0);
        if core::mem::take(&mut self.skipping) || held.is_empty() {
            return None;
        }
        Some(CutLine { bytes: self.buffer.get(held)?, whole: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::{vec, vec::Vec};

    /// Reads `text` in pieces of at most `piece` bytes.
    fn split<const N: usize>(text: &[u8], piece: usize) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = LineSplitter::<N>::new();
        let mut lines = vec![];
        let mut left = text;
        while !left.is_empty() {
            let room = splitter.room();
            assert!(!room.is_empty());
            let n = room.len().min(piece).min(left.len());
            room[..n].copy_from_slice(&left[..n]);
            splitter.filled(n);
            left = &left[n..];
            while let Some(line) = splitter.next_line() {
                lines.push((line.bytes.to_vec(), line.whole));
            }
        }
        if let Some(line) = splitter.last_line() {
            lines.push((line.bytes.to_vec(), line.whole));
        }
        lines
    }

    #[test]
    fn the_same_lines_however_the_pieces_fall() {
        let text = b"a\n\nlong line\nend";
        for piece in 1..=text.len() {
            let lines: Vec<Vec<u8>> = split::<16>(text, piece).into_iter().map(|(l, _)| l).collect();
            assert_eq!(lines, [&b"a"[..], b"", b"long line", b"end"], "pieces of {piece}");
        }
    }

    #[test]
    fn too_long_a_line_is_cut_and_marked_and_the_next_one_is_whole() {
        for piece in 1..=8 {
            let lines = split::<4>(b"12345678\nok\n1234\n12345", piece);
            let expected = [(&b"1234"[..], false), (b"ok", true), (b"1234", false), (b"1234", false)];
            let lines: Vec<(&[u8], bool)> = lines.iter().map(|(l, w)| (&l[..], *w)).collect();
            assert_eq!(
                lines, expected,
                "pieces of {piece}: a line that fills the buffer cannot be told from a longer one"
            );
        }
    }
}
