//! `open all` opens everything, and the kernel closes it again, whoever has died and whatever was reloaded meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use super::Base;
use crate::Outcome;
use crate::checks::Checks;
use crate::packets::{all_reach, entries, reaches, serve};
use crate::world::World;

const CONFIG: &str = "config ctwarden 'main'\n option open_scope 'all'\n";
const ROUTERS: [&str; 2] = ["192.0.2.1", "fd77:2::1"];
const LAN: [&str; 2] = ["10.77.0.2", "fd77:1::2"];

/// Router and LAN by IPv4, the same by IPv6.
fn open(world: &World) -> [bool; 4] {
    let ([router4, router6], [lan4, lan6], wan) = (ROUTERS, LAN, &world.wan);
    all_reach([(wan, router4, 8080), (wan, lan4, 80), (wan, router6, 8080), (wan, lan6, 80)])
}

pub fn case(base: Base, world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    serve(&world.lan, &[80]);
    serve(&world.router, &[22, 8080]);
    let mut subject = base.begin(world, checks, CONFIG)?;
    checks.equal("closed to begin with", open(world), [false; 4]);
    checks.equal("router and lan", subject.ask("grant 30 router br-lan 6 22,lan br-lan"), "ok".into());
    checks.equal("are closed to the WAN", open(world), [false; 4]);
    checks.equal("IPv4", subject.ask("grant 30 all 4"), "ok".into());
    checks.equal("is open alone", open(world), [true, true, false, false]);
    checks.equal("IPv6 too", subject.ask("grant 30 all 4,all 6"), "ok".into());
    checks.equal("all is open", open(world), [true; 4]);
    checks.check("tracked", entries(world, "dport=8080 ") > 0, || "not".into());
    checks.equal("a port of the router from the WAN", subject.ask("grant 30 router wan0 6 22"), "ok".into());
    let untracked = ROUTERS.iter().all(|r| reaches(&world.wan, r, 22)) && entries(world, "dport=22 ") == 0;
    checks.check("is untracked", untracked, || "not".into());
    checks.equal(
        "revoked",
        subject.ask("revoke all 4,all 6,router wan0 6 22,router br-lan 6 22,lan br-lan"),
        "ok".into(),
    );
    checks.equal("closed", open(world), [false; 4]);
    checks.check("port 22 too", !ROUTERS.iter().any(|r| reaches(&world.wan, r, 22)), || "open".into());

    // A reload in the middle, and the end of everybody who knows of it.
    let began = Instant::now();
    checks.equal("open", subject.ask("grant 12 all 4,all 6"), "ok".into());
    // At the latest.
    let mut ends = Instant::now() + Duration::from_secs(12);
    checks.equal("all is open", open(world), [true; 4]);
    base.reload(world)?;
    match base {
        // The sets stay, and so do the elements.
        Base::Fw4 => checks.equal("a reload keeps it open", subject.ask("recheck"), "Sound".into()),
        Base::Nft => {
            checks.equal("a reload closes", open(world), [false; 4]);
            checks.equal("it is noticed", subject.ask("recheck"), "Mended".into());
            let left = 12.0 - began.elapsed().as_secs_f64();
            checks.equal(
                "what was left is given again",
                subject.ask(&format!("grant {left} all 4,all 6")),
                "ok".into(),
            );
            ends = Instant::now() + Duration::from_secs_f64(left);
        }
    }
    checks.equal("all is open", open(world), [true; 4]);
    subject.kill();
    checks.check("so far in time", began.elapsed() < Duration::from_secs(11), || format!("{:?}", began.elapsed()));
    checks.equal("open whoever died", reaches(&world.wan, ROUTERS[0], 8080), true);
    thread::sleep((ends + Duration::from_millis(50)).saturating_duration_since(Instant::now()));
    checks.equal("closed by itself", open(world), [false; 4]);
    Ok(())
}
