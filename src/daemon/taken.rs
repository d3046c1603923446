//! What was taken out by hand or at the top of the ladder, rules or modules: its record, its lock, and the way back.
//!
//! The record stands beside the daemon's own, since the command line does it too, with or without a daemon (one in a jail
//! cannot start programs). Whoever comes next puts it back: `ctwarden back`, the end or the next start of a daemon.

use super::firewall::stateless;
use super::root::Root;
use super::statefile::{StateFault, StateFile};
use super::unload;
use ctwarden::journal::Journal;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, unlink};
use std::fmt;

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
        let mut state = StateFile::open_as(dir, "taken", "taken.lock").map_err(|fault| match fault {
            StateFault::Taken => NotTaken::Busy,
            StateFault::Folder(e) => e.into(),
        })?;
        Ok(Self { journal: state.load(root), state })
    }

    pub fn save(&self) -> Result<(), Errno> {
        self.state.save(&self.journal)
    }

    /// Keeps a file beside the record.
    pub fn keep(&self, name: &str, pieces: &[&[u8]]) -> Result<(), Errno> {
        super::statefile::put_whole(&self.state.beside(name), 0o600, pieces)
    }

    pub fn file(&self, name: &str) -> Result<std::os::fd::OwnedFd, Errno> {
        open(self.state.beside(name).as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// A kept file's text; empty where there is none.
    pub fn kept(&self, name: &str) -> Result<Vec<u8>, Errno> {
        match self.file(name) {
            Ok(fd) => super::root::read_whole(&fd),
            Err(Errno::ENOENT) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    pub fn drop_file(&self, name: &str) {
        let _ = unlink(self.state.beside(name).as_str());
    }
}

/// Something is taken out, or was about to be when its ctwarden was killed. One look at the folder: for every turn. While it
/// is so, rules of ours that look at connections must not be put back, or the kernel tracks again.
pub fn is_out(dir: &str) -> bool {
    let mut path = super::root::SystemPath::new();
    let _ = fmt::write(&mut path, format_args!("{dir}/taken"));
    nix::unistd::access(path.as_str(), nix::unistd::AccessFlags::F_OK).is_ok()
}

/// Puts back modules, then rules. `false`: nothing was out.
pub fn back(root: &Root, dir: &str, say: Say<'_>) -> Result<bool, NotTaken> {
    if !is_out(dir) {
        return Ok(false);
    }
    let mut record = Record::open(root, dir)?;
    // A record of an earlier boot is void: its rules and modules are as the boot made them.
    let out = record.journal.unloaded || record.journal.stateless;
    let loaded = if record.journal.unloaded { unload::back(root, &mut record, say) } else { Ok(()) };
    let restored = if record.journal.stateless { stateless::back(root, &mut record, say) } else { Ok(()) };
    if !out {
        record.save()?;
    }
    loaded.and(restored)?;
    Ok(out)
}

/// Bytes as they are, for a line.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("?")
}
