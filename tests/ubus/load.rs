//! Many calls: all are answered, none of them allocates, none takes long.

use crate::counting::allocations;
use crate::same::{full_log, full_status, full_top};
use crate::world::{Bus, World};
use ctwarden::describe;
use ctwarden::protocol::Answer;
use ctwarden::wire::ubus::Code;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What our thread has computed for.
fn cpu() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap())
}

/// Every call answered with this, on our side only: allocations and time.
fn serve(world: &mut World, answer: &Answer, spent: &mut Duration) -> u32 {
    let (mut told, now) = (0, world.now);
    let began = cpu();
    let allocated = allocations(|| {
        let tell = &mut |_| told += 1;
        world.ubus.turn(now, tell);
        while let Some(asked) = world.ubus.next_call(now, tell) {
            world.ubus.reply(asked.asker, Code::Ok, Some(&|o| describe::answer(o, answer)));
        }
    });
    *spent += cpu() - began;
    assert_eq!(told, 0);
    allocated
}

fn burst(answer: &Answer, least: usize) -> Duration {
    const CALLS: u16 = 1000;
    let mut world = World::new();
    let mut peer = world.peer();
    let mut spent = Duration::ZERO;
    let mut asked = Vec::new();
    for _ in 0..CALLS {
        asked.push(peer.call(peer.object, "status", &|_| {}));
        // It takes them in; we have not looked yet.
        world.broker().turn();
    }
    let mut answered = Vec::new();
    for _ in 0..10_000 {
        world.broker().turn();
        assert_eq!(serve(&mut world, answer, &mut spent), 0, "allocations");
        world.broker().turn();
        for m in peer.heard() {
            match m.status {
                Some(status) => {
                    assert_eq!(status, 0);
                    answered.push(m.sequence);
                }
                None => assert!(m.raw.len() >= least, "{}", m.raw.len()),
            }
        }
        if answered.len() == asked.len() {
            break;
        }
    }
    assert_eq!(answered, asked, "each once, in order");
    spent / CALLS.into()
}

#[test]
fn a_thousand_calls_at_once() {
    for (answer, least) in [(full_status(), 700), (full_log(), 4000), (full_top(), 7000)] {
        let each = burst(&answer, least);
        println!("{each:?} a call");
        // Unoptimized, on a machine that does something else besides; what ships takes a tenth.
        assert!(each < Duration::from_millis(2), "{each:?}");
    }
}

/// Nothing that comes or goes allocates: refusals, web names, hooks, changes, a restart.
#[test]
fn nothing_allocates() {
    let mut world = World::new();
    let mut peer = world.peer();
    peer.subscribes(&mut world);
    world.steps(2);
    let change = crate::life::change(1);
    let mut spent = Duration::ZERO;
    for n in 0..20 {
        peer.call(peer.object, "flush", &|o| {
            o.flag("confirm", true);
            o.text("ubus_rpc_session", &"0123456789abcdef0123456789abcdef");
        });
        peer.call(peer.object, "missing", &|_| {});
        peer.call(peer.object, "top", &|o| o.text("by", &"x".repeat(n * 500)));
        let now = world.now;
        assert_eq!(allocations(|| assert!(world.ubus.announce(now, &change))), 0);
        for _ in 0..4 {
            world.broker().turn();
            assert_eq!(serve(&mut world, &full_status(), &mut spent), 0);
        }
        peer.heard();
    }
    world.broker = None;
    let (now, mut told) = (world.now, 0);
    assert_eq!(allocations(|| world.ubus.turn(now, &mut |_| told += 1)), 0);
    assert_eq!(told, 1);
    world.start();
    let mut now = now;
    for _ in 0..300 {
        now.0 += 10;
        world.broker().turn();
        assert_eq!(
            allocations(|| {
                world.ubus.turn(now, &mut |_| told += 1);
                world.ubus.next_call(now, &mut |_| told += 1);
            }),
            0
        );
    }
    assert_eq!(told, 2);
}
