//! What the census counts by: small keys, made of an entry's addresses.

use super::sketch::{Hasher, Key};
use crate::entry::Entry;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A holder: an IPv4 host, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host([u32; 3]);

/// A network: an IPv4 /24, or an IPv6 /48.
///
/// /48 because an IPv6 holder is a /64 already, and what one site is given is a /48 to a /56: a prefix that is not wider than a site's
/// shows nothing that [`Host`] does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix([u32; 3]);

/// Where to: address, protocol and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination([u32; 5]);

// The first word, so that no IPv4 key equals an IPv6 key: a spoofed ::/64 must not be counted as somebody's IPv4 host.
const V4: u32 = 4;
const V6: u32 = 6;

/// Family and the upper half of the address.
fn upper(address: IpAddr) -> [u32; 3] {
    match address {
        IpAddr::V4(a) => [V4, u32::from(a), 0],
        IpAddr::V6(a) => {
            let [w0, w1, ..] = words(a);
            [V6, w0, w1]
        }
    }
}

fn words(address: Ipv6Addr) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h] = address.segments().map(u32::from);
    [a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h]
}

fn address(family: u32, words: [u32; 4]) -> IpAddr {
    if family == V4 {
        return IpAddr::V4(Ipv4Addr::from(words[0]));
    }
    let [a, b, c, d] = words.map(|w| [(w >> 16) as u16, w as u16]);
    IpAddr::V6(Ipv6Addr::new(a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]))
}

impl Host {
    /// Who holds an entry that comes from `source`.
    pub fn of(source: IpAddr) -> Host {
        Host(upper(source))
    }

    /// Its address; for IPv6 the /64's first.
    pub fn address(self) -> IpAddr {
        let Host([family, a, b]) = self;
        address(family, [a, b, 0, 0])
    }
}

impl Prefix {
    /// The network `source` is in.
    pub fn of(source: IpAddr) -> Prefix {
        let [family, a, b] = upper(source);
        Prefix(if family == V4 { [V4, a & 0xffff_ff00, 0] } else { [V6, a, b & 0xffff_0000] })
    }

    /// Its first address.
    pub fn address(self) -> IpAddr {
        Host(self.0).address()
    }

    /// How many bits of it count: 24 or 48.
    pub const fn bits(self) -> u8 {
        if self.0[0] == V4 { 24 } else { 48 }
    }
}

impl Destination {
    /// Where the entry's first packet went, before any NAT.
    pub fn of(entry: &Entry) -> Destination {
        let (family, [a, b, c, d]) = match entry.destination {
            IpAddr::V4(a) => (V4, [u32::from(a), 0, 0, 0]),
            IpAddr::V6(a) => (V6, words(a)),
        };
        Destination([family << 24 | (entry.protocol as u32) << 16 | entry.destination_port as u32, a, b, c, d])
    }

    /// Its address.
    pub fn address(self) -> IpAddr {
        let Destination([head, a, b, c, d]) = self;
        address(head >> 24, [a, b, c, d])
    }

    /// IP protocol number.
    pub const fn protocol(self) -> u8 {
        (self.0[0] >> 16) as u8
    }

    /// Port; 0 where the protocol has none.
    pub const fn port(self) -> u16 {
        self.0[0] as u16
    }
}

/// What the sketches count: one type for all three, or the binary holds three copies of a sketch.
pub type Raw = [u32; 5];

impl Key for Raw {
    const BLANK: Raw = [0; 5];
    fn hash(&self, hasher: &Hasher) -> u32 {
        hasher.hash(self)
    }
}

impl From<Host> for Raw {
    fn from(Host([family, a, b]): Host) -> Raw {
        [family, a, b, 0, 0]
    }
}

impl From<Prefix> for Raw {
    fn from(Prefix([family, a, b]): Prefix) -> Raw {
        [family, a, b, 0, 0]
    }
}

impl From<Destination> for Raw {
    fn from(Destination(raw): Destination) -> Raw {
        raw
    }
}

impl From<Raw> for Host {
    fn from([family, a, b, ..]: Raw) -> Host {
        Host([family, a, b])
    }
}

impl From<Raw> for Prefix {
    fn from([family, a, b, ..]: Raw) -> Prefix {
        Prefix([family, a, b])
    }
}

impl From<Raw> for Destination {
    fn from(raw: Raw) -> Destination {
        Destination(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{holder_of, mask};

    #[test]
    fn hosts_are_the_holders_of_entries() {
        for source in ["192.168.1.10", "255.255.255.255", "2001:db8:1:2:3:4:5:6", "::", "ffff::ffff"] {
            let source: IpAddr = source.parse().unwrap();
            assert_eq!(Host::of(source).address(), holder_of(source));
            let bits = if source.is_ipv4() { 24 } else { 48 };
            assert_eq!((Prefix::of(source).address(), Prefix::of(source).bits()), (mask(source, bits), bits));
        }
        assert!(Host::of("1.2.3.4".parse().unwrap()) != Host::of("102:304::".parse().unwrap()));
        assert!(Host::of("0.0.0.0".parse().unwrap()) != Host::of("::".parse().unwrap()));
    }

    #[test]
    fn where_an_entry_goes_to() {
        let v6: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let line = b"ipv6 10 tcp 6 1 SYN_SENT src=fd00::1 dst=2001:db8:1:2:3:4:5:6 sport=9 dport=443";
        let to = Destination::of(&super::super::proctext::parse(line).unwrap());
        assert_eq!((to.address(), to.protocol(), to.port()), (v6, 6, 443));
    }
}
