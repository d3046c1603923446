//! What is asked of ctnetlink, byte by byte, and that no bytes from it (or from who pretends to be it) do harm.

use ctwarden::entry::{Entry, TcpState, status};
use ctwarden::wire::conntrack::*;
use ctwarden::wire::netlink::{Attributes, Batch, HEADER, Message, Messages, NFGEN, TYPE_DONE, TYPE_ERROR, align};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

/// The words of a message from its family header on, as hexadecimal text; numbers of the machine's own order as on a
/// little-endian one.
fn asked(ask: impl Fn(&mut Batch<'_>) -> bool) -> (u16, u16, u32, String) {
    let mut room = [0; 256];
    let mut batch = Batch::new(&mut room);
    assert!(ask(&mut batch));
    let m = Messages::new(batch.bytes()).next().unwrap().unwrap();
    let text = m.payload.iter().map(|b| format!("{b:02x}")).collect();
    (m.kind, m.flags, m.sequence, text)
}

const GET: u16 = 0x101;
const DELETE: u16 = 0x102;
const DUMP: u16 = 0x301;
const ACK: u16 = 5;

#[test]
fn whole_tables() {
    assert_eq!(asked(|b| dump(b, 7)), (GET, DUMP, 7, "00000000".into()));
    assert_eq!(asked(|b| flush(b, None, 8)), (DELETE, ACK, 8, "00000000".into()), "AF_UNSPEC goes with version 0");
    assert_eq!(asked(|b| flush(b, Some(FAMILY_V4), 9)), (DELETE, ACK, 9, "02010000".into()));
    assert_eq!(asked(|b| flush(b, Some(FAMILY_V6), 9)), (DELETE, ACK, 9, "0a010000".into()));
}

/// Headers of attributes are in the machine's order, statuses in the network's, flags of the filter in the machine's.
#[cfg(target_endian = "little")]
#[test]
fn selections() {
    let status = "00000000 0800 0300 00000000 0800 1a00 00000002".replace(' ', "");
    assert_eq!(asked(|b| dump_by_status(b, 0, status::SEEN_REPLY, 1)), (GET, DUMP, 1, status.clone()));
    assert_eq!(asked(|b| delete_by_status(b, 0, status::SEEN_REPLY, 2)), (DELETE, ACK, 2, status));
    let source = "02010000 1000 0180 0c00 0180 0800 0100 c0a80132 1400 1980 0800 0100 01000000 0800 0200 00000000";
    let source = source.replace(' ', "");
    assert_eq!(asked(|b| delete_by_source(b, Ipv4Addr::new(192, 168, 1, 50), 3)), (DELETE, ACK, 3, source));
}

#[test]
fn answers_tell_an_errno() {
    let message = |kind, code: i32| Message { kind, flags: 0, sequence: 0, payload: &code.to_ne_bytes() }.errno();
    assert_eq!(message(TYPE_ERROR, 0), Some(0), "an acknowledgement");
    assert_eq!(message(TYPE_ERROR, -2), Some(2));
    assert_eq!(message(TYPE_DONE, -105), Some(105), "newer kernels end a dump so");
    assert_eq!(message(NEW, -2), None);
    assert_eq!(message(TYPE_ERROR, i32::MIN), Some(i32::MAX));
    assert_eq!(Message { kind: TYPE_ERROR, flags: 0, sequence: 0, payload: &[1] }.errno(), Some(0), "cut");
}

#[test]
fn states_as_the_kernel_numbers_them() {
    for n in 0..=u8::MAX {
        assert_eq!(TcpState::from_number(n).map(|s| s as u8), (n < 10).then_some(n));
    }
}

fn tuple(source: IpAddr, destination: IpAddr, protocol: u8, ports: [u16; 2]) -> Vec<u8> {
    let octets = |a: IpAddr| match a {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let first = if source.is_ipv4() { 1 } else { 3 };
    let mut room = [0; 256];
    let mut batch = Batch::new(&mut room);
    let head = ctwarden::wire::netlink::Head { kind: 0, flags: 0, sequence: 0, family: 0, version: 0 };
    batch.message(head, &|w| {
        w.nested(1, &|w| {
            w.attribute(first, &octets(source));
            w.attribute(first + 1, &octets(destination));
        });
        w.nested(2, &|w| {
            w.attribute(1, &[protocol]);
            w.attribute(2, &ports[0].to_be_bytes());
            w.attribute(3, &ports[1].to_be_bytes());
        });
    });
    batch.bytes()[HEADER + NFGEN..].to_vec()
}

/// Read all there is to read, and end.
fn devour(bytes: &[u8]) {
    for m in Messages::new(bytes) {
        let Ok(m) = m else { break };
        let _ = m.errno();
        let _ = entry(m.payload);
        assert!(Attributes::new(m.payload).count() <= m.payload.len() / 4);
    }
}

proptest! {
    /// What is deleted is the entry that was read, its zone and id with it; it fits whole or is left out whole.
    #[test]
    fn deletions_come_back_as_the_entries_they_name(
        entries in prop::collection::vec((any::<(u128, u128)>(), any::<bool>(), any::<u8>(), any::<[u16; 2]>(), any::<u32>(), prop::option::of(1..u16::MAX)), 1..40),
        room in 0..2048usize,
    ) {
        let mut room = vec![0xaa; room & !3];
        let mut batch = Batch::new(&mut room);
        let mut asked = vec![];
        for ((a, b), v6, protocol, ports, id, zone) in entries {
            let address = |n: u128| if v6 { IpAddr::V6(n.into()) } else { IpAddr::V4((n as u32).into()) };
            let raw = tuple(address(a), address(b), protocol, ports);
            let family = if v6 { FAMILY_V6 } else { FAMILY_V4 };
            let e = Entry {
                source: address(a), destination: address(b), protocol, source_port: ports[0], destination_port: ports[1],
                zone: zone.unwrap_or(0), id, status: 0, left: None, tcp: None, mark: 0, tuple: &raw, family, has_zone: zone.is_some(),
            };
            let before = batch.bytes().len();
            if delete(&mut batch, &e) {
                let m = Messages::new(&batch.bytes()[before..]).next().unwrap().unwrap();
                prop_assert_eq!((m.kind, m.flags), (DELETE, 1), "nothing is to be acknowledged");
                prop_assert_eq!(entry(m.payload), Some(e));
                asked.push(id);
            } else {
                prop_assert_eq!(batch.bytes().len(), before);
            }
        }
        let read: Vec<_> = Messages::new(batch.bytes()).map(|m| entry(m.unwrap().payload).unwrap().id).collect();
        prop_assert_eq!(read, asked);
        batch.clear();
        prop_assert!(batch.bytes().is_empty());
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..512), length in 0..600u32) {
        devour(&bytes);
        let mut framed = length.to_ne_bytes().to_vec();
        framed.extend(&bytes);
        devour(&framed);
        let _ = entry(&bytes);
    }

    /// A recorded dump with some bytes changed and its end cut off.
    #[test]
    fn a_damaged_dump_does_no_harm(cut: u16, damage in prop::collection::vec((any::<u16>(), any::<u8>()), 0..20)) {
        let mut dump = include_bytes!("golden/ctnetlink/dump-le64-linux-6.18.bin").to_vec();
        for (at, byte) in damage {
            let length = dump.len();
            dump[at as usize % length] = byte;
        }
        dump.truncate(cut as usize);
        devour(&dump);
    }

    #[test]
    fn lengths_are_rounded_up_to_words(n in 0..100_000usize) {
        prop_assert!(align(n) >= n && align(n) < n + 4 && align(n).is_multiple_of(4));
    }
}
