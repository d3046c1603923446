//! Other programs: found, started, fed, waited for. Not by way of std's `Command`, which is three times as large, nor of
//! posix_spawn, which wants the C library's heap: 12 KB on MIPS.
#![allow(unsafe_code)]

use crate::daemon::root::{NOWHERE, PROGRAM_FOLDERS, Root, SystemPath};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{
    AccessFlags, ForkResult, Pid, access, dup2_stderr, dup2_stdin, dup2_stdout, execve, fork, pipe2, read, write,
};
use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

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
    let [input, output] = ends.map(|end| end.unwrap_or(&nowhere));
    // Init scripts call programs by their names.
    let environment = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    // SAFETY: there is one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let placed =
                dup2_stdin(input).and(dup2_stdout(output)).and(if loud { Ok(()) } else { dup2_stderr(&nowhere) });
            // What the heap gives here the parent keeps.
            if let (Ok(()), Ok(path)) = (placed, CString::new(path.as_str())) {
                let _ = execve(&path, words, &environment);
            }
            // SAFETY: nothing of the parent's is to be ended, only the child.
            unsafe { nix::libc::_exit(127) }
        }
    }
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
