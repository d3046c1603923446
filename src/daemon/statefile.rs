//! The files of the state folder, on tmpfs: written whole, synced, renamed into place.

use super::root::{BOOT_ID, Root, SystemPath, Terminated, terminated};
use ctwarden::journal::{Journal, MOST_BYTES, Void};
use ctwarden::text::without_end;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, open, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, fsync, mkdir, unlink, write};
use std::os::fd::OwnedFd;

/// The record of what was taken out (taken.rs).
pub const TAKEN: &str = "taken";

pub struct StateFile {
    dir: SystemPath,
    path: SystemPath,
    /// What stands there is not a record that counts, and why.
    pub void: Option<Void>,
    _lock: Flock<OwnedFd>,
}

/// Why the state folder cannot be used.
#[derive(Debug)]
pub enum StateFault {
    /// Another ctwarden holds its lock.
    Taken,
    Folder(Errno),
}

impl StateFile {
    /// Makes the folder if need be and takes its lock: one daemon at a time.
    pub fn open(dir: &str) -> Result<Self, StateFault> {
        Self::open_as(dir, "journal", "lock")
    }

    /// The same for another record and its lock.
    pub fn open_as(dir: &str, name: &str, lock: &str) -> Result<Self, StateFault> {
        let mut made = SystemPath::new();
        let _ = made.push_str(without_end(dir, b"/"));
        make_folders(&made).map_err(StateFault::Folder)?;
        let lock = open(
            &terminated(&joined([&made, "/", lock])),
            // The folder may be the daemon's user's: root follows no link there.
            OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::from_bits_truncate(0o600),
        )
        .map_err(StateFault::Folder)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| match e {
            Errno::EWOULDBLOCK => StateFault::Taken,
            e => StateFault::Folder(e),
        })?;
        Ok(Self { path: joined([&made, "/", name]), dir: made, void: None, _lock: lock })
    }

    /// The folder.
    #[cfg_attr(not(feature = "stateless"), allow(dead_code))]
    pub fn folder(&self) -> &str {
        &self.dir
    }

    /// The path of another file of the folder.
    #[cfg_attr(not(feature = "stateless"), allow(dead_code))]
    pub fn beside(&self, name: &str) -> SystemPath {
        joined([&self.dir, "/", name])
    }

    /// Rules that look at connections are taken out, by hand or by a rung: ours must not be put back, or the kernel tracks
    /// again.
    #[cfg_attr(not(feature = "nft"), allow(dead_code))]
    pub fn rules_are_out(&self) -> bool {
        cfg!(feature = "stateless") && access(&terminated(&self.beside(TAKEN)), AccessFlags::F_OK).is_ok()
    }

    /// The journal of a former run of this boot, else an empty one.
    pub fn load(&mut self, root: &Root) -> Journal {
        let (journal, void) = read(&self.path, root);
        self.void = void;
        journal
    }

    /// Rules, modules: what is taken out, by hand or by a rung, as far as is written down.
    pub fn taken_out(&self, root: &Root) -> [bool; 2] {
        let (journal, _) = read(&self.beside(TAKEN), root);
        [journal.stateless, journal.unloaded]
    }

    /// Writes the journal; an empty one is no file. On any error the former record still stands.
    pub fn save(&self, journal: &Journal) -> Result<(), Errno> {
        if journal.is_empty() {
            return match unlink(&terminated(&self.path)) {
                Ok(()) | Err(Errno::ENOENT) => {
                    crate::daemon::crash::step();
                    Ok(())
                }
                Err(e) => Err(e),
            };
        }
        let mut room = [0; MOST_BYTES];
        let bytes = journal.encode(&mut room).ok_or(Errno::EOVERFLOW)?;
        put_whole(&self.path, 0o600, &[bytes])
    }
}

#[inline(never)]
fn read(path: &str, root: &Root) -> (Journal, Option<Void>) {
    let boot = boot_id(root);
    let mut room = [0; MOST_BYTES];
    // Not a link, nor a pipe that nobody writes to: the folder may be the daemon's user's.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let Ok(fd) = open(&terminated(path), flags, Mode::empty()) else {
        return (Journal::new(boot), None);
    };
    let bytes = super::root::read_all(&fd, &mut room).unwrap_or(&[]);
    match Journal::decode(bytes, boot) {
        Ok(journal) => (journal, None),
        Err(why) => (Journal::new(boot), Some(why)),
    }
}

pub fn joined(parts: [&str; 3]) -> SystemPath {
    let mut path = SystemPath::new();
    for part in parts {
        let _ = path.push_str(part);
    }
    path
}

/// Writes a file that is there whole or not at all. On any error the former one still stands, and nothing beside it.
pub fn put_whole(path: &str, mode: u32, pieces: &[&[u8]]) -> Result<(), Errno> {
    let fresh = terminated(&joined([path, ".new", ""]));
    let done = put(&fresh, mode, pieces).and_then(|()| renameat(AT_FDCWD, &fresh, AT_FDCWD, &terminated(path)));
    if done.is_err() {
        let _ = unlink(&fresh);
        return done;
    }
    crate::daemon::crash::step();
    Ok(())
}

fn put(path: &Terminated, mode: u32, pieces: &[&[u8]]) -> Result<(), Errno> {
    // One of a crash: nobody's, and perhaps not even a file.
    let _ = unlink(path);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let fd = open(path, flags, Mode::from_bits_truncate(mode as _))?;
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match write(&fd, rest)? {
                0 => return Err(Errno::ENOSPC),
                n => rest = rest.get(n..).unwrap_or_default(),
            }
        }
    }
    fsync(&fd)?;
    crate::daemon::crash::step();
    Ok(())
}

pub fn make_folders(path: &str) -> Result<(), Errno> {
    let ends = path.bytes().enumerate().skip(1).filter(|(_, b)| *b == b'/').map(|(i, _)| i).chain([path.len()]);
    for end in ends {
        match mkdir(&terminated(path.get(..end).unwrap_or(path)), Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The kernel's boot id as 16 bytes; zeros where there is none, so that at least damage is still recognised.
fn boot_id(root: &Root) -> [u8; 16] {
    let mut room = [0; 64];
    let text = root.read(BOOT_ID, &mut room).unwrap_or(&[]);
    let mut id = [0; 16];
    let digits = text.iter().filter_map(|b| (*b as char).to_digit(16));
    for (i, digit) in digits.take(32).enumerate() {
        if let Some(byte) = id.get_mut(i / 2) {
            *byte = *byte << 4 | digit as u8;
        }
    }
    id
}
