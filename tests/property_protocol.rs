//! The control socket: the largest answer fits, what goes in comes out, and no bytes from a stranger do harm.

use ctwarden::decide::ladder::Refusal;
use ctwarden::detect::{Evidence, Table, Verdict};
use ctwarden::entry::Class;
use ctwarden::incident::{Culprit, Culprits, Incident, KEPT};
use ctwarden::observe::census::KINDS;
use ctwarden::observe::tally::{Basis, Share, Tally};
use ctwarden::protocol::*;
use ctwarden::rung::Rung;
use ctwarden::units::{Entries, Millis, Permille};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv6Addr};

const MOST: Entries = Entries(u32::MAX);
const EVER: Millis = Millis(u64::MAX);
const ALL: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));
const LONGEST: TopKey = TopKey::Destination { address: ALL, protocol: u8::MAX, port: u16::MAX };

/// A number takes most bytes when it is the largest there is.
fn row(key: TopKey) -> TopRow {
    let share = Share(u16::MAX);
    TopRow { key, tally: Tally { count: u32::MAX, share, standard_error: share, entries: MOST }, at_most: u32::MAX }
}

fn top() -> Answer {
    let rows = std::iter::repeat_n(LONGEST, ROWS_MOST).chain((0..KINDS.len()).map(|n| TopKey::Kind(n as u8)));
    let basis = Basis::Sample { read: MOST, of: MOST };
    Answer::Top(Top { by: By::State, basis, interrupted: true, count: MOST, rows: rows.map(row).collect() })
}

fn evidence() -> Evidence {
    Evidence {
        verdict: Verdict::Blind,
        since: EVER,
        table: Table { count: MOST, max: MOST, buckets: MOST },
        refused: u32::MAX,
        fill_rate: u32::MAX,
        full_for: EVER,
    }
}

fn incident() -> Incident {
    let culprit = Culprit { key: LONGEST, share: Permille(u16::MAX) };
    let mut culprits = Culprits::default();
    while culprits.sources.push(culprit).is_ok() && culprits.destinations.push(culprit).is_ok() {}
    Incident {
        number: u32::MAX,
        began: EVER,
        ended: Some(EVER),
        worst: Verdict::Saturated,
        peak: MOST,
        max: MOST,
        refused: u32::MAX,
        grows: u32::MAX,
        trims: u32::MAX,
        evicted: u32::MAX,
        flushes: u32::MAX,
        culprits,
    }
}

fn status() -> Answer {
    Answer::Status(Status {
        version: std::iter::repeat_n('x', 32).collect(),
        pid: u32::MAX,
        uptime: EVER,
        evidence: evidence(),
        dry_run: true,
        ladder: Rung::ALL.into_iter().collect(),
        unusable: Rung::ALL.into_iter().collect(),
        max_before: Some(MOST),
        flushes: (u8::MAX, u8::MAX),
        incident: Some(incident()),
        log_readable: true,
        longest_blind_us: u32::MAX,
        allocations: Some(u32::MAX),
    })
}

fn answers() -> Vec<Answer> {
    vec![
        top(),
        status(),
        Answer::Log(std::iter::repeat_n(incident(), KEPT).collect()),
        Answer::Done(Done { before: MOST, after: MOST, took: EVER, steps: [u32::MAX; 5], dry: true }),
        Answer::Refused(Refusal::Budget { done: u8::MAX, allowed: u8::MAX }),
        Answer::Refused(Refusal::Breaker { bought: EVER, wanted: EVER }),
        Answer::Refused(Refusal::NotDone),
        Answer::Failed { errno: i32::MIN },
        Answer::busy(),
        Answer::not_understood(),
    ]
}

#[test]
fn the_largest_of_each_answer_fits_and_comes_back() {
    let mut room = [0; ANSWER_MOST + LENGTH];
    let (Answer::Top(largest), Answer::Status(status)) = (top(), status()) else { unreachable!() };
    assert!(largest.rows.is_full() && status.version.len() == status.version.capacity());
    assert!(incident().culprits.destinations.is_full());
    for answer in answers() {
        let bytes = frame(&answer, &mut room).unwrap_or_else(|| panic!("does not fit: {answer:?}"));
        assert_eq!(unframe::<Answer>(bytes, ANSWER_MOST), Some(Ok(answer)));
        for cut in [0, 1, LENGTH, bytes.len() - 1] {
            assert_eq!(unframe::<Answer>(&bytes[..cut], ANSWER_MOST), None, "more is wanted");
        }
    }
}

#[test]
fn what_does_not_fit_is_no_frame_and_what_is_too_long_is_refused_at_once() {
    assert_eq!(frame(&top(), &mut [0; 64]), None);
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
    ]
}

proptest! {
    #[test]
    fn a_request_fits_and_comes_back(request in requests()) {
        let mut room = [0; REQUEST_MOST + LENGTH];
        let bytes = frame(&request, &mut room).unwrap();
        prop_assert_eq!(unframe::<Request>(bytes, REQUEST_MOST), Some(Ok(request)));
    }

    #[test]
    fn bytes_of_a_stranger_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..REQUEST_MOST), which in 0..10usize, at: usize, flip: u8) {
        let _ = unframe::<Request>(&bytes, REQUEST_MOST);
        let _ = unframe::<Answer>(&bytes, ANSWER_MOST);
        let mut room = [0; ANSWER_MOST + LENGTH];
        let length = frame(&answers()[which], &mut room).unwrap().len();
        room[at % length] ^= flip;
        if let Some(Ok(Answer::Top(top))) = unframe::<Answer>(&room[..length], ANSWER_MOST) {
            top.rows.iter().for_each(|r| drop(r.key.to_string()));
        }
    }
}
