//! fw4 has our sets and rules from its include folders; we put in elements only.

use super::Base;
use crate::Outcome;
use crate::checks::Checks;
use crate::rulesets::{fw4_with, list, load, reload_fw4, restart_fw4, unchanged};
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n";

/// The snippets that the real fw4 was tried with, and what it made of them.
fn recorded(place: &str) -> &'static str {
    macro_rules! tried {
        ($place:literal) => {
            include_str!(concat!("../../golden/fw4/snippets/", $place, "/ctwarden.nft"))
        };
    }
    match place {
        "table-pre" => tried!("table-pre"),
        "chain-pre/input" => tried!("chain-pre/input"),
        "chain-pre/forward" => tried!("chain-pre/forward"),
        "chain-pre/output" => tried!("chain-pre/output"),
        "chain-pre/raw_output" => tried!("chain-pre/raw_output"),
        "chain-pre/mangle_prerouting" => tried!("chain-pre/mangle_prerouting"),
        _ => tried!("chain-post/raw_prerouting"),
    }
}

pub fn case(base: Base, world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    let _ = base;
    load(world, &fw4_with(recorded))?;
    let made =
        include_str!("../../golden/fw4/ruleset-with-snippets.nft").replace("counter packets 0 bytes 0", "counter");
    unchanged(checks, "we put snippets where fw4 does", world, &made)?;
    load(world, "flush ruleset")?;

    let mut subject = Subject::start(world, "fw4", CONFIG)?;
    checks.equal("no table, no fw4", subject.ask("probe") != "fw4", true);
    checks.equal("nor can it be installed", subject.ask("install"), "ENOENT".into());
    reload_fw4(world, false)?;
    let bare = list(world)?;
    checks.equal("fw4 is found by its table", subject.ask("probe"), "fw4".into());
    checks.equal("snippets that are not loaded yet", subject.ask("install"), "ENOENT".into());
    checks.equal("are missing", subject.ask("recheck"), "Missing".into());
    checks.equal("no lease", subject.ask("grant 30 all 4"), "ENOENT".into());
    unchanged(checks, "nothing was changed", world, &bare)?;
    reload_fw4(world, true)?;
    let loaded = list(world)?;
    checks.equal("a reload brings them", subject.ask("recheck"), "Mended".into());
    checks.equal("nothing has changed", subject.ask("recheck"), "Sound".into());
    checks.equal("install", subject.ask("install"), "ok".into());
    unchanged(checks, "changes nothing", world, &loaded)?;

    let leases = "router br-lan 6 22,lan br-lan,all 6,source 10.77.0.9";
    checks.equal("grant", subject.ask(&format!("grant 30 {leases}")), "ok".into());
    checks.equal("known for our own change", subject.ask("recheck"), "Sound".into());
    let left = |subject: &mut Subject| leases.split(',').all(|lease| subject.left(lease) > 20.0);
    checks.equal("leases", left(&mut subject), true);
    reload_fw4(world, true)?;
    checks.equal("a reload", subject.ask("recheck"), "Sound".into());
    checks.equal("keeps leases", left(&mut subject), true);
    restart_fw4(world)?;
    checks.equal("a restart", subject.ask("recheck"), "Mended".into());
    checks.equal("loses them", leases.split(',').any(|lease| subject.left(lease) > 0.0), false);
    checks.equal("they can be given again", subject.ask(&format!("grant 30 {leases}")), "ok".into());
    world.shell("nft flush ruleset")?;
    checks.equal("a firewall that is stopped", subject.ask("recheck"), "Missing".into());
    checks.equal("has no leases", subject.ask(&format!("grant 30 {leases}")), "ENOENT".into());
    checks.equal("so there is nothing to revoke", subject.ask(&format!("revoke {leases}")), "ok".into());
    reload_fw4(world, true)?;
    checks.equal("started again", subject.ask("recheck"), "Mended".into());
    let loaded = list(world)?;
    checks.equal("grant", subject.ask(&format!("grant 30 {leases}")), "ok".into());
    checks.equal("remove", subject.ask("remove"), "ok".into());
    unchanged(checks, "takes out elements only", world, &loaded)?;

    // fw4 came after us, or the owner will have it so: a table of our own beside it.
    let mut own = Subject::start(world, "nft", CONFIG)?;
    checks.equal("a table of our own", own.ask("install"), "ok".into());
    checks.equal("grant", own.ask(&format!("grant 30 {leases}")), "ok".into());
    reload_fw4(world, true)?;
    checks.equal("a reload", own.ask("recheck"), "Mended".into());
    checks.equal("keeps leases", left(&mut own), true);
    checks.equal("remove", own.ask("remove"), "ok".into());
    unchanged(checks, "leaves fw4 as it is", world, &loaded)?;
    Ok(())
}
