//! Leases that outlive their term because a living daemon renews them: open, and a host slowed down, for as long as was asked
//! for, and no longer.

use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{Counter, serve};
use crate::router::Router;
use crate::traffic::stranger;

const ASKED: Duration = Duration::from_secs(75);
/// One turn, and the machine's own time.
const SOON: Duration = Duration::from_secs(2);

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[8080]);
    let counter = Counter::at(&router.world.wan, 5353);
    router.start(&["option open_scope 'all'"])?;
    let began = Instant::now();
    router.order(&["open", "--for", "75"])?;
    router.order(&["shed", "10.77.0.2", "--for", "75"])?;
    let given = Instant::now();
    let world = &router.world;
    let capped = || {
        let sent = counter.sent(&world.lan, "10.77.0.2", "192.0.2.2", 400, false);
        (sent.is_limited(20, 5), format!("{} came, not {}", sent.came, sent.expected(20, 5)))
    };
    for second in [35, 45, 65] {
        thread::sleep(Duration::from_secs(second).saturating_sub(began.elapsed()));
        checks.equal(&format!("open at {second} s"), stranger(world, 8080), [true; 2]);
        let (holds, detail) = capped();
        checks.check("and the cap is there", holds, || detail);
    }
    thread::sleep((ASKED - SOON).saturating_sub(began.elapsed()));
    checks.equal("open until its time is over", stranger(world, 8080), [true; 2]);
    thread::sleep((ASKED + SOON).saturating_sub(given.elapsed()));
    checks.equal("and closed then", stranger(world, 8080), [false; 2]);
    checks.check("which is logged", router.log().contains(": its time is over"), || router.log());
    let came = counter.of(&world.lan, "10.77.0.2", "192.0.2.2", 400, false);
    checks.equal("of the host's new flows all come again", came, 400);
    let status = router.call(&["status"])?.out;
    checks.check(
        "nothing is open nor slowed down",
        !status.contains("slowed down") && !status.contains("\nopen "),
        || status.clone(),
    );
    Ok(())
}
