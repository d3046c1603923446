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

mod buffers;

use super::blob::{self, Attributes};
use crate::out::Fill;
pub use buffers::{Garbled, Inbox, Outbox, RECEIVE_ROOM, SEND_ROOM};
use buffers::{RESERVE, data};

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
    /// As which group.
    pub group: &'a [u8],
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
    pub fn publish(&mut self, outbox: &mut Outbox, name: &str, methods: Fill<'_>) -> bool {
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
    pub fn notify(&mut self, outbox: &mut Outbox, what: &str, reply: bool, fill: Fill<'_>) -> bool {
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
    pub fn event(&mut self, outbox: &mut Outbox, name: &str, fill: Fill<'_>) -> bool {
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
    pub fn invoke(&mut self, outbox: &mut Outbox, object: u32, method: &str, fill: Fill<'_>) -> Option<u16> {
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
        let (mut method, mut arguments, mut user, mut group) = (None, &[][..], &[][..], &[][..]);
        for a in Attributes::new(m.body) {
            match a.id {
                attribute::STATUS => status = blob::be32(a.payload),
                attribute::OBJECT => object = blob::be32(a.payload),
                attribute::METHOD => method = blob::text(a.payload),
                attribute::DATA => arguments = a.payload,
                attribute::ACTIVE => active = a.payload.first().map(|byte| *byte != 0),
                attribute::NO_REPLY => silent = a.payload.first().is_some_and(|byte| *byte != 0),
                attribute::USER => user = blob::text(a.payload).unwrap_or_default(),
                attribute::GROUP => group = blob::text(a.payload).unwrap_or_default(),
                _ => {}
            }
        }
        let sequence = m.sequence;
        match m.kind {
            message::HELLO => Heard::Hello,
            message::INVOKE => match (object, method) {
                (Some(object), Some(method)) => {
                    let asker = Asker { sequence, peer: m.peer, object, silent };
                    Heard::Invoke(Invoke { asker, method, arguments, user, group, cut: m.cut })
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
