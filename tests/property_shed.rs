//! Who is capped: never the router, what is protected or a LAN; never more than there is room for; the heaviest first.

use ctwarden::config::{Network, Protect};
use ctwarden::decide::shed::{Choice, FLOODED, Pressure, Spared, Why, choose, may_shed};
use ctwarden::entry::{Entry, TcpState, mask, status};
use ctwarden::lease::{Lease, SHEDS};
use ctwarden::observe::census::Census;
use ctwarden::observe::own::{ADDRESSES, Own};
use ctwarden::observe::timeouts::Timeouts;
use ctwarden::units::Entries;
use ctwarden::wire::netlink::{Batch, HEADER, Messages};
use ctwarden::wire::route::{Address, address, dump_addresses};
use proptest::prelude::*;
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn network(text: &str) -> Option<Network> {
    Some(Network::parse(text).unwrap())
}

/// A router: its WAN is interface 2, its LAN 3 and 4.
fn router() -> Own {
    let mut own = Own::new();
    for (text, prefix, interface) in [
        ("127.0.0.1", 8, 1),
        ("::1", 128, 1),
        ("203.0.113.5", 24, 2),
        ("2001:db8:ffff::5", 64, 2),
        ("192.168.1.1", 24, 3),
        ("fd00:1::1", 60, 3),
        ("2001:db8:1:10::1", 64, 3),
        ("fe80::1", 64, 3),
        ("192.168.2.1", 24, 4),
        ("2001:db8:1:20:8000::1", 65, 4),
    ] {
        own.add(Address { address: ip(text), prefix, interface });
    }
    own
}

const LAN: [u32; 2] = [3, 4];

fn source(text: &str) -> Lease {
    Lease::Source(ip(text))
}

fn to(text: &str, protocol: u8, port: u16) -> Lease {
    Lease::Destination { address: ip(text), protocol, port }
}

fn protect() -> Vec<Protect> {
    let p = Protect::default;
    vec![
        Protect { source: network("192.168.1.20"), port: Some(5060), ..p() },
        Protect { source: network("2001:db8:7:7::/96"), ..p() },
        Protect { source: network("2001:db8:8::/48"), ..p() },
        Protect { destination: network("198.51.100.0/24"), protocol: Some(17), port: Some(4500), ..p() },
        Protect { port: Some(853), ..p() },
    ]
}

#[test]
fn who_may_be_capped() {
    let (own, protect) = (router(), protect());
    let spared = Spared { own: &own, lan: &LAN, protect: &protect };
    for (lease, answer) in [
        (source("192.168.1.10"), Ok(())),
        (source("203.0.113.9"), Ok(())),
        (source("2001:db8:5:5::"), Ok(())),
        (source("192.168.1.1"), Err(Why::Own)),
        (source("203.0.113.5"), Err(Why::Own)),
        (source("127.0.0.1"), Err(Why::Own)),
        (source("2001:db8:ffff::"), Err(Why::Own)),
        (source("2001:db8:1:10::"), Err(Why::Own)),
        (source("::"), Ok(())),
        // Beside the router's own /64, in the /60 of its LAN; a /65 of it is a LAN's.
        (source("fd00:1:0:f::"), Err(Why::Lan)),
        (source("2001:db8:1:20::"), Err(Why::Own)),
        (source("fe80::"), Err(Why::Lan)),
        (source("192.168.1.20"), Err(Why::Protected)),
        (source("2001:db8:7:7::"), Err(Why::Protected)),
        (source("2001:db8:8:1::"), Err(Why::Protected)),
        (source("2001:db8:9:1::"), Ok(())),
        (to("203.0.113.80", 6, 80), Ok(())),
        (to("192.168.1.1", 17, 53), Err(Why::Own)),
        (to("198.51.100.7", 17, 4500), Err(Why::Protected)),
        (to("198.51.100.7", 6, 4500), Ok(())),
        (to("198.51.101.7", 17, 4500), Ok(())),
        (to("2001:db8::853", 6, 853), Err(Why::Protected)),
        // The phone's new flows would be capped too.
        (to("8.8.8.8", 17, 5060), Err(Why::Protected)),
        (to("8.8.8.8", 17, 5061), Ok(())),
        (Lease::Lan { interface: 3 }, Err(Why::NoCap)),
        (Lease::All { ipv6: false }, Err(Why::NoCap)),
    ] {
        assert_eq!(may_shed(&lease, &spared), answer, "{lease}");
    }
    let unknown = Spared { own: &Own::UNKNOWN, ..spared };
    assert_eq!(may_shed(&source("192.168.1.10"), &unknown), Err(Why::Unknown));
}

#[test]
fn a_table_of_addresses_that_is_full_caps_nobody() {
    let mut own = Own::new();
    for n in 0..=ADDRESSES as u8 {
        assert!(own.is_complete());
        own.add(Address { address: IpAddr::from([10, 0, 0, n]), prefix: 24, interface: u32::from(n % 3) });
        own.add(Address { address: ip("fe80::1"), prefix: 64, interface: u32::from(n) });
    }
    assert!(!own.is_complete());
    assert_eq!(own.interfaces().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(own.on(2).next(), Some(ip("10.0.0.2")));
    let spared = Spared { own: &own, lan: &[], protect: &[] };
    assert_eq!(may_shed(&source("192.0.2.1"), &spared), Err(Why::Unknown));
}

fn entry(source: IpAddr, destination: IpAddr, port: u16, assured: bool) -> Entry<'static> {
    Entry {
        source,
        destination,
        protocol: 6,
        source_port: 1,
        destination_port: port,
        zone: 0,
        id: 0,
        status: if assured { status::ASSURED | status::SEEN_REPLY } else { 0 },
        left: Some(100),
        tcp: Some(if assured { TcpState::Established } else { TcpState::SynSent }),
        mark: 0,
        tuple: &[],
        family: if source.is_ipv4() { 2 } else { 10 },
        has_zone: false,
    }
}

fn census(entries: &[(IpAddr, IpAddr, u16, bool)]) -> Box<Census> {
    let mut census = Box::new(Census::new());
    census.clear(7);
    for (from, to, port, assured) in entries {
        census.add(&entry(*from, *to, *port, *assured), &Timeouts::new());
    }
    census
}

fn pressure(level: Option<u32>) -> Pressure {
    Pressure { count: Entries(900), low: Entries(600), level: level.map(Entries) }
}

#[test]
fn hogs_by_weight_and_a_spoofed_flood_by_its_target() {
    let (own, protect) = (router(), protect());
    let spared = Spared { own: &own, lan: &LAN, protect: &protect };
    let target = ip("203.0.113.80");
    // A hog of 300, one of 200, the protected phone with 250, light ones.
    let mut entries = vec![];
    for (from, many) in [("192.168.1.10", 300), ("192.168.1.11", 200), ("192.168.1.20", 250), ("192.168.1.12", 50)] {
        entries.extend((0..many).map(|n| (ip(from), IpAddr::from([9, 9, 9, (n % 250) as u8]), 443, true)));
    }
    let c = census(&entries);
    let chosen = choose(&c, &pressure(Some(100)), &|_| true, &[], &spared);
    assert_eq!((chosen.leases.as_slice(), chosen.left_out), (&[source("192.168.1.10"), source("192.168.1.11")][..], 0));
    assert_eq!(choose(&c, &pressure(None), &|_| true, &[], &spared), Choice::default(), "nobody is above a level");
    let calm = Pressure { count: Entries(600), ..pressure(Some(100)) };
    assert_eq!(choose(&c, &calm, &|_| true, &[], &spared), Choice::default());

    // Strangers, each with one flow to the same place: half-open ones are a flood, established ones are customers.
    let strangers = |assured| {
        let flood = (0..500u16).map(move |n| (IpAddr::from([100, 0, (n >> 8) as u8, n as u8]), target, 80, assured));
        flood.chain(entries[700..].iter().copied()).collect::<Vec<_>>()
    };
    let chosen = choose(&census(&strangers(false)), &pressure(None), &|_| true, &[], &spared);
    assert_eq!(chosen.leases.as_slice(), [to("203.0.113.80", 6, 80)]);
    assert_eq!(choose(&census(&strangers(true)), &pressure(None), &|_| true, &[], &spared), Choice::default());
    // A hog beside the flood has a name: it is capped, and the place is not.
    let both: Vec<_> = strangers(false).into_iter().chain(entries[..300].iter().copied()).collect();
    assert_eq!(
        choose(&census(&both), &pressure(Some(100)), &|_| true, &[], &spared).leases.as_slice(),
        [source("192.168.1.10")]
    );
}

#[test]
fn more_hogs_than_there_is_room_for() {
    let own = router();
    let spared = Spared { own: &own, lan: &LAN, protect: &[] };
    let entries: Vec<_> = (0..100u8)
        .flat_map(|n| (0..100 + u16::from(n)).map(move |_| (IpAddr::from([10, 0, 0, n]), ip("9.9.9.9"), 443, true)))
        .collect();
    let c = census(&entries);
    let chosen = choose(&c, &pressure(Some(64)), &|_| true, &[], &spared);
    assert_eq!((chosen.leases.len(), chosen.left_out), (SHEDS, 36));
    assert_eq!(chosen.leases.first(), Some(&source("10.0.0.99")));
    // Those that are capped go on; for others the room is what those and strangers leave.
    let running: Vec<_> =
        (50..100u8).map(|n| Lease::Source(IpAddr::from([10, 0, 0, n]))).chain([source("10.9.9.9")]).collect();
    let chosen = choose(&c, &pressure(Some(64)), &|_| true, &running, &spared);
    assert_eq!((chosen.leases.len(), chosen.left_out), (63, 37));
}

#[test]
fn a_few_rows_of_a_sample_are_chance() {
    let own = router();
    let spared = Spared { own: &own, lan: &LAN, protect: &[] };
    let mut entries: Vec<_> = (0..7).map(|_| (ip("10.0.0.1"), ip("9.9.9.9"), 443, true)).collect();
    entries.extend((0..8).map(|_| (ip("10.0.0.2"), ip("9.9.9.9"), 443, true)));
    entries.extend((0..200u8).map(|n| (IpAddr::from([10, 1, 0, n]), IpAddr::from([9, 9, 8, n]), 443, true)));
    let mut c = census(&entries);
    c.sampled(Entries(250_000));
    let chosen = choose(&c, &pressure(Some(64)), &|_| true, &[], &spared);
    assert_eq!(chosen.leases.as_slice(), [source("10.0.0.2")]);
}

prop_compose! {
    fn any_address()(family in any::<bool>(), pool in 0..12u8, any in any::<[u8; 16]>()) -> IpAddr {
        let known = ["192.168.1.1", "192.168.1.20", "192.168.1.9", "203.0.113.5", "198.51.100.7", "127.0.0.1", "2001:db8:1:10::9", "fd00:1:0:3::2", "fe80::9", "2001:db8:7:7::1"];
        match known.get(pool as usize) {
            Some(text) => ip(text),
            None if family => IpAddr::from(any),
            None => IpAddr::from([any[0], any[1], any[2], any[3]]),
        }
    }
}

prop_compose! {
    fn any_protect()(source in prop::option::of((any_address(), 0..129u8)), destination in prop::option::of((any_address(), 0..129u8)),
        protocol in prop::option::of(prop::sample::select(vec![6u8, 17])), port in prop::option::of(prop::sample::select(vec![53u16, 80, 443]))) -> Protect {
        let network = |n: Option<(IpAddr, u8)>| n.map(|(a, bits)| Network::new(a, bits));
        Protect { source: network(source), destination: network(destination), protocol, port, ..Protect::default() }
    }
}

prop_compose! {
    fn any_own()(list in prop::collection::vec((any_address(), 0..129u8, 1..5u32), 0..70)) -> Own {
        let mut own = Own::new();
        for (address, bits, interface) in list {
            own.add(Address { address, prefix: bits.min(if address.is_ipv4() { 32 } else { 128 }), interface });
        }
        own
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_more_than_there_is_room_for_and_nobody_that_is_spared(
        own in any_own(),
        protect in prop::collection::vec(any_protect(), 0..5),
        flows in prop::collection::vec((any_address(), any_address(), prop::sample::select(vec![53u16, 80, 443]), any::<bool>(), 1..40usize), 1..90),
        level in prop::option::of(0..60u32),
        count in 0..2000u32,
        running in 0..=SHEDS,
    ) {
        let lan = [1, 2];
        let spared = Spared { own: &own, lan: &lan, protect: &protect };
        let entries: Vec<_> = flows.iter().flat_map(|(s, d, p, a, n)| std::iter::repeat_n((*s, *d, *p, *a), *n)).collect();
        let c = census(&entries);
        let pressure = Pressure { count: Entries(count), low: Entries(600), level: level.map(Entries) };
        // Some of those that would be chosen are capped already, and some strangers.
        let all = choose(&c, &pressure, &|_| true, &[], &spared);
        let running: Vec<_> = all.leases.iter().copied().step_by(2)
            .chain((0..=255).map(|n| Lease::Source(IpAddr::from([10, 200, 0, n])))).take(running).collect();
        let chosen = choose(&c, &pressure, &|_| true, &running, &spared);
        prop_assert_eq!(&chosen, &choose(&c, &pressure, &|_| true, &running, &spared), "the same twice");
        prop_assert!(count > 600 || chosen == Choice::default());
        prop_assert!(!own.is_complete() || chosen.leases.len() as u32 + chosen.left_out == all.leases.len() as u32 + all.left_out);
        let fresh = chosen.leases.iter().filter(|l| !running.contains(l)).count();
        prop_assert!(fresh + running.len() <= SHEDS);
        let held = |lease: &Lease| entries.iter().filter(|(s, d, p, _)| match *lease {
            Lease::Source(a) => mask(*s, if a.is_ipv4() { 32 } else { 64 }) == a,
            Lease::Destination { address, port, .. } => (*d, *p) == (address, port),
            _ => false,
        }).count();
        let weights: Vec<_> = chosen.leases.iter().map(held).collect();
        prop_assert!(weights.is_sorted_by(|a, b| a >= b), "heaviest first: {:?}", weights);
        let sources = chosen.leases.iter().filter(|l| matches!(l, Lease::Source(_))).count();
        prop_assert!(sources == 0 || sources == chosen.leases.len(), "one kind");
        for (lease, held) in chosen.leases.iter().zip(weights) {
            prop_assert_eq!(may_shed(lease, &spared), Ok(()));
            match *lease {
                Lease::Source(a) => {
                    prop_assert!(held as u32 > level.unwrap());
                    prop_assert!(!own.is_own(a));
                    for p in protect.iter().filter_map(|p| p.source) {
                        let in_it = a.is_ipv6() && p.address().is_ipv6() && mask(p.address(), 64) == a;
                        prop_assert!(!(p.contains(a) || in_it));
                    }
                    let own_link = |l: u32| own.on(l).any(|o| o.is_ipv6() && mask(o, 64) == a);
                    prop_assert!(!lan.iter().any(|l| own_link(*l)));
                }
                Lease::Destination { address, .. } => {
                    prop_assert!(!own.is_own(address));
                    prop_assert!(held * 10_000 > entries.len() * FLOODED.0 as usize);
                    let unassured = entries.iter().filter(|e| (e.1, e.3) == (address, false)).count();
                    prop_assert!(unassured * 2 > held, "mostly unassured");
                }
                _ => prop_assert!(false),
            }
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = address(&bytes);
    }

    /// Whatever is cut off or changed, an address that comes out is one of its family's width.
    #[test]
    fn a_message_that_was_cut_or_changed(cut in 0..60usize, at in 0..60usize, to in any::<u8>(), v6 in any::<bool>()) {
        let mut bytes = vec![if v6 { 10 } else { 2 }, 24, 0, 0, 9, 0, 0, 0];
        let width = if v6 { 16 } else { 4 };
        for kind in [1u16, 2] {
            bytes.extend((4 + width as u16).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend((0..width).map(|n| n as u8));
        }
        prop_assert!(address(&bytes).is_some());
        if let Some(b) = bytes.get_mut(at) {
            *b = to;
        }
        bytes.truncate(cut);
        if let Some(a) = address(&bytes) {
            let width = if a.address.is_ipv4() { 32 } else { 128 };
            prop_assert!(a.prefix <= width);
        }
    }
}

#[test]
fn addresses_are_asked_for_in_one_message() {
    let mut room = [0; 64];
    let mut batch = Batch::new(&mut room);
    assert!(dump_addresses(&mut batch, 5));
    let message = Messages::new(batch.bytes()).next().unwrap().unwrap();
    assert_eq!((message.kind, message.flags, message.sequence), (22, 0x301, 5));
    assert_eq!(batch.bytes().len(), HEADER + 4);
}
