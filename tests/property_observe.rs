//! Whatever the kernel, or somebody who writes into its log, hands us: no panic, no byte lost, no bound broken.

use ctwarden::entry::{Entry, TcpState, protocol, status};
use ctwarden::observe::counters::{self, Stats};
use ctwarden::observe::kmsg::{Line, Record};
use ctwarden::observe::lines::LineSplitter;
use ctwarden::observe::logwindow::LogWindow;
use ctwarden::observe::memory::{EntryCost, Memory};
use ctwarden::observe::proctext;
use ctwarden::observe::timeouts::{Timeout, Timeouts};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Pieces that real text is made of, so that random text gets deep into a parser.
fn scraps(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => prop::sample::select(words).prop_map(|w| w.as_bytes().to_vec()),
        2 => any::<u64>().prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

const KMSG: &[&str] = &[
    "4,1,2,-;",
    ";",
    ",",
    "-",
    "\n",
    " ",
    ".",
    "nf_conntrack: ",
    "ip_conntrack: ",
    "table full",
    " in netns ",
    "4026532177",
    ", dropping packet",
    "expectation table full",
    "net_ratelimit: ",
    "__ratelimit: ",
    "printk: ",
    " callbacks suppressed",
    " messages suppressed",
    "\0",
    "\\x1b",
];
const STAT: &[&str] =
    &["entries ", "drop ", "early_drop ", "insert_failed ", "\n", " ", "00000001 ", "ffffffff ", "zz "];

const MEMORY: &[&str] = &[
    "MemTotal:",
    "MemAvailable:",
    "MemFree:",
    "Cached:",
    "Shmem:",
    " ",
    "\n",
    " kB\n",
    "nf_conntrack",
    "nf_conntrack_1",
    "_expect",
    " 96 160 256 16 1 : tunables",
    "18446744073709551615",
];

const PROC: &[&str] = &[
    "ipv4     2 ",
    "ipv6     10 ",
    "tcp      6 ",
    "udp      17 ",
    "icmp     1 ",
    "119 ",
    "-1 ",
    "ESTABLISHED ",
    "src=",
    "dst=",
    "sport=",
    "dport=",
    "10.0.0.1 ",
    "2001:db8::1 ",
    "[UNREPLIED] ",
    "[ASSURED] ",
    "[OFFLOAD] ",
    "[HW_OFFLOAD] ",
    "mark=",
    "zone=",
    "zone-orig=",
    "use=2",
    " ",
    "=",
];

const TCP_STATES: [(&str, TcpState); 10] = [
    ("NONE", TcpState::None),
    ("SYN_SENT", TcpState::SynSent),
    ("SYN_RECV", TcpState::SynRecv),
    ("ESTABLISHED", TcpState::Established),
    ("FIN_WAIT", TcpState::FinWait),
    ("CLOSE_WAIT", TcpState::CloseWait),
    ("LAST_ACK", TcpState::LastAck),
    ("TIME_WAIT", TcpState::TimeWait),
    ("CLOSE", TcpState::Close),
    ("SYN_SENT2", TcpState::SynSent2),
];

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<(u32, u32)>().prop_map(|(a, b)| (Ipv4Addr::from(a).into(), Ipv4Addr::from(b).into())),
        any::<(u128, u128)>().prop_map(|(a, b)| (Ipv6Addr::from(a).into(), Ipv6Addr::from(b).into())),
    ]
}

prop_compose! {
    /// Any entry that the proc file can express.
    fn entries()(
        (source, destination) in addresses(),
        number in prop_oneof![Just(6u8), Just(17), Just(1), any::<u8>()],
        ports: (u16, u16),
        zone in prop::option::of(any::<u16>()),
        bits in 0u32..8,
        left in prop::option::of(0u32..1_000_000),
        state in prop::sample::select(&TCP_STATES[..]),
        mark: u32,
    ) -> Entry<'static> {
        let mut bits = [status::SEEN_REPLY, status::ASSURED, status::OFFLOAD].iter().enumerate()
            .filter(|(i, _)| bits >> i & 1 != 0).map(|(_, b)| b).sum::<u32>() | status::CONFIRMED;
        if bits & status::OFFLOAD != 0 {
            bits &= !status::ASSURED; // the kernel prints one word
        }
        Entry {
            source, destination, protocol: number, source_port: ports.0, destination_port: ports.1, zone: zone.unwrap_or(0), id: 0,
            status: bits, left, tcp: (number == protocol::TCP).then_some(state.1), mark, tuple: &[],
            family: if source.is_ipv4() { 2 } else { 10 }, has_zone: zone.is_some_and(|z| z != 0),
        }
    }
}

/// The entry as the kernel prints it.
fn printed(e: &Entry, legacy: bool) -> String {
    let mut line = String::new();
    if !legacy {
        line += if e.family == 2 { "ipv4     2 " } else { "ipv6     10 " };
    }
    line += &format!(
        "{:<8} {} ",
        match e.protocol {
            1 => "icmp",
            6 => "tcp",
            17 => "udp",
            _ => "unknown",
        },
        e.protocol
    );
    if let Some(left) = e.left {
        line += &format!("{left} ");
    }
    if let Some(state) = e.tcp {
        line += TCP_STATES.iter().find(|s| s.1 == state).unwrap().0;
        line += " ";
    }
    line += &format!("src={} dst={} sport={} dport={} ", e.source, e.destination, e.source_port, e.destination_port);
    if e.status & status::SEEN_REPLY == 0 {
        line += "[UNREPLIED] ";
    }
    line += &format!("src={} dst={} sport={} dport={} ", e.destination, e.source, e.destination_port, e.source_port);
    if e.status & status::OFFLOAD != 0 {
        line += "[OFFLOAD] ";
    } else if e.status & status::ASSURED != 0 {
        line += "[ASSURED] ";
    }
    line += &format!("mark={} ", e.mark);
    line + &format!("zone={} use=2", e.zone)
}

proptest! {
    #[test]
    fn kmsg_never_panics(bytes in prop_oneof![scraps(KMSG), prop::collection::vec(any::<u8>(), 0..4096)]) {
        let _ = Record::parse(&bytes);
    }

    /// Only the kernel's own facility says anything, whatever the text.
    #[test]
    fn kmsg_of_programs_is_other(priority in 8u32.., sequence: u64, micros: u64, text in scraps(KMSG)) {
        let mut record = format!("{priority},{sequence},{micros},-;").into_bytes();
        record.extend(text);
        let record = Record::parse(&record).unwrap();
        prop_assert_eq!(record.line, Line::Other);
        prop_assert_eq!((record.sequence, record.micros), (sequence, micros));
    }

    /// Every own line is counted once, on the right side of the start; every suppressed one in exactly one place.
    #[test]
    fn log_window_loses_nothing(
        records in prop::collection::vec((0u64..3, 0u64..4_000_000, 0u8..6), 0..200),
        start in 0u64..200,
    ) {
        const OURS: u32 = 7;
        let mut window = LogWindow::new(Some(OURS));
        window.mark_start(start);
        let (mut sequence, mut micros, mut held_back) = (0, 0, 0);
        let (mut own, mut foreign, mut missed) = ([0, 0], 0, 0);
        for (i, (skip, later, kind)) in records.into_iter().enumerate() {
            sequence += 1 + skip;
            micros += later;
            missed += if i == 0 { 0 } else { skip as u32 };
            let line = match kind {
                0 | 1 => { own[(sequence >= start) as usize] += 1; Line::TableFull { netns: (kind == 0).then_some(OURS), legacy: false } }
                2 => { foreign += 1; Line::TableFull { netns: Some(8), legacy: false } }
                3 => { held_back += 10; Line::Suppressed(10) }
                _ => Line::Other,
            };
            window.feed(&Record { facility: 0, level: 4, sequence, micros, line });
        }
        // Lets go of a suppression line that is still waiting for its neighbour.
        window.feed(&Record { facility: 0, level: 4, sequence: sequence + 1, micros: micros + 10_000_000, line: Line::Other });
        let (b, s) = (window.before(), window.since());
        prop_assert_eq!([b.refusals, s.refusals], own);
        prop_assert_eq!(b.foreign + s.foreign, foreign);
        prop_assert_eq!(b.missed + s.missed, missed);
        prop_assert_eq!(b.suppressed + s.suppressed + b.suppressed_elsewhere + s.suppressed_elsewhere, held_back);
    }

    #[test]
    fn counters_never_panic(bytes in prop_oneof![scraps(STAT), prop::collection::vec(any::<u8>(), 0..2048)]) {
        let _ = Stats::parse(&bytes);
        let _ = counters::entries(&bytes);
    }

    /// Any columns in any order, any number of CPUs: the sum is the sum, and steps survive any wrap.
    #[test]
    fn counters_add_up(
        names in Just(["found", "drop", "early_drop", "unheard_of", "insert_failed"]).prop_shuffle(),
        rows in prop::collection::vec((any::<u32>(), 0u32..1_000_000), 1..64),
    ) {
        let text = |which: fn(&(u32, u32)) -> u32| {
            let mut t = format!("entries  {}\n", names.join(" "));
            for row in &rows {
                t += &format!("00000001 {}\n", names.map(|n| format!("{:08x}", if n == "drop" { which(row) } else { 1 })).join(" "));
            }
            t
        };
        let before = Stats::parse(text(|r| r.0).as_bytes()).unwrap();
        let now = Stats::parse(text(|r| r.0.wrapping_add(r.1)).as_bytes()).unwrap();
        prop_assert_eq!(now.since(&before).drop, Some(rows.iter().map(|r| r.1).sum()));
        prop_assert_eq!(now.early_drop, Some(rows.len() as u32));
        prop_assert_eq!(now.chain_too_long, None);
    }

    #[test]
    fn memory_never_panics(bytes in prop_oneof![scraps(MEMORY), prop::collection::vec(any::<u8>(), 0..2048)]) {
        let _ = Memory::parse(&bytes);
        let cost = EntryCost::parse(&bytes);
        prop_assert!(cost.bytes > 0);
    }

    /// However the reads fall, the lines are those of the text; only lines beyond the buffer are cut, and say so.
    #[test]
    fn no_byte_is_lost_between_reads(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>().prop_map(|b| if b == b'\n' { b' ' } else { b }), 0..80), 0..30),
        mut pieces in prop::collection::vec(1usize..100, 1..50),
    ) {
        const ROOM: usize = 64;
        let text = lines.iter().flat_map(|l| l.iter().copied().chain([b'\n'])).collect::<Vec<u8>>();
        let mut splitter = LineSplitter::<ROOM>::new();
        let mut seen = Vec::new();
        let mut left = &text[..];
        while !left.is_empty() {
            pieces.rotate_left(1);
            let room = splitter.room();
            let n = room.len().min(pieces[0]).min(left.len());
            room[..n].copy_from_slice(&left[..n]);
            splitter.filled(n);
            left = &left[n..];
            while let Some(line) = splitter.next_line() {
                seen.push((line.bytes.to_vec(), line.whole));
            }
        }
        prop_assert_eq!(splitter.last_line(), None);
        let expected: Vec<_> =
            lines.into_iter().map(|l| if l.len() < ROOM { (l, true) } else { (l[..ROOM].to_vec(), false) }).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn proctext_never_panics(bytes in prop_oneof![scraps(PROC), prop::collection::vec(any::<u8>(), 0..512)]) {
        let _ = proctext::parse(&bytes);
    }

    #[test]
    fn proctext_reads_what_the_kernel_prints(entry in entries(), legacy: bool) {
        let legacy = legacy && entry.source.is_ipv4() && matches!(entry.protocol, 1 | 6 | 17);
        prop_assert_eq!(proctext::parse(printed(&entry, legacy).as_bytes()), Ok(entry));
    }

    /// Idle never is more than the largest timeout less what is left, and what an entry was really given is never passed.
    #[test]
    fn idle_is_a_lower_bound(entry in entries(), given in prop::sample::select(&Timeout::ALL[..]), values in prop::collection::vec(0u32..500_000, 25), idle: u32) {
        let mut timeouts = Timeouts::new();
        for (timeout, seconds) in Timeout::ALL.into_iter().zip(values) {
            timeouts.set(timeout, seconds);
        }
        let given = timeouts.get(given);
        let idle = idle % (given + 1);
        // Only where the kernel may have given this entry that timeout does the bound hold; the oracle asks a fresh entry.
        let fresh = Entry { left: Some(given), ..entry };
        if given > 0 && timeouts.idle_if_known(&fresh) == Some(0) {
            let later = Entry { left: Some(given - idle), ..entry };
            prop_assert!(timeouts.idle(&later) <= idle);
        }
    }
}
