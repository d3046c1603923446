//! The attackers: packets made by one thread, put into the router's LAN port (or, for the flood, its WAN port).

use crate::gauges::Gauges;
use crate::packet::{ACK, Body, PSH, Packet, SYN};
use crate::sys;
use crate::topology::{FORWARDED_PORT, ROUTER, answering, answering_v6, attacker, attacker_v6, silent};
use crate::wan::{ROUND_TRIP, drain, wait};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// An answer that comes later than this is as good as none, for the attackers as for the neighbour.
const PATIENCE: Duration = Duration::from_millis(500);

/// How an attack goes. Rates are new flows a second, all attackers together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Nobody attacks.
    None,
    /// Established TCP flows, held and never closed.
    Hold { hosts: u32, rate: u32, v6: bool },
    /// As `Hold`, but each flow goes on sending, every `every` of its own time.
    Lively { rate: u32, every: Duration },
    /// As many handshakes in flight as `window`; each that ends begins the next.
    Reconnect { window: u32 },
    /// UDP with answers. A second datagram after 2 s makes the kernel call a flow assured (nf_conntrack_proto_udp.c); then
    /// the flow is held like those of TCP.
    Udp { rate: u32 },
    /// SYNs to many destinations, none of which answers.
    Scan { rate: u32 },
    /// SYNs from invented WAN addresses to the forwarded port.
    SynFlood { rate: u32 },
}

/// One flow that will speak again.
struct Again {
    due: Instant,
    flow: u32,
    /// Bytes it has sent so far (TCP), and the far side's next number.
    sent: u32,
    theirs: u32,
}

struct Attacker<'a> {
    attack: Attack,
    device: &'a File,
    gauges: &'a Gauges,
    /// When each flow began and whether that was within the counted time, oldest first; answered ones are `None`.
    begun: VecDeque<Option<(Instant, bool)>>,
    /// The number of the flow at `begun`'s front, and of the next one.
    first: u32,
    next: u32,
    again: VecDeque<Again>,
}

/// Attacks from the moment counting begins until the trial ends.
pub fn attack(attack: Attack, lan: &File, wan: &File, gauges: &Gauges) {
    sys::hurry();
    let device = if matches!(attack, Attack::SynFlood { .. }) { wan } else { lan };
    let mut attacker =
        Attacker { attack, device, gauges, begun: VecDeque::new(), first: 0, next: 0, again: VecDeque::new() };
    while !gauges.is_counting() && !gauges.must_stop() {
        std::thread::sleep(Duration::from_millis(1));
    }
    if attack != Attack::None {
        attacker.go();
    }
}

impl Attacker<'_> {
    fn go(&mut self) {
        let pause = Duration::from_secs(1) / self.attack.rate();
        let by_the_clock = match self.attack {
            // The first ones, spread over a round trip; then the answers set the pace.
            Attack::Reconnect { window } => window,
            _ => u32::MAX,
        };
        let mut due = Instant::now();
        while !self.gauges.must_stop() {
            let now = Instant::now();
            // A thread that came late catches up, but not more than 50 ms: a burst is another attack.
            due = due.max(now.checked_sub(Duration::from_millis(50)).unwrap_or(now));
            while due <= now {
                if self.next < by_the_clock {
                    self.open();
                }
                due += pause;
            }
            self.forget(now);
            self.speak_again(now);
            let next = self.again.front().map_or(due, |a| a.due.min(due));
            if self.device_answers() {
                wait([self.device], Some(next.max(now + Duration::from_micros(300))));
                self.listen();
            } else {
                wait([], Some(next));
            }
        }
    }

    /// Only in the LAN is the device's other end ours to read.
    fn device_answers(&self) -> bool {
        !matches!(self.attack, Attack::SynFlood { .. })
    }

    /// Sends a flow's first packet.
    fn open(&mut self) {
        let flow = self.next;
        self.next = self.next.wrapping_add(1);
        let (src, dst) = self.attack.ends(flow);
        let body = match self.attack {
            Attack::Udp { .. } => Body::Udp,
            _ => Body::Tcp { seq: first_seq(flow), ack: 0, flags: SYN },
        };
        self.send(src, dst, body, &flow.to_be_bytes());
        let counted = self.gauges.is_counting();
        self.gauges.hog_all.add(1);
        if counted {
            self.gauges.hog_tried.add(1);
        }
        self.begun.push_back(Some((Instant::now(), counted)));
    }

    fn send(&self, src: SocketAddr, dst: SocketAddr, body: Body, payload: &[u8]) {
        let payload = if matches!(body, Body::Tcp { flags: SYN | ACK, .. }) { &[] } else { payload };
        let _ = (&mut &*self.device).write(&Packet { src, dst, body, payload }.bytes());
    }

    /// Reads the answers.
    fn listen(&mut self) {
        let mut answers = Vec::new();
        drain(self.device, |bytes| {
            if let Some(p) = Packet::read(bytes) {
                match p.body {
                    Body::Tcp { seq, ack, flags } if flags == SYN | ACK => {
                        answers.push((flow_of(ack), seq, p.src, p.dst))
                    }
                    Body::Udp => {
                        let flow = p.payload.first_chunk().map_or(u32::MAX, |b| u32::from_be_bytes(*b));
                        answers.push((flow, 0, p.src, p.dst));
                    }
                    _ => {}
                }
            }
        });
        for (flow, theirs, far, near) in answers {
            self.answered(flow, theirs.wrapping_add(1), near, far);
        }
    }

    fn answered(&mut self, flow: u32, theirs: u32, near: SocketAddr, far: SocketAddr) {
        let slot = self.begun.get_mut(flow.wrapping_sub(self.first) as usize);
        let Some((began, counted)) = slot.and_then(Option::take) else { return };
        let now = Instant::now();
        if counted && now.duration_since(began) <= PATIENCE {
            self.gauges.hog_answered.add(1);
        }
        if !matches!(self.attack, Attack::Udp { .. }) {
            let seq = first_seq(flow).wrapping_add(1);
            self.send(near, far, Body::Tcp { seq, ack: theirs, flags: ACK }, &[]);
        }
        if let Some(every) = self.attack.speaks_again() {
            self.again.push_back(Again { due: now + every, flow, sent: 0, theirs });
        }
        if matches!(self.attack, Attack::Reconnect { .. }) {
            self.open();
        }
    }

    /// Takes the flows that have waited long enough out of the books; a reconnecting attacker tries again.
    fn forget(&mut self, now: Instant) {
        let reconnect = matches!(self.attack, Attack::Reconnect { .. });
        while let Some(front) = self.begun.front() {
            match front {
                Some((began, _)) if now.duration_since(*began) <= PATIENCE => break,
                Some(_) if reconnect => self.open(),
                _ => {}
            }
            self.begun.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    fn speak_again(&mut self, now: Instant) {
        let Some(every) = self.attack.speaks_again() else { return };
        while self.again.front().is_some_and(|a| a.due <= now) {
            let Some(mut a) = self.again.pop_front() else { return };
            let (src, dst) = self.attack.ends(a.flow);
            if matches!(self.attack, Attack::Udp { .. }) {
                self.send(src, dst, Body::Udp, &a.flow.to_be_bytes());
            } else {
                let seq = first_seq(a.flow).wrapping_add(1 + a.sent);
                self.send(src, dst, Body::Tcp { seq, ack: a.theirs, flags: ACK | PSH }, b"still here");
                a.sent += 10;
            }
            if matches!(self.attack, Attack::Lively { .. }) {
                self.again.push_back(Again { due: now + every, ..a });
            }
        }
    }
}

impl Attack {
    /// New flows a second, by the clock.
    fn rate(self) -> u32 {
        match self {
            Attack::None => 1,
            Attack::Reconnect { window } => window * 1000 / ROUND_TRIP.as_millis() as u32,
            Attack::Hold { rate, .. }
            | Attack::Lively { rate, .. }
            | Attack::Udp { rate }
            | Attack::Scan { rate }
            | Attack::SynFlood { rate } => rate,
        }
    }

    /// Whether anybody answers, so that the attackers' own success means something.
    pub fn is_answered(self) -> bool {
        !matches!(self, Attack::None | Attack::Scan { .. } | Attack::SynFlood { .. })
    }

    fn speaks_again(self) -> Option<Duration> {
        match self {
            Attack::Lively { every, .. } => Some(every),
            Attack::Udp { .. } => Some(Duration::from_millis(2100)),
            _ => None,
        }
    }

    /// The two ends of flow number `flow`: no two of the first 3.9 million are alike.
    fn ends(self, flow: u32) -> (SocketAddr, SocketAddr) {
        const PORTS: u32 = 60_000;
        let sport = 1024 + (flow % PORTS) as u16;
        let spread = flow / PORTS * 256 + flow % 199;
        let (src, dst): (IpAddr, IpAddr) = match self {
            Attack::Hold { v6: true, .. } => (attacker_v6(), answering_v6(spread)),
            Attack::Hold { hosts, .. } => (attacker(hosts_first(hosts) + flow % hosts), answering(spread)),
            Attack::Scan { .. } => return (SocketAddr::new(attacker(HOG), sport), SocketAddr::new(silent(flow), 23)),
            Attack::SynFlood { .. } => {
                return (SocketAddr::new(invented(flow), sport), SocketAddr::new(ROUTER.into(), FORWARDED_PORT));
            }
            _ => (attacker(HOG), answering(spread)),
        };
        (SocketAddr::new(src, sport), SocketAddr::new(dst, 443))
    }
}

/// The one hog is 192.168.77.66; many begin at the first address the attackers have.
const HOG: u32 = 34;

fn hosts_first(hosts: u32) -> u32 {
    if hosts == 1 { HOG } else { 0 }
}

/// A stranger's address: spread over 16.0.0.0 … 95.255.255.255, where nothing of the lab's own lives.
fn invented(flow: u32) -> IpAddr {
    let mixed = flow.wrapping_mul(0x9e37_79b1);
    Ipv4Addr::from((16 + (mixed >> 24) % 80) << 24 | (mixed & 0x00ff_ffff)).into()
}

/// A flow's number stands in its sequence numbers, so that an answer names its flow.
fn first_seq(flow: u32) -> u32 {
    flow << 8
}

fn flow_of(ack: u32) -> u32 {
    ack.wrapping_sub(1) >> 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_flows_of_an_attack_are_alike() {
        let attacks = [
            Attack::Hold { hosts: 1, rate: 1, v6: false },
            Attack::Hold { hosts: 200, rate: 1, v6: false },
            Attack::Hold { hosts: 1, rate: 1, v6: true },
            Attack::SynFlood { rate: 1 },
        ];
        for attack in attacks {
            let flows: HashSet<_> = (0..300_000).map(|n| attack.ends(n)).collect();
            assert_eq!(flows.len(), 300_000);
        }
    }

    #[test]
    fn an_answer_names_its_flow() {
        for flow in [0, 1, 65_535, 1 << 23] {
            assert_eq!(flow_of(first_seq(flow).wrapping_add(1)), flow);
        }
    }
}
