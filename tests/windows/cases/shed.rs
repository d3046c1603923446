//! `ctwarden shed`: one host is slowed down, its neighbour is not.

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{Counter, connect, echoes, serve};
use crate::router::Router;

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.wan, &[443]);
    let counter = Counter::at(&router.world.wan, 5353);
    router.start(&[])?;
    let world = &router.world;
    let old = connect(&world.lan, "192.0.2.2", 443).ok_or("no flow to begin with")?;
    let came = |from: &str| counter.of(&world.lan, from, "192.0.2.2", 400, false);
    checks.equal("of 400 new flows in 2 s all come", came("10.77.0.2"), 400);
    router.order(&["shed", "10.77.0.2", "--for", "60"])?;
    let some = counter.sent(&world.lan, "10.77.0.2", "192.0.2.2", 400, false);
    checks.check("shed: 20 a second do, and 5 at once", some.is_limited(20, 5), || {
        format!("{} came, not {}", some.came, some.expected(20, 5))
    });
    checks.equal("of a neighbour all", came("10.77.0.3"), 400);
    checks.check("what was connected goes on", echoes(&old), || "dead".into());
    let status = router.call(&["status"])?.out;
    checks.check("status says so", status.contains("1 slowed down"), || status.clone());
    checks.check("and the log", router.log().contains("shed: 1 capped, first 10.77.0.2"), || router.log());
    if router
        .world
        .shell("nft flush set inet ctwarden ctwarden_shed4 2>/dev/null || nft flush set inet fw4 ctwarden_shed4 2>/dev/null")
        .is_ok()
    {
        checks.equal("somebody empties the set: all come", came("10.77.0.2"), 400);
        router.order(&["shed", "10.77.0.2", "--for", "60"])?;
        let some = counter.sent(&world.lan, "10.77.0.2", "192.0.2.2", 400, false);
        checks.check("asked for once more: slowed down again", some.is_limited(20, 5), || {
            format!("{} came, not {}", some.came, some.expected(20, 5))
        });
    }
    router.order(&["close"])?;
    checks.equal("closed: all come", came("10.77.0.2"), 400);
    for (address, whose) in [
        ("10.77.0.1", "the router's address to the LAN"),
        ("192.0.2.1", "the router's address to the WAN"),
        ("fd77:1::1", "the router's IPv6 address"),
        ("fd77:1::2", "a host whose /64 is the LAN's own"),
    ] {
        let ran = router.call(&["shed", address, "--for", "60"])?;
        let one = ran.err.lines().count() == 1;
        checks.check(&format!("never {whose}"), ran.code.is_some_and(|c| c != 0) && one, || format!("{ran:?}"));
    }
    checks.equal("nobody is", router.call(&["status"])?.out.contains("slowed down"), false);
    Ok(())
}
