//! ctnetlink: the messages of the connection tracking table.
//!
//! Numbers from the kernel's `nfnetlink_conntrack.h`. What each deletion really does was measured on Linux 6.18; see the
//! comment at each.

use super::netlink::{Attributes, Batch, FLAG_ACK, FLAG_DUMP, FLAG_REQUEST, Head, NFGEN};
use crate::entry::{Entry, TcpState};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SUBSYSTEM: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_NEW`: what a dump consists of.
pub const NEW: u16 = SUBSYSTEM;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

/// AF_INET as `nfgen_family` has it.
pub const FAMILY_V4: u8 = 2;
/// AF_INET6.
pub const FAMILY_V6: u8 = 10;

mod cta {
    pub const TUPLE_ORIG: u16 = 1;
    pub const STATUS: u16 = 3;
    pub const PROTOINFO: u16 = 4;
    pub const TIMEOUT: u16 = 7;
    pub const MARK: u16 = 8;
    pub const ID: u16 = 12;
    pub const ZONE: u16 = 18;
    pub const FILTER: u16 = 25;
    pub const STATUS_MASK: u16 = 26;
    pub const TUPLE_IP: u16 = 1;
    pub const TUPLE_PROTO: u16 = 2;
    pub const IP_V4_SRC: u16 = 1;
    pub const IP_V4_DST: u16 = 2;
    pub const IP_V6_SRC: u16 = 3;
    pub const IP_V6_DST: u16 = 4;
    pub const PROTO_NUM: u16 = 1;
    pub const PROTO_SRC_PORT: u16 = 2;
    pub const PROTO_DST_PORT: u16 = 3;
    pub const PROTOINFO_TCP: u16 = 1;
    pub const PROTOINFO_TCP_STATE: u16 = 1;
    pub const FILTER_ORIG_FLAGS: u16 = 1;
    pub const FILTER_REPLY_FLAGS: u16 = 2;
    pub const FILTER_IP_SRC: u32 = 1;
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b))
}

fn be16(bytes: &[u8]) -> u16 {
    bytes.first_chunk::<2>().map_or(0, |b| u16::from_be_bytes(*b))
}

fn address(kind: u16, bytes: &[u8]) -> Option<IpAddr> {
    match kind {
        cta::IP_V4_SRC | cta::IP_V4_DST => bytes.first_chunk::<4>().map(|b| IpAddr::V4(Ipv4Addr::from(*b))),
        cta::IP_V6_SRC | cta::IP_V6_DST => bytes.first_chunk::<16>().map(|b| IpAddr::V6(Ipv6Addr::from(*b))),
        _ => None,
    }
}

/// An entry from the payload of a [`NEW`] message; `None` if it has no original tuple with both addresses, which no
/// kernel sends. Attributes that it does not know are passed over.
pub fn entry(payload: &[u8]) -> Option<Entry<'_>> {
    let family = *payload.first()?;
    let mut e = Entry {
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        protocol: 0,
        source_port: 0,
        destination_port: 0,
        zone: 0,
        id: 0,
        status: 0,
        left: None,
        tcp: None,
        mark: 0,
        tuple: &[],
        family,
        has_zone: false,
    };
    for (kind, value) in Attributes::new(payload.get(NFGEN..)?) {
        match kind {
            cta::TUPLE_ORIG => e.tuple = value,
            cta::STATUS => e.status = be32(value),
            cta::TIMEOUT => e.left = Some(be32(value)),
            cta::MARK => e.mark = be32(value),
            cta::ID => e.id = be32(value),
            cta::ZONE => {
                e.zone = be16(value);
                e.has_zone = true;
            }
            cta::PROTOINFO => {
                e.tcp = nested(value, cta::PROTOINFO_TCP)
                    .and_then(|v| nested(v, cta::PROTOINFO_TCP_STATE))
                    .and_then(|v| v.first())
                    .and_then(|n| TcpState::from_number(*n));
            }
            _ => {}
        }
    }
    let (mut source, mut destination) = (None, None);
    for (kind, value) in Attributes::new(e.tuple) {
        match kind {
            cta::TUPLE_IP => {
                for (kind, value) in Attributes::new(value) {
                    match kind {
                        cta::IP_V4_SRC | cta::IP_V6_SRC => source = address(kind, value),
                        cta::IP_V4_DST | cta::IP_V6_DST => destination = address(kind, value),
                        _ => {}
                    }
                }
            }
            cta::TUPLE_PROTO => {
                for (kind, value) in Attributes::new(value) {
                    match kind {
                        cta::PROTO_NUM => e.protocol = value.first().copied().unwrap_or(0),
                        cta::PROTO_SRC_PORT => e.source_port = be16(value),
                        cta::PROTO_DST_PORT => e.destination_port = be16(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    e.source = source?;
    e.destination = destination?;
    Some(e)
}

fn nested(block: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes::new(block).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Asks for the whole table, both families in one pass.
pub fn dump(batch: &mut Batch<'_>, sequence: u32) -> bool {
    let head = Head { kind: GET, flags: FLAG_REQUEST | FLAG_DUMP, sequence, family: 0, version: 0 };
    batch.message(head, &|_| {})
}

/// Asks for the entries of which the status bits in `mask` equal `status` (since 5.15; older kernels give all).
pub fn dump_by_status(batch: &mut Batch<'_>, status: u32, mask: u32, sequence: u32) -> bool {
    let head = Head { kind: GET, flags: FLAG_REQUEST | FLAG_DUMP, sequence, family: 0, version: 0 };
    batch.message(head, &|w| {
        w.be32(cta::STATUS, status);
        w.be32(cta::STATUS_MASK, mask);
    })
}

/// Deletes one entry, exactly that: its zone goes along (flows in zones are not found without), and its id (a reborn
/// flow of the same tuple is spared). No acknowledgement is asked for: 50,000 went in 0.08 s that way; an entry that is
/// gone already is answered with ENOENT all the same.
pub fn delete(batch: &mut Batch<'_>, e: &Entry<'_>) -> bool {
    let head = Head { kind: DELETE, flags: FLAG_REQUEST, sequence: 0, family: e.family, version: 0 };
    batch.message(head, &|w| {
        w.encoded(cta::TUPLE_ORIG, e.tuple);
        if e.has_zone {
            w.attribute(cta::ZONE, &e.zone.to_be_bytes());
        }
        w.be32(cta::ID, e.id);
    })
}

/// Deletes everything: AF_UNSPEC with version 0. Linux 4.4 refuses AF_UNSPEC: then one request a family, where the
/// version must not be 0, or the family does not count.
pub fn flush(batch: &mut Batch<'_>, family: Option<u8>, sequence: u32) -> bool {
    let (family, version) = family.map_or((0, 0), |f| (f, 1));
    let head = Head { kind: DELETE, flags: FLAG_REQUEST | FLAG_ACK, sequence, family, version };
    batch.message(head, &|_| {})
}

/// Deletes in the kernel all entries of which the status bits in `mask` equal `status` (since 5.15; an older kernel
/// ignores the attributes and would delete *everything*: the caller must have probed by [`dump_by_status`]).
pub fn delete_by_status(batch: &mut Batch<'_>, status: u32, mask: u32, sequence: u32) -> bool {
    let head = Head { kind: DELETE, flags: FLAG_REQUEST | FLAG_ACK, sequence, family: 0, version: 0 };
    batch.message(head, &|w| {
        w.be32(cta::STATUS, status);
        w.be32(cta::STATUS_MASK, mask);
    })
}

/// Deletes in the kernel all entries from one IPv4 source (since 6.12). An older kernel takes the tuple for an entry's
/// and answers EINVAL, since it is incomplete: nothing is lost. There is no IPv6 twin on purpose: the kernel's IPv6
/// address filter is inverted, asked for one address it matched every other one.
pub fn delete_by_source(batch: &mut Batch<'_>, source: Ipv4Addr, sequence: u32) -> bool {
    let head = Head { kind: DELETE, flags: FLAG_REQUEST | FLAG_ACK, sequence, family: FAMILY_V4, version: 1 };
    batch.message(head, &|w| {
        w.nested(cta::TUPLE_ORIG, &|w| w.nested(cta::TUPLE_IP, &|w| w.attribute(cta::IP_V4_SRC, &source.octets())));
        w.nested(cta::FILTER, &|w| {
            // Flags are in the machine's byte order, unlike everything else here.
            w.attribute(cta::FILTER_ORIG_FLAGS, &cta::FILTER_IP_SRC.to_ne_bytes());
            w.attribute(cta::FILTER_REPLY_FLAGS, &0u32.to_ne_bytes());
        });
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::netlink::{Messages, TYPE_DONE};
    use super::*;
    use std::format;

    /// Recorded on Linux 6.18, little endian; the text beside it is what conntrack(8) printed of the same table.
    #[cfg(target_endian = "little")]
    #[test]
    fn a_recorded_dump_says_what_conntrack_said() {
        let dump = include_bytes!("../../tests/golden/ctnetlink/dump-le64-linux-6.18.bin");
        let text = include_str!("../../tests/golden/ctnetlink/dump-le64-linux-6.18.txt");
        let (mut seen, mut done) = (0, false);
        for m in Messages::new(dump) {
            let m = m.unwrap();
            if m.kind == TYPE_DONE {
                done = true;
                continue;
            }
            let e = entry(m.payload).unwrap();
            seen += 1;
            let line = text.lines().find(|l| l.ends_with(&format!(" id={}", e.id))).unwrap();
            for part in [format!("src={} dst={} ", e.source, e.destination), format!(" mark={} ", e.mark)] {
                assert!(line.contains(&part), "{line} lacks {part}");
            }
            let mut words = line.split_whitespace();
            assert_eq!(words.nth(3), Some(&*format!("{}", e.protocol)));
            assert_eq!(words.next(), Some(&*format!("{}", e.left.unwrap())));
            assert_eq!(line.contains("[UNREPLIED]"), e.status & crate::entry::status::SEEN_REPLY == 0);
            assert_eq!(line.contains("[ASSURED]"), e.status & crate::entry::status::ASSURED != 0);
            if e.destination_port != 0 {
                assert!(line.contains(&format!("sport={} dport={} ", e.source_port, e.destination_port)));
            }
        }
        assert!(done && seen == text.lines().count());
    }

    #[test]
    fn what_is_deleted_is_what_was_read() {
        let mut room = [0; 256];
        let mut batch = Batch::new(&mut room);
        let mut tuple_room = [0; 128];
        let mut tuple = Batch::new(&mut tuple_room);
        let head = Head { kind: NEW, flags: 0, sequence: 0, family: FAMILY_V4, version: 0 };
        tuple.message(head, &|w| {
            w.nested(cta::TUPLE_IP, &|w| {
                w.attribute(cta::IP_V4_SRC, &[10, 0, 0, 5]);
                w.attribute(cta::IP_V4_DST, &[10, 0, 0, 6]);
            });
            w.nested(cta::TUPLE_PROTO, &|w| {
                w.attribute(cta::PROTO_NUM, &[17]);
                w.attribute(cta::PROTO_SRC_PORT, &[1, 2]);
                w.attribute(cta::PROTO_DST_PORT, &[0, 53]);
            });
        });
        let raw = tuple.bytes()[20..].to_vec();
        let e = Entry { tuple: &raw, zone: 7, has_zone: true, id: 99, family: FAMILY_V4, ..blank() };
        assert!(delete(&mut batch, &e));
        let m = Messages::new(batch.bytes()).next().unwrap().unwrap();
        let back = entry(m.payload).unwrap();
        assert_eq!((back.source, back.destination), ("10.0.0.5".parse().unwrap(), "10.0.0.6".parse().unwrap()));
        assert_eq!((back.protocol, back.source_port, back.destination_port), (17, 258, 53));
        assert_eq!((back.zone, back.id, back.tuple), (7, 99, &raw[..]));
    }

    fn blank() -> Entry<'static> {
        Entry {
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            protocol: 0,
            source_port: 0,
            destination_port: 0,
            zone: 0,
            id: 0,
            status: 0,
            left: None,
            tcp: None,
            mark: 0,
            tuple: &[],
            family: 0,
            has_zone: false,
        }
    }
}
