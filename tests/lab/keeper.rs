//! The keeper: a small process that holds everything host-wide, the lock and the two sysctls, and puts the sysctls back
//! when the lab's end of the pipe closes, which it does on every way out, `kill -9` of the lab included.
//!
//! The limits are the host's: a namespace can read but not write them (measured: EACCES). The values found are also kept in
//! the lock file, so that a keeper that was itself killed leaves the next one the right ones to put back.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions, read_to_string, remove_dir_all, write};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const LOCK: &str = "/run/ctwarden-lab.lock";
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const BUCKETS: &str = "/proc/sys/net/netfilter/nf_conntrack_buckets";

/// The lab's handle on its keeper; dropped, the host is as it was.
pub struct Keeper {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Keeper {
    /// Starts it. Waits for another lab to end first.
    ///
    /// # Errors
    /// One clear word about what the host lacks.
    pub fn start(scratch: &Path) -> Result<Self, String> {
        if !Path::new(MAX).exists() {
            let _ = Command::new("modprobe").arg("nf_conntrack").stderr(Stdio::null()).status();
        }
        if !Path::new(MAX).exists() {
            return Err("missing: connection tracking in this kernel (nf_conntrack)".into());
        }
        let mut child = Command::new("/proc/self/exe")
            .arg("keeper")
            .arg(scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // an interrupt from the terminal is for the lab
            .spawn()
            .map_err(|e| format!("the keeper does not start: {e}"))?;
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("the keeper has no output")?);
        let mut keeper = Self { child, ask, answers };
        keeper.answer()?;
        Ok(keeper)
    }

    /// Sets the host's limit and hash size.
    pub fn set(&mut self, max: u32, buckets: u32) -> Result<(), String> {
        let ask = self.ask.as_mut().ok_or("the keeper is gone")?;
        writeln!(ask, "{max} {buckets}").map_err(|e| format!("the keeper is gone: {e}"))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<(), String> {
        let mut line = String::new();
        let _ = self.answers.read_line(&mut line);
        match line.trim() {
            "ok" => Ok(()),
            "" => Err("the keeper died".into()),
            fault => Err(fault.to_string()),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ask = None;
        let _ = self.child.wait();
    }
}

/// The keeper's own main: lock, say `ok`, then one line `MAX BUCKETS` a request, until the pipe closes.
pub fn main(scratch: &Path) -> io::Result<()> {
    // It must outlive what ends the lab.
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, ignored.clone())?;
    }
    let mut lock = take_lock()?;
    let found = match noted(&mut lock) {
        Some(left_over) => left_over,
        None => (read_number(MAX)?, read_number(BUCKETS)?),
    };
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{} {}", found.0, found.1)?;

    say(Ok(()));
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        say(two_numbers(&line).ok_or_else(|| io::Error::other("not two numbers")).and_then(set));
    }
    let back = set(found);
    if back.is_ok() {
        lock.set_len(0)?;
    }
    let _ = remove_dir_all(scratch);
    back
}

fn take_lock() -> io::Result<Flock<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(LOCK)?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((file, _)) => file,
    };
    eprintln!("waiting for {LOCK}: another run holds it");
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e.into())
}

fn noted(lock: &mut File) -> Option<(u32, u32)> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    two_numbers(&text)
}

fn two_numbers(text: &str) -> Option<(u32, u32)> {
    let (max, buckets) = text.trim().split_once(' ')?;
    Some((max.parse().ok()?, buckets.parse().ok()?))
}

fn set((max, buckets): (u32, u32)) -> io::Result<()> {
    write(BUCKETS, buckets.to_string())?;
    write(MAX, max.to_string())?;
    // The kernel rounds buckets up to a page of them; max is taken as it is.
    match read_number(MAX)? {
        now if now == max => Ok(()),
        now => Err(io::Error::other(format!("nf_conntrack_max is {now}, not {max}"))),
    }
}

fn read_number(path: &str) -> io::Result<u32> {
    read_to_string(path)?.trim().parse().map_err(io::Error::other)
}

fn say(outcome: io::Result<()>) {
    match outcome {
        Ok(()) => println!("ok"),
        Err(e) => println!("missing: write access to nf_conntrack_max, it belongs to the initial namespace ({e})"),
    }
    let _ = io::stdout().flush();
}
