//! Other programs: found, started, fed, waited for. Not by way of std's `Command`, which is three times as large.

use crate::daemon::root::{NOWHERE, PROGRAM_FOLDERS, Root, SystemPath};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access, pipe2, read, write};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// Longer than iptables waits for its lock; who takes longer is ended.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(2);
/// What is more of a program's output is a fault of its own.
const OUTPUT_MOST: usize = 1 << 20;

/// Where a program is. Only on the real system: a folder that stands for it has none of its own to run.
pub fn find(root: &Root, name: &str) -> Option<SystemPath> {
    let paths = PROGRAM_FOLDERS.iter().map(|folder| root.path(&[folder, name]));
    paths.filter(|_| root.is_real()).find(|path| access(path.as_str(), AccessFlags::X_OK).is_ok())
}

/// Starts a program whose standard input and output are these, or nowhere. What it has to complain about is told by its
/// status; `loud`: it may do so itself too.
pub fn start(
    root: &Root,
    path: &str,
    arguments: &[&CStr],
    ends: [Option<&OwnedFd>; 2],
    loud: bool,
) -> Result<Pid, Errno> {
    let nowhere = root.open(NOWHERE, OFlag::O_RDWR)?;
    let mut actions = PosixSpawnFileActions::init()?;
    for (end, fd) in ends.into_iter().zip(0..) {
        actions.add_dup2(end.unwrap_or(&nowhere).as_raw_fd(), fd)?;
    }
    if !loud {
        actions.add_dup2(nowhere.as_raw_fd(), 2)?;
    }
    let name = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let mut words = vec![name.as_c_str()];
    words.extend_from_slice(arguments);
    // Init scripts call programs by their names.
    let environment = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    posix_spawn(name.as_c_str(), &actions, &PosixSpawnAttr::init()?, &words, &environment)
}

/// Waits for its end; its exit status.
pub fn wait(pid: Pid) -> Result<i32, Errno> {
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(WaitStatus::StillAlive) => std::thread::sleep(STEP),
            Ok(_) => return Err(Errno::ECANCELED),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
        waited += STEP;
    }
    let _ = kill(pid, Signal::SIGKILL);
    let _ = waitpid(pid, None);
    Err(Errno::ETIMEDOUT)
}

/// Runs a program with that on its standard input. ECANCELED: its status was not 0.
pub fn run(root: &Root, path: &str, arguments: &[&CStr], input: Option<&OwnedFd>) -> Result<(), Errno> {
    match wait(start(root, path, arguments, [input, None], false)?)? {
        0 => Ok(()),
        _ => Err(Errno::ECANCELED),
    }
}

/// What a program prints.
pub fn output(root: &Root, path: &str, arguments: &[&CStr]) -> Result<Vec<u8>, Errno> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    let pid = start(root, path, arguments, [None, Some(&to)], false)?;
    drop(to);
    let mut text = Vec::new();
    let mut room = [0; 4096];
    let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO);
    while text.len() < OUTPUT_MOST
        && matches!(poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], patience), Ok(1))
    {
        match read(&from, &mut room) {
            Ok(n @ 1..) => text.extend_from_slice(room.get(..n).unwrap_or(&[])),
            Err(Errno::EINTR) => {}
            _ => break,
        }
    }
    drop(from);
    match wait(pid)? {
        0 => Ok(text),
        _ => Err(Errno::ECANCELED),
    }
}

/// A text to be read from a pipe, all of it in there already (a pipe holds 64 KiB): nobody has to wait for a reader.
pub fn piped(text: &[u8]) -> Result<OwnedFd, Errno> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
    nix::fcntl::fcntl(&to, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    if write(&to, text)? == text.len() { Ok(from) } else { Err(Errno::EMSGSIZE) }
}
