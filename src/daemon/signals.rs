//! Signals as bytes in a pipe that poll() sees, one pipe for all and a flag for each.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::c_int;
use nix::unistd::{pipe2, read};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
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
    /// `wake` is one that only wakes.
    pub fn new(wake: c_int) -> Result<Self, Errno> {
        let errno = |e: std::io::Error| e.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw);
        let (pipe, end) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let flag = || Arc::new(AtomicBool::new(false));
        let s = Self { pipe, stop: flag(), reload: flag(), status: flag() };
        // The flag is set first, so that whoever is woken finds it.
        let flags =
            [(SIGTERM, &s.stop), (SIGINT, &s.stop), (SIGQUIT, &s.stop), (SIGHUP, &s.reload), (SIGUSR1, &s.status)];
        for (signal, flag) in flags.map(|(signal, flag)| (signal, Some(flag))).into_iter().chain([(wake, None)]) {
            if let Some(flag) = flag {
                signal_hook::flag::register(signal, flag.clone()).map_err(errno)?;
            }
            signal_hook::low_level::pipe::register(signal, end.try_clone().map_err(errno)?).map_err(errno)?;
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
