//! Entries made by ctnetlink, and the table read back: which of them are there, with id and time left.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use crate::Outcome;
use crate::ctnetlink::{Batch, Flow, Message, Socket, Zone, find, messages, status};
use crate::fill;
use crate::subject::{PATIENCE, until};

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
/// Answered and assured.
pub const ASSURED: u32 = status::SEEN_REPLY | status::ASSURED;

/// `enum tcp_conntrack`.
pub const SYN_SENT: u8 = 1;
pub const ESTABLISHED: u8 = 3;
pub const TIME_WAIT: u8 = 7;

/// Timeouts in our namespaces (`host::LONG_TIMEOUTS`): idle is told from them.
const GIVEN_ESTABLISHED: u32 = 432_000;
const GIVEN_STREAM: u32 = 14_400;
const GIVEN_SHORT: u32 = 7_200;

pub fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// Host `host` of the network `fd00:9:0:net::/64`.
pub fn v6(net: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, net, 0, 0, 0, host))
}

/// The `n`th flow of a source: established TCP, idle for `idle` seconds.
pub fn established(source: IpAddr, n: u32, idle: u32) -> Flow {
    let destination = match source {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(0xc612_0000 + n / 60_000)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n / 60_000 + 1))),
    };
    Flow {
        source,
        destination,
        protocol: TCP,
        source_port: 1_024 + (n % 60_000) as u16,
        destination_port: 443,
        status: ASSURED,
        tcp_state: ESTABLISHED,
        left: GIVEN_ESTABLISHED - idle,
        mark: 0,
        zone: Zone::Default,
    }
}

/// The same, two-way UDP.
pub fn stream(source: IpAddr, n: u32, idle: u32) -> Flow {
    Flow { protocol: UDP, destination_port: 6881, left: GIVEN_STREAM - idle, ..established(source, n, 0) }
}

/// The same, UDP without an answer.
pub fn unreplied(source: IpAddr, n: u32, idle: u32) -> Flow {
    Flow { protocol: UDP, destination_port: 53, status: 0, left: GIVEN_SHORT - idle, ..established(source, n, 0) }
}

/// The same, a TCP handshake's first packet.
pub fn syn_sent(source: IpAddr, n: u32, idle: u32) -> Flow {
    Flow { status: 0, tcp_state: SYN_SENT, left: GIVEN_SHORT - idle, ..established(source, n, 0) }
}

/// The same, TCP that is over.
pub fn time_wait(source: IpAddr, n: u32, idle: u32) -> Flow {
    Flow { tcp_state: TIME_WAIT, left: GIVEN_SHORT - idle, ..established(source, n, 0) }
}

/// What tells one entry from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub source_port: u16,
    pub destination_port: u16,
    /// Whichever direction it is of.
    pub zone: u16,
}

impl From<&Flow> for Key {
    fn from(f: &Flow) -> Self {
        let zone = match f.zone {
            Zone::Default => 0,
            Zone::Both(zone) | Zone::Original(zone) => zone,
        };
        // An echo has an id where others have ports.
        let echo = matches!(f.protocol, 1 | 58);
        Self {
            source: f.source,
            destination: f.destination,
            protocol: f.protocol,
            source_port: if echo { f.source_port.max(f.destination_port) } else { f.source_port },
            destination_port: if echo { 0 } else { f.destination_port },
            zone,
        }
    }
}

/// The rest of an entry as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    pub id: u32,
    pub left: u32,
}

pub type Entries = BTreeMap<Key, Rest>;

/// Makes flows; a flow that cannot be made is a fault.
pub fn make(flows: &[Flow]) -> Outcome<()> {
    fill::create(&Socket::open()?, flows)
}

/// Makes flows while others come and go. Some may be missing then: a full table refuses with ENOMEM; and while a daemon deletes
/// at the same time this kernel finds, once in some 500,000 creations, a chain of two or three entries too long (ENOSPC).
pub fn make_what_fits(flows: &[Flow]) -> Outcome<()> {
    let socket = Socket::open()?;
    for chunk in flows.chunks(256) {
        let mut batch = Batch::default();
        chunk.iter().for_each(|flow| batch.create(flow));
        socket.send(&batch.bytes)?;
        match socket.errors()? {
            (_, None | Some(Errno::ENOMEM | Errno::ENOSPC)) => {}
            (number, Some(errno)) => return Err(format!("creating entries: {number} refused: {errno}")),
        }
    }
    Ok(())
}

/// Makes them in an empty table, and checks that they stand there. Looked at more than once: a dump misses entries while
/// another case has the buckets resized.
pub fn make_only(flows: &[Flow]) -> Outcome<()> {
    Socket::open()?.flush()?;
    make(flows)?;
    let mut there = 0;
    until("all entries made stand in the table", PATIENCE, || {
        there = read()?.len();
        Ok((there == flows.len()).then_some(()))
    })
    .map_err(|e| format!("{e}: {there} of {}", flows.len()))
}

/// The whole table.
pub fn read() -> Outcome<Entries> {
    let mut entries = Entries::new();
    Socket::open()?.dump(&mut vec![0; 1 << 16], |datagram| {
        entries.extend(messages(datagram).filter(Message::is_entry).filter_map(|m| entry(&m)));
        Ok(())
    })?;
    Ok(entries)
}

fn entry(m: &Message) -> Option<(Key, Rest)> {
    let number = |bytes: Option<&[u8]>| bytes.map(|b| b.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)));
    let tuple = m.attribute(1)?;
    let (addresses, ports) = (find(tuple, 1)?, find(tuple, 2)?);
    let address = |v4, v6| match (find(addresses, v4), find(addresses, v6)) {
        (Some(a), _) => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(a).ok()?))),
        (_, a) => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(a?).ok()?))),
    };
    let port = |kind| number(find(ports, kind)).unwrap_or(0) as u16;
    let protocol = number(find(ports, 1))? as u8;
    let source_port = match protocol {
        1 => port(4),
        58 => port(7),
        _ => port(2),
    };
    let key = Key {
        source: address(1, 3)?,
        destination: address(2, 4)?,
        protocol,
        source_port,
        destination_port: port(3),
        zone: number(m.attribute(18).or(find(tuple, 3))).unwrap_or(0) as u16,
    };
    Some((key, Rest { id: number(m.attribute(12))?, left: number(m.attribute(7)).unwrap_or(0) }))
}

/// Deletes those of the table that `wanted` picks.
pub fn delete(wanted: impl Fn(&Key) -> bool) -> Outcome<()> {
    let socket = Socket::open()?;
    let mut batch = Batch::default();
    Socket::open()?.dump(&mut vec![0; 1 << 16], |datagram| {
        for m in messages(datagram).filter(Message::is_entry) {
            if entry(&m).is_some_and(|(key, _)| wanted(&key)) {
                batch.delete(&m, true);
            }
            if batch.bytes.len() > 1 << 15 {
                socket.send(&std::mem::take(&mut batch).bytes)?;
            }
        }
        Ok(())
    })?;
    if batch.bytes.is_empty() { Ok(()) } else { socket.send(&batch.bytes) }
}

/// The sources that these tests use where they share a table with others: the initial namespace.
pub fn is_ours(key: &Key) -> bool {
    matches!(key.source, IpAddr::V4(a) if a.octets()[..3] == [10, 9, 0]) && key.destination_port == 443
}
