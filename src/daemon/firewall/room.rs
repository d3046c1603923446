//! Places for whole texts: what other programs print, what is to be loaded. Not on the heap: the C library's is 12 KB on MIPS,
//! ours never takes back; and no memory in use until it is written to.

use super::program::{PATIENCE_MS, is_readable};
use nix::errno::Errno;
use nix::unistd::read;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// The longest text: some 5,000 rules, fifty times a router's own.
const MOST: usize = 512 * 1024;

/// A text. One that is too long has no part left.
pub struct Room {
    bytes: [u8; MOST],
    used: usize,
    cut: bool,
}

impl Room {
    const fn new() -> Self {
        Self { bytes: [0; MOST], used: 0, cut: false }
    }
    pub fn clear(&mut self) {
        (self.used, self.cut) = (0, false);
    }
    pub fn push(&mut self, piece: &[u8]) {
        match self.bytes.get_mut(self.used..).and_then(|rest| rest.get_mut(..piece.len())) {
            Some(place) => {
                place.copy_from_slice(piece);
                self.used += piece.len();
            }
            None => self.cut = true,
        }
    }
    /// Reads to the end. ETIMEDOUT: nothing has come for long.
    pub fn fill(&mut self, fd: &OwnedFd) -> Result<(), Errno> {
        self.clear();
        let mut piece = [0; 2048];
        while is_readable(fd, PATIENCE_MS) {
            match read(fd, &mut piece) {
                Ok(0) => return self.text().map(drop),
                Ok(n) => self.push(piece.get(..n).unwrap_or_default()),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
        Err(Errno::ETIMEDOUT)
    }
    /// EFBIG: it is longer than there is room.
    pub fn text(&self) -> Result<&[u8], Errno> {
        if self.cut { Err(Errno::EFBIG) } else { Ok(self.bytes.get(..self.used).unwrap_or_default()) }
    }
}

/// What was found, what is there now, what is to be loaded.
pub struct Rooms {
    pub found: Room,
    pub now: Room,
    pub script: Room,
}

static ROOMS: Mutex<Rooms> = Mutex::new(Rooms { found: Room::new(), now: Room::new(), script: Room::new() });

/// Does `work` with all rooms. Not within itself: there is one thread, which would wait for ever.
pub fn in_rooms<T>(work: impl FnOnce(&mut Rooms) -> T) -> T {
    work(&mut ROOMS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}
