//! OpenWrt's blob and blobmsg: how ubus messages are written, read and written in place.
//!
//! ```text
//! attribute   0x80 = extended | id 7 bits | length 24 bits, itself and its head included │ payload │ to a multiple of 4
//! field       an extended attribute: id is the type, the payload begins with
//!             length of the name 16 bits │ name │ zero │ to a multiple of 4
//! ```
//!
//! Everything is big endian. Reading is by iterators over slices, which do not recurse however deep a message nests.
//! Compared with the real C library in `tests/ubus`.

use crate::out::Out;
use core::fmt::{self, Write};

/// Bytes of an attribute's head.
pub const HEAD: usize = 4;
/// Attributes open within each other at most while writing. More: the message does not fit.
pub const DEPTH: usize = 12;

const EXTENDED: u8 = 0x80;
const LENGTH: u32 = 0x00ff_ffff;

/// The types of fields (`enum blobmsg_type`).
pub mod kind {
    #![allow(missing_docs)]
    pub const NULL: u8 = 0;
    pub const ARRAY: u8 = 1;
    pub const TABLE: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const INT64: u8 = 4;
    pub const INT32: u8 = 5;
    pub const INT16: u8 = 6;
    pub const BOOL: u8 = 7;
    pub const DOUBLE: u8 = 8;
}

const fn align(n: usize) -> usize {
    n.saturating_add(3) & !3
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number, or type where it is a field.
    pub id: u8,
    /// It is a field.
    pub extended: bool,
    /// What follows its head.
    pub payload: &'a [u8],
}

/// The attributes of a block. Stops at the first whose length does not fit.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Over the payload of a message or of an attribute.
    pub const fn new(block: &'a [u8]) -> Self {
        Self(block)
    }
    /// What was not read. Not empty after the last one: the block is damaged there.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let head = u32::from_be_bytes(*self.0.first_chunk::<HEAD>()?);
        let length = (head & LENGTH) as usize;
        let payload = self.0.get(HEAD..length)?;
        // As the C library has it: the padding must be there too.
        self.0 = self.0.get(align(length)..)?;
        let first = (head >> 24) as u8;
        Some(Attribute { id: first & !EXTENDED, extended: first & EXTENDED != 0, payload })
    }
}

/// A number of an attribute that is no field.
pub fn be32(payload: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(payload).ok().map(u32::from_be_bytes)
}

/// A text up to its first zero; `None` where none ends it.
pub fn text(payload: &[u8]) -> Option<&[u8]> {
    payload.last().filter(|last| **last == 0)?;
    payload.split(|byte| *byte == 0).next()
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// Fields with names, to be read by [`Fields`].
    Table(&'a [u8]),
    /// Fields without.
    Array(&'a [u8]),
    /// A text. Not checked to be UTF-8.
    Text(&'a [u8]),
    /// A whole number of 16, 32 or 64 bits.
    Number(i64),
    /// True or false.
    Bool(bool),
    /// A floating point number: nothing here takes one.
    Double,
}

/// A field's name and value. `None`: it is damaged, or of a type that there is not.
pub fn field<'a>(a: &Attribute<'a>) -> Option<(&'a [u8], Value<'a>)> {
    let (name, payload) = if a.extended {
        let length = u16::from_be_bytes(*a.payload.first_chunk()?) as usize;
        let name = a.payload.get(2..2 + length)?;
        (*a.payload.get(2 + length)? == 0).then_some(())?;
        (name, a.payload.get(align(2 + length + 1)..)?)
    } else {
        (&[][..], a.payload)
    };
    let value = match (a.id, payload) {
        (kind::NULL, _) => Value::Null,
        (kind::TABLE, p) => Value::Table(p),
        (kind::ARRAY, p) => Value::Array(p),
        (kind::TEXT, p) => Value::Text(text(p)?),
        (kind::INT64, p) => Value::Number(i64::from_be_bytes(p.try_into().ok()?)),
        (kind::INT32, p) => Value::Number(i32::from_be_bytes(p.try_into().ok()?).into()),
        (kind::INT16, p) => Value::Number(i16::from_be_bytes(p.try_into().ok()?).into()),
        (kind::BOOL, [byte]) => Value::Bool(*byte != 0),
        (kind::DOUBLE, p) if p.len() >= 8 => Value::Double,
        _ => return None,
    };
    Some((name, value))
}

/// The fields of a table or array. Ends at the first that is damaged; then [`damaged`](Self::damaged) says so.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    attributes: Attributes<'a>,
    damaged: bool,
}

impl<'a> Fields<'a> {
    /// Over the payload of a table, array or message.
    pub const fn new(block: &'a [u8]) -> Self {
        Self { attributes: Attributes::new(block), damaged: false }
    }
    /// It ended before its end.
    pub const fn damaged(&self) -> bool {
        self.damaged || !self.attributes.rest().is_empty()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.damaged {
            return None;
        }
        let found = field(&self.attributes.next()?);
        self.damaged = found.is_none();
        found
    }
}

/// Writes attributes and fields into a fixed buffer. Running out of it is remembered: the whole message is then dropped.
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    used: usize,
    fits: bool,
    open: heapless::Vec<u32, DEPTH>,
}

impl<'a> Writer<'a> {
    /// At the beginning of `bytes`.
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, used: 0, fits: true, open: heapless::Vec::new() }
    }
    /// What was written, if all of it fitted and is complete.
    pub fn written(&self) -> Option<usize> {
        (self.fits && self.open.is_empty()).then_some(self.used)
    }
    fn put(&mut self, at: usize, bytes: &[u8]) {
        match self.bytes.get_mut(at..at.saturating_add(bytes.len())) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.fits = false,
        }
    }
    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.put(self.used, bytes);
        self.used = self.used.saturating_add(bytes.len());
    }
    fn pad(&mut self) {
        let missing = align(self.used) - self.used;
        self.raw([0; 3].get(..missing).unwrap_or(&[]));
    }
    fn start(&mut self, first: u8) -> u32 {
        let at = self.used as u32;
        self.raw(&[first, 0, 0, 0]);
        at
    }
    fn start_field(&mut self, kind: u8, name: &str) -> u32 {
        let at = self.start(EXTENDED | kind);
        self.raw(&(name.len() as u16).to_be_bytes());
        self.raw(name.as_bytes());
        self.raw(&[0]);
        self.pad();
        at
    }
    /// Puts its length into the attribute that was started there.
    fn finish(&mut self, at: u32) {
        let [_, length @ ..] = (self.used as u32 - at).to_be_bytes();
        self.put(at as usize + 1, &length);
        self.pad();
    }
    fn open(&mut self, at: u32) {
        self.fits &= self.open.push(at).is_ok();
    }
    /// An attribute whose payload is attributes: those up to its [`close`](Self::close).
    pub fn nest(&mut self, id: u8) {
        let at = self.start(id);
        self.open(at);
    }
    /// The last one opened is complete.
    pub fn close(&mut self) {
        match self.open.pop() {
            Some(at) => self.finish(at),
            None => self.fits = false,
        }
    }
    /// An attribute with a payload as it is.
    pub fn attribute(&mut self, id: u8, payload: &[u8]) {
        let at = self.start(id);
        self.raw(payload);
        self.finish(at);
    }
    /// An attribute with a number.
    pub fn be32(&mut self, id: u8, value: u32) {
        self.attribute(id, &value.to_be_bytes());
    }
    /// An attribute with a text.
    pub fn string(&mut self, id: u8, value: &str) {
        let at = self.start(id);
        self.raw(value.as_bytes());
        self.raw(&[0]);
        self.finish(at);
    }
    fn field(&mut self, kind: u8, name: &str, payload: &[u8]) {
        let at = self.start_field(kind, name);
        self.raw(payload);
        self.finish(at);
    }
}

impl Write for Writer<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.raw(s.as_bytes());
        Ok(())
    }
}

/// A number is of 32 bits while it fits, since those are signed for whoever reads them.
impl Out for Writer<'_> {
    fn number(&mut self, name: &str, value: u32) {
        if value > i32::MAX as u32 {
            return self.long(name, value.into());
        }
        self.field(kind::INT32, name, &value.to_be_bytes());
    }
    fn long(&mut self, name: &str, value: u64) {
        self.field(kind::INT64, name, &value.to_be_bytes());
    }
    fn flag(&mut self, name: &str, value: bool) {
        self.field(kind::BOOL, name, &[value as u8]);
    }
    fn text(&mut self, name: &str, value: &dyn fmt::Display) {
        let at = self.start_field(kind::TEXT, name);
        self.fits &= write!(self, "{value}").is_ok();
        self.raw(&[0]);
        self.finish(at);
    }
    fn null(&mut self, name: &str) {
        self.field(kind::NULL, name, &[]);
    }
    fn begin(&mut self, name: &str, array: bool) {
        let at = self.start_field(if array { kind::ARRAY } else { kind::TABLE }, name);
        self.open(at);
    }
    fn end(&mut self) {
        self.close();
    }
}
