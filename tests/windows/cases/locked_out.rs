//! `kill -9` of the daemon with the table full and `open lan` given: the owner and the LAN's IPv6 get through for the term of
//! the lease, strangers never, and then nobody does.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{connect, echoes, reaches, serve};
use crate::router::Router;
use crate::traffic::{WAN, fill, leaks, owner, stranger, stranger_to_lan, watch_for_leaks};

/// A lease's term: src/lease/mod.rs.
const TERM: Duration = Duration::from_secs(30);

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22]);
    serve(&router.world.lan, &[80]);
    serve(&router.world.wan, &[443]);
    watch_for_leaks(&router.world)?;
    router.start(&["option open_scope 'lan'", "option lifeline '0'"])?;
    let live = connect(&router.world.lan, WAN[0], 443).ok_or("no flow to begin with")?;
    fill(router)?;
    checks.equal("full: the owner is locked out", owner(&router.world, 22), [false; 2]);
    let began = Instant::now();
    router.order(&["open", "--for", "600"])?;
    let given = Instant::now();
    router.end(Signal::SIGKILL)?;
    let world = &router.world;
    let open = |world| (owner(world, 22), reaches(&world.lan, WAN[1], 443));
    checks.equal("killed: open still", open(world), ([true; 2], true));
    fill(router)?;
    let world = &router.world;
    checks.equal("to no stranger", (stranger(world, 22), stranger_to_lan(world)), ([false; 2], [false; 2]));
    checks.equal("masqueraded IPv4 needs room", reaches(&world.lan, WAN[0], 443), false);
    checks.equal("and nothing private is on the WAN", leaks(world)?, 0);
    thread::sleep((TERM - Duration::from_secs(3)).saturating_sub(began.elapsed()));
    checks.equal("until its term is over", open(world), ([true; 2], true));
    thread::sleep((TERM + Duration::from_millis(300)).saturating_sub(given.elapsed()));
    fill(router)?;
    let world = &router.world;
    checks.equal("closed by itself", open(world), ([false; 2], false));
    checks.equal("to strangers too", (stranger(world, 22), stranger_to_lan(world)), ([false; 2], [false; 2]));
    checks.check("a live masqueraded flow is alive", echoes(&live), || "dead".into());
    Ok(())
}
