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
                for message in Messages::new(buffers.datagram.get(..n).unwrap_or(&[])) {
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
