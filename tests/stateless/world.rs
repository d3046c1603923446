//! A LAN host, a router with a firewall that tracks, a WAN host; and what is tried between them.

use crate::Outcome;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nft,
    IptablesNft,
    IptablesLegacy,
}

pub const LAN: [&str; 2] = ["10.79.0.2", "fd79:1::2"];
pub const ROUTER: [&str; 2] = ["192.0.2.1", "fd79:2::1"];
pub const WAN: [&str; 2] = ["192.0.2.2", "fd79:2::2"];
/// Open to the WAN by a rule that looks for new flows.
pub const OPEN: u16 = 8022;
pub const CLOSED: u16 = 8080;
const PATIENCE: Duration = Duration::from_millis(300);

pub struct World {
    pub kind: Kind,
    ctwarden: String,
    name: String,
    pub state: PathBuf,
}

/// No NAT: the WAN host knows the way back, so that only the firewall keeps it out.
const NETWORK: &str = "
for n in lan router wan; do ip netns add $1-$n; done
ip link add lan0 netns $1-router type veth peer name eth0 netns $1-lan
ip link add wan0 netns $1-router type veth peer name eth0 netns $1-wan
on() { n=$1-$2; shift 2; ip netns exec $n \"$@\"; }
on $1 router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0
for d in lo lan0 wan0; do ip -n $1-router link set $d up; done
for n in lan wan; do ip -n $1-$n link set lo up; ip -n $1-$n link set eth0 up; done
ip -n $1-router addr add 10.79.0.1/24 dev lan0; ip -n $1-router addr add fd79:1::1/64 dev lan0 nodad
ip -n $1-router addr add 192.0.2.1/24 dev wan0; ip -n $1-router addr add fd79:2::1/64 dev wan0 nodad
ip -n $1-lan addr add 10.79.0.2/24 dev eth0; ip -n $1-lan addr add fd79:1::2/64 dev eth0 nodad
ip -n $1-wan addr add 192.0.2.2/24 dev eth0; ip -n $1-wan addr add 192.0.2.53/24 dev eth0
ip -n $1-wan addr add fd79:2::2/64 dev eth0 nodad
ip -n $1-lan route add default via 10.79.0.1; ip -n $1-lan route add default via fd79:1::1
ip -n $1-wan route add 10.79.0.0/24 via 192.0.2.1; ip -n $1-wan route add fd79:1::/64 via fd79:2::1
mkdir -p /etc/netns/$1-router; echo nameserver 192.0.2.53 >/etc/netns/$1-router/resolv.conf";

const NFT: &str = "table inet fw {
    chain input { type filter hook input priority filter; policy drop;
        iif lo accept
        meta l4proto ipv6-icmp accept
        ct state vmap { established : accept, related : accept, invalid : drop }
        iifname \"lan0\" counter ct state new,untracked accept comment \"from the LAN\"
        iifname \"wan0\" tcp dport 8022 ct state new accept
        iifname \"wan0\" jump refuse
    }
    chain forward { type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname \"lan0\" oifname \"wan0\" jump out
    }
    chain out { ct state invalid drop
        accept
    }
    chain refuse { reject
    }
    chain output { type filter hook output priority filter; policy accept; }
    chain prerouting { type filter hook prerouting priority raw; policy accept; udp dport 5999 notrack
    }
    chain dstnat { type nat hook prerouting priority dstnat; policy accept;
        iifname \"wan0\" tcp dport 8090 dnat ip to 10.79.0.2:8080
    }
}";

const IPTABLES: &str = "*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:out - [0:0]
:refuse - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment \"flows that are known\" -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -i lan0 -m conntrack --ctstate NEW,UNTRACKED -j ACCEPT
-A INPUT -i wan0 -p tcp -m state --state NEW -m tcp --dport 8022 -j ACCEPT
-A INPUT -i wan0 -j refuse
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i lan0 -o wan0 -j out
-A out -m conntrack --ctstate INVALID -j DROP
-A out -j ACCEPT
-A refuse -j REJECT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -i wan0 -p tcp -m tcp --dport 8090 -j DNAT --to-destination $LAN
COMMIT
";

impl World {
    pub fn new(kind: Kind, ctwarden: &str) -> Result<Self, String> {
        let name = format!("stateless-{}", std::process::id());
        let state = std::env::temp_dir().join(&name);
        let _ = std::fs::remove_dir_all(&state);
        let world = Self { kind, ctwarden: ctwarden.into(), name, state };
        shell(&format!("set -- {}\n{NETWORK}", world.name))?;
        // Neighbours are found within a second or two of the links' coming up.
        if !(0..20).any(|_| world.tcp("lan", "wan", WAN[1], CLOSED).is_some()) {
            return Err("no network".into());
        }
        world.firewall()?;
        Ok(world)
    }

    /// The firewall as an owner has it.
    pub fn firewall(&self) -> Outcome {
        match self.kind {
            Kind::Nft => self.on_router(&format!("nft -f - <<'EOF'\nflush ruleset\n{NFT}\nEOF"))?,
            _ => {
                let v6 = IPTABLES
                    .replace(
                        "-A INPUT -i lo -j ACCEPT\n",
                        "-A INPUT -i lo -j ACCEPT\n-A INPUT -p ipv6-icmp -j ACCEPT\n",
                    )
                    .replace("$LAN", "[fd79:1::2]:8080");
                let v4 = IPTABLES.replace("$LAN", "10.79.0.2:8080");
                let variant = self.variant();
                self.on_router(&format!(
                    "iptables-{variant}-restore <<'EOF'\n{v4}EOF\nip6tables-{variant}-restore <<'EOF'\n{v6}EOF"
                ))?
            }
        };
        Ok(())
    }

    pub fn variant(&self) -> &'static str {
        if self.kind == Kind::IptablesLegacy { "legacy" } else { "nft" }
    }

    pub fn on_router(&self, script: &str) -> Result<String, String> {
        shell(&format!("exec ip netns exec {}-router sh -euc '{}'", self.name, script.replace('\'', "'\\''")))
    }

    /// All rules, without what is counted and numbered.
    pub fn rules(&self) -> Result<String, String> {
        self.on_router(
            "{ nft list ruleset 2>/dev/null
            for p in iptables-legacy ip6tables-legacy iptables-nft ip6tables-nft; do $p-save 2>/dev/null; done; } |
            sed -E \"/^#/d; /^COMMIT/d; s/packets [0-9]+ bytes [0-9]+//; s/\\\\[[0-9:]*\\\\]//\"",
        )
    }

    /// Runs ctwarden on the router; dies at that step, if any.
    pub fn ctwarden(&self, verb: &str, crash_at: u32) -> Output {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-router", self.name), &self.ctwarden]);
        command.args(verb.split(' ').filter(|word| !word.is_empty())).arg("--state-dir").arg(&self.state);
        if crash_at > 0 {
            command.env("CTWARDEN_CRASH_AT", crash_at.to_string());
        }
        command.output().expect("ip starts")
    }

    /// The same, with the exit status that it must have; what it said.
    pub fn says(&self, verb: &str, exit: i32) -> Result<String, String> {
        let out = self.ctwarden(verb, 0);
        let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        if out.status.code() == Some(exit) { Ok(text) } else { Err(format!("{verb}: {}: {text}", out.status)) }
    }

    /// Starts a daemon whose table is full and refuses, by files that stand for the kernel's: the real limit is everybody's.
    pub fn daemon(&self, config: &str, crash_at: u32) -> Result<Daemon<'_>, String> {
        let fake = PathBuf::from(format!("{}-fake", self.state.display()));
        std::fs::create_dir_all(&fake).map_err(|e| e.to_string())?;
        for (name, text) in [("count", "16384"), ("max", "16384"), ("buckets", "16384"), ("config", config)] {
            std::fs::write(fake.join(name), text).map_err(|e| e.to_string())?;
        }
        let mut daemon = Daemon { world: self, fake, child: None, refused: 0, crash_at };
        daemon.refuse()?;
        daemon.start()?;
        Ok(daemon)
    }

    /// Does `work` on a host, in a thread of its own.
    pub fn within<T: Send>(&self, host: &str, work: impl FnOnce() -> T + Send) -> T {
        let netns = File::open(format!("/run/netns/{}-{host}", self.name)).expect("a namespace that was made");
        thread::scope(|s| {
            s.spawn(|| {
                setns(&netns, CloneFlags::CLONE_NEWNET).expect("root");
                work()
            })
            .join()
            .expect("a probe panicked")
        })
    }

    /// A TCP flow: its two ends, after a byte each way.
    pub fn tcp(&self, from: &str, to: &str, address: &str, port: u16) -> Option<(TcpStream, TcpStream)> {
        let address = SocketAddr::new(address.parse::<IpAddr>().expect("an address"), port);
        let any = if address.is_ipv4() { "0.0.0.0" } else { "::" };
        let listener = self.within(to, || TcpListener::bind((any, port)).expect("a port"));
        let near = self.within(from, || TcpStream::connect_timeout(&address, PATIENCE).ok())?;
        let (far, _) = listener.accept().ok()?;
        let mut flow = (near, far);
        talks(&mut flow).then_some(flow)
    }

    /// Does a datagram arrive?
    pub fn udp(&self, from: (&str, &str, u16), to: (&str, &str, u16)) -> bool {
        let receiver = self.within(to.0, || UdpSocket::bind((to.1, to.2)).expect("a port"));
        receiver.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let sender = self.within(from.0, || UdpSocket::bind((from.1, from.2)).expect("a port"));
        let _ = sender.send_to(b"x", (to.1, to.2));
        receiver.recv(&mut [0; 8]).is_ok()
    }

    /// Entries of the router's namespace.
    pub fn entries(&self) -> u32 {
        let text = self.on_router("cat /proc/sys/net/netfilter/nf_conntrack_count").unwrap_or_default();
        text.trim().parse().unwrap_or(u32::MAX)
    }
}

/// A daemon on the router.
pub struct Daemon<'w> {
    world: &'w World,
    fake: PathBuf,
    child: Option<Child>,
    refused: u32,
    /// It dies at that step, if any.
    pub crash_at: u32,
}

impl Daemon<'_> {
    fn options(&self) -> String {
        let (fake, state) = (self.fake.display(), self.world.state.display());
        format!("--config {fake}/config --socket {fake}/socket --state-dir {state}")
    }

    pub fn start(&mut self) -> Outcome {
        let fake = self.fake.display();
        let script = format!(
            "for n in count max buckets; do mount --bind {fake}/$n /proc/sys/net/netfilter/nf_conntrack_$n; done
            mount --bind {fake}/stat /proc/net/stat/nf_conntrack
            exec {} run {} 2>>{fake}/log",
            self.world.ctwarden,
            self.options()
        );
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-router", self.world.name), "sh", "-euc", &script]);
        if self.crash_at > 0 {
            command.env("CTWARDEN_CRASH_AT", self.crash_at.to_string());
        }
        self.child = Some(command.spawn().map_err(|e| e.to_string())?);
        Ok(())
    }

    /// One packet more was refused.
    pub fn refuse(&mut self) -> Outcome {
        self.refused += 1;
        self.put("stat", &format!("entries insert_failed drop\n0 0 {:08x}\n", self.refused))
    }

    pub fn put(&self, name: &str, text: &str) -> Outcome {
        std::fs::write(self.fake.join(name), text).map_err(|e| e.to_string())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.fake.join("log")).unwrap_or_default()
    }

    pub fn status(&self, json: &str) -> String {
        let fake = self.fake.display();
        self.world
            .says(&format!("status {json} --config {fake}/config --socket {fake}/socket"), 0)
            .unwrap_or_else(|e| e)
    }

    /// Until the log has it; packets are refused meanwhile, if so.
    pub fn until(&mut self, said: &str, refused: bool, seconds: u64) -> Outcome {
        let began = Instant::now();
        while !self.log().contains(said) {
            if self.has_died() {
                return Err(format!("it died before: {said}\n{}", self.log()));
            }
            if began.elapsed() > Duration::from_secs(seconds) {
                return Err(format!("not within {seconds} s: {said}\n{}", self.log()));
            }
            if refused {
                self.refuse()?;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    pub fn has_died(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Ends it. Whether it was not SIGKILL that did.
    pub fn stop(&mut self) -> Result<bool, String> {
        let Some(mut child) = self.child.take() else { return Ok(false) };
        if matches!(child.try_wait(), Ok(None)) {
            kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).map_err(|e| e.to_string())?;
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        Ok(status.signal() != Some(Signal::SIGKILL as i32))
    }

    /// Another config is there.
    pub fn hang_up(&self) -> Outcome {
        let child = self.child.as_ref().ok_or("no daemon")?;
        kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).map_err(|e| e.to_string())
    }

    pub fn signal(&mut self, signal: Signal) -> Outcome {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        kill(Pid::from_raw(child.id() as i32), signal).map_err(|e| e.to_string())?;
        child.wait().map(drop).map_err(|e| e.to_string())
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.signal(Signal::SIGKILL);
        let _ = std::fs::remove_dir_all(&self.fake);
    }
}

/// A byte each way, the near end first.
pub fn talks((near, far): &mut (TcpStream, TcpStream)) -> bool {
    let one = |a: &mut TcpStream, b: &mut TcpStream| {
        let _ = b.set_read_timeout(Some(Duration::from_secs(2)));
        a.write_all(b"x").is_ok() && b.read_exact(&mut [0]).is_ok()
    };
    one(near, far) && one(far, near)
}

fn shell(script: &str) -> Result<String, String> {
    let out = Command::new("sh").args(["-euc", script]).output().map_err(|e| e.to_string())?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("{script}: {}", String::from_utf8_lossy(&out.stderr).trim()))
}

impl Drop for World {
    fn drop(&mut self) {
        let n = &self.name;
        let _ =
            shell(&format!("for h in lan router wan; do ip netns del {n}-$h || :; done; rm -rf /etc/netns/{n}-router"));
        let _ = std::fs::remove_dir_all(&self.state);
    }
}
