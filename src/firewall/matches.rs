//! What a rule says of packets × the flows asked about → those that it matches for certain, and those that it may match.

use super::Question;
use crate::config::Network;
use crate::entry::protocol;
use crate::observe::text::{decimal32, hex32};
use core::net::IpAddr;

/// One bit a flow of the question.
pub(super) type Mask = u32;

/// Which flows a match is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    /// All their packets match.
    pub sure: Mask,
    /// Some of their packets may match. All that are in `sure` are in here too.
    pub may: Mask,
}

impl Hit {
    pub const ALL: Hit = Hit::exact(!0);
    pub const NONE: Hit = Hit::exact(0);
    /// What is not understood, or depends on what is not known here.
    pub const UNKNOWN: Hit = Hit { sure: 0, may: !0 };

    pub const fn exact(mask: Mask) -> Hit {
        Hit { sure: mask, may: mask }
    }
    /// Both match.
    pub const fn and(self, other: Hit) -> Hit {
        Hit { sure: self.sure & other.sure, may: self.may & other.may }
    }
    /// One of them matches.
    pub const fn or(self, other: Hit) -> Hit {
        Hit { sure: self.sure | other.sure, may: self.may | other.may }
    }
    /// It does not match.
    pub const fn not(self) -> Hit {
        Hit { sure: !self.may, may: !self.sure }
    }
}

/// What a value is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Something not known here.
    Opaque,
    /// The same, and its value may look like a verdict (`ct status dnat`).
    Status,
    /// The name of the interface it comes in by; this byte at the end stands for any more.
    Interface(u8),
    Family,
    Protocol,
    Port,
    /// The state of connection tracking: these packets have none, since they are untracked.
    State,
    /// `fib daddr type`.
    Local,
    /// `meta pkttype`.
    Cast,
    /// Destination address.
    Destination,
    /// TCP flags.
    Flags,
}

pub(super) fn number(word: &[u8]) -> Option<u32> {
    match word.strip_prefix(b"0x") {
        Some(digits) => hex32(digits),
        None => decimal32(word),
    }
}

impl Question<'_> {
    /// The flows of which this holds.
    pub(super) fn those(&self, holds: &dyn Fn(&super::Flow) -> bool) -> Mask {
        self.flows.iter().rev().fold(0, |mask, flow| mask << 1 | holds(flow) as Mask)
    }

    /// Flows that do not go to the router's address on the interface: who asks for an address has none to write to.
    fn elsewhere(&self) -> Mask {
        self.those(&|f| f.is_dhcp())
    }

    /// Flows for which a value fits: one, or several with commas.
    pub(super) fn hit(&self, kind: Kind, value: &[u8]) -> Hit {
        // Of several types xt_addrtype means one for IPv4 and all for IPv6, where every address is UNICAST too.
        if kind == Kind::Local && (value == b"UNICAST" || value.contains(&b',')) {
            return Hit::UNKNOWN;
        }
        value.split(|b| *b == b',').fold(Hit::NONE, |hit, value| hit.or(self.one(kind, value)))
    }

    fn one(&self, kind: Kind, value: &[u8]) -> Hit {
        // A set by name, or whatever is not named otherwise.
        if matches!(value.first(), None | Some(b'@' | b'*')) {
            return Hit::UNKNOWN;
        }
        let is = |words: &[&str]| words.iter().any(|w| w.as_bytes() == value);
        let everything = |yes: bool| if yes { Hit::ALL } else { Hit::NONE };
        match kind {
            Kind::Opaque | Kind::Status | Kind::Flags => Hit::UNKNOWN,
            Kind::Interface(any) => everything(match value.strip_suffix(&[any]) {
                Some(beginning) => self.interface.as_bytes().starts_with(beginning),
                None => self.interface.as_bytes() == value,
            }),
            Kind::Family => Hit::exact(self.those(&|f| if f.ipv6 { is(&["ipv6", "10"]) } else { is(&["ipv4", "2"]) })),
            Kind::Protocol if value.contains(&b'-') && value.first().is_some_and(u8::is_ascii_digit) => Hit::UNKNOWN,
            Kind::Protocol => Hit::exact(self.those(&|f| match f.protocol {
                protocol::TCP => is(&["tcp", "6"]),
                protocol::UDP => is(&["udp", "17"]),
                _ => false,
            })),
            Kind::Port => {
                let mut ends = value.splitn(2, |b| *b == b'-' || *b == b':').map(decimal32);
                let first = ends.next().flatten();
                let last = ends.next().unwrap_or(first);
                // A service by its name is not understood.
                let (Some(first), Some(last)) = (first, last) else { return Hit::UNKNOWN };
                Hit::exact(self.those(&|f| (first..=last).contains(&u32::from(f.port))))
            }
            Kind::State => everything(
                value.eq_ignore_ascii_case(b"untracked")
                    || value.starts_with(b"0x") && number(value).is_none_or(|bits| bits & 0x40 != 0),
            ),
            Kind::Local => self.on_the_interface(everything(is(&["local", "LOCAL", "2"]))),
            Kind::Cast => self.on_the_interface(everything(is(&["host", "unicast", "0"]))),
            Kind::Destination => self.on_the_interface(self.destination(value)),
        }
    }

    /// Nothing of it is known of a broadcast.
    fn on_the_interface(&self, hit: Hit) -> Hit {
        let elsewhere = self.elsewhere();
        Hit { sure: hit.sure & !elsewhere, may: hit.may | elsewhere }
    }

    fn destination(&self, value: &[u8]) -> Hit {
        let Some(network) = core::str::from_utf8(value).ok().and_then(Network::parse) else { return Hit::UNKNOWN };
        let ipv6 = network.address().is_ipv6();
        let of_family = || self.own.iter().filter(|a: &&IpAddr| a.is_ipv6() == ipv6);
        let inside = of_family().filter(|a| network.contains(**a)).count();
        let family = self.those(&|f| f.ipv6 == ipv6);
        Hit {
            sure: if inside > 0 && inside == of_family().count() { family } else { 0 },
            may: if inside > 0 || of_family().next().is_none() { family } else { 0 },
        }
    }
}
