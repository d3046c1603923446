//! With a table full of flows that the kernel does not evict.

use std::fs::OpenOptions;

use nix::fcntl::{Flock, FlockArg};

use super::Base;
use crate::Outcome;
use crate::checks::Checks;
use crate::ctnetlink::{Batch, Flow, Socket, Zone, status};
use crate::packets::{all_reach, connect, echoes, entries, reaches, serve};
use crate::world::World;

const CONFIG: &str = "config ctwarden 'main'\n";

/// Whoever changes the limits, which hold for all namespaces, has this meanwhile.
const LOCK: &str = "/run/ctwarden-lab.lock";

/// Fills the router's table to the limit, which holds for each namespace by itself: nobody else feels it.
fn fill(world: &World) -> Outcome<()> {
    let read = |name: &str| -> Outcome<u32> {
        let text = world.shell(&format!("cat /proc/sys/net/netfilter/nf_conntrack_{name}"))?;
        text.trim().parse().map_err(|_| format!("{name}: {text}"))
    };
    let max = read("max")?;
    // A chain of the hash may be too long for a while, and somebody may go meanwhile.
    for attempt in 0..20 {
        match max.saturating_sub(read("count")?) {
            0 => return Ok(()),
            missing => add(world, attempt, missing)?,
        }
    }
    Err(format!("{} of {max} entries after filling", read("count")?))
}

fn add(world: &World, attempt: u8, missing: u32) -> Outcome<()> {
    world.router.within(|| {
        let socket = Socket::open()?;
        let mut batch = Batch::default();
        for n in 0..missing {
            batch.create(&Flow {
                source: [10, 200, attempt, 1].into(),
                destination: [198, 18, (n >> 16) as u8, 1].into(),
                protocol: 6,
                source_port: n as u16,
                destination_port: 443,
                status: status::SEEN_REPLY | status::ASSURED,
                tcp_state: 3,
                left: 10_000,
                mark: 0,
                zone: Zone::Default,
            });
            if n % 256 == 255 || n + 1 == missing {
                socket.send(&batch.bytes)?;
                batch.bytes.clear();
                // Full a little earlier than thought: that is what was wanted.
                socket.errors()?;
            }
        }
        Ok(())
    })
}

pub fn case(base: Base, world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    let mut subject = base.begin(world, checks, CONFIG)?;
    serve(&world.router, &[22]);
    serve(&world.wan, &[443]);
    let old = connect(&world.lan, "192.0.2.2", 443).ok_or("no flow to begin with")?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(LOCK).map_err(|e| e.to_string())?;
    let _lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| format!("{LOCK}: {e}"))?;
    fill(world)?;
    let closed = |world: &World| {
        all_reach(
            [("10.77.0.1", 22), ("fd77:1::1", 22), ("192.0.2.2", 443), ("fd77:2::2", 443)]
                .map(|(to, port)| (&world.lan, to, port)),
        )
    };
    checks.equal("full: nobody gets anywhere", closed(world), [false; 4]);
    checks.equal("open router", subject.ask("grant 30 router br-lan 6 22"), "ok".into());
    checks.equal("the LAN gets to the router", closed(world), [true, true, false, false]);
    checks.equal("open lan", subject.ask("grant 30 lan br-lan"), "ok".into());
    checks.equal("and over IPv6 out", closed(world), [true, true, false, true]);
    let of_router = entries(world, "dst=10.77.0.1 ") + entries(world, "dst=fd77:0001:0000:0000:0000:0000:0000:0001 ");
    checks.equal("without an entry", of_router, 0);
    checks.equal("not from the WAN", reaches(&world.wan, "fd77:2::1", 22), false);
    checks.check("a live flow is alive", echoes(&old), || "dead".into());
    checks.equal("revoked", subject.ask("revoke router br-lan 6 22,lan br-lan"), "ok".into());
    checks.equal("full as before", closed(world), [false; 4]);
    Ok(())
}
