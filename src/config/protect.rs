//! Entries that are never evicted.

use super::Network;
use crate::entry::Entry;
use heapless::String;

/// Longest name of a `protect` section, in bytes. Longer ones are a fault.
pub const NAME: usize = 32;

/// A connection mark and the bits of it that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What the counted bits must be; no others are set.
    pub value: u32,
    /// The bits that count; never 0.
    pub mask: u32,
}

/// One `protect` section. What it leaves out matches anything; at least one part is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protect {
    /// For reports: the `name` option, else the section's name; may be empty.
    pub name: String<NAME>,
    /// Who opened the flow.
    pub source: Option<Network>,
    /// Where it was opened to, before any NAT.
    pub destination: Option<Network>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// Destination port.
    pub port: Option<u16>,
    /// Connection mark.
    pub mark: Option<Mark>,
}

impl Protect {
    /// All given parts match.
    pub fn covers(&self, entry: &Entry<'_>) -> bool {
        self.source.is_none_or(|n| n.contains(entry.source))
            && self.destination.is_none_or(|n| n.contains(entry.destination))
            && self.protocol.is_none_or(|p| p == entry.protocol)
            && self.port.is_none_or(|p| p == entry.destination_port)
            && self.mark.is_none_or(|m| entry.mark & m.mask == m.value)
    }

    /// Nothing is given: it would match every entry.
    pub(super) fn is_everything(&self) -> bool {
        self.source.is_none()
            && self.destination.is_none()
            && self.protocol.is_none()
            && self.port.is_none()
            && self.mark.is_none()
    }
}
