//! Other programs: found, started, fed, waited for. Not by way of std's `Command`, which is three times as large.

use crate::daemon::root::{NOWHERE, PROGRAM_FOLDERS, Root, SystemPath};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access, pipe2, read, write};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Longer than iptables waits for its lock, and than an init script takes; who takes longer is ended.
pub const PATIENCE_MS: u16 = 20_000;
const STEP_MS: u16 = 2;
/// What is more of a program's output is left out.
const OUTPUT_MOST: usize = 1 << 20;

/// Where a program is. Only on the real system: a folder that stands for it has none of its own to run.
pub fn find(root: &Root, name: &CStr) -> Option<SystemPath> {
    let name = name.to_str().ok()?;
    let paths = PROGRAM_FOLDERS.iter().map(|folder| root.path(&[folder, name]));
    paths.filter(|_| root.is_real()).find(|path| access(path.as_str(), AccessFlags::X_OK).is_ok())
}

/// Waits, without a program or a timer of its own.
pub fn pause(ms: u16) {
    let _ = poll(&mut [], PollTimeout::from(ms));
}

/// Whether there is something to read, or never will be any more.
pub fn is_readable(fd: &OwnedFd, ms: u16) -> bool {
    matches!(poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], PollTimeout::from(ms)), Ok(1))
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
    let mut actions = PosixSpawnFileActions::init()?;
    for (end, fd) in ends.into_iter().chain((!loud).then_some(None)).zip(0..) {
        actions.add_dup2(end.unwrap_or(&nowhere).as_raw_fd(), fd)?;
    }
    // Init scripts call programs by their names.
    let environment = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    posix_spawn(path.as_str(), &actions, &PosixSpawnAttr::init()?, words, &environment)
}

/// Waits for its end. ECANCELED: its status was not 0.
pub fn wait(pid: Pid) -> Result<(), Errno> {
    for _ in 0..PATIENCE_MS / STEP_MS {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => pause(STEP_MS),
            Ok(_) => return Err(Errno::ECANCELED),
            Err(e) => return Err(e),
        }
    }
    let _ = kill(pid, Signal::SIGKILL);
    let _ = waitpid(pid, None);
    Err(Errno::ETIMEDOUT)
}

/// Runs a program with that on its standard input.
pub fn run(root: &Root, path: &SystemPath, words: &[&CStr], input: Option<&OwnedFd>) -> Result<(), Errno> {
    wait(start(root, path, words, [input, None], false)?)
}

/// What a program prints.
pub fn output(root: &Root, path: &SystemPath, words: &[&CStr]) -> Result<Vec<u8>, Errno> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    let pid = start(root, path, words, [None, Some(&to)], false)?;
    drop(to);
    let text = read_all(&from);
    drop(from);
    wait(pid).map(|()| text)
}

/// Reads to the end, or until nothing has come for long.
pub fn read_all(from: &OwnedFd) -> Vec<u8> {
    let mut text = Vec::new();
    let mut room = [0; 2048];
    while text.len() < OUTPUT_MOST && is_readable(from, PATIENCE_MS) {
        match read(from, &mut room) {
            Ok(n @ 1..) => text.extend_from_slice(room.get(..n).unwrap_or(&[])),
            Err(Errno::EINTR) => {}
            _ => break,
        }
    }
    text
}

/// A text to be read from a pipe, all of it in there already (a pipe holds 64 KiB): nobody has to wait for a reader.
pub fn piped(text: &[u8]) -> Result<OwnedFd, Errno> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&to, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    if write(&to, text)? == text.len() { Ok(from) } else { Err(Errno::EMSGSIZE) }
}
