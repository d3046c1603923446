//! A router and a host behind it, in network namespaces of their own.

use crate::generate::Language;
use crate::packets::{Receiver, Sender, send_and_see};
use ctwarden::firewall::{Flow, Text};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

pub const OWN: [&str; 4] = ["10.77.0.1", "10.77.5.1", "fd77::1", "fd77:5::1"];
pub const SOURCES: [&str; 4] = ["10.77.0.2", "10.77.0.3", "fd77::2", "fd77::3"];

pub struct World {
    pub own: Vec<IpAddr>,
    sender: Sender,
    receiver: Receiver,
    /// Tells late packets of one round from those of the next.
    round: u16,
}

fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|e| format!("{program}: {e}"))?;
    }
    let out = child.wait_with_output().map_err(|e| format!("{program}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr).trim()))
}

fn load(program: &str, arguments: &[&str], rules: &str) -> Result<(), String> {
    let mut lines: Vec<&str> = rules.lines().collect();
    loop {
        let Err(why) = run(program, arguments, &(lines.join("\n") + "\n")) else { return Ok(()) };
        let place = ["/dev/stdin:", "line "].iter().find_map(|before| why.split_once(before));
        let digits = place.map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
        match digits.and_then(|d| d.parse::<usize>().ok()).and_then(|n| n.checked_sub(1)) {
            // A head or an end of a block would not be a rule.
            Some(at) if lines.get(at).is_some_and(|l| l.starts_with("  ") || l.starts_with("-A")) => lines[at] = "",
            _ => return Err(why),
        }
    }
}

fn ip(words: &str) -> Result<String, String> {
    run("ip", &words.split(' ').collect::<Vec<_>>(), "")
}

impl World {
    pub fn new() -> Result<Self, String> {
        let here = || File::open("/proc/thread-self/ns/net").map_err(|e| e.to_string());
        let enter = |ns: &File| setns(ns, CloneFlags::CLONE_NEWNET).map_err(|e| e.to_string());
        unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("a network namespace: {e}"))?;
        let host = here()?;
        unshare(CloneFlags::CLONE_NEWNET).map_err(|e| e.to_string())?;
        let router = here()?;
        // Neighbours are written down: the rules would refuse to have them asked for. Without link-local addresses, `own` is
        // all there is.
        ip("link set lo up")?;
        let there = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&host));
        ip(&format!(
            "link add lan0 address 02:00:00:00:00:01 type veth peer name h0 address 02:00:00:00:00:02 netns {there}"
        ))?;
        let settle = |name: &str, addresses: &[&str], others: &[&str], mac: &str| {
            ip(&format!("link set {name} addrgenmode none"))?;
            ip(&format!("link set {name} up"))?;
            for address in addresses {
                let (bits, nodad) = if address.contains(':') { (64, " nodad") } else { (24, "") };
                ip(&format!("address add {address}/{bits} dev {name}{nodad}"))?;
            }
            for address in others {
                ip(&format!("neighbour add {address} lladdr {mac} dev {name} nud permanent"))?;
            }
            Ok::<(), String>(())
        };
        settle("lan0", &OWN, &SOURCES, "02:00:00:00:00:02")?;
        let receiver = Receiver::open().map_err(|e| e.to_string())?;
        enter(&host)?;
        ip("link set lo up")?;
        settle("h0", &SOURCES, &OWN, "02:00:00:00:00:01")?;
        for route in ["10.77.5.0/24", "fd77:5::/64"] {
            ip(&format!("route add {route} dev h0"))?;
        }
        let sender = Sender::open("h0", &SOURCES).map_err(|e| e.to_string())?;
        enter(&router)?;
        let own = OWN.iter().map(|a| a.parse().expect("an address")).collect();
        Ok(World { own, sender, receiver, round: 0 })
    }

    fn programs(language: Language, what: &str) -> [String; 2] {
        let variant = if language == Language::IptablesLegacy { "legacy" } else { "nft" };
        ["iptables", "ip6tables"].map(|name| format!("{name}-{variant}-{what}"))
    }

    /// Takes all rules out, ours of the last round too.
    pub fn clear(&self, language: Language) -> Result<(), String> {
        run("nft", &["flush", "ruleset"], "")?;
        if language == Language::IptablesLegacy {
            let empty: String = ["filter\n:INPUT", "mangle\n:INPUT", "raw\n:PREROUTING", "nat\n:PREROUTING"]
                .map(|t| format!("*{t} ACCEPT [0:0]\nCOMMIT\n"))
                .concat();
            for program in Self::programs(language, "restore") {
                run(&program, &[], &empty)?;
            }
        }
        Ok(())
    }

    /// Loads a text, or one for IPv4 and one for IPv6. Rules that the programs themselves refuse are left out.
    pub fn load(&self, language: Language, rules: &[String]) -> Result<(), String> {
        if language == Language::Nft {
            return load("nft", &["-f", "-"], &rules[0]);
        }
        let programs = Self::programs(language, "restore");
        programs.iter().zip(rules).try_for_each(|(program, rules)| load(program, &[], rules))
    }

    /// All rules, as the programs show them.
    pub fn saved(&self, language: Language) -> Result<Vec<(Text, String)>, String> {
        if language == Language::Nft {
            return Ok(vec![(Text::Nft, self.listed()?)]);
        }
        let programs = Self::programs(language, "save");
        let saved = programs.iter().zip([Text::Iptables, Text::Ip6tables]);
        saved.map(|(program, text)| Ok((text, run(program, &[], "")?))).collect()
    }

    pub fn listed(&self) -> Result<String, String> {
        run("nft", &["-t", "list", "ruleset"], "")
    }

    /// From here on packets of the LAN are tracked or not. Not before the rules were read: this is no part of them.
    pub fn set_tracking(&self, tracked: bool) -> Result<(), String> {
        let rule = if tracked { "" } else { "notrack" };
        let text = format!(
            "table inet zz {{\n chain p {{ type filter hook prerouting priority -300; {rule}; }}\n\
             chain o {{ type filter hook output priority -300; {rule}; }}\n}}\n"
        );
        run("nft", &["-f", "-"], &text.replace("; ;", ";")).map(drop)
    }

    /// The flows of which all packets came in, from all sources, to all of the router's addresses.
    pub fn arrivals(&mut self, flows: &[Flow], opening_only: bool) -> u32 {
        self.round = self.round.wrapping_add(1);
        send_and_see(&self.sender, &self.receiver, &self.own, flows, self.round, opening_only)
    }
}
