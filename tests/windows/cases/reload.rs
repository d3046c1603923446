//! The owner loads his firewall anew while everything is open: it is open again at once, with the time that it had left, and
//! not longer, though the daemon dies then.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::stranger;

const OPEN: Duration = Duration::from_secs(20);
/// A lease's term: src/lease/mod.rs.
const TERM: Duration = Duration::from_secs(30);
/// One turn.
const SOON: Duration = Duration::from_secs(2);

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22, 8080]);
    for (name, reload) in router.kind.reloads {
        router.start(&["option open_scope 'all'"])?;
        let world = &router.world;
        let began = Instant::now();
        router.order(&["open", "--for", "20"])?;
        let given = Instant::now();
        checks.equal(&format!("{name}: open"), stranger(world, 8080), [true; 2]);
        thread::sleep(Duration::from_secs(5).saturating_sub(began.elapsed()));
        reload(world)?;
        let reloaded = Instant::now();
        while stranger(world, 8080) != [true; 2] && reloaded.elapsed() < 3 * SOON {}
        let took = reloaded.elapsed();
        checks.check("open again within a turn", took <= SOON, || format!("{took:?}: {}", router.log()));
        let json = router.call(&["status", "--json"])?.out;
        let left = json
            .split("\"left\":")
            .nth(1)
            .and_then(|t| t.split([',', '}']).next()?.parse::<f64>().ok())
            .map(|ms| ms / 1000.0);
        let expected = (OPEN.saturating_sub(began.elapsed())).as_secs_f64();
        checks.check("with the time that it had left", left.is_some_and(|left| (left - expected).abs() < 1.0), || {
            format!("{left:?}, not {expected}: {json}")
        });
        thread::sleep(Duration::from_millis(1_500));
        router.end(Signal::SIGKILL)?;
        let world = &router.world;
        checks.equal("killed: open still", stranger(world, 8080), [true; 2]);
        let wait = (OPEN - Duration::from_secs(3)).saturating_sub(began.elapsed());
        thread::sleep(wait);
        checks.equal("until its time is over", stranger(world, 8080), [true; 2]);
        // The term of iptables' rules is written in them: it counts from when the lease was put back.
        let end = if router.kind.backend == "iptables" { reloaded + SOON + TERM } else { given + OPEN };
        thread::sleep((end + Duration::from_millis(500)).saturating_duration_since(Instant::now()));
        checks.equal("closed when it was to be", [stranger(world, 22), stranger(world, 8080)], [[false; 2]; 2]);
    }
    Ok(())
}
