//! What counting costs. `cargo test --release --test timing_observe -- --ignored --nocapture`
//!
//! A dump costs the kernel 2 µs an entry (x86_64, Linux 6.18), and an exact census is to take no more than 1.3 times that: 0.6 µs for everything.

use ctwarden::entry::{Entry, TcpState, status};
use ctwarden::observe::census::Census;
use ctwarden::observe::keys::{Host, Raw};
use ctwarden::observe::sketch::Sketch;
use ctwarden::observe::timeouts::Timeouts;
use std::net::Ipv4Addr;
use std::time::Instant;

const ENTRIES: u32 = 250_000;

/// The streams a table can be: what a home network looks like, strangers only (a spoofed flood), few keys.
fn streams() -> [(&'static str, Vec<(u32, u32)>); 4] {
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u32
    };
    let mut of = |key: &mut dyn FnMut(u32, u32) -> u32| -> Vec<(u32, u32)> {
        (0..ENTRIES).map(|i| (key(i, random()), random())).collect()
    };
    [
        ("30 % one hog, rest 2,000 hosts", of(&mut |_, r| if r % 10 < 3 { 1 } else { 2 + r % 2000 })),
        ("every key once", of(&mut |i, _| i)),
        ("every key once, random", of(&mut |_, r| r)),
        ("250 hosts", of(&mut |_, r| r % 250)),
    ]
}

fn time(what: &str, stream: &str, mut run: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_nanos() as f64 / ENTRIES as f64);
    }
    println!("{what:<28} {stream:<32} {best:7.1} ns an entry");
}

#[test]
#[ignore = "a measurement: run it in release"]
fn updates() {
    let timeouts = Timeouts::new();
    let mut sketch = Box::new(Sketch::<Raw, 512>::new());
    let mut census = Box::new(Census::new());
    println!("census: {} bytes", size_of::<Census>());
    for (name, stream) in streams() {
        let entries: Vec<Entry> = stream
            .iter()
            .map(|(key, other)| Entry {
                source: Ipv4Addr::from(*key).into(),
                destination: Ipv4Addr::from(*other).into(),
                protocol: 6,
                source_port: 1,
                destination_port: *other as u16,
                zone: 0,
                id: *other,
                status: status::SEEN_REPLY | status::ASSURED,
                left: Some(other % 432_000),
                tcp: Some(TcpState::Established),
                mark: 0,
                tuple: &[],
                family: 2,
                has_zone: false,
            })
            .collect();
        time("sketch of one dimension", name, || {
            sketch.clear(5);
            entries.iter().for_each(|e| sketch.add(Host::of(e.source).into()));
        });
        time("idle", name, || {
            assert!(entries.iter().map(|e| timeouts.idle(e) as u64).sum::<u64>() > 0);
        });
        time("census, three dimensions", name, || {
            census.clear(5);
            entries.iter().for_each(|e| census.add(e, &timeouts));
        });
    }
}
