//! The router's own addresses: what must never be capped, and what the lifeline is for.

use crate::config::Network;
use crate::wire::route::Address;
use core::net::IpAddr;

/// Addresses kept. A home router has ten. Full: [`Own::is_complete`] says no, and nothing is capped.
pub const ADDRESSES: usize = 64;

/// The addresses on all interfaces, as they were when they were read. Those that every machine has are left out: loopback
/// and link-local addresses are the router's or its neighbours' in any case.
#[derive(Clone, Debug, Default)]
pub struct Own {
    list: heapless::Vec<Address, ADDRESSES>,
    lacking: bool,
}

impl Own {
    /// None is known, so nothing may be capped.
    pub const UNKNOWN: Own = Own { list: heapless::Vec::new(), lacking: true };

    /// None was read yet.
    pub const fn new() -> Self {
        Own { list: heapless::Vec::new(), lacking: false }
    }

    /// One more.
    pub fn add(&mut self, address: Address) {
        if !is_everywhere(address.address) {
            self.lacking |= self.list.push(address).is_err();
        }
    }

    /// All were read, and there was room for them.
    pub const fn is_complete(&self) -> bool {
        !self.lacking
    }

    /// Whether it is one of the router's, or of a kind that never leaves it or the link.
    pub fn is_own(&self, address: IpAddr) -> bool {
        is_everywhere(address) || self.list.iter().any(|own| own.address == address)
    }

    /// Whether one of them is in this network.
    pub fn is_in(&self, network: Network) -> bool {
        self.list.iter().any(|own| network.contains(own.address))
    }

    /// Whether this network and that of a link on one of these interfaces have addresses in common. The network of all
    /// link-local addresses has with any.
    pub fn is_attached(&self, network: Network, interfaces: &[u32]) -> bool {
        let mut links = self.list.iter().filter(|own| interfaces.contains(&own.interface));
        is_everywhere(network.address()) || links.any(|own| Network::new(own.address, own.prefix).meets(&network))
    }

    /// The addresses on one interface.
    pub fn on(&self, interface: u32) -> impl Iterator<Item = IpAddr> {
        self.list.iter().filter(move |own| own.interface == interface).map(|own| own.address)
    }

    /// The interfaces that have addresses, each once.
    pub fn interfaces(&self) -> impl Iterator<Item = u32> {
        let first = |at: usize, i: u32| self.list.iter().position(|own| own.interface == i) == Some(at);
        self.list.iter().enumerate().filter(move |(at, own)| first(*at, own.interface)).map(|(_, own)| own.interface)
    }
}

fn is_everywhere(address: IpAddr) -> bool {
    address.is_loopback()
        || match address {
            IpAddr::V4(a) => a.is_link_local(),
            IpAddr::V6(a) => a.is_unicast_link_local(),
        }
}
