//! The flood: a LAN and a WAN as two tun devices, between which the kernel forwards. Every connection is three packets, written
//! to the device on which they would come in: the entry is a real one, and thousands cost no sockets.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use crate::Outcome;
use crate::machine::{load_tun, up};
use crate::packet::{ACK, Body, Packet, SYN};
use crate::tun::open_tun;

/// The largest holder.
pub const HOG: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 66);
/// Hosts with one quiet connection each.
pub const NEIGHBOURS: u8 = 50;
/// All of them, and nobody else.
pub const NEIGHBOURHOOD: &str = "192.168.1.";

pub struct Router {
    lan: File,
    wan: File,
    /// Connections of the hog so far: no two are alike.
    opened: u32,
}

impl Router {
    /// Brings both sides up. The LAN's name is that of the config that ships.
    pub fn new() -> Outcome<Self> {
        load_tun()?;
        let tun = |name: &str| open_tun(name).map_err(|e| format!("/dev/net/tun: {e}"));
        let (lan, wan) = (tun("br-lan")?, tun("wan")?);
        up("lo", Ipv4Addr::LOCALHOST, 8)?;
        up("br-lan", Ipv4Addr::new(192, 168, 0, 1), 16)?;
        up("wan", Ipv4Addr::new(198, 18, 0, 1), 15)?;
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").map_err(|e| format!("ip_forward: {e}"))?;
        Ok(Self { lan, wan, opened: 0 })
    }

    /// One connection, as far as both sides know it is established.
    fn connect(&self, source: Ipv4Addr, port: u16, destination: Ipv4Addr) -> Outcome<()> {
        const ISS: u32 = 1_000;
        const IRS: u32 = 7_000;
        let ends = (SocketAddr::from((source, port)), SocketAddr::from((destination, 443)));
        let send = |mut to: &File, (src, dst), seq, ack, flags| {
            let packet = Packet { src, dst, body: Body::Tcp { seq, ack, flags }, payload: &[] }.bytes();
            to.write_all(&packet).map_err(|e| format!("a packet: {e}"))
        };
        send(&self.lan, ends, ISS, 0, SYN)?;
        send(&self.wan, (ends.1, ends.0), IRS, ISS + 1, SYN | ACK)?;
        send(&self.lan, ends, ISS + 1, IRS + 1, ACK)
    }

    /// The quiet connections of the neighbours.
    pub fn settle(&self) -> Outcome<()> {
        (1..=NEIGHBOURS)
            .try_for_each(|n| self.connect(Ipv4Addr::new(192, 168, 1, n), 40_000, Ipv4Addr::new(198, 18, 1, n)))
    }

    /// So many more connections of the hog.
    pub fn flood(&mut self, connections: u32) -> Outcome<()> {
        for _ in 0..connections {
            let n = self.opened;
            self.opened += 1;
            let far = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 2, 0)) + n / 50_000);
            self.connect(HOG, 1_024 + (n % 50_000) as u16, far)?;
        }
        Ok(())
    }
}
