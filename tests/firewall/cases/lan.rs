//! `open lan`: un-NATed TCP of the LAN goes untracked both ways; strangers do not get in, and nothing private gets out.

use super::Base;
use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{address, connect, echoes, entries, reaches, serve};
use crate::raw::{ACK, FIN, RST, SYN, Sniffer, passes};
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n";
const LAN: &str = "fd77:1::2";
const WAN: &str = "fd77:2::2";

pub fn case(base: Base, world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    let mut subject = base.begin(world, checks, CONFIG)?;
    serve(&world.lan, &[80]);
    serve(&world.wan, &[443]);
    serve(&world.router, &[22, 80]);
    let old = connect(&world.lan, WAN, 443).ok_or("no flow to begin with")?;
    checks.equal("no lease: tracked", entries(world, "dport=443 "), 1);
    // Nothing new gets out, as with a full table.
    world.shell("nft add table inet full; nft add chain inet full c '{ type filter hook prerouting priority -100; }'; nft add rule inet full c tcp dport 443 ct state new drop")?;
    checks.check("closed to begin with", !reaches(&world.lan, WAN, 443), || "open".into());
    checks.equal("open lan", subject.ask("grant 30 lan br-lan"), "ok".into());
    let left = subject.left("lan br-lan");
    checks.check("the kernel says what is left", (25.0..=30.0).contains(&left), || format!("{left}"));
    let new = connect(&world.lan, WAN, 443).ok_or("IPv6 does not get out")?;
    checks.equal("without an entry", entries(world, "dport=443 "), 1);
    checks.check("a flow from before goes on", echoes(&old), || "dead".into());
    checks.check("no stranger's SYN gets in", !reaches(&world.wan, LAN, 80), || "open".into());
    checks.check("nor to the router", !reaches(&world.wan, "fd77:2::1", 80), || "open".into());
    checks.check("nor to its address on the LAN", !reaches(&world.wan, "fd77:1::1", 80), || "open".into());
    for (flags, what, in_it) in [
        (SYN, "SYN", false),
        (SYN | FIN, "SYN and FIN, which some take for a SYN", false),
        (SYN | RST, "SYN and RST", false),
        (SYN | ACK, "SYN and ACK", true),
        (ACK, "ACK", true),
        (RST, "RST", true),
    ] {
        let passed = passes(&world.wan, &world.lan, WAN, LAN, 80, flags);
        checks.equal(&format!("from a stranger: {what}"), passed, in_it);
    }
    checks.check("IPv4 is not opened", !reaches(&world.lan, "192.0.2.2", 443), || "open".into());
    world.shell("nft delete table inet full")?;
    let sniffer = Sniffer::at(&world.wan);
    checks.check("IPv4 is translated", reaches(&world.lan, "192.0.2.2", 443), || "not".into());
    checks.check("as ever", entries(world, "dst=192.0.2.1 ") > 0, || "not".into());
    checks.check("no private address on the WAN", !sniffer.saw_source(address("10.77.0.0"), 3), || "seen".into());
    checks.check("the router's own flows are tracked", reaches(&world.router, WAN, 443), || "not".into());
    let own = entries(world, "src=fd77:0002:0000:0000:0000:0000:0000:0001 dst=fd77:0002:0000:0000:0000:0000:0000:0002");
    checks.equal("as ever", own, 1);
    checks.check("and those of the LAN to the router", reaches(&world.lan, "fd77:1::1", 22), || "lost".into());
    checks.check("too", entries(world, "dport=22 ") > 0, || "not".into());

    // Over the end of it, as the daemon ends it.
    world.shell("echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")?;
    checks.equal("revoked", subject.ask("revoke lan br-lan"), "ok".into());
    checks.equal("nothing is left", subject.ask("left lan br-lan"), "-1".into());
    checks.check("a flow that began under it goes on", echoes(&new), || "dead".into());
    checks.check("the one from before too", echoes(&old), || "dead".into());
    checks.check("tracked again", entries(world, "dport=443 ") > 1, || "not".into());
    checks.check(
        "a stranger's ACK is kept out again",
        !passes(&world.wan, &world.lan, WAN, LAN, 81, SYN | ACK),
        || "in".into(),
    );
    translated(world, checks, &mut subject)
}

/// Where IPv6 is translated nothing of it may go untracked; elsewhere it may.
fn translated(world: &World, checks: &mut Checks<'_>, subject: &mut Subject) -> Outcome<()> {
    let rules = |table: &str, hook: &str, rule: &str| {
        format!(
            "nft -f - <<'EOF'\ntable {table} turned {{\nchain sub {{\n{rule}\n}}\n\
            chain base {{\ntype nat hook {hook} priority 100;\njump sub\n}}\n}}\nEOF\n"
        )
    };
    let legacy = "ip6tables-legacy -t nat -A POSTROUTING -o wan0 -j MASQUERADE";
    for (what, how, is) in [
        ("IPv4 alone", rules("ip", "postrouting", "oifname wan0 masquerade"), false),
        ("IPv4 of both", rules("inet", "postrouting", "meta nfproto ipv4 oifname wan0 masquerade"), false),
        ("IPv4 by its address", rules("inet", "postrouting", "ip saddr 10.77.0.0/24 snat ip to 192.0.2.1"), false),
        ("a redirection", rules("inet", "prerouting", "tcp dport 53 redirect"), false),
        ("both", rules("inet", "postrouting", "oifname wan0 masquerade"), true),
        ("IPv6", rules("ip6", "postrouting", "oifname wan0 masquerade"), true),
        ("its source", rules("ip6", "postrouting", "ip6 saddr fd77:1::/64 snat to fd77:2::1"), true),
        (
            "its prefix",
            rules("ip6", "postrouting", "snat ip6 prefix to ip6 saddr map { fd77:1::/64 : fd77:2::/64 }"),
            true,
        ),
        ("its destination", rules("inet", "prerouting", "tcp dport 81 dnat ip6 to [fd77:1::2]:80"), true),
        ("by ip6tables-nft", "ip6tables-nft -t nat -A POSTROUTING -o wan0 -j MASQUERADE".into(), true),
        ("by ip6tables-legacy", legacy.into(), true),
    ] {
        world.shell(&how)?;
        subject.ask("recheck");
        let expected = if is { "EADDRNOTAVAIL" } else { "ok" };
        checks.equal(&format!("translated: {what}"), subject.ask("grant 30 lan br-lan"), expected.into());
        let left = subject.left("lan br-lan") > 0.0;
        checks.equal("so it is", left, !is);
        checks.equal("and a port of the router", subject.ask("grant 30 router br-lan 6 22"), "ok".into());
        subject.ask("revoke lan br-lan,router br-lan 6 22");
        world.shell(
            "for f in ip ip6 inet; do nft delete table $f turned 2>/dev/null || true; done
            nft delete table ip6 nat 2>/dev/null || true",
        )?;
    }
    Ok(())
}
