//! Fills the table with flows made by ctnetlink, the same ones on every run: 250,000 in well under two seconds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Outcome;
use crate::ctnetlink::{Batch, Flow, Socket, messages, status};
use crate::host::{count, expect_count};

/// What kind of flows a holder has.
#[derive(Clone, Copy, Debug)]
pub enum Mix {
    /// All TCP, established and assured: what a stuck table is made of.
    Established,
    /// Of 20 flows: 11 TCP established, 3 TIME_WAIT, 4 UDP unreplied, 2 UDP assured.
    Everyday,
}

/// One source and how much of the table it holds.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// The source; for IPv6 the /64 from which it takes a new address every 16 flows.
    pub source: IpAddr,
    pub entries: u32,
    pub mix: Mix,
}

/// Who holds what.
pub struct Plan {
    pub holders: Vec<Holder>,
    /// Seconds already idle, at most: what is left is the timeout of the state less a part of this.
    idle_up_to: u32,
}

/// The source that `trim --source` is asked to clear.
pub const HOG: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

impl Plan {
    /// Half of `total` held by one IPv4 source, the rest by a tail of small holders.
    pub fn one_hog(total: u32) -> Self {
        let hog = Holder { source: IpAddr::V4(HOG), entries: total / 2, mix: Mix::Established };
        Self::with_tail(total, vec![hog])
    }

    /// Holders of 30, 10, 3 (an IPv6 /64), 2 and 1 % of `total`, the rest a tail of small holders.
    pub fn shares(total: u32) -> Self {
        let v4 = |last| IpAddr::V4(Ipv4Addr::new(10, 9, 0, last));
        let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 1, 0, 0, 0, 0));
        let parts = [(v4(1), 30, Mix::Established), (v4(2), 10, Mix::Everyday), (v6, 3, Mix::Everyday)];
        let parts = parts.into_iter().chain([(v4(3), 2, Mix::Everyday), (v4(4), 1, Mix::Established)]);
        let big = parts.map(|(source, percent, mix)| Holder { source, entries: total / 100 * percent, mix }).collect();
        Self::with_tail(total, big)
    }

    /// `total` established flows of one source.
    pub fn only_hog(total: u32) -> Self {
        Self {
            holders: vec![Holder { source: IpAddr::V4(HOG), entries: total, mix: Mix::Established }],
            idle_up_to: 3_600,
        }
    }

    fn with_tail(total: u32, mut holders: Vec<Holder>) -> Self {
        let mut missing = total.saturating_sub(holders.iter().map(|h| h.entries).sum());
        for n in 0u16.. {
            if missing == 0 {
                break;
            }
            let entries = (40 + u32::from(n) * 7 % 21).min(missing);
            missing -= entries;
            let [high, low] = n.to_be_bytes();
            let source = match n % 10 {
                0 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0x20, 0, n, 0, 0, 0, 0)),
                _ => IpAddr::V4(Ipv4Addr::new(10, 20 + high, low, 1)),
            };
            holders.push(Holder { source, entries, mix: Mix::Everyday });
        }
        Self { holders, idle_up_to: 3_600 }
    }

    pub fn total(&self) -> u32 {
        self.holders.iter().map(|h| h.entries).sum()
    }

    /// The flows of the holders that `wanted` picks, in an order that has nothing to do with who holds them.
    fn flows(&self, wanted: impl Fn(&Holder) -> bool) -> Vec<Flow> {
        let mut random = Random(0x6374_7761_7264_656e);
        let mut flows = Vec::with_capacity(self.total() as usize);
        for holder in self.holders.iter().filter(|h| wanted(h)) {
            flows.extend((0..holder.entries).map(|n| self.flow(holder, n, &mut random)));
        }
        for last in (1..flows.len()).rev() {
            flows.swap(last, random.below(last as u32 + 1) as usize);
        }
        flows
    }

    fn flow(&self, holder: &Holder, n: u32, random: &mut Random) -> Flow {
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        const ANSWERED: u32 = status::SEEN_REPLY | status::ASSURED;
        let established = (TCP, ANSWERED, 3, 432_000, 443);
        let (protocol, status, tcp_state, given, destination_port) = match (holder.mix, n % 20) {
            (Mix::Established, _) | (_, 0..=10) => established,
            (_, 11..=13) => (TCP, ANSWERED, 7, 7_200, 80),
            (_, 14..=17) => (UDP, 0, 0, 7_200, 53),
            _ => (UDP, ANSWERED, 0, 14_400, 6881),
        };
        // Source port and the destination's low bits together make every flow of a holder another tuple.
        let source_port = 1_024 + (n % 60_000) as u16;
        let place = (n / 60_000) << 12 | random.below(1 << 12);
        let (source, destination) = match holder.source {
            v4 @ IpAddr::V4(_) => (v4, IpAddr::V4(Ipv4Addr::from(0xc612_0000 | place))),
            IpAddr::V6(prefix) => (
                IpAddr::V6(Ipv6Addr::from(u128::from(prefix) | u128::from(n / 16 + 1))),
                IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(place))),
            ),
        };
        let left = given - random.below(self.idle_up_to);
        Flow { source, destination, protocol, source_port, destination_port, status, tcp_state, left }
    }

    /// Makes the whole plan stand in an empty table, and checks that it does.
    pub fn fill(&self) -> Outcome<()> {
        let socket = Socket::open()?;
        socket.flush()?;
        create(&socket, &self.flows(|_| true))?;
        expect_count("after filling", self.total(), 0)
    }

    /// Fills up what room there is, without looking afterwards: somebody may be watching the table and act at once.
    pub fn fill_quickly(&self) -> Outcome<()> {
        let flows = self.flows(|_| true);
        let socket = Socket::open()?;
        socket.flush()?;
        create(&socket, &flows)
    }

    /// Brings back the flows of `source` alone, if something deleted them.
    pub fn refill(&self, source: IpAddr) -> Outcome<()> {
        if count()? == self.total() {
            return Ok(());
        }
        create(&Socket::open()?, &self.flows(|h| h.source == source))?;
        expect_count("after refilling", self.total(), 0)
    }
}

/// Creates entries in batches.
pub fn create(socket: &Socket, flows: &[Flow]) -> Outcome<()> {
    let mut batch = Batch::default();
    for chunk in flows.chunks(256) {
        batch.bytes.clear();
        chunk.iter().for_each(|flow| batch.create(flow));
        socket.send(&batch.bytes)?;
        if let (number, Some(errno)) = socket.errors()? {
            return Err(format!("creating entries: {number} of {} refused: {errno}", chunk.len()));
        }
    }
    Ok(())
}

/// What stands in the table, read whole: entries by holder (the source; for IPv6 its /64).
pub fn truth() -> Outcome<HashMap<IpAddr, u32>> {
    let mut held = HashMap::new();
    let socket = Socket::open()?;
    socket.dump(&mut vec![0; 1 << 16], |datagram| {
        for source in messages(datagram).filter(|m| m.is_entry()).filter_map(|m| m.source()) {
            let holder = match source {
                IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) >> 64 << 64)),
                v4 => v4,
            };
            *held.entry(holder).or_default() += 1;
        }
        Ok(())
    })?;
    Ok(held)
}

/// splitmix64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    /// Below `bound`, which is small enough here for the remainder's bias not to matter.
    fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound.max(1))) as u32
    }
}
