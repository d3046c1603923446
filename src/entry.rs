//! One tracked flow as the kernel reports it, whichever way it was read (ctnetlink message or `/proc/net/nf_conntrack` line).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol numbers that matter here.
pub mod protocol {
    #![allow(missing_docs)]
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ICMPV6: u8 = 58;
}

/// Bits of `CTA_STATUS` (`enum ip_conntrack_status` in the kernel).
pub mod status {
    #![allow(missing_docs)]
    pub const SEEN_REPLY: u32 = 1 << 1;
    pub const ASSURED: u32 = 1 << 2;
    pub const CONFIRMED: u32 = 1 << 3;
    pub const OFFLOAD: u32 = 1 << 14;
    pub const HW_OFFLOAD: u32 = 1 << 15;
}

/// TCP states as conntrack numbers them (`enum tcp_conntrack`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum TcpState {
    None = 0,
    SynSent = 1,
    SynRecv = 2,
    Established = 3,
    FinWait = 4,
    CloseWait = 5,
    LastAck = 6,
    TimeWait = 7,
    Close = 8,
    SynSent2 = 9,
}

impl TcpState {
    /// From the kernel's number; `None` if it is not one we know.
    pub const fn from_number(n: u8) -> Option<Self> {
        use TcpState::*;
        Some(match n {
            0 => None,
            1 => SynSent,
            2 => SynRecv,
            3 => Established,
            4 => FinWait,
            5 => CloseWait,
            6 => LastAck,
            7 => TimeWait,
            8 => Close,
            9 => SynSent2,
            _ => return Option::None,
        })
    }
}

/// What kind of entry it is, for the census and for what may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// No packet has come back: a handshake's first packet, a scan, a one-way flow.
    Unreplied,
    /// Answered, but the kernel has not marked it ASSURED: a handshake half done, a single question and answer.
    Replied,
    /// TCP in TIME_WAIT, CLOSE or LAST_ACK: over, waiting to be forgotten.
    Closing,
    /// The kernel's ASSURED: a flow in use, which early drop spares.
    Assured,
    /// Handed to the flow table, in software or hardware: its packets do not pass conntrack any more.
    Offloaded,
}

impl Class {
    /// All classes, in the order of their discriminants.
    pub const ALL: [Class; 5] = [Class::Unreplied, Class::Replied, Class::Closing, Class::Assured, Class::Offloaded];

    /// The word for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Unreplied => "unreplied",
            Class::Replied => "replied",
            Class::Closing => "closing",
            Class::Assured => "assured",
            Class::Offloaded => "offloaded",
        }
    }
}

/// One entry of the table. Addresses and ports are those of the original direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Who opened the flow.
    pub source: IpAddr,
    /// Where to, before any NAT.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port; 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port; 0 where the protocol has none.
    pub destination_port: u16,
    /// Conntrack zone; 0 is the default zone.
    pub zone: u16,
    /// The kernel's id of this entry: a reborn flow of the same tuple has another. 0 where the source has none (proc text).
    pub id: u32,
    /// `CTA_STATUS` bits; see [`status`].
    pub status: u32,
    /// Seconds until it times out, rounded down by the kernel; none for offloaded flows.
    pub left: Option<u32>,
    /// TCP state; none for other protocols.
    pub tcp: Option<TcpState>,
    /// Connection mark.
    pub mark: u32,
    /// The payload of `CTA_TUPLE_ORIG` as it came, to be sent back when deleting; empty from proc text.
    pub tuple: &'a [u8],
    /// The `nfgen_family` of the message (AF_INET 2, AF_INET6 10).
    pub family: u8,
    /// `CTA_ZONE` (kernel: 18) stood inside the message, so a delete must carry it.
    pub has_zone: bool,
}

impl Entry<'_> {
    /// Its class. Closing and offloaded win over assured, since they say more.
    pub fn class(&self) -> Class {
        if self.status & (status::OFFLOAD | status::HW_OFFLOAD) != 0 {
            return Class::Offloaded;
        }
        if matches!(self.tcp, Some(TcpState::TimeWait | TcpState::Close | TcpState::LastAck)) {
            return Class::Closing;
        }
        if self.status & status::ASSURED != 0 {
            Class::Assured
        } else if self.status & status::SEEN_REPLY != 0 {
            Class::Replied
        } else {
            Class::Unreplied
        }
    }
    /// The holder: the source host, for IPv6 its /64 (a host has as many addresses in it as it likes).
    pub fn holder(&self) -> IpAddr {
        holder_of(self.source)
    }
}

/// How an address goes over the wire: family and four words. serde's own way, an enum of byte arrays, is 1 KB larger on MIPS.
pub mod address {
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// For `#[serde(with)]`.
    pub fn serialize<S: Serializer>(address: &IpAddr, to: S) -> Result<S::Ok, S::Error> {
        let n = match *address {
            IpAddr::V4(a) => u32::from(a) as u128,
            IpAddr::V6(a) => u128::from(a),
        };
        (address.is_ipv6(), (n >> 64) as u64, n as u64).serialize(to)
    }

    /// For `#[serde(with)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<IpAddr, D::Error> {
        let (v6, high, low) = <(bool, u64, u64)>::deserialize(from)?;
        Ok(if v6 {
            IpAddr::V6(Ipv6Addr::from((high as u128) << 64 | low as u128))
        } else {
            IpAddr::V4(Ipv4Addr::from(low as u32))
        })
    }
}

/// The holder a source address belongs to: itself, for IPv6 its /64.
pub fn holder_of(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(_) => mask(source, 64),
    }
}

/// `address` with all but the first `bits` cleared.
pub fn mask(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let keep = if bits == 0 { 0 } else { u32::MAX << (32 - bits.min(32) as u32) };
            IpAddr::V4(Ipv4Addr::from(u32::from(a) & keep))
        }
        IpAddr::V6(a) => {
            let keep = if bits == 0 { 0 } else { u128::MAX << (128 - bits.min(128) as u32) };
            IpAddr::V6(Ipv6Addr::from(u128::from(a) & keep))
        }
    }
}
