//! Signals as bytes in a pipe that poll() sees, one pipe for all and a flag for each.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub struct Signals {
    pipe: OwnedFd,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    status: Arc<AtomicBool>,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let (pipe, end) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let flag = || Arc::new(AtomicBool::new(false));
        let s = Self { pipe, stop: flag(), reload: flag(), status: flag() };
        // The flag is set first, so that whoever is woken finds it.
        let flags = [(SIGTERM, &s.stop), (SIGINT, &s.stop), (SIGHUP, &s.reload), (SIGUSR1, &s.status)];
        // A script has ended: it only wakes, for the next one's turn.
        for (signal, flag) in flags.map(|(signal, flag)| (signal, Some(flag))).into_iter().chain([(SIGCHLD, None)]) {
            if let Some(flag) = flag {
                signal_hook::flag::register(signal, flag.clone())?;
            }
            signal_hook::low_level::pipe::register(signal, end.try_clone()?)?;
        }
        Ok(s)
    }

    pub fn poll_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Empties the pipe; the flags say what came.
    pub fn drain(&self) {
        let mut room = [0; 16];
        while matches!(read(&self.pipe, &mut room), Ok(1..) | Err(Errno::EINTR)) {}
    }

    pub fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
    pub fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }
    pub fn take_status(&self) -> bool {
        self.status.swap(false, Ordering::Relaxed)
    }
}
