//! The WAN: a relay between two tun devices that holds every packet back for half a round trip, since this kernel has no
//! netem, and the far side of the attackers' flows, which answers from the packet alone and keeps no state.

use crate::gauges::Gauges;
use crate::packet::{ACK, Body, FIN, Packet, SYN, destination};
use crate::sys;
use crate::topology::{WAN_SERVER, answers};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The round trip, and what it may be off by before the lab calls itself broken.
pub const ROUND_TRIP: Duration = Duration::from_millis(80);
pub const TOLERANCE: Duration = Duration::from_millis(10);

/// Larger than the devices' MTU of 1,500.
const LARGEST: usize = 2048;

/// A line of fixed length: first in, first out, each packet at its time.
struct Line {
    delay: Duration,
    packets: VecDeque<(Instant, Vec<u8>)>,
}

impl Line {
    fn new(delay: Duration) -> Self {
        Self { delay, packets: VecDeque::new() }
    }
    fn push(&mut self, now: Instant, packet: Vec<u8>) {
        self.packets.push_back((now + self.delay, packet));
    }
    fn due(&self) -> Option<Instant> {
        self.packets.front().map(|(due, _)| *due)
    }
    fn deliver(&mut self, now: Instant, mut to: &File) {
        while self.due().is_some_and(|due| due <= now) {
            if let Some((_, packet)) = self.packets.pop_front() {
                let _ = to.write(&packet); // a WAN gives no promises
            }
        }
    }
}

/// Carries packets until the trial ends.
pub fn relay(router: &File, far: &File, gauges: &Gauges) {
    sys::hurry();
    let mut to_far = Line::new(ROUND_TRIP / 2);
    let mut to_router = Line::new(ROUND_TRIP / 2);
    let mut answered = Line::new(ROUND_TRIP);
    while !gauges.must_stop() {
        let due = [to_far.due(), to_router.due(), answered.due()].into_iter().flatten().min();
        wait([router, far], due);

        let now = Instant::now();
        drain(router, |packet| {
            if destination(packet) == Some(IpAddr::V4(WAN_SERVER)) {
                to_far.push(now, packet.to_vec());
            } else if let Some(answer) = answer(packet) {
                answered.push(now, answer);
            }
        });
        drain(far, |packet| to_router.push(now, packet.to_vec()));

        let now = Instant::now();
        to_far.deliver(now, far);
        to_router.deliver(now, router);
        answered.deliver(now, router);
    }
}

/// Sleeps until one of the devices has something, `due` has come, or 50 ms went by.
pub fn wait<const N: usize>(devices: [&File; N], due: Option<Instant>) {
    let longest = Duration::from_millis(50);
    let pause = due.map_or(longest, |due| due.saturating_duration_since(Instant::now()).min(longest));
    let mut fds = devices.map(|d| PollFd::new(d.as_fd(), PollFlags::POLLIN));
    let _ = ppoll(&mut fds, Some(TimeSpec::from(pause)), None);
}

/// Hands over what the device has now, at most a few hundred packets so that the clock is looked at in between.
pub fn drain(mut device: &File, mut each: impl FnMut(&[u8])) {
    let mut buffer = [0; LARGEST];
    for _ in 0..256 {
        match device.read(&mut buffer) {
            Ok(n) if n > 0 => each(&buffer[..n]),
            _ => return,
        }
    }
}

/// What a far side without sockets answers, if it answers.
fn answer(packet: &[u8]) -> Option<Vec<u8>> {
    let asked = Packet::read(packet)?;
    if !answers(asked.dst.ip()) {
        return None;
    }
    let (body, payload): (Body, &[u8]) = match asked.body {
        Body::Udp => (Body::Udp, asked.payload),
        Body::Tcp { seq, ack, flags } => {
            let next = seq.wrapping_add(asked.payload.len() as u32);
            match flags & (SYN | FIN | ACK) {
                // The first number of ours is made of theirs: whatever comes back tells us ours again.
                SYN => (Body::Tcp { seq: seq ^ 0x5a5a_5a5a, ack: seq.wrapping_add(1), flags: SYN | ACK }, &[]),
                ACK if !asked.payload.is_empty() => (Body::Tcp { seq: ack, ack: next, flags: ACK }, &[]),
                f if f & FIN != 0 => (Body::Tcp { seq: ack, ack: next.wrapping_add(1), flags: FIN | ACK }, &[]),
                _ => return None,
            }
        }
    };
    Some(Packet { src: asked.dst, dst: asked.src, body, payload }.bytes())
}
