//! A router with a firewall and the daemon.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::rulesets::{OWNERS, load, reload_fw4, restart_fw4};
use crate::world::{Variant, World, fw3};

/// No command takes longer, no daemon is slower to come or go.
const PATIENCE: Duration = Duration::from_secs(20);

type Load = fn(&World) -> Outcome<()>;

/// A firewall, and the back end that belongs to it.
pub struct Kind {
    pub name: &'static str,
    pub variant: Variant,
    pub backend: &'static str,
    /// As it is before us.
    pub load: Load,
    /// How its owner loads it anew.
    pub reloads: &'static [(&'static str, Load)],
    /// Only tracked packets that begin a flow get to the router.
    pub only_new: Load,
    /// Port 80 from the LAN goes to another port of the router.
    pub redirect: Load,
    /// Ahead of what lets the LAN in something is dropped by what cannot be known from the rules.
    pub blocklist: Load,
}

pub const KINDS: [Kind; 4] = [
    Kind {
        name: "legacy",
        variant: Variant::Legacy,
        backend: "iptables",
        load: World::firewall,
        reloads: &[("iptables-restore", World::firewall)],
        only_new: fw3_only_new,
        redirect: iptables_redirect,
        blocklist: fw3_blocklist,
    },
    Kind {
        name: "iptables-nft",
        variant: Variant::Nft,
        backend: "iptables",
        load: World::firewall,
        reloads: &[("iptables-restore", World::firewall)],
        only_new: fw3_only_new,
        redirect: iptables_redirect,
        blocklist: fw3_blocklist,
    },
    Kind {
        name: "nft",
        variant: Variant::Nft,
        backend: "nft",
        load: owners,
        reloads: &[("the tables loaded anew", owners), ("flush ruleset", flushed_owners)],
        only_new: owners_only_new,
        redirect: nft_redirect,
        blocklist: owners_blocklist,
    },
    Kind {
        name: "fw4",
        variant: Variant::Nft,
        backend: "fw4",
        load: fw4,
        reloads: &[("fw4 reload", fw4), ("fw4 restart", restart_fw4)],
        only_new: fw4_only_new,
        redirect: nft_redirect,
        blocklist: fw4_blocklist,
    },
];

fn fw4(world: &World) -> Outcome<()> {
    reload_fw4(world, true)
}

/// What a lifeline must not go round: whom this drops, no rule says.
const BLOCKED: &str = "\t\tip saddr @blocked drop\n";

/// With a web interface for the LAN, and a blocklist that is for strangers only.
fn owners_text() -> String {
    let text = with_web(OWNERS);
    let policy = "priority filter; policy drop;\n";
    text.replace(BLOCKED, "").replacen(policy, &format!("{policy}\t\tiifname \"wan0\" ip saddr @blocked drop\n"), 1)
}

fn with_web(text: &str) -> String {
    let tables = ["inet filter", "ip late", "ip6 late", "ip nat", "bridge others"];
    let anew = tables.map(|t| format!("add table {t}\ndelete table {t}\n")).concat();
    let text = text.replace("tcp dport 22 accept", "tcp dport { 22, 53, 80, 8080 } accept");
    format!("{anew}{}", text.replace("udp dport 67 accept", "udp dport { 53, 67, 547 } accept"))
}

fn owners(world: &World) -> Outcome<()> {
    load(world, &owners_text())
}

fn flushed_owners(world: &World) -> Outcome<()> {
    load(world, &format!("flush ruleset\n{}", owners_text()))
}

fn owners_only_new(world: &World) -> Outcome<()> {
    load(world, &owners_text().replace("iifname \"br-lan\" tcp dport", "iifname \"br-lan\" ct state new tcp dport"))
}

fn owners_blocklist(world: &World) -> Outcome<()> {
    debug_assert!(OWNERS.contains(BLOCKED));
    load(world, &with_web(OWNERS))
}

fn fw4_blocklist(world: &World) -> Outcome<()> {
    world.shell("nft insert rule inet fw4 input ether saddr 02:00:00:00:00:01 counter drop").map(drop)
}

fn fw3_blocklist(world: &World) -> Outcome<()> {
    for program in ["iptables", "ip6tables"] {
        world.shell(&format!("{program} -I INPUT -m mac --mac-source 02:00:00:00:00:01 -j DROP"))?;
    }
    Ok(())
}

fn nft_redirect(world: &World) -> Outcome<()> {
    load(
        world,
        "table inet turned {
            chain pre { type nat hook prerouting priority dstnat; iifname \"br-lan\" tcp dport 80 redirect to :8080; }
        }",
    )
}

fn fw4_only_new(world: &World) -> Outcome<()> {
    let rule = |state: &str| format!("nft add rule inet fw4 accept_from_lan iifname br-lan {state} counter accept");
    world.shell(&format!("nft flush chain inet fw4 accept_from_lan; {}", rule("ct state new"))).map(drop)
}

fn fw3_only_new(world: &World) -> Outcome<()> {
    for program in ["iptables", "ip6tables"] {
        world.shell(&format!(
            "{program} -F zone_lan_src_ACCEPT
            {program} -A zone_lan_src_ACCEPT -i br-lan -m conntrack --ctstate NEW -j ACCEPT
            {program} -P INPUT DROP"
        ))?;
    }
    debug_assert!(fw3().contains("zone_lan_src_ACCEPT"));
    Ok(())
}

fn iptables_redirect(world: &World) -> Outcome<()> {
    for program in ["iptables", "ip6tables"] {
        world.shell(&format!(
            "{program} -t nat -A PREROUTING -i br-lan -p tcp --dport 80 -j REDIRECT --to-ports 8080"
        ))?;
    }
    Ok(())
}

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub struct Router<'a> {
    pub kind: &'a Kind,
    pub world: World,
    program: &'a Path,
    daemon: Option<Child>,
}

impl<'a> Router<'a> {
    /// With its firewall, and no daemon.
    pub fn new(kind: &'a Kind, program: &'a Path, name: &str) -> Outcome<Self> {
        let world = World::new(kind.variant, &format!("windows-{name}-{}", kind.name))?;
        (kind.load)(&world)?;
        Ok(Self { kind, world, program, daemon: None })
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let place = |name: &str| self.world.scratch.join(name).display().to_string();
        let mut command = self.world.command(&self.world.router, &self.program.display().to_string());
        command.args(words).args(["--config", &place("config"), "--socket", &place("socket")]).stdin(Stdio::null());
        command
    }

    /// Starts the daemon with these lines in its config. Whoever fills the table (port 443) is protected.
    pub fn start(&mut self, options: &[&str]) -> Outcome<()> {
        let mut lines = vec!["config ctwarden 'main'".to_string()];
        if !options.iter().any(|o| o.starts_with("option backend")) {
            lines.push(format!("option backend '{}'", self.kind.backend));
        }
        if !options.iter().any(|o| o.starts_with("list lan")) {
            lines.push("list lan 'br-lan'".into());
        }
        lines.extend(["list ports '22'", "list ports '80'"].map(String::from));
        if !options.iter().any(|o| o.starts_with("option policy") || o.starts_with("list ladder")) {
            lines.push("option policy 'relief'".into());
        }
        lines.extend(options.iter().map(|o| o.to_string()));
        lines.extend(["config protect 'those'", "option port '443'"].map(String::from));
        fs::write(self.world.scratch.join("config"), lines.join("\n") + "\n").map_err(|e| e.to_string())?;
        let log = File::create(self.world.scratch.join("log")).map_err(|e| e.to_string())?;
        let mut run = self.command(&["run"]);
        run.args(["--state-dir", "/run/ctwarden"]).stdout(Stdio::null()).stderr(log);
        self.daemon = Some(run.spawn().map_err(|e| e.to_string())?);
        // Without a daemon it answers too, from the kernel.
        self.until("the daemon answers", || Ok(self.call(&["status", "--json"])?.out.contains("\"daemon\":true")))
    }

    pub fn call(&self, words: &[&str]) -> Outcome<Ran> {
        let out = self.command(words).output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { code: out.status.code(), out: text(&out.stdout), err: text(&out.stderr) })
    }

    /// An order that must be carried out.
    pub fn order(&self, words: &[&str]) -> Outcome<()> {
        let ran = self.call(words)?;
        if ran.code == Some(0) {
            return Ok(());
        }
        Err(format!("{words:?}: {ran:?}; the daemon said:\n{}", self.log()))
    }

    /// What the daemon has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.world.scratch.join("log")).unwrap_or_default()
    }

    /// Waits for it.
    pub fn until(&self, what: &str, mut there: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
        let began = Instant::now();
        while !there()? {
            if began.elapsed() > PATIENCE {
                return Err(format!("{what}: not within {PATIENCE:?}; the daemon said:\n{}", self.log()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends the daemon.
    pub fn end(&mut self, signal: Signal) -> Outcome<ExitStatus> {
        let mut daemon = self.daemon.take().ok_or("no daemon")?;
        kill(Pid::from_raw(daemon.id() as i32), signal).map_err(|e| e.to_string())?;
        daemon.wait().map_err(|e| e.to_string())
    }

    /// A setting of connection tracking on the router.
    pub fn setting(&self, name: &str) -> Outcome<u32> {
        let text = self.world.shell(&format!("cat /proc/sys/net/netfilter/nf_conntrack_{name}"))?;
        text.trim().parse().map_err(|_| format!("{name}: {text}"))
    }

    /// All rules, as text without what is counted.
    pub fn rules(&self) -> Outcome<String> {
        match self.kind.backend {
            "iptables" => Ok(format!("{}\n{}", self.world.saved("iptables")?, self.world.saved("ip6tables")?)),
            _ => crate::rulesets::list(&self.world),
        }
    }
}

impl Drop for Router<'_> {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
