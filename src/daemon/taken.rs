//! What was taken out by hand or at the top of the ladder, rules or modules: its record, its lock, and the way back.
//!
//! ```text
//!   ladder ──> take_out ──> record, then rules or modules      tend_taken: a minute of calm, or its time is over ──> back
//!   once an hour each; modules not before the rules had `hold`          the end, or the next start, of a daemon ──> back
//! ```
//!
//! The record stands beside the daemon's own, since the command line does it too, with or without a daemon (one in a jail
//! cannot start programs). Whoever comes next puts it back: `ctwarden back`, the end or the next start of a daemon.

use super::firewall::room::{Room, in_rooms};
use super::firewall::stateless::{self, How};
use super::root::{Root, terminated};
use super::run::Daemon;
use super::statefile::{StateFault, StateFile, TAKEN, joined, put_whole};
use super::unload;
use ctwarden::decide::ladder::Action;
use ctwarden::detect::Verdict;
use ctwarden::event::Obstacle;
use ctwarden::journal::Journal;
use ctwarden::units::Millis;
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

/// Programs that show and change rules tell others than root little, and each in its own way.
pub fn permitted(root: &Root) -> Result<(), NotTaken> {
    if root.is_real() && !Uid::effective().is_root() { Err(Errno::EPERM.into()) } else { Ok(()) }
}

pub struct Record {
    pub journal: Journal,
    state: StateFile,
}

impl Record {
    /// Takes its lock.
    pub fn open(root: &Root, dir: &str) -> Result<Self, NotTaken> {
        permitted(root)?;
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
        open(
            &terminated(&self.state.beside(name)),
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
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
    access(&terminated(&joined([dir, "/", TAKEN])), AccessFlags::F_OK).is_ok()
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
        let restored =
            if record.journal.stateless { stateless::back(root, &mut record, rooms, false, say) } else { Ok(()) };
        if !out {
            record.save()?;
        }
        loaded.and(restored)?;
        Ok(out)
    })
}

/// Bytes as they are, for a line.
#[inline(never)]
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("?")
}

/// Once an hour at most: what did not help is not done over and over.
const AGAIN: Millis = Millis(3_600_000);
/// They go back after so much calm. Of modules nothing can be seen: then after so long.
const REST: Millis = Millis(60_000);

/// What the ladder has taken out.
pub struct Taken {
    /// Since when.
    since: Option<Millis>,
    /// When rules and modules may be taken out again.
    not_before: [Millis; 2],
}

impl Taken {
    pub const fn new() -> Self {
        Self { since: None, not_before: [Millis(0); 2] }
    }
}

/// For a log line of a daemon.
fn warn(line: fmt::Arguments<'_>) {
    log::warn!("{line}");
}

impl Daemon {
    /// Rules, modules: whether the ladder may take them out now.
    pub(super) fn can_take_out(&self) -> [bool; 2] {
        let mut can = [false; 2];
        for ((can, action), not_before) in can.iter_mut().zip(TAKE).zip(self.taken.not_before) {
            let rung = action.rung();
            *can = self.settings.ladder.contains(&rung)
                && !self.unusable.contains(&rung)
                && self.root.is_real()
                && self.now() >= not_before;
        }
        can
    }

    /// It was done, or would have been.
    pub(super) fn not_again_soon(&mut self, now: Millis, action: Action) {
        let hold = now.after(self.settings.marks.hold);
        for (not_before, what) in self.taken.not_before.iter_mut().zip(TAKE) {
            *not_before = if what == action { now.after(AGAIN) } else { hold.max(*not_before) };
        }
    }

    /// Takes out rules or modules. Whether it was done.
    pub(super) fn take_out(&mut self, action: Action) -> bool {
        let dir = self.state.folder();
        let done = if action == Action::Stateless {
            stateless::take_out(&self.root, dir, How { force: false, dry: false }, &mut warn)
        } else {
            unload::unload(&self.root, dir, false, &mut warn)
        };
        if let Err(NotTaken::Failed(e)) = &done {
            let why = match e {
                Errno::EPERM | Errno::EACCES => Obstacle::NotPermitted,
                _ => Obstacle::NoEffect,
            };
            self.skip(action.rung(), why);
        }
        if done.is_ok() {
            self.taken.since = Some(self.now());
        }
        done.is_ok()
    }

    /// Puts back what the ladder took out, once its reason is over or it has had its time.
    pub(super) fn tend_taken(&mut self, now: Millis) {
        let Some(since) = self.taken.since else { return };
        let e = self.guard.evidence();
        let calm = !matches!(e.verdict, Verdict::Filling | Verdict::Saturated) && now.since(e.since) >= REST;
        if now.since(since) >= REST && calm || now.since(since) >= self.config.open_seconds {
            self.put_taken_back();
        }
    }

    /// The same at once; by hand too. What cannot be put back is tried again.
    pub(super) fn put_taken_back(&mut self) {
        match back(&self.root, self.state.folder(), &mut warn) {
            Ok(true) => warn(format_args!("what was taken out is back")),
            Ok(false) => {}
            Err(_) => {
                warn(format_args!("not all that was taken out is back: see `ctwarden back`"));
                self.taken.since = self.taken.since.map(|_| self.now());
                return;
            }
        }
        self.taken.since = None;
        // Rules of ours and limits, at the next look.
        self.last_slow = None;
    }
}

/// What the ladder can take out.
const TAKE: [Action; 2] = [Action::Stateless, Action::Unload];
