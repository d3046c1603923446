//! Without xt_recent: the rules are set aside, and somebody has to be alive to put them back. The daemon says so, opens all or
//! nothing, and when it is killed its guardian closes.

use super::guardian::guardian_closes;
use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::{stranger, stranger_to_lan};

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    if router.kind.backend != "iptables" {
        return Ok(());
    }
    let before = router.rules()?;
    serve(&router.world.router, &[22, 8080]);
    serve(&router.world.lan, &[80]);
    router.start(&["option backend 'snapshot'", "option open_scope 'all'"])?;
    let status = router.call(&["status"])?.out;
    checks.check("status says what it needs", status.contains("snapshot: somebody must be alive"), || status.clone());
    checks.check("and that the lifeline cannot be", status.contains("off: this back end has no leases"), || {
        status.clone()
    });
    for scope in ["router", "lan"] {
        let ran = router.call(&["open", "--scope", scope, "--for", "60"])?;
        let one = ran.code.is_some_and(|c| c != 0) && ran.err.lines().count() == 1;
        checks.check(&format!("open {scope} is refused in one line"), one, || format!("{ran:?}"));
    }
    let open = |router: &Router<'_>| (stranger(&router.world, 8080), stranger_to_lan(&router.world)[1]);
    checks.equal("closed to begin with", open(router), ([false; 2], false));
    router.order(&["open", "--for", "60"])?;
    checks.equal("open all opens all", open(router), ([true; 2], true));
    router.order(&["close"])?;
    checks.equal("closed", open(router), ([false; 2], false));
    checks.check("the rules are as before", before == router.rules()?, || router.rules().unwrap_or_default());

    guardian_closes(router, checks, &before, &open)
}
