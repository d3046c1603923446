//! Every scope makes room first: masqueraded IPv4 cannot go without an entry.

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{reaches, serve};
use crate::router::Router;
use crate::traffic::{WAN, fill_with};

/// The config's default, in percent, and what the draw of a sample may be off by: its standard error is 45 entries here.
const LOW: u32 = 60;
const ABOUT: u32 = 3;

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.wan, &[443]);
    // The ladder itself trims nothing.
    router.start(&["list ladder 'open'", "option hold '600'", "option open_scope 'all'", "option lifeline '0'"])?;
    let world = &router.world;
    let low = router.setting("max")? / 100 * (LOW + ABOUT);
    for scope in ["router", "lan", "all"] {
        world.shell("conntrack -F 2>/dev/null")?;
        fill_with(router, 444)?;
        checks.equal(&format!("{scope}: full of anybody's flows"), reaches(&world.lan, WAN[0], 443), false);
        router.order(&["open", "--scope", scope, "--for", "60"])?;
        let count = router.setting("count")?;
        checks.check("room is made down to the low mark", count <= low, || {
            format!("{count}, not {low}: {}", router.log())
        });
        checks.equal("masqueraded IPv4 gets out", reaches(&world.lan, WAN[0], 443), true);
        router.order(&["close"])?;
    }
    Ok(())
}
