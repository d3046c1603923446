//! Who stands between the attack and the neighbour: nobody, the guard, or what people use today.

use crate::gauges::Gauges;
use crate::netns::Netns;
use crate::sys;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// One of those that are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contender {
    Nobody,
    /// As an owner has it, with its default ladder.
    Guard,
    /// Without shed: what trim alone does, and what it spares the hog.
    Trim,
    /// Without trim.
    Shed,
    /// `conntrack -F` every 5 s.
    Flush,
    /// `ct count over 256` a host: a static limit.
    Limit,
    /// Timeouts shortened by a script while the table is over 80 % full.
    Timeouts,
}

pub const PEERS: [Contender; 3] = [Contender::Flush, Contender::Limit, Contender::Timeouts];

impl Contender {
    /// A ctwarden, whatever its ladder.
    pub const fn is_ours(self) -> bool {
        matches!(self, Contender::Guard | Contender::Trim | Contender::Shed)
    }

    /// What its config says of the ladder.
    const fn ladder(self) -> &'static str {
        match self {
            Contender::Trim => "\toption ladder 'grow trim flush'\n",
            Contender::Shed => "\toption ladder 'shed'\n",
            _ => "",
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Contender::Nobody => "no guard",
            Contender::Guard => "ctwarden",
            Contender::Trim => "trim alone",
            Contender::Shed => "shed alone",
            Contender::Flush => "flush every 5 s",
            Contender::Limit => "256 a host",
            Contender::Timeouts => "short timeouts",
        }
    }
}

/// The config the guard gets: its defaults, with only what the lab must say.
const CONFIG: &str = "config ctwarden 'main'\n\toption enabled '1'\n\toption hold '2'\n\toption lan 'lan lan1'\n";

const FLUSH: &str = "while sleep 5; do conntrack -F; done";

const LIMIT: &str = r#"
table inet peer {
    set held { type ipv4_addr; size 65535; flags dynamic; }
    set held6 { type ipv6_addr; size 65535; flags dynamic; }
    chain forward {
        type filter hook forward priority filter - 1
        iifname { "lan", "lan1" } ct state new add @held { ip saddr ct count over 256 } drop
        iifname { "lan", "lan1" } ct state new add @held6 { ip6 saddr ct count over 256 } drop
    }
}
"#;

/// As found in forums: the long ones cut to a minute, and put back when there is room again.
const TIMEOUTS: &str = r#"
cd /proc/sys/net/netfilter
while sleep 1; do
    if [ $(($(cat nf_conntrack_count) * 100)) -gt $(($(cat nf_conntrack_max) * 80)) ]; then
        echo 60 > nf_conntrack_tcp_timeout_established
        echo 10 > nf_conntrack_tcp_timeout_time_wait
        echo 10 > nf_conntrack_udp_timeout_stream
        echo 5 > nf_conntrack_udp_timeout
    else
        echo 432000 > nf_conntrack_tcp_timeout_established
        echo 120 > nf_conntrack_tcp_timeout_time_wait
        echo 120 > nf_conntrack_udp_timeout_stream
        echo 30 > nf_conntrack_udp_timeout
    fi
done
"#;

/// A contender at work, to be ended with [`Running::end`].
pub struct Running {
    child: Option<Child>,
    is_guard: bool,
    /// The guard's log, for a thread that reads it.
    pub log: Option<ChildStderr>,
}

impl Running {
    /// Puts it to work in the router. `guard` is the ctwarden binary, `scratch` a folder for its files.
    pub fn start(contender: Contender, router: &Netns, guard: &Path, scratch: &Path) -> Result<Self, String> {
        let looping = |text: &str| Ok(Self { child: Some(script(router, text)?), is_guard: false, log: None });
        match contender {
            Contender::Guard | Contender::Trim | Contender::Shed => {
                return start_guard(contender.ladder(), router, guard, scratch);
            }
            Contender::Flush => return looping(FLUSH),
            Contender::Timeouts => return looping(TIMEOUTS),
            Contender::Limit => {
                router.feed("nft", &["-f", "-"], LIMIT).map_err(|e| format!("missing: nft ct count: {e}"))?;
            }
            Contender::Nobody => {}
        }
        Ok(Self { child: None, is_guard: false, log: None })
    }

    /// CPU time so far: from schedstat in nanoseconds, since `stat` counts in ticks of 10 ms. `None` without a guard.
    pub fn cpu(&self) -> Option<Duration> {
        let child = self.child.as_ref().filter(|_| self.is_guard)?;
        let text = fs::read_to_string(format!("/proc/{}/schedstat", child.id())).ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }

    /// Ends it. The guard is asked to go and must leave with status 0.
    ///
    /// # Errors
    /// How the guard went wrong.
    pub fn end(mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if !self.is_guard {
            let _ = kill(Pid::from_raw(-(child.id() as i32)), Signal::SIGKILL); // the shell and its sleep
            let _ = child.wait();
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("the guard ended too early: {status}"));
        }
        let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(5) {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("asked to end, the guard left with {status}")),
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        Err("asked to end, the guard was still there after 5 s".into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start_guard(ladder: &str, router: &Netns, guard: &Path, scratch: &Path) -> Result<Running, String> {
    let fault = |what: &str, e: std::io::Error| format!("{what}: {e}");
    let state = scratch.join("state");
    let _ = fs::remove_dir_all(scratch);
    fs::create_dir_all(&state).map_err(|e| fault("no folder for the guard's files", e))?;
    let (config, socket): (PathBuf, PathBuf) = (scratch.join("config"), scratch.join("socket"));
    fs::write(&config, format!("{CONFIG}{ladder}")).map_err(|e| fault("the guard's config", e))?;

    let mut command = Command::new(guard);
    // Its end must not leave anything either: it is asked, not killed, when the lab dies.
    sys::inside(&mut command, router, Signal::SIGTERM);
    command
        .args(["run", "--debug"])
        .arg("--config")
        .arg(config)
        .arg("--socket")
        .arg(&socket)
        .arg("--state-dir")
        .arg(state);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|e| format!("missing: the guard, {} ({e}); build it or name it with --guard", guard.display()))?;
    let log = child.stderr.take();
    let started = Instant::now();
    while !socket.exists() && started.elapsed() < Duration::from_secs(3) {
        if let Ok(Some(status)) = child.try_wait() {
            let said = log.map(BufReader::new).and_then(|l| l.lines().map_while(Result::ok).last()).unwrap_or_default();
            return Err(format!("the guard does not start: {status}: {said}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    if !socket.exists() {
        let _ = child.kill();
        let _ = child.wait();
        return Err("the guard made no socket within 3 s".into());
    }
    Ok(Running { child: Some(child), is_guard: true, log })
}

fn script(router: &Netns, text: &str) -> Result<Child, String> {
    use std::os::unix::process::CommandExt;
    let mut command = router.command("sh");
    command.args(["-c", text]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().map_err(|e| format!("missing: sh ({e})"))
}

/// Follows the guard's log until it ends.
pub fn read_log(log: ChildStderr, gauges: &Gauges) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        gauges.logged(line);
    }
}
