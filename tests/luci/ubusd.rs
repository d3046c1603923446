//! A ubusd for the page harness: the broker of tests/ubus on a socket, until standard input ends.

#[allow(dead_code)] // what tests tell it to do wrong
#[path = "../ubus/broker.rs"]
mod broker;

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static OVER: AtomicBool = AtomicBool::new(false);

fn main() {
    let path = std::env::args().nth(1).expect("the path of the socket");
    let mut ubusd = broker::Broker::bind(Path::new(&path));
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        OVER.store(true, Ordering::Relaxed);
    });
    while !OVER.load(Ordering::Relaxed) {
        ubusd.turn();
        std::thread::sleep(Duration::from_millis(1));
    }
}
