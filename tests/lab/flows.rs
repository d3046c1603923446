//! The measured side: a neighbour's new connections, and the flows that must survive. Real kernel sockets in the LAN, all in
//! one thread.

use crate::gauges::Gauges;
use crate::netns::Netns;
use crate::servers::{Service, WINDOW};
use crate::sys;
use crate::topology::{DOWNLOAD_HOST, FORWARDED_PORT, IDLE_HOST, LONG_LIVED_HOST, NEIGHBOUR, ROUTER, WAN_SERVER};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeSpec;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Open loop: a new connection every 20 ms, whatever became of the last.
const EVERY: Duration = Duration::from_millis(20);
/// Connected within this, and a byte there and back within as much again, is a success. A lost SYN comes again after 1 s.
const PATIENCE: Duration = Duration::from_millis(500);
/// A flow that must go on and does not for so long is lost, as its owner would say.
const STALLED: Duration = Duration::from_secs(3);

/// The same when the trial ends before [`STALLED`] could.
const SILENT_AT_THE_END: Duration = Duration::from_secs(1);

pub const LONG_LIVED: usize = 20;
pub const IDLE: usize = 10;

/// What became of the flows.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub lost_long_lived: u32,
    pub lost_idle: u32,
    pub lost_download: u32,
    pub lost_loop: u32,
    /// The middle of the times to connect before the attack: what the WAN delay really is.
    pub round_trip: Option<Duration>,
    /// Flows of the 32 that were never there to be lost: the lab is broken.
    pub never_up: u32,
}

impl Report {
    pub fn lost(&self) -> u32 {
        self.lost_long_lived + self.lost_idle + self.lost_download + self.lost_loop
    }
}

/// One of the neighbour's new connections.
struct Attempt {
    stream: TcpStream,
    begun: Instant,
    counted: bool,
    connected: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 32 bytes there and back every second.
    LongLived,
    /// Listens until the far side speaks.
    Idle,
    /// Reads all it can.
    Download,
    /// The next request as soon as the answer is there.
    Loop,
}

/// A flow that must survive.
struct Steady {
    stream: TcpStream,
    kind: Kind,
    up: bool,
    lost: bool,
    /// When it next says something by the clock, and when it last got on.
    next: Instant,
    progress: Instant,
    /// Long-lived: its 32 bytes are on their way.
    waiting: bool,
    /// Idle: the far side's word has come.
    heard: bool,
}

/// Opens and watches them until the trial ends. To be called in the LAN namespace; some come from the WAN.
pub fn run(wan: &Netns, gauges: &Gauges) -> io::Result<Report> {
    sys::hurry();
    let start = Instant::now();
    let mut steady = all_steady(start, wan)?;
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut round_trips = Vec::new();
    let mut next = start + Duration::from_millis(500);
    while !gauges.must_stop() {
        let now = Instant::now();
        while next <= now {
            next += EVERY;
            let counted = gauges.is_counting();
            let stream = open(NEIGHBOUR, WAN_SERVER, Service::Echo.port())?;
            attempts.push(Attempt { stream, begun: now, counted, connected: false });
            if counted {
                gauges.tried.add(1);
            }
        }
        steady.iter_mut().for_each(|s| s.on_time(now, gauges));

        let (ready_steady, ready_attempts) = wait(&steady, &attempts, next);
        let now = Instant::now();
        for (flow, _) in steady.iter_mut().zip(ready_steady).filter(|(_, ready)| *ready) {
            if flow.on_ready(now, gauges).is_err() {
                flow.lose(gauges);
            }
        }
        let mut ready = ready_attempts.into_iter();
        attempts.retain_mut(|a| {
            let outcome = a.turn(now, ready.next().unwrap_or(false), &mut round_trips);
            if let Some(success) = outcome {
                if success { &gauges.all_connected } else { &gauges.all_failed }.add(1);
                if a.counted {
                    if success { &gauges.connected } else { &gauges.failed }.add(1);
                }
            }
            outcome.is_none()
        });
    }
    Ok(report(&steady, round_trips, gauges))
}

/// Sleeps until something is ready or the next connection is due; says what is ready, in order.
fn wait(steady: &[Steady], attempts: &[Attempt], until: Instant) -> (Vec<bool>, Vec<bool>) {
    let flows = steady.iter().map(|s| {
        let wanted = if s.up { PollFlags::POLLIN } else { PollFlags::POLLOUT };
        // A lost flow would be ready for ever.
        PollFd::new(s.stream.as_fd(), if s.lost { PollFlags::empty() } else { wanted })
    });
    let tries = attempts.iter().map(|a| {
        let wanted = if a.connected { PollFlags::POLLIN } else { PollFlags::POLLOUT };
        PollFd::new(a.stream.as_fd(), wanted)
    });
    let mut fds: Vec<_> = flows.chain(tries).collect();
    let pause = until.saturating_duration_since(Instant::now());
    let _ = ppoll(&mut fds, Some(TimeSpec::from(pause)), None);
    let mut ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
    let tries = ready.split_off(steady.len());
    (ready, tries)
}

impl Attempt {
    /// `Some(success)` once it is over.
    fn turn(&mut self, now: Instant, ready: bool, round_trips: &mut Vec<Duration>) -> Option<bool> {
        let age = now.duration_since(self.begun);
        if !self.connected {
            if age > PATIENCE {
                return Some(false);
            }
            if ready {
                if !matches!(self.stream.take_error(), Ok(None)) || self.stream.write(b"?").is_err() {
                    return Some(false);
                }
                self.connected = true;
                if !self.counted {
                    round_trips.push(age);
                }
            }
            return None;
        }
        if ready {
            return Some(matches!(self.stream.read(&mut [0]), Ok(1)));
        }
        (age > 2 * PATIENCE).then_some(false)
    }
}

impl Steady {
    fn new(stream: TcpStream, kind: Kind, first: Instant) -> Self {
        Self { stream, kind, up: false, lost: false, next: first, progress: first, waiting: false, heard: false }
    }

    /// What the clock makes it do.
    fn on_time(&mut self, now: Instant, gauges: &Gauges) {
        if self.lost {
            return;
        }
        if self.up && self.kind == Kind::LongLived && self.next <= now {
            self.next = now + Duration::from_secs(1);
            if !self.waiting {
                self.waiting = true;
                self.progress = now;
                if self.stream.write(&[b'-'; 32]).is_err() {
                    self.lose(gauges);
                }
            }
        }
        let must_get_on = match self.kind {
            Kind::LongLived => self.waiting,
            Kind::Download | Kind::Loop => true,
            Kind::Idle => false,
        };
        if must_get_on && now.saturating_duration_since(self.progress) > STALLED {
            self.lose(gauges);
        }
    }

    /// The socket has something.
    fn on_ready(&mut self, now: Instant, gauges: &Gauges) -> io::Result<()> {
        self.progress = now;
        if !self.up {
            if let Some(e) = self.stream.take_error()? {
                return Err(e);
            }
            self.up = true;
            if self.kind == Kind::Loop {
                self.stream.write_all(&[b'?'; 256])?;
            }
            return Ok(());
        }
        let mut buffer = [0; 64 * 1024];
        let heard = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        };
        self.waiting = false;
        match self.kind {
            Kind::Download => gauges.downloaded.add(heard as u64),
            Kind::Loop => self.stream.write_all(&[b'?'; 256])?,
            Kind::Idle => self.heard = true,
            Kind::LongLived => {}
        }
        Ok(())
    }

    fn lose(&mut self, gauges: &Gauges) {
        self.lost = true;
        gauges.lost.add(1);
    }
}

fn all_steady(start: Instant, wan: &Netns) -> io::Result<Vec<Steady>> {
    let mut all = Vec::new();
    for i in 0..LONG_LIVED {
        // On two LAN hosts, one of them the neighbour, and every fifth a stranger's at the forwarded port; spread over a second.
        let stream = match i % 5 {
            4 => wan.within(|| open(WAN_SERVER, ROUTER, FORWARDED_PORT))?,
            0 | 2 => open(NEIGHBOUR, WAN_SERVER, Service::Echo.port())?,
            _ => open(LONG_LIVED_HOST, WAN_SERVER, Service::Echo.port())?,
        };
        all.push(Steady::new(stream, Kind::LongLived, start + Duration::from_millis(300 + 50 * i as u64)));
    }
    for _ in 0..IDLE {
        all.push(Steady::new(open(IDLE_HOST, WAN_SERVER, Service::Idle.port())?, Kind::Idle, start));
    }
    let download = open(DOWNLOAD_HOST, WAN_SERVER, Service::Download.port())?;
    all.push(Steady::new(download, Kind::Download, start));
    all.push(Steady::new(open(DOWNLOAD_HOST, WAN_SERVER, Service::Echo.port())?, Kind::Loop, start));
    Ok(all)
}

/// A connection on its way from `host` to `server`.
fn open(host: Ipv4Addr, server: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    // Before the connect, since the handshake tells the far side; only the download ever notices it.
    setsockopt(&fd, sockopt::RcvBuf, &WINDOW)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(host, 0)))?;
    match connect(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(server, port))) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(e) => return Err(e.into()),
    }
    let stream = TcpStream::from(fd);
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn report(steady: &[Steady], mut round_trips: Vec<Duration>, gauges: &Gauges) -> Report {
    let spoken = gauges.speak.load(Relaxed);
    let now = Instant::now();
    let lost = |kind: Kind| {
        let gone = |s: &&Steady| match kind {
            _ if s.lost => true,
            Kind::Idle => spoken && !s.heard,
            Kind::LongLived => s.waiting && now.duration_since(s.progress) > SILENT_AT_THE_END,
            Kind::Download | Kind::Loop => now.duration_since(s.progress) > SILENT_AT_THE_END,
        };
        steady.iter().filter(|s| s.kind == kind).filter(gone).count() as u32
    };
    round_trips.sort();
    Report {
        lost_long_lived: lost(Kind::LongLived),
        lost_idle: lost(Kind::Idle),
        lost_download: lost(Kind::Download),
        lost_loop: lost(Kind::Loop),
        round_trip: round_trips.get(round_trips.len() / 2).copied(),
        never_up: steady.iter().filter(|s| !s.up).count() as u32,
    }
}
