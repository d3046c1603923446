//! What we ask of others: whose web session a call came by, and hooks.

use crate::broker::{Parts, text_of};
use crate::life::change;
use crate::world::{Bus, Peer, World};
use ctwarden::hook::Hook;
use ctwarden::protocol::TopKey;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn by_web(peer: &mut Peer, method: &str) -> u16 {
    peer.call(peer.object, method, &|o| {
        o.text("ubus_rpc_session", &TOKEN);
        o.flag("confirm", true);
    })
}

/// A rpcd that knows one session.
fn rpcd(world: &mut World) -> Peer {
    let mut rpcd = world.peer();
    rpcd.offers(world, Some("session"), &["get", "login"]);
    rpcd
}

fn invoked(peer: &mut Peer) -> Vec<Parts> {
    peer.heard().into_iter().filter(|m| m.kind == ctwarden::wire::ubus::message::INVOKE).collect()
}

#[test]
fn a_web_call_comes_with_the_users_name() {
    let mut world = World::new();
    let (mut rpcd, mut peer) = (rpcd(&mut world), world.peer());
    by_web(&mut peer, "flush");
    world.steps(3);
    assert!(world.calls.is_empty(), "its caller's name first");
    let asked = invoked(&mut rpcd);
    let data = asked[0].data.as_ref().unwrap();
    assert_eq!(asked[0].method.as_deref(), Some("get"));
    assert_eq!(text_of(data, "ubus_rpc_session").as_deref(), Some(TOKEN));
    rpcd.answers(&asked[0], 0, &|w| {
        use ctwarden::out::Out;
        w.begin("values", false);
        w.text("username", &"alice");
        w.end();
    });
    world.steps(3);
    assert_eq!(world.calls, ["Flush { dry_run: false } by web user alice"]);
    assert_eq!(peer.heard().last().and_then(|m| m.status), Some(0));
    // What only reads is not held up, and its caller not looked for.
    by_web(&mut peer, "status");
    world.step(1);
    assert_eq!(world.calls[1], "Status by user root:root");
    assert!(invoked(&mut rpcd).is_empty());
}

/// A name is somebody else's text.
#[test]
fn a_name_is_one_printable_word() {
    let mut world = World::new();
    world.broker().user = "a\nb c\u{1b}[31m".into();
    world.broker().group = "g\n0123456789012345678901234567890".into();
    let (mut rpcd, mut peer) = (rpcd(&mut world), world.peer());
    assert_eq!(peer.asks(&mut world, "status", &|_| {}).0, 0);
    assert_eq!(world.calls[0], "Status by user a?b?c?[31m:g?0123456789012345678");
    by_web(&mut peer, "reload");
    world.steps(3);
    let asked = invoked(&mut rpcd);
    rpcd.answers(&asked[0], 0, &|w| {
        use ctwarden::out::Out;
        w.begin("values", false);
        w.text("username", &"é\"\n0123456789012345678901234567890123456789");
        w.end();
    });
    world.steps(3);
    assert_eq!(world.calls[1], "Reload by web user ??\"?0123456789012345678901234567");
}

/// Without rpcd, with one that refuses, hangs or talks nonsense: the call is carried out all the same, soon.
#[test]
fn a_name_that_is_not_to_be_had_holds_nothing_up() {
    let mut world = World::new();
    let mut peer = world.peer();
    let unnamed = "Close by web user unknown";
    by_web(&mut peer, "close");
    world.steps(4);
    assert_eq!(world.calls, [unnamed]);
    let mut rpcd = rpcd(&mut world);
    for (n, status) in [6, 0].into_iter().enumerate() {
        by_web(&mut peer, "close");
        world.steps(3);
        let asked = invoked(&mut rpcd);
        rpcd.answers(&asked[0], status, &|w| {
            use ctwarden::out::Out;
            w.text("values", &"none");
        });
        world.steps(3);
        assert_eq!(world.calls.len(), n + 2);
    }
    by_web(&mut peer, "close");
    let took = world.until(1500, |w| w.calls.len() == 4);
    assert!(took >= 900, "{took}");
    // Its late answer is nobody's.
    let asked = invoked(&mut rpcd);
    rpcd.answers(&asked[0], 0, &|_| {});
    world.steps(3);
    // Neither a session that is none, nor more of them than there are places.
    peer.call(peer.object, "close", &|o| o.text("ubus_rpc_session", &"x".repeat(100)));
    world.steps(2);
    assert_eq!(world.calls.len(), 5);
    for _ in 0..6 {
        by_web(&mut peer, "close");
    }
    world.steps(3);
    assert_eq!(world.calls.len(), 7, "two found no place");
    world.steps(150);
    assert_eq!(world.calls.len(), 11);
    assert!(world.calls.iter().all(|call| call == unnamed));
    world.steps(2);
    assert_eq!(peer.heard().into_iter().filter(|m| m.status == Some(0)).count(), 11);
}

/// The token is a login: it is in nothing that could be told.
#[test]
fn the_token_is_nowhere() {
    let mut world = World::new();
    let mut peer = world.peer();
    world.keep = true;
    by_web(&mut peer, "flush");
    world.steps(5);
    let kept = format!("{:?}", world.kept);
    assert!(kept.contains("Flush") && !kept.contains(TOKEN), "{kept}");
    assert!(!format!("{:?}{:?}", world.calls, world.told).contains(TOKEN));
}

fn env(m: &Parts) -> Vec<String> {
    let fields = crate::tree::read(m.data.as_ref().unwrap(), 3).unwrap();
    let crate::tree::Tree::Array(items) = &fields[0].1 else { panic!("{fields:?}") };
    items
        .iter()
        .map(|item| match item {
            crate::tree::Tree::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn hooks_are_run_for_changes() {
    let mut world = World::new();
    let mut procd = world.peer();
    procd.offers(&mut world, Some("hotplug.ctwarden"), &["call"]);
    let culprit = Some(TopKey::Source("10.0.0.5".parse().unwrap()));
    let changes = [
        Hook { action: "trim", reason: "high", culprit, ..change(14_000) },
        Hook { action: "grow", reason: "high", ..change(15_000) },
        change(16_000),
    ];
    for change in &changes {
        assert!(world.ubus.announce(world.now, change));
    }
    world.steps(8);
    let called: Vec<_> = invoked(&mut procd).iter().map(env).collect();
    assert_eq!(
        called,
        [
            ["ACTION=trim", "REASON=high", "COUNT=14000", "MAX=16384", "CULPRIT=10.0.0.5"],
            ["ACTION=grow", "REASON=high", "COUNT=15000", "MAX=16384", "CULPRIT="],
            ["ACTION=filling", "REASON=calm", "COUNT=16000", "MAX=16384", "CULPRIT="],
        ]
    );
    assert_eq!(world.ubus.next_unserved(), None);
}

/// No hooks are there: one look for all that waits, and they are the caller's. Procd hangs: a second, then they are too.
#[test]
fn without_hooks_nothing_waits() {
    let mut world = World::new();
    for n in 1..=20 {
        world.ubus.announce(world.now, &change(n));
    }
    world.steps(5);
    assert_eq!(world.ubus.next_deadline(), None);
    let unserved: Vec<_> = std::iter::from_fn(|| world.ubus.next_unserved()).collect();
    assert_eq!(unserved, [17, 18, 19, 20].map(change), "the last ones");
    world.broker().stopped = true;
    world.ubus.announce(world.now, &change(21));
    world.steps(90);
    assert_eq!(world.ubus.next_unserved(), None);
    world.steps(30);
    assert_eq!(world.ubus.next_deadline(), None);
    assert_eq!(world.ubus.next_unserved(), Some(change(21)));
    assert_eq!(world.ubus.next_unserved(), None);
    world.broker().stopped = false;
    world.steps(5);
    let mut peer = world.peer();
    assert_eq!(peer.asks(&mut world, "status", &|_| {}).0, 0);
}
