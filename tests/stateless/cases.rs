//! The cases.

use crate::Outcome;
use nix::sys::signal::Signal;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use crate::world::{CLOSED, Kind, LAN, OPEN, ROUTER, WAN, World, talks};

/// Its name and what it does, in a world of its own.
pub type Case = (&'static str, fn(&World) -> Outcome);

pub const ALL: [Case; 12] = [
    ("packets", packets),
    ("masquerade", masquerade),
    ("not understood", not_understood),
    ("an owner's change", owner),
    ("loaded anew", loaded_anew),
    ("killed at every step", killed),
    ("dry run", dry),
    ("new is refused", new_refused),
    ("the top of the ladder", ladder),
    ("a reload while rules are out", reloaded),
    ("the ladder, dry", ladder_dry),
    ("the ladder, killed at every step", ladder_killed),
];

fn is(what: &str, found: bool, wanted: bool) -> Outcome {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {}", if found { "yes" } else { "no" })) }
}

fn same(what: &str, a: &str, b: &str) -> Outcome {
    if a == b { Ok(()) } else { Err(format!("{what}: the rules are\n{a}\nnot\n{b}")) }
}

/// Who reaches whom by TCP, with or without tracking.
fn reach(world: &World, when: &str) -> Outcome {
    for v in 0..2 {
        let tcp = |what: &str, from, to, address, port, wanted| {
            is(&format!("{when}: {what} {address}"), world.tcp(from, to, address, port).is_some(), wanted)
        };
        tcp("LAN to WAN", "lan", "wan", WAN[v], CLOSED, true)?;
        tcp("router to WAN", "router", "wan", WAN[v], CLOSED, true)?;
        tcp("LAN to router", "lan", "router", ROUTER[v], CLOSED, true)?;
        tcp("WAN to router's open port", "wan", "router", ROUTER[v], OPEN, true)?;
        tcp("WAN to router", "wan", "router", ROUTER[v], CLOSED, false)?;
        tcp("WAN to LAN", "wan", "lan", LAN[v], CLOSED, false)?;
        let udp = |from, to, port| world.udp(("wan", from, port), to);
        is(when, udp(WAN[v], ("lan", LAN[v], 40_001), 5_000), false)?;
        is(when, udp(WAN[v], ("router", ROUTER[v], 40_002), 53), false)?;
    }
    Ok(())
}

fn packets(world: &World) -> Outcome {
    reach(world, "before")?;
    is("tracked", world.entries() > 0, true)?;
    let before = world.rules()?;
    let mut flow = world.tcp("lan", "wan", WAN[0], 9_000).ok_or("no flow")?;
    let resolver = |world: &World| world.udp(("wan", "192.0.2.53", 53), ("router", ROUTER[0], 40_003));
    is("a resolver out of the blue", resolver(world), false)?;
    world.says("stateless", 0)?;
    world.says("stateless", 0)?;
    let entries = world.entries();
    reach(world, "stateless")?;
    is("a flow from before goes on", talks(&mut flow), true)?;
    is("the resolver answers", resolver(world), true)?;
    is("errors come back", world.within("lan", || unreachable(WAN[0]) && unreachable(WAN[1])), true)?;
    // Entries end by themselves; none may come.
    is(&format!("entries {entries} -> {}", world.entries()), world.entries() <= entries, true)?;
    let mut meanwhile = world.tcp("lan", "wan", WAN[1], 9_001).ok_or("no flow")?;
    world.says("back", 0)?;
    same("back", &world.rules()?, &before)?;
    is("a flow from before, back", talks(&mut flow), true)?;
    is("a flow from meanwhile, back", talks(&mut meanwhile), true)?;
    reach(world, "back")?;
    let text = world.says("back", 0)?;
    is(&text, text.contains("nothing is out"), true)
}

/// Does the ICMP error of a closed port come back?
fn unreachable(address: &str) -> bool {
    let any = if address.contains(':') { "::" } else { "0.0.0.0" };
    let socket = UdpSocket::bind((any, 0)).expect("a port");
    socket.connect((address, 40_004)).expect("a route");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
    let _ = socket.send(b"x");
    socket.recv(&mut [0; 8]).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
}

fn masquerade(world: &World) -> Outcome {
    world.on_router(match world.kind {
        Kind::Nft => "nft -f - <<'EOF'\ntable ip nat { chain post { type nat hook postrouting priority srcnat; oifname \"wan0\" masquerade\n }\n}\nEOF",
        Kind::IptablesNft => "iptables-nft -t nat -A POSTROUTING -o wan0 -j MASQUERADE",
        Kind::IptablesLegacy => "iptables-legacy -t nat -A POSTROUTING -o wan0 -j MASQUERADE",
    })?;
    let before = world.rules()?;
    let text = world.says("stateless", 5)?;
    is(&text, text.contains("in use: ") && text.contains("LAN addresses appear on the WAN"), true)?;
    same("refused", &world.rules()?, &before)?;
    world.says("stateless --force", 0)?;
    let rules = world.rules()?.to_lowercase();
    is("masquerade is out", rules.contains("masquerade"), false)?;
    world.says("back", 0)?;
    same("back", &world.rules()?, &before)
}

fn not_understood(world: &World) -> Outcome {
    world.on_router(match world.kind {
        Kind::Nft => "nft add rule inet fw out ct mark 0x7 drop",
        Kind::IptablesNft => "iptables-nft -A out -m connmark --mark 0x7 -j DROP",
        Kind::IptablesLegacy => "iptables-legacy -A out -m connmark --mark 0x7 -j DROP",
    })?;
    let before = world.rules()?;
    let text = world.says("stateless", 5)?;
    is(&text, text.contains("not understood: ") && text.contains("0x"), true)?;
    same("refused", &world.rules()?, &before)?;
    world.says("stateless --force", 0)?;
    world.says("back", 0)?;
    same("back", &world.rules()?, &before)
}

/// One chain is an owner's by now: it stays, the others go back.
fn owner(world: &World) -> Outcome {
    world.says("stateless", 0)?;
    let variant = world.variant();
    world.on_router(&match world.kind {
        Kind::Nft => "nft insert rule inet fw forward ip saddr 198.51.100.7 drop".to_owned(),
        _ => format!("iptables-{variant} -I FORWARD -s 198.51.100.7/32 -j DROP"),
    })?;
    let text = world.says("back", 0)?;
    is(&text, text.contains("1 chains are not as they were left"), true)?;
    let rules = world.rules()?;
    is("the owner's rule is there", rules.contains("198.51.100.7"), true)?;
    is("the other chain is back", rules.contains("8022 ct state new") || rules.contains("--state NEW"), true)?;
    is("nobody comes in", world.tcp("wan", "lan", LAN[0], CLOSED).is_some(), false)
}

fn loaded_anew(world: &World) -> Outcome {
    let before = world.rules()?;
    world.says("stateless", 0)?;
    world.firewall()?;
    let text = world.says("back", 0)?;
    is(&text, text.contains("not as they were left"), false)?;
    same("back", &world.rules()?, &before)
}

/// After a kill -9 at any step, either nothing has been changed or `back` knows how to put it back.
fn killed(world: &World) -> Outcome {
    let before = world.rules()?;
    for verb in ["stateless", "back"] {
        for step in 1.. {
            if verb == "back" {
                world.says("stateless", 0)?;
            }
            let died = world.ctwarden(verb, step).status.code().is_none();
            world.says("back", 0)?;
            same(&format!("{verb} killed at step {step}"), &world.rules()?, &before)?;
            if !died {
                is(&format!("{verb} has {step} steps"), step > 3, true)?;
                break;
            }
        }
    }
    Ok(())
}

fn dry(world: &World) -> Outcome {
    let before = world.rules()?;
    let text = world.says("stateless --dry-run", 0)?;
    is(&text, text.contains("replies only: ") && text.contains("without state: ") && text.contains("out: "), true)?;
    same("dry", &world.rules()?, &before)
}

/// Policy ACCEPT and new flows refused by a rule: that must not open.
fn new_refused(world: &World) -> Outcome {
    let iptables = |variant: &str| {
        ["iptables", "ip6tables"].map(|p| {
            format!(
                "{p}-{variant} -F; {p}-{variant} -P FORWARD ACCEPT; {p}-{variant} -P INPUT ACCEPT;
                {p}-{variant} -A FORWARD -i wan0 -m state --state NEW,INVALID -j DROP;
                {p}-{variant} -A INPUT -i wan0 -p tcp -m tcp --dport 8022 -j ACCEPT;
                {p}-{variant} -A INPUT -i wan0 -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP;"
            )
        })
    };
    world.on_router(&match world.kind {
        Kind::Nft => "nft -f - <<'EOF'\nflush ruleset
            table inet fw { chain forward { type filter hook forward priority filter; policy accept;
            iifname \"wan0\" ct state new,invalid drop\n }
            chain input { type filter hook input priority filter; policy accept;
            meta l4proto ipv6-icmp accept\niifname \"wan0\" tcp dport 8022 accept
            iifname \"wan0\" ct state != { established, related } drop\n }\n}\nEOF"
            .to_owned(),
        // Neighbours are looked for by ICMPv6, which no state ever matched.
        _ => iptables(world.variant()).concat().replace(
            &format!("ip6tables-{} -A INPUT -i wan0 -p tcp", world.variant()),
            &format!(
                "ip6tables-{0} -A INPUT -p ipv6-icmp -j ACCEPT; ip6tables-{0} -A INPUT -i wan0 -p tcp",
                world.variant()
            ),
        ),
    })?;
    let before = world.rules()?;
    reach(world, "before")?;
    world.says("stateless", 0)?;
    reach(world, "stateless")?;
    world.says("back", 0)?;
    same("back", &world.rules()?, &before)
}

const LADDER: &str = "config ctwarden 'main'
	list ladder 'stateless'
	list ladder 'unload'
	option hold '1'
	option lifeline '0'
	option open_seconds '30'
config sizing 'sizing'
	option max '16384'
";

/// A table that is full and refuses: rules out; back at the end, at the next start, and when their time is over.
fn ladder(world: &World) -> Outcome {
    let before = world.rules()?;
    let mut daemon = world.daemon(LADDER, 0)?;
    let out = "the rules that need connection tracking are out";
    daemon.until(out, true, 20)?;
    reach(world, "stateless")?;
    is(&daemon.status("--json"), daemon.status("--json").contains("\"out\":[\"stateless\"]"), true)?;
    is(&daemon.status(""), daemon.status("").contains("out         stateless: `ctwarden back`"), true)?;
    // What a rule holds, or is built in, stays loaded, and it is said why.
    daemon.until("not unloaded: ", true, 20)?;
    daemon.signal(Signal::SIGTERM)?;
    same("stopped", &world.rules()?, &before)?;
    daemon.put("log", "")?;
    daemon.start()?;
    daemon.until(out, true, 20)?;
    daemon.signal(Signal::SIGKILL)?;
    is("killed, and the rules are out", world.rules()? == before, false)?;
    daemon.put("count", "0")?;
    daemon.put("log", "")?;
    daemon.start()?;
    daemon.until("what was taken out is back", false, 20)?;
    same("started", &world.rules()?, &before)?;
    if world.kind == Kind::Nft {
        daemon.put("count", "16384")?;
        daemon.until(out, true, 20)?;
        daemon.put("log", "")?;
        daemon.until("what was taken out is back", true, 40)?;
        same("its time is over", &world.rules()?, &before)?;
        is("not at once again", daemon.log().contains(out), false)?;
    }
    Ok(())
}

/// Rules of its own that another config asks for wait until what was taken out is back: they look at connections too.
fn reloaded(world: &World) -> Outcome {
    let before = world.rules()?;
    let ours = |rules: &str| rules.contains("table inet ctwarden") || rules.contains("ctwarden_");
    let trims = LADDER.replace("'stateless'\n\tlist ladder 'unload'", "'trim'");
    let sheds = trims.replace("'trim'", "'shed'");
    let mut daemon = world.daemon(&trims, 0)?;
    daemon.until("-> filling", true, 20)?;
    is("a ladder of trim has rules of its own", ours(&world.rules()?), false)?;
    world.says("stateless", 0)?;
    let out = world.rules()?;
    daemon.put("config", &sheds)?;
    daemon.hang_up()?;
    daemon.until("config reloaded", false, 20)?;
    // Two slow turns.
    std::thread::sleep(Duration::from_secs(11));
    same("reloaded, and the rules are out", &world.rules()?, &out)?;
    world.says("back", 0)?;
    for _ in 0..100 {
        if ours(&world.rules()?) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    is("they are put in place then", ours(&world.rules()?), true)?;
    daemon.signal(Signal::SIGTERM)?;
    if world.kind == Kind::Nft {
        return same("stopped", &world.rules()?, &before);
    }
    // Tables that iptables has made for it stay, with empty chains.
    is("stopped: none of ours is left", ours(&world.rules()?), false)
}

fn ladder_dry(world: &World) -> Outcome {
    let before = world.rules()?;
    let mut daemon = world.daemon(&LADDER.replace("\toption hold", "\toption dry_run '1'\n\toption hold"), 0)?;
    daemon.until("dry run, would stateless", true, 20)?;
    for _ in 0..20 {
        daemon.refuse()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    is(&daemon.log(), daemon.log().matches("stateless").count() == 1, true)?;
    is(&daemon.status("--json"), daemon.status("--json").contains("\"out\":[]"), true)?;
    same("dry", &world.rules()?, &before)
}

/// The daemon killed after every step of the two rungs and of the way back: the next start and stop put all back.
fn ladder_killed(world: &World) -> Outcome {
    let before = world.rules()?;
    let config = LADDER.replace("hold '1'", "hold '0'");
    for step in 1..=STEPS_MOST {
        let mut daemon = world.daemon(&config, step)?;
        // Both rungs: what a rule holds cannot be unloaded.
        let _ = daemon.until("not unloaded: ", true, 20);
        let whole = daemon.stop()?;
        daemon.crash_at = 0;
        daemon.put("count", "0")?;
        daemon.put("log", "")?;
        daemon.start()?;
        daemon.until("-> calm", false, 20)?;
        is("it stops by itself", daemon.stop()?, true)?;
        same(&format!("killed at step {step}"), &world.rules()?, &before)?;
        if whole {
            return is(&format!("{step} steps"), step > 8, true);
        }
    }
    Err("steps without end".into())
}

const STEPS_MOST: u32 = 200;
