//! A table that is full, DHCP, much data, and what must not be seen on the WAN.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::ctnetlink::{Batch, Flow, Socket, Zone, status};
use crate::packets::{address, reaches};
use crate::router::Router;
use crate::world::World;

pub const ROUTERS_LAN: [&str; 2] = ["10.77.0.1", "fd77:1::1"];
pub const ROUTERS_WAN: [&str; 2] = ["192.0.2.1", "fd77:2::1"];
pub const LAN: [&str; 2] = ["10.77.0.2", "fd77:1::2"];
pub const WAN: [&str; 2] = ["192.0.2.2", "fd77:2::2"];

/// What `Router::start` protects.
const PROTECTED: u16 = 443;
const TCP: u8 = 6;
const ESTABLISHED: u8 = 3;

/// Established flows between strangers, until the kernel takes no more. They are protected, so nobody makes room.
pub fn fill(router: &Router<'_>) -> Outcome<()> {
    fill_with(router, PROTECTED)
}

/// The same, to this port.
pub fn fill_with(router: &Router<'_>, port: u16) -> Outcome<()> {
    let max = router.setting("max")?;
    // A chain of the hash may be too long for a while, and somebody may go meanwhile.
    for _ in 0..20 {
        router.world.router.within(|| establish("10.9.0.0", port, max + 1024))?;
        if router.setting("count")? >= max {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("{} of {max} entries after filling", router.setting("count")?))
}

/// So many established flows of one host. Where the caller is.
pub fn establish(source: &str, port: u16, flows: u32) -> Outcome<()> {
    let source = address(source);
    let socket = Socket::open()?;
    let mut batch = Batch::default();
    for n in 0..flows {
        batch.create(&Flow {
            source,
            destination: IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
            protocol: TCP,
            source_port: 1_024 + n as u16,
            destination_port: port,
            status: status::SEEN_REPLY | status::ASSURED,
            tcp_state: ESTABLISHED,
            left: 36_000,
            mark: 0,
            zone: Zone::Default,
        });
        if n % 256 == 255 {
            socket.send(&batch.bytes)?;
            batch.bytes.clear();
            // The last are refused, or there already.
            socket.errors()?;
        }
    }
    Ok(())
}

/// Who of IPv4 and IPv6 gets from the LAN to the router's port.
pub fn owner(world: &World, port: u16) -> [bool; 2] {
    ROUTERS_LAN.map(|router| reaches(&world.lan, router, port))
}

/// Who of IPv4 and IPv6 gets from the WAN to the router's port.
pub fn stranger(world: &World, port: u16) -> [bool; 2] {
    ROUTERS_WAN.map(|router| reaches(&world.wan, router, port))
}

/// Who of IPv4 and IPv6 gets from the WAN to a host of the LAN.
pub fn stranger_to_lan(world: &World) -> [bool; 2] {
    LAN.map(|host| reaches(&world.wan, host, 80))
}

/// A host of the LAN that goes on beginning flows to the WAN, until it is dropped.
pub struct Knocking(Option<thread::JoinHandle<()>>, Arc<AtomicBool>);

impl Knocking {
    pub fn at(world: &World) -> Self {
        let (lan, on) = (world.lan.clone(), Arc::new(AtomicBool::new(true)));
        let goes_on = on.clone();
        let work = move || {
            lan.enter();
            while goes_on.load(Ordering::Relaxed) {
                if let Ok(socket) = UdpSocket::bind("0.0.0.0:0") {
                    let _ = socket.send_to(b"x", (WAN[0], 9));
                }
                thread::sleep(Duration::from_millis(20));
            }
        };
        Self(Some(thread::spawn(work)), on)
    }
}

impl Drop for Knocking {
    fn drop(&mut self) {
        self.1.store(false, Ordering::Relaxed);
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

/// Answers DNS queries at the router, with what was asked.
pub fn answer_dns(world: &World) {
    let socket = world.router.within(|| UdpSocket::bind("[::]:53").expect("a free port"));
    thread::spawn(move || {
        let mut room = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut room) {
            let _ = socket.send_to(&room[..n], from);
        }
    });
}

/// Whether queries from the LAN are answered, of IPv4 and IPv6, by whom they went to.
pub fn dns(world: &World) -> [bool; 2] {
    ROUTERS_LAN.map(|router| {
        world.lan.within(|| {
            let here = if router.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
            let Ok(socket) = UdpSocket::bind(here) else { return false };
            let _ = socket.set_read_timeout(Some(Duration::from_millis(1_500)));
            let sent = socket.connect((address(router), 53)).and_then(|()| socket.send(b"who"));
            sent.is_ok() && socket.recv(&mut [0; 16]).is_ok()
        })
    })
}

/// The router's DHCP server, which only listens.
pub struct Dhcp(UdpSocket);

impl Dhcp {
    pub fn at(world: &World) -> Outcome<Self> {
        world.router.within(|| {
            let socket = UdpSocket::bind("0.0.0.0:67").map_err(|e| e.to_string())?;
            socket.set_read_timeout(Some(Duration::from_millis(600))).map_err(|e| e.to_string())?;
            Ok(Self(socket))
        })
    }

    /// Whether a broadcast from the LAN comes.
    pub fn hears(&self, world: &World) -> Outcome<bool> {
        world.lan.within(|| {
            let socket = UdpSocket::bind("0.0.0.0:68").map_err(|e| e.to_string())?;
            socket.set_broadcast(true).map_err(|e| e.to_string())?;
            socket.send_to(b"discover", ("255.255.255.255", 67)).map_err(|e| e.to_string())?;
            Ok::<_, String>(())
        })?;
        Ok(self.0.recv(&mut [0; 16]).is_ok())
    }
}

/// Has so many bytes echoed, far more than a window: who does not follow a flow does not know its window afterwards.
pub fn pump(flow: &TcpStream, bytes: usize) -> bool {
    let (Ok(mut to), Ok(mut from)) = (flow.try_clone(), flow.try_clone()) else { return false };
    let writer = thread::spawn(move || to.write_all(&vec![b'x'; bytes]).is_ok());
    let (mut room, mut came) = (vec![0; 65_536], 0);
    while came < bytes {
        match from.read(&mut room) {
            Ok(n @ 1..) => came += n,
            _ => break,
        }
    }
    came == bytes && writer.join().unwrap_or(false)
}

fn on_wan(world: &World, script: &str) -> Outcome<String> {
    let out = world.wan.within(|| Command::new("sh").args(["-euc", script]).output()).map_err(|e| e.to_string())?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("{script}: {}", String::from_utf8_lossy(&out.stderr).trim()))
}

/// From now on counts what comes to the WAN host's server from private addresses. (A firewall that rejects answers in the
/// name of whom the WAN host asked for: that is not counted.)
pub fn watch_for_leaks(world: &World) -> Outcome<()> {
    on_wan(
        world,
        r"printf 'table ip watch {\nchain seen {\ntype filter hook prerouting priority raw;\nip saddr 10.0.0.0/8 tcp dport 443 counter\n}\n}\n' | nft -f -",
    )
    .map(drop)
}

/// How many came.
pub fn leaks(world: &World) -> Outcome<u32> {
    let text = on_wan(world, "nft list table ip watch | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'")?;
    text.trim().parse().map_err(|_| format!("leaks: {text}"))
}
