//! Three network namespaces and what joins them. No route leads out of them.
//!
//! ```text
//!  LAN namespace                router namespace                        WAN namespace
//!  192.168.77.10 … .20 ──veth── lan  192.168.77.1   ┐
//!                                                   ├ conntrack, NAT ── wan ══ the relay ══ eth0  203.0.113.1
//!  the attackers       ──tun─── lan1                ┘   198.51.100.2    40 ms each way
//!  192.168.77.32 … .254, fd77:0:0:1::/64                                  └ the attacks' far side 198.18.0.0/15
//! ```
//!
//! The neighbour and the attackers are hosts of one /24, as in a house. What an attacker sends goes into the router by a tun
//! device, which is to the router's kernel a network port like any other.

use crate::netns::Netns;
use crate::tun;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the neighbour opens its connections from; the other flows' hosts come after it.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 10);
pub const LONG_LIVED_HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 11);
pub const DOWNLOAD_HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 12);
pub const IDLE_HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 13);
/// The LAN server that the router forwards [`FORWARDED_PORT`] to.
pub const LAN_SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 20);
pub const LAN_SERVER_PORT: u16 = 80;
/// The router on the WAN.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub const FORWARDED_PORT: u16 = 8080;
/// Real servers, behind the relay.
pub const WAN_SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// Attacker number `n` of at most 220.
pub fn attacker(n: u32) -> IpAddr {
    Ipv4Addr::new(192, 168, 77, 32 + (n % 220) as u8).into()
}

/// The IPv6 attacker: one host.
pub fn attacker_v6() -> IpAddr {
    Ipv6Addr::new(0xfd77, 0, 0, 1, 0, 0, 0, 0x66).into()
}

/// A far side that answers: number `n` of 65,536.
pub fn answering(n: u32) -> IpAddr {
    Ipv4Addr::new(198, 18, (n >> 8) as u8, n as u8).into()
}

/// The same over IPv6.
pub fn answering_v6(n: u32) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x18, 0, 0, 0, (n >> 16) as u16, n as u16).into()
}

/// A far side that says nothing: number `n` of 65,536.
pub fn silent(n: u32) -> IpAddr {
    Ipv4Addr::new(198, 19, (n >> 8) as u8, n as u8).into()
}

/// Whether somebody lives at `address` who answers without a socket.
pub fn answers(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => matches!(a.octets(), [198, 18, ..]),
        IpAddr::V6(a) => matches!(a.segments(), [0x2001, 0xdb8, 0x18, ..]),
    }
}

/// The namespaces and the user-space ends of the tun devices.
pub struct Topology {
    pub lan: Netns,
    pub router: Netns,
    pub wan: Netns,
    /// The router's `wan`: what is read here left the router, what is written arrives at it.
    pub router_wan: File,
    /// The WAN namespace's `eth0`.
    pub wan_eth0: File,
    /// The router's `lan1`, where the attackers are.
    pub attackers: File,
}

impl Topology {
    /// Builds it, in some tens of milliseconds.
    ///
    /// # Errors
    /// One clear word about what the kernel or the machine lacks.
    pub fn build() -> Result<Self, String> {
        let netns = || Netns::new().map_err(|e| format!("missing: network namespaces ({e})"));
        let (lan, router, wan) = (netns()?, netns()?, netns()?);
        let tun = |ns: &Netns, name: &str| {
            ns.within(|| tun::open_tun(name)).map_err(|e| format!("missing: tun devices, /dev/net/tun ({e})"))
        };
        let (router_wan, attackers, wan_eth0) = (tun(&router, "wan")?, tun(&router, "lan1")?, tun(&wan, "eth0")?);
        join(&lan, &router)?;
        for (ns, script) in [(&lan, LAN), (&router, ROUTER_LINKS), (&wan, WAN)] {
            ns.feed("ip", &["-batch", "-"], script).map_err(|e| format!("missing: ip (iproute2): {e}"))?;
        }
        router.within(forward).map_err(|e| format!("missing: forwarding ({e})"))?;
        router.feed("nft", &["-f", "-"], RULES).map_err(|e| format!("missing: nft masquerade: {e}"))?;
        Ok(Self { lan, router, wan, router_wan, wan_eth0, attackers })
    }
}

/// A veth pair between the two. Made in the LAN, its other end is given to the router by descriptor.
fn join(lan: &Netns, router: &Netns) -> Result<(), String> {
    use std::os::fd::AsRawFd;
    let router_path = format!("/proc/{}/fd/{}", std::process::id(), router.file().as_raw_fd());
    // `ip` takes a path for the namespace's name.
    let line = format!("link add eth0 type veth peer name lan netns {router_path}\n");
    lan.feed("ip", &["-batch", "-"], &line).map_err(|e| format!("missing: veth: {e}"))
}

fn forward() -> std::io::Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    match fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1") {
        // A kernel without IPv6 can still show everything but the IPv6 attack.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

const LAN: &str = "
link set lo up
link set eth0 up
addr add 192.168.77.10/24 dev eth0
addr add 192.168.77.11/24 dev eth0
addr add 192.168.77.12/24 dev eth0
addr add 192.168.77.13/24 dev eth0
addr add 192.168.77.20/24 dev eth0
route add default via 192.168.77.1
";

/// The queues are long so that the lab itself loses nothing when its threads come late.
const ROUTER_LINKS: &str = "
link set lo up
link set lan up
link set lan1 up txqueuelen 20000
link set wan up txqueuelen 20000
addr add 192.168.77.1/24 dev lan
addr add 198.51.100.2/24 dev wan
route add default dev wan
route add 192.168.77.32/27 dev lan1
route add 192.168.77.64/26 dev lan1
route add 192.168.77.128/25 dev lan1
addr add 2001:db8:51::2/64 dev wan nodad
route add ::/0 dev wan
route add fd77:0:0:1::/64 dev lan1
";

const WAN: &str = "
link set lo up
link set eth0 up txqueuelen 20000
addr add 203.0.113.1/32 dev eth0
route add default dev eth0
";

/// A home router's rules: masquerade, one forwarded port, and nothing else comes in. Strangers' TCP is reset as OpenWrt does.
const RULES: &str = r#"
table inet lab {
    chain dstnat {
        type nat hook prerouting priority dstnat
        iifname "wan" ip daddr 198.51.100.2 tcp dport 8080 dnat ip to 192.168.77.20:80
    }
    chain srcnat {
        type nat hook postrouting priority srcnat
        meta nfproto ipv4 oifname "wan" masquerade
    }
    chain forward {
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        iifname { "lan", "lan1" } oifname "wan" accept
        iifname "wan" ct status dnat accept
    }
    chain input {
        type filter hook input priority filter; policy drop
        ct state established,related accept
        iifname { "lo", "lan", "lan1" } accept
        iifname "wan" meta l4proto tcp reject with tcp reset
    }
}
"#;
