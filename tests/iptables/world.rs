//! Three hosts and the programs that run on the router.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::Outcome;

/// Which iptables the router has under the usual names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Legacy,
    Nft,
}

impl Variant {
    pub const ALL: [Variant; 2] = [Variant::Legacy, Variant::Nft];
    pub const fn name(self) -> &'static str {
        match self {
            Variant::Legacy => "legacy",
            Variant::Nft => "nft",
        }
    }
}

/// What a case tracks at most, with room to spare. The limit is the host's.
const ENTRIES: u32 = 8_192;

/// Whether packets are refused by a rule alone: in a full table they are lost anyway, and nobody would know why.
pub fn limit_is_enough() -> Outcome<()> {
    let text = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").unwrap_or_default();
    match text.trim().parse::<u32>() {
        Ok(1..ENTRIES) => Err(format!("nf_conntrack_max is {} on this host: these tests want {ENTRIES}", text.trim())),
        _ => Ok(()),
    }
}

/// A network namespace, gone with its last descriptor.
#[derive(Clone)]
pub struct Host(Arc<File>);

impl Host {
    fn new() -> Outcome<Self> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net").map_err(nix::Error::try_from).or(Err(nix::Error::ENOENT))
        });
        let file = made.join().map_err(|_| "a thread panicked")?.map_err(|e| format!("a namespace: {e}"))?;
        Ok(Self(Arc::new(file)))
    }
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
    /// Moves the calling thread there for good.
    pub fn enter(&self) {
        setns(&*self.0, CloneFlags::CLONE_NEWNET).expect("entering a namespace that is held");
    }
    /// Does `work` there, in a thread of its own.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|s| {
            s.spawn(|| {
                self.enter();
                work()
            })
            .join()
            .expect("a probe panicked")
        })
    }
}

pub struct World {
    pub variant: Variant,
    pub lan: Host,
    pub router: Host,
    pub wan: Host,
    pub scratch: PathBuf,
    /// Files that the router's programs see as empty; after a `<`: as that one of `scratch`.
    pub hidden: Vec<&'static str>,
}

/// The firewall that fw3 makes of OpenWrt's defaults, on our interfaces, for either family.
pub fn fw3() -> String {
    include_str!("../golden/fw3/iptables-save.txt").replace("lan0", "br-lan")
}

const NETWORK: &str = "
ip link add br-lan netns $1 type veth peer name eth0 netns $2
ip link add wan0 netns $1 type veth peer name eth0 netns $3";
const ROUTER: &str = "
for i in all default br-lan wan0; do echo 0 >/proc/sys/net/ipv6/conf/$i/accept_dad; done
for i in lo br-lan wan0; do ip link set $i up; done
ip addr add 10.77.0.1/24 dev br-lan; ip addr add fd77:1::1/64 dev br-lan nodad
ip addr add 192.0.2.1/24 dev wan0; ip addr add fd77:2::1/64 dev wan0 nodad
echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
const LAN: &str = "
for i in all default eth0; do echo 0 >/proc/sys/net/ipv6/conf/$i/accept_dad; done
ip link set lo up; ip link set eth0 up
ip addr add 10.77.0.2/24 dev eth0; ip addr add fd77:1::2/64 dev eth0 nodad; ip addr add fd77:1::3/64 dev eth0 nodad
ip addr add 10.77.0.3/24 dev eth0
ip route add default via 10.77.0.1; ip route add default via fd77:1::1";
/// It knows the way to the LAN, so that only the firewall keeps it out.
const WAN: &str = "
for i in all default eth0; do echo 0 >/proc/sys/net/ipv6/conf/$i/accept_dad; done
ip link set lo up; ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0; ip addr add fd77:2::2/64 dev eth0 nodad
ip route add 10.77.0.0/24 via 192.0.2.1; ip route add default via fd77:2::1";

impl World {
    pub fn new(variant: Variant, name: &str) -> Outcome<Self> {
        let scratch = std::env::temp_dir().join(format!("iptables-tests-{}-{name}", std::process::id()));
        fs::create_dir_all(scratch.join("run/ctwarden")).map_err(|e| format!("{}: {e}", scratch.display()))?;
        let (lan, router, wan) = (Host::new()?, Host::new()?, Host::new()?);
        let world = Self { variant, lan, router, wan, scratch, hidden: vec![] };
        let network = format!("set -- {} {} {}\n{NETWORK}", world.router.path(), world.lan.path(), world.wan.path());
        world.shell_on(&world.wan, &network)?;
        world.shell_on(&world.router, ROUTER)?;
        world.shell_on(&world.lan, LAN)?;
        world.shell_on(&world.wan, WAN)?;
        world.until_there()?;
        Ok(world)
    }

    /// Interfaces come up in the kernel's own time: until the router answers both that nobody is at the port.
    fn until_there(&self) -> Outcome<()> {
        let began = Instant::now();
        for (host, router) in [(&self.lan, ["10.77.0.1", "fd77:1::1"]), (&self.wan, ["192.0.2.1", "fd77:2::1"])] {
            for address in router {
                let to = SocketAddr::new(address.parse().map_err(|_| address)?, 9);
                let answers = || match TcpStream::connect_timeout(&to, Duration::from_millis(300)) {
                    Ok(_) => true,
                    Err(e) => e.kind() == std::io::ErrorKind::ConnectionRefused,
                };
                while !host.within(answers) {
                    if began.elapsed() > Duration::from_secs(20) {
                        return Err(format!("{address} does not answer"));
                    }
                }
            }
        }
        Ok(())
    }

    /// fw3's firewall, NAT of IPv4 and a rule of the owner's in each of the tables that we use.
    pub fn firewall(&self) -> Outcome<()> {
        self.restore("iptables", &fw3())?;
        let fw3_v6 = fw3().replace("-p icmp -m icmp --icmp-type 8", "-p ipv6-icmp").replace("icmp-port", "icmp6-port");
        let fw3_v6 = fw3_v6.replace("-A INPUT -i lo", "-A INPUT -p ipv6-icmp -j ACCEPT\n-A INPUT -i lo");
        self.restore(
            "ip6tables",
            &fw3_v6.replace("-A FORWARD -i br", "-A FORWARD -p ipv6-icmp -j ACCEPT\n-A FORWARD -i br"),
        )?;
        self.restore("iptables", "*nat\n-A POSTROUTING -o wan0 -j MASQUERADE\nCOMMIT\n")?;
        for program in ["iptables", "ip6tables"] {
            self.restore(
                program,
                "*raw\n-A PREROUTING -i lo -j ACCEPT\nCOMMIT\n*mangle\n-A PREROUTING -i lo -j ACCEPT\nCOMMIT\n",
            )?;
        }
        Ok(())
    }

    pub fn restore(&self, program: &str, text: &str) -> Outcome<()> {
        self.shell(&format!("{program}-restore <<'EOF'\n{text}\nEOF\n")).map(drop)
    }

    /// All tables of a family as text, without counters and comments. A table without a rule counts as none: iptables-legacy
    /// cannot unload one, and nftables keeps the chains.
    pub fn saved(&self, program: &str) -> Outcome<String> {
        let text = self.shell(&format!("{program}-save 2>/dev/null"))?;
        let bare =
            |l: &str| if l.starts_with(':') { l.split(" [").next().unwrap_or(l).to_string() } else { l.to_string() };
        let mut tables: Vec<String> = text
            .split("COMMIT")
            .map(|t| {
                t.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(bare).collect::<Vec<_>>().join("\n")
            })
            .filter(|t| t.lines().any(|l| l.starts_with("-A") || l.ends_with('-') || l.ends_with("DROP")))
            .collect();
        tables.sort();
        Ok(tables.join("\n"))
    }

    /// Runs a script on the router with its iptables; what it prints.
    pub fn shell(&self, script: &str) -> Outcome<String> {
        self.shell_on(&self.router, script)
    }

    pub fn shell_on(&self, host: &Host, script: &str) -> Outcome<String> {
        let out = self.command(host, "sh").args(["-euc", script]).output().map_err(|e| e.to_string())?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        Err(format!("{script}: {}", String::from_utf8_lossy(&out.stderr).trim()))
    }

    /// A program that starts on a host, with the router's programs and `/run`.
    pub fn command(&self, host: &Host, program: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.args(["inside", &host.path(), self.variant.name()]).arg(&self.scratch);
        command.arg(self.hidden.join(":")).arg(program);
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// `inside NAMESPACE VARIANT SCRATCH HIDDEN PROGRAM ARGUMENTS…`: becomes PROGRAM there.
pub fn inside(words: &[String]) -> Outcome<()> {
    let [namespace, variant, scratch, hidden, program, arguments @ ..] = words else {
        return Err("inside what?".into());
    };
    let file = File::open(namespace).map_err(|e| format!("{namespace}: {e}"))?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| format!("{namespace}: {e}"))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| e.to_string())?;
    let put = |from: &str, to: &str, flags| {
        mount(Some(from), to, None::<&str>, flags, None::<&str>).map_err(|e| format!("{from} at {to}: {e}"))
    };
    put("none", "/", MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    if variant == "legacy" {
        put("/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-nft-multi", MsFlags::MS_BIND)?;
    }
    put(&format!("{scratch}/run"), "/run", MsFlags::MS_BIND)?;
    for file in hidden.split(':').filter(|f| !f.is_empty()) {
        match (file.strip_prefix("programs "), file.split_once('<')) {
            (Some(beginning), _) => hide_programs(scratch, beginning)?,
            (_, Some((file, by))) => put(&format!("{scratch}/{by}"), file, MsFlags::MS_BIND)?,
            _ => put("/dev/null", file, MsFlags::MS_BIND)?,
        }
    }
    let script = Path::new(scratch).join("firewall");
    if script.exists() {
        put(scratch, "/etc/init.d", MsFlags::MS_BIND)?;
    }
    // With our own name: it starts itself.
    let program = if program == "self" { "/proc/self/exe" } else { program };
    Err(format!("{program}: {}", Command::new(program).args(arguments).exec()))
}

/// /usr/sbin without the programs that begin so. (Most are links to one file, which cannot be hidden by itself.)
fn hide_programs(scratch: &str, beginning: &str) -> Outcome<()> {
    let all = format!("{scratch}/sbin");
    let said = |e: std::io::Error| format!("{all}: {e}");
    fs::create_dir_all(&all).map_err(said)?;
    let mounted = |from: &str, to: &str, kind, flags| {
        mount(Some(from), to, kind, flags, None::<&str>).map_err(|e| format!("{from} at {to}: {e}"))
    };
    mounted("/usr/sbin", &all, None, MsFlags::MS_BIND)?;
    mounted("none", "/usr/sbin", Some("tmpfs"), MsFlags::empty())?;
    for entry in fs::read_dir(&all).map_err(said)?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(beginning) {
            std::os::unix::fs::symlink(entry.path(), Path::new("/usr/sbin").join(entry.file_name())).map_err(said)?;
        }
    }
    Ok(())
}

/// A process that holds a back end and does as it is told.
pub struct Subject {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Subject {
    pub fn start(world: &World, backend: &str, config: &str) -> Outcome<Self> {
        let mut command = world.command(&world.router, "self");
        command.args(["subject", backend, config]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("the subject: {e}"))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the subject has no ends".into());
        };
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }

    /// What it answers to an order.
    pub fn ask(&mut self, order: &str) -> String {
        let mut answer = String::new();
        let done = writeln!(self.orders, "{order}").and_then(|()| self.answers.read_line(&mut answer));
        match done {
            Ok(1..) => answer.trim_end().to_string(),
            _ => "no answer".into(),
        }
    }

    /// Seconds left of a lease; -1: none.
    pub fn left(&mut self, lease: &str) -> f64 {
        self.ask(&format!("left {lease}")).parse().unwrap_or(-2.0)
    }

    /// The same of all of these, asked in one go: who has to be scheduled for each sees the short ones end meanwhile.
    pub fn all_left(&mut self, leases: &[impl AsRef<str>]) -> Vec<f64> {
        let leases: Vec<&str> = leases.iter().map(AsRef::as_ref).collect();
        let answer = self.ask(&format!("left {}", leases.join(",")));
        answer.split(' ').map(|left| left.parse().unwrap_or(-2.0)).collect()
    }

    /// As the kernel does when memory is short.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
