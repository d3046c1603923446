//! The program itself, `ctwarden run`, under a fake root with a broker's socket in it. Here time is real.

use crate::broker::Broker;
use crate::world::{Bus, Peer, socket};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/roots/01-openwrt-mips-64m");
pub const CONFIG: &str = "config ctwarden 'main'\n\toption enabled '1'\n";

pub struct Subject {
    pub root: PathBuf,
    bus: PathBuf,
    pub broker: Option<Broker>,
    child: Child,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Subject {
    /// Published.
    pub fn new() -> Self {
        Self::start(CONFIG)
    }

    pub fn start(config: &str) -> Self {
        let root = socket().parent().unwrap().to_owned();
        copy(Path::new(ROOT), &root);
        let bus = root.join("var/run/ubus/ubus.sock");
        fs::create_dir_all(bus.parent().unwrap()).unwrap();
        let arguments = ["--root".into(), root.display().to_string()];
        Self::launch(root, config, bus, &arguments)
    }

    /// Under the real root, which is to have a folder for ubus.
    pub fn on_this_system(config: &str) -> Self {
        let root = socket().parent().unwrap().to_owned();
        fs::create_dir_all(root.join("etc/config")).unwrap();
        let files = [("--config", "etc/config/ctwarden"), ("--socket", "socket"), ("--state-dir", "state")];
        let arguments: Vec<String> = files
            .iter()
            .flat_map(|(option, file)| [option.to_string(), root.join(file).display().to_string()])
            .collect();
        Self::launch(root, config, "/var/run/ubus/ubus.sock".into(), &arguments)
    }

    fn launch(root: PathBuf, config: &str, bus: PathBuf, arguments: &[String]) -> Self {
        fs::write(root.join("etc/config/ctwarden"), config).unwrap();
        let broker = Some(Broker::bind(&bus));
        let log = fs::File::create(root.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ctwarden"))
            .arg("run")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut subject = Self { root, bus, broker, child };
        subject.until_published();
        subject
    }

    pub fn is_published(&self) -> bool {
        self.broker.as_ref().is_some_and(|b| b.object("ctwarden").is_some())
    }

    /// Fails if it is not within two seconds.
    pub fn until_published(&mut self) -> Duration {
        let began = Instant::now();
        while !self.is_published() {
            assert!(began.elapsed() < Duration::from_secs(2), "not published within 2 s: {}", self.log());
            self.step(1);
        }
        began.elapsed()
    }

    pub fn until(&mut self, what: &str, so: impl Fn(&mut Self) -> bool) {
        let began = Instant::now();
        while !so(self) {
            assert!(began.elapsed() < Duration::from_secs(10), "{what}: not within 10 s: {}", self.log());
            self.step(5);
        }
    }

    /// As if ubusd were killed.
    pub fn kill_broker(&mut self) {
        self.broker = None;
    }

    pub fn start_broker(&mut self) {
        self.broker = Some(Broker::bind(&self.bus));
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap()
    }

    pub fn configure(&self, config: &str) {
        fs::write(self.root.join("etc/config/ctwarden"), config).unwrap();
    }

    /// As the kernel would say it.
    pub fn set_count(&self, count: u32) {
        let path = "proc/sys/net/netfilter/nf_conntrack_count";
        fs::write(self.root.join(path), format!("{count}\n")).unwrap();
    }

    fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }

    pub fn open_files(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// KiB in RAM.
    pub fn resident(&self) -> u32 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Time on a CPU so far.
    pub fn cpu(&self) -> Duration {
        let text = fs::read_to_string(self.proc("schedstat")).unwrap();
        Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
    }

    /// Answer and status of one call.
    pub fn ask(&mut self, peer: &mut Peer, method: &str, arguments: &[(&str, Word<'_>)]) -> (u32, String) {
        peer.asks(self, method, &|o| {
            for (name, value) in arguments {
                match *value {
                    Word::Text(text) => o.text(name, &text),
                    Word::Number(n) => o.number(name, n),
                    Word::Flag(flag) => o.flag(name, flag),
                }
            }
        })
    }

    /// Every call one after the other, as lines.
    pub fn answers(&mut self, calls: &[(&str, &[(&str, Word<'_>)])]) -> Vec<(u32, String)> {
        let mut peer = self.peer();
        calls.iter().map(|(method, arguments)| self.ask(&mut peer, method, arguments)).collect()
    }

    /// Ends it, as procd does; what it says at the end.
    pub fn stop(mut self) -> String {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        let mut log = self.log();
        assert!(status.success(), "{status}, signal {:?}: {log}", status.signal());
        let _ = writeln!(log);
        log
    }
}

/// An argument.
#[derive(Clone, Copy, Debug)]
pub enum Word<'a> {
    Text(&'a str),
    Number(u32),
    Flag(bool),
}

impl Bus for Subject {
    fn path(&self) -> &Path {
        &self.bus
    }
    fn broker(&mut self) -> &mut Broker {
        self.broker.as_mut().unwrap()
    }
    fn step(&mut self, span: u64) {
        if let Some(broker) = &mut self.broker {
            broker.turn();
        }
        // The other side is another process: it takes its turn by itself.
        std::thread::sleep(Duration::from_micros(span * 100));
        if let Some(broker) = &mut self.broker {
            broker.turn();
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.broker = None;
        let _ = fs::remove_dir_all(&self.root);
    }
}
