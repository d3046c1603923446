//! The table is full of entries that nobody may remove: the owner gets in by the lifeline, or by `open --scope router`.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{reaches, serve};
use crate::router::Router;
use crate::traffic::{Dhcp, WAN, fill, leaks, owner, stranger, stranger_to_lan, watch_for_leaks};
use crate::world::World;

/// The table is full: strangers do not get to the router nor to the LAN, and the LAN not out, with whatever address.
fn nobody_else(world: &World, checks: &mut Checks<'_>) -> Outcome<()> {
    checks.equal("and no stranger", (stranger(world, 22), stranger_to_lan(world)), ([false; 2], [false; 2]));
    checks.equal("nor does the LAN get out", WAN.map(|to| reaches(&world.lan, to, 443)), [false; 2]);
    checks.equal("and nothing private is on the WAN", leaks(world)?, 0);
    Ok(())
}

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22, 80, 8080]);
    serve(&router.world.lan, &[80]);
    serve(&router.world.wan, &[443]);
    watch_for_leaks(&router.world)?;
    let dhcp = Dhcp::at(&router.world)?;

    router.start(&["option lifeline '1'", "option open_scope 'all'"])?;
    let world = &router.world;
    checks.equal("with room a port that is not named is open to the LAN", owner(world, 8080), [true; 2]);
    checks.equal("and DHCP comes", dhcp.hears(world)?, true);
    // What the kernel itself would evict, or the daemon, would be room for others.
    world.shell("conntrack -F 2>/dev/null")?;
    fill(router)?;
    checks.equal("full: SSH by the lifeline alone", owner(world, 22), [true; 2]);
    checks.equal("and HTTP", owner(world, 80), [true; 2]);
    checks.equal("and DHCP", dhcp.hears(world)?, true);
    checks.equal("but no port that is not named", owner(world, 8080), [false; 2]);
    nobody_else(world, checks)?;
    for scope in ["router", "all"] {
        router.order(&["open", "--scope", scope, "--for", "60"])?;
        router.order(&["close"])?;
        checks.equal(&format!("it outlives open {scope}"), owner(world, 22), [true; 2]);
        checks.equal("for DHCP too", dhcp.hears(world)?, true);
        checks.equal("and no stranger gets in", stranger(world, 22), [false; 2]);
    }
    let status = router.call(&["status"])?.out;
    checks.check("status says that it is on", status.contains("lifeline    on"), || status.clone());
    router.end(Signal::SIGTERM)?;

    fill(router)?;
    let world = &router.world;
    checks.equal("without a daemon the owner is locked out", owner(world, 22), [false; 2]);
    router.start(&["option lifeline '0'"])?;
    let world = &router.world;
    fill(router)?;
    checks.equal("and without a lifeline", owner(world, 22), [false; 2]);
    checks.equal("and his hosts get no address", dhcp.hears(world)?, false);
    router.order(&["open", "--scope", "router", "--for", "60"])?;
    checks.equal("open: SSH", owner(world, 22), [true; 2]);
    checks.equal("and HTTP", owner(world, 80), [true; 2]);
    checks.equal("and DHCP", dhcp.hears(world)?, true);
    checks.equal("but no port that is not named", owner(world, 8080), [false; 2]);
    nobody_else(world, checks)?;
    router.order(&["close"])?;
    fill(router)?;
    checks.equal("closed: the owner is locked out", owner(world, 22), [false; 2]);
    Ok(())
}
