//! What was taken out by hand or at the top of the ladder, rules or modules: its record, its lock, and the way back.
//!
//! The record stands beside the daemon's own, since the command line does it too, with or without a daemon (one in a jail
//! cannot start programs). Whoever comes next puts it back: `ctwarden back`, the end or the next start of a daemon.

use super::firewall::stateless;
use super::root::{Root, terminated};
use super::statefile::{StateFault, StateFile, TAKEN, put_whole};
use super::unload;
use ctwarden::journal::Journal;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, Uid, access, read, unlink};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// Where it is told what is done and why not, a line at a time.
pub type Say<'s> = &'s mut dyn FnMut(fmt::Arguments<'_>);

/// Why nothing was done.
#[derive(Debug)]
pub enum NotTaken {
    /// It would do harm, or something holds it. It was said what.
    Refused,
    /// Another ctwarden is at it.
    Busy,
    Failed(Errno),
}

impl From<Errno> for NotTaken {
    fn from(e: Errno) -> Self {
        NotTaken::Failed(e)
    }
}

/// The longest text there may be: ten times a router's default rules. Not on the heap, which never takes back, and no memory
/// until it is written to.
const MOST: usize = 128 * 1024;

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
    /// Reads to the end, as long as `wait` says that there is something.
    pub fn fill(&mut self, fd: &OwnedFd, wait: &dyn Fn() -> bool) -> Result<(), Errno> {
        self.clear();
        let mut piece = [0; 2048];
        while wait() {
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

/// Does `work` with all rooms.
pub fn in_rooms<T>(work: impl FnOnce(&mut Rooms) -> T) -> T {
    work(&mut ROOMS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

pub struct Record {
    pub journal: Journal,
    state: StateFile,
}

impl Record {
    /// Takes its lock.
    pub fn open(root: &Root, dir: &str) -> Result<Self, NotTaken> {
        if root.is_real() && !Uid::effective().is_root() {
            return Err(Errno::EPERM.into());
        }
        let mut state = StateFile::open_as(dir, TAKEN, "taken.lock").map_err(|fault| match fault {
            StateFault::Taken => NotTaken::Busy,
            StateFault::Folder(e) => e.into(),
        })?;
        Ok(Self { journal: state.load(root), state })
    }

    pub fn save(&self) -> Result<(), Errno> {
        self.state.save(&self.journal)
    }

    /// Keeps a file beside the record.
    pub fn keep(&self, name: &str, text: &[u8]) -> Result<(), Errno> {
        put_whole(&self.state.beside(name), 0o600, &[text])
    }

    pub fn file(&self, name: &str) -> Result<OwnedFd, Errno> {
        open(&terminated(&self.state.beside(name)), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// Reads a kept file; nothing where there is none.
    pub fn read(&self, name: &str, room: &mut Room) -> Result<(), Errno> {
        room.clear();
        match self.file(name) {
            Ok(fd) => room.fill(&fd, &|| true),
            Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub fn drop_file(&self, name: &str) {
        let _ = unlink(&terminated(&self.state.beside(name)));
    }
}

/// Something is taken out, or was about to be when its ctwarden was killed: one look at the folder.
pub fn is_out(dir: &str) -> bool {
    let mut path = super::root::SystemPath::new();
    let _ = fmt::write(&mut path, format_args!("{dir}/{TAKEN}"));
    access(&terminated(&path), AccessFlags::F_OK).is_ok()
}

/// Puts back modules, then rules. `false`: nothing was out.
pub fn back(root: &Root, dir: &str, say: Say<'_>) -> Result<bool, NotTaken> {
    if !is_out(dir) {
        return Ok(false);
    }
    let mut record = Record::open(root, dir)?;
    in_rooms(|rooms| {
        // A record of an earlier boot is void: its rules and modules are as the boot made them.
        let out = record.journal.unloaded || record.journal.stateless;
        let loaded = if record.journal.unloaded { unload::back(root, &mut record, rooms, say) } else { Ok(()) };
        let restored = if record.journal.stateless { stateless::back(root, &mut record, rooms, say) } else { Ok(()) };
        if !out {
            record.save()?;
        }
        loaded.and(restored)?;
        Ok(out)
    })
}

/// Bytes as they are, for a line.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("?")
}
