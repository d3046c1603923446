//! The process that stays behind in the host's network namespace: it alone writes the host-wide settings, and puts them
//! back when the bench ends, however it ends. It reads commands from a pipe; the end of the pipe is the end of the bench.
//!
//! ```text
//! lock            take the lock all users of these settings share, remember the settings   -> ok | error …
//! set NAME VALUE  write /proc/sys/net/netfilter/NAME, read back                            -> ok | error …
//! unlock          put the settings back, drop the lock                                     -> ok | error …
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::Outcome;

/// Whoever changes nf_conntrack_max or _buckets, or fills the table, holds this.
const LOCK: &str = "/run/ctwarden-lab.lock";
const SETTINGS: [&str; 2] = ["nf_conntrack_max", "nf_conntrack_buckets"];

fn path_of(name: &str) -> PathBuf {
    Path::new("/proc/sys/net/netfilter").join(name)
}

/// The value of a setting under `/proc/sys/net/netfilter`.
pub fn read_setting(name: &str) -> Outcome<String> {
    let path = path_of(name);
    Ok(fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?.trim().to_string())
}

/// Writes a setting under `/proc/sys/net/netfilter` and reads it back.
pub fn write_setting(name: &str, value: &str) -> Outcome<()> {
    let path = path_of(name);
    fs::write(&path, value).map_err(|e| format!("{} = {value}: {e}", path.display()))?;
    let now = read_setting(name)?;
    // The kernel rounds buckets up to what fills whole pages.
    if now != value && name != "nf_conntrack_buckets" {
        return Err(format!("{} = {value}: it reads {now}", path.display()));
    }
    Ok(())
}

/// The settings as found, and the lock that makes them ours.
struct Held {
    found: Vec<(&'static str, String)>,
    _lock: Flock<File>,
}

impl Held {
    fn take() -> Outcome<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(LOCK);
        let file = file.map_err(|e| format!("{LOCK}: {e}"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| format!("{LOCK}: {e}"))?;
        let found = SETTINGS.into_iter().map(|name| Ok((name, read_setting(name)?))).collect::<Outcome<_>>()?;
        Ok(Self { found, _lock: lock })
    }

    fn put_back(&self) -> Outcome<()> {
        let faults: Vec<String> =
            self.found.iter().filter_map(|(name, value)| write_setting(name, value).err()).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

/// The guardian's life: commands until the pipe ends, then everything back as found and the scratch folder gone.
pub fn run(scratch: &Path) -> Outcome<()> {
    let mut held: Option<Held> = None;
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["lock"] if held.is_none() => Held::take().map(|h| held = Some(h)),
            ["set", name, value] if held.is_some() => write_setting(name, value),
            ["unlock"] => held.take().map_or(Ok(()), |h| h.put_back()),
            _ => Err(format!("not understood: {line}")),
        };
        let text = answer.map_or_else(|e| format!("error {e}"), |()| "ok".to_string());
        if writeln!(io::stdout(), "{text}").is_err() {
            break;
        }
    }
    let _ = fs::remove_dir_all(scratch);
    held.map_or(Ok(()), |h| h.put_back())
}
