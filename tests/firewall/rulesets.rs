//! The rulesets that the router has before we come.

use crate::Outcome;
use crate::checks::Checks;
use crate::world::World;

/// What the real fw4 loads for its defaults, on our interfaces.
const FW4: &str = include_str!("../golden/fw4/ruleset-default.nft");

macro_rules! snippet {
    ($place:literal) => {
        include_str!(concat!("../../openwrt/ctwarden/files/usr/share/nftables.d/", $place, "/50-ctwarden.nft"))
    };
}

/// fw4's include folders, and behind which line of its ruleset it puts what is in them (recorded: tests/golden/fw4).
pub const PLACES: [(&str, &str); 7] = [
    ("table-pre", "table inet fw4 {"),
    ("chain-pre/input", "iif \"lo\" accept comment \"!fw4: Accept traffic from loopback\""),
    ("chain-pre/forward", "type filter hook forward priority filter; policy drop;"),
    ("chain-pre/output", "oif \"lo\" accept comment \"!fw4: Accept traffic towards loopback\""),
    ("chain-pre/raw_output", "type filter hook output priority raw; policy accept;"),
    ("chain-pre/mangle_prerouting", "type filter hook prerouting priority mangle; policy accept;"),
    // The chain is empty but for this: what fw4 appends comes behind its head too.
    ("chain-post/raw_prerouting", "type filter hook prerouting priority raw; policy accept;"),
];

/// What the package ships.
pub fn shipped(place: &str) -> &'static str {
    match place {
        "table-pre" => snippet!("table-pre"),
        "chain-pre/input" => snippet!("chain-pre/input"),
        "chain-pre/forward" => snippet!("chain-pre/forward"),
        "chain-pre/output" => snippet!("chain-pre/output"),
        "chain-pre/raw_output" => snippet!("chain-pre/raw_output"),
        "chain-pre/mangle_prerouting" => snippet!("chain-pre/mangle_prerouting"),
        _ => snippet!("chain-post/raw_prerouting"),
    }
}

/// fw4's ruleset with these snippets.
pub fn fw4_with(snippet: impl Fn(&str) -> &'static str) -> String {
    let mut text = String::new();
    for line in FW4.lines() {
        text += line;
        text += "\n";
        for (place, _) in PLACES.iter().filter(|(_, behind)| line.trim() == *behind) {
            text += snippet(place);
        }
    }
    text
}

/// On our interfaces, in place of what was there of it: `fw4 reload` empties the table of rules, sets stay.
pub fn reload_fw4(world: &World, snippets: bool) -> Outcome<()> {
    let text = fw4_with(|place| if snippets { shipped(place) } else { "" });
    let text = text.replace("lan0", "br-lan");
    load(world, &format!("add table inet fw4\nflush table inet fw4\n{text}"))
}

/// `fw4 restart`: the table goes, sets and all.
pub fn restart_fw4(world: &World) -> Outcome<()> {
    load(world, "delete table inet fw4")?;
    reload_fw4(world, true)
}

/// Several tables, as an owner without fw4 may have them: old style and new, a flood limit before anything else, one chain
/// that comes late, one table with nothing for us in it.
pub const OWNERS: &str = r#"
table inet filter {
	set blocked {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.128/25 }
	}

	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		tcp flags syn / fin,syn,rst,ack limit rate over 200/second drop
		ct state established,related accept
		meta l4proto { icmp, ipv6-icmp } accept
		ip saddr @blocked drop
		iifname "br-lan" tcp dport 22 accept
		iifname "br-lan" udp dport 67 accept
	}

	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname "br-lan" jump lan
		meta l4proto ipv6-icmp accept
	}

	chain output {
		type filter hook output priority filter; policy accept;
	}

	chain lan {
		oifname "wan0" accept
	}
}
table ip late {
	chain incoming {
		type filter hook input priority 20; policy drop;
		ct state established,related accept
		iifname { "lo", "br-lan" } accept
		icmp type echo-request accept
	}
}
table ip6 late {
	chain incoming {
		type filter hook input priority 20; policy accept;
		iifname "wan0" tcp dport 1-65535 ct state new drop
	}

	chain through {
		type filter hook forward priority 20; policy accept;
	}
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" masquerade
	}
}
table bridge others {
	chain input {
		type filter hook input priority filter; policy accept;
	}
}
"#;

pub fn load(world: &World, text: &str) -> Outcome<()> {
    world.shell(&format!("nft -f - <<'EOF'\n{text}\nEOF\n")).map(drop)
}

/// All of it, but for what counters count.
pub fn list(world: &World) -> Outcome<String> {
    world.shell("nft -s list ruleset | sed 's/counter packets.*bytes [0-9]*/counter/'")
}

/// Whether the ruleset is this one; else which lines are not.
pub fn unchanged(checks: &mut Checks<'_>, what: &str, world: &World, before: &str) -> Outcome<()> {
    let now = list(world)?;
    let lacking = |a: &str, b: &str| a.lines().filter(|l| !b.lines().any(|m| m == *l)).collect::<Vec<_>>().join("\n");
    checks.check(what, now == before, || format!("gone:\n{}\nnew:\n{}", lacking(before, &now), lacking(&now, before)));
    Ok(())
}
