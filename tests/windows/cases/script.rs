//! Nothing but the firewall's init script: the daemon stops and starts it, says that it needs somebody alive, and when it is
//! killed its guardian starts it again.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use super::guardian::guardian_closes;
use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::{stranger, stranger_to_lan};

fn script(router: &Router<'_>) -> Outcome<()> {
    let at = router.world.scratch.display();
    let (stop, start) = if router.kind.backend == "iptables" {
        router.world.shell(&format!("iptables-save >{at}/rules4; ip6tables-save >{at}/rules6"))?;
        (
            "for i in iptables ip6tables; do for c in INPUT FORWARD; do $i -P $c ACCEPT; done; $i -F; $i -X; done"
                .into(),
            format!("iptables-restore {at}/rules4; ip6tables-restore {at}/rules6"),
        )
    } else {
        router.world.shell(&format!("nft -s list ruleset >{at}/rules"))?;
        ("nft flush ruleset".to_string(), format!("nft flush ruleset; nft -f {at}/rules"))
    };
    let text = format!("#!/bin/sh\necho $1 >>{at}/calls\ncase $1 in\nstop) {stop} ;;\nstart) {start} ;;\nesac\n");
    let file = router.world.scratch.join("firewall");
    fs::write(&file, text)
        .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o755)))
        .map_err(|e| e.to_string())
}

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22, 8080]);
    serve(&router.world.lan, &[80]);
    script(router)?;
    let calls = router.world.scratch.join("calls");
    let calls = || fs::read_to_string(&calls).unwrap_or_default().replace('\n', " ");
    let before = router.rules()?;
    router.start(&["option backend 'script'", "option open_scope 'all'"])?;
    let status = router.call(&["status"])?.out;
    checks.check(
        "status says what it needs",
        status.contains("script: somebody must be alive to close it again"),
        || status.clone(),
    );
    checks.check("and that the lifeline cannot be", status.contains("off: this back end has no leases"), || {
        status.clone()
    });
    for words in [&["open", "--scope", "router", "--for", "60"][..], &["shed", "10.77.0.2", "--for", "60"]] {
        let ran = router.call(words)?;
        let one = ran.code.is_some_and(|c| c != 0) && ran.err.lines().count() == 1;
        checks.check(&format!("{words:?} is refused in one line"), one, || format!("{ran:?}"));
    }
    let open = |router: &Router<'_>| (stranger(&router.world, 8080), stranger_to_lan(&router.world)[1]);
    checks.equal("closed to begin with", (open(router), calls()), (([false; 2], false), String::new()));
    router.order(&["open", "--for", "60"])?;
    checks.equal("open all stops it", (open(router), calls()), (([true; 2], true), "stop ".into()));
    router.order(&["close"])?;
    checks.equal("closed: it is started", (open(router), calls()), (([false; 2], false), "stop start ".into()));
    checks.check("the rules are as before", before == router.rules()?, || router.rules().unwrap_or_default());
    router.order(&["open", "--for", "60"])?;
    checks.equal("a daemon that stops closes", router.end(Signal::SIGTERM)?.code(), Some(0));
    checks.equal("so it is", (open(router), calls()), (([false; 2], false), "stop start stop start ".into()));

    router.start(&["option backend 'script'", "option open_scope 'all'"])?;
    guardian_closes(router, checks, &before, &open)
}
