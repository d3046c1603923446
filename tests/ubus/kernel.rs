//! The same on the real kernel: passes over a table of 200,000 entries, which others do not wait for. tests/ubus/run makes the
//! namespaces that this wants and runs it.

use crate::ctnetlink::{Batch, Flow, Socket, Zone};
use crate::subject::Subject;
use crate::subject::Word::{Flag, Number, Text};
use crate::world::Bus;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// SEEN_REPLY and ASSURED.
const ASSURED: u32 = 6;
const ESTABLISHED: u8 = 3;
const HOG: &str = "10.9.0.1";
const HOGS: u32 = 120_000;
const OTHERS: u32 = 80_000;

const CONFIG: &str = "config ctwarden 'main'
	option enabled '1'
	option backend 'nft'
	list lan 'lan0'
	list ladder 'trim'
	list ladder 'shed'
	list ladder 'open'
";

/// So many flows of one source after the other.
fn fill(from: u32, entries: u32, sources: u32) {
    let socket = Socket::open().unwrap();
    let mut batch = Batch::default();
    for n in 0..entries {
        let flow = Flow {
            source: IpAddr::V4(Ipv4Addr::from(from + n % sources)),
            destination: IpAddr::V4(Ipv4Addr::from(0xc612_0000 + n / 60_000)),
            protocol: 6,
            source_port: 1_024 + (n % 60_000) as u16,
            destination_port: 443,
            status: ASSURED,
            tcp_state: ESTABLISHED,
            left: 400_000,
            mark: 0,
            zone: Zone::Default,
        };
        batch.create(&flow);
        if batch.bytes.len() > 60_000 || n + 1 == entries {
            socket.send(&batch.bytes).unwrap();
            batch.bytes.clear();
        }
    }
    assert_eq!(socket.errors().unwrap().0, 0);
}

fn count() -> u32 {
    fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").unwrap().trim().parse().unwrap()
}

/// A number of an answer.
fn number(text: &str, name: &str) -> u32 {
    let mark = format!("({name:?}, Long(");
    let from = text.find(&mark).unwrap_or_else(|| panic!("no {name} in {text}")) + mark.len();
    text[from..].split(')').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "tests/ubus/run"]
fn long_passes_are_answered_later_and_nobody_waits_for_them() {
    fill(0x0a09_0001, HOGS, 1);
    fill(0x0a0a_0000, OTHERS, 4_000);
    assert_eq!(count(), HOGS + OTHERS);
    let mut subject = Subject::on_this_system(CONFIG);
    let (mut long, mut other) = (subject.peer(), subject.peer());
    let hog = [("source", Text(HOG)), ("dry_run", Flag(true))];
    let (status, text) = subject.ask(&mut long, "trim", &hog);
    assert_eq!((status, number(&text, "touched")), (0, HOGS), "{text}");
    assert_eq!(count(), HOGS + OTHERS, "dry");
    // While that is counted again and again others are answered.
    let mut slowest = Duration::ZERO;
    for (method, fill) in [("top", true), ("flush", false)] {
        long.call(long.object, method, &|o| o.flag(if fill { "exact" } else { "dry_run" }, true));
        let began = Instant::now();
        let mut answered = 0;
        loop {
            let asked = Instant::now();
            assert_eq!(subject.ask(&mut other, "status", &[]).0, 0);
            slowest = slowest.max(asked.elapsed());
            answered += 1;
            if long.heard().iter().any(|m| m.status == Some(0)) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(20));
        }
        assert!(answered >= 5, "{method}: {answered} answers in {:?}", began.elapsed());
    }
    println!("slowest status beside a pass {slowest:?}");
    assert!(slowest < Duration::from_millis(200), "{slowest:?}");
    // Caps, and the windows.
    let shed = [("key", Text(HOG)), ("seconds", Number(20)), ("dry_run", Flag(true))];
    let (status, text) = subject.ask(&mut long, "shed", &shed);
    assert_eq!((status, number(&text, "touched")), (0, HOGS), "{text}");
    let (status, text) = subject.ask(&mut long, "shed", &shed[..2]);
    assert_eq!((status, number(&text, "shedding")), (0, 1), "{text}");
    let confirmed = [("confirm", Flag(true)), ("seconds", Number(20))];
    let (status, text) = subject.ask(&mut long, "open", &[("dry_run", Flag(true))]);
    assert!(status == 0 && text.contains("Text(\"open\")") && text.contains("\"touched\""), "{text}");
    let (status, text) = subject.ask(&mut long, "open", &confirmed);
    assert!(status == 0 && text.contains("(\"scope\", Text(\"router\"))"), "{status} {text}");
    let (status, text) = subject.ask(&mut long, "close", &[]);
    assert!(status == 0 && text.contains("(\"open\", Null)") && number(&text, "shedding") == 0, "{text}");
    // What is asked for is done.
    let (status, text) = subject.ask(&mut long, "trim", &hog[..1]);
    assert_eq!((status, number(&text, "after")), (0, OTHERS), "{text}");
    assert_eq!(count(), OTHERS);
    let (status, text) = subject.ask(&mut long, "flush", &[("confirm", Flag(true))]);
    assert_eq!((status, number(&text, "after"), count()), (0, 0, 0), "{text}");
    let text = subject.ask(&mut long, "status", &[]).1;
    assert!(text.contains("(\"allocations\", Long(0))"), "{text}");
    let said = subject.stop();
    for what in ["shed 10.9.0.1 for 20 s", "open for 20 s", "close", "trim 10.9.0.1", "flush"] {
        assert!(said.contains(&format!("{what}, asked for by user root:root")), "{what}: {said}");
    }
}
