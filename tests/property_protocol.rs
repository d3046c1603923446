//! The control socket: what goes in comes out, and no bytes from a stranger do harm. That the largest answer fits is shown
//! where answers are rendered, in `src/cli/largest.rs`.

use ctwarden::entry::Class;
use ctwarden::lease::{Lease, Scope};
use ctwarden::protocol::*;
use ctwarden::rung::Rung;
use proptest::prelude::*;
use std::net::IpAddr;

#[test]
fn what_does_not_fit_is_no_frame_and_what_is_too_long_is_refused_at_once() {
    assert_eq!(frame(&Reply { exit: 0, text: "more than there is room for" }, &mut [0; 16]), None);
    assert_eq!(frame(&Request::Status, &mut [0; 1]), None);
    assert_eq!(unframe::<Request>(&[0xff, 0xff], REQUEST_MOST), Some(Err(())), "nobody waits for the rest");
}

#[test]
fn words_of_keys() {
    let host: IpAddr = "192.168.1.20".parse().unwrap();
    let net: IpAddr = "2001:db8:1::".parse().unwrap();
    let to = |address, protocol, port| TopKey::Destination { address, protocol, port };
    for (key, word) in [
        (TopKey::Source(host), "192.168.1.20"),
        (TopKey::Source(net), "2001:db8:1::/64"),
        (TopKey::Prefix(net, 48), "2001:db8:1::/48"),
        (to(host, 6, 443), "192.168.1.20:443/tcp"),
        (to(net, 17, 53), "[2001:db8:1::]:53/udp"),
        (to(host, 1, 0), "192.168.1.20 icmp"),
        (to(net, 58, 0), "2001:db8:1:: icmpv6"),
        (to(host, 47, 0), "192.168.1.20 proto 47"),
        (TopKey::State(Class::Closing), "closing"),
        (TopKey::Kind(1), "udp"),
        (TopKey::Kind(4), "1 s+"),
        (TopKey::Kind(u8::MAX), ""),
    ] {
        assert_eq!(key.to_string(), word);
    }
    for by in [By::Source, By::Prefix, By::Destination, By::State] {
        assert_eq!(By::from_name(by.name()), Some(by));
    }
    assert_eq!((By::from_name("colour"), Only::from_name("all")), (None, None));
    assert!(Rung::ALL.into_iter().all(|rung| Rung::from_name(rung.name()) == Some(rung)));
}

#[test]
fn what_a_trim_of_one_kind_covers() {
    let [unreplied, closing, idle] = ["unreplied", "closing", "idle"].map(|word| Only::from_name(word).unwrap());
    for class in Class::ALL {
        assert_eq!(unreplied.covers(class, u32::MAX), class == Class::Unreplied);
        assert_eq!(closing.covers(class, 0), class == Class::Closing);
        assert!(idle.covers(class, IDLE_S) && !idle.covers(class, IDLE_S - 1));
    }
}

fn selections() -> impl Strategy<Value = Selection> {
    let only = prop::sample::select(&[Only::Unreplied, Only::Closing, Only::Idle][..]);
    prop_oneof![
        Just(Selection::Level),
        Just(Selection::All),
        only.clone().prop_map(Selection::Kind),
        (any::<IpAddr>(), prop::option::of(only)).prop_map(|(source, only)| Selection::Source(source, only)),
    ]
}

fn requests() -> impl Strategy<Value = Request> {
    let by = prop::sample::select(&[By::Source, By::Prefix, By::Destination, By::State][..]);
    prop_oneof![
        Just(Request::Status),
        Just(Request::Flush),
        Just(Request::Log),
        (by, any::<u8>(), any::<bool>()).prop_map(|(by, rows, exact)| Request::Top { by, rows, exact }),
        selections().prop_map(Request::Trim),
        Just(Request::Close),
        (any::<IpAddr>(), any::<u32>())
            .prop_map(|(source, seconds)| Request::Shed { lease: Lease::Source(source), seconds }),
        any::<Option<u32>>().prop_map(|seconds| Request::Open { scope: Some(Scope::Lan), seconds }),
    ]
}

proptest! {
    #[test]
    fn a_request_fits_and_comes_back(request in requests(), json: bool, colour: bool) {
        let mut room = [0; REQUEST_MOST + LENGTH];
        let ask = Ask { request, json, colour };
        let bytes = frame(&ask, &mut room).unwrap();
        prop_assert_eq!(unframe::<Ask>(bytes, REQUEST_MOST), Some(Ok(ask)));
    }

    #[test]
    fn a_reply_comes_back_and_cut_off_it_is_none_yet(exit: u8, text in ".{0,200}", cut: usize) {
        let mut room = [0; 1024];
        let bytes = frame(&Reply { exit, text: &text }, &mut room).unwrap();
        prop_assert_eq!(unframe::<Reply<'_>>(bytes, REPLY_MOST), Some(Ok(Reply { exit, text: &text })));
        prop_assert_eq!(unframe::<Reply<'_>>(&bytes[..cut % bytes.len()], REPLY_MOST), None, "more is wanted");
    }

    #[test]
    fn bytes_of_a_stranger_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..REQUEST_MOST)) {
        let _ = unframe::<Ask>(&bytes, REQUEST_MOST);
        let _ = unframe::<Reply<'_>>(&bytes, REPLY_MOST);
    }
}
