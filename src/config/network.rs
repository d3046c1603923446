//! A network: an address and how many of its first bits count.

use crate::entry::mask;
use crate::observe::text::decimal;
use crate::text::cut;
use core::fmt;
use core::net::IpAddr;

/// A network, or one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Network {
    /// The network of `address` with so many bits, cut to the address's width. Bits behind the prefix are dropped, so that
    /// `192.168.1.7/24` is what its writer meant.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let prefix = prefix.min(width(address));
        Network { address: mask(address, prefix), prefix }
    }

    /// From `192.168.1.0/24`, `fd00::/8`, or a bare host; `None` if it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match cut(text, b'/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let prefix = match prefix {
            None => width(address),
            Some(digits) => decimal(digits.as_bytes())?.try_into().ok()?,
        };
        (prefix <= width(address)).then(|| Network::new(address, prefix))
    }

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count: 0 to 32, or to 128.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` is in it. An address of the other family never is.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && mask(address, self.prefix) == self.address
    }

    /// Whether they have an address in common: then one holds the other.
    pub fn meets(&self, other: &Network) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

impl fmt::Display for Network {
    /// As it is written in the config; a host without its prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if self.prefix == width(self.address) { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn written_and_read() {
        for (text, shown) in [
            ("192.168.1.0/24", "192.168.1.0/24"),
            ("192.168.1.7/24", "192.168.1.0/24"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("FD00:0::1/128", "fd00::1"),
            ("2001:db8:1:2:3::/64", "2001:db8:1:2::/64"),
        ] {
            let network = Network::parse(text).unwrap();
            assert_eq!(network.to_string(), shown);
            assert_eq!(Network::parse(shown), Some(network));
        }
        for text in
            ["", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0", "fd00::/129", "lan", " ::1"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn holds_its_own_and_no_other_family() {
        let holds = |network: &str, address: &str| Network::parse(network).unwrap().contains(address.parse().unwrap());
        assert!(holds("192.168.1.0/25", "192.168.1.127"));
        assert!(!holds("192.168.1.0/25", "192.168.1.128"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!holds("2001:db8::/33", "2001:db8:8000::1"));
        assert!(!holds("::ffff:0:0/96", "192.168.1.1"));
        let meets = |a: &str, b: &str| Network::parse(a).unwrap().meets(&Network::parse(b).unwrap());
        assert!(meets("10.0.0.0/8", "10.1.0.0/16") && meets("10.1.0.0/16", "10.0.0.0/8") && meets("::/0", "fd00::1"));
        assert!(!meets("10.0.0.0/16", "10.1.0.0/16") && !meets("0.0.0.0/0", "::/0"));
    }
}
