//! `kill -9` of the daemon while everything is open: the kernel closes it, and the next start and stop clear up.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::stranger;

/// A lease's term: src/lease/mod.rs.
const TERM: Duration = Duration::from_secs(30);

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    let before = router.rules()?;
    serve(&router.world.router, &[22, 8080]);
    router.start(&["option open_scope 'all'"])?;
    let began = Instant::now();
    router.order(&["open", "--for", "600"])?;
    let given = Instant::now();
    router.end(Signal::SIGKILL)?;
    let world = &router.world;
    checks.equal("killed: open still", [stranger(world, 22), stranger(world, 8080)], [[true; 2]; 2]);
    thread::sleep((TERM - Duration::from_secs(4)).saturating_sub(began.elapsed()));
    checks.equal("until its term is over", stranger(world, 8080), [true; 2]);
    thread::sleep((TERM + Duration::from_millis(300)).saturating_sub(given.elapsed()));
    checks.equal("closed by itself", [stranger(world, 22), stranger(world, 8080)], [[false; 2]; 2]);
    router.start(&["option open_scope 'all'"])?;
    let world = &router.world;
    checks.equal("closed after the next start", [stranger(world, 22), stranger(world, 8080)], [[false; 2]; 2]);
    router.end(Signal::SIGTERM)?;
    checks.equal("flows are checked as before", router.setting("tcp_be_liberal")?, 0);
    let after = router.rules()?;
    checks.check("the rules are as before", before == after, || format!("{before}\nis now\n{after}"));
    Ok(())
}
