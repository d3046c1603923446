//! What `top` answers: who holds the table, the biggest first.

use crate::entry::{self, Class};
use crate::observe::census::{KINDS, PROTOCOLS};
use crate::observe::keys::{Destination, Host, Prefix};
use crate::observe::tally::{Basis, Tally};
use crate::units::Entries;
use core::fmt;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Rows that `top` gives at most, beside those of the kinds.
pub const ROWS_MOST: usize = 64;

/// What `top` counts by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum By {
    #[default]
    Source,
    Prefix,
    Destination,
    State,
}

/// Who holds the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// What was counted by.
    pub by: By,
    /// What it rests on.
    pub basis: Basis,
    /// The kernel said that the table changed shape while it was read.
    pub interrupted: bool,
    /// Entries in the table.
    pub count: Entries,
    /// The biggest first; behind them, whatever was counted by, all kinds.
    pub rows: heapless::Vec<TopRow, { ROWS_MOST + KINDS.len() }>,
}

/// One of the biggest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopRow {
    /// Who.
    pub key: TopKey,
    /// How many, with the share and its standard error.
    pub tally: Tally,
    /// It may have been as many as this among those read.
    pub at_most: u32,
}

/// Who a row is about. Ordered so that equal rows can stand in an order that does not change from look to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum TopKey {
    Source(IpAddr),
    Prefix(IpAddr, u8),
    Destination {
        address: IpAddr,
        protocol: u8,
        port: u16,
    },
    State(Class),
    /// An index into the census's [`KINDS`].
    Kind(u8),
}

impl From<Host> for TopKey {
    fn from(key: Host) -> Self {
        TopKey::Source(key.address())
    }
}

impl From<Prefix> for TopKey {
    fn from(key: Prefix) -> Self {
        TopKey::Prefix(key.address(), key.bits())
    }
}

impl From<Destination> for TopKey {
    fn from(key: Destination) -> Self {
        TopKey::Destination { address: key.address(), protocol: key.protocol(), port: key.port() }
    }
}

/// Which of the lists in an answer a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Of {
    Who,
    Protocols,
    Idle,
}

impl TopKey {
    /// The list that it belongs to.
    pub const fn of(&self) -> Of {
        match self {
            TopKey::Kind(0..PROTOCOLS) => Of::Protocols,
            TopKey::Kind(_) => Of::Idle,
            _ => Of::Who,
        }
    }
}

impl By {
    /// From its word on the command line.
    pub fn from_name(name: &str) -> Option<By> {
        Some(match name {
            "source" => By::Source,
            "prefix" => By::Prefix,
            "destination" => By::Destination,
            "state" => By::State,
            _ => return None,
        })
    }
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            By::Source => "source",
            By::Prefix => "prefix",
            By::Destination => "destination",
            By::State => "state",
        }
    }
}

impl fmt::Display for TopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopKey::Source(a @ IpAddr::V4(_)) => a.fmt(f),
            TopKey::Source(a) => write!(f, "{a}/64"),
            TopKey::Prefix(a, bits) => write!(f, "{a}/{bits}"),
            TopKey::Destination { address, protocol, port } => {
                let name = match *protocol {
                    entry::protocol::TCP => "tcp",
                    entry::protocol::UDP => "udp",
                    entry::protocol::ICMP => "icmp",
                    entry::protocol::ICMPV6 => "icmpv6",
                    other => return write!(f, "{address} proto {other}"),
                };
                if *port == 0 {
                    return write!(f, "{address} {name}");
                }
                match address {
                    IpAddr::V4(a) => write!(f, "{a}:{port}/{name}"),
                    IpAddr::V6(a) => write!(f, "[{a}]:{port}/{name}"),
                }
            }
            TopKey::State(class) => f.write_str(class.name()),
            TopKey::Kind(n) => f.write_str(KINDS.get(*n as usize).unwrap_or(&"")),
        }
    }
}
