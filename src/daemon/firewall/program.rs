//! Other programs: found, started, fed, waited for. Not by way of std's `Command`, which is three times as large, nor of
//! posix_spawn, which wants the C library's heap: 12 KB on MIPS.

#[cfg(any(feature = "iptables", feature = "stateless"))]
use super::room::Room;
use crate::daemon::bare;
pub use crate::daemon::bare::ended;
use crate::daemon::root::{NOWHERE, PROGRAM_FOLDERS, Root, SystemPath, terminated};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid, access, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, write};
use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

/// Longer than iptables waits for its lock, and than an init script takes; who takes longer is ended.
pub const PATIENCE_MS: u16 = 20_000;
const STEP_MS: u16 = 2;

/// Where a program is. Only on the real system: a folder that stands for it has none of its own to run.
pub fn find(root: &Root, name: &CStr) -> Option<SystemPath> {
    let name = name.to_str().ok()?;
    let paths = PROGRAM_FOLDERS.iter().map(|folder| root.path(&[folder, name]));
    paths.filter(|_| root.is_real()).find(|path| access(&terminated(path), AccessFlags::X_OK).is_ok())
}

/// Waits, without a program or a timer of its own.
pub fn pause(ms: u16) {
    let _ = poll(&mut [], PollTimeout::from(ms));
}

/// Whether there is something to read, or never will be any more.
pub fn is_readable(fd: &OwnedFd, ms: u16) -> bool {
    loop {
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], PollTimeout::from(ms)) {
            // One of the owner's scripts has ended.
            Err(Errno::EINTR) => {}
            came => return came == Ok(1),
        }
    }
}

/// Starts a program whose standard input and output are these, or nowhere. `words` begin with the name that it is called
/// by. What it has to complain about is told by its status; `loud`: it may do so itself too.
pub fn start(
    root: &Root,
    path: &SystemPath,
    words: &[&CStr],
    ends: [Option<&OwnedFd>; 2],
    loud: bool,
) -> Result<Pid, Errno> {
    let nowhere = root.open(NOWHERE, OFlag::O_RDWR)?;
    let [input, output] = ends.map(|end| end.unwrap_or(&nowhere));
    // Init scripts call programs by their names.
    bare::start(terminated(path).c(), words, &[c"PATH=/usr/sbin:/usr/bin:/sbin:/bin"], &|| {
        dup2_stdin(input).and(dup2_stdout(output)).and(if loud { Ok(()) } else { dup2_stderr(&nowhere) }).is_ok()
    })
}

/// Waits for its end. ECANCELED: its status was not 0.
pub fn wait(pid: Pid) -> Result<(), Errno> {
    for _ in 0..PATIENCE_MS / STEP_MS {
        match ended(pid) {
            Ok(Some(well)) => return if well { Ok(()) } else { Err(Errno::ECANCELED) },
            Ok(None) | Err(Errno::EINTR) => pause(STEP_MS),
            Err(e) => return Err(e),
        }
    }
    let _ = kill(pid, Signal::SIGKILL);
    while ended(pid) == Ok(None) {
        pause(STEP_MS);
    }
    Err(Errno::ETIMEDOUT)
}

/// Runs a program with that on its standard input.
pub fn run(root: &Root, path: &SystemPath, words: &[&CStr], input: Option<&OwnedFd>) -> Result<(), Errno> {
    wait(start(root, path, words, [input, None], false)?)
}

/// What a program prints.
#[cfg(any(feature = "iptables", feature = "stateless"))]
pub fn output(root: &Root, path: &SystemPath, words: &[&CStr], room: &mut Room) -> Result<(), Errno> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    let pid = start(root, path, words, [None, Some(&to)], false)?;
    drop(to);
    let filled = room.fill(&from);
    drop(from);
    wait(pid).and(filled)
}

/// A text to be read from a pipe, all of it in there already (a pipe holds 64 KiB): nobody has to wait for a reader.
pub struct Text {
    from: OwnedFd,
    to: OwnedFd,
}

impl Text {
    pub fn new() -> Result<Self, Errno> {
        let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&to, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { from, to })
    }
    /// No more is written.
    pub fn end(self) -> OwnedFd {
        self.from
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if write(&self.to, part.as_bytes()) == Ok(part.len()) { Ok(()) } else { Err(fmt::Error) }
    }
}
