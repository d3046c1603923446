//! Network namespaces without names: held by a file descriptor only, so that the kernel itself takes them away when the lab
//! ends, however it ends.

use crate::sys;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

/// A namespace of our own. Clones share it.
#[derive(Clone)]
pub struct Netns(Arc<File>);

impl Netns {
    /// A new, empty namespace, its loopback still down.
    pub fn new() -> io::Result<Self> {
        // In a thread of its own: the caller stays where it is.
        thread::scope(|s| s.spawn(Self::unshared).join()).unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    }

    fn unshared() -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        File::open("/proc/thread-self/ns/net").map(|f| Self(Arc::new(f)))
    }

    /// The descriptor that keeps it.
    pub fn file(&self) -> Arc<File> {
        self.0.clone()
    }

    /// Moves the calling thread into it for good.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&*self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// Runs `work` inside it, in a thread of its own.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        thread::scope(|s| s.spawn(|| self.enter().and_then(|()| work())).join())
            .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    }

    /// A command that will start inside it and be killed with the thread that spawns it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        sys::inside(&mut command, self, Signal::SIGKILL);
        // Root by `su` often has no sbin in its path.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    }

    /// Runs `program` inside it with `script` on its standard input.
    ///
    /// # Errors
    /// What the program said, if it is not there or did not succeed.
    pub fn feed(&self, program: &str, args: &[&str], script: &str) -> Result<(), String> {
        let said = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => format!("the program {program} is not installed"),
            _ => format!("{program}: {e}"),
        };
        let mut child = self
            .command(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(said)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(script.as_bytes()).map_err(said)?;
        }
        let out = child.wait_with_output().map_err(said)?;
        if out.status.success() {
            return Ok(());
        }
        Err(format!("{program}: {}", String::from_utf8_lossy(&out.stderr).trim()))
    }
}
