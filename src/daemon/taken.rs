//! What was taken out by hand or at the top of the ladder, rules or modules: its record, its lock, and the way back.
//!
//! The record stands beside the daemon's own, since the command line does it too, with or without a daemon (one in a jail
//! cannot start programs). Whoever comes next puts it back: `ctwarden back`, the end or the next start of a daemon.

use super::firewall::room::{Room, in_rooms};
use super::firewall::stateless;
use super::root::{Root, terminated};
use super::statefile::{StateFault, StateFile, TAKEN, put_whole};
use super::unload;
use ctwarden::journal::Journal;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, Uid, access, unlink};
use std::fmt;
use std::os::fd::OwnedFd;

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
            Ok(fd) => room.fill(&fd),
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
