//! The least ctnetlink that a bench needs, written apart from the program under test so that neither hides the other's faults.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};

use crate::Outcome;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE_EXCL: u16 = 0x600;
/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_…`
const CT_NEW: u16 = 0x100;
const CT_GET: u16 = 0x101;
const CT_DELETE: u16 = 0x102;

const NESTED: u16 = 0x8000;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_MARK: u16 = 8;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
/// Inside a tuple.
const CTA_TUPLE_ZONE: u16 = 3;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMPV6: u8 = 58;

/// One flow, as it is to stand in the table.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub source_port: u16,
    pub destination_port: u16,
    /// `IPS_…` bits; CONFIRMED is added.
    pub status: u32,
    /// `enum tcp_conntrack`; ignored for other protocols.
    pub tcp_state: u8,
    /// Seconds until it times out.
    pub left: u32,
    /// Connection mark; 0 is none.
    pub mark: u32,
    pub zone: Zone,
}

/// The conntrack zone a flow is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // the daemon's tests make those that the bench does not
pub enum Zone {
    Default,
    /// In both directions.
    Both(u16),
    /// Of the original direction only: the kernel tells it inside the tuple then.
    Original(u16),
}

/// One netlink socket to the kernel's netfilter.
pub struct Socket(OwnedFd);

impl Socket {
    pub fn open() -> Outcome<Self> {
        let open = || -> nix::Result<OwnedFd> {
            let fd =
                socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
            // A batch of 64 KiB must fit into one send.
            setsockopt(&fd, sockopt::SndBuf, &(1 << 20))?;
            Ok(fd)
        };
        Ok(Self(open().map_err(|e| format!("netfilter netlink socket: {e}"))?))
    }

    pub fn send(&self, bytes: &[u8]) -> Outcome<()> {
        let sent = send(self.0.as_raw_fd(), bytes, MsgFlags::empty()).map_err(|e| format!("netlink send: {e}"))?;
        if sent == bytes.len() { Ok(()) } else { Err("netlink send: cut short".into()) }
    }

    pub fn receive(&self, buffer: &mut [u8]) -> Outcome<usize> {
        recv(self.0.as_raw_fd(), buffer, MsgFlags::empty()).map_err(|e| format!("netlink receive: {e}"))
    }

    /// The errors the kernel has answered since the last look, without waiting: (number of them, the first).
    pub fn errors(&self) -> Outcome<(usize, Option<Errno>)> {
        let mut buffer = vec![0; 1 << 16];
        let (mut number, mut first) = (0, None);
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(n) => {
                    for errno in messages(&buffer[..n]).filter_map(|m| m.error()) {
                        number += 1;
                        first.get_or_insert(errno);
                    }
                }
                Err(Errno::EAGAIN) => return Ok((number, first)),
                Err(e) => return Err(format!("netlink receive: {e}")),
            }
        }
    }

    /// Sends a request and waits for its acknowledgement.
    fn ask(&self, request: &Batch) -> Outcome<()> {
        self.send(&request.bytes)?;
        let mut buffer = [0; 8192];
        let n = self.receive(&mut buffer)?;
        match messages(&buffer[..n]).next().and_then(|m| m.error()) {
            None => Ok(()),
            Some(errno) => Err(format!("the kernel answers {errno}")),
        }
    }

    /// Empties this namespace's table.
    pub fn flush(&self) -> Outcome<()> {
        let mut request = Batch::default();
        request.message(CT_DELETE, NLM_F_ACK, 0, |_| ());
        self.ask(&request)
    }

    /// Deletes all entries of one IPv4 source inside the kernel (Linux 6.12 and later).
    pub fn delete_source(&self, source: Ipv4Addr) -> Outcome<()> {
        let mut request = Batch::default();
        request.message(CT_DELETE, NLM_F_ACK, nix::libc::AF_INET as u8, |m| {
            m.nest(CTA_TUPLE_ORIG, |m| m.nest(1, |m| m.attribute(1, &source.octets())));
            // CTA_FILTER_ORIG_FLAGS: CTA_FILTER_F_CTA_IP_SRC.
            m.nest(CTA_FILTER, |m| {
                m.attribute(1, &1u32.to_ne_bytes());
                m.attribute(2, &0u32.to_ne_bytes());
            });
        });
        self.ask(&request)
    }

    /// Asks for a dump of the table. The answers come by `receive`.
    pub fn start_dump(&self) -> Outcome<()> {
        let mut request = Batch::default();
        request.message(CT_GET, NLM_F_DUMP, 0, |_| ());
        self.send(&request.bytes)
    }

    /// A dump to its end: every datagram goes to `each`.
    pub fn dump(&self, buffer: &mut [u8], mut each: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        self.start_dump()?;
        loop {
            let n = self.receive(buffer)?;
            let datagram = &buffer[..n];
            // The kernel ends a dump with a datagram of its own or as the last message of one: it is 20 bytes either way.
            if is_done(datagram) {
                return Ok(());
            }
            each(datagram)?;
            if datagram.len() > 20 && is_done(&datagram[datagram.len() - 20..]) {
                return Ok(());
            }
        }
    }
}

/// Is this one NLMSG_DONE?
fn is_done(bytes: &[u8]) -> bool {
    bytes.len() == 20 && bytes[..4] == 20u32.to_ne_bytes() && bytes[4..6] == NLMSG_DONE.to_ne_bytes()
}

/// Messages to send in one go.
#[derive(Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
}

impl Batch {
    fn message(&mut self, kind: u16, flags: u16, family: u8, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(&[family, 0, 0, 0]);
        body(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        body(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn tuple(&mut self, kind: u16, protocol: u8, from: (IpAddr, u16), to: (IpAddr, u16), zone: Option<u16>) {
        self.nest(kind, |m| {
            m.nest(1, |m| match (from.0, to.0) {
                (IpAddr::V4(s), IpAddr::V4(d)) => {
                    m.attribute(1, &s.octets());
                    m.attribute(2, &d.octets());
                }
                (s, d) => {
                    m.attribute(3, &v6(s).octets());
                    m.attribute(4, &v6(d).octets());
                }
            });
            m.nest(2, |m| {
                m.attribute(1, &[protocol]);
                // Of an echo the ports are its id; what tells question from answer is the type.
                let asked = kind == CTA_TUPLE_ORIG;
                match protocol {
                    ICMP => m.echo([4, 5, 6], from.1.max(to.1), if asked { 8 } else { 0 }),
                    ICMPV6 => m.echo([7, 8, 9], from.1.max(to.1), if asked { 128 } else { 129 }),
                    _ => {
                        m.attribute(2, &from.1.to_be_bytes());
                        m.attribute(3, &to.1.to_be_bytes());
                    }
                }
            });
            if let Some(zone) = zone {
                m.attribute(CTA_TUPLE_ZONE, &zone.to_be_bytes());
            }
        });
    }

    fn echo(&mut self, [id, kind, code]: [u16; 3], number: u16, what: u8) {
        self.attribute(id, &number.to_be_bytes());
        self.attribute(kind, &[what]);
        self.attribute(code, &[0]);
    }

    /// Adds the creation of an entry, unacknowledged: only a failure is answered.
    pub fn create(&mut self, flow: &Flow) {
        let family = if flow.source.is_ipv4() { nix::libc::AF_INET } else { nix::libc::AF_INET6 } as u8;
        self.message(CT_NEW, NLM_F_CREATE_EXCL, family, |m| {
            let (from, to) = ((flow.source, flow.source_port), (flow.destination, flow.destination_port));
            let original = if let Zone::Original(zone) = flow.zone { Some(zone) } else { None };
            m.tuple(CTA_TUPLE_ORIG, flow.protocol, from, to, original);
            // In one direction's zone: answers come to another port, as NAT sees to, or twins outside had the same answers.
            let answers_to = if original.is_some() { (from.0, from.1 ^ 0x8000) } else { from };
            m.tuple(CTA_TUPLE_REPLY, flow.protocol, to, answers_to, None);
            if let Zone::Both(zone) = flow.zone {
                m.attribute(CTA_ZONE, &zone.to_be_bytes());
            }
            if flow.mark != 0 {
                m.attribute(CTA_MARK, &flow.mark.to_be_bytes());
            }
            m.attribute(CTA_STATUS, &(flow.status | status::CONFIRMED).to_be_bytes());
            m.attribute(CTA_TIMEOUT, &flow.left.to_be_bytes());
            if flow.protocol == TCP {
                m.nest(CTA_PROTOINFO, |m| m.nest(1, |m| m.attribute(1, &[flow.tcp_state])));
            }
        });
    }

    /// Adds the deletion of a dumped entry by its tuple, and by its id if wanted.
    pub fn delete(&mut self, entry: &Message, with_id: bool) {
        self.message(CT_DELETE, 0, entry.family(), |m| {
            m.attribute(CTA_TUPLE_ORIG | NESTED, entry.attribute(CTA_TUPLE_ORIG).unwrap_or_default());
            if let Some(id) = entry.attribute(CTA_ID).filter(|_| with_id) {
                m.attribute(CTA_ID, id);
            }
        });
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(a) => a.to_ipv6_mapped(),
        IpAddr::V6(a) => a,
    }
}

/// Bits of `CTA_STATUS`.
pub mod status {
    pub const SEEN_REPLY: u32 = 1 << 1;
    pub const ASSURED: u32 = 1 << 2;
    pub const CONFIRMED: u32 = 1 << 3;
}

/// One message of an answer, header and all.
#[derive(Clone, Copy)]
pub struct Message<'a>(&'a [u8]);

/// The messages of a datagram.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let message = bytes.get(..length).filter(|m| m.len() >= 16)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message(message))
    })
}

/// The value of the first attribute of that type.
pub fn find(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) as usize;
        let found = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(4..length)?;
        if found == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

impl<'a> Message<'a> {
    fn kind(&self) -> u16 {
        u16::from_ne_bytes([self.0[4], self.0[5]])
    }
    /// The error this message reports; none for an acknowledgement or another kind of message.
    fn error(&self) -> Option<Errno> {
        let code = (self.kind() == NLMSG_ERROR).then(|| self.0.get(16..20)).flatten()?;
        let code = i32::from_ne_bytes(code.try_into().ok()?);
        (code != 0).then(|| Errno::from_raw(-code))
    }
    /// Is it an entry?
    pub fn is_entry(&self) -> bool {
        self.kind() == CT_NEW
    }
    fn family(&self) -> u8 {
        self.0.get(16).copied().unwrap_or_default()
    }
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        find(self.0.get(20..)?, kind)
    }
    /// The address that opened the flow.
    pub fn source(&self) -> Option<IpAddr> {
        let addresses = find(self.attribute(CTA_TUPLE_ORIG)?, 1)?;
        if let Some(v4) = find(addresses, 1) {
            return Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(v4).ok()?)));
        }
        Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(find(addresses, 3)?).ok()?)))
    }
}
