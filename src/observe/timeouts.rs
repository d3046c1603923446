//! Which timeout an entry may have been given, and so for how long it has been idle at least.
//!
//! The kernel tells what is left, not what was given. A short time left does not mean idle: an established flow with data on the way is
//! given 300 s instead of days. So idle is the smallest timeout that the entry's state may have been given and that is not below what is
//! left, less what is left: a **lower bound**. What is left is rounded down to whole seconds, so the bound may be up to a second too high.
//!
//! Where the candidates come from (`net/netfilter/nf_conntrack_proto_*.c`):
//! - TCP: the state's own; less than that, if theirs is less: `max_retrans` when retransmitting or with a closed window; `unacknowledged` with data
//!   on the way, when picked up in the middle, or when back from the flow table; `close` for an established flow that saw a reset of
//!   an inexact sequence number (measured on 6.18: still ESTABLISHED and ASSURED, 9 s left).
//! - UDP: the short one, once answered the stream's. The kernel marks an entry ASSURED only with the stream's since 5.16; from 5.0 to 5.15 it did so
//!   with the third packet, whatever the timeout: there an assured entry with 29 s left may be a second old. [`Timeouts::for_kernel`] tells them apart.
//! - A repeated SYN does not renew SYN_SENT's: there idle counts from the first.
//!
//! A changed sysctl counts for a flow from its next packet on; idle ones keep what they were given. So [`Timeouts::set`] remembers the value before.

use crate::entry::{Class, Entry, TcpState, protocol, status};

/// A timeout that can be set, each a file `nf_conntrack_<suffix>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Timeout {
    TcpSynSent,
    TcpSynRecv,
    TcpEstablished,
    TcpFinWait,
    TcpCloseWait,
    TcpLastAck,
    TcpTimeWait,
    TcpClose,
    TcpMaxRetrans,
    TcpUnacknowledged,
    Udp,
    UdpStream,
    Icmp,
    Icmpv6,
    Generic,
    Gre,
    GreStream,
    SctpClosed,
    SctpCookieWait,
    SctpCookieEchoed,
    SctpEstablished,
    SctpShutdownSent,
    SctpShutdownRecd,
    SctpShutdownAckSent,
    SctpHeartbeatSent,
}

/// Stands before [`Timeout::suffix`] in the names under `net/netfilter`.
pub const PREFIX: &str = "nf_conntrack_";
/// Stands there in the names under `net/ipv4/netfilter`, in kernels up to 4.7 with compatibility names. Not all timeouts have one.
pub const LEGACY_PREFIX: &str = "ip_conntrack_";

const COUNT: usize = Timeout::ALL.len();

/// The file's name after the prefix, and what the kernel (6.18) starts with, in seconds.
const TABLE: [(&str, u32); COUNT] = [
    ("tcp_timeout_syn_sent", 120),
    ("tcp_timeout_syn_recv", 60),
    ("tcp_timeout_established", 432_000),
    ("tcp_timeout_fin_wait", 120),
    ("tcp_timeout_close_wait", 60),
    ("tcp_timeout_last_ack", 30),
    ("tcp_timeout_time_wait", 120),
    ("tcp_timeout_close", 10),
    ("tcp_timeout_max_retrans", 300),
    ("tcp_timeout_unacknowledged", 300),
    ("udp_timeout", 30),
    ("udp_timeout_stream", 120), // 180 before 5.0
    ("icmp_timeout", 30),
    ("icmpv6_timeout", 30),
    ("generic_timeout", 600),
    ("gre_timeout", 30),
    ("gre_timeout_stream", 180),
    ("sctp_timeout_closed", 10),
    ("sctp_timeout_cookie_wait", 3),
    ("sctp_timeout_cookie_echoed", 3),
    ("sctp_timeout_established", 210), // 432000 before 6.x
    ("sctp_timeout_shutdown_sent", 3),
    ("sctp_timeout_shutdown_recd", 3),
    ("sctp_timeout_shutdown_ack_sent", 3),
    ("sctp_timeout_heartbeat_sent", 30),
];

/// SCTP's states are not told apart: each of these may be what was given.
const SCTP: [Timeout; 8] = [
    Timeout::SctpClosed,
    Timeout::SctpCookieWait,
    Timeout::SctpCookieEchoed,
    Timeout::SctpEstablished,
    Timeout::SctpShutdownSent,
    Timeout::SctpShutdownRecd,
    Timeout::SctpShutdownAckSent,
    Timeout::SctpHeartbeatSent,
];

const GRE: u8 = 47;
const DCCP: u8 = 33;
const SCTP_NUMBER: u8 = 132;
const UDPLITE: u8 = 136;

impl Timeout {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Timeout; 25] = [
        Timeout::TcpSynSent,
        Timeout::TcpSynRecv,
        Timeout::TcpEstablished,
        Timeout::TcpFinWait,
        Timeout::TcpCloseWait,
        Timeout::TcpLastAck,
        Timeout::TcpTimeWait,
        Timeout::TcpClose,
        Timeout::TcpMaxRetrans,
        Timeout::TcpUnacknowledged,
        Timeout::Udp,
        Timeout::UdpStream,
        Timeout::Icmp,
        Timeout::Icmpv6,
        Timeout::Generic,
        Timeout::Gre,
        Timeout::GreStream,
        Timeout::SctpClosed,
        Timeout::SctpCookieWait,
        Timeout::SctpCookieEchoed,
        Timeout::SctpEstablished,
        Timeout::SctpShutdownSent,
        Timeout::SctpShutdownRecd,
        Timeout::SctpShutdownAckSent,
        Timeout::SctpHeartbeatSent,
    ];

    /// The name of its sysctl after [`PREFIX`] or [`LEGACY_PREFIX`].
    pub const fn suffix(self) -> &'static str {
        TABLE[self as usize].0
    }
}

/// The timeouts in force, in seconds, and those that were before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    now: [u32; COUNT],
    // 0: there was none.
    former: [u32; COUNT],
    read: [bool; COUNT],
    // ASSURED UDP always has the stream's.
    assured_is_stream: bool,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeouts {
    /// What the kernel starts with, and no assumption about its version.
    pub const fn new() -> Self {
        let mut now = [0; COUNT];
        let mut i = 0;
        while i < COUNT {
            now[i] = TABLE[i].1;
            i += 1;
        }
        Self { now, former: [0; COUNT], read: [false; COUNT], assured_is_stream: false }
    }

    /// Takes the kernel's version into account: see the module about UDP. A vendor's backport only makes the bound lower.
    pub fn for_kernel(&mut self, major: u16, minor: u16) {
        self.assured_is_stream = (major, minor) >= (5, 16) || (major, minor) < (5, 0);
    }

    /// This is what its file says now, in seconds. A value that differs from the one read before leaves that as a further candidate,
    /// since idle entries keep it (one value back: sysctls are not changed often).
    pub fn set(&mut self, timeout: Timeout, seconds: u32) {
        let i = timeout as usize;
        if self.read[i] && self.now[i] != seconds {
            self.former[i] = self.now[i];
        }
        self.read[i] = true;
        self.now[i] = seconds;
    }

    /// In force now, in seconds.
    pub const fn get(&self, timeout: Timeout) -> u32 {
        self.now[timeout as usize]
    }

    /// For how many seconds the entry has been idle at least; 0 where nothing can be said.
    pub fn idle(&self, entry: &Entry) -> u32 {
        self.idle_if_known(entry).unwrap_or(0)
    }

    /// For how many seconds the entry has been idle at least. `None` where nothing can be said: offloaded, no timeout, a protocol
    /// whose states are not known here, or more left than any timeout that could have been given (a helper's or a rule's own).
    pub fn idle_if_known(&self, entry: &Entry) -> Option<u32> {
        if entry.class() == Class::Offloaded {
            return None;
        }
        let left = entry.left?;
        let mut best = Best { left, given: None };
        let replied = entry.status & status::SEEN_REPLY != 0;
        let assured = entry.status & status::ASSURED != 0;
        match entry.protocol {
            protocol::TCP => self.tcp(entry.tcp?, &mut best),
            protocol::UDP | UDPLITE => {
                if !(assured && self.assured_is_stream) {
                    self.consider(Timeout::Udp, &mut best);
                }
                if replied || assured {
                    self.consider(Timeout::UdpStream, &mut best);
                }
            }
            GRE => {
                if !assured {
                    self.consider(Timeout::Gre, &mut best);
                }
                if replied || assured {
                    self.consider(Timeout::GreStream, &mut best);
                }
            }
            protocol::ICMP => self.consider(Timeout::Icmp, &mut best),
            protocol::ICMPV6 => self.consider(Timeout::Icmpv6, &mut best),
            SCTP_NUMBER => SCTP.into_iter().for_each(|t| self.consider(t, &mut best)),
            DCCP => {}
            _ => self.consider(Timeout::Generic, &mut best),
        }
        Some(best.given? - left)
    }

    fn tcp(&self, state: TcpState, best: &mut Best) {
        let own = match state {
            TcpState::None | TcpState::SynSent | TcpState::SynSent2 => Timeout::TcpSynSent,
            TcpState::SynRecv => Timeout::TcpSynRecv,
            TcpState::Established => Timeout::TcpEstablished,
            TcpState::FinWait => Timeout::TcpFinWait,
            TcpState::CloseWait => Timeout::TcpCloseWait,
            TcpState::LastAck => Timeout::TcpLastAck,
            TcpState::TimeWait => Timeout::TcpTimeWait,
            TcpState::Close => Timeout::TcpClose,
        };
        self.consider(own, best);
        if state == TcpState::SynSent2 {
            best.consider(120); // has no sysctl
        }
        let longest = self.get(own).max(self.former[own as usize]);
        // The kernel gives these only where they are less than the state's own.
        for other in [Timeout::TcpMaxRetrans, Timeout::TcpUnacknowledged] {
            for seconds in [self.get(other), self.former[other as usize]] {
                if seconds < longest {
                    best.consider(seconds);
                }
            }
        }
        if state == TcpState::Established {
            self.consider(Timeout::TcpClose, best);
        }
    }

    fn consider(&self, timeout: Timeout, best: &mut Best) {
        best.consider(self.now[timeout as usize]);
        best.consider(self.former[timeout as usize]);
    }
}

/// The smallest candidate so far that is not below what is left.
struct Best {
    left: u32,
    given: Option<u32>,
}

impl Best {
    fn consider(&mut self, seconds: u32) {
        // A former 0 is none; a present 0 is a timeout that leaves nothing to be told about.
        if seconds != 0 && seconds >= self.left && self.given.is_none_or(|given| seconds < given) {
            self.given = Some(seconds);
        }
    }
}

/// The version in a kernel release such as `6.18.44-fc` or `4.4.302`.
pub fn kernel_version(release: &[u8]) -> Option<(u16, u16)> {
    let mut parts = release.split(|b| !b.is_ascii_digit());
    let mut next = || u16::try_from(super::text::decimal(parts.next()?)?).ok();
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    fn entry(protocol: u8, left: u32) -> Entry<'static> {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Entry {
            source: address,
            destination: address,
            protocol,
            source_port: 1,
            destination_port: 2,
            zone: 0,
            id: 0,
            status: status::CONFIRMED,
            left: Some(left),
            tcp: None,
            mark: 0,
            tuple: &[],
            family: 2,
            has_zone: false,
        }
    }

    fn tcp(state: TcpState, left: u32) -> Entry<'static> {
        Entry { tcp: Some(state), status: status::ASSURED | status::SEEN_REPLY, ..entry(protocol::TCP, left) }
    }

    fn udp(bits: u32, left: u32) -> Entry<'static> {
        Entry { status: bits, ..entry(protocol::UDP, left) }
    }

    #[test]
    fn a_busy_upload_is_not_idle_for_days() {
        let t = Timeouts::new();
        assert_eq!(t.idle(&tcp(TcpState::Established, 431_999)), 1);
        assert_eq!(t.idle(&tcp(TcpState::Established, 299)), 1);
        assert_eq!(t.idle(&tcp(TcpState::Established, 301)), 431_699);
        assert_eq!(t.idle(&tcp(TcpState::Established, 9)), 1, "an inexact reset gives 10 s, and the flow may live");
        assert_eq!(t.idle(&tcp(TcpState::CloseWait, 9)), 51);
    }

    #[test]
    fn retransmission_shortens_but_never_lengthens() {
        let mut t = Timeouts::new();
        assert_eq!(t.idle_if_known(&tcp(TcpState::SynSent, 119)), Some(1));
        assert_eq!(t.idle_if_known(&tcp(TcpState::SynSent, 121)), None, "300 s are not given to SYN_SENT");
        t.set(Timeout::TcpMaxRetrans, 40);
        assert_eq!(t.idle_if_known(&tcp(TcpState::SynSent, 39)), Some(1));
        assert_eq!(t.idle_if_known(&tcp(TcpState::SynRecv, 41)), Some(19));
    }

    #[test]
    fn assured_udp_by_kernel() {
        let both = status::SEEN_REPLY | status::ASSURED;
        let mut t = Timeouts::new();
        assert_eq!(t.idle(&udp(0, 29)), 1);
        assert_eq!(t.idle_if_known(&udp(0, 31)), None, "an unanswered flow is never given the stream's");
        assert_eq!(t.idle(&udp(status::SEEN_REPLY, 29)), 1);
        assert_eq!(t.idle(&udp(status::SEEN_REPLY, 100)), 20);
        for (kernel, idle) in [((4, 14), 91), ((5, 0), 1), ((5, 15), 1), ((5, 16), 91), ((6, 18), 91)] {
            t.for_kernel(kernel.0, kernel.1);
            assert_eq!(t.idle(&udp(both, 29)), idle, "{kernel:?}");
        }
    }

    /// A script (or an operator) shortens the timeout of established flows under load: those that stay idle still have days left.
    #[test]
    fn idle_entries_keep_the_timeout_they_were_given() {
        let mut t = Timeouts::new();
        t.set(Timeout::TcpEstablished, 7440);
        assert_eq!(t.idle_if_known(&tcp(TcpState::Established, 431_000)), None, "nobody saw 432000 in force");
        t.set(Timeout::TcpEstablished, 600);
        t.set(Timeout::TcpEstablished, 600);
        assert_eq!(t.idle(&tcp(TcpState::Established, 7000)), 440);
        assert_eq!(t.idle(&tcp(TcpState::Established, 599)), 1);
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        let t = Timeouts::new();
        let offloaded = Entry { status: status::OFFLOAD | status::ASSURED, ..tcp(TcpState::Established, 5) };
        let timeless = Entry { left: None, ..tcp(TcpState::Established, 0) };
        let stateless = entry(protocol::TCP, 5);
        for e in [offloaded, timeless, stateless, entry(DCCP, 5), entry(protocol::ICMP, 31), entry(50, 601)] {
            assert_eq!((t.idle_if_known(&e), t.idle(&e)), (None, 0), "{e:?}");
        }
        assert_eq!(t.idle(&entry(50, 599)), 1);
        assert_eq!(t.idle(&entry(protocol::ICMPV6, 20)), 10);
        assert_eq!(t.idle(&entry(SCTP_NUMBER, 209)), 1);
        assert_eq!(t.idle(&entry(SCTP_NUMBER, 2)), 1);
        assert_eq!(t.idle(&entry(GRE, 29)), 1);
    }

    #[test]
    fn names_of_the_files() {
        for (i, timeout) in Timeout::ALL.into_iter().enumerate() {
            assert_eq!(timeout as usize, i);
        }
        assert_eq!(Timeout::TcpEstablished.suffix(), "tcp_timeout_established");
        assert_eq!(Timeout::SctpHeartbeatSent.suffix(), "sctp_timeout_heartbeat_sent");
        assert_eq!(kernel_version(b"6.18.44-fc-v657\n"), Some((6, 18)));
        assert_eq!(kernel_version(b"4.4"), Some((4, 4)));
        assert_eq!(kernel_version(b"6"), None);
        assert_eq!(kernel_version(b"six.one"), None);
    }
}
