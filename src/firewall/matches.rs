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
    /// It does not match; or it does, where `inverted` is false.
    pub const fn not(self, inverted: bool) -> Hit {
        if inverted { Hit { sure: !self.may, may: !self.sure } } else { self }
    }
}

/// What a value is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Something not known here.
    Opaque,
    /// The same, and its value may look like a verdict (`ct status dnat`).
    Status,
    /// The name of the interface it comes in by; a wildcard at its end stands for any more.
    Interface,
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

/// `10`, `0x40`
pub(super) fn number(word: &[u8]) -> Option<u32> {
    word.strip_prefix(b"0x").map_or_else(|| decimal32(word), hex32)
}

/// Whether a word is one of a list, in which blanks stand between them.
pub(super) fn is(word: &[u8], list: &str) -> bool {
    list.as_bytes().split(|b| *b == b' ').any(|one| one == word)
}

impl Question<'_> {
    /// The flows of which this holds.
    pub(super) fn those(&self, holds: &dyn Fn(&super::Flow) -> bool) -> Mask {
        self.flows.iter().rev().fold(0, |mask, flow| mask << 1 | holds(flow) as Mask)
    }

    /// Flows for which a value fits: one, or several with commas. `any`: the wildcard.
    #[inline(never)]
    pub(super) fn hit(&self, kind: Kind, value: &[u8], any: u8) -> Hit {
        // Of several types xt_addrtype means one for IPv4 and all for IPv6, where every address is UNICAST too.
        if kind == Kind::Local && (value == b"UNICAST" || value.contains(&b',')) {
            return Hit::UNKNOWN;
        }
        let hit = value.split(|b| *b == b',').fold(Hit::NONE, |hit, value| hit.or(self.one(kind, value, any)));
        if !matches!(kind, Kind::Local | Kind::Cast | Kind::Destination) {
            return hit;
        }
        // Who asks for an address has none to write to: such flows go to everybody, as far as is known.
        let elsewhere = self.those(&|f| f.is_dhcp());
        Hit { sure: hit.sure & !elsewhere, may: hit.may | elsewhere }
    }

    fn one(&self, kind: Kind, value: &[u8], any: u8) -> Hit {
        let yes = match kind {
            // A set by name, or whatever is not named otherwise.
            _ if matches!(value.first(), None | Some(b'@' | b'*')) => return Hit::UNKNOWN,
            Kind::Opaque | Kind::Status | Kind::Flags => return Hit::UNKNOWN,
            Kind::Interface => match value.strip_suffix(&[any]) {
                Some(beginning) => self.interface.as_bytes().starts_with(beginning),
                None => self.interface.as_bytes() == value,
            },
            Kind::Family => {
                return Hit::exact(self.those(&|f| is(value, if f.ipv6 { "ipv6 10" } else { "ipv4 2" })));
            }
            Kind::Protocol => {
                // 6-17
                if value.contains(&b'-') && value.first().is_some_and(u8::is_ascii_digit) {
                    return Hit::UNKNOWN;
                }
                return Hit::exact(self.those(&|f| is(value, if f.is_tcp() { "tcp 6" } else { "udp 17" })));
            }
            Kind::Port => {
                let dash = value.iter().position(|b| *b == b'-' || *b == b':');
                let (first, last) = dash.and_then(|at| value.split_at_checked(at)).unwrap_or((value, value));
                let (first, last) =
                    (decimal32(first), decimal32(last.strip_prefix(b"-").or(last.strip_prefix(b":")).unwrap_or(last)));
                // A service by its name is not understood.
                let (Some(first), Some(last)) = (first, last) else { return Hit::UNKNOWN };
                return Hit::exact(self.those(&|f| (first..=last).contains(&u32::from(f.port))));
            }
            Kind::State => match number(value) {
                Some(bits) => bits & 0x40 != 0,
                None => is(value, "untracked UNTRACKED"),
            },
            Kind::Local => is(value, "local LOCAL 2"),
            Kind::Cast => is(value, "host unicast 0"),
            Kind::Destination => return self.destination(value),
        };
        if yes { Hit::ALL } else { Hit::NONE }
    }

    fn destination(&self, value: &[u8]) -> Hit {
        let Some(network) = core::str::from_utf8(value).ok().and_then(Network::parse) else { return Hit::UNKNOWN };
        let ipv6 = network.address().is_ipv6();
        let (mut all, mut inside) = (0, 0);
        for own in self.own.iter().filter(|a: &&IpAddr| a.is_ipv6() == ipv6) {
            all += 1;
            inside += u32::from(network.contains(*own));
        }
        let family = self.those(&|f| f.ipv6 == ipv6);
        Hit {
            sure: if inside == all && all > 0 { family } else { 0 },
            may: if inside > 0 || all == 0 { family } else { 0 },
        }
    }
}

impl super::Flow {
    pub(super) const fn is_tcp(&self) -> bool {
        self.protocol == protocol::TCP
    }
}
