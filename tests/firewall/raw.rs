//! Packets that no socket sends: segments without a flow, addresses that are not one's own.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, recv, sendto, socket};

use crate::world::Host;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// Sends a TCP segment over IPv6 and says whether its like came to `at`.
pub fn passes(from: &Host, at: &Host, source: &str, destination: &str, port: u16, flags: u8) -> bool {
    let sniffer = Sniffer::at(at);
    let segment = segment(source, destination, port, flags);
    from.within(|| {
        let fd = socket(AddressFamily::Inet6, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)
            .expect("a raw socket");
        let to: Ipv6Addr = destination.parse().expect("an address");
        let to = SockaddrIn6::from(std::net::SocketAddrV6::new(to, 0, 0, 0));
        sendto(fd.as_raw_fd(), &segment, &to, MsgFlags::empty()).expect("a packet out");
    });
    // What may be changed on the way is in front (hops) of what is looked for: addresses, ports, flags.
    sniffer.saw(Duration::from_millis(150), |packet| {
        packet.get(8..44) == segment.get(8..44) && packet.get(53) == segment.get(53)
    })
}

fn segment(source: &str, destination: &str, port: u16, flags: u8) -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
    let (source, destination) = (address(source), address(destination));
    let mut tcp = vec![];
    tcp.extend(port.to_be_bytes().iter().rev());
    tcp.extend(port.to_be_bytes());
    tcp.extend([0, 0, 1, 0, 0, 0, 1, 0, 5 << 4, flags, 255, 255, 0, 0, 0, 0]);
    let pseudo = [&source[..], &destination, &[0, 0, 0, tcp.len() as u8, 0, 0, 0, 6], &tcp].concat();
    let sum: u32 = pseudo.chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(p[1])).sum();
    let sum = (sum >> 16) + (sum & 0xffff);
    let check = !((sum >> 16) + (sum & 0xffff)) as u16;
    tcp[16..18].copy_from_slice(&check.to_be_bytes());
    [&[0x60, 0, 0, 0, 0, tcp.len() as u8, 6, 64][..], &source, &destination, &tcp].concat()
}

/// Sees every packet that comes to a host or leaves it, before any rule of its own.
pub struct Sniffer(OwnedFd);

impl Sniffer {
    pub fn at(host: &Host) -> Self {
        Self(host.within(|| {
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::EthAll,
            )
            .expect("a packet socket")
        }))
    }

    /// Whether an IP packet that `fits` comes by within this time.
    pub fn saw(&self, patience: Duration, fits: impl Fn(&[u8]) -> bool) -> bool {
        const ETHERNET: usize = 14;
        let began = Instant::now();
        let mut room = [0; 2048];
        while began.elapsed() < patience {
            match recv(self.0.as_raw_fd(), &mut room, MsgFlags::empty()) {
                Ok(n) if room.get(ETHERNET..n).is_some_and(&fits) => return true,
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        false
    }

    /// Whether one came by, up to now, with a source that begins so.
    pub fn saw_source(&self, begins: IpAddr, bytes: usize) -> bool {
        self.saw(Duration::from_millis(20), |packet| match begins {
            IpAddr::V4(a) => {
                packet.first().is_some_and(|b| b >> 4 == 4) && packet.get(12..12 + bytes) == a.octets().get(..bytes)
            }
            IpAddr::V6(a) => {
                packet.first().is_some_and(|b| b >> 4 == 6) && packet.get(8..8 + bytes) == a.octets().get(..bytes)
            }
        })
    }
}
