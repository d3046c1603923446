//! ubus as a client speaks it that offers one object: bytes ↔ messages in fixed buffers. No socket is opened here.
//!
//! ```text
//! message   version 0 │ type │ sequence 16 bits │ peer 32 bits │ one blob
//!
//!   ubusd ── HELLO ──────────────> us ── ADD_OBJECT ──> ubusd ── DATA {id}, STATUS ──> us: published
//!   caller ── INVOKE ──> ubusd ──> us ── DATA, STATUS ──> ubusd ──> caller      (sequence and peer are the caller's)
//! ```
//!
//! Numbers are those of ubus's `ubusmsg.h`; the conversations in `tests/golden/ubus` are of a real ubusd.

use super::blob::{self, Attributes, Writer};
use crate::out::Out;

/// A longer message is not taken in: its front is looked at, the rest passed over. Whoever calls us needs a tenth of it;
/// what rpcd's object `session` says of itself when it is looked up takes 1 KiB.
pub const RECEIVE_ROOM: usize = 4096;
/// Messages that wait to be sent. The longest answer there is takes three quarters of it.
pub const SEND_ROOM: usize = 16 * 1024;
/// Of that so much is kept for those who wait: an answer that does not fit becomes a status.
const RESERVE: usize = 1024;
/// ubusd's own limit.
const MESSAGE_MOST: usize = 1024 * 1024;

const HEADER: usize = 8;
/// ubusd's own object that spreads events.
const EVENT_OBJECT: u32 = 1;

/// What a message is.
pub mod message {
    #![allow(missing_docs)]
    pub const HELLO: u8 = 0;
    pub const STATUS: u8 = 1;
    pub const DATA: u8 = 2;
    pub const LOOKUP: u8 = 4;
    pub const INVOKE: u8 = 5;
    pub const ADD_OBJECT: u8 = 6;
    pub const NOTIFY: u8 = 10;
}

/// What a message's attributes are.
pub mod attribute {
    #![allow(missing_docs)]
    pub const STATUS: u8 = 1;
    pub const OBJECT_PATH: u8 = 2;
    pub const OBJECT: u8 = 3;
    pub const METHOD: u8 = 4;
    pub const SIGNATURE: u8 = 6;
    pub const DATA: u8 = 7;
    pub const ACTIVE: u8 = 9;
    pub const NO_REPLY: u8 = 10;
    pub const USER: u8 = 12;
    pub const GROUP: u8 = 13;
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u32)]
pub enum Code {
    Ok = 0,
    InvalidArgument = 2,
    MethodNotFound = 3,
    NotFound = 4,
    NoData = 5,
    PermissionDenied = 6,
    Timeout = 7,
    NotSupported = 8,
    UnknownError = 9,
}

/// The stream from ubusd is no ubus: nothing more can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled;

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// See [`message`].
    pub kind: u8,
    /// Comes back in the answer.
    pub sequence: u16,
    /// Who it is from or for.
    pub peer: u32,
    /// Too long: only its front is here.
    pub cut: bool,
    body: &'a [u8],
}

/// Bytes as they come, cut into messages.
pub struct Inbox {
    bytes: [u8; RECEIVE_ROOM],
    at: usize,
    used: usize,
    /// So much of what comes belongs to a message that was too long.
    skip: usize,
}

impl Inbox {
    /// Empty.
    pub const fn new() -> Self {
        Self { bytes: [0; RECEIVE_ROOM], at: 0, used: 0, skip: 0 }
    }
    /// Forgets everything: for a new connection.
    pub fn clear(&mut self) {
        (self.at, self.used, self.skip) = (0, 0, 0);
    }
    /// Where the next bytes are to be read to. Never empty once [`next`](Self::next) has said that there is no message.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.at..self.used, 0);
        self.used -= self.at;
        self.at = 0;
        self.bytes.get_mut(self.used..).unwrap_or_default()
    }
    /// So many bytes were read there.
    pub fn filled(&mut self, n: usize) {
        self.used = self.used.saturating_add(n).min(RECEIVE_ROOM);
    }
    /// The next message, if all of it has come.
    pub fn next(&mut self) -> Result<Option<Message<'_>>, Garbled> {
        let passed = self.skip.min(self.used - self.at);
        self.at += passed;
        self.skip -= passed;
        let here = self.bytes.get(self.at..self.used).unwrap_or_default();
        let Some(head) = here.first_chunk::<{ HEADER + blob::HEAD }>() else { return Ok(None) };
        let [version, kind, s0, s1, p0, p1, p2, p3, _, l0, l1, l2] = *head;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        if version != 0 || !(blob::HEAD..=MESSAGE_MOST).contains(&length) {
            return Err(Garbled);
        }
        let whole = HEADER + length;
        let cut = whole > RECEIVE_ROOM;
        let length = if cut { RECEIVE_ROOM } else { whole };
        let Some(message) = here.get(..length) else { return Ok(None) };
        self.at += length;
        self.skip = whole - length;
        Ok(Some(Message {
            kind,
            sequence: u16::from_be_bytes([s0, s1]),
            peer: u32::from_be_bytes([p0, p1, p2, p3]),
            cut,
            body: message.get(HEADER + blob::HEAD..).unwrap_or_default(),
        }))
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Who called: for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    sequence: u16,
    peer: u32,
    object: u32,
    /// Wants no answer.
    silent: bool,
}

/// A call of a method.
#[derive(Clone, Copy, Debug)]
pub struct Invoke<'a> {
    /// Where the answer goes.
    pub asker: Asker,
    /// Which method.
    pub method: &'a [u8],
    /// Its arguments, as fields.
    pub arguments: &'a [u8],
    /// As which user the caller is connected; empty: ubusd does not know.
    pub user: &'a [u8],
    /// It was too long, so that arguments are missing.
    pub cut: bool,
}

/// What a message means to us.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// ubusd greets; now the object can be added.
    Hello,
    /// The object is there.
    Published,
    /// It was refused, with this status.
    Refused(u32),
    /// Somebody calls.
    Invoke(Invoke<'a>),
    /// The answer to a request of ours, or part of it.
    Data {
        /// The request.
        sequence: u16,
        /// Of a lookup: the object's id.
        object: Option<u32>,
        /// Of a call: what was answered, as fields.
        data: &'a [u8],
    },
    /// A request of ours has ended.
    Ended {
        /// The request.
        sequence: u16,
        /// How; 0 is well.
        status: u32,
    },
    /// Nothing of interest.
    Nothing,
}

/// What a conversation has come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Session {
    last_sequence: u16,
    /// The request that adds the object, while it has not ended.
    adding: Option<u16>,
    /// The object's id.
    object: Option<u32>,
    /// Somebody wants to be notified.
    subscribed: bool,
}

impl Session {
    /// Before HELLO.
    pub const fn new() -> Self {
        Self { last_sequence: 0, adding: None, object: None, subscribed: false }
    }
    /// The number of a new request.
    pub fn sequence(&mut self) -> u16 {
        self.last_sequence = self.last_sequence.wrapping_add(1);
        self.last_sequence
    }
    /// Somebody wants to be notified.
    pub const fn subscribed(&self) -> bool {
        self.subscribed
    }
    /// The object is there.
    pub const fn published(&self) -> bool {
        self.adding.is_none() && self.object.is_some()
    }

    /// Adds the object, with the signature that `methods` writes.
    pub fn publish(&mut self, outbox: &mut Outbox, name: &str, methods: &dyn Fn(&mut dyn Out)) -> bool {
        let sequence = self.sequence();
        (self.adding, self.object, self.subscribed) = (Some(sequence), None, false);
        outbox.message(message::ADD_OBJECT, sequence, 0, 0, &|w| {
            w.string(attribute::OBJECT_PATH, name);
            w.nest(attribute::SIGNATURE);
            methods(w);
            w.close();
        })
    }

    /// Tells subscribers. `reply`: ubusd is to say who they are.
    pub fn notify(&mut self, outbox: &mut Outbox, what: &str, reply: bool, fill: &dyn Fn(&mut dyn Out)) -> bool {
        let Some(object) = self.object.filter(|_| self.subscribed) else { return false };
        outbox.message(message::NOTIFY, self.sequence(), object, RESERVE, &|w| {
            w.be32(attribute::OBJECT, object);
            w.string(attribute::METHOD, what);
            if !reply {
                w.attribute(attribute::NO_REPLY, &[1]);
            }
            data(w, fill);
        })
    }

    /// Sends an event to whoever listens.
    pub fn event(&mut self, outbox: &mut Outbox, name: &str, fill: &dyn Fn(&mut dyn Out)) -> bool {
        self.invoke(outbox, EVENT_OBJECT, "send", &|o| {
            o.text("id", &name);
            o.object("data");
            fill(o);
            o.end();
        })
        .is_some()
    }

    /// Asks for the id of somebody's object. `None`: no room.
    pub fn lookup(&mut self, outbox: &mut Outbox, path: &str) -> Option<u16> {
        let sequence = self.sequence();
        outbox
            .message(message::LOOKUP, sequence, 0, RESERVE, &|w| w.string(attribute::OBJECT_PATH, path))
            .then_some(sequence)
    }

    /// Calls somebody's method. `None`: no room.
    pub fn invoke(
        &mut self,
        outbox: &mut Outbox,
        object: u32,
        method: &str,
        fill: &dyn Fn(&mut dyn Out),
    ) -> Option<u16> {
        let sequence = self.sequence();
        outbox
            .message(message::INVOKE, sequence, object, RESERVE, &|w| {
                w.be32(attribute::OBJECT, object);
                w.string(attribute::METHOD, method);
                data(w, fill);
            })
            .then_some(sequence)
    }

    /// Takes in a message. Types and attributes that it does not know are passed over.
    pub fn hear<'a>(&mut self, m: &Message<'a>) -> Heard<'a> {
        let (mut status, mut object, mut active, mut silent) = (None, None, None, false);
        let (mut method, mut arguments, mut user) = (None, &[][..], &[][..]);
        for a in Attributes::new(m.body) {
            match a.id {
                attribute::STATUS => status = blob::be32(a.payload),
                attribute::OBJECT => object = blob::be32(a.payload),
                attribute::METHOD => method = blob::text(a.payload),
                attribute::DATA => arguments = a.payload,
                attribute::ACTIVE => active = a.payload.first().map(|byte| *byte != 0),
                attribute::NO_REPLY => silent = a.payload.first().is_some_and(|byte| *byte != 0),
                attribute::USER => user = blob::text(a.payload).unwrap_or_default(),
                _ => {}
            }
        }
        let sequence = m.sequence;
        match m.kind {
            message::HELLO => Heard::Hello,
            message::INVOKE => match (object, method) {
                (Some(object), Some(method)) => {
                    let asker = Asker { sequence, peer: m.peer, object, silent };
                    Heard::Invoke(Invoke { asker, method, arguments, user, cut: m.cut })
                }
                // Without the object's id ubusd would not pass an answer on.
                _ => Heard::Nothing,
            },
            message::DATA if self.adding == Some(sequence) => {
                self.object = object;
                Heard::Nothing
            }
            message::DATA => Heard::Data { sequence, object, data: arguments },
            message::STATUS if self.adding == Some(sequence) => {
                self.adding = None;
                match status {
                    Some(0) if self.object.is_some() => Heard::Published,
                    other => {
                        self.object = None;
                        Heard::Refused(other.unwrap_or(Code::UnknownError as u32))
                    }
                }
            }
            message::STATUS => Heard::Ended { sequence, status: status.unwrap_or_default() },
            message::NOTIFY => {
                if object.is_some() && object == self.object {
                    self.subscribed = active.unwrap_or(self.subscribed);
                }
                Heard::Nothing
            }
            _ => Heard::Nothing,
        }
    }

    /// Is it a call of our object?
    pub fn is_ours(&self, invoke: &Invoke<'_>) -> bool {
        self.object == Some(invoke.asker.object)
    }
}

fn data(w: &mut Writer<'_>, fill: &dyn Fn(&mut dyn Out)) {
    w.nest(attribute::DATA);
    fill(w);
    w.close();
}

/// Messages that wait to be sent. What does not fit is left out whole.
pub struct Outbox {
    bytes: [u8; SEND_ROOM],
    at: usize,
    used: usize,
}

impl Outbox {
    /// Empty.
    pub const fn new() -> Self {
        Self { bytes: [0; SEND_ROOM], at: 0, used: 0 }
    }
    /// Forgets everything: for a new connection.
    pub fn clear(&mut self) {
        (self.at, self.used) = (0, 0);
    }
    /// The bytes to send.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.at..self.used).unwrap_or_default()
    }
    /// So many of them were sent.
    pub fn sent(&mut self, n: usize) {
        self.at = self.at.saturating_add(n).min(self.used);
    }
    /// Little is waiting, so that any answer fits.
    pub fn is_roomy(&self) -> bool {
        self.used - self.at <= SEND_ROOM / 8
    }

    /// Adds one message, if `reserve` bytes are left behind it. `false`: no room, nothing was added.
    fn message(&mut self, kind: u8, sequence: u16, peer: u32, reserve: usize, fill: &dyn Fn(&mut Writer<'_>)) -> bool {
        if self.at > 0 {
            self.bytes.copy_within(self.at..self.used, 0);
            self.used -= self.at;
            self.at = 0;
        }
        let room = self.bytes.get_mut(self.used..SEND_ROOM - reserve).unwrap_or_default();
        let Some((header, body)) = room.split_at_mut_checked(HEADER) else { return false };
        let mut w = Writer::new(body);
        w.nest(0);
        fill(&mut w);
        w.close();
        let Some(written) = w.written() else { return false };
        let ([s0, s1], [p0, p1, p2, p3]) = (sequence.to_be_bytes(), peer.to_be_bytes());
        header.copy_from_slice(&[0, kind, s0, s1, p0, p1, p2, p3]);
        self.used += HEADER + written;
        true
    }

    /// Answers a call: what `fill` tells, then how it ended. Where that does not fit, only that it did not.
    pub fn reply(&mut self, to: Asker, code: Code, fill: Option<&dyn Fn(&mut dyn Out)>) -> bool {
        if to.silent {
            return true;
        }
        let Asker { sequence, peer, object, .. } = to;
        let told = fill.is_none_or(|fill| {
            self.message(message::DATA, sequence, peer, RESERVE, &|w| {
                w.be32(attribute::OBJECT, object);
                data(w, fill);
            })
        });
        let code = if told { code } else { Code::UnknownError };
        self.message(message::STATUS, sequence, peer, 0, &|w| {
            w.be32(attribute::STATUS, code as u32);
            w.be32(attribute::OBJECT, object);
        })
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}
