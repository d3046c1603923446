//! The program under test: the daemon, and calls of the command line.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::json::Json;
use crate::machine::until;

const PROGRAM: &str = "/ctwarden";
const CONFIG: &str = "/etc/config/ctwarden";
const LOG: &str = "/tmp/log";
/// No answer takes longer, emulated on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a command.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// A number of the JSON printed.
    pub fn number(&self, name: &str) -> Outcome<u32> {
        let number = Json::read(&self.out).and_then(|j| j.find(name).and_then(Json::number));
        number.map(|n| n as u32).ok_or_else(|| format!("no number {name} in {} {}", self.out, self.err))
    }
    /// The first row of a `top`: whose it is, how many entries, and the standard error of its share in hundredths of a percent.
    pub fn largest(&self) -> Outcome<(String, u32, u32)> {
        let json = Json::read(&self.out).ok_or_else(|| format!("no JSON: {} {}", self.out, self.err))?;
        let row = json.get("rows").and_then(|rows| rows.list()?.first());
        let number = |name| row.and_then(|r| r.get(name)?.number());
        let key = row.and_then(|r| r.get("key")?.text());
        match (key, number("entries"), number("error")) {
            (Some(key), Some(entries), Some(error)) => Ok((key.to_string(), entries as u32, error as u32)),
            _ => Err(format!("no rows: {}", self.out)),
        }
    }
    /// A text of the JSON printed.
    pub fn text(&self, name: &str) -> Outcome<String> {
        let text = Json::read(&self.out).and_then(|j| j.find(name)?.text().map(str::to_string));
        text.ok_or_else(|| format!("no text {name} in {} {}", self.out, self.err))
    }
}

/// A call of the command line.
pub fn call(arguments: &[&str]) -> Outcome<Ran> {
    let ran = Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output();
    let ran = ran.map_err(|e| format!("ctwarden {}: {e}", arguments.join(" ")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&ran.stdout), text(&ran.stderr));
    let code = ran.status.code().ok_or_else(|| format!("ctwarden {} was killed: {err}", arguments.join(" ")))?;
    Ok(Ran { code, out, err })
}

/// Writes the config: none is the one that ships.
pub fn configure(config: &str) -> Outcome<()> {
    fs::write(CONFIG, config).map_err(|e| format!("{CONFIG}: {e}"))
}

/// A daemon that runs, and its log.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it and waits until it answers. `blindfold`: it does not see the kernel's counters, as if the kernel had none.
    #[allow(unsafe_code)]
    pub fn start(blindfold: bool) -> Outcome<Self> {
        const COUNTERS: &str = "/proc/self/net/stat/nf_conntrack";
        let log = File::create(LOG).map_err(|e| format!("{LOG}: {e}"))?;
        let mut command = Command::new(PROGRAM);
        command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if blindfold {
            // In a mount namespace of its own: the file is empty for it alone.
            // SAFETY: between fork and exec only two system calls are made; neither allocates nor takes a lock.
            unsafe {
                command.pre_exec(|| {
                    unshare(CloneFlags::CLONE_NEWNS)?;
                    mount(Some("/dev/null"), COUNTERS, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
                    Ok(())
                })
            };
        }
        let child = command.spawn().map_err(|e| format!("{PROGRAM}: {e}"))?;
        let mut daemon = Self { child };
        until("the daemon answers", PATIENCE, || {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                return Err(format!("the daemon ended, {status}: {}", daemon.log().join(" / ")));
            }
            Ok(call(&["status", "--json"])?.number("pid").ok())
        })?;
        Ok(daemon)
    }

    pub fn status(&self) -> Outcome<Ran> {
        call(&["status", "--json"])
    }

    /// What it has said so far.
    pub fn log(&self) -> Vec<String> {
        fs::read_to_string(LOG).unwrap_or_default().lines().map(str::to_string).collect()
    }

    /// The first line with `part`.
    pub fn said(&self, part: &str) -> Option<String> {
        self.log().into_iter().find(|l| l.contains(part))
    }

    /// Waits for a line with `part`.
    pub fn says(&self, part: &str) -> Outcome<String> {
        until(&format!("the daemon says \"{part}\""), PATIENCE, || Ok(self.said(part)))
            .map_err(|e| format!("{e}; it said:\n{}", self.log().join("\n")))
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        kill(Pid::from_raw(self.child.id() as i32), signal).map_err(|e| format!("signal: {e}"))
    }

    /// Gives it another config and waits until it has it.
    pub fn renew(&self, config: &str) -> Outcome<()> {
        let reloads = || self.log().iter().filter(|l| l.contains("config reloaded")).count();
        let before = reloads();
        configure(config)?;
        self.signal(Signal::SIGHUP)?;
        until("the config is read again", PATIENCE, || Ok((reloads() > before).then_some(())))
            .map_err(|e| format!("{e}; it said:\n{}", self.log().join("\n")))
    }

    /// Ends it by SIGTERM; how long that took.
    pub fn end(mut self) -> Outcome<(bool, Duration)> {
        let began = Instant::now();
        self.signal(Signal::SIGTERM)?;
        let status = self.child.wait().map_err(|e| format!("waiting for the daemon: {e}"))?;
        Ok((status.success(), began.elapsed()))
    }

    /// Ends it by SIGKILL.
    pub fn kill(mut self) -> Outcome<()> {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(|e| format!("kill -9: {e}"))
    }

    /// A number of `/proc/PID/status`, in KiB.
    pub fn kib(&self, what: &str) -> Outcome<u32> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let line = text.lines().find_map(|l| l.strip_prefix(what)?.strip_prefix(':'));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok()).ok_or_else(|| format!("{path}: no {what}"))
    }

    /// Where its anonymous memory is: `KiB of which mapping`, by address.
    pub fn anonymous(&self) -> String {
        let text = fs::read_to_string(format!("/proc/{}/smaps", self.child.id())).unwrap_or_default();
        let (mut mapping, mut parts) = (String::new(), Vec::new());
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("Anonymous:"), Some(kib)) if kib != "0" => parts.push(format!("{kib} of {mapping}")),
                (Some(range), Some(_)) if range.contains('-') => {
                    let name = words.nth(3).unwrap_or("no file");
                    mapping = format!("{range} {name}");
                }
                _ => {}
            }
        }
        parts.join(", ")
    }
}
