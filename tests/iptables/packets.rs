//! What packets say: who gets through to whom, and what is tracked.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::world::{Host, World};

/// A packet that a firewall drops is not answered. A refused one is answered at once.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Who was let in gets his answer, however busy the machine is.
const PATIENCE_WITH_ANSWERS: Duration = Duration::from_secs(10);

pub fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Answers TCP on these ports for as long as this program runs.
pub fn serve(host: &Host, ports: &[u16]) {
    for port in ports.iter().copied() {
        let listener = host.within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).expect("a free port"));
        thread::spawn(move || {
            for mut flow in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut room = [0; 64];
                    while let Ok(n @ 1..) = flow.read(&mut room) {
                        let _ = flow.write_all(&room[..n]);
                    }
                });
            }
        });
    }
}

/// Opens a TCP flow and has a word echoed.
pub fn connect(from: &Host, to: &str, port: u16) -> Option<TcpStream> {
    let to = SocketAddr::new(address(to), port);
    let flow = from.within(|| TcpStream::connect_timeout(&to, PATIENCE).ok())?;
    flow.set_read_timeout(Some(PATIENCE_WITH_ANSWERS)).ok()?;
    echoes(&flow).then_some(flow)
}

pub fn reaches(from: &Host, to: &str, port: u16) -> bool {
    connect(from, to, port).is_some()
}

/// All at the same time: who is kept out waits.
pub fn all_reach<const N: usize>(probes: [(&Host, &str, u16); N]) -> [bool; N] {
    thread::scope(|s| {
        probes
            .map(|(from, to, port)| s.spawn(move || reaches(from, to, port)))
            .map(|p| p.join().expect("a probe panicked"))
    })
}

/// Whether a flow is alive.
pub fn echoes(mut flow: &TcpStream) -> bool {
    let mut room = [0; 5];
    flow.write_all(b"hello").is_ok() && flow.read_exact(&mut room).is_ok()
}

/// Entries of the router's table that mention this text.
pub fn entries(world: &World, part: &str) -> usize {
    let text =
        world.router.within(|| std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap_or_default());
    text.lines().filter(|l| l.contains(part)).count()
}

/// Counts the UDP packets that come to a host.
pub struct Counter {
    came: Arc<AtomicU32>,
    port: u16,
    /// The source of the next flow: none comes twice, since a flow of before is no new one.
    next: AtomicU16,
}

/// What was sent, when, and how much of it came.
pub struct Sent {
    pub came: u32,
    at: Vec<Duration>,
}

impl Sent {
    /// How many a bucket lets by that holds `burst` tokens and gets so many more a second. On a busy machine packets do not
    /// leave when they are to: what counts is when they did.
    pub fn expected(&self, a_second: u32, burst: u32) -> u32 {
        let (mut tokens, mut last, mut passed) = (f64::from(burst), Duration::ZERO, 0);
        for at in &self.at {
            tokens = (tokens + (*at - last).as_secs_f64() * f64::from(a_second)).min(f64::from(burst));
            last = *at;
            if tokens >= 1.0 {
                tokens -= 1.0;
                passed += 1;
            }
        }
        passed
    }

    /// Whether it is as many, give or take what the clock of the sender and that of the kernel differ by.
    pub fn is_limited(&self, a_second: u32, burst: u32) -> bool {
        let expected = self.expected(a_second, burst);
        self.came.abs_diff(expected) <= 3 + expected / 20
    }
}

impl Counter {
    pub fn at(host: &Host, port: u16) -> Self {
        let socket = host.within(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).expect("a free port"));
        // On a busy machine all may be there before the first is read: what is lost then is not what is tried.
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(1 << 22)).expect("as root");
        let came = Arc::new(AtomicU32::new(0));
        let counted = came.clone();
        thread::spawn(move || {
            let mut room = [0; 64];
            while socket.recv(&mut room).is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { came, port, next: AtomicU16::new(10_000) }
    }

    /// Sends `packets` from `from` to `to` within two seconds, each a flow of its own or all of one; how many came.
    pub fn of(&self, host: &Host, from: &str, to: &str, packets: u32, one_flow: bool) -> u32 {
        self.sent(host, from, to, packets, one_flow).came
    }

    /// The same, with the times.
    pub fn sent(&self, host: &Host, from: &str, to: &str, packets: u32, one_flow: bool) -> Sent {
        let before = self.came.load(Ordering::Relaxed);
        let to = SocketAddr::new(address(to), self.port);
        let at = host.within(|| {
            let flow = || {
                let port = self.next.fetch_add(1, Ordering::Relaxed);
                UdpSocket::bind(SocketAddr::new(address(from), port)).expect("an address of the host, and a free port")
            };
            let began = Instant::now();
            let mut socket = flow();
            let send = |n| {
                let due = Duration::from_millis(u64::from(n) * 2000 / u64::from(packets));
                thread::sleep(due.saturating_sub(began.elapsed()));
                if !one_flow {
                    socket = flow();
                }
                let now = began.elapsed();
                let _ = socket.send_to(b"x", to);
                now
            };
            (0..packets).map(send).collect()
        });
        // Until nothing more comes: on a busy machine the counting thread may be late.
        let mut came = u32::MAX;
        while came != self.came.load(Ordering::Relaxed) {
            came = self.came.load(Ordering::Relaxed);
            thread::sleep(Duration::from_millis(200));
        }
        Sent { came: came - before, at }
    }
}
