//! A hog that goes on is capped by the ladder for `shed_seconds` and not longer, and the log says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::Counter;
use crate::router::Router;
use crate::traffic::establish;

const TOTAL: Duration = Duration::from_secs(30);
const HOG: &str = "10.77.0.2";

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    let counter = Counter::at(&router.world.wan, 5353);
    router.start(&["list ladder 'shed'", "option shed_seconds '30'", "option lifeline '0'"])?;
    let world = &router.world;
    let (on, max) = (AtomicBool::new(true), router.setting("max")?);
    thread::scope(|s| {
        // As fast as it is trimmed it is there again.
        let hog = s.spawn(|| {
            world.router.within(|| {
                while on.load(Ordering::Relaxed) {
                    establish(HOG, 4_000, max / 100 * 95)?;
                    thread::sleep(Duration::from_millis(300));
                }
                Ok::<_, String>(())
            })
        });
        let done = during(router, checks, &counter);
        on.store(false, Ordering::Relaxed);
        hog.join().map_err(|_| "the hog panicked")?.and(done)
    })?;
    // With room, so that it is the cap alone that could hold anybody back.
    world.shell("conntrack -F 2>/dev/null")?;
    checks.equal(
        "its cap is over: of 400 new flows all come",
        counter.of(&world.lan, HOG, "192.0.2.2", 400, false),
        400,
    );
    Ok(())
}

fn during(router: &Router<'_>, checks: &mut Checks<'_>, counter: &Counter) -> Outcome<()> {
    router.until("somebody is capped", || Ok(router.log().contains("shed: 1 capped, first 10.77.0.2")))?;
    let capped = Instant::now();
    thread::sleep(TOTAL - Duration::from_secs(8));
    let sent = counter.sent(&router.world.lan, HOG, "192.0.2.2", 400, false);
    // What finds no room is lost too.
    let most = sent.expected(20, 5) + 5;
    checks.check("it is capped to the end", (1..=most).contains(&sent.came), || format!("{} of {most}", sent.came));
    checks.equal("and nothing is told of an end", router.log().contains("had their"), false);
    let told = || Ok(router.log().contains("shed: 1 had their 30.000 s; not capped any longer"));
    router.until("the end is told", told)?;
    let took = capped.elapsed();
    checks.check(
        "when it comes",
        took > TOTAL - Duration::from_secs(1) && took < TOTAL + Duration::from_secs(8),
        || format!("{took:?}"),
    );
    let status = router.call(&["status"])?.out;
    checks.check("nobody is slowed down", !status.contains("slowed down"), || status.clone());
    Ok(())
}
