//! The sketch keeps its bound in any stream, the census is exact where it says so, and a sample errs no more than it says.

use ctwarden::entry::{Class, Entry, TcpState, holder_of, mask, status};
use ctwarden::observe::census::{CAPACITY, Census, IDLE_BOUNDS, KINDS, PROTOCOLS, Protocol, Share};
use ctwarden::observe::keys::{Destination, Host, Prefix};
use ctwarden::observe::sketch::{Hasher, Key, Sketch};
use ctwarden::observe::timeouts::Timeouts;
use ctwarden::units::Entries;
use proptest::prelude::*;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Number(u32);

impl Key for Number {
    const BLANK: Number = Number(0);
    fn hash(&self, hasher: &Hasher) -> u32 {
        hasher.hash(&[self.0])
    }
}

fn exact<K: Hash + Eq>(stream: impl IntoIterator<Item = K>) -> HashMap<K, u32> {
    let mut counts = HashMap::new();
    for key in stream {
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}

/// Everything that a sketch promises, against the truth.
fn check<const N: usize>(stream: &[u32], seed: u64) -> Result<(), TestCaseError> {
    let mut sketch = Sketch::<Number, N>::new();
    // What was in it before leaves no trace.
    for i in 0..100 {
        sketch.add(Number(i));
    }
    sketch.clear(seed);
    for &key in stream {
        sketch.add(Number(key));
    }
    let truth = exact(stream.iter().copied());
    let total = stream.len() as u32;
    let counters: Vec<_> = sketch.iter().collect();
    prop_assert_eq!(sketch.total(), total);
    prop_assert_eq!(counters.len(), truth.len().min(N));
    prop_assert_eq!(counters.iter().map(|c| c.count).sum::<u32>(), total, "every update is in exactly one counter");
    prop_assert!(counters.is_sorted_by(|a, b| a.count >= b.count));
    for c in &counters {
        let true_count = truth[&c.key.0];
        prop_assert!(c.count - c.error <= true_count && true_count <= c.count, "{:?}, truth {}", c, true_count);
        prop_assert!(c.error <= total / N as u32);
        prop_assert_eq!(sketch.get(&c.key), Some(*c));
    }
    prop_assert!(sketch.most_missed() <= total / N as u32);
    for (key, count) in &truth {
        let found = sketch.get(&Number(*key)).is_some();
        prop_assert!(found || *count <= sketch.most_missed(), "{} came {} times and is missing", key, count);
    }
    if truth.len() <= N {
        prop_assert!(counters.iter().all(|c| c.error == 0));
    }
    Ok(())
}

/// Streams with heavy and light keys in any order.
fn streams() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(prop_oneof![3 => 0u32..4, 3 => 0u32..40, 2 => any::<u32>()], 0..3000)
}

fn entries() -> impl Strategy<Value = Entry<'static>> {
    let address = prop_oneof![
        (0u32..600).prop_map(|a| IpAddr::from(Ipv4Addr::from(0xc0a8_0000 + a))),
        (0u128..4, 0u128..4, any::<u64>()).prop_map(|(site, net, host)| IpAddr::from(Ipv6Addr::from(
            0xfd00 << 112 | site << 80 | net << 64 | host as u128
        ))),
    ];
    let state = prop::sample::select(&[TcpState::SynSent, TcpState::Established, TcpState::TimeWait][..]);
    let number = prop_oneof![Just(6u8), Just(17), Just(1), Just(58), any::<u8>()];
    (address.clone(), address, number, 0u16..4, state, 0u32..8, prop::option::of(0u32..400)).prop_map(
        |(source, destination, number, port, state, bits, left)| Entry {
            source,
            destination,
            protocol: number,
            source_port: 1,
            destination_port: port,
            zone: 0,
            id: 0,
            status: [status::SEEN_REPLY, status::ASSURED, status::OFFLOAD]
                .into_iter()
                .enumerate()
                .map(|(i, b)| if bits >> i & 1 != 0 { b } else { 0 })
                .sum(),
            left,
            tcp: (number == 6).then_some(state),
            mark: 0,
            tuple: &[],
            family: if source.is_ipv4() { 2 } else { 10 },
            has_zone: false,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_sketch_keeps_its_bound(stream in streams(), seed: u64) {
        check::<1>(&stream, seed)?;
        check::<8>(&stream, seed)?;
        check::<100>(&stream, seed)?;
        check::<512>(&stream, seed)?;
    }

    /// Sorted streams are the hardest: each key comes when all counters are taken.
    #[test]
    fn the_sketch_keeps_its_bound_in_order(mut stream in streams(), seed: u64, downward: bool) {
        stream.sort_unstable();
        if downward {
            stream.reverse();
        }
        check::<8>(&stream, seed)?;
        check::<100>(&stream, seed)?;
    }

    /// Up to 600 hosts and fewer than [`CAPACITY`] keys in most cases: then everything is exact.
    #[test]
    fn the_census_is_exact_with_few_keys(entries in prop::collection::vec(entries(), 0..500), seed: u64) {
        let timeouts = Timeouts::new();
        let mut census = Box::new(Census::new());
        census.clear(seed);
        for entry in &entries {
            census.add(entry, &timeouts);
        }
        let total = entries.len() as u32;
        prop_assert_eq!(census.read(), Entries(total));
        let of_class = |class| entries.iter().filter(|e| e.class() == class).count() as u32;
        prop_assert!(Class::ALL.into_iter().all(|c| census.class(c).count == of_class(c)));
        let of_protocol = |p| entries.iter().filter(|e| Protocol::of(e.protocol) == p).count() as u32;
        prop_assert!(Protocol::ALL.into_iter().all(|p| census.protocol(p).count == of_protocol(p)));
        prop_assert_eq!(census.ipv4().count + census.ipv6().count, total);
        prop_assert_eq!(census.idle().iter().sum::<u32>(), total);
        let idle_for = |s: u32| entries.iter().filter(|e| timeouts.idle_if_known(e).is_some_and(|i| i >= s)).count();
        for (kind, bound) in (PROTOCOLS as usize..).zip(IDLE_BOUNDS) {
            prop_assert_eq!(census.kind(kind).count as usize, idle_for(bound), "{}", KINDS[kind]);
        }

        let sources = exact(entries.iter().map(|e| holder_of(e.source)));
        let rows: Vec<_> = census.top_sources(CAPACITY).collect();
        prop_assert_eq!(rows.len(), sources.len());
        prop_assert!(rows.iter().all(|r| sources[&r.key.address()] == r.tally.count && r.at_most == r.tally.count));
        prop_assert!(rows.is_sorted_by(|a, b| a.tally.count >= b.tally.count));
        prop_assert!(rows.iter().all(|r| r.tally.entries.0 == r.tally.count && r.tally.standard_error == Share(0)));

        let prefixes = exact(entries.iter().map(|e| mask(e.source, if e.source.is_ipv4() { 24 } else { 48 })));
        prop_assert!(census.top_prefixes(CAPACITY).all(|r| prefixes[&r.key.address()] == r.tally.count));
        let destinations = exact(entries.iter().map(|e| (e.destination, e.protocol, e.destination_port)));
        let rows: Vec<_> = census.top_destinations(CAPACITY).collect();
        prop_assert_eq!(rows.len(), destinations.len());
        prop_assert!(rows.iter().all(|r| destinations[&(r.key.address(), r.key.protocol(), r.key.port())] == r.tally.count));
    }

    #[test]
    fn keys_tell_apart_what_differs(a in entries(), b in entries()) {
        prop_assert_eq!(Host::of(a.source) == Host::of(b.source), holder_of(a.source) == holder_of(b.source));
        prop_assert_eq!(Prefix::of(a.source) == Prefix::of(b.source), Prefix::of(a.source).address() == Prefix::of(b.source).address());
        let to = |e: &Entry| (e.destination, e.protocol, e.destination_port);
        prop_assert_eq!(Destination::of(&a) == Destination::of(&b), to(&a) == to(&b));
    }
}

/// A table of 100,000: hogs of 30, 10, 3 and 1 % and light holders for the rest; its first `front` in random order, as the kernel dumps it.
fn shuffled_table(seed: u64, front: usize) -> Vec<u32> {
    let shares = [(1u32, 30_000), (2, 10_000), (3, 3000), (4, 1000)];
    let mut table: Vec<u32> = shares.iter().flat_map(|(key, n)| std::iter::repeat_n(*key, *n)).collect();
    table.extend((table.len() as u32..100_000).map(|i| 1000 + i % 7000));
    let mut state = seed;
    for i in 0..front {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let left = table.len() - i;
        table.swap(i, i + ((state >> 33) as usize) % left);
    }
    table
}

fn syn(source: u32) -> Entry<'static> {
    Entry {
        source: Ipv4Addr::from(source << 8).into(),
        destination: Ipv4Addr::LOCALHOST.into(),
        protocol: 6,
        source_port: 1,
        destination_port: 443,
        zone: 0,
        id: 0,
        status: 0,
        left: Some(100),
        tcp: Some(TcpState::SynSent),
        mark: 0,
        tuple: &[],
        family: 2,
        has_zone: false,
    }
}

/// In 100 samples of 4,096, each share of 1 % or more is within 3 standard errors of the truth in all but 1 of 100 (0.3 expected), and within
/// 1 standard error in more than half (68 % expected): neither too bold nor too timid.
#[test]
fn a_sample_errs_no_more_than_it_says() {
    let timeouts = Timeouts::new();
    let mut census = Box::new(Census::new());
    let (mut looks, mut beyond_three, mut within_one) = (0, 0, 0);
    for seed in 0..100 {
        census.clear(seed);
        for source in &shuffled_table(seed, 4096)[..4096] {
            census.add(&syn(*source), &timeouts);
        }
        census.sampled(Entries(100_000));
        for (source, truth) in [(1, 3000i32), (2, 1000), (3, 300), (4, 100)] {
            let address = IpAddr::from(Ipv4Addr::from(source << 8u32));
            let row = census
                .top_sources(CAPACITY)
                .find(|r| r.key.address() == address)
                .expect("a key above 1/512 of the sample");
            let off = (row.tally.share.0 as i32 - truth).abs();
            let error = row.tally.standard_error.0 as i32;
            assert!(error <= 72 && off <= 400, "±1 point at most is promised, 3 standard errors are 2.1: {row:?}");
            looks += 1;
            beyond_three += (off > 3 * error) as u32;
            within_one += (off <= error) as u32;
        }
    }
    assert!(beyond_three * 100 <= looks, "{beyond_three} of {looks} beyond 3 standard errors");
    assert!(within_one * 2 > looks, "{within_one} of {looks} within 1");
}

/// Whole, and however hard the order: nobody with more than 1/512 of the table is missed, and nobody's share is overstated.
#[test]
fn an_exact_census_misses_no_hog() {
    let timeouts = Timeouts::new();
    let mut census = Box::new(Census::new());
    let mut sorted = shuffled_table(7, 100_000);
    sorted.sort_unstable();
    for (table, order) in [(shuffled_table(7, 100_000), "shuffled"), (sorted, "sorted")] {
        census.clear(11);
        table.iter().for_each(|source| census.add(&syn(*source), &timeouts));
        assert_eq!((census.read(), census.class(Class::Unreplied).count), (Entries(100_000), 100_000));
        let rows: Vec<_> = census.top_sources(CAPACITY).collect();
        for (source, truth) in [(1u32, 30_000), (2, 10_000), (3, 3000), (4, 1000)] {
            let address = IpAddr::from(Ipv4Addr::from(source << 8));
            let row = rows
                .iter()
                .find(|r| r.key.address() == address)
                .unwrap_or_else(|| panic!("{order}: {address} is missing"));
            assert!(row.tally.count <= truth && truth <= row.at_most, "{order}: {row:?}");
        }
        assert!(census.unseen() <= Share(20), "{order}: 1/512 is 0.195 %");
    }
}
