//! A lease ends by itself, a renewal makes it longer, and there is room for as many as there can be.

use std::thread;
use std::time::{Duration, Instant};

use super::Base;
use crate::Outcome;
use crate::checks::Checks;
use crate::world::World;

const CONFIG: &str = "config ctwarden 'main'\n";

pub fn case(base: Base, world: &mut World, checks: &mut Checks<'_>) -> Outcome<()> {
    let mut subject = base.begin(world, checks, CONFIG)?;
    let kinds = [
        "source 10.77.0.2",
        "source fd77:1::",
        "dest 192.0.2.2 6 443",
        "dest fd77:2::2 17 53",
        "router br-lan 6 22",
        "lan br-lan",
        "all 4",
        "all 6",
    ];
    let all = kinds.join(",");
    checks.equal("one of each", subject.ask(&format!("grant 2 {all}")), "ok".into());
    let began = Instant::now();
    thread::sleep(Duration::from_millis(1_200));
    let left = kinds.map(|lease| subject.left(lease));
    let near = |left: &f64, term: f64, since: Instant| (left - (term - since.elapsed().as_secs_f64())).abs() < 0.3;
    checks.check("time passes", left.iter().all(|l| near(l, 2.0, began)), || format!("{left:?}"));
    let (renewed, forgotten) = kinds.split_at(4);
    checks.equal("half are renewed", subject.ask(&format!("grant 2.5 {}", renewed.join(","))), "ok".into());
    let again = Instant::now();
    let left: Vec<f64> = renewed.iter().map(|lease| subject.left(lease)).collect();
    checks.check("from then on", left.iter().all(|l| near(l, 2.5, again)), || format!("{left:?}"));
    thread::sleep(Duration::from_millis(2_050).saturating_sub(began.elapsed()));
    let left: Vec<f64> = forgotten.iter().map(|lease| subject.left(lease)).collect();
    checks.equal("the others end by themselves", left, vec![-1.0; 4]);
    checks.check("the renewed do not", renewed.iter().all(|l| subject.left(l) > 0.5), || "gone".into());
    thread::sleep(Duration::from_millis(2_550).saturating_sub(again.elapsed()));
    checks.equal("but then", renewed.iter().map(|lease| subject.left(lease)).collect::<Vec<_>>(), vec![-1.0; 4]);
    checks.equal("shorter too", subject.ask("grant 30 all 4"), "ok".into());
    checks.equal("is possible", subject.ask("grant 1 all 4"), "ok".into());
    let left = subject.left("all 4");
    checks.check("so it is", left <= 1.0, || format!("{left}"));
    checks.equal("one twice", subject.ask("grant 1 all 4,all 4,lan br-lan,lan wan0"), "ok".into());

    // As many as there can be, then as many others before the kernel has collected what is over.
    let crowd = |net: u8| {
        (0..64)
            .flat_map(|n| [format!("source 10.{net}.0.{n}"), format!("dest fd77:{net}::{n} 6 80")])
            .collect::<Vec<_>>()
    };
    for net in 1..4 {
        let crowd = crowd(net);
        checks.equal("64 of each", subject.ask(&format!("grant 0.4 {}", crowd.join(","))), "ok".into());
        checks.equal("once more", subject.ask(&format!("grant 0.7 {}", crowd.join(","))), "ok".into());
        let kept = crowd.iter().filter(|lease| subject.left(lease) > 0.0).count();
        checks.equal("are all in the kernel", kept, crowd.len());
        thread::sleep(Duration::from_millis(750));
    }
    let ports: Vec<String> = (0..128).map(|port| format!("router br-lan 6 {port}")).collect();
    checks.equal("128 ports", subject.ask(&format!("grant 30 {}", ports.join(","))), "ok".into());
    checks.equal("known for our own change", subject.ask("recheck"), "Sound".into());
    let kept = ports.iter().filter(|lease| subject.left(lease) > 0.0).count();
    checks.equal("are all in the kernel", kept, ports.len());
    checks.equal("revoked", subject.ask(&format!("revoke {}", ports.join(","))), "ok".into());
    let elements = world.shell(&format!("nft list table {} | grep -c expires || true", base.table()))?;
    checks.equal("no element is left", elements.trim().to_string(), "0".into());
    Ok(())
}
