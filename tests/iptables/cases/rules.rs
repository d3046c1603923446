//! Our rules come and go and leave everybody else's as they were.

use crate::Outcome;
use crate::checks::Checks;
use crate::world::{Subject, World, fw3};

const CONFIG: &str = "config ctwarden 'main'\n option open_scope 'all'\n option lifeline_dns '1'\n list lan 'br-lan'\n list lan 'br-guest'\n";
const NARROW: &str = "config ctwarden 'main'\n option open_scope 'router'\n";

pub fn case(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    let saved = |world: &World| -> Outcome<[String; 2]> { Ok([world.saved("iptables")?, world.saved("ip6tables")?]) };
    let before = saved(world)?;
    let ours = |world: &World| world.shell("iptables-save; ip6tables-save").map(|t| t.matches("ctwarden").count());
    let lists =
        |world: &World| world.shell("ls /proc/net/xt_recent | wc -l").map(|n| n.trim().parse::<u32>().unwrap_or(0));

    let mut subject = Subject::start(world, "iptables", CONFIG)?;
    checks.equal("it is found by probing", subject.ask("probe"), "iptables".into());
    checks.equal("probing changes nothing", saved(world)? == before, true);
    checks.equal("install", subject.ask("install"), "ok".into());
    let once = ours(world)?;
    checks.check("rules are there", once > 60, || format!("{once}"));
    checks.equal("nothing has changed", subject.ask("recheck"), "Sound".into());
    checks.equal("install again", subject.ask("install"), "ok".into());
    checks.equal("changes nothing", ours(world)?, once);
    checks.equal("remove", subject.ask("remove"), "ok".into());
    checks.equal("all is as before", saved(world)?, before.clone());
    checks.equal("no list is left", lists(world)?, 0);

    // Somebody reloads.
    let v6 = world.shell("ip6tables-save -t filter | grep -v '^#'")?;
    for (what, how) in [
        ("iptables -F", "iptables -F; ip6tables -F"),
        ("a flush of one chain", "iptables -F FORWARD; ip6tables -t raw -F OUTPUT"),
        ("iptables-restore", &*format!("iptables-restore <<'EOF'\n{}\nEOF\n", fw3())),
        ("ip6tables-restore", &*format!("ip6tables-restore <<'EOF'\n{v6}\nEOF\n")),
        ("-F and -X of all tables", "for t in raw mangle filter nat; do iptables -t $t -F; iptables -t $t -X; done"),
        ("policies alone", "iptables -P INPUT DROP; iptables -P INPUT ACCEPT"),
    ] {
        checks.equal("install", subject.ask("install"), "ok".into());
        let whole = ours(world)?;
        world.shell(how)?;
        let expected = if what == "policies alone" { "Sound" } else { "Mended" };
        checks.equal(&format!("{what} is noticed"), subject.ask("recheck"), expected.into());
        checks.equal("and mended", (ours(world)?, subject.ask("recheck")), (whole, "Sound".into()));
        world.shell(how)?;
        checks.equal("remove after it was done once more", subject.ask("remove"), "ok".into());
        checks.equal("nothing of ours is left", (ours(world)?, lists(world)?), (0, 0));
        world.firewall()?;
        checks.equal("and the firewall is as it was", saved(world)?, before.clone());
    }

    // A part is taken out, a part is doubled.
    subject.ask("install");
    world.shell("iptables -D INPUT -j ctwarden_in; iptables -t raw -A PREROUTING -j ctwarden_in")?;
    world.shell("ip6tables -A OUTPUT -p 255 -m recent --rcheck --name ctwarden_at_output6")?;
    subject.ask("remove");
    checks.equal("what was tampered with goes too", (ours(world)?, lists(world)?), (0, 0));
    world.firewall()?;

    // A crash, and a narrower config.
    subject.ask("install");
    subject.kill();
    let mut subject = Subject::start(world, "iptables", NARROW)?;
    checks.equal("install after a crash", subject.ask("install"), "ok".into());
    let text = world.shell("iptables-save; ip6tables-save")?;
    let wide = ["ctwarden_all", "ctwarden_lan", "FORWARD 1 -j ctwarden", "ctwarden_at_forward", "br-guest"];
    checks.check("nothing of the wider config is left", !wide.iter().any(|w| text.contains(w)), || text.clone());
    for lease in ["all 4", "lan br-lan", "router wan0 6 22", "router br-lan 6 8080", "router br-lan 17 22"] {
        checks.equal(&format!("{lease}: refused"), subject.ask(&format!("grant 30 {lease}")), "EOPNOTSUPP".into());
    }
    checks.equal("remove", subject.ask("remove"), "ok".into());
    checks.equal("all is as before", saved(world)?, before);
    Ok(())
}
