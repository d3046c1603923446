//! `open lan` with a table that is full: TCP of IPv6 hosts gets out, nobody gets in, and what is connected stays.

use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{Counter, connect, echoes, reaches, serve};
use crate::router::Router;
use crate::traffic::{LAN, WAN, fill, leaks, pump, stranger, stranger_to_lan, watch_for_leaks};

/// More than twice what a window may be.
const MUCH: usize = 16 << 20;
const OPEN_S: u64 = 24;

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    let world = &router.world;
    serve(&world.lan, &[80]);
    serve(&world.router, &[22]);
    serve(&world.wan, &[443]);
    let udp = Counter::at(&world.wan, 5353);
    watch_for_leaks(world)?;
    router.start(&["option open_scope 'lan'"])?;
    let world = &router.world;
    let live: Vec<_> = WAN.iter().filter_map(|to| connect(&world.lan, to, 443)).collect();
    checks.equal("flows to begin with", live.len(), 2);
    fill(router)?;
    checks.equal("full: the LAN does not get out", WAN.map(|to| reaches(&world.lan, to, 443)), [false; 2]);

    let began = Instant::now();
    router.order(&["open", "--for", &OPEN_S.to_string()])?;
    checks.equal(
        "open: IPv6 does, masqueraded IPv4 does not",
        WAN.map(|to| reaches(&world.lan, to, 443)),
        [false, true],
    );
    let survive = live.iter().all(|flow| pump(flow, MUCH));
    checks.check("live flows carry what they like", survive, || "dead".into());
    checks.equal("no stranger's SYN comes to the LAN", stranger_to_lan(world), [false; 2]);
    checks.equal("nor to the router", stranger(world, 22), [false; 2]);
    checks.equal("UDP has no such way", udp.of(&world.lan, LAN[1], WAN[1], 20, false), 0);
    let status = router.call(&["status"])?.out;
    checks.check("status says so", status.contains("UDP, still need room"), || status.clone());
    checks.equal("nothing private is on the WAN", leaks(world)?, 0);
    let ended = Duration::from_secs(OPEN_S) + Duration::from_millis(500);
    checks.check("it was open all the while", began.elapsed() < ended, || format!("{:?}", began.elapsed()));
    thread::sleep(ended.saturating_sub(began.elapsed()));
    checks.equal("its time is over: closed", WAN.map(|to| reaches(&world.lan, to, 443)), [false; 2]);
    checks.equal("and told", router.log().contains("closed (lan)"), true);
    let survive = live.iter().map(|flow| echoes(flow) && pump(flow, MUCH)).collect::<Vec<_>>();
    checks.equal("live flows have survived its end", survive, vec![true; 2]);
    checks.equal("and the LAN is closed to strangers", stranger_to_lan(world), [false; 2]);
    Ok(())
}
