//! The daemon as a whole on a bus: every method, and whatever a bus may do to it.

use crate::broker::{made, text_of};
use crate::subject::Word::{Flag, Number, Text};
use crate::subject::{CONFIG, Subject};
use crate::world::{Bus, Peer};
use ctwarden::wire::ubus::{attribute, message};
use std::time::{Duration, Instant};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const FAULTY: &str = "config ctwarden 'main'\n\toption high '2000'\n";

/// The call's status is this, and each of these is in the answer.
fn says(answer: &(u32, String), status: u32, parts: &[&str]) {
    assert_eq!(answer.0, status, "{answer:?}");
    for part in parts {
        assert!(answer.1.contains(part), "{part} is not in {answer:?}");
    }
}

#[test]
fn what_only_reads_is_answered() {
    let mut subject = Subject::new();
    let answers = subject.answers(&[
        ("status", &[("ubus_rpc_session", Text(TOKEN)), ("whatever", Number(5))]),
        ("top", &[]),
        ("top", &[("by", Text("prefix")), ("n", Number(1)), ("exact", Flag(true))]),
        ("top", &[("by", Text("state"))]),
        ("size", &[]),
        ("size", &[("max", Number(16_000)), ("ram_percent", Number(5))]),
        ("size", &[("board", Text("glinet,gl-ar750"))]),
        ("check", &[]),
        ("incidents", &[]),
        ("drill", &[]),
        ("history", &[]),
        ("history", &[("span", Text("24h")), ("since", Number(5))]),
        ("metrics", &[]),
    ]);
    let table = "(\"count\", Long(140)), (\"max\", Long(";
    says(&answers[0], 0, &["(\"daemon\", Bool(true))", table, "(\"verdict\", Text(\"calm\"))", "\"ladder\", Array"]);
    says(&answers[1], 0, &["(\"by\", Text(\"source\"))", "(\"exact\", Bool(true))", "\"rows\"", "192.168."]);
    says(&answers[2], 0, &["(\"by\", Text(\"prefix\"))", "/24"]);
    says(&answers[3], 0, &["Text(\"assured\")", "Text(\"tcp\")"]);
    says(&answers[4], 0, &["\"set_max\"", "\"cost_kib\"", "(\"what\", Text(\"RAM\"))", "\"why\""]);
    says(&answers[5], 0, &["(\"what\", Text(\"fixed by the config\")), (\"value\", Text(\"16,000\"))"]);
    says(&answers[6], 0, &["ath79"]);
    says(&answers[7], 0, &["(\"ok\", Bool(true))", "no fault"]);
    says(&answers[8], 0, &["(\"incidents\", Array([]))", "(\"asked\", Array([]))"]);
    says(&answers[9], 0, &["(\"ok\", Bool(true))", "a drill", "flush"]);
    says(&answers[10], 0, &["(\"span\", Text(\"5m\")), (\"step\", Long(2))", "\"next\"", "\"rungs\", Array"]);
    says(&answers[11], 0, &["(\"span\", Text(\"24h\")), (\"step\", Long(360))"]);
    says(&answers[12], 0, &["(\"name\", Text(\"ctwarden_", "\"labels\", Table", "\"value\""]);
    subject.stop();
}

#[test]
fn what_changes_is_done_or_refused() {
    let mut subject = Subject::new();
    let answers = subject.answers(&[
        ("trim", &[("source", Text("192.168.1.200")), ("dry_run", Flag(true))]),
        ("flush", &[("dry_run", Flag(true))]),
        ("trim", &[("only", Text("closing")), ("dry_run", Flag(true))]),
        // A fake root has no netlink, and no rules.
        ("trim", &[("source", Text("192.168.1.10"))]),
        ("shed", &[("key", Text("10.0.0.5")), ("dry_run", Flag(true))]),
        ("open", &[("confirm", Flag(true))]),
        ("open", &[("confirm", Flag(true)), ("scope", Text("all"))]),
        ("flush", &[("confirm", Flag(true))]),
        ("close", &[]),
        ("flush", &[]),
        ("flush", &[("confirm", Text("true"))]),
        ("open", &[("scope", Text("router"))]),
        ("shed", &[]),
        ("top", &[("by", Text("colour"))]),
        ("nothing", &[]),
        ("incidents", &[]),
    ]);
    says(&answers[0], 0, &["(\"what\", Text(\"trim\"))", "(\"dry_run\", Bool(true))", "(\"touched\", Long(0))"]);
    says(&answers[1], 0, &["(\"what\", Text(\"flush\"))", "(\"before\", Long(140)), (\"after\", Long(0))"]);
    says(&answers[1], 0, &["(\"touched\", Long(140))"]);
    says(&answers[2], 0, &["(\"dry_run\", Bool(true))"]);
    says(&answers[3], 9, &["ctnetlink"]);
    says(&answers[4], 8, &["no emergency rules"]);
    says(&answers[5], 8, &["no emergency rules"]);
    says(&answers[6], 6, &["open_scope"]);
    says(&answers[7], 9, &["error"]);
    says(&answers[8], 0, &["(\"open\", Null)", "(\"shedding\", Long(0))"]);
    says(&answers[9], 2, &["confirm: wants true"]);
    says(&answers[10], 2, &["confirm: wants true"]);
    says(&answers[11], 2, &["confirm: wants true"]);
    says(&answers[12], 2, &["key: wants"]);
    says(&answers[13], 2, &["by: wants"]);
    says(&answers[14], 3, &["no such method"]);
    // Only what was to change something.
    let asked = ["trim 192.168.1.10", "open", "open all", "flush", "close"];
    let log = &answers[15].1;
    assert_eq!(log.matches("Text(\"user root:root\")").count(), asked.len(), "{log}");
    for what in asked {
        assert!(
            log.contains(&format!("(\"what\", Text({what:?})), (\"who\", Text(\"user root:root\"))")),
            "{what}: {log}"
        );
    }
    let said = subject.stop();
    assert_eq!(said.matches("asked for by user root:root").count(), asked.len(), "{said}");
}

#[test]
fn a_reload_is_one_only_without_faults() {
    let mut subject = Subject::new();
    subject.configure(FAULTY);
    let answers = subject.answers(&[("check", &[]), ("reload", &[]), ("status", &[])]);
    says(&answers[0], 0, &["(\"ok\", Bool(false))", ":2:", "high"]);
    says(&answers[1], 0, &["(\"ok\", Bool(false))", ":2:"]);
    says(&answers[2], 0, &["(\"ladder\", Array([Text(\"grow\")"]);
    subject.configure("config ctwarden 'main'\n\toption dry_run '1'\n");
    let answers = subject.answers(&[("reload", &[]), ("status", &[]), ("flush", &[("confirm", Flag(true))])]);
    says(&answers[0], 0, &["(\"ok\", Bool(true))"]);
    says(&answers[1], 0, &["(\"dry_run\", Bool(true))"]);
    says(&answers[2], 0, &["(\"touched\", Long(140))"]);
    let log = subject.log();
    assert!(log.contains("reload, asked for by user root:root") && log.contains("config reloaded"), "{log}");
    // Switched off, it answers and leaves.
    subject.configure("config ctwarden 'main'\n\toption enabled '0'\n");
    says(&subject.answers(&[("reload", &[])])[0], 0, &["(\"ok\", Bool(true))"]);
    subject.until("it leaves", |s| !s.is_published());
}

/// A rpcd that knows one session.
struct Rpcd(Peer);

impl Rpcd {
    fn new(subject: &mut Subject) -> Self {
        let mut peer = subject.peer();
        peer.offers(subject, Some("session"), &["get"]);
        Self(peer)
    }
    fn serve(&mut self) {
        for m in self.0.heard() {
            if m.kind == message::INVOKE
                && text_of(m.data.as_ref().unwrap(), "ubus_rpc_session").as_deref() == Some(TOKEN)
            {
                self.0.answers(&m, 0, &|w| {
                    use ctwarden::out::Out;
                    w.begin("values", false);
                    w.text("username", &"admin");
                    w.end();
                });
            } else if m.kind == message::INVOKE {
                self.0.answers(&m, 6, &|_| {});
            }
        }
    }
}

#[test]
fn a_web_user_is_named_and_the_token_never() {
    let mut subject = Subject::new();
    let mut rpcd = Rpcd::new(&mut subject);
    let mut peer = subject.peer();
    for token in [TOKEN, "ffffffffffffffffffffffffffffffff", "short"] {
        peer.call(peer.object, "close", &|o| o.text("ubus_rpc_session", &token));
    }
    let mut answered = 0;
    let began = Instant::now();
    while answered < 3 {
        assert!(began.elapsed() < Duration::from_secs(5));
        subject.step(1);
        rpcd.serve();
        answered += peer.heard().iter().filter(|m| m.status == Some(0)).count();
    }
    // A rpcd that hangs is waited for a second.
    let began = Instant::now();
    says(&subject.ask(&mut peer, "close", &[("ubus_rpc_session", Text(TOKEN))]), 0, &[]);
    assert!((900..3_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let log = subject.ask(&mut peer, "incidents", &[]).1;
    let said = subject.stop();
    for text in [log, said] {
        assert_eq!(text.matches("web user admin").count(), 1, "{text}");
        assert_eq!(text.matches("web user unknown").count(), 3, "{text}");
        assert!(!text.contains(TOKEN) && !text.contains("ffffffff"), "{text}");
    }
}

#[test]
fn changes_are_told_and_hooks_run() {
    let mut subject = Subject::new();
    let mut subscriber = subject.peer();
    subscriber.subscribes(&mut subject);
    let mut listener = subject.peer();
    listener.listens(&mut subject, "ctwarden");
    let mut procd = subject.peer();
    procd.offers(&mut subject, Some("hotplug.ctwarden"), &["call"]);
    subject.set_count(8_000);
    // It is looked at anew at once.
    says(&subject.answers(&[("reload", &[])])[0], 0, &[]);
    let mut told = [const { Vec::new() }; 3];
    let began = Instant::now();
    while told.iter().any(Vec::is_empty) {
        assert!(began.elapsed() < Duration::from_secs(10), "{told:?} {}", subject.log());
        subject.step(5);
        for (peer, told) in [&mut subscriber, &mut listener, &mut procd].into_iter().zip(&mut told) {
            told.extend(peer.heard());
        }
    }
    for (told, method) in told.iter().zip(["filling", "ctwarden", "call"]) {
        assert_eq!(told[0].method.as_deref(), Some(method));
    }
    let data = |n: usize| format!("{:?}", crate::tree::read(told[n][0].data.as_ref().unwrap(), 5).unwrap());
    for n in [0, 1] {
        let data = data(n);
        assert!(data.contains("(\"action\", Text(\"filling\")), (\"reason\", Text(\"calm\"))"), "{data}");
        assert!(data.contains("(\"count\", Long(8000))"), "{data}");
    }
    let env = data(2);
    assert!(env.contains("Text(\"ACTION=filling\"), Text(\"REASON=calm\"), Text(\"COUNT=8000\")"), "{env}");
    let incidents = subject.answers(&[("incidents", &[])]).remove(0);
    says(&incidents, 0, &["(\"number\", Long(1))", "(\"incident\", Null)"]);
}

#[test]
fn a_burst_of_a_thousand_is_answered_in_order() {
    const CALLS: u16 = 1_000;
    let mut subject = Subject::new();
    let mut peer = subject.peer();
    let mut first = 1;
    for method in ["status", "top", "size"] {
        let burst: Vec<u8> = (0..CALLS).flat_map(|_| peer.call_as_bytes(peer.object, method, &|_| {})).collect();
        peer.say(&burst);
        let sent: Vec<u16> = (first..first + CALLS).collect();
        first += CALLS;
        let (mut ended, mut well) = (Vec::new(), 0);
        let began = Instant::now();
        while ended.len() < sent.len() {
            assert!(began.elapsed() < Duration::from_secs(60), "{method}: {} answered", ended.len());
            subject.step(1);
            for m in peer.heard() {
                let Some(status) = m.status else { continue };
                // Too many at once are sent away, and told so.
                assert!(status == 0 || (method == "top" && status == 7), "{method}: {status}");
                well += usize::from(status == 0);
                ended.push(m.sequence);
            }
        }
        if method == "top" {
            assert!(well >= 4, "{well}");
            ended.sort_unstable();
        } else {
            assert_eq!(well, sent.len());
        }
        assert_eq!(ended, sent, "{method}");
    }
    subject.stop();
}

/// What no ubusd sends: the daemon leaves, comes again, and answers.
#[test]
fn garbage_ends_the_connection_only() {
    let mut subject = Subject::new();
    let noise: Vec<u8> = (0..5_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut object = None;
    for bytes in [&noise[..], &[7; 12], &[0; 12], &[0, 5, 0, 1, 0, 0, 0, 0, 0, 255, 255, 255]] {
        let before = object.replace(subject.broker().object("ctwarden").unwrap());
        assert_ne!(before, object);
        subject.broker().say_to("ctwarden", bytes);
        subject.until("it hangs up", |s| !s.is_published());
        subject.until_published();
        says(&subject.answers(&[("status", &[])])[0], 0, &[]);
    }
    subject.stop();
}

#[test]
fn halves_wait_and_giants_are_refused() {
    let mut subject = Subject::new();
    let mut peer = subject.peer();
    let whole = |subject: &mut Subject, length: usize| {
        let object = subject.broker().object("ctwarden").unwrap();
        made(message::INVOKE, 7, 99, &|w| {
            w.be32(attribute::OBJECT, object);
            w.string(attribute::METHOD, "status");
            w.string(attribute::USER, "root");
            w.nest(attribute::DATA);
            use ctwarden::out::Out;
            w.text("x", &"y".repeat(length));
            w.close();
        })
    };
    // Byte by byte: others are served meanwhile where ubusd lets them; here they wait behind.
    for byte in whole(&mut subject, 10) {
        subject.broker().say_to("ctwarden", &[byte]);
        subject.step(1);
    }
    says(&subject.ask(&mut peer, "status", &[]), 0, &[]);
    let giant = "x".repeat(60_000);
    says(&subject.ask(&mut peer, "top", &[("by", Text(&giant))]), 2, &["too long"]);
    says(&subject.ask(&mut peer, "status", &[]), 0, &[]);
    // Half of one, and then the end of the connection.
    let half = whole(&mut subject, 100);
    subject.broker().say_to("ctwarden", &half[..half.len() / 2]);
    subject.kill_broker();
    subject.start_broker();
    subject.until_published();
    says(&subject.answers(&[("status", &[])])[0], 0, &[]);
    subject.stop();
}

/// Whoever asked and went away leaves nothing behind.
#[test]
fn callers_that_go_away_are_forgotten() {
    let mut subject = Subject::new();
    subject.answers(&[("top", &[])]);
    let files = subject.open_files();
    for _ in 0..50 {
        let mut peer = subject.peer();
        peer.call(peer.object, "top", &|o| o.flag("exact", true));
        peer.call(peer.object, "status", &|_| {});
        drop(peer);
        subject.step(1);
    }
    // Who comes while they are still waited for is sent away.
    subject.until("it has time again", |s| s.answers(&[("top", &[])])[0].0 == 0);
    assert_eq!(subject.open_files(), files);
    subject.stop();
}

#[test]
fn ubusd_is_killed_a_hundred_times() {
    let mut subject = Subject::new();
    let (mut slowest, mut before) = (Duration::ZERO, None);
    for round in 0..100 {
        // Some of it in the middle of a call.
        if round % 3 == 0 {
            let mut peer = subject.peer();
            peer.call(peer.object, "top", &|_| {});
        }
        subject.kill_broker();
        if round % 10 == 0 {
            subject.step(3_000);
        }
        subject.start_broker();
        slowest = slowest.max(subject.until_published());
        says(&subject.answers(&[("status", &[])])[0], 0, &[]);
        if round == 9 {
            before = Some((subject.open_files(), subject.resident()));
        }
    }
    let ((files, resident), after) = (before.unwrap(), (subject.open_files(), subject.resident()));
    assert_eq!(after.0, files);
    assert!(after.1 <= resident + 16, "{} KiB, were {resident}", after.1);
    println!("slowest {slowest:?}, {files} files, {resident} KiB then {} KiB", after.1);
    subject.stop();
}

/// The daemon's side of a `status` call: CPU of this machine, and the heap (where the build counts).
#[test]
fn a_status_costs_little() {
    const CALLS: u32 = 2_000;
    let mut subject = Subject::start(CONFIG);
    let mut peer = subject.peer();
    let warm = subject.ask(&mut peer, "status", &[]).1;
    let began = subject.cpu();
    for _ in 0..CALLS {
        assert_eq!(subject.ask(&mut peer, "status", &[]).0, 0);
    }
    let each = (subject.cpu() - began) / CALLS;
    println!("{each:?} of CPU each");
    // In a build for finding faults even.
    assert!(each <= Duration::from_micros(200), "{each:?}");
    let after = subject.ask(&mut peer, "status", &[]).1;
    // Counted in such a build only; there, nobody counting is a failure.
    let none =
        if cfg!(feature = "count-allocations") { "(\"allocations\", Long(0))" } else { "(\"allocations\", Null)" };
    for text in [warm, after] {
        assert!(text.contains(none), "{text}");
    }
    subject.stop();
}
