//! Network namespaces held by a file: the initial one, which alone may write the limits, and further ones.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::Outcome;

pub struct Netns(File);

impl Netns {
    /// The one the calling thread is in.
    pub fn here() -> Outcome<Self> {
        let path = "/proc/thread-self/ns/net";
        File::open(path).map(Self).map_err(|e| format!("{path}: {e}"))
    }

    /// A new one, its loopback down.
    pub fn new() -> Outcome<Self> {
        apart(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("a network namespace: {e}"))?;
            Self::here()
        })
    }

    /// A path for a process started by this one.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()))
    }

    /// Does `work` inside it, in a thread of its own. `/proc/sys/net` is that of the thread, `/proc/net` is not.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
        apart(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET).map_err(|e| format!("entering a network namespace: {e}"))?;
            work()
        })
    }
}

fn apart<T: Send>(work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    thread::scope(|s| s.spawn(work).join()).unwrap_or_else(|_| Err("a thread panicked".into()))
}
