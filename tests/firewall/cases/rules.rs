//! Our table and our rules in other people's chains come and go and leave everything else as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Base;
use crate::Outcome;
use crate::checks::Checks;
use crate::rulesets::{OWNERS, list, load, unchanged};
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n";
const COUNTING: &str = "config ctwarden 'main'\n option shed_count '64'\n";

/// Rules of ours in foreign chains.
fn heads(world: &World) -> Outcome<usize> {
    Ok(list(world)?.matches("comment \"ctwarden\"").count())
}

pub fn case(base: Base, world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    base.reload(world)?;
    let before = list(world)?;
    let mut subject = Subject::start(world, "nft", CONFIG)?;
    checks.equal("it is found by probing", subject.ask("probe"), "nft".into());
    unchanged(checks, "probing changes nothing", world, &before)?;
    checks.equal("no lease before it is installed", subject.ask("grant 30 source 10.1.1.1"), "ENOENT".into());
    checks.equal("nor is anything revoked", subject.ask("revoke source 10.1.1.1"), "ok".into());
    checks.equal("install", subject.ask("install"), "ok".into());
    // Of inet: 3 input, 3 forward, 2 output. Of ip: 2 input. Of ip6: 3 and 3.
    checks.equal("head rules are there", heads(world)?, 8 + 2 + 6);
    let first = world.shell("nft list chain inet filter input")?;
    let first = first.lines().nth(3).unwrap_or_default().to_string();
    checks.check("at the head", first.contains("comment \"ctwarden\""), || first);
    checks.equal("nothing has changed", subject.ask("recheck"), "Sound".into());
    let installed = list(world)?;
    checks.equal("install again", subject.ask("install"), "ok".into());
    unchanged(checks, "changes nothing", world, &installed)?;
    checks.equal("remove", subject.ask("remove"), "ok".into());
    unchanged(checks, "all is as before", world, &before)?;
    checks.equal("remove what is not there", subject.ask("remove"), "ok".into());

    let leases = "router br-lan 6 22,lan br-lan,all 4,source 10.77.0.9";
    for (what, how, whole, kept) in [
        // What somebody did, whether our own look mends it, whether what was granted is still there then.
        ("a rule more", "nft add rule inet filter output counter", "Sound", true),
        ("an element more", "nft add element inet filter blocked { 192.0.2.5 }", "Sound", true),
        ("a table flushed of rules", "nft flush table inet filter", "Mended", true),
        ("a chain flushed", "nft flush chain ip late incoming", "Mended", true),
        ("a table gone", "nft delete table ip6 late", "Sound", true),
        ("a chain more", "nft add chain ip late more '{ type filter hook output priority 9; }'", "Mended", true),
        (
            "a table more",
            "nft 'add table ip x; add chain ip x y { type filter hook forward priority 1; }'",
            "Mended",
            true,
        ),
        ("our table gone", "nft delete table inet ctwarden", "Mended", false),
        ("everything gone", "nft flush ruleset", "Mended", false),
    ] {
        base.reload(world)?;
        checks.equal("install", subject.ask("install"), "ok".into());
        checks.equal("grant", subject.ask(&format!("grant 30 {leases}")), "ok".into());
        world.shell(how)?;
        checks.equal(what, subject.ask("recheck"), whole.into());
        let left: Vec<bool> = leases.split(',').map(|lease| subject.left(lease) > 20.0).collect();
        checks.equal("leases", left, vec![kept; 4]);
        checks.equal("and all is whole", subject.ask("recheck"), "Sound".into());
        checks.equal("it can be granted", subject.ask(&format!("grant 30 {leases}")), "ok".into());
        checks.equal("known for our own change", subject.ask("recheck"), "Sound".into());
        checks.equal("remove", subject.ask("remove"), "ok".into());
        let after = list(world)?;
        checks.check("nothing of ours is left", !after.contains("ctwarden"), || after.clone());
    }

    // A foreign reload in the middle, and a table that vanished: at the end it is the foreign ruleset alone.
    base.reload(world)?;
    subject.ask("install");
    base.reload(world)?;
    subject.ask("recheck");
    world.shell("nft delete table ip late")?;
    checks.equal("a table that is gone is no obstacle", subject.ask(&format!("grant 30 {leases}")), "ok".into());
    checks.equal("remove", subject.ask("remove"), "ok".into());
    load(world, &OWNERS[OWNERS.find("table ip late").unwrap_or(0)..OWNERS.find("table ip6 late").unwrap_or(0)])?;
    let sorted = |text: &str| {
        let mut tables: Vec<_> = text.split("\n}\n").map(str::to_string).collect();
        tables.sort();
        tables
    };
    checks.equal("all is as before", sorted(&list(world)?), sorted(&before));

    strangers(base, world, checks, &mut subject)?;
    counting(base, world, checks)
}

/// What is not to be touched.
fn strangers(base: Base, world: &World, checks: &mut Checks<'_>, subject: &mut Subject) -> Outcome<()> {
    base.reload(world)?;
    world.shell("iptables -A FORWARD -s 10.9.9.9 -j DROP; ip6tables -P INPUT DROP")?;
    load(world, "add chain inet filter mine\nadd rule inet filter mine meta protocol ip accept comment \"ctwarden\"")?;
    let before = list(world)?;
    let rules = world.shell("iptables-save -t filter; ip6tables-save -t filter")?;
    let bare = |text: String| text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join("\n");
    checks.equal("nft is found beside iptables", subject.ask("probe"), "nft".into());
    checks.equal("install", subject.ask("install"), "ok".into());
    let with_us = world.shell("iptables-save -t filter; ip6tables-save -t filter")?;
    checks.equal("iptables-nft's tables are left alone", bare(with_us), bare(rules));
    checks.equal("nothing has changed", subject.ask("recheck"), "Sound".into());
    checks.equal("remove", subject.ask("remove"), "ok".into());
    unchanged(checks, "a rule with our word in it is not ours", world, &before)?;
    world.shell("nft flush ruleset; iptables -A FORWARD -s 10.9.9.9 -j DROP")?;
    checks.equal("nft is nothing where iptables has the firewall", subject.ask("probe") != "nft", true);
    world.shell("nft flush ruleset")?;
    checks.equal("but where nobody has", subject.ask("probe"), "nft".into());
    world.shell("nft flush ruleset; iptables-legacy -A FORWARD -s 10.9.9.9 -j DROP")?;
    checks.equal("nor iptables-legacy", subject.ask("probe") != "nft", true);
    base.reload(world)?;
    checks.equal("unless nftables has one too", subject.ask("probe"), "nft".into());

    // A table that its program holds for itself.
    base.reload(world)?;
    let owner = "(printf 'add table inet held { flags owner; }\n\
        add chain inet held c { type filter hook input priority 5; policy drop; }\n'; exec sleep 300) 2>/dev/null | nft -i >/dev/null 2>&1 &
        for n in $(seq 100); do nft list table inet held 2>/dev/null | grep 'hook input' && break; sleep 0.1; done
        echo $! >/run/holder";
    checks.check("a table is held", world.shell(owner)?.contains("hook input"), || list(world).unwrap_or_default());
    checks.equal("install", subject.ask("install"), "ok".into());
    checks.check("it is left alone", !world.shell("nft list table inet held")?.contains("ctwarden"), || {
        list(world).unwrap_or_default()
    });
    checks.equal("remove", subject.ask("remove"), "ok".into());
    world.shell("kill $(cat /run/holder); for n in $(seq 100); do nft list table inet held 2>/dev/null || break; sleep 0.1; done")?;
    Ok(())
}

/// `ct count`, where the owner asks for it.
fn counting(base: Base, world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    let mut subject = base.begin(world, checks, COUNTING)?;
    let before = list(world)?;
    checks.equal("rules that count", before.matches("ct count over 64").count(), 2);
    checks.equal("nothing has changed", subject.ask("recheck"), "Sound".into());
    checks.equal("grant", subject.ask("grant 30 source 10.77.0.2,source fd77:1::"), "ok".into());
    let sets = ["count4", "count6", "shed4", "shed6"].map(|set| {
        world.shell(&format!("nft list set inet ctwarden ctwarden_{set}")).is_ok_and(|t| t.contains("expires"))
    });
    checks.equal("both sets have it", sets, [true; 4]);
    checks.equal("remove", subject.ask("remove"), "ok".into());
    let mut plain = Subject::start(world, "nft", CONFIG)?;
    checks.equal("install", plain.ask("install"), "ok".into());
    checks.check("no counting unasked", !list(world)?.contains("ct count"), || list(world).unwrap_or_default());
    checks.equal("remove", plain.ask("remove"), "ok".into());

    // A kernel without connlimit: nft says no to the whole of it.
    let said = |e: std::io::Error| e.to_string();
    let (wrapper, real) = (world.scratch.join("nft"), world.scratch.join("nft.real"));
    fs::copy("/usr/sbin/nft", &real).map_err(said)?;
    let script = format!(
        "#!/bin/sh\nrules=$(cat)\ncase $rules in *'ct count'*) exit 1;; esac\necho \"$rules\" | {} \"$@\"\n",
        real.display()
    );
    fs::write(&wrapper, script).map_err(said)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).map_err(said)?;
    world.hidden = vec!["/usr/sbin/nft<nft"];
    let mut subject = Subject::start(world, "nft", COUNTING)?;
    world.hidden.clear();
    checks.equal("install where it cannot count", subject.ask("install"), "ok".into());
    checks.check("all but the counting", !list(world)?.contains("ct count") && heads(world)? == 16, || {
        list(world).unwrap_or_default()
    });
    checks.equal("nothing has changed", subject.ask("recheck"), "Sound".into());
    checks.equal("remove", subject.ask("remove"), "ok".into());

    let before = list(world)?;
    world.hidden = vec!["/usr/sbin/nft"];
    let mut subject = Subject::start(world, "nft", CONFIG)?;
    world.hidden.clear();
    checks.equal("without an nft it is not found", subject.ask("probe") != "nft", true);
    checks.equal("nor installed", subject.ask("install"), "ENOENT".into());
    unchanged(checks, "nothing was changed", world, &before)
}
