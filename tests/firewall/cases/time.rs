//! A lease ends by itself, a renewal makes it longer, and there is room for as many as there can be.

use std::thread;
use std::time::{Duration, Instant};

use super::Base;
use crate::Outcome;
use crate::checks::Checks;
use crate::world::{Subject, World};

const CONFIG: &str = "config ctwarden 'main'\n";

/// Leases that were given, and between which moments.
struct Grant {
    term: f64,
    asked: Instant,
    answered: Instant,
}

impl Grant {
    fn new(subject: &mut Subject, checks: &mut Checks<'_>, term: f64, leases: &str) -> Self {
        let asked = Instant::now();
        checks.equal("they are given", subject.ask(&format!("grant {term} {leases}")), "ok".into());
        Self { term, asked, answered: Instant::now() }
    }

    /// Whether what the kernel says is left of them is what must be, whenever in between it gave and looked.
    fn check(&self, subject: &mut Subject, checks: &mut Checks<'_>, what: &str, leases: &[&str]) {
        // The kernel's clock ticks.
        const TICK: f64 = 0.02;
        let asking = Instant::now();
        let left = subject.all_left(leases);
        let most = self.term - (asking - self.answered).as_secs_f64() + TICK;
        let least = self.term - self.asked.elapsed().as_secs_f64() - TICK;
        let holds = left.len() == leases.len() && left.iter().all(|l| (least.max(-1.0)..=most).contains(l));
        checks.check(what, holds, || format!("{left:?}, not {least} to {most}"));
    }
}

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
    let mut granted = Grant::new(&mut subject, checks, 2.0, &all);
    thread::sleep(Duration::from_millis(1_200));
    granted.check(&mut subject, checks, "time passes", &kinds);
    let (renewed, forgotten) = kinds.split_at(4);
    let ended = granted.answered + Duration::from_millis(2_050);
    granted = Grant::new(&mut subject, checks, 5.0, &renewed.join(","));
    granted.check(&mut subject, checks, "from then on", renewed);
    thread::sleep(ended.saturating_duration_since(Instant::now()));
    checks.equal("the others end by themselves", subject.all_left(forgotten), vec![-1.0; 4]);
    granted.check(&mut subject, checks, "the renewed do not", renewed);
    thread::sleep((granted.answered + Duration::from_millis(5_050)).saturating_duration_since(Instant::now()));
    checks.equal("but then", subject.all_left(renewed), vec![-1.0; 4]);
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
        checks.equal("64 of each", subject.ask(&format!("grant 1 {}", crowd.join(","))), "ok".into());
        // Who was kept waiting for the answer until they were over has seen nothing.
        let (kept, asked) = loop {
            let granted = Instant::now();
            checks.equal("once more", subject.ask(&format!("grant 1.5 {}", crowd.join(","))), "ok".into());
            let kept = subject.all_left(&crowd).iter().filter(|left| **left > 0.0).count();
            if granted.elapsed() < Duration::from_millis(1_400) {
                break (kept, Instant::now());
            }
        };
        checks.equal("are all in the kernel", kept, crowd.len());
        thread::sleep((asked + Duration::from_millis(1_550)).saturating_duration_since(Instant::now()));
    }
    let ports: Vec<String> = (0..128).map(|port| format!("router br-lan 6 {port}")).collect();
    checks.equal("128 ports", subject.ask(&format!("grant 30 {}", ports.join(","))), "ok".into());
    checks.equal("known for our own change", subject.ask("recheck"), "Sound".into());
    let kept = subject.all_left(&ports).iter().filter(|left| **left > 0.0).count();
    checks.equal("are all in the kernel", kept, ports.len());
    checks.equal("revoked", subject.ask(&format!("revoke {}", ports.join(","))), "ok".into());
    let elements = world.shell(&format!("nft list table {} | grep -c expires || true", base.table()))?;
    checks.equal("no element is left", elements.trim().to_string(), "0".into());
    Ok(())
}
