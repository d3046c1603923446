//! The lifeline leaves out what would not get through or would go round the owner's rules, port by port, and says why; where
//! nothing is left it stays off.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::{fill, owner};

const NOT_ACCEPTED: &str = "off: the firewall would not let untracked packets from the LAN in";

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22, 80, 8080]);
    is(router, checks, "on, to begin with", &[], "on")?;
    is(router, checks, "off without a LAN", &["list lan 'br-none'"], "off: no interface named in main.lan is there")?;

    // A nat rule redirects port 80: that one stays tracked, and the others are on.
    (router.kind.redirect)(&router.world)?;
    is(router, checks, "on where a nat rule redirects one of its ports", &[], "on")?;
    let log = router.log();
    let kept =
        log.lines().find(|l| l.contains("of the ports are kept out of it")).unwrap_or("no such line").to_string();
    let names = |word: &str| kept.to_lowercase().contains(word);
    checks.check("without that port, and by which rule", names("redirect"), || log.clone());
    router.start(&[])?;
    router.world.shell("conntrack -F 2>/dev/null")?;
    fill(router)?;
    checks.equal("full: the others get in", owner(&router.world, 22), [true; 2]);
    checks.equal("and what is redirected does not", owner(&router.world, 80), [false; 2]);
    router.end(Signal::SIGTERM)?;
    router.world.shell("conntrack -F 2>/dev/null")?;
    match router.kind.backend {
        "iptables" => router.world.shell("iptables -t nat -F PREROUTING; ip6tables -t nat -F PREROUTING")?,
        _ => router.world.shell("nft delete table inet turned")?,
    };

    (router.kind.blocklist)(&router.world)?;
    is(router, checks, "off where something unknown is dropped first", &[], NOT_ACCEPTED)?;
    let log = router.log();
    checks.check("and by which rule", log.contains("drop") || log.contains("DROP"), || log.clone());
    (router.kind.load)(&router.world)?;
    (router.kind.only_new)(&router.world)?;
    is(router, checks, "off where only new flows are let in", &[], NOT_ACCEPTED)
}

/// Whether `status` and log say this of it, under these options.
fn is(router: &mut Router<'_>, checks: &mut Checks<'_>, what: &str, options: &[&str], said: &str) -> Outcome<()> {
    router.start(options)?;
    let status = router.call(&["status"])?.out;
    let row = status.lines().find(|l| l.starts_with("lifeline")).unwrap_or("no such row").to_string();
    checks.check(what, row.ends_with(&format!(" {said}")), || row.clone());
    checks.check("and that is logged", router.log().contains(&format!("lifeline {said}")), || router.log());
    checks.equal("the owner gets in with room", owner(&router.world, 22), [true; 2]);
    router.end(Signal::SIGTERM).map(drop)
}
