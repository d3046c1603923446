//! The ladder's own `open`: the table is full of entries that nobody may remove, and packets are refused. It opens after
//! `hold`, stays open while they are, closes one term after the calm, and not more often than the config allows.

use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::{Knocking, fill, owner, stranger};

/// A lease's term: src/lease/mod.rs.
const TERM: Duration = Duration::from_secs(30);
const HOLD: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(2);

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22]);
    router.start(&["option policy 'accept'", "option hold '2'", "option opens_per_hour '1'", "option lifeline '0'"])?;
    // The table is full, and refuses, before this is through.
    let refused = Instant::now();
    fill(router)?;
    let knocking = Knocking::at(&router.world);
    router.until("it opens", || Ok(router.log().contains("the firewall is open (router) for 600.000 s at most; ")))?;
    let (opened, took) = (Instant::now(), refused.elapsed());
    checks.check("it opens after hold", took >= HOLD, || format!("{took:?}"));
    let world = &router.world;
    checks.equal("the owner gets in", owner(world, 22), [true; 2]);
    checks.equal("and no stranger", stranger(world, 22), [false; 2]);
    while opened.elapsed() < TERM + Duration::from_secs(8) {
        fill(router)?;
        thread::sleep(Duration::from_secs(1));
    }
    checks.equal("packets are refused still: open still", owner(world, 22), [true; 2]);
    checks.equal("to no stranger", stranger(world, 22), [false; 2]);
    checks.equal("and nothing is told of an end", router.log().contains("closed (router)"), false);

    drop(knocking);
    world.shell("conntrack -F 2>/dev/null")?;
    let calm = Instant::now();
    // It was renewed when two thirds of it were left.
    thread::sleep(TERM / 3);
    checks.equal("calm: it has its term", router.log().contains("closed (router)"), false);
    let closed = || router.log().lines().any(|l| l.contains("closed (router)") && l.contains("the table is calm"));
    while !closed() && calm.elapsed() < TERM + SOON {
        thread::sleep(Duration::from_millis(50));
    }
    checks.equal("and closes with it", closed(), true);

    fill(router)?;
    let knocking = Knocking::at(&router.world);
    let once = || Ok(router.log().contains("no open: 1 within the hour, 1 allowed"));
    router.until("a second one is refused", once)?;
    fill(router)?;
    let world = &router.world;
    checks.equal("the owner is locked out", owner(world, 22), [false; 2]);
    checks.equal("it opened once", router.log().matches("the firewall is open").count(), 1);
    drop(knocking);
    let told = router.call(&["log"])?.out;
    let incident = told.lines().next().unwrap_or_default();
    checks.check("the incident names it", incident.contains(", 1 open"), || told.clone());
    let json = router.call(&["log", "--json"])?.out;
    checks.check("for programs too", json.contains("\"opens\":1"), || json.clone());
    Ok(())
}
