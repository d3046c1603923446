//! Netlink framing: messages and attributes, read and written in place.
//!
//! Headers are in the machine's own byte order; what netfilter puts into attributes is big endian.

/// Bytes of a message header (`struct nlmsghdr`).
pub const HEADER: usize = 16;
/// Bytes of the netfilter header behind it (`struct nfgenmsg`).
pub const NFGEN: usize = 4;

/// `NLMSG_ERROR`: an error, or with code 0 an acknowledgement.
pub const TYPE_ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const TYPE_DONE: u16 = 3;

/// `NLM_F_REQUEST`.
pub const FLAG_REQUEST: u16 = 1;
/// `NLM_F_MULTI`: more of the same answer follows.
pub const FLAG_MULTI: u16 = 2;
/// `NLM_F_ACK`.
pub const FLAG_ACK: u16 = 4;
/// `NLM_F_CREATE`.
pub const FLAG_CREATE: u16 = 0x400;
/// `NLM_F_DUMP_INTR`: the table changed shape under the dump (a resize), it may lack entries.
pub const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_DUMP`.
pub const FLAG_DUMP: u16 = 0x300;

const ATTRIBUTE_NESTED: u16 = 0x8000;
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// `n` rounded up to the 4 bytes that netlink aligns to.
pub const fn align(n: usize) -> usize {
    n.saturating_add(3) & !3
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: that of the request it answers.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// The error code of a `TYPE_ERROR` message, or that which newer kernels put into `TYPE_DONE`, as a positive errno; 0 is an acknowledgement.
    pub fn errno(&self) -> Option<i32> {
        if self.kind != TYPE_ERROR && self.kind != TYPE_DONE {
            return None;
        }
        let code = self.payload.first_chunk::<4>().map_or(0, |b| i32::from_ne_bytes(*b));
        Some(code.saturating_neg())
    }
}

/// The messages of one datagram. A length that does not fit ends the iteration with an `Err` that holds the offset.
pub struct Messages<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A length field that does not fit what holds it, and where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset of the header in the datagram or attribute block.
    pub offset: usize,
}

impl<'a> Messages<'a> {
    /// Over one datagram as received.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|r| !r.is_empty())?;
        let malformed = Malformed { offset: self.at };
        let Some(head) = rest.first_chunk::<HEADER>() else {
            self.at = self.bytes.len();
            return Some(Err(malformed));
        };
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *head;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let Some(payload) = rest.get(HEADER..length) else {
            self.at = self.bytes.len();
            return Some(Err(malformed));
        };
        self.at = self.at.saturating_add(align(length));
        Some(Ok(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload,
        }))
    }
}

/// The attributes of a block, as (type without flags, payload). Stops at the first that does not fit.
#[derive(Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Over a message's attributes (its payload less the family header) or a nested attribute's payload.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let [l0, l1, t0, t1, ..] = *self.0.first_chunk::<4>()?;
        let length = u16::from_ne_bytes([l0, l1]) as usize;
        let payload = self.0.get(4..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or(&[]);
        Some((u16::from_ne_bytes([t0, t1]) & ATTRIBUTE_TYPE, payload))
    }
}

/// Messages written one behind the other into a fixed buffer, to be sent as one datagram.
///
/// What does not fit is left out whole: [`Batch::message`] answers `false` and the buffer is as it was.
pub struct Batch<'a> {
    buffer: &'a mut [u8],
    used: usize,
    /// Where the last message begins.
    last: usize,
}

impl<'a> Batch<'a> {
    /// An empty batch over `buffer`.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0, last: 0 }
    }
    /// A batch of messages that stand in the first `used` bytes already.
    pub fn filled(buffer: &'a mut [u8], used: usize) -> Self {
        let used = used.min(buffer.len());
        Self { buffer, used, last: used }
    }
    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.used).unwrap_or(&[])
    }
    /// Forgets all messages.
    pub fn clear(&mut self) {
        self.used = 0;
    }
    /// Adds one netfilter message; `fill` writes its attributes. `false`: no room, nothing was added.
    pub fn message(&mut self, head: Head, fill: &dyn Fn(&mut Writer<'_>)) -> bool {
        let start = self.used;
        let Some(room) = self.buffer.get_mut(start..) else { return false };
        let mut w = Writer { bytes: room, used: 0, fits: true };
        w.raw(&[0; 4]);
        w.raw(&head.kind.to_ne_bytes());
        w.raw(&head.flags.to_ne_bytes());
        w.raw(&head.sequence.to_ne_bytes());
        w.raw(&[0; 4]); // port id: the kernel's
        w.raw(&[head.family, head.version, 0, 0]);
        fill(&mut w);
        let (used, fits) = (w.used, w.fits);
        if !fits {
            return false;
        }
        w.put(0, &(used as u32).to_ne_bytes());
        self.used = start + align(used);
        self.last = start;
        true
    }
    /// Begins or ends a transaction of that subsystem (`nfgenmsg.res_id`, big endian). A batch of control messages only is
    /// no transaction.
    pub fn bracket(&mut self, kind: u16, subsystem: u8) -> bool {
        let head = Head { kind, flags: FLAG_REQUEST, sequence: 0, family: 0, version: 0 };
        let start = self.used;
        let added = self.message(head, &|_| {});
        if let Some(byte) = self.buffer.get_mut(start + HEADER + NFGEN - 1).filter(|_| added) {
            *byte = subsystem;
        }
        added
    }
    /// The last message is to be acknowledged: only one of a transaction should be, since the kernel answers to each
    /// message that asks for it, in their order, whether the transaction as a whole succeeds or not.
    pub fn acknowledge_last(&mut self) {
        const FLAGS: usize = 6;
        if let Some([low, high]) = self.buffer.get_mut(self.last + FLAGS..).and_then(|b| b.first_chunk_mut::<2>()) {
            let flags = u16::from_ne_bytes([*low, *high]) | FLAG_ACK;
            [*low, *high] = flags.to_ne_bytes();
        }
    }
    /// Bytes of room left.
    pub fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.used)
    }
}

/// What a netfilter message says before its attributes.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Subsystem << 8 | message.
    pub kind: u16,
    /// `FLAG_*`.
    pub flags: u16,
    /// Comes back in the answer.
    pub sequence: u32,
    /// `nfgen_family`.
    pub family: u8,
    /// `nfgenmsg.version`.
    pub version: u8,
}

/// Writes attributes. Running out of room is remembered, and the whole message is dropped.
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    used: usize,
    fits: bool,
}

impl Writer<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        match self.bytes.get_mut(at..at.saturating_add(bytes.len())) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.fits = false,
        }
    }
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.put(self.used, bytes);
        self.used = self.used.saturating_add(bytes.len());
    }
    fn pad(&mut self) {
        let zeros = [0; 3];
        let missing = align(self.used) - self.used;
        self.raw(zeros.get(..missing).unwrap_or(&[]));
    }
    /// An attribute with a payload as it is.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) {
        self.raw(&(payload.len() as u16).saturating_add(4).to_ne_bytes());
        self.raw(&kind.to_ne_bytes());
        self.raw(payload);
        self.pad();
    }
    /// An attribute marked as nested whose payload is attributes already encoded.
    pub fn encoded(&mut self, kind: u16, payload: &[u8]) {
        self.attribute(kind | ATTRIBUTE_NESTED, payload);
    }
    /// A nested attribute; `fill` writes what is in it.
    pub fn nested(&mut self, kind: u16, fill: &dyn Fn(&mut Self)) {
        let start = self.used;
        self.raw(&[0; 2]);
        self.raw(&(kind | ATTRIBUTE_NESTED).to_ne_bytes());
        fill(self);
        let length = self.used - start;
        self.put(start, &(length as u16).to_ne_bytes());
    }
    /// A number in network byte order, as netfilter wants most of them.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }
    /// The same, of twice the width.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_does_not_fit_leaves_the_batch_as_it_was() {
        let mut room = [0; 64];
        let mut batch = Batch::new(&mut room);
        let head = Head { kind: 0x102, flags: FLAG_REQUEST, sequence: 7, family: 2, version: 0 };
        assert!(batch.message(head, &|w| w.be32(12, 0xdead_beef)));
        let before = batch.bytes().len();
        assert_eq!(before, HEADER + NFGEN + 8);
        assert!(!batch.message(head, &|w| w.attribute(1, &[0; 40])));
        assert_eq!(batch.bytes().len(), before);
        let all: heapless::Vec<_, 4> = Messages::new(batch.bytes()).collect();
        let [Ok(m)] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((m.kind, m.sequence), (0x102, 7));
        assert_eq!(Attributes::new(&m.payload[NFGEN..]).next(), Some((12, &0xdead_beef_u32.to_be_bytes()[..])));
    }

    #[test]
    fn nested_lengths_are_patched() {
        let mut room = [0; 128];
        let mut batch = Batch::new(&mut room);
        let head = Head { kind: 1, flags: 0, sequence: 0, family: 0, version: 0 };
        assert!(batch.message(head, &|w| w.nested(1, &|w| {
            w.attribute(2, &[9]);
            w.be32(3, 4);
        })));
        let m = Messages::new(batch.bytes()).next().unwrap().unwrap();
        let (kind, inner) = Attributes::new(&m.payload[NFGEN..]).next().unwrap();
        assert_eq!((kind, inner.len()), (1, 16));
        let mut inner = Attributes::new(inner);
        assert_eq!(inner.next(), Some((2, &[9][..])));
        assert_eq!(inner.next(), Some((3, &4u32.to_be_bytes()[..])));
        assert_eq!(inner.next(), None);
    }

    #[test]
    fn a_wrong_length_ends_with_its_place() {
        let mut bytes = [0u8; 20];
        bytes[0..4].copy_from_slice(&100u32.to_ne_bytes());
        let mut m = Messages::new(&bytes);
        assert_eq!(m.next(), Some(Err(Malformed { offset: 0 })));
        assert_eq!(m.next(), None);
    }
}
