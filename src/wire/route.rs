//! rtnetlink: the addresses of this machine, and the numbers of its interfaces.

use super::netlink::{Attributes, Batch, FLAG_DUMP, FLAG_REQUEST, Head, Message};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTM_NEWADDR`: what a dump consists of.
pub const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
/// Bytes of `struct ifaddrmsg`: family, prefix, flags, scope, index.
const IFADDR: usize = 8;
/// The other end of a point-to-point link; elsewhere the same as `LOCAL`, and of IPv6 the only one.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// An address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address itself.
    pub address: IpAddr,
    /// How many of its first bits the hosts on that link have in common: 0 to 32, or to 128.
    pub prefix: u8,
    /// The interface it is on.
    pub interface: u32,
}

/// An address from the payload of a [`NEW_ADDRESS`] message; `None` if it has none of its family's length.
pub fn address(payload: &[u8]) -> Option<Address> {
    let (head, attributes) = payload.split_first_chunk::<IFADDR>()?;
    let [family, prefix, _, _, index @ ..] = *head;
    let mut address = None;
    for (kind, value) in Attributes::new(attributes) {
        let value = match family {
            AF_INET => <[u8; 4]>::try_from(value).ok().map(|b| IpAddr::V4(Ipv4Addr::from(b))),
            AF_INET6 => <[u8; 16]>::try_from(value).ok().map(|b| IpAddr::V6(Ipv6Addr::from(b))),
            _ => return None,
        };
        match kind {
            IFA_LOCAL => address = value.or(address),
            IFA_ADDRESS => address = address.or(value),
            _ => {}
        }
    }
    let address = address?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= width).then_some(Address { address, prefix, interface: u32::from_ne_bytes(index) })
}

/// Asks for all addresses of both families. The kernel wants no more of a head here than the family.
pub fn dump_addresses(batch: &mut Batch<'_>, sequence: u32) -> bool {
    let head = Head { kind: GET_ADDRESS, flags: FLAG_REQUEST | FLAG_DUMP, sequence, family: 0, version: 0 };
    batch.message(head, &|_| {})
}

/// Asks for the interface of that name.
pub fn get_link(batch: &mut Batch<'_>, name: &str, sequence: u32) -> bool {
    let head = Head { kind: GET_LINK, flags: FLAG_REQUEST, sequence, family: 0, version: 0 };
    batch.message(head, &|w| {
        // The rest of `struct ifinfomsg`: of a number 0 the name counts.
        w.raw(&[0; 12]);
        w.attribute(IFLA_IFNAME, name.as_bytes());
    })
}

/// The number of the interface that a message is about.
pub fn link_index(message: &Message<'_>) -> Option<u32> {
    let index = message.payload.get(4..)?.first_chunk().filter(|_| message.kind == NEW_LINK)?;
    Some(u32::from_ne_bytes(*index))
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    fn message(family: u8, prefix: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::from([family, prefix, 0x80, 0]);
        bytes.extend(7u32.to_ne_bytes());
        for (kind, value) in attributes {
            bytes.extend((value.len() as u16 + 4).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_local_end_of_a_link_is_ours() {
        let (local, peer) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let v6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let of = |family, prefix, attributes: &[(u16, &[u8])]| address(&message(family, prefix, attributes));
        let found = |text: &str, prefix| Some(Address { address: text.parse().unwrap(), prefix, interface: 7 });
        assert_eq!(of(2, 24, &[(1, &local), (2, &local), (3, b"lan\0")]), found("10.0.0.1", 24));
        assert_eq!(of(2, 32, &[(1, &peer), (2, &local)]), found("10.0.0.1", 32));
        assert_eq!(of(2, 32, &[(2, &local), (1, &peer)]), found("10.0.0.1", 32));
        assert_eq!(of(10, 64, &[(1, &v6), (8, &[0; 4])]), found("fd00::1", 64));
        assert_eq!(of(10, 64, &[(1, &local)]), None, "of another length");
        assert_eq!(of(2, 33, &[(2, &local)]), None);
        assert_eq!(of(2, 24, &[]), None);
        assert_eq!(of(7, 24, &[(2, &local)]), None);
    }
}
