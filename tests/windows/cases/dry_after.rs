//! `kill -9` while everything is open, and a start with `dry_run`: what the former run left is taken out all the same.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::stranger;

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    let before = router.rules()?;
    serve(&router.world.router, &[22, 8080]);
    router.start(&["option open_scope 'all'"])?;
    router.order(&["open", "--for", "600"])?;
    router.order(&["shed", "10.77.0.2", "--for", "600"])?;
    router.end(Signal::SIGKILL)?;
    checks.equal("killed: open still", stranger(&router.world, 8080), [true; 2]);
    checks.equal("be_liberal is on", router.setting("tcp_be_liberal")?, 1);
    // Of another back end, which a dry run does not choose.
    for options in [&["option dry_run '1'"][..], &["option dry_run '1'", "option backend 'none'"]] {
        router.start(options)?;
        checks.equal("a dry run closes", [stranger(&router.world, 22), stranger(&router.world, 8080)], [[false; 2]; 2]);
        checks.equal("flows are checked as before", router.setting("tcp_be_liberal")?, 0);
        let after = router.rules()?;
        checks.check("the rules are as before", before == after, || format!("{before}\nis now\n{after}"));
        router.end(Signal::SIGTERM)?;
        let after = router.rules()?;
        checks.check("and after its end", before == after, || format!("{before}\nis now\n{after}"));
        router.start(&["option open_scope 'all'"])?;
        router.order(&["open", "--for", "600"])?;
        router.end(Signal::SIGKILL)?;
    }
    Ok(())
}
