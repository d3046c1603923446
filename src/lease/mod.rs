//! Emergency rules that the kernel ends by itself, and how long the daemon goes on renewing them.
//!
//! ```text
//!   reason (a hog, a full table, an owner) ──> grant ──> renewed every third of its term, while the reason lasts
//!                                                │            and up to a configured total
//!                                                └──> the kernel ends it after one term, whatever has died
//! ```
//!
//! A lease is never longer in the kernel than its term: `kill -9`, a hung loop or a lost journal close the firewall again
//! within that time.

mod caps;
mod windows;

use crate::entry::{Entry, holder_of};
use crate::units::Millis;
use core::fmt;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};
pub use windows::{Due, Opening, Windows};

/// What a lease caps or lets in. Each is one element of one of the sets in `openwrt/ctwarden/files/usr/share/nftables.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lease {
    /// New entries of one source are capped: an IPv4 host, or the /64 of an IPv6 one (its other bits are zero).
    Source(#[serde(with = "crate::entry::address")] IpAddr),
    /// New entries to one destination are capped.
    Destination {
        /// Address before any NAT.
        #[serde(with = "crate::entry::address")]
        address: IpAddr,
        /// IP protocol number.
        protocol: u8,
        /// Destination port.
        port: u16,
    },
    /// A port of the router, on its own address on this interface, is untracked both ways and accepted.
    Router {
        /// Interface index.
        interface: u32,
        /// IP protocol number.
        protocol: u8,
        /// Destination port.
        port: u16,
    },
    /// Un-NATed TCP of the hosts behind this interface is untracked both ways; strangers' bare SYNs stay out.
    Lan {
        /// Interface index.
        interface: u32,
    },
    /// Everything of one family is accepted, from everywhere.
    All {
        /// IPv6; else IPv4.
        ipv6: bool,
    },
}

/// How far `open` opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// The LAN to the router's named ports.
    #[default]
    Router,
    /// That, and un-NATed TCP between LAN and WAN.
    Lan,
    /// Accept from everywhere.
    All,
}

impl Scope {
    /// From its word; `None` if there is no such scope.
    pub fn from_name(name: &str) -> Option<Scope> {
        [Scope::Router, Scope::Lan, Scope::All].into_iter().find(|s| s.name() == name)
    }
    /// The word in config, log and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Router => "router",
            Scope::Lan => "lan",
            Scope::All => "all",
        }
    }
    /// What it does not help, in words.
    pub const fn impossible(self) -> &'static str {
        match self {
            Scope::Router => "new connections through the router still need room in the table",
            Scope::Lan => "IPv4 behind NAT, and UDP, still need room in the table",
            Scope::All => "IPv4 behind NAT still needs room in the table",
        }
    }
}

/// Why nothing may go untracked between LAN and WAN.
pub const TRANSLATED: &str =
    "IPv6 is translated here (masquerade, snat or dnat): untracked, it would go out with private addresses";

/// Where the rules behind leases are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backend {
    /// Nothing usable was found, or it is switched off: no lease can be given.
    #[default]
    None,
    /// Sets in `inet fw4`, put there by fw4 itself from the package's snippets.
    Fw4,
    /// A table of our own, and one rule at the head of each foreign base chain.
    Nft,
    /// Chains of our own behind `-m recent`.
    Iptables,
    /// Policies set to ACCEPT and the rules set aside: needs somebody alive to end it.
    Snapshot,
    /// The firewall's init script, stopped and started: needs somebody alive to end it.
    Script,
}

impl Backend {
    /// All of them, in the order in which they are probed.
    pub const ALL: [Backend; 6] =
        [Backend::Fw4, Backend::Nft, Backend::Iptables, Backend::Snapshot, Backend::Script, Backend::None];

    /// The word in config, status and log.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::None => "none",
            Backend::Fw4 => "fw4",
            Backend::Nft => "nft",
            Backend::Iptables => "iptables",
            Backend::Snapshot => "snapshot",
            Backend::Script => "script",
        }
    }
    /// From its word.
    pub fn from_name(name: &str) -> Option<Backend> {
        Backend::ALL.into_iter().find(|b| b.name() == name)
    }
    /// The kernel ends its leases by itself.
    pub const fn has_leases(self) -> bool {
        matches!(self, Backend::Fw4 | Backend::Nft | Backend::Iptables)
    }
    /// It can cap single sources and destinations.
    pub const fn can_shed(self) -> bool {
        self.has_leases()
    }
}

/// A cap or an opening stays this long in the kernel without being renewed. iptables rules have it written in them.
pub const TERM: Millis = Millis(30_000);
/// It is renewed when this much of its term is left.
pub const RENEW_AT: Millis = Millis(20_000);
/// The lifeline's term: it opens nothing that is closed otherwise, and renewing it wakes a sleeping router.
pub const LIFELINE_TERM: Millis = Millis(600_000);
/// See [`RENEW_AT`].
pub const LIFELINE_RENEW_AT: Millis = Millis(200_000);

/// Sources and destinations capped at a time. Full: the heaviest were capped first, the report says how many were not.
pub const SHEDS: usize = 64;

impl Lease {
    /// Would it cap this entry, if that were new?
    pub fn covers(&self, e: &Entry<'_>) -> bool {
        match *self {
            Lease::Source(source) => e.holder() == source,
            Lease::Destination { address, protocol, port } => {
                (e.destination, e.protocol, e.destination_port) == (address, protocol, port)
            }
            _ => false,
        }
    }

    /// The cap of whoever a row of `top` is about: `10.0.0.5`, `2001:db8::/64`, `1.2.3.4:443/tcp`, `[2001:db8::1]:443/udp`.
    pub fn of_key(key: &str) -> Option<Lease> {
        use crate::entry::protocol::{TCP, UDP};
        for (suffix, protocol) in [("/tcp", TCP), ("/udp", UDP)] {
            let Some(place) = key.strip_suffix(suffix) else { continue };
            let colon = place.bytes().rposition(|byte| byte == b':')?;
            let (address, port) = (place.get(..colon)?, crate::text::number(place.get(colon + 1..)?)?);
            let bare = address.strip_prefix("[").and_then(|a| a.strip_suffix("]"));
            let address = bare.unwrap_or(address).parse::<IpAddr>().ok().filter(|a| a.is_ipv6() == bare.is_some())?;
            return Some(Lease::Destination { address, protocol, port: port.try_into().ok()? });
        }
        let bare = key.strip_suffix("/64");
        Some(Lease::Source(match bare.unwrap_or(key).parse().ok()? {
            v6 @ IpAddr::V6(_) => holder_of(v6),
            v4 if bare.is_none() => v4,
            _ => return None,
        }))
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::protocol::TopKey;
        match *self {
            Lease::Source(address) => TopKey::Source(address).fmt(f),
            Lease::Destination { address, protocol, port } => TopKey::Destination { address, protocol, port }.fmt(f),
            Lease::Router { interface, protocol, port } => {
                write!(f, "port {port} of protocol {protocol} on interface {interface}")
            }
            Lease::Lan { interface } => write!(f, "hosts behind interface {interface}"),
            Lease::All { ipv6 } => f.write_str(if ipv6 { "all IPv6" } else { "all IPv4" }),
        }
    }
}
