//! The object's life on the bus: it is there, it answers, and it comes back.

use crate::broker::{Broker, made};
use crate::world::{Bus, World};
use ctwarden::detect::Table;
use ctwarden::hook::Hook;
use ctwarden::protocol::TopKey;
use ctwarden::units::Entries;
use ctwarden::wire::ubus::{Code, RECEIVE_ROOM, attribute, message};

const THERE: &str = "ubus: object ctwarden is there";
const GONE: &str = "ubus: ubusd is gone; trying again";

pub fn change(n: u32) -> Hook {
    let table = Table { count: Entries(n), max: Entries(16_384), buckets: Entries(16_384) };
    Hook { action: "filling", reason: "calm", table, culprit: None }
}

#[test]
fn it_is_listed_and_answers() {
    let mut world = World::new();
    assert_eq!(world.told, [THERE]);
    let mut peer = world.peer();
    assert_eq!(peer.asks(&mut world, "status", &|_| {}), (0, r#"[("did", Text("Status"))]"#.into()));
    let (status, answer) = peer.asks(&mut world, "top", &|o| {
        o.text("by", &"state");
        o.number("n", 3);
        o.text("ubus_rpc_session", &"00000000000000000000000000000000");
    });
    assert_eq!((status, answer.as_str()), (0, r#"[("did", Text("Top { by: State, rows: 3, exact: false }"))]"#));
    assert_eq!(world.calls[0], "Status by user root:root");
}

#[test]
fn what_cannot_be_answered_gets_a_status_and_a_reason() {
    let mut world = World::new();
    let mut peer = world.peer();
    assert_eq!(peer.asks(&mut world, "missing", &|_| {}), (3, r#"[("error", Text("no such method"))]"#.into()));
    let wrong = r#"[("error", Text("confirm: wants true"))]"#;
    assert_eq!(peer.asks(&mut world, "flush", &|o| o.text("confirm", &"true")), (2, wrong.into()));
    let sequence = peer.call(peer.object + 2, "status", &|_| {});
    world.step(1);
    assert_eq!(peer.heard().last().map(|m| (m.sequence, m.status)), Some((sequence, Some(4))));
    assert!(world.calls.is_empty());
}

#[test]
fn who_wants_no_answer_gets_none() {
    let mut world = World::new();
    let mut peer = world.peer();
    let object = peer.object;
    peer.say(&made(message::INVOKE, 7, object, &|w| {
        w.be32(attribute::OBJECT, object);
        w.string(attribute::METHOD, "status");
        w.attribute(attribute::NO_REPLY, &[1]);
    }));
    world.steps(3);
    assert_eq!(world.calls, ["Status by user root:root"]);
    assert!(peer.heard().is_empty());
}

/// Calls in pieces: each is answered once, when all of it has come.
#[test]
fn half_messages_wait_for_the_rest() {
    let mut world = World::new();
    let object = world.broker().object("ctwarden").unwrap();
    let call = |sequence| {
        made(message::INVOKE, sequence, 99, &|w| {
            w.be32(attribute::OBJECT, object);
            w.string(attribute::METHOD, "status");
        })
    };
    let stream: Vec<u8> = (0..5).flat_map(call).collect();
    for size in [1, 3, 50] {
        world.calls.clear();
        for (n, piece) in stream.chunks(size).enumerate() {
            world.broker().say_to("ctwarden", piece);
            world.step(1);
            assert_eq!(world.calls.len(), ((n + 1) * size).min(stream.len()) * 5 / stream.len());
        }
    }
}

#[test]
fn garbage_ends_the_connection_and_it_comes_back() {
    let mut world = World::new();
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0; 12], &[0, 5, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff]]
    {
        world.told.clear();
        world.broker().say_to("ctwarden", garbage);
        world.until(500, |w| w.told.len() == 1);
        world.until(2000, |w| w.ubus.is_published());
        assert_eq!(world.told, [GONE, THERE]);
    }
    let mut peer = world.peer();
    assert_eq!(peer.asks(&mut world, "status", &|_| {}).0, 0);
}

/// What is not for us, or not yet known, is passed over.
#[test]
fn unknown_messages_are_passed_over() {
    let mut world = World::new();
    for kind in [0, 3, 7, 8, 9, 11, 12, 200] {
        let unknown = made(kind, 1, 1, &|w| {
            w.be32(99, 5);
            w.attribute(attribute::OBJECT, &[1, 2]);
        });
        world.broker().say_to("ctwarden", &unknown);
    }
    // A call that is none, and answers to nothing.
    for kind in [message::INVOKE, message::STATUS, message::DATA, message::NOTIFY] {
        world.broker().say_to("ctwarden", &made(kind, 77, 1, &|_| {}));
    }
    world.steps(3);
    let mut peer = world.peer();
    assert_eq!(peer.asks(&mut world, "status", &|_| {}).0, 0);
    assert_eq!(world.told, [THERE]);
}

#[test]
fn a_call_too_long_is_refused_and_the_next_one_answered() {
    let mut world = World::new();
    let mut peer = world.peer();
    for length in [RECEIVE_ROOM, 20_000, 200_000] {
        let (status, answer) = peer.asks(&mut world, "trim", &|o| o.text("source", &"x".repeat(length)));
        assert_eq!((status, answer.contains("too long")), (2, true), "{answer}");
        assert_eq!(peer.asks(&mut world, "status", &|_| {}).0, 0);
    }
    assert_eq!(world.told, [THERE]);
}

/// The ACL is not loaded yet (or an older one of us still has the name): tried again, and said once.
#[test]
fn a_refused_object_is_published_once_it_may_be() {
    for status in [2, 6] {
        let mut world = World::empty();
        world.start();
        world.broker().refuse = Some(status);
        world.until(1000, |w| !w.told.is_empty());
        world.steps(2000);
        assert_eq!(world.told.len(), 1, "{:?}", world.told);
        assert!(world.told[0].contains(&format!("(status {status})")), "{:?}", world.told);
        world.broker().refuse = None;
        world.until(5100, |w| w.ubus.is_published());
        assert_eq!(world.told[1..], [THERE]);
    }
}

#[test]
fn who_does_not_greet_is_given_up() {
    let mut world = World::empty();
    world.start();
    world.broker().mute = true;
    world.steps(100);
    assert!(!world.ubus.is_published());
    world.broker().mute = false;
    world.until(5000, |w| w.ubus.is_published());
}

/// Where ubus was never seen it is looked for once a minute: a system without it is not woken for nothing.
#[test]
fn a_system_without_ubus_is_left_alone() {
    let mut world = World::empty();
    let folder = world.path.parent().unwrap().to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    let mut wakes = 0;
    for _ in 0..60_000 {
        wakes += u32::from(world.ubus.next_deadline().is_some_and(|at| world.now >= at));
        world.step(10);
    }
    assert!((10..30).contains(&wakes), "{wakes} times in ten minutes");
    assert!(world.told.is_empty());
    std::fs::create_dir_all(&folder).unwrap();
    world.start();
    world.until(60_000, |w| w.ubus.is_published());
}

/// With the folder there ubusd is about to start.
#[test]
fn ubusd_that_starts_later_is_found_within_two_seconds() {
    let mut world = World::empty();
    world.steps(3000);
    world.start();
    world.until(2000, |w| w.ubus.is_published());
}

/// The answer to a call of before a restart does not reach anybody of after it.
#[test]
fn who_asked_before_a_restart_is_not_answered_after_it() {
    let mut world = World::new();
    let mut peer = world.peer();
    world.keep = true;
    peer.call(peer.object, "top", &|_| {});
    world.until(100, |w| w.kept.len() == 1);
    world.broker = None;
    world.steps(5);
    world.start();
    world.until(2000, |w| w.ubus.is_published());
    let mut other = world.peer();
    other.call(other.object, "top", &|_| {});
    world.until(100, |w| w.kept.len() == 2);
    let [before, after] = [world.kept[0].asker, world.kept[1].asker];
    world.ubus.reply(before, Code::Ok, Some(&|o| o.text("for", &"before")));
    world.ubus.reply(after, Code::Ok, Some(&|o| o.text("for", &"after")));
    world.steps(2);
    let heard = other.heard();
    assert_eq!(heard.len(), 2);
    assert!(String::from_utf8_lossy(&heard[0].raw).contains("after"));
}

#[test]
fn subscribers_and_listeners_are_told() {
    let mut world = World::new();
    let change = Hook { culprit: Some(TopKey::Source("10.0.0.5".parse().unwrap())), ..change(14_000) };
    // Nobody wants to know: an event all the same, which ubusd spreads or not.
    assert!(world.ubus.announce(world.now, &change));
    let mut subscriber = world.peer();
    subscriber.subscribes(&mut world);
    let mut listener = world.peer();
    listener.listens(&mut world, "ctwarden");
    world.ubus.announce(world.now, &change);
    world.steps(2);
    for (peer, method) in [(&mut subscriber, "filling"), (&mut listener, "ctwarden")] {
        let heard = peer.heard();
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].method.as_deref(), Some(method));
        let told = format!("{:?}", crate::tree::read(heard[0].data.as_ref().unwrap(), 5).unwrap());
        assert_eq!(
            told,
            "[(\"action\", Text(\"filling\")), (\"reason\", Text(\"calm\")), \
             (\"table\", Table([(\"count\", Long(14000)), (\"max\", Long(16384)), (\"buckets\", Long(16384))])), \
             (\"occupancy\", Long(854)), (\"culprit\", Text(\"10.0.0.5\"))]"
        );
    }
    drop(subscriber);
    world.steps(3);
    world.ubus.announce(world.now, &change);
    world.steps(2);
    assert_eq!(listener.heard().len(), 1);
    // Without ubusd it is for others to call scripts.
    world.broker = None;
    world.steps(3);
    assert!(!world.ubus.announce(world.now, &change));
}

/// A broker that does not read: nothing waits for it, what is dropped is dropped whole, and then all is well again.
#[test]
fn a_full_buffer_drops_notifications_and_halves_nothing() {
    let mut world = World::new();
    let mut subscriber = world.peer();
    subscriber.subscribes(&mut world);
    world.broker().stopped = true;
    for n in 0..5000 {
        world.ubus.announce(world.now, &change(n));
    }
    world.steps(10);
    world.broker().stopped = false;
    world.steps(20);
    let heard = subscriber.heard();
    assert!((50..5000).contains(&heard.len()), "{}", heard.len());
    let mut last = 0;
    for m in heard {
        let told = crate::tree::read(m.data.as_ref().unwrap(), 5).unwrap();
        let crate::tree::Tree::Table(table) = &told[2].1 else { panic!("{told:?}") };
        let crate::tree::Tree::Long(count) = table[0].1 else { panic!("{told:?}") };
        assert!(count >= last);
        last = count;
    }
    let mut peer = world.peer();
    assert_eq!(peer.asks(&mut world, "status", &|_| {}).0, 0);
    assert_eq!(world.told, [THERE]);
}

/// Runs the rest of the test in a process of its own, where nobody else opens files: `false` where it did.
fn alone(name: &str) -> bool {
    if std::env::var_os("CTWARDEN_ALONE").is_some() {
        return true;
    }
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("CTWARDEN_ALONE", "1")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    false
}

#[test]
fn a_hundred_restarts_of_ubusd() {
    if !alone("life::a_hundred_restarts_of_ubusd") {
        return;
    }
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut world = World::new();
    world.steps(10);
    let before = open_files();
    let (mut longest, mut seed) = (0, 1_u32);
    for n in 0..100 {
        // Killed: with messages under way, in the middle of one, with the socket's file left behind or not.
        let mut peer = world.peer();
        peer.call(peer.object, "status", &|_| {});
        if n % 3 == 0 {
            world.broker().say_to("ctwarden", &[0, 5, 0, 1, 0]);
        }
        if n % 4 == 0 {
            world.broker = None;
            drop(std::os::unix::net::UnixListener::bind(&world.path));
        } else {
            world.broker = None;
        }
        drop(peer);
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        world.steps(seed >> 16 & 511);
        assert!(!world.ubus.is_published());
        world.start();
        longest = longest.max(world.until(2000, |w| w.ubus.is_published()));
        let mut peer = world.peer();
        assert_eq!(peer.asks(&mut world, "status", &|_| {}).0, 0);
    }
    world.steps(10);
    assert_eq!(open_files(), before, "files left open");
    assert_eq!(world.told.len(), 201, "told once each time");
    println!("back after {longest} ms at most");
}

/// Connects and is thrown out at once, again and again: it does not spin.
#[test]
fn being_thrown_out_does_not_make_it_spin() {
    let mut world = World::empty();
    let mut connections = 0;
    for _ in 0..1000 {
        // A new one each time: whoever has connected is hung up on.
        world.broker = None;
        world.broker = Some(Broker::bind(&world.path));
        let before = world.ubus.poll_fd().is_some();
        world.step(10);
        connections += u32::from(!before && world.ubus.poll_fd().is_some());
    }
    assert!((5..25).contains(&connections), "{connections} in ten seconds");
}
