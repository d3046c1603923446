//! A table that is full of flows which nobody evicts: only what goes untracked gets through. (The limit is the host's and
//! stays as it is; the table is the router's own.)

use std::net::{IpAddr, Ipv4Addr};

use crate::Outcome;
use crate::checks::Checks;
use crate::ctnetlink::{Batch, Flow, Socket, Zone, status};
use crate::packets::{reaches, serve};
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n option open_scope 'all'\n list ports '22'\n";
const TCP: u8 = 6;
const ESTABLISHED: u8 = 3;
/// More than any host's limit.
const MOST: u32 = 1 << 22;

/// Established flows between strangers, until the kernel takes no more.
fn fill() -> Outcome<u32> {
    let socket = Socket::open()?;
    let mut batch = Batch::default();
    for n in 0..MOST {
        batch.create(&Flow {
            source: IpAddr::V4(Ipv4Addr::from(0x0a09_0000 + n / 60_000)),
            destination: IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
            protocol: TCP,
            source_port: 1_024 + (n % 60_000) as u16,
            destination_port: 443,
            status: status::SEEN_REPLY | status::ASSURED,
            tcp_state: ESTABLISHED,
            left: 3_600,
            mark: 0,
            zone: Zone::Default,
        });
        if n % 256 == 255 {
            socket.send(&batch.bytes)?;
            batch.bytes.clear();
            if let (1.., _) = socket.errors()? {
                return Ok(n);
            }
        }
    }
    Err("the table has no end".into())
}

pub fn case(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    world.shell("iptables -A FORWARD -m conntrack --ctstate NEW -j ACCEPT")?;
    serve(&world.router, &[22, 8080]);
    serve(&world.wan, &[443]);
    serve(&world.lan, &[80]);
    let mut subject = Subject::start(world, "iptables", CONFIG)?;
    checks.equal("install", subject.ask("install"), "ok".into());
    let owner = |world: &World| ["10.77.0.1", "fd77:1::1"].map(|router| reaches(&world.lan, router, 22));
    let stranger = |world: &World| {
        let router = ["192.0.2.1", "fd77:2::1"].map(|router| reaches(&world.wan, router, 22));
        [router[0], router[1], reaches(&world.wan, "fd77:1::2", 80)]
    };
    checks.equal("the owner gets in", owner(world), [true; 2]);
    checks.check("IPv6 gets out", reaches(&world.lan, "fd77:2::2", 443), || "not".into());
    world.shell("conntrack -F 2>/dev/null")?;
    let filled = world.router.within(fill)?;
    checks.check("the table is full", filled > 0, || "not".into());
    checks.equal("the owner is locked out", owner(world), [false; 2]);
    checks.equal("lifeline", subject.ask("grant 600 router br-lan 6 22,router br-lan 17 67"), "ok".into());
    checks.equal("the owner gets in", owner(world), [true; 2]);
    checks.equal("strangers do not", stranger(world), [false; 3]);
    checks.check("IPv6 does not get out", !reaches(&world.lan, "fd77:2::2", 443), || "it does".into());
    checks.equal("open lan", subject.ask("grant 30 router br-lan 6 22,lan br-lan"), "ok".into());
    checks.check("IPv6 gets out", reaches(&world.lan, "fd77:2::2", 443), || "not".into());
    checks.equal("strangers do not get in", stranger(world), [false; 3]);
    checks.equal("open all", subject.ask("grant 30 all 4,all 6,router wan0 6 22,lan br-lan"), "ok".into());
    checks.equal("strangers get to the named port", stranger(world), [true, true, false]);
    checks.check("and to no other, which needs an entry", !reaches(&world.wan, "192.0.2.1", 8080), || "they do".into());
    checks.equal(
        "revoked",
        subject.ask("revoke all 4,all 6,router wan0 6 22,lan br-lan,router br-lan 6 22"),
        "ok".into(),
    );
    checks.equal("closed", (owner(world), stranger(world)), ([false; 2], [false; 3]));
    world.shell("conntrack -F 2>/dev/null")?;
    Ok(())
}
