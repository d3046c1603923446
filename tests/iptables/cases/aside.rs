//! Where the kernel has no leases: the rules are set aside and a guardian puts them back, or the init script is stopped.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{reaches, serve};
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n option open_scope 'all'\n";
/// Seconds of a lease, and what is surely after it.
const TERM: u64 = 3;
const AFTER: Duration = Duration::from_millis(4_500);

fn open(world: &World) -> [bool; 3] {
    [reaches(&world.wan, "192.0.2.1", 22), reaches(&world.wan, "fd77:2::1", 22), reaches(&world.wan, "fd77:1::2", 80)]
}

fn both(world: &World) -> Outcome<[String; 2]> {
    Ok([world.saved("iptables")?, world.saved("ip6tables")?])
}

/// The guardians of this router.
fn guardians(world: &World) -> Vec<Pid> {
    let here = world.router.within(|| fs::metadata("/proc/thread-self/ns/net").map(|m| m.ino()).unwrap_or(0));
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let said = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let net = fs::metadata(format!("/proc/{pid}/ns/net")).map_or(1, |m| m.ino());
            net == here && said.starts_with(b"ctwarden\0guardian\0")
        })
        .map(Pid::from_raw)
        .collect()
}

/// Neither starting a guardian nor an order to it takes memory.
fn begun(subject: &mut Subject, order: &str) -> bool {
    subject.ask(order) == "ok"
}

fn end_guardians(world: &World, signal: Signal) {
    for pid in guardians(world) {
        let _ = kill(pid, signal);
    }
    thread::sleep(Duration::from_millis(700));
}

pub fn snapshot(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    serve(&world.router, &[22]);
    serve(&world.lan, &[80]);
    let before = both(world)?;
    let grant = format!("grant {TERM} all 4,all 6");
    world.hidden = vec!["/usr/lib/x86_64-linux-gnu/xtables/libxt_recent.so"];
    let mut subject = Subject::start(world, "snapshot", CONFIG)?;
    checks.equal("it is found by probing", subject.ask("probe"), "snapshot".into());
    world.hidden = vec![];
    checks.equal("install", subject.ask("install"), "ok".into());
    for lease in ["router br-lan 6 22", "source 10.0.0.1", "all 4,lan br-lan"] {
        checks.equal(&format!("{lease}: refused"), subject.ask(&format!("grant 30 {lease}")), "EOPNOTSUPP".into());
    }
    checks.equal("closed, and nothing changed", (open(world), both(world)? == before), ([false; 3], true));

    checks.equal("IPv4", begun(&mut subject, &format!("grant {TERM} all 4")), true);
    checks.equal("is open alone", open(world), [true, false, false]);
    checks.equal("IPv6 too", begun(&mut subject, &grant), true);
    checks.equal("all is open", open(world), [true; 3]);
    checks.equal("nothing has changed", subject.ask("recheck"), "Sound".into());
    let left = subject.left("all 6");
    checks.check("the guardian says what is left", (2.0..=3.0).contains(&left), || format!("{left}"));
    checks.equal("NAT is as it was", world.shell("iptables-save -t nat | grep -c MASQ")?, "1\n".into());
    thread::sleep(Duration::from_millis(2_000));
    checks.equal("renewed", subject.ask(&grant), "ok".into());
    thread::sleep(Duration::from_millis(2_000));
    checks.equal("open still", open(world)[0], true);
    thread::sleep(AFTER - Duration::from_secs(2));
    checks.equal("the daemon hangs: closed at the deadline", (open(world), both(world)? == before), ([false; 3], true));
    checks.equal("it sees that", subject.ask("recheck"), "Mended".into());
    checks.equal("nothing is left", subject.ask("left all 4"), "-1".into());

    subject.ask(&grant);
    checks.equal("one family revoked", begun(&mut subject, "revoke all 4"), true);
    checks.equal("closes that one", open(world), [false, true, true]);
    checks.equal("the other too", subject.ask("revoke all 6"), "ok".into());
    checks.equal("all as before", (open(world), both(world)? == before), ([false; 3], true));

    subject.ask(&grant);
    subject.kill();
    checks.equal("the daemon is killed: open for its term", open(world), [true; 3]);
    let mut next = Subject::start(world, "snapshot", CONFIG)?;
    checks.equal("a new daemon", next.ask("install"), "ok".into());
    checks.equal("lets the guardian end it", next.ask(&grant), "EBUSY".into());
    thread::sleep(AFTER);
    checks.equal("closed", (open(world), both(world)? == before), ([false; 3], true));
    checks.equal("then it can", begun(&mut next, &grant), true);

    end_guardians(world, Signal::SIGKILL);
    checks.equal("the guardian is killed: open", open(world), [true; 3]);
    checks.equal("the daemon sees it", next.ask("recheck"), "Mended".into());
    checks.equal("and closes", (open(world), both(world)? == before), ([false; 3], true));

    next.ask(&grant);
    end_guardians(world, Signal::SIGTERM);
    checks.equal("the guardian is told to end: closed", (open(world), both(world)? == before), ([false; 3], true));
    checks.equal("seen", next.ask("recheck"), "Mended".into());

    next.ask(&grant);
    next.kill();
    end_guardians(world, Signal::SIGKILL);
    thread::sleep(AFTER);
    checks.equal("both are killed: open, as it says", open(world), [true; 3]);
    let restored = world.command(&world.router, "self").args(["guardian", "restore"]).status();
    checks.equal("the next start", restored.is_ok_and(|s| s.success()), true);
    checks.equal("closes", (open(world), both(world)? == before), ([false; 3], true));
    checks.equal("nothing is set aside any more", world.shell("ls /run/ctwarden")?, "guardian\n".into());

    // Somebody else was at it.
    let mut subject = Subject::start(world, "snapshot", CONFIG)?;
    subject.ask(&grant);
    world.shell("iptables -I INPUT -s 192.0.2.99 -j DROP; iptables -N jail; iptables -A jail -j RETURN")?;
    thread::sleep(AFTER);
    checks.equal("a rule was added: closed", open(world), [false; 3]);
    let text = world.shell("iptables -S INPUT; iptables -S jail")?;
    checks.check(
        "and it is kept, ahead",
        text.starts_with("-P INPUT ACCEPT\n-A INPUT -s 192.0.2.99") && text.contains("-A jail -j RETURN"),
        || text.clone(),
    );
    world.shell("iptables -D INPUT 1; iptables -F jail; iptables -X jail")?;
    checks.equal("the rest is as before", both(world)? == before, true);

    subject.ask("recheck");
    checks.equal("once more", begun(&mut subject, &grant), true);
    world.firewall()?;
    world.shell("iptables -A input_wan_rule -p tcp --dport 22 -j ACCEPT")?;
    let reloaded = both(world)?;
    checks.equal("a reload, edited: closed", open(world), [true, false, false]);
    thread::sleep(AFTER);
    checks.equal("and left alone", both(world)? == reloaded, true);
    subject.ask("recheck");
    checks.equal("remove", subject.ask("remove"), "ok".into());
    checks.equal("changes nothing", both(world)? == reloaded, true);

    // The owner's rules are in a chain that a reload leaves alone.
    world.shell("iptables -A input_rule -s 192.0.2.66 -j DROP")?;
    checks.equal("once more", begun(&mut subject, &grant), true);
    checks.equal("a user's chain is kept", world.shell("iptables -S input_rule")?.contains("-s 192.0.2.66"), true);
    world.shell("iptables -A input_rule -s 192.0.2.67 -j DROP")?;
    checks.equal("closed", subject.ask("revoke all 4,all 6"), "ok".into());
    let rules = world.shell("iptables -S input_rule")?;
    checks.equal("what was added to it too, nothing twice", rules.matches("192.0.2.6").count(), 2);

    // A family without a firewall.
    world.shell("ip6tables -F; ip6tables -X; ip6tables -P FORWARD ACCEPT")?;
    let bare = both(world)?;
    checks.equal("an open family is no obstacle", begun(&mut subject, &grant), true);
    checks.equal("closed", subject.ask("revoke all 4,all 6"), "ok".into());
    checks.equal("and left alone", both(world)? == bare, true);
    checks.equal("no guardian is left", guardians(world).len(), 0);
    Ok(())
}

pub fn script(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    serve(&world.router, &[22]);
    serve(&world.lan, &[80]);
    let script = world.scratch.join("firewall");
    let rules = |name: &str, text: &str| fs::write(world.scratch.join(name), text).map_err(|e| e.to_string());
    rules("rules4", &world.shell("iptables-save")?)?;
    rules("rules6", &world.shell("ip6tables-save")?)?;
    let at = world.scratch.display();
    let text = format!(
        "#!/bin/sh\necho $1 >>{at}/calls\ncase $1 in\n\
        stop) for i in iptables ip6tables; do $i -P FORWARD ACCEPT; for t in nat filter; do $i -t $t -F; $i -t $t -X; done; done ;;\n\
        start) iptables-restore {at}/rules4; ip6tables-restore {at}/rules6 ;;\nesac\n"
    );
    fs::write(&script, text)
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .map_err(|e| e.to_string())?;
    let before = both(world)?;
    let calls = || fs::read_to_string(world.scratch.join("calls")).unwrap_or_default().replace('\n', " ");
    let grant = format!("grant {TERM} all 4,all 6");
    let mut subject = Subject::start(world, "script", CONFIG)?;
    checks.equal("install", subject.ask("install"), "ok".into());
    checks.equal("closed", open(world), [false; 3]);
    checks.equal("opened", begun(&mut subject, &grant), true);
    checks.equal("open", (open(world), calls()), ([true; 3], "stop ".into()));
    checks.equal("renewed", subject.ask(&grant), "ok".into());
    subject.kill();
    checks.equal("the daemon is killed: open for its term", open(world), [true; 3]);
    thread::sleep(AFTER);
    checks.equal("closed", (open(world), both(world)? == before, calls()), ([false; 3], true, "stop start ".into()));
    let mut subject = Subject::start(world, "script", CONFIG)?;
    subject.ask(&grant);
    checks.equal("remove", subject.ask("remove"), "ok".into());
    checks.equal("closes", (open(world), both(world)? == before), ([false; 3], true));
    subject.ask(&grant);
    end_guardians(world, Signal::SIGKILL);
    subject.kill();
    let mut subject = Subject::start(world, "script", CONFIG)?;
    checks.equal("both are killed: the next start", subject.ask("install"), "ok".into());
    checks.equal("closes", (open(world), both(world)? == before), ([false; 3], true));
    Ok(())
}
