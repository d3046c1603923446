//! `open all` opens everything, and the kernel closes it again, whoever has died and whatever was reloaded meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{all_reach, entries, reaches, serve};
use crate::world::{Subject, World, fw3};

const CONFIG: &str = "config ctwarden 'main'\n option open_scope 'all'\n list ports '22'\n";
const ROUTERS: [&str; 2] = ["192.0.2.1", "fd77:2::1"];
const LAN: [&str; 2] = ["10.77.0.2", "fd77:1::2"];

pub fn case(world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    world.firewall()?;
    serve(&world.lan, &[80]);
    serve(&world.router, &[22, 8080]);
    let mut subject = Subject::start(world, "iptables", CONFIG)?;
    checks.equal("install", subject.ask("install"), "ok".into());
    let open = |world: &World| {
        let ([router4, router6], [lan4, lan6], wan) = (ROUTERS, LAN, &world.wan);
        all_reach([(wan, router4, 8080), (wan, lan4, 80), (wan, router6, 8080), (wan, lan6, 80)])
    };
    checks.equal("closed to begin with", open(world), [false; 4]);
    checks.equal("IPv4", subject.ask("grant 30 all 4"), "ok".into());
    checks.equal("is open alone", open(world), [true, true, false, false]);
    checks.equal("IPv6 too", subject.ask("grant 30 all 4,all 6"), "ok".into());
    checks.equal("all is open", open(world), [true; 4]);
    checks.check("tracked", entries(world, "dport=8080 ") > 0, || "not".into());
    checks.equal("a port of the router from the WAN", subject.ask("grant 30 router wan0 6 22"), "ok".into());
    let untracked = ROUTERS.iter().all(|r| reaches(&world.wan, r, 22)) && entries(world, "dport=22 ") == 0;
    checks.check("is untracked", untracked, || "not".into());
    checks.equal("lan is in it", subject.ask("grant 30 lan br-lan"), "ok".into());
    checks.equal("NAT is as it was", world.shell("iptables-save -t nat | grep -c MASQ")?, "1\n".into());
    checks.equal("revoked", subject.ask("revoke all 4,all 6,router wan0 6 22,lan br-lan"), "ok".into());
    checks.equal("closed", open(world), [false; 4]);
    checks.check("port 22 too", !ROUTERS.iter().any(|r| reaches(&world.wan, r, 22)), || "open".into());
    checks.equal("a port that no rule is for", subject.ask("grant 30 router br-lan 6 9999"), "EOPNOTSUPP".into());
    checks.equal("is left out", subject.ask("grant 30 all 4,router br-lan 6 9999"), "ok".into());
    checks.equal("the rest is open", open(world), [true, true, false, false]);
    checks.equal("and closed again", subject.ask("revoke all 4"), "ok".into());
    checks.equal("all of it", open(world), [false; 4]);

    // A reload in the middle, and the end of everybody who knows of it.
    subject.ask("grant 30 all 4,all 6");
    world.shell("iptables -F INPUT; ip6tables -F INPUT; iptables -F FORWARD; ip6tables -F FORWARD")?;
    world.restore("iptables", &fw3())?;
    world.firewall()?;
    checks.equal("a reload closes", open(world), [false; 4]);
    checks.equal("it is noticed", subject.ask("recheck"), "Mended".into());
    checks.equal("nothing is left", subject.ask("left all 4"), "-1".into());
    let began = Instant::now();
    checks.equal("what was left is given again", subject.ask("grant 17 all 4,all 6"), "ok".into());
    checks.equal("all is open", open(world), [true; 4]);
    subject.kill();
    thread::sleep(Duration::from_millis(26_000).saturating_sub(began.elapsed()));
    checks.equal("open until the kernel's time is over", open(world), [true; 4]);
    let mut observer = Subject::start(world, "iptables", CONFIG)?;
    observer.ask("install");
    let left = observer.left("all 6");
    let expected = 30.0 - began.elapsed().as_secs_f64();
    checks.check("the kernel's clock says so too", (left - expected).abs() < 0.5, || format!("{left}, not {expected}"));
    observer.kill();
    thread::sleep(Duration::from_millis(30_050).saturating_sub(began.elapsed()));
    checks.equal("closed by itself", open(world), [false; 4]);
    let lists = world.shell("cat /proc/net/xt_recent/ctwarden_all /proc/net/xt_recent/ctwarden_all6")?;
    checks.equal("and the first packet has taken the stamp out", lists, String::new());
    Ok(())
}
