//! The lifeline stays off, and says why, where it would not get through or go round the owner's rules.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::owner;

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22, 80, 8080]);
    let mut is = |router: &mut Router<'_>, what: &str, options: &[&str], said: &str| -> Outcome<()> {
        router.start(options)?;
        let status = router.call(&["status"])?.out;
        let row = status.lines().find(|l| l.starts_with("lifeline")).unwrap_or("no such row").to_string();
        checks.check(what, row.contains(said), || row.clone());
        checks.check("and that is logged", router.log().contains(&format!("lifeline {said}")), || router.log());
        checks.equal("the owner gets in with room", owner(&router.world, 22), [true; 2]);
        router.end(Signal::SIGTERM)?;
        Ok(())
    };
    is(router, "on, to begin with", &[], "on")?;
    is(router, "off without a LAN", &["list lan 'br-none'"], "off: no interface named in main.lan is there")?;
    (router.kind.redirect)(&router.world)?;
    is(router, "off where a nat rule redirects its port", &[], "off: a nat rule touches its ports")?;
    // Back as it was.
    match router.kind.backend {
        "iptables" => router.world.shell("iptables -t nat -F PREROUTING")?,
        _ => router.world.shell("nft delete table inet turned")?,
    };
    (router.kind.only_new)(&router.world)?;
    let said = "off: the firewall would not let untracked packets from the LAN in";
    is(router, "off where only new flows are let in", &[], said)?;
    Ok(())
}
