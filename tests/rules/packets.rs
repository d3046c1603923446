//! Packets sent from the LAN, and those of them that the router's input rules let through: a raw socket is given what is
//! for the router behind its input hook, before anybody looks at ports, flags or checksums.

use ctwarden::entry::protocol::{TCP, UDP};
use ctwarden::firewall::Flow;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv, sendto, setsockopt, socket,
    sockopt,
};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// SYN, ACK, PSH+ACK, FIN+ACK, RST.
const FLAGS: [u8; 5] = [0x02, 0x10, 0x18, 0x11, 0x04];

/// What tells one packet from another: family, protocol, destination port, flags, and the source port, which is drawn
/// from round, source and destination.
type Mark = (bool, u8, u16, u8, u16);

fn raw(ipv6: bool, protocol: u8) -> Result<OwnedFd, Errno> {
    let family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let protocol = if protocol == TCP { SockProtocol::Tcp } else { SockProtocol::Udp };
    socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol)
}

pub struct Receiver(Vec<(bool, u8, OwnedFd)>);

impl Receiver {
    pub fn open() -> Result<Self, Errno> {
        let kinds = [(false, TCP), (false, UDP), (true, TCP), (true, UDP)];
        let sockets = kinds.into_iter().map(|(ipv6, protocol)| {
            let socket = raw(ipv6, protocol)?;
            setsockopt(&socket, sockopt::RcvBuf, &(1 << 20))?;
            Ok((ipv6, protocol, socket))
        });
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// What has come in and what comes within a moment.
    fn seen(&self, wanted: usize) -> HashSet<Mark> {
        let mut seen = HashSet::new();
        let mut room = [0; 256];
        let mut patience = 20u8;
        while seen.len() < wanted && patience > 0 {
            for (ipv6, protocol, socket) in &self.0 {
                while let Ok(n) = recv(socket.as_raw_fd(), &mut room, MsgFlags::empty()) {
                    // IPv4 comes with its header, IPv6 without.
                    let begin = if *ipv6 { 0 } else { usize::from(room[0] & 15) * 4 };
                    let Some(packet) = room[..n].get(begin..) else { continue };
                    let flags = if *protocol == TCP { packet[13] } else { 0 };
                    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
                    seen.insert((*ipv6, *protocol, port(2), flags, port(0)));
                }
            }
            let mut all: Vec<_> = self.0.iter().map(|(.., s)| PollFd::new(s.as_fd(), PollFlags::POLLIN)).collect();
            if seen.len() < wanted && poll(&mut all, PollTimeout::from(1u8)) == Ok(0) {
                // Over a pair of veths nothing is on its way for long.
                patience -= 5;
            }
        }
        seen
    }
}

/// A socket for each source and protocol, and the interface that broadcasts go out by.
pub struct Sender(Vec<(IpAddr, u8, OwnedFd)>, u32);

impl Sender {
    pub fn open(interface: &str, sources: &[&str]) -> Result<Self, Errno> {
        let mut sockets = Vec::new();
        for source in sources {
            let address: IpAddr = source.parse().expect("an address");
            for protocol in [TCP, UDP] {
                let socket = raw(address.is_ipv6(), protocol)?;
                bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0)))?;
                if address.is_ipv4() {
                    setsockopt(&socket, sockopt::Broadcast, &true)?;
                }
                sockets.push((address, protocol, socket));
            }
        }
        Ok(Self(sockets, if_nametoindex(interface)?))
    }
}

fn packet(protocol: u8, from: u16, to: u16, flags: u8) -> Vec<u8> {
    let mut bytes = [from.to_be_bytes(), to.to_be_bytes()].concat();
    if protocol == TCP {
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    } else {
        // Without a checksum.
        bytes.extend([0, 8, 0, 0]);
    }
    bytes
}

/// Sends all packets of these flows; the flows of which all were seen.
pub fn send_and_see(
    sender: &Sender,
    receiver: &Receiver,
    own: &[IpAddr],
    flows: &[Flow],
    round: u16,
    opening_only: bool,
) -> u32 {
    let mut sent: Vec<(usize, Mark)> = Vec::new();
    // No two packets of a protocol have a source port in common: were one sent to the other's port, it would be given another.
    let mut ports = [[0; 2]; 2];
    for (at, flow) in flows.iter().enumerate() {
        let dhcp = flow.protocol == UDP && matches!(flow.port, 67 | 547);
        let everybody: IpAddr = if flow.ipv6 { "ff02::1" } else { "255.255.255.255" }.parse().expect("an address");
        let to: Vec<IpAddr> = own.iter().copied().filter(|a| a.is_ipv6() == flow.ipv6).collect();
        let to = if dhcp { [to, vec![everybody]].concat() } else { to };
        let flags = match flow.protocol {
            UDP => &[0][..],
            _ if opening_only => &FLAGS[..1],
            _ => &FLAGS[..],
        };
        let group = &mut ports[flow.ipv6 as usize][(flow.protocol == UDP) as usize];
        for (source, protocol, socket) in &sender.0 {
            if source.is_ipv6() != flow.ipv6 || *protocol != flow.protocol {
                continue;
            }
            for to in &to {
                let from = 1024 + (round % 4000) * 16 + *group;
                *group += 1;
                for flags in flags {
                    let mut address = SocketAddr::new(*to, 0);
                    if let SocketAddr::V6(a) = &mut address
                        && to.is_multicast()
                    {
                        a.set_scope_id(sender.1);
                    }
                    let bytes = packet(flow.protocol, from, flow.port, *flags);
                    let _ = sendto(socket.as_raw_fd(), &bytes, &SockaddrStorage::from(address), MsgFlags::empty());
                    sent.push((at, (flow.ipv6, flow.protocol, flow.port, *flags, from)));
                }
            }
        }
    }
    let seen = receiver.seen(sent.len());
    let missing = sent.iter().filter(|(_, mark)| !seen.contains(mark)).fold(0, |bits, (at, _)| bits | 1 << at);
    (u32::MAX >> (32 - flows.len())) & !missing
}
