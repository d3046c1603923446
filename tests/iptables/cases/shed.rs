//! Hogs are slowed down, and nobody else.

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{Counter, Sent, connect, echoes, serve};
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n";

pub fn case(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    serve(&world.wan, &[443]);
    let mut subject = Subject::start(world, "iptables", CONFIG)?;
    checks.equal("install", subject.ask("install"), "ok".into());
    let counter = Counter::at(&world.wan, 5353);
    let other = Counter::at(&world.wan, 5354);
    let between = |what: &str, checks: &mut Checks<'_>, came: u32, low: u32, high: u32| {
        checks.check(what, (low..=high).contains(&came), || format!("{came} came, expected {low} to {high}"));
    };
    let limited = |what: &str, checks: &mut Checks<'_>, sent: Sent, a_second: u32, burst: u32| {
        checks.check(what, sent.is_limited(a_second, burst), || {
            format!("{} came, expected {}", sent.came, sent.expected(a_second, burst))
        });
    };
    for (hog, neighbour, to, lease) in [
        ("10.77.0.2", "10.77.0.3", "192.0.2.2", "source 10.77.0.2"),
        // Its /64 is the hog.
        ("fd77:1::2", "", "fd77:2::2", "source fd77:1::"),
    ] {
        let old = connect(&world.lan, to, 443).ok_or("no flow to begin with")?;
        between("no lease: all come", checks, counter.of(&world.lan, hog, to, 400, false), 400, 400);
        checks.equal(lease, subject.ask(&format!("grant 30 {lease}")), "ok".into());
        let left = subject.left(lease);
        checks.check("the kernel says what is left", (25.0..=30.0).contains(&left), || format!("{left}"));
        limited("20 a second and 5 at once", checks, counter.sent(&world.lan, hog, to, 400, false), 20, 5);
        between(
            "one flow loses nothing, one-way as it is",
            checks,
            counter.of(&world.lan, hog, to, 500, true),
            499,
            500,
        );
        checks.check("a flow from before goes on", echoes(&old), || "dead".into());
        if !neighbour.is_empty() {
            between("the neighbour loses nothing", checks, counter.of(&world.lan, neighbour, to, 400, false), 400, 400);
        }
        checks.equal("revoked", subject.ask(&format!("revoke {lease}")), "ok".into());
        between("all come", checks, counter.of(&world.lan, hog, to, 400, false), 400, 400);

        let lease = format!("dest {to} 17 5353");
        checks.equal(&lease, subject.ask(&format!("grant 30 {lease}")), "ok".into());
        limited("100 a second and 100 at once", checks, counter.sent(&world.lan, hog, to, 800, false), 100, 100);
        between("its other ports have a rate each", checks, other.of(&world.lan, hog, to, 90, false), 90, 90);
        checks.equal("revoked", subject.ask(&format!("revoke {lease}")), "ok".into());
        checks.equal("nothing is left", subject.ask(&format!("left {lease}")), "-1".into());
    }
    // As many as there can be.
    let many: Vec<String> =
        (0..64).flat_map(|n| [format!("source 10.1.0.{n}"), format!("dest fd77:9::{n} 6 80")]).collect();
    checks.equal("64 of each", subject.ask(&format!("grant 30 {}", many.join(","))), "ok".into());
    let kept = subject.all_left(&many).iter().filter(|left| **left > 0.0).count();
    checks.equal("are all in the kernel", kept, many.len());
    Ok(())
}
