//! The largest of each answer, rendered in every way, fits into what it is rendered in and into its frame.

use super::show;
use super::text::{MOST as TEXT_MOST, keep};
use ctwarden::decide::ladder::Refusal;
use ctwarden::decide::shed::Why;
use ctwarden::detect::{Evidence, Table, Verdict};
use ctwarden::event::Lifeline;
use ctwarden::history::{History, NUMBER_MOST, SLOTS_MOST, Slot, Span};
use ctwarden::incident::{ASKED, Culprit, Culprits, Incident, KEPT};
use ctwarden::lease::{Backend, Scope};
use ctwarden::metrics::{Metrics, ROWS};
use ctwarden::observe::census::KINDS;
use ctwarden::observe::tally::{Basis, Share, Tally};
use ctwarden::protocol::*;
use ctwarden::rung::Rung;
use ctwarden::units::{Entries, Millis, Permille};
use ctwarden::who::{Asked, Who};
use std::net::{IpAddr, Ipv6Addr};

const MOST: Entries = Entries(u32::MAX);
const MARK: Permille = Permille(u16::MAX);
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
        sheds: u32::MAX,
        opens: u32::MAX,
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
        windows: windows(),
        out: [true; 2],
        flushes: (u8::MAX, u8::MAX),
        incident: Some(incident()),
        log_readable: true,
        longest_blind_us: u32::MAX,
        allocations: Some(u32::MAX),
    })
}

fn log() -> Log {
    let lease = ctwarden::lease::Lease::Destination { address: ALL, protocol: u8::MAX, port: u16::MAX };
    let asked = Asked {
        at: EVER,
        request: Request::Shed { lease, seconds: u32::MAX },
        who: Who::web(&[b'x'; 99]),
        incident: u32::MAX,
    };
    Log {
        incidents: std::iter::repeat_n(incident(), KEPT).collect(),
        asked: std::iter::repeat_n(asked, ASKED).collect(),
    }
}

fn windows() -> Windows {
    Windows {
        backend: Backend::Iptables,
        ready: true,
        left_alone: u16::MAX,
        counts: true,
        lifeline: Lifeline::NotAccepted,
        open: Some((Scope::Lan, EVER)),
        shedding: u8::MAX,
    }
}

fn history() -> History {
    let slot = Slot { count: NUMBER_MOST, max: u32::MAX, refused: NUMBER_MOST, rungs: u8::MAX };
    let slots = std::iter::repeat_n(slot, SLOTS_MOST).collect();
    History { span: Span::Day, first: u32::MAX - SLOTS_MOST as u32, slots, high: MARK, low: MARK }
}

fn metrics() -> Metrics {
    Metrics(std::iter::repeat_n(u32::MAX - 1, ROWS).collect())
}

fn answers() -> Vec<Answer> {
    vec![
        top(),
        status(),
        Answer::Log(log()),
        Answer::Done(Done {
            what: Rung::Stateless,
            before: MOST,
            after: MOST,
            took: EVER,
            steps: [u32::MAX; 5],
            dry: true,
        }),
        Answer::Refused(Refusal::Budget { done: u8::MAX, allowed: u8::MAX }),
        Answer::Refused(Refusal::Breaker { bought: EVER, wanted: EVER }),
        Answer::Refused(Refusal::NotDone),
        Answer::Failed { errno: i32::MIN },
        Answer::Windows(windows()),
        Answer::History(history()),
        Answer::Metrics(metrics()),
        Answer::NoRules,
        Answer::Translated,
        Answer::Spared(Why::Unknown),
        Answer::NotConfigured,
        Answer::busy(),
        Answer::not_understood(),
    ]
}

#[test]
fn the_largest_of_each_answer_fits() {
    let (Answer::Top(largest), Answer::Status(status)) = (top(), status()) else { unreachable!() };
    assert!(largest.rows.is_full() && status.version.len() == status.version.capacity());
    assert!(incident().culprits.destinations.is_full());
    for answer in answers() {
        for (json, colour) in [(true, false), (false, false), (false, true)] {
            keep(colour, &|| show::answer(&answer, json), &mut |exit, text| {
                assert!(text.ends_with('\n') && text.len() < TEXT_MOST, "{} bytes: {answer:?}", text.len());
                let mut room = vec![0; REPLY_MOST + LENGTH];
                assert!(frame(&Reply { exit: exit as u8, text }, &mut room).is_some());
            });
        }
    }
}
