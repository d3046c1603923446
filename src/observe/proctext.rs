//! A line of `/proc/net/nf_conntrack`, or of its ancestor `/proc/net/ip_conntrack`, → an entry.
//!
//! ```text
//! ipv4     2 tcp      6 431999 ESTABLISHED src=… dst=… sport=… dport=… [packets= bytes=] [UNREPLIED] src=… dst=… … [ASSURED] mark=0 zone=0 use=2
//! └ not in ip_conntrack      └ not for offloaded flows; state only for TCP, SCTP, DCCP
//! ```
//!
//! For kernels without ctnetlink: a census can be read so, but nothing deleted, since there is neither id nor tuple. The kernel says `[OFFLOAD]` in the
//! place of `[ASSURED]`. Words that are not known here (accounting, security context, vendors' additions) are passed over.

use super::text::{decimal, decimal32, fields};
use crate::entry::{Entry, TcpState, protocol, status};
use crate::text::find;
use core::net::IpAddr;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Why a line is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// Nothing in it.
    Empty,
    /// A family that is neither `ipv4` nor `ipv6`.
    Family,
    /// No protocol number.
    Protocol,
    /// No source or destination address, or one that is none.
    Address,
}

/// Tables of words: a match of them was 2.5 KB larger on MIPS.
const TCP_STATES: [(&str, TcpState); 11] = [
    ("NONE", TcpState::None),
    ("SYN_SENT", TcpState::SynSent),
    ("SYN_RECV", TcpState::SynRecv),
    ("ESTABLISHED", TcpState::Established),
    ("FIN_WAIT", TcpState::FinWait),
    ("CLOSE_WAIT", TcpState::CloseWait),
    ("LAST_ACK", TcpState::LastAck),
    ("TIME_WAIT", TcpState::TimeWait),
    ("CLOSE", TcpState::Close),
    ("SYN_SENT2", TcpState::SynSent2),
    // Number 9 was LISTEN before 2.6.31 made use of it.
    ("LISTEN", TcpState::SynSent2),
];

/// The bits that a mark speaks of: of the first that it is not there, of others that they are.
const MARKS: [(&str, u32); 4] = [
    ("[UNREPLIED]", status::SEEN_REPLY),
    ("[ASSURED]", status::ASSURED),
    ("[OFFLOAD]", status::OFFLOAD),
    ("[HW_OFFLOAD]", status::OFFLOAD | status::HW_OFFLOAD),
];

#[derive(Clone, Copy)]
enum Key {
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    Mark,
    Zone,
}

const KEYS: [(&str, Key); 7] = [
    ("src", Key::Source),
    ("dst", Key::Destination),
    ("sport", Key::SourcePort),
    ("dport", Key::DestinationPort),
    ("mark", Key::Mark),
    // zone-reply belongs to the other direction's tuple.
    ("zone", Key::Zone),
    ("zone-orig", Key::Zone),
];

/// Reads one line. `source_port` and `destination_port` stay 0 for protocols without ports.
pub fn parse(line: &[u8]) -> Result<Entry<'static>, LineFault> {
    let mut words = fields(line);
    let mut name = words.next().ok_or(LineFault::Empty)?;
    let mut family = AF_INET;
    if name.starts_with(b"ip") || name == b"unknown" {
        family = match (name, words.next()) {
            (b"ipv4", Some(b"2")) => AF_INET,
            (b"ipv6", Some(b"10")) => AF_INET6,
            _ => return Err(LineFault::Family),
        };
        name = words.next().ok_or(LineFault::Protocol)?;
    }
    if name.contains(&b'=') {
        return Err(LineFault::Protocol);
    }
    let number = words.next().and_then(decimal).and_then(|n| u8::try_from(n).ok()).ok_or(LineFault::Protocol)?;

    let mut words = words.peekable();
    let left = words.next_if(|w| is_seconds(w)).map(seconds);
    let state = words.next_if(|w| !w.contains(&b'=') && !w.starts_with(b"["));

    let mut entry = Entry {
        source: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        destination: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        protocol: number,
        source_port: 0,
        destination_port: 0,
        zone: 0,
        id: 0,
        status: status::CONFIRMED | status::SEEN_REPLY,
        left,
        tcp: if number == protocol::TCP { state.and_then(|word| find(&TCP_STATES, word)) } else { None },
        mark: 0,
        tuple: &[],
        family,
        has_zone: false,
    };
    // The first src, dst, sport, dport are those of the original direction; the second those of the reply.
    let (mut source, mut destination, mut ports) = (None, None, (None, None));
    for word in words {
        let Some(equals) = word.iter().position(|b| *b == b'=') else {
            match find(&MARKS, word) {
                Some(status::SEEN_REPLY) => entry.status &= !status::SEEN_REPLY,
                mark => entry.status |= mark.unwrap_or(0),
            }
            continue;
        };
        let (key, value) = word.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        match find(&KEYS, key) {
            Some(Key::Source) if source.is_none() => source = Some(address(value, family)?),
            Some(Key::Destination) if destination.is_none() => destination = Some(address(value, family)?),
            Some(Key::SourcePort) if ports.0.is_none() => ports.0 = Some(port(value)),
            Some(Key::DestinationPort) if ports.1.is_none() => ports.1 = Some(port(value)),
            Some(Key::Mark) => entry.mark = decimal32(value).unwrap_or(0),
            Some(Key::Zone) => {
                // `zone=0` is printed by every kernel with zones; ctnetlink leaves the default zone out, and so does this.
                entry.zone = port(value);
                entry.has_zone = entry.zone != 0;
            }
            _ => {}
        }
    }
    entry.source = source.ok_or(LineFault::Address)?;
    entry.destination = destination.ok_or(LineFault::Address)?;
    entry.source_port = ports.0.unwrap_or(0);
    entry.destination_port = ports.1.unwrap_or(0);
    Ok(entry)
}

fn is_seconds(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Older kernels print a timer that ran out a moment ago as a negative number: nothing is left.
fn seconds(word: &[u8]) -> u32 {
    if word.starts_with(b"-") { 0 } else { decimal32(word).unwrap_or(u32::MAX) }
}

/// A 16-bit number; 0 for what is none.
fn port(value: &[u8]) -> u16 {
    decimal(value).and_then(|n| u16::try_from(n).ok()).unwrap_or(0)
}

fn address(value: &[u8], family: u8) -> Result<IpAddr, LineFault> {
    let text = core::str::from_utf8(value).map_err(|_| LineFault::Address)?;
    let parsed = if family == AF_INET { text.parse().map(IpAddr::V4) } else { text.parse().map(IpAddr::V6) };
    parsed.map_err(|_| LineFault::Address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Class;

    #[test]
    fn a_masqueraded_flow_with_accounting() {
        let line = b"ipv4     2 tcp      6 7437 ESTABLISHED src=192.168.1.10 dst=203.0.113.5 sport=40000 dport=443 packets=12 bytes=3456 src=203.0.113.5 dst=198.51.100.1 sport=443 dport=1024 packets=9 bytes=5000 [ASSURED] mark=255 zone=3 use=2\n";
        let e = parse(line).unwrap();
        assert_eq!((e.source, e.destination), ([192, 168, 1, 10].into(), [203, 0, 113, 5].into()));
        assert_eq!((e.source_port, e.destination_port, e.protocol, e.family), (40000, 443, 6, 2));
        assert_eq!(
            (e.left, e.tcp, e.mark, e.zone, e.has_zone),
            (Some(7437), Some(TcpState::Established), 255, 3, true)
        );
        assert_eq!(e.status, status::CONFIRMED | status::SEEN_REPLY | status::ASSURED);
        assert_eq!((e.id, e.tuple), (0, &[][..]));
    }

    #[test]
    fn ip_conntrack_has_no_family() {
        let line = b"udp      17 -1 src=10.0.0.2 dst=10.0.0.1 sport=5353 dport=53 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2 sport=53 dport=5353 mark=0 use=1";
        let e = parse(line).unwrap();
        assert_eq!((e.protocol, e.family, e.left, e.destination_port), (17, 2, Some(0), 53));
        assert_eq!(e.class(), Class::Unreplied);
    }

    #[test]
    fn an_offloaded_flow_has_neither_timeout_nor_state() {
        for (word, class) in
            [("[OFFLOAD]", Class::Offloaded), ("[HW_OFFLOAD]", Class::Offloaded), ("[ASSURED]", Class::Assured)]
        {
            extern crate std;
            let line = std::format!(
                "ipv6     10 tcp      6 src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=2001:0db8::2 sport=1 dport=2 src=2001:db8::2 dst=2001:db8::1 sport=2 dport=1 {word} mark=0 use=2"
            );
            let e = parse(line.as_bytes()).unwrap();
            assert_eq!((e.left, e.tcp, e.class(), e.family), (None, None, class, 10));
        }
    }

    #[test]
    fn protocols_without_ports_and_with_states_of_their_own() {
        let icmp = parse(b"ipv4 2 icmp 1 19 src=192.168.1.30 dst=8.8.4.4 type=8 code=0 id=77 zone-orig=5 src=8.8.4.4 dst=192.168.1.30 type=0 code=0 id=77 zone-reply=6 mark=0 use=1").unwrap();
        assert_eq!((icmp.protocol, icmp.source_port, icmp.destination_port, icmp.zone), (1, 0, 0, 5));
        let gre = parse(b"ipv4 2 gre 47 179 src=1.1.1.1 dst=2.2.2.2 srckey=0x0 dstkey=0x4000 src=2.2.2.2 dst=1.1.1.1 srckey=0x4000 dstkey=0x0 [ASSURED] mark=0 use=1").unwrap();
        assert_eq!((gre.protocol, gre.destination_port, gre.class()), (47, 0, Class::Assured));
        let sctp = parse(b"ipv4 2 sctp 132 209 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 mark=0 use=1").unwrap();
        assert_eq!((sctp.tcp, sctp.left), (None, Some(209)), "its ESTABLISHED is not TCP's");
        let esp = parse(b"ipv4 2 unknown 50 599 src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1 mark=0 use=1").unwrap();
        assert_eq!((esp.protocol, esp.left), (50, Some(599)));
    }

    #[test]
    fn what_is_no_entry() {
        for (line, fault) in [
            ("", LineFault::Empty),
            ("  \n", LineFault::Empty),
            ("ipv4 10 tcp 6 1 src=1.1.1.1 dst=2.2.2.2", LineFault::Family),
            ("ipx 4 tcp 6", LineFault::Family),
            ("ipv4 2", LineFault::Protocol),
            ("tcp six", LineFault::Protocol),
            ("tcp 256 1", LineFault::Protocol),
            ("src=1.1.1.1 6 1", LineFault::Protocol),
            ("tcp 6 1 SYN_SENT", LineFault::Address),
            ("tcp 6 1 SYN_SENT src=1.1.1.1", LineFault::Address),
            ("tcp 6 1 SYN_SENT src=1.1.1 dst=1.1.1.1", LineFault::Address),
            ("tcp 6 1 SYN_SENT src=::1 dst=::1", LineFault::Address),
            ("ipv6 10 tcp 6 1 SYN_SENT src=1.1.1.1 dst=1.1.1.1", LineFault::Address),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(fault), "{line:?}");
        }
    }
}
