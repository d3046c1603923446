//! With room in the table: what each scope lets in and what not, and that `close` closes.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{reaches, serve};
use crate::router::Router;
use crate::traffic::{WAN, leaks, owner, stranger, stranger_to_lan, watch_for_leaks};
use crate::world::World;

fn strangers(world: &World) -> [[bool; 2]; 3] {
    [stranger(world, 22), stranger(world, 8080), stranger_to_lan(world)]
}

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    let before = router.rules()?;
    let world = &router.world;
    serve(&world.router, &[22, 8080]);
    serve(&world.lan, &[80]);
    serve(&world.wan, &[443]);
    watch_for_leaks(world)?;
    router.start(&["option open_scope 'all'", "option lifeline '0'"])?;
    let world = &router.world;
    let closed = [[false; 2]; 3];
    checks.equal("closed to begin with", strangers(world), closed);
    for scope in ["router", "lan"] {
        router.order(&["open", "--scope", scope, "--for", "60"])?;
        checks.equal(&format!("{scope}: no stranger gets in"), strangers(world), closed);
        checks.equal("the owner does", owner(world, 22), [true; 2]);
        checks.equal("the LAN gets out", WAN.map(|to| reaches(&world.lan, to, 443)), [true; 2]);
        checks.equal("with no private address", leaks(world)?, 0);
        router.order(&["close"])?;
        checks.equal("closed: as before", strangers(world), closed);
    }
    router.order(&["open", "--scope", "all", "--for", "60"])?;
    let [ssh, other, _] = strangers(world);
    checks.equal("all: strangers get to the router", [ssh, other], [[true; 2]; 2]);
    checks.equal("the LAN gets out", WAN.map(|to| reaches(&world.lan, to, 443)), [true; 2]);
    checks.equal("with no private address", leaks(world)?, 0);
    router.order(&["close"])?;
    checks.equal("closed: as before", strangers(world), closed);
    router.order(&["open", "--scope", "all", "--for", "60"])?;
    router.end(Signal::SIGTERM)?;
    checks.equal("a daemon that stops closes", strangers(&router.world), closed);
    let after = router.rules()?;
    checks.check("and leaves the rules as they were", before == after, || format!("{before}\nis now\n{after}"));
    Ok(())
}
