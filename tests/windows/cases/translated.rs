//! Where IPv6 is translated, what goes untracked would have private addresses: `open lan` is refused and says why, and one
//! that runs is ended when somebody begins to translate; `open all` goes without it.

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{entries, reaches, serve};
use crate::router::Router;
use crate::traffic::{WAN, stranger};

const WHY: &str = "IPv6 is translated here";

pub fn case(router: &mut Router<'_>, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&router.world.router, &[22, 8080]);
    serve(&router.world.wan, &[443]);
    let by_iptables = router.kind.backend == "iptables";
    let (begin, end) = if by_iptables {
        ("ip6tables -t nat -A POSTROUTING -o wan0 -j MASQUERADE", "ip6tables -t nat -F POSTROUTING")
    } else {
        (
            "nft 'add table ip6 six; add chain ip6 six post { type nat hook postrouting priority srcnat; }; \
            add rule ip6 six post oifname wan0 masquerade'",
            "nft delete table ip6 six",
        )
    };
    router.world.shell(begin)?;
    router.start(&["option open_scope 'all'"])?;
    let ran = router.call(&["open", "--scope", "lan", "--for", "60"])?;
    checks.check("open lan is refused in one line that says why", ran.code == Some(1) && ran.err.contains(WHY), || {
        format!("{ran:?}")
    });
    checks.check("and that is logged", router.log().contains(&format!("not opened (lan): {WHY}")), || router.log());
    checks.equal("nothing is open", router.call(&["status"])?.out.contains("\nopen "), false);
    router.order(&["open", "--scope", "router", "--for", "60"])?;
    router.order(&["close"])?;
    router.order(&["open", "--scope", "all", "--for", "60"])?;
    checks.equal("open all lets strangers in all the same", stranger(&router.world, 8080), [true; 2]);
    checks.equal("and the LAN out", WAN.map(|to| reaches(&router.world.lan, to, 443)), [true; 2]);
    let seen = entries(&router.world, "src=fd77:0001:");
    checks.check("translated as ever", seen > 0, || "untracked".into());
    router.order(&["close"])?;
    router.end(Signal::SIGTERM)?;

    router.world.shell(end)?;
    router.start(&["option open_scope 'lan'"])?;
    router.order(&["open", "--for", "60"])?;
    checks.check("without it open lan opens", router.call(&["status"])?.out.contains("\nopen        lan"), || {
        router.log()
    });
    // iptables' rules are looked through when ours are put there.
    if !by_iptables {
        router.world.shell(begin)?;
        router.until("it is closed", || Ok(router.log().contains("closed (lan) after")))?;
        checks.check("one that runs ends when somebody begins", router.log().contains(WHY), || router.log());
        router.world.shell(end)?;
    }
    router.end(Signal::SIGTERM).map(drop)
}
