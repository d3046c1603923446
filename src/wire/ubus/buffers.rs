//! Where messages come in and go out: one fixed buffer each way.

use super::{Asker, Code, Message, attribute, message};
use crate::out::Fill;
use crate::wire::blob::{self, Writer};

/// A longer message is not taken in: its front is looked at, the rest passed over. Whoever calls us needs a tenth of it;
/// what rpcd's object `session` says of itself when it is looked up takes less than 1 KiB.
pub const RECEIVE_ROOM: usize = 4096;
/// Messages that wait to be sent. The longest answer there is takes 10 KiB of it (a test tells).
pub const SEND_ROOM: usize = 16 * 1024;
/// Of that so much is kept for those who wait: an answer that does not fit becomes a status.
pub(super) const RESERVE: usize = 1024;
/// ubusd's own limit.
const MESSAGE_MOST: usize = 1024 * 1024;

const HEADER: usize = 8;

/// The stream from ubusd is no ubus: nothing more can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled;

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
    /// Where the next bytes are to be read to. Never empty once [`next_message`](Self::next_message) has said that there is no message.
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
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, Garbled> {
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
    pub(super) fn message(
        &mut self,
        kind: u8,
        sequence: u16,
        peer: u32,
        reserve: usize,
        fill: &dyn Fn(&mut Writer<'_>),
    ) -> bool {
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
    pub fn reply(&mut self, to: Asker, code: Code, fill: Option<Fill<'_>>) -> bool {
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

/// What a call or its answer says.
pub(super) fn data(w: &mut Writer<'_>, fill: Fill<'_>) {
    w.nest(attribute::DATA);
    fill(w);
    w.close();
}
