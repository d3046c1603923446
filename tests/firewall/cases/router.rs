//! Lifeline and `open router`: the LAN gets to the router's ports, past the table; nobody else does, and no other port.

use std::net::{SocketAddrV6, TcpStream, UdpSocket};
use std::time::Duration;

use super::Base;
use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{connect, echoes, entries, reaches, serve};
use crate::world::World;

const CONFIG: &str = "config ctwarden 'main'\n";
const ROUTER: [&str; 2] = ["10.77.0.1", "fd77:1::1"];
const FROM_WAN: [&str; 2] = ["192.0.2.1", "fd77:2::1"];

fn forget(world: &World) -> Outcome<()> {
    world.shell("conntrack -F 2>/dev/null; conntrack -F -f ipv6 2>/dev/null").map(drop)
}

/// A rule at the head of each filter chain that drops new flows, behind ours: as a flood limit does.
fn flood_limit(base: Base, world: &World) -> Outcome<()> {
    world.shell(match base {
        Base::Fw4 => "nft add rule inet fw4 syn_flood drop; nft insert rule inet fw4 syn_flood drop",
        Base::Nft => "nft add table inet flood; nft add chain inet flood c '{ type filter hook input priority 3; }'; nft add rule inet flood c tcp flags syn / fin,syn,rst,ack drop",
    })?;
    Ok(())
}

pub fn case(base: Base, world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    let mut subject = base.begin(world, checks, CONFIG)?;
    serve(&world.router, &[22, 80, 8080]);
    serve(&world.wan, &[22]);
    let old = connect(&world.lan, "10.77.0.1", 22).ok_or("no flow to begin with")?;
    checks.check("no lease: port 22 is tracked", entries(world, "dport=22 ") > 0, || "not".into());
    flood_limit(base, world)?;
    subject.ask("recheck");
    for router in ROUTER {
        checks.check("a flood keeps the LAN out", !reaches(&world.lan, router, 22), || router.into());
    }
    let lease = "router br-lan 6 22,router br-lan 17 67,router br-lan 17 547";
    checks.equal("lifeline", subject.ask(&format!("grant 600 {lease}")), "ok".into());
    let left = subject.left("router br-lan 6 22");
    checks.check("the kernel says what is left", (598.0..=600.0).contains(&left), || format!("{left}"));
    forget(world)?;
    for router in ROUTER {
        checks.check("past the flood", reaches(&world.lan, router, 22), || router.into());
        checks.check("a port not named is as it was", !reaches(&world.lan, router, 8080), || router.into());
    }
    checks.equal("untracked", entries(world, "dport=22 "), 0);
    checks.check("a flow from before goes on", echoes(&old), || "dead".into());
    for router in FROM_WAN {
        checks.check("not from the WAN", !reaches(&world.wan, router, 22), || router.into());
        checks.check("nor to the router's WAN address", !reaches(&world.lan, router, 22), || router.into());
    }
    for router in ROUTER {
        checks.check("nor from the WAN to its LAN address", !reaches(&world.wan, router, 22), || router.into());
    }
    checks.check("port 22 of others is tracked and translated", reaches(&world.lan, "192.0.2.2", 22), || "no".into());
    checks.check("as ever", entries(world, "dst=192.0.2.2 sport=") > 0, || "not".into());
    let link = world.shell("ip -6 -o addr show dev br-lan scope link | awk '{ sub(\"/.*\", \"\", $4); print $4 }'")?;
    let to_link_local = world.lan.within(|| {
        let index = nix::net::if_::if_nametoindex("eth0").unwrap_or(0);
        let to = SocketAddrV6::new(link.trim().parse().ok()?, 22, 0, index);
        TcpStream::connect_timeout(&to.into(), Duration::from_secs(5)).ok()
    });
    checks.check("the router's link-local address too", to_link_local.is_some(), || link.clone());
    checks.equal("untracked", entries(world, "dport=22 ") - entries(world, "dst=192.0.2.2 "), 0);

    for (what, to, from, at) in [
        ("DHCP", "255.255.255.255", "0.0.0.0:68", "0.0.0.0:67"),
        ("DHCP to the router's address", "10.77.0.1", "0.0.0.0:68", "0.0.0.0:67"),
        ("DHCPv6", "ff02::1:2", "[::]:546", "[::]:547"),
    ] {
        forget(world)?;
        let port = at.rsplit(':').next().unwrap_or_default();
        checks.check(what, asks(world, from, to, at)?, || "lost".into());
        checks.equal("untracked", entries(world, &format!("dport={port} ")), 0);
    }
    asks(world, "0.0.0.0:68", "192.0.2.2", "0.0.0.0:67")?;
    checks.equal("DHCP to somebody on the WAN is translated as ever", entries(world, "dst=192.0.2.2 "), 1);

    checks.equal("revoked", subject.ask(&format!("revoke {lease}")), "ok".into());
    checks.equal("nothing is left", subject.ask("left router br-lan 6 22"), "-1".into());
    for router in ROUTER {
        checks.check("closed", !reaches(&world.lan, router, 22), || router.into());
    }
    Ok(())
}

/// Whether a datagram comes to the router.
fn asks(world: &World, from: &str, to: &str, at: &str) -> Outcome<bool> {
    let server = world.router.within(|| {
        let socket = UdpSocket::bind(at).map_err(|e| e.to_string())?;
        if at.starts_with('[') {
            let index = nix::net::if_::if_nametoindex("br-lan").unwrap_or(0);
            socket.join_multicast_v6(&"ff02::1:2".parse().map_err(|_| "address")?, index).map_err(|e| e.to_string())?;
        }
        socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(|e| e.to_string())?;
        Ok::<_, String>(socket)
    })?;
    world.lan.within(|| {
        let socket = UdpSocket::bind(from).map_err(|e| e.to_string())?;
        socket.set_broadcast(true).map_err(|e| e.to_string())?;
        let port = at.rsplit(':').next().and_then(|p| p.parse::<u16>().ok()).unwrap_or(0);
        let sent = match to.parse() {
            Ok(std::net::IpAddr::V6(to)) => {
                let index = nix::net::if_::if_nametoindex("eth0").unwrap_or(0);
                socket.send_to(b"x", SocketAddrV6::new(to, port, 0, index))
            }
            _ => socket.send_to(b"x", (to, port)),
        };
        sent.map(drop).map_err(|e| format!("{to}: {e}"))
    })?;
    Ok(server.recv(&mut [0; 8]).is_ok())
}
