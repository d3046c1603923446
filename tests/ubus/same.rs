//! Every answer says the same on the command line and on the bus, and fits.

use ctwarden::describe;
use ctwarden::detect::{Evidence, Table, Verdict};
use ctwarden::entry::Class;
use ctwarden::history::{History, NUMBER_MOST, SLOTS_MOST, Slot, Span};
use ctwarden::incident::{ASKED, CULPRITS, Culprit, Culprits, Incident, KEPT};
use ctwarden::lease::{Lease, Scope};
use ctwarden::metrics::{Metrics, ROWS};
use ctwarden::observe::tally::{Basis, Tally};
use ctwarden::out::{Json, Out};
use ctwarden::protocol::{Answer, By, Done, Log, ROWS_MOST, Request, Status, Top, TopKey, TopRow, Windows};
use ctwarden::rung::Rung;
use ctwarden::units::{Entries, Millis, Permille};
use ctwarden::who::{Asked, Who};
use ctwarden::wire::blob::{Fields, Value, Writer};
use ctwarden::wire::ubus::{Code, Heard, Inbox, Outbox, Session};
use std::fmt::Write as _;

/// The longest that there is.
fn key() -> TopKey {
    TopKey::Destination {
        address: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
        protocol: 6,
        port: 65_535,
    }
}

fn incident() -> Incident {
    let culprits = [Culprit { key: key(), share: Permille(1000) }; CULPRITS];
    let n = u32::MAX;
    Incident {
        number: n,
        began: Millis(u64::MAX),
        ended: Some(Millis(u64::MAX)),
        worst: Verdict::Misreported,
        peak: Entries(n),
        max: Entries(n),
        refused: n,
        grows: n,
        trims: n,
        evicted: n,
        flushes: n,
        sheds: n,
        opens: n,
        culprits: Culprits {
            sources: heapless::Vec::from_slice(&culprits).unwrap(),
            destinations: heapless::Vec::from_slice(&culprits).unwrap(),
        },
    }
}

fn table() -> Table {
    Table { count: Entries(u32::MAX), max: Entries(u32::MAX), buckets: Entries(u32::MAX) }
}

fn windows() -> Windows {
    Windows { ready: true, open: Some((Scope::Router, Millis(u64::MAX))), shedding: 255, ..Windows::default() }
}

pub fn full_status() -> Answer {
    let evidence = Evidence { verdict: Verdict::Saturated, table: table(), refused: 5, ..Evidence::default() };
    Answer::Status(Status {
        version: "\"0.1\\\n".try_into().unwrap(),
        pid: 1,
        uptime: Millis(u64::MAX),
        evidence,
        dry_run: true,
        ladder: heapless::Vec::from_slice(&Rung::ALL).unwrap(),
        unusable: heapless::Vec::from_slice(&Rung::ALL).unwrap(),
        max_before: None,
        windows: windows(),
        out: [true, false],
        flushes: (1, 4),
        incident: Some(incident()),
        log_readable: false,
        longest_blind_us: 0x8000_0000,
        allocations: Some(0),
    })
}

pub fn full_log() -> Answer {
    let asked = Asked {
        at: Millis(u64::MAX),
        request: Request::Shed {
            lease: Lease::of_key("[2001:db8:1111:2222:3333:4444:5555:6666]:65535/udp").unwrap(),
            seconds: u32::MAX,
        },
        who: Who::web(&[b'x'; 99]),
        incident: 3,
    };
    Answer::Log(Log {
        incidents: std::iter::repeat_n(incident(), KEPT).collect(),
        asked: std::iter::repeat_n(asked, ASKED).collect(),
    })
}

pub fn full_top() -> Answer {
    let tally = Tally::of(u32::MAX, u32::MAX, Some(u32::MAX));
    let row = TopRow { key: key(), tally, at_most: u32::MAX };
    Answer::Top(Top {
        by: By::Destination,
        basis: Basis::Sample { read: Entries(u32::MAX), of: Entries(u32::MAX) },
        interrupted: true,
        count: Entries(u32::MAX),
        rows: std::iter::repeat_n(row, ROWS_MOST).collect(),
    })
}

pub fn full_history() -> Answer {
    let slot = Slot { count: NUMBER_MOST, max: u32::MAX, refused: NUMBER_MOST, rungs: u8::MAX };
    let slots = std::iter::repeat_n(slot, SLOTS_MOST).collect();
    let first = u32::MAX - SLOTS_MOST as u32;
    Answer::History(History { span: Span::Day, first, slots, high: Permille(850), low: Permille(600) })
}

pub fn full_metrics() -> Answer {
    Answer::Metrics(Metrics(std::iter::repeat_n(u32::MAX - 1, ROWS).collect()))
}

fn answers() -> Vec<Answer> {
    let mut state = full_top();
    if let Answer::Top(top) = &mut state {
        (top.basis, top.by) = (Basis::Exact, By::State);
        top.rows.truncate(1);
        top.rows[0].key = TopKey::State(Class::Closing);
    }
    let mut quiet = full_status();
    if let Answer::Status(s) = &mut quiet {
        (s.incident, s.allocations, s.max_before) = (None, None, Some(Entries(5)));
        s.ladder.clear();
        s.windows = Windows::default();
    }
    let done = Done {
        what: Rung::Trim,
        before: Entries(9),
        after: Entries(5),
        took: Millis(3),
        steps: [1, 0, 2, 0, 1],
        dry: false,
    };
    vec![
        full_status(),
        quiet,
        full_log(),
        Answer::Log(Log::default()),
        full_top(),
        state,
        Answer::Done(done),
        Answer::Windows(windows()),
        full_history(),
        full_metrics(),
    ]
}

/// A message as JSON text, as the bus's own tools print it.
fn json(block: &[u8], array: bool, out: &mut String) {
    out.push(if array { '[' } else { '{' });
    let mut fields = Fields::new(block);
    for (n, (name, value)) in fields.by_ref().enumerate() {
        assert_eq!(name.is_empty(), array);
        out.push_str(if n > 0 { "," } else { "" });
        if !array {
            write!(out, "\"{}\":", std::str::from_utf8(name).unwrap()).unwrap();
        }
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(b) => write!(out, "{b}").unwrap(),
            // A number of 64 bits is signed on the bus.
            Value::Number(n) => write!(out, "{}", n as u64).unwrap(),
            Value::Text(text) => {
                out.push('"');
                for c in std::str::from_utf8(text).unwrap().chars() {
                    match c {
                        '"' | '\\' => write!(out, "\\{c}").unwrap(),
                        c if c < ' ' => write!(out, "\\u{:04x}", c as u32).unwrap(),
                        c => out.push(c),
                    }
                }
                out.push('"');
            }
            Value::Table(inner) => json(inner, false, out),
            Value::Array(inner) => json(inner, true, out),
            Value::Double => panic!("no floating point here"),
        }
    }
    assert!(!fields.damaged());
    out.push(if array { ']' } else { '}' });
}

#[test]
fn the_command_line_and_the_bus_say_the_same() {
    for answer in answers() {
        let mut text = String::new();
        Json::object(&mut text, &|o| describe::answer(o, &answer));
        let mut room = vec![0; 1 << 16];
        let mut w = Writer::new(&mut room);
        describe::answer(&mut w, &answer);
        let n = w.written().unwrap();
        let mut told = String::new();
        json(&room[..n], false, &mut told);
        assert_eq!(told, text);
        assert!(n >= 16);
    }
}

/// The longest answers fit behind what may be waiting before them.
#[test]
fn every_answer_fits() {
    for answer in answers() {
        let (mut inbox, mut outbox, mut session) = (Inbox::new(), Outbox::new(), Session::new());
        let call = crate::golden::lines(crate::golden::SERVER).swap_remove(4).bytes;
        inbox.room()[..call.len()].copy_from_slice(&call);
        inbox.filled(call.len());
        let message = inbox.next_message().unwrap().unwrap();
        let Heard::Invoke(invoke) = session.hear(&message) else { panic!() };
        while outbox.is_roomy() {
            outbox.reply(invoke.asker, Code::Ok, Some(&|o: &mut dyn Out| o.number("n", 1)));
        }
        let before = outbox.pending().len();
        outbox.reply(invoke.asker, Code::Ok, Some(&|o| describe::answer(o, &answer)));
        let took = outbox.pending().len() - before;
        assert!(took > 60, "{took}: it did not fit");
        println!("{took}");
    }
}

/// What does not fit becomes a status, and that is all that is said.
#[test]
fn an_answer_that_does_not_fit_becomes_a_status() {
    let (mut inbox, mut outbox, mut session) = (Inbox::new(), Outbox::new(), Session::new());
    let call = crate::golden::lines(crate::golden::SERVER).swap_remove(4).bytes;
    inbox.room()[..call.len()].copy_from_slice(&call);
    inbox.filled(call.len());
    let message = inbox.next_message().unwrap().unwrap();
    let Heard::Invoke(invoke) = session.hear(&message) else { panic!() };
    let long = "x".repeat(20_000);
    assert!(outbox.reply(invoke.asker, Code::Ok, Some(&|o| o.text("long", &long))));
    assert_eq!(outbox.pending()[..2], [0, 1]);
    assert_eq!(outbox.pending()[19], Code::UnknownError as u8);
    // So too when nothing fits any more but that.
    while outbox.reply(invoke.asker, Code::Ok, Some(&|o| o.text("long", &"x".repeat(900)))) {}
    let said = outbox.pending().len();
    assert!(!outbox.reply(invoke.asker, Code::Ok, None));
    assert_eq!(outbox.pending().len(), said);
}
