//! The real blobmsg (libubox, built from its source by `libubox-sys`) beside ours, in both directions.

use crate::codec::{damaged, written};
use crate::tree::{Tree, any_tree, as_read, ours, read};
use ctwarden::wire::blob::{Attributes, Fields, Value};
use libubox_sys::*;
use proptest::prelude::*;
use std::ffi::{CString, c_int, c_void};
use std::ptr;

/// A message that libubox writes into.
struct Buffer(blob_buf);

impl Buffer {
    fn new() -> Self {
        let mut buffer = Buffer(blob_buf::default());
        // SAFETY: an empty buffer, as C initializes it.
        assert_eq!(unsafe { blob_buf_init(&mut buffer.0, 0) }, 0);
        buffer
    }

    fn field(&mut self, kind: blobmsg_type, name: &str, data: &[u8]) {
        let name = CString::new(name).unwrap();
        // SAFETY: the name ends with a zero, the data is as long as said.
        let status = unsafe {
            blobmsg_add_field(&mut self.0, kind as c_int, name.as_ptr(), data.as_ptr().cast(), data.len() as u32)
        };
        assert_eq!(status, 0);
    }

    fn nest(&mut self, name: &str, array: bool, fill: &mut dyn FnMut(&mut Self)) {
        let name = CString::new(name).unwrap();
        // SAFETY: as above; the cookie is that of this buffer, closed in the order of opening.
        let cookie = unsafe { blobmsg_open_nested(&mut self.0, name.as_ptr(), array) };
        fill(self);
        unsafe { blob_nest_end(&mut self.0, cookie) };
    }

    fn put(&mut self, name: &str, value: &Tree) {
        match value {
            Tree::Null => self.field(blobmsg_type_BLOBMSG_TYPE_UNSPEC, name, &[]),
            Tree::Bool(b) => self.field(blobmsg_type_BLOBMSG_TYPE_BOOL, name, &[*b as u8]),
            Tree::Small(n) => self.field(blobmsg_type_BLOBMSG_TYPE_INT16, name, &n.to_be_bytes()),
            Tree::Number(n) => self.field(blobmsg_type_BLOBMSG_TYPE_INT32, name, &n.to_be_bytes()),
            Tree::Long(n) => self.field(blobmsg_type_BLOBMSG_TYPE_INT64, name, &n.to_be_bytes()),
            Tree::Double(bits) => self.field(blobmsg_type_BLOBMSG_TYPE_DOUBLE, name, &bits.to_be_bytes()),
            Tree::Text(text) => {
                self.field(
                    blobmsg_type_BLOBMSG_TYPE_STRING,
                    name,
                    CString::new(text.as_str()).unwrap().to_bytes_with_nul(),
                );
            }
            Tree::Array(items) => self.nest(name, true, &mut |b| items.iter().for_each(|item| b.put("", item))),
            Tree::Table(table) => self.nest(name, false, &mut |b| table.iter().for_each(|(name, v)| b.put(name, v))),
        }
    }

    /// The fields, as they stand in a message.
    fn bytes(&self) -> Vec<u8> {
        // SAFETY: head is the whole message, whose length stands in its first four bytes.
        unsafe {
            let length = u32::from_be((*self.0.head).id_len) & 0x00ff_ffff;
            std::slice::from_raw_parts(self.0.head.cast::<u8>(), length as usize)[4..].to_vec()
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: initialized above, freed once.
        unsafe { blob_buf_free(&mut self.0) }
    }
}

fn by_real(table: &[(String, Tree)]) -> Vec<u8> {
    let mut buffer = Buffer::new();
    table.iter().for_each(|(name, value)| buffer.put(name, value));
    buffer.bytes()
}

/// What `blobmsg_parse` makes of it, as programs on OpenWrt read their arguments: of each name and type wanted the offset of
/// the field; `None`: it refuses.
fn parsed_by_real(bytes: &[u8], wanted: &[(CString, blobmsg_type)]) -> Option<Vec<Option<usize>>> {
    let policy: Vec<_> =
        wanted.iter().map(|(name, kind)| blobmsg_policy { name: name.as_ptr(), type_: *kind }).collect();
    let mut found = vec![ptr::null_mut(); policy.len()];
    // Of a length that divides by eight, and so aligned as a message is.
    let mut copy: Vec<u64> = vec![0; bytes.len() / 8 + 1];
    // SAFETY: there is room for all bytes; policy and places are as many as said; parse changes nothing.
    unsafe {
        let start = copy.as_mut_ptr().cast::<u8>();
        ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
        let status = blobmsg_parse(
            policy.as_ptr(),
            policy.len() as c_int,
            found.as_mut_ptr(),
            start.cast::<c_void>(),
            bytes.len() as u32,
        );
        let offset = |at: *mut blob_attr| (!at.is_null()).then(|| at.cast::<u8>().offset_from(start) as usize);
        (status == 0).then(|| found.into_iter().map(offset).collect())
    }
}

fn kind_of(value: &Value<'_>, at: &[u8]) -> blobmsg_type {
    match value {
        // Ours does not keep how many bits it had.
        Value::Number(_) => (at[0] & 0x7f).into(),
        Value::Null => blobmsg_type_BLOBMSG_TYPE_UNSPEC,
        Value::Table(_) => blobmsg_type_BLOBMSG_TYPE_TABLE,
        Value::Array(_) => blobmsg_type_BLOBMSG_TYPE_ARRAY,
        Value::Text(_) => blobmsg_type_BLOBMSG_TYPE_STRING,
        Value::Bool(_) => blobmsg_type_BLOBMSG_TYPE_BOOL,
        Value::Double => blobmsg_type_BLOBMSG_TYPE_DOUBLE,
    }
}

/// The same by ours.
fn parsed_by_ours(bytes: &[u8], wanted: &[(CString, blobmsg_type)]) -> Option<Vec<Option<usize>>> {
    let mut found = vec![None; wanted.len()];
    let mut at = 0;
    for (name, value) in Fields::new(bytes) {
        let here = &bytes[at..];
        for ((wanted, kind), place) in wanted.iter().zip(&mut found) {
            let any = *kind == blobmsg_type_BLOBMSG_TYPE_UNSPEC;
            if wanted.to_bytes() == name && (any || *kind == kind_of(&value, here)) && place.is_none() && here[0] > 127
            {
                *place = Some(at);
            }
        }
        let length = u32::from_be_bytes([0, here[1], here[2], here[3]]) as usize;
        at += length.next_multiple_of(4);
    }
    // A length that does not fit ends it for both, a field that is none is refused by both, and so is a length that does not
    // even hold itself. (To `Fields::damaged` all three are damage.)
    let rest = &bytes[at..];
    let unreadable = Attributes::new(rest).next().is_some() || matches!(rest, [_, 0, 0, 1..=3, ..]);
    (!unreadable).then_some(found)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn real_reads_and_writes_what_ours_writes(table in ours()) {
        prop_assert_eq!(written(&table, 1 << 16).unwrap(), by_real(&table));
    }

    #[test]
    fn ours_reads_what_real_writes(table in any_tree()) {
        let expected: Vec<_> = table.iter().map(|(name, value)| (name.clone(), as_read(value))).collect();
        prop_assert_eq!(read(&by_real(&table), 9), Some(expected));
    }

    /// Both refuse the same damage and find the same fields in the rest.
    #[test]
    fn both_make_the_same_of_damage(bytes in damaged(), more in prop::collection::vec(("[a-z_]{1,3}", 0_u32..9), 0..4)) {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut wanted: Vec<_> = more.into_iter().map(|(name, kind)| (CString::new(name).unwrap(), kind)).collect();
        for (name, value) in Fields::new(&bytes) {
            if let Ok(name) = CString::new(name).map_err(drop) && !name.is_empty() {
                wanted.push((name.clone(), kind_of(&value, &[0x85])));
                wanted.push((name, blobmsg_type_BLOBMSG_TYPE_UNSPEC));
            }
        }
        prop_assert_eq!(parsed_by_ours(&bytes, &wanted), parsed_by_real(&bytes, &wanted));
    }
}
