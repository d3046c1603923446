//! `open lan`: un-NATed TCP of the LAN goes untracked both ways; strangers do not get in, and nothing private gets out.

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{connect, echoes, entries, reaches, serve};
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n option open_scope 'lan'\n";

pub fn case(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    serve(&world.lan, &[80]);
    serve(&world.wan, &[443]);
    serve(&world.router, &[80]);
    let mut subject = Subject::start(world, "iptables", CONFIG)?;
    checks.equal("install", subject.ask("install"), "ok".into());
    world.shell("conntrack -F 2>/dev/null")?;
    let old = connect(&world.lan, "fd77:2::2", 443).ok_or("no flow to begin with")?;
    checks.check("no lease: tracked", entries(world, "dport=443 ") == 1, || "not".into());
    world
        .shell("ip6tables -A forwarding_rule -p tcp --syn -j DROP; iptables -A forwarding_rule -p tcp --syn -j DROP")?;
    checks.check("closed to begin with", !reaches(&world.lan, "fd77:2::2", 443), || "open".into());
    // As the daemon sets it meanwhile: an entry has not seen what went past it.
    world.shell("echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")?;
    checks.equal("open lan", subject.ask("grant 30 lan br-lan"), "ok".into());
    let left = subject.left("lan br-lan");
    checks.check("the kernel says what is left", (25.0..=30.0).contains(&left), || format!("{left}"));
    let entries_before = entries(world, "dport=443 ");
    let new = connect(&world.lan, "fd77:2::2", 443);
    checks.check("IPv6 gets out", new.is_some(), || "not".into());
    checks.equal("without an entry", entries(world, "dport=443 "), entries_before);
    checks.check("a flow from before goes on", echoes(&old), || "dead".into());
    checks.check("no stranger's SYN gets in", !reaches(&world.wan, "fd77:1::2", 80), || "open".into());
    checks.check("nor to the router", !reaches(&world.wan, "fd77:2::1", 80), || "open".into());
    checks.check("IPv4 is not opened", !reaches(&world.lan, "192.0.2.2", 443), || "open".into());
    checks.equal("and stays translated", entries(world, "src=10.77.0.2 dst=192.0.2.2"), 0);
    world.shell("iptables -F forwarding_rule")?;
    checks.check("as ever", reaches(&world.lan, "192.0.2.2", 443) && entries(world, "dst=192.0.2.1 ") > 0, || {
        "not".into()
    });
    checks.check(
        "the router's own flows are tracked",
        reaches(&world.router, "fd77:2::2", 443) && entries(world, "src=fd77:0002:0000:0000:0000:0000:0000:0001") > 0,
        || "not".into(),
    );
    checks.equal("revoked", subject.ask("revoke lan br-lan"), "ok".into());
    checks.check("closed", !reaches(&world.lan, "fd77:2::2", 443), || "open".into());
    let survives = [&old].into_iter().chain(&new).all(echoes);
    checks.check("flows from before and from meanwhile go on", survives, || "dead".into());

    world.shell("ip6tables -t nat -A POSTROUTING -o wan0 -j MASQUERADE")?;
    checks.equal("install", subject.ask("install"), "ok".into());
    checks.equal("not where IPv6 is masqueraded", subject.ask("grant 30 lan br-lan"), "EADDRNOTAVAIL".into());
    world.shell("ip6tables -t nat -F; nft add table inet others; nft add chain inet others x")?;
    checks.equal("install", subject.ask("install"), "ok".into());
    checks.equal("not where nftables may do so", subject.ask("grant 30 lan br-lan"), "EADDRNOTAVAIL".into());
    Ok(())
}
