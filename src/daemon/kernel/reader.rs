//! The table's entries one after the other: by a ctnetlink dump, or from the proc text where there is none.
//!
//! Both are read piece by piece, so that the caller can look at the log in between, and both may be closed at any time:
//! the kernel then stops.

use super::super::root::{PIECE, Root, TEXT};
use super::socket::Socket;
use ctwarden::entry::Entry;
use ctwarden::observe::lines::LineSplitter;
use ctwarden::observe::proctext;
use ctwarden::wire::conntrack;
use ctwarden::wire::netlink::{Batch, FLAG_DUMP_INTERRUPTED, Messages, TYPE_DONE};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::os::fd::OwnedFd;

/// The kernel fills a datagram up to what the reader offers; 4 KiB to 256 KiB were the same within the noise, and below
/// 8 KiB an old kernel's first datagram may not fit.
pub const DATAGRAM: usize = 16 * 1024;

/// How a piece of the table was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    More,
    Done,
}

pub enum Reader {
    Dump { socket: Socket, interrupted: bool },
    Text { file: OwnedFd, interrupted: bool },
}

/// The buffers of a reader: fixed, taken once.
pub struct Buffers {
    pub datagram: [u8; DATAGRAM],
    lines: LineSplitter<PIECE>,
}

impl Buffers {
    pub const fn new() -> Self {
        Self { datagram: [0; DATAGRAM], lines: LineSplitter::new() }
    }
}

impl Reader {
    /// Begins to read. `netlink: false` reads the proc text though there may be ctnetlink (a fake root has none).
    pub fn open(root: &Root, buffers: &mut Buffers, netlink: bool) -> Result<Self, Errno> {
        if netlink {
            let socket = Socket::open()?;
            let mut room = [0; 64];
            let mut batch = Batch::new(&mut room);
            conntrack::dump(&mut batch, 1);
            socket.send(&batch)?;
            return Ok(Reader::Dump { socket, interrupted: false });
        }
        buffers.lines = LineSplitter::new();
        Ok(Reader::Text { file: root.open(TEXT, OFlag::O_RDONLY)?, interrupted: false })
    }

    /// The kernel said that the table changed shape under the dump; entries may be missing.
    pub fn interrupted(&self) -> bool {
        match self {
            Reader::Dump { interrupted, .. } | Reader::Text { interrupted, .. } => *interrupted,
        }
    }

    /// Reads one more piece and gives each entry to `take`, until that answers `false`.
    pub fn step(&mut self, buffers: &mut Buffers, take: &mut dyn FnMut(&Entry<'_>) -> bool) -> Result<Progress, Errno> {
        match self {
            Reader::Dump { socket, interrupted } => {
                let n = socket.receive(&mut buffers.datagram)?;
                taken_of(buffers.datagram.get(..n).unwrap_or(&[]), interrupted, take)
            }
            Reader::Text { file, .. } => {
                let n = match nix::unistd::read(&*file, buffers.lines.room()) {
                    Err(Errno::EINTR) => return Ok(Progress::More),
                    other => other?,
                };
                buffers.lines.filled(n);
                while let Some(line) = buffers.lines.next_line() {
                    if let Ok(entry) = proctext::parse(line.bytes)
                        && !take(&entry)
                    {
                        return Ok(Progress::Done);
                    }
                }
                if n > 0 {
                    return Ok(Progress::More);
                }
                if let Some(line) = buffers.lines.last_line()
                    && let Ok(entry) = proctext::parse(line.bytes)
                {
                    take(&entry);
                }
                Ok(Progress::Done)
            }
        }
    }
}

/// The entries of one datagram of a dump; `interrupted` is set where the kernel says so, on whichever message.
fn taken_of(
    datagram: &[u8],
    interrupted: &mut bool,
    take: &mut dyn FnMut(&Entry<'_>) -> bool,
) -> Result<Progress, Errno> {
    for message in Messages::new(datagram) {
        // Nothing foreign arrives on this socket; a length that does not fit is a kernel we do not know.
        let message = message.map_err(|_| Errno::EBADMSG)?;
        *interrupted |= message.flags & FLAG_DUMP_INTERRUPTED != 0;
        match message.errno() {
            Some(e) if e != 0 => return Err(Errno::from_raw(e)),
            Some(_) if message.kind == TYPE_DONE => return Ok(Progress::Done),
            _ => {}
        }
        if let Some(entry) = conntrack::entry(message.payload)
            && !take(&entry)
        {
            return Ok(Progress::Done);
        }
    }
    Ok(Progress::More)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctwarden::wire::netlink::{FLAG_MULTI, TYPE_ERROR};

    /// A real dump, little endian as such headers are on the machine they were recorded on.
    #[cfg(target_endian = "little")]
    const RECORDED: &[u8] = include_bytes!("../../../tests/golden/ctnetlink/dump-le64-linux-6.18.bin");

    /// A message with nothing in it but its header and four bytes.
    fn message(kind: u16, flags: u16, word: i32) -> Vec<u8> {
        let head = [&20u32.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8]].concat();
        [&head[..], &word.to_ne_bytes()].concat()
    }

    /// Of a datagram: how it went on, how many entries there were, and whether it was interrupted.
    fn read(datagram: &[u8]) -> (Result<Progress, Errno>, usize, bool) {
        let (mut entries, mut interrupted) = (0, false);
        let progress = taken_of(datagram, &mut interrupted, &mut |_| {
            entries += 1;
            true
        });
        (progress, entries, interrupted)
    }

    #[test]
    fn the_end_of_a_dump_and_its_faults() {
        assert_eq!(read(&message(TYPE_DONE, FLAG_MULTI, 0)), (Ok(Progress::Done), 0, false));
        assert_eq!(read(&[]), (Ok(Progress::More), 0, false));
        let refused = -(Errno::EPERM as i32);
        for kind in [TYPE_ERROR, TYPE_DONE] {
            assert_eq!(read(&message(kind, 0, refused)), (Err(Errno::EPERM), 0, false));
        }
        let cut = message(TYPE_DONE, FLAG_MULTI, 0);
        assert_eq!(read(&cut[..19]), (Err(Errno::EBADMSG), 0, false));
    }

    #[test]
    fn an_interrupted_dump_is_seen_on_its_last_message() {
        let done = message(TYPE_DONE, FLAG_MULTI | FLAG_DUMP_INTERRUPTED, 0);
        assert_eq!(read(&done), (Ok(Progress::Done), 0, true));
    }

    #[test]
    fn what_was_interrupted_once_stays_so() {
        let mut interrupted = true;
        let progress = taken_of(&message(TYPE_DONE, FLAG_MULTI, 0), &mut interrupted, &mut |_| true);
        assert_eq!((progress, interrupted), (Ok(Progress::Done), true));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_interrupted_dump_is_seen_on_any_entry() {
        let (_, entries, interrupted) = read(RECORDED);
        assert!(entries > 0 && !interrupted, "{entries} entries");
        let mut at = 0;
        while let Some(length) = RECORDED.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
            let mut dump = RECORDED.to_vec();
            dump[at + 6] |= FLAG_DUMP_INTERRUPTED as u8;
            let (_, of_these, interrupted) = read(&dump);
            assert!(interrupted && of_these == entries, "message at {at}: {of_these} entries");
            at += (u32::from_le_bytes(*length) as usize).next_multiple_of(4);
        }
        assert_eq!(at, RECORDED.len());
    }
}
