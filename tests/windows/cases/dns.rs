//! `lifeline_dns`: the router answers DNS though the table is full; where a nat rule touches port 53 that is left out, and said.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::serve;
use crate::router::Router;
use crate::traffic::{answer_dns, dns, fill, owner};

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22, 53]);
    answer_dns(&router.world);
    router.start(&[])?;
    checks.equal("with room DNS is answered", dns(&router.world), [true; 2]);
    full(router)?;
    checks.equal("full: not unless it is asked for", dns(&router.world), [false; 2]);
    router.end(Signal::SIGTERM)?;

    router.start(&["option lifeline_dns '1'"])?;
    full(router)?;
    checks.equal("full, with lifeline_dns: it is", dns(&router.world), [true; 2]);
    checks.equal("and by TCP", owner(&router.world, 53), [true; 2]);
    checks.equal("and nothing is kept out", router.log().contains("kept out"), false);
    router.end(Signal::SIGTERM)?;

    router.world.shell("conntrack -F 2>/dev/null")?;
    if router.kind.backend == "iptables" {
        router.world.shell(
            "for i in iptables ip6tables; do for p in udp tcp; do
            $i -t nat -A PREROUTING -i br-lan -p $p --dport 53 -j REDIRECT --to-ports 53; done; done",
        )?;
    } else {
        let chain = "type nat hook prerouting priority dstnat; iifname br-lan meta l4proto { tcp, udp } th dport 53 redirect to :53;";
        router.world.shell(&format!("nft 'table inet turned {{ chain pre {{ {chain} }}; }}'"))?;
    }
    router.start(&["option lifeline_dns '1'"])?;
    let status = router.call(&["status"])?.out;
    checks.check("a nat rule touches it: the rest is on", status.contains("lifeline    on"), || status.clone());
    let log = router.log();
    let line = log.lines().find(|l| l.contains("of the ports are kept out of it")).unwrap_or_default().to_lowercase();
    checks.check(
        "and it is said what is kept out, by which rule",
        line.contains("redirect") && line.contains("53"),
        || log.clone(),
    );
    checks.equal("with room it is answered", dns(&router.world), [true; 2]);
    full(router)?;
    checks.equal("full: the owner gets in", owner(&router.world, 22), [true; 2]);
    checks.equal("and DNS is as before", (dns(&router.world), owner(&router.world, 53)), ([false; 2], [false; 2]));
    Ok(())
}

fn full(router: &Router<'_>) -> Outcome<()> {
    router.world.shell("conntrack -F 2>/dev/null")?;
    fill(router)
}
