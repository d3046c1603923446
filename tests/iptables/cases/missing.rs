//! What is missing is not possible; the rest is.

use crate::Outcome;
use crate::checks::Checks;
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n option open_scope 'all'\n";

pub fn case(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    let leases = ["source 10.0.0.1", "router br-lan 6 22", "lan br-lan", "all 4", "all 6"];
    let possible = |world: &World, checks: &mut Checks<'_>, what: &str, expected: [bool; 5]| -> Outcome<()> {
        let mut subject = Subject::start(world, "iptables", CONFIG)?;
        subject.ask("install");
        let found = leases.map(|lease| subject.ask(&format!("grant 30 {lease}")) == "ok");
        checks.equal(what, found, expected);
        if expected.contains(&true) {
            checks.equal("and sound", subject.ask("recheck"), "Sound".into());
        }
        checks.equal("remove", subject.ask("remove"), "ok".into());
        let rest = world.shell("iptables-save; ip6tables-save || true")?.matches("ctwarden").count();
        checks.equal("nothing of ours is left", rest, 0);
        Ok(())
    };
    possible(world, checks, "nothing is missing", [true; 5])?;
    world.hidden = vec!["/usr/lib/x86_64-linux-gnu/xtables/libxt_hashlimit.so"];
    possible(world, checks, "no hashlimit", [false, true, true, true, true])?;
    world.hidden = vec!["/usr/lib/x86_64-linux-gnu/xtables/libxt_CT.so"];
    possible(world, checks, "nothing can be untracked", [true, false, false, true, true])?;
    world.hidden = vec!["programs ip6tables"];
    possible(world, checks, "no ip6tables", [true, true, false, true, false])?;
    world.hidden = vec!["/usr/lib/x86_64-linux-gnu/xtables/libxt_recent.so"];
    possible(world, checks, "no xt_recent", [false; 5])?;
    let mut subject = Subject::start(world, "iptables", CONFIG)?;
    checks.check("it is not chosen", subject.ask("probe") != "iptables", || "it is".into());
    checks.equal("and says so", subject.ask("install"), "EOPNOTSUPP".into());
    checks.equal("again", subject.ask("recheck"), "Missing".into());

    // A router whose firewall is nft's: an accept of ours would not count there.
    let other = World::new(world.variant, &format!("others-{}", world.variant.name()))?;
    let mut subject = Subject::start(&other, "iptables", CONFIG)?;
    // Both would do; a table of our own in nft is looked after with less.
    checks.equal("no firewall yet: chosen", subject.ask("probe"), "nft".into());
    other.shell("iptables -F; iptables -X")?;
    drop(subject);
    drop(other);
    let other = World::new(world.variant, &format!("others-{}", world.variant.name()))?;
    other.shell("nft add table inet others")?;
    let mut subject = Subject::start(&other, "iptables", CONFIG)?;
    for _ in 0..2 {
        checks.check("only nft's: not chosen", subject.ask("probe") != "iptables", || "it is".into());
    }
    checks.equal("and nothing touched", other.shell("nft list tables")?, "table inet others\n".into());
    Ok(())
}
