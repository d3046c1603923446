//! What is refused, and what is said while something is open.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::stranger;

const REFUSED: Option<i32> = Some(5);

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22]);
    router.start(&[])?;
    let world = &router.world;
    let ran = router.call(&["open", "--scope", "all"])?;
    checks.check("all is refused unless the config has it", ran.code == REFUSED, || format!("{ran:?}"));
    checks.check(
        "in one line that says what to do",
        ran.err.lines().count() == 1 && ran.err.contains("open_scope"),
        || format!("{ran:?}"),
    );
    checks.equal("and closed", stranger(world, 22), [false; 2]);
    checks.equal("be_liberal is as ever", router.setting("tcp_be_liberal")?, 0);
    router.end(Signal::SIGTERM)?;

    for (scope, impossible) in [
        ("router", "still need room in the table"),
        ("lan", "IPv4 behind NAT, and UDP, still need room in the table"),
        ("all", "IPv4 behind NAT still needs room in the table"),
    ] {
        router.start(&["option open_scope 'all'"])?;
        let ran = router.call(&["open", "--scope", scope, "--for", "100"])?;
        checks.check(&format!("open {scope}"), ran.code == Some(0) && ran.out.contains(scope), || format!("{ran:?}"));
        let status = router.call(&["status"])?.out;
        let row = status.lines().find(|l| l.starts_with("open")).unwrap_or("no such row").to_string();
        checks.check(
            "status says what, for how long, and what stays impossible",
            row.contains(scope)
                && (row.contains("99") || row.contains("1:39") || row.contains("1 min"))
                && row.contains(impossible),
            || status.clone(),
        );
        let json = router.call(&["status", "--json"])?.out;
        checks.check("and so for programs", json.contains(&format!("\"scope\":\"{scope}\"")), || json.clone());
        let told = format!("the firewall is open ({scope}) for 100.000 s at most, as asked; ");
        checks.check("it is logged", router.log().contains(&told), || router.log());
        checks.equal("be_liberal is on meanwhile", router.setting("tcp_be_liberal")?, 1);
        router.order(&["close"])?;
        checks.equal("and a while after", router.setting("tcp_be_liberal")?, 1);
        let status = router.call(&["status"])?.out;
        checks.check("status says nothing of it any more", !status.lines().any(|l| l.starts_with("open")), || {
            status.clone()
        });
        checks.equal("it ends well", router.end(Signal::SIGTERM)?.code(), Some(0));
        checks.equal("and be_liberal is off", router.setting("tcp_be_liberal")?, 0);
        checks.check("closing is logged", router.log().contains(&format!("closed ({scope})")), || router.log());
    }
    Ok(())
}
