//! Who holds the table, in which state, how idle: fed entry by entry, in fixed memory ([`Census`] is about 48 KiB).
//!
//! Exact over a whole pass, or from the front of a dump, which is a fair random sample: the kernel dumps in the order of a keyed hash.
//! (Not of a table that is nearly empty or was just trimmed in part; the caller has to know.) A sample's shares come with their standard error.

use super::keys::{Destination, Host, Prefix, Raw};
use super::sketch::{Counter, Sketch};
pub use super::tally::{Basis, Share, Tally};
use super::timeouts::Timeouts;
use crate::entry::{Class, Entry, TcpState, protocol};
use crate::units::Entries;

/// Counters a dimension: in an exact census no host, prefix or destination with more than 1/512 (0.2 %) of the table is ever missed.
pub const CAPACITY: usize = 512;

/// The idle histogram's upper bounds in seconds: entries of its bin `i` were idle for less than `IDLE_BOUNDS[i]`, those of the last bin for longer.
pub const IDLE_BOUNDS: [u32; 10] = [1, 3, 10, 30, 60, 120, 300, 600, 3600, 86_400];
/// Bins of the idle histogram.
pub const IDLE_BINS: usize = IDLE_BOUNDS.len() + 1;

/// Kinds of entries that are told beside the biggest: the protocols, then how many have been idle for so long at least, then
/// those of which no idle time can be said.
pub const KINDS: [&str; Protocol::ALL.len() + IDLE_BINS] = [
    "tcp", "udp", "icmp", "other", "1 s+", "3 s+", "10 s+", "30 s+", "1 min+", "2 min+", "5 min+", "10 min+", "1 h+",
    "1 d+", "unknown",
];
/// So many of them are protocols.
pub const PROTOCOLS: u8 = Protocol::ALL.len() as u8;

/// How protocols are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp,
    Udp,
    /// ICMP and ICMPv6.
    Icmp,
    Other,
}

impl Protocol {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp, Protocol::Other];

    /// The word for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Icmp => "icmp",
            Protocol::Other => "other",
        }
    }

    /// From its IP number.
    pub const fn of(number: u8) -> Protocol {
        match number {
            protocol::TCP => Protocol::Tcp,
            protocol::UDP => Protocol::Udp,
            protocol::ICMP | protocol::ICMPV6 => Protocol::Icmp,
            _ => Protocol::Other,
        }
    }
}

/// One of the biggest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<K> {
    /// Who or what.
    pub key: K,
    /// What was counted for it for certain.
    pub tally: Tally,
    /// It may have been as many as this among those read; the same as `tally.count` unless there are more keys than [`CAPACITY`].
    pub at_most: u32,
}

impl Row<Raw> {
    fn into_key<K: From<Raw>>(self) -> Row<K> {
        Row { key: self.key.into(), tally: self.tally, at_most: self.at_most }
    }
}

/// The census. Large: keep it in a static or a box, and [`clear`](Census::clear) it in place.
#[derive(Clone, Debug)]
pub struct Census {
    read: u32,
    of: Option<u32>,
    interrupted: bool,
    classes: [u32; Class::ALL.len()],
    protocols: [u32; Protocol::ALL.len()],
    ipv6: u32,
    tcp: [u32; 10],
    /// By bin; behind the last those of which no idle time can be said.
    idle: [u32; IDLE_BINS + 1],
    left_out: [bool; 3],
    sources: Sketch<Raw, CAPACITY>,
    prefixes: Sketch<Raw, CAPACITY>,
    destinations: Sketch<Raw, CAPACITY>,
}

const _: () = assert!(size_of::<Census>() <= 64 * 1024, "a router of 64 MB pays for it");

impl Default for Census {
    fn default() -> Self {
        Self::new()
    }
}

impl Census {
    /// Nothing counted.
    pub const fn new() -> Self {
        Self {
            read: 0,
            of: None,
            interrupted: false,
            classes: [0; Class::ALL.len()],
            protocols: [0; Protocol::ALL.len()],
            ipv6: 0,
            tcp: [0; 10],
            idle: [0; IDLE_BINS + 1],
            left_out: [false; 3],
            sources: Sketch::new(),
            prefixes: Sketch::new(),
            destinations: Sketch::new(),
        }
    }

    /// Begins anew, in place. `seed` is a fresh random number: without it, whoever chooses addresses could choose ones that
    /// are slow to count.
    pub fn clear(&mut self, seed: u64) {
        self.read = 0;
        self.of = None;
        self.interrupted = false;
        self.classes = [0; Class::ALL.len()];
        self.protocols = [0; Protocol::ALL.len()];
        self.ipv6 = 0;
        self.tcp = [0; 10];
        self.idle = [0; IDLE_BINS + 1];
        self.left_out = [false; 3];
        self.sources.clear(seed);
        self.prefixes.clear(seed.wrapping_add(1));
        self.destinations.clear(seed.wrapping_add(2));
    }

    /// After [`clear`](Self::clear): sources, prefixes, destinations that nobody will ask for are not counted. Each costs a
    /// quarter of the time that an entry takes.
    pub fn leave_out(&mut self, left_out: [bool; 3]) {
        self.left_out = left_out;
    }

    /// Counts one entry.
    pub fn add(&mut self, entry: &Entry, timeouts: &Timeouts) {
        // No other count can pass this one.
        let Some(read) = self.read.checked_add(1) else { return };
        self.read = read;
        self.classes[entry.class() as usize] += 1;
        self.protocols[Protocol::of(entry.protocol) as usize] += 1;
        self.ipv6 += entry.source.is_ipv6() as u32;
        if let Some(state) = entry.tcp {
            self.tcp[state as usize] += 1;
        }
        self.idle[timeouts.idle_if_known(entry).map_or(IDLE_BINS, idle_bin)] += 1;
        let [no_sources, no_prefixes, no_destinations] = self.left_out;
        if !no_sources {
            self.sources.add(Host::of(entry.source).into());
        }
        if !no_prefixes {
            self.prefixes.add(Prefix::of(entry.source).into());
        }
        if !no_destinations {
            self.destinations.add(Destination::of(entry).into());
        }
    }

    /// The dump was marked as interrupted (`NLM_F_DUMP_INTR`): entries may be missing or counted twice.
    pub fn note_interrupted(&mut self) {
        self.interrupted = true;
    }

    /// The reading stopped before the end of a table of `of` entries: this is a sample.
    pub fn sampled(&mut self, of: Entries) {
        self.of = Some(of.0);
    }

    /// Exact, or a sample. A table that shrank below what was read counts as that large.
    pub fn basis(&self) -> Basis {
        match self.of {
            None => Basis::Exact,
            Some(of) => Basis::Sample { read: Entries(self.read), of: Entries(of.max(self.read)) },
        }
    }

    /// The dump was marked as interrupted.
    pub const fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Entries read.
    pub const fn read(&self) -> Entries {
        Entries(self.read)
    }

    /// Entries of a class.
    pub fn class(&self, class: Class) -> Tally {
        self.tally(self.classes[class as usize])
    }

    /// Entries of a protocol.
    pub fn protocol(&self, protocol: Protocol) -> Tally {
        self.tally(self.protocols[protocol as usize])
    }

    /// Entries from IPv4 sources.
    pub fn ipv4(&self) -> Tally {
        self.tally(self.read - self.ipv6)
    }

    /// Entries from IPv6 sources.
    pub fn ipv6(&self) -> Tally {
        self.tally(self.ipv6)
    }

    /// Entries in a TCP state.
    pub fn tcp_state(&self, state: TcpState) -> Tally {
        self.tally(self.tcp[state as usize])
    }

    /// Entries by how long they have been idle at least, bin by bin as in [`IDLE_BOUNDS`]. Behind the last bin those of which
    /// no idle time can be said: offloaded, or given a timeout of their own.
    pub fn idle(&self) -> &[u32; IDLE_BINS + 1] {
        &self.idle
    }

    /// Entries of a kind, by its place in [`KINDS`].
    pub fn kind(&self, kind: usize) -> Tally {
        let count = match self.protocols.get(kind) {
            Some(count) => *count,
            None => {
                let bin = kind + 1 - self.protocols.len();
                let end = IDLE_BINS.max(bin + 1);
                self.idle.get(bin..end).unwrap_or_default().iter().sum()
            }
        };
        self.tally(count)
    }

    /// The biggest holders, biggest first: hosts, for IPv6 /64s.
    pub fn top_sources(&self, n: usize) -> impl Iterator<Item = Row<Host>> {
        self.top(&self.sources, n).map(Row::into_key)
    }

    /// The biggest source networks, biggest first.
    pub fn top_prefixes(&self, n: usize) -> impl Iterator<Item = Row<Prefix>> {
        self.top(&self.prefixes, n).map(Row::into_key)
    }

    /// The biggest destinations, biggest first.
    pub fn top_destinations(&self, n: usize) -> impl Iterator<Item = Row<Destination>> {
        self.top(&self.destinations, n).map(Row::into_key)
    }

    /// No key with a greater share than this is missing from its list, were the list asked for whole: for certain in an exact
    /// census, with 95 % in a sample (what makes up 3/n of the table is drawn at least once in 95 of 100 samples of n).
    pub fn unseen(&self) -> Share {
        let counters = self.sources.most_missed().max(self.prefixes.most_missed()).max(self.destinations.most_missed());
        let drawn = if self.of.is_some() { 3 } else { 0 };
        Share((counters as u64 + drawn).saturating_mul(10_000).div_ceil(self.read.max(1) as u64).min(10_000) as u16)
    }

    /// What a count of entries read says of the table.
    pub fn tally(&self, count: u32) -> Tally {
        Tally::of(count, self.read, self.of)
    }

    /// By what was counted for certain. A sketch sorts by the upper bound, which in a flood of strangers puts the last comers first.
    fn top<'a>(&'a self, sketch: &'a Sketch<Raw, CAPACITY>, n: usize) -> impl Iterator<Item = Row<Raw>> + use<'a> {
        let mut last = None;
        // A look at all counters a row: rows are few, and nothing needs to be kept.
        core::iter::from_fn(move || {
            let rank_of = |(rank, c): (usize, &Counter<Raw>)| (c.count - c.error.min(c.count), CAPACITY - rank);
            let next = sketch
                .iter()
                .enumerate()
                .map(|(rank, c)| (rank_of((rank, &c)), c))
                .filter(|(place, _)| last.is_none_or(|last| *place < last))
                .max_by_key(|(place, _)| *place)?;
            last = Some(next.0);
            let c = next.1;
            Some(Row { key: c.key, tally: self.tally(next.0.0), at_most: c.count })
        })
        .take(n)
    }
}

fn idle_bin(seconds: u32) -> usize {
    IDLE_BOUNDS.iter().take_while(|bound| seconds >= **bound).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::proctext;

    fn census(lines: &[&str]) -> Census {
        let mut census = Census::new();
        census.clear(1);
        for line in lines {
            census.add(&proctext::parse(line.as_bytes()).unwrap(), &Timeouts::new());
        }
        census
    }

    const LINES: [&str; 5] = [
        "tcp 6 431990 ESTABLISHED src=192.168.1.10 dst=1.1.1.1 sport=1 dport=443 [ASSURED]",
        "tcp 6 110 TIME_WAIT src=192.168.1.10 dst=1.1.1.1 sport=2 dport=443 [ASSURED]",
        "udp 17 29 src=192.168.1.11 dst=8.8.8.8 sport=3 dport=53 [UNREPLIED]",
        "ipv6 10 udp 17 29 src=fd00::1:0:0:0:1 dst=2001:db8::1 sport=4 dport=53",
        "tcp 6 src=192.168.1.11 dst=1.1.1.1 sport=5 dport=443 [OFFLOAD]",
    ];

    #[test]
    fn five_entries() {
        let c = census(&LINES);
        assert_eq!((c.read(), c.basis(), c.interrupted()), (Entries(5), Basis::Exact, false));
        assert_eq!(Class::ALL.map(|k| c.class(k).count), [1, 1, 1, 1, 1]);
        assert_eq!(Protocol::ALL.map(|p| c.protocol(p).count), [3, 2, 0, 0]);
        assert_eq!((c.ipv4().count, c.ipv6().count, c.tcp_state(TcpState::TimeWait).count), (4, 1, 1));
        assert_eq!(c.idle(), &[0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
        let kinds: [u32; KINDS.len()] = core::array::from_fn(|kind| c.kind(kind).count);
        assert_eq!(kinds, [3, 2, 0, 0, 4, 2, 2, 0, 0, 0, 0, 0, 0, 0, 1], "idle for so long at least");
        let top = c.top_destinations(1).next().unwrap();
        assert_eq!((top.key.port(), top.tally.count, top.at_most, top.tally.share), (443, 3, 3, Share(6000)));
        let sources: [u32; 3] = core::array::from_fn(|i| c.top_sources(9).nth(i).unwrap().tally.count);
        assert_eq!((sources, c.top_sources(9).count(), c.top_sources(2).count()), ([2, 2, 1], 3, 2));
        assert_eq!(c.unseen(), Share(0));
    }

    #[test]
    fn a_census_begins_anew_in_place() {
        let mut c = census(&LINES);
        c.note_interrupted();
        c.sampled(Entries(9));
        assert_eq!((c.basis(), c.unseen()), (Basis::Sample { read: Entries(5), of: Entries(9) }, Share(6000)));
        c.sampled(Entries(3));
        assert_eq!(c.basis(), Basis::Sample { read: Entries(5), of: Entries(5) });
        c.clear(2);
        assert_eq!(
            (c.read(), c.basis(), c.interrupted(), c.top_sources(9).count()),
            (Entries(0), Basis::Exact, false, 0)
        );
    }

    #[test]
    fn names_of_the_kinds() {
        let (protocols, idle) = KINDS.split_at(PROTOCOLS as usize);
        assert_eq!(protocols, Protocol::ALL.map(Protocol::name));
        let seconds = |name: &str| {
            let (number, unit) = name.strip_suffix('+').unwrap().split_once(' ').unwrap();
            number.parse::<u32>().unwrap()
                * match unit {
                    "s" => 1,
                    "min" => 60,
                    "h" => 3600,
                    _ => 86_400,
                }
        };
        let (unknown, known) = idle.split_last().unwrap();
        assert!(known.iter().map(|name| seconds(name)).eq(IDLE_BOUNDS), "each is a bin's lower bound");
        assert_eq!(*unknown, "unknown");
    }

    #[test]
    fn bounds_of_the_histogram() {
        assert_eq!([0, 1, 2, 3, 86_399, 86_400, u32::MAX].map(idle_bin), [0, 1, 1, 2, 9, 10, 10]);
    }
}
