//! A network namespace of our own on the real kernel, and the host-wide settings borrowed for it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::Outcome;
use crate::ctnetlink::Socket;
use crate::guardian::{read_setting, write_setting};

/// Timeouts in the namespace, so that nothing expires while a round runs. A program under test reads them from there too.
const LONG_TIMEOUTS: [(&str, u32); 9] = [
    ("nf_conntrack_tcp_timeout_established", 432_000),
    ("nf_conntrack_tcp_timeout_time_wait", 7_200),
    ("nf_conntrack_tcp_timeout_close", 7_200),
    ("nf_conntrack_tcp_timeout_last_ack", 7_200),
    ("nf_conntrack_tcp_timeout_syn_sent", 7_200),
    ("nf_conntrack_udp_timeout", 7_200),
    ("nf_conntrack_udp_timeout_stream", 14_400),
    ("nf_conntrack_icmp_timeout", 7_200),
    ("nf_conntrack_icmpv6_timeout", 7_200),
];

/// The guardian and the way to it. One a run.
pub struct Host {
    guardian: Child,
    // Taken at the end: closing it is what tells the guardian.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where programs under test put their sockets, state and configs; the guardian removes it.
    pub scratch: PathBuf,
}

impl Host {
    /// Starts the guardian in the host's namespace, then moves this process into a namespace of its own.
    pub fn enter() -> Outcome<Self> {
        if !geteuid().is_root() {
            return Err(
                "must be root: it makes a network namespace and fills the kernel's connection tracking table".into()
            );
        }
        for module in ["nf_conntrack", "nf_conntrack_netlink"] {
            // Built in on some kernels, and modprobe is not everywhere: what counts is whether it answers below.
            let _ = Command::new("modprobe").arg("-q").arg(module).stderr(Stdio::null()).status();
        }
        read_setting("nf_conntrack_max").map_err(|e| format!("no connection tracking in this kernel: {e}"))?;
        let scratch = PathBuf::from(format!("/run/ctwarden-bench.{}", std::process::id()));
        fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
        let mut guardian = Command::new(own_path()?)
            .arg("guardian")
            .arg(&scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Out of reach of the terminal's Ctrl-C: it has to outlive us.
            .process_group(0)
            .spawn()
            .map_err(|e| format!("starting the guardian: {e}"))?;
        let commands = guardian.stdin.take();
        let answers = BufReader::new(guardian.stdout.take().ok_or("the guardian has no output")?);
        unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("a network namespace of our own: {e}"))?;
        for (name, seconds) in LONG_TIMEOUTS {
            write_setting(name, &seconds.to_string())?;
        }
        Socket::open().map_err(|e| format!("no ctnetlink (kernel module nf_conntrack_netlink): {e}"))?;
        Ok(Self { guardian, commands, answers, scratch })
    }

    fn ask(&mut self, command: &str) -> Outcome<()> {
        let pipe = self.commands.as_mut().ok_or("the guardian is gone")?;
        writeln!(pipe, "{command}").map_err(|e| format!("the guardian is gone: {e}"))?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|e| format!("the guardian is gone: {e}"))?;
        match answer.trim() {
            "ok" => Ok(()),
            other => Err(format!("{command}: {other}")),
        }
    }

    /// Takes the lock that all users of the host-wide settings share and sets them. They go back when the `Table` is dropped.
    pub fn table(&mut self, max: u32, buckets: u32) -> Outcome<Table<'_>> {
        self.ask("lock")?;
        let mut table = Table { host: self };
        table.set_buckets(buckets)?;
        table.set_max(max)?;
        Ok(table)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.guardian.wait();
    }
}

/// The host-wide settings as we want them, for as long as this lives.
pub struct Table<'h> {
    host: &'h mut Host,
}

impl Table<'_> {
    pub fn set_max(&mut self, max: u32) -> Outcome<()> {
        self.host.ask(&format!("set nf_conntrack_max {max}"))
    }
    pub fn set_buckets(&mut self, buckets: u32) -> Outcome<()> {
        self.host.ask(&format!("set nf_conntrack_buckets {buckets}"))
    }
    /// A file or folder name in the scratch folder.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.host.scratch.join(name)
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        // Others get their bucket count back: it must not find 250,000 of our entries in it.
        let flushed = Socket::open().and_then(|s| s.flush());
        for fault in [flushed, self.host.ask("unlock")].into_iter().filter_map(Result::err) {
            eprintln!("bench: putting things back: {fault}");
        }
    }
}

/// Entries in this namespace's table now.
pub fn count() -> Outcome<u32> {
    let text = read_setting("nf_conntrack_count")?;
    text.parse().map_err(|_| format!("nf_conntrack_count reads {text:?}"))
}

/// Fails unless the table holds `want` entries, give or take `slack`.
pub fn expect_count(what: &str, want: u32, slack: u32) -> Outcome<()> {
    let now = count()?;
    if now.abs_diff(want) <= slack {
        Ok(())
    } else {
        Err(format!("{what}: {now} entries in the table, expected {want}"))
    }
}

/// The path of this program, to start itself in another role.
pub fn own_path() -> Outcome<PathBuf> {
    std::env::current_exe().map_err(|e| format!("the path of this program: {e}"))
}

/// Runs a command to its end, output thrown away, and says how long that took, process start included.
pub fn timed(command: &mut Command) -> Outcome<Duration> {
    let name = format!("{:?}", command.get_program());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
    let out = child.wait_with_output().map_err(|e| format!("{name}: {e}"))?;
    let took = start.elapsed();
    if !out.status.success() {
        return Err(format!("{name}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim()));
    }
    Ok(took)
}

/// What a command prints.
pub fn output_of(command: &mut Command) -> Outcome<String> {
    let name = format!("{:?}", command.get_program());
    let out = command.stdin(Stdio::null()).output().map_err(|e| format!("{name}: {e}"))?;
    if !out.status.success() {
        return Err(format!("{name}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A long-running program that ends when we do, whatever ends us.
pub struct Leashed(Child);

impl Leashed {
    /// Starts `program` with `args`, standard error into `log`.
    pub fn start(program: &Path, args: &[&str], log: &Path) -> Outcome<Self> {
        let stderr = File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = Command::new(own_path()?);
        command.arg("leash").arg(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        Ok(Self(command.spawn().map_err(|e| format!("{}: {e}", program.display()))?))
    }
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.0.id() as i32), signal);
    }
    /// Sends `signal` and waits for the end; kills what does not end within 5 s, which is a fault.
    pub fn end(&mut self, signal: Signal) -> Outcome<()> {
        self.signal(signal);
        let start = Instant::now();
        while self.has_ended()?.is_none() {
            if start.elapsed() > Duration::from_secs(5) {
                self.signal(Signal::SIGKILL);
                let _ = self.0.wait();
                return Err(format!("still there 5 s after {signal}"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Outcome<Option<String>> {
        Ok(self.0.try_wait().map_err(|e| format!("waiting: {e}"))?.map(|status| status.to_string()))
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        if matches!(self.has_ended(), Ok(None)) {
            let _ = self.end(Signal::SIGTERM);
        }
    }
}

/// `leash PROGRAM ARGS…`: becomes PROGRAM, which the kernel kills when the bench dies.
pub fn leash(args: &[String]) -> Outcome<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| format!("leash: {e}"))?;
    let (program, rest) = args.split_first().ok_or("leash: no program")?;
    Err(format!("{program}: {}", Command::new(program).args(rest).exec()))
}
