//! Under `dry_run` no rule is made, no lease given, nothing set.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::stranger;

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22]);
    let before = router.rules()?;
    router.start(&["option dry_run '1'", "option open_scope 'all'"])?;
    for words in [&["open", "--for", "60"][..], &["shed", "10.77.0.2", "--for", "60"], &["close"]] {
        let ran = router.call(words)?;
        checks.check("an order that changes nothing ends", matches!(ran.code, Some(0 | 1)), || format!("{ran:?}"));
        checks.equal("nobody gets in", stranger(&router.world, 22), [false; 2]);
        let after = router.rules()?;
        checks.check(&format!("{words:?}: no rule and no lease"), before == after, || {
            format!("{before}\nis now\n{after}")
        });
        checks.equal("be_liberal is as ever", router.setting("tcp_be_liberal")?, 0);
    }
    checks.equal("it ends well", router.end(Signal::SIGTERM)?.code(), Some(0));
    Ok(())
}
