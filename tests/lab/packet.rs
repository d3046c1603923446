//! Bare IP packets, built and read: the attackers and the far side of their flows have no sockets, so that thousands of new
//! flows a second cost the lab little and the router's kernel sees nothing but real packets.

use std::net::{IpAddr, SocketAddr};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// One packet, as much of it as the lab cares for.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub body: Body,
    pub payload: &'a [u8],
}

/// What it carries.
#[derive(Clone, Copy)]
pub enum Body {
    Tcp { seq: u32, ack: u32, flags: u8 },
    Udp,
}

impl<'a> Packet<'a> {
    /// Reads one; `None` for what is no TCP or UDP over IPv4 or IPv6, or is cut short.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (protocol, src, dst, rest) = read_ip(bytes)?;
        let (sport, dport) = (be16(rest, 0)?, be16(rest, 2)?);
        let (body, header) = match protocol {
            TCP => {
                let body = Body::Tcp { seq: be32(rest, 4)?, ack: be32(rest, 8)?, flags: *rest.get(13)? };
                (body, usize::from(*rest.get(12)? >> 4) * 4)
            }
            UDP => (Body::Udp, 8),
            _ => return None,
        };
        let payload = rest.get(header..)?;
        Some(Self { src: SocketAddr::new(src, sport), dst: SocketAddr::new(dst, dport), body, payload })
    }

    /// The packet's bytes, checksums filled in: the kernel's conntrack looks at them.
    pub fn bytes(&self) -> Vec<u8> {
        let (protocol, header) = match self.body {
            Body::Tcp { .. } => (TCP, 20),
            Body::Udp => (UDP, 8),
        };
        let length = header + self.payload.len();
        let mut out = Vec::with_capacity(40 + length);
        let mut sum = ip_header(&mut out, self.src.ip(), self.dst.ip(), protocol, length);
        let at = out.len();
        out.extend(self.src.port().to_be_bytes());
        out.extend(self.dst.port().to_be_bytes());
        let checksum_at = match self.body {
            Body::Tcp { seq, ack, flags } => {
                out.extend(seq.to_be_bytes());
                out.extend(ack.to_be_bytes());
                out.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]); // window 65535, no options
                at + 16
            }
            Body::Udp => {
                out.extend((length as u16).to_be_bytes());
                out.extend([0, 0]);
                at + 6
            }
        };
        out.extend(self.payload);
        sum += sum16(&out[at..]);
        out[checksum_at..checksum_at + 2].copy_from_slice(&fold(sum).to_be_bytes());
        out
    }
}

/// The destination, without reading more: what the relay sorts by.
pub fn destination(bytes: &[u8]) -> Option<IpAddr> {
    read_ip(bytes).map(|(_, _, dst, _)| dst)
}

fn read_ip(bytes: &[u8]) -> Option<(u8, IpAddr, IpAddr, &[u8])> {
    match bytes.first()? >> 4 {
        4 => {
            let header = usize::from(bytes[0] & 15) * 4;
            let end = usize::from(be16(bytes, 2)?);
            let (src, dst) = (be32(bytes, 12)?, be32(bytes, 16)?);
            Some((*bytes.get(9)?, IpAddr::V4(src.into()), IpAddr::V4(dst.into()), bytes.get(header..end)?))
        }
        6 => {
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::from(octets))
            };
            Some((*bytes.get(6)?, address(8)?, address(24)?, bytes.get(40..)?))
        }
        _ => None,
    }
}

/// Writes the IP header and returns the pseudo header's part of the transport checksum.
fn ip_header(out: &mut Vec<u8>, src: IpAddr, dst: IpAddr, protocol: u8, length: usize) -> u32 {
    const TTL: u8 = 64;
    let addresses = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = (20 + length) as u16;
            out.extend([0x45, 0]);
            out.extend(total.to_be_bytes());
            out.extend([0, 0, 0x40, 0, TTL, protocol, 0, 0]); // don't fragment
            out.extend(src.octets());
            out.extend(dst.octets());
            let check = fold(sum16(out));
            out[10..12].copy_from_slice(&check.to_be_bytes());
            12
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            out.extend([0x60, 0, 0, 0]);
            out.extend((length as u16).to_be_bytes());
            out.extend([protocol, TTL]);
            out.extend(src.octets());
            out.extend(dst.octets());
            8
        }
        _ => unreachable!("both ends of a flow are of one family"),
    };
    sum16(&out[addresses..]) + u32::from(protocol) + length as u32
}

fn sum16(bytes: &[u8]) -> u32 {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().first().map_or(0, |b| u32::from(*b) << 8);
    odd + pairs.map(|p| u32::from(p[0]) << 8 | u32::from(p[1])).sum::<u32>()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is summed up with its own checksum in it comes to zero: how a kernel checks.
    fn checks_out(bytes: &[u8]) -> bool {
        let (protocol, src, dst, rest) = read_ip(bytes).unwrap();
        let mut pseudo = Vec::new();
        let sum = ip_header(&mut pseudo, src, dst, protocol, rest.len());
        fold(sum + sum16(rest)) == 0
    }

    #[test]
    fn what_is_built_is_read_and_its_checksums_hold() {
        let v4 = ("192.168.77.66:1024".parse().unwrap(), "198.18.0.1:443".parse().unwrap());
        let v6 = ("[fd77::66]:1024".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap());
        let tcp = Body::Tcp { seq: 7, ack: 9, flags: SYN | ACK };
        for ((src, dst), body, payload) in
            [(v4, tcp, &b"odd"[..]), (v6, tcp, b""), (v4, Body::Udp, b"even"), (v6, Body::Udp, b"1")]
        {
            let bytes = Packet { src, dst, body, payload }.bytes();
            let read = Packet::read(&bytes).unwrap();
            assert_eq!((read.src, read.dst, read.payload), (src, dst, payload));
            assert!(checks_out(&bytes));
            assert_eq!(destination(&bytes), Some(dst.ip()));
        }
    }

    #[test]
    fn packets_cut_short_are_no_packets() {
        let packet = Packet {
            src: "10.0.0.1:1".parse().unwrap(),
            dst: "10.0.0.2:2".parse().unwrap(),
            body: Body::Udp,
            payload: b"12345678",
        };
        let bytes = packet.bytes();
        for cut in 0..bytes.len() {
            assert!(Packet::read(&bytes[..cut]).is_none(), "{cut} bytes");
        }
    }
}
