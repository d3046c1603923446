//! Lifeline and `open router`: the LAN gets to the router's ports, past the table; nobody else does, and no other port.

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{connect, echoes, entries, reaches, serve};
use crate::world::{Subject, World};

/// The owner has closed port 80 to the LAN, and everything is limited as in a flood.
const CONFIG: &str = "config ctwarden 'main'\n list ports '22'\n list ports '80'\n";

const OTHERS: &str = "iptables -t nat -S; ip6tables -t raw -S | grep ' lo '";

pub fn case(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    for program in ["iptables", "ip6tables"] {
        world.shell(&format!("{program} -A input_lan_rule -p tcp --dport 80 -j DROP"))?;
    }
    serve(&world.router, &[22, 80, 8080]);
    let mut subject = Subject::start(world, "iptables", CONFIG)?;
    checks.equal("install", subject.ask("install"), "ok".into());
    let routers = [("10.77.0.1", "10.77.0.2"), ("fd77:1::1", "fd77:1::2")];
    let tracked = |world: &World, router: &str, port: u16| {
        entries(world, &format!("dst={} ", spelled(router))).min(entries(world, &format!("dport={port} ")))
    };
    let by_hand = world.shell(OTHERS)?;

    let old = connect(&world.lan, "10.77.0.1", 22).ok_or("no flow to begin with")?;
    for (router, _) in routers {
        checks.check(
            "no lease: port 22 is open and tracked",
            reaches(&world.lan, router, 22) && tracked(world, router, 22) > 0,
            || router.into(),
        );
        checks.check("port 80 is closed", !reaches(&world.lan, router, 80), || router.into());
    }
    checks.equal("lifeline", subject.ask("grant 600 router br-lan 6 22,router br-lan 17 67"), "ok".into());
    checks.equal(
        "a port that the owner closed is no lifeline",
        subject.ask("grant 600 router br-lan 6 80"),
        "EOPNOTSUPP".into(),
    );
    let left = subject.left("router br-lan 6 22");
    checks.check("the kernel says what is left", (598.0..=600.0).contains(&left), || format!("{left}"));
    world.shell("iptables -I INPUT 3 -p tcp --syn -j DROP; ip6tables -I INPUT 3 -p tcp --syn -j DROP")?;
    drop_entries(world)?;
    for (router, _) in routers {
        checks.check(
            "past a flood limit, untracked",
            reaches(&world.lan, router, 22) && tracked(world, router, 22) == 0,
            || format!("{router} {}", tracked(world, router, 22)),
        );
        checks.check("port 80 is closed still", !reaches(&world.lan, router, 80), || router.into());
        checks.check("a port not named is as it was", !reaches(&world.lan, router, 8080), || router.into());
    }
    checks.check("a flow from before goes on", echoes(&old), || "dead".into());
    for router in ["192.0.2.1", "fd77:2::1"] {
        checks.check("not from the WAN", !reaches(&world.wan, router, 22), || router.into());
        checks.check("nor to the router's WAN address", !reaches(&world.lan, router, 22), || router.into());
    }
    let link = world.shell("ip -6 -o addr show dev br-lan scope link | awk '{ sub(\"/.*\", \"\", $4); print $4 }'")?;
    let link_local = world.lan.within(|| {
        let index = nix::net::if_::if_nametoindex("eth0").unwrap_or(0);
        let address = link.trim().parse().ok()?;
        let to = std::net::SocketAddrV6::new(address, 22, 0, index);
        std::net::TcpStream::connect_timeout(&to.into(), std::time::Duration::from_secs(5)).ok()
    });
    checks.check("the router's link-local address too", link_local.is_some(), || link.clone());

    checks.equal("open router", subject.ask("grant 30 router br-lan 6 22,router br-lan 6 80"), "ok".into());
    for (router, _) in routers {
        checks.check(
            "port 80 is open, untracked",
            reaches(&world.lan, router, 80) && tracked(world, router, 80) == 0,
            || router.into(),
        );
        checks.check("a port not named is as it was", !reaches(&world.lan, router, 8080), || router.into());
    }
    for router in ["192.0.2.1", "fd77:2::1"] {
        checks.check("not from the WAN", !reaches(&world.wan, router, 80), || router.into());
    }
    checks.equal("what was not ours is as it was", world.shell(OTHERS)? == by_hand, true);
    checks.equal("revoked", subject.ask("revoke router br-lan 6 22"), "ok".into());
    checks.equal("nothing is left", subject.ask("left router br-lan 6 22"), "-1".into());
    for (router, _) in routers {
        checks.check("closed", !reaches(&world.lan, router, 80) && !reaches(&world.lan, router, 22), || router.into());
    }
    dhcp(world, checks, &mut subject)?;
    Ok(())
}

/// A broadcast from port 68, as a client without an address sends it.
fn dhcp(world: &World, checks: &mut Checks<'_>, subject: &mut Subject) -> Outcome<()> {
    let server = world.router.within(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:67").map_err(|e| e.to_string())?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(2))).map_err(|e| e.to_string())?;
        Ok::<_, String>(socket)
    })?;
    let ask = |to: &str| -> Outcome<bool> {
        world.lan.within(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:68").map_err(|e| e.to_string())?;
            socket.set_broadcast(true).map_err(|e| e.to_string())?;
            // Which interface a broadcast leaves by is the routes' business.
            socket.send_to(b"x", (to, 67)).map_err(|e| e.to_string())?;
            Ok::<_, String>(())
        })?;
        Ok(server.recv(&mut [0; 8]).is_ok())
    };
    drop_entries(world)?;
    checks.check("DHCP is tracked", ask("255.255.255.255")? && entries(world, "dport=67 ") == 1, || "lost".into());
    drop_entries(world)?;
    checks.equal("lifeline", subject.ask("grant 600 router br-lan 17 67"), "ok".into());
    checks
        .check("DHCP is not", ask("255.255.255.255")? && entries(world, "dport=67 ") == 0, || "tracked or lost".into());
    checks.check("nor to the router's address", ask("10.77.0.1")? && entries(world, "dport=67 ") == 0, || {
        "tracked or lost".into()
    });
    ask("192.0.2.2")?;
    checks.check("DHCP to somebody on the WAN is translated as ever", entries(world, "dst=192.0.2.2 ") == 1, || {
        "untracked".into()
    });
    Ok(())
}

/// As /proc/net/nf_conntrack spells it.
fn spelled(address: &str) -> String {
    match address.parse() {
        Ok(std::net::IpAddr::V6(a)) => a.segments().map(|s| format!("{s:04x}")).join(":"),
        _ => address.into(),
    }
}

fn drop_entries(world: &World) -> Outcome<()> {
    world.shell("conntrack -F 2>/dev/null").map(drop)
}
