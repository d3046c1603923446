//! The far sides of the measured flows: real kernel sockets in the WAN and LAN namespaces, one thread each.

use crate::gauges::Gauges;
use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

/// What a server does; each has a port of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Says back what it hears.
    Echo,
    /// Sends without end.
    Download,
    /// Says nothing until [`Gauges::speak`], then one byte.
    Idle,
}

impl Service {
    pub const fn port(self) -> u16 {
        match self {
            Service::Echo => 7,
            Service::Download => 19,
            Service::Idle => 22,
        }
    }
}

/// Half of what limits the download: at 80 ms this window carries about 1 MB/s, so that it cannot crowd out the rest.
pub const WINDOW: usize = 96 * 1024;

/// Listening sockets, made in the calling thread's namespace.
pub struct Servers(Vec<(TcpListener, Service)>);

impl Servers {
    pub fn listen(address: IpAddr, services: &[(Service, u16)]) -> io::Result<Self> {
        let listener = |&(service, port): &(Service, u16)| {
            let listener = TcpListener::bind(SocketAddr::new(address, port))?;
            listener.set_nonblocking(true)?;
            Ok((listener, service))
        };
        services.iter().map(listener).collect::<io::Result<_>>().map(Self)
    }

    /// Serves until the trial ends.
    pub fn serve(self, gauges: &Gauges) {
        sys::hurry();
        let mut guests: Vec<(TcpStream, Service)> = Vec::new();
        let mut spoken = false;
        while !gauges.must_stop() {
            let listeners = self.0.iter().map(|(l, _)| PollFd::new(l.as_fd(), PollFlags::POLLIN));
            let mut fds: Vec<_> = listeners.chain(guests.iter().map(|(s, kind)| watch(s, *kind))).collect();
            let _ = poll(&mut fds, PollTimeout::from(20u8));
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();

            let (doors, rooms) = ready.split_at(self.0.len());
            let mut rooms = rooms.iter();
            guests.retain_mut(|(stream, kind)| !rooms.next().is_some_and(|r| *r) || serve_once(stream, *kind).is_ok());
            for ((listener, kind), _) in self.0.iter().zip(doors).filter(|(_, ready)| **ready) {
                while let Ok((stream, _)) = listener.accept() {
                    let _ = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
                    if *kind == Service::Download {
                        let _ = setsockopt(&stream, sockopt::SndBuf, &WINDOW);
                    }
                    guests.push((stream, *kind));
                }
            }
            if !spoken && gauges.speak.load(Relaxed) {
                spoken = true;
                for (stream, _) in guests.iter_mut().filter(|(_, kind)| *kind == Service::Idle) {
                    let _ = stream.write(b"!");
                }
            }
        }
    }
}

fn watch(stream: &TcpStream, kind: Service) -> PollFd<'_> {
    let wanted = if kind == Service::Download { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
    PollFd::new(stream.as_fd(), wanted)
}

/// One turn for one guest; an error when it has left.
fn serve_once(stream: &mut TcpStream, kind: Service) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let heard = match stream.read(&mut buffer) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(n) => n,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
        Err(e) => return Err(e),
    };
    match kind {
        Service::Echo => stream.write_all(&buffer[..heard]),
        Service::Download => match stream.write(&[b'.'; 16 * 1024]) {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        },
        Service::Idle => Ok(()),
    }
}
