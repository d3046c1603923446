//! Our codec by itself: whatever comes it does not panic, and it reads what it wrote.

use crate::tree::{Tree, as_read, ours, read, tell};
use ctwarden::call;
use ctwarden::out::Out;
use ctwarden::wire::blob::{Attributes, Writer, kind};
use ctwarden::wire::ubus::{Inbox, RECEIVE_ROOM, Session};
use proptest::prelude::*;

/// The fields of a table, as they stand in a message.
pub fn written(table: &[(String, Tree)], room: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; room];
    let mut w = Writer::new(&mut bytes);
    tell(&mut w, table);
    let n = w.written()?;
    bytes.truncate(n);
    Some(bytes)
}

/// Bytes that often look like a message: lengths and types that could be.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (prop_oneof![0_u8..=12, 0x80_u8..=0x89], 0_u16..80, "[a-z]{0,6}", prop::collection::vec(any::<u8>(), 0..40)).prop_map(
            |(first, length, name, rest)| {
                let mut bytes = vec![first, 0];
                bytes.extend(length.to_be_bytes());
                bytes.extend((name.len() as u16).to_be_bytes());
                bytes.extend(name.as_bytes());
                bytes.push(0);
                bytes.extend(rest);
                bytes
            }
        ),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A message with one byte changed, or cut.
pub fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (ours(), any::<prop::sample::Index>(), any::<u8>(), prop::bool::ANY).prop_map(|(table, at, byte, cut)| {
        let mut bytes = written(&table, 1 << 16).unwrap();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(table in ours()) {
        let bytes = written(&table, 1 << 16).unwrap();
        let expected: Vec<_> = table.iter().map(|(name, value)| (name.clone(), as_read(value))).collect();
        prop_assert_eq!(read(&bytes, 9), Some(expected));
    }

    /// At every size of the room below the one that it takes it does not fit, and from there on it does.
    #[test]
    fn what_does_not_fit_is_known(table in ours()) {
        let bytes = written(&table, 1 << 16).unwrap();
        for room in 0..bytes.len() {
            prop_assert_eq!(written(&table, room), None);
        }
        prop_assert_eq!(written(&table, bytes.len()), Some(bytes));
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(bytes in prop_oneof![damaged(), almost(), prop::collection::vec(any::<u8>(), 0..300)]) {
        let _ = read(&bytes, 20);
        for method in ["top", "size", "trim", "shed", "open", "flush", "none"] {
            let _ = call::parse(method.as_bytes(), &bytes);
        }
    }

    /// The same with a stream: whatever comes, in whatever pieces.
    #[test]
    fn no_stream_makes_it_panic(
        pieces in prop::collection::vec((0_u8..12, any::<u16>(), prop_oneof![damaged(), almost()], 0_i32..9), 0..12),
        step in 1_usize..700,
    ) {
        let mut stream = Vec::new();
        for (kind, sequence, body, off) in pieces {
            stream.extend([0, kind]);
            stream.extend(sequence.to_be_bytes());
            stream.extend([0, 0, 0, 9]);
            let length = (body.len() as i32 + 4 + if off > 6 { off * 1000 } else { 0 }) as u32;
            stream.extend(length.to_be_bytes());
            stream.extend(body);
        }
        let (mut inbox, mut session) = (Inbox::new(), Session::new());
        for piece in stream.chunks(step) {
            let mut piece = piece;
            while !piece.is_empty() {
                let room = inbox.room();
                prop_assert!(!room.is_empty());
                let n = room.len().min(piece.len());
                room[..n].copy_from_slice(&piece[..n]);
                inbox.filled(n);
                piece = &piece[n..];
                loop {
                    match inbox.next_message() {
                        Ok(Some(message)) => { let _ = session.hear(&message); }
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
        }
    }
}

#[test]
fn a_number_beyond_31_bits_is_long() {
    let mut room = [0; 64];
    let mut w = Writer::new(&mut room);
    w.number("a", i32::MAX as u32);
    w.number("b", i32::MAX as u32 + 1);
    let n = w.written().unwrap();
    let kinds: Vec<_> = Attributes::new(&room[..n]).map(|a| a.id).collect();
    assert_eq!(kinds, [kind::INT32, kind::INT64]);
    assert_eq!(
        read(&room[..n], 1).unwrap(),
        [("a".into(), Tree::Long(0x7fff_ffff)), ("b".into(), Tree::Long(0x8000_0000))]
    );
}

#[test]
fn what_is_not_closed_or_nests_too_deep_does_not_go_out() {
    let mut room = [0; 4096];
    let mut w = Writer::new(&mut room);
    w.begin("a", false);
    assert_eq!(w.written(), None);
    w.end();
    assert!(w.written().is_some());
    w.end();
    assert_eq!(w.written(), None);
    let mut w = Writer::new(&mut room);
    (0..20).for_each(|_| w.begin("", true));
    (0..20).for_each(|_| w.end());
    assert_eq!(w.written(), None);
}

/// Nested as deep as fits into a message, it is passed over without a recursion.
#[test]
fn depth_costs_nothing() {
    let mut bytes = Vec::new();
    for _ in 0..300 {
        let mut outer = vec![0x82, 0, 0, 0, 0, 1, b'a', 0];
        outer.extend(&bytes);
        let length = (outer.len() as u32).to_be_bytes();
        outer[1..4].copy_from_slice(&length[1..]);
        bytes = outer;
    }
    assert_eq!(call::parse(b"status", &bytes), Ok((call::Call::Status, None)));
    assert!(read(&bytes, 301).is_some() && read(&bytes, 298).is_none());
}

/// A message too long is told of by its front, passed over, and what follows is heard.
#[test]
fn a_message_too_long_is_passed_over() {
    for length in [RECEIVE_ROOM - 8, RECEIVE_ROOM - 7, RECEIVE_ROOM + 1000, 70_000] {
        let mut stream = vec![0, 5, 0, 1, 0, 0, 0, 2, 0];
        stream.extend(&(length as u32).to_be_bytes()[1..]);
        stream.resize(8 + length, 7);
        stream.extend([0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 4]);
        let mut inbox = Inbox::new();
        let mut heard = Vec::new();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let room = inbox.room();
            let n = room.len().min(rest.len()).min(1000);
            room[..n].copy_from_slice(&rest[..n]);
            inbox.filled(n);
            rest = &rest[n..];
            while let Some(message) = inbox.next_message().unwrap() {
                heard.push((message.sequence, message.cut));
            }
        }
        assert_eq!(heard, [(1, length > RECEIVE_ROOM - 8), (9, false)], "{length}");
    }
}
