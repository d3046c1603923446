//! The socket that the CLI speaks to: one request a connection, one answer, bounded in number, size and time.

use super::root::terminated;
use ctwarden::protocol::{Answer, Ask, LENGTH, REPLY_MOST, REQUEST_MOST, Reply, Request, frame, unframe};
use ctwarden::units::Millis;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, listen, recv, send, socket,
};
use nix::sys::stat::{Mode, umask};
use nix::unistd::unlink;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Mutex;

/// Connections at a time. Full: the next one waits in the kernel's backlog.
pub const CONNECTIONS: usize = 4;
/// A peer that has not asked by then is cut off.
const PATIENCE: Millis = Millis(2_000);
/// An answer may wait for a pass over the table this long.
const PATIENCE_ASKED: Millis = Millis(120_000);

/// A frame on its way out or in. Not on the stack, as with the text in it.
static FRAME: Mutex<[u8; REPLY_MOST + LENGTH]> = Mutex::new([0; REPLY_MOST + LENGTH]);

/// How an answer becomes the text of a reply and the exit status of the command that asked: rendered for the asker, given
/// to the last argument.
pub type Render = fn(&Answer, &Ask, &mut dyn FnMut(&Reply<'_>));

pub struct Control {
    render: Render,
    /// std's for its `accept` only, which owns what it gives.
    listener: UnixListener,
    path: super::root::SystemPath,
    peers: [Option<Peer>; CONNECTIONS],
    /// Peers taken so far, round and round.
    taken: u16,
}

struct Peer {
    number: u16,
    fd: OwnedFd,
    heard: [u8; REQUEST_MOST + LENGTH],
    length: usize,
    asked: Option<Ask>,
    until: Millis,
}

/// Who asked: for the answer. The number tells one peer in a place from the next, who may have come while an answer was
/// worked at for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    place: usize,
    number: u16,
}

impl Control {
    /// Listens at `path`, mode 0600. A socket left over by a daemon that is gone is replaced; EADDRINUSE: it is answered,
    /// or is something else.
    pub fn open(path: &str, render: Render) -> Result<Self, Errno> {
        if is_socket(path) && connected(path).is_err_and(|e| e == Errno::ECONNREFUSED) {
            let _ = unlink(&terminated(path));
        }
        let (listener, address) = unix_socket(path, SockFlag::SOCK_NONBLOCK)?;
        let old = umask(Mode::from_bits_truncate(0o177));
        let bound = bind(listener.as_raw_fd(), &address);
        umask(old);
        bound?;
        listen(&listener, Backlog::MAXCONN)?;
        let mut kept = super::root::SystemPath::new();
        let _ = kept.push_str(path);
        Ok(Self { render, listener: listener.into(), path: kept, peers: [const { None }; CONNECTIONS], taken: 0 })
    }

    /// How answers become text.
    pub fn render(&self) -> Render {
        self.render
    }

    /// What to poll: the listener while there is a place, and every peer that has not asked yet.
    pub fn poll_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listener = self.peers.iter().any(Option::is_none).then(|| self.listener.as_fd());
        listener.into_iter().chain(self.peers.iter().flatten().filter(|p| p.asked.is_none()).map(|p| p.fd.as_fd()))
    }

    /// When the first peer runs out of time.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.peers.iter().flatten().map(|p| p.until).min()
    }

    /// Takes new connections and reads what has come; gives one whole request, if there is one.
    pub fn next_request(&mut self, now: Millis) -> Option<(Asker, Request)> {
        self.accept(now);
        for i in 0..CONNECTIONS {
            let slot = self.peers.get_mut(i)?;
            let Some(peer) = slot else { continue };
            if now >= peer.until {
                *slot = None;
                continue;
            }
            if peer.asked.is_some() {
                continue;
            }
            let room = peer.heard.get_mut(peer.length..).unwrap_or_default();
            match recv(peer.fd.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => {
                    *slot = None;
                    continue;
                }
                Ok(n) => peer.length += n,
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(_) => {
                    *slot = None;
                    continue;
                }
            }
            let asker = Asker { place: i, number: peer.number };
            match unframe::<Ask>(peer.heard.get(..peer.length).unwrap_or_default(), REQUEST_MOST) {
                None => {}
                Some(Ok(ask)) => {
                    peer.asked = Some(ask);
                    peer.until = now.after(PATIENCE_ASKED);
                    return Some((asker, ask.request));
                }
                Some(Err(())) => self.answer(asker, &Answer::not_understood()),
            }
        }
        None
    }

    fn accept(&mut self, now: Millis) {
        while let Some(slot) = self.peers.iter_mut().find(|p| p.is_none()) {
            let Ok((fd, _)) = self.listener.accept() else { return };
            self.taken = self.taken.wrapping_add(1);
            *slot = Some(Peer {
                number: self.taken,
                fd: fd.into(),
                heard: [0; REQUEST_MOST + LENGTH],
                length: 0,
                asked: None,
                until: now.after(PATIENCE),
            });
        }
    }

    /// Answers and hangs up. One send: a reply is smaller than any socket buffer; a peer that does not read loses it.
    pub fn answer(&mut self, asker: Asker, answer: &Answer) {
        let slot = self.peers.get_mut(asker.place).filter(|p| p.as_ref().is_some_and(|p| p.number == asker.number));
        let Some(peer) = slot.and_then(Option::take) else { return };
        let ask = peer.asked.unwrap_or(Ask { request: Request::Status, json: false, colour: false });
        (self.render)(answer, &ask, &mut |reply| {
            let mut frames = FRAME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(bytes) = frame(reply, &mut *frames) {
                let _ = send(peer.fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
            }
        });
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = unlink(&terminated(&self.path));
    }
}

/// Opened, a socket is ENXIO. (stat is 1.3 KB on MIPS, where its times have to be made wide.)
fn is_socket(path: &str) -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    open(&terminated(path), flags, Mode::empty()).is_err_and(|e| e == Errno::ENXIO)
}

/// A socket and the address of that path.
fn unix_socket(path: &str, flags: SockFlag) -> Result<(OwnedFd, UnixAddr), Errno> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | flags, None)?;
    Ok((fd, UnixAddr::new(&terminated(path))?))
}

fn connected(path: &str) -> Result<OwnedFd, Errno> {
    let (fd, address) = unix_socket(path, SockFlag::empty())?;
    connect(fd.as_raw_fd(), &address)?;
    Ok(fd)
}

/// Asks a daemon; its reply goes to `to`. ENOENT or ECONNREFUSED: none is there.
pub fn ask(path: &str, ask: &Ask, to: &mut dyn FnMut(&Reply<'_>)) -> Result<(), Errno> {
    ask_while(path, ask, &mut |_| true, to)
}

/// The same, where somebody waits for the reply who has other things to look after. ECANCELED: `wait` did not want to any more.
pub fn ask_while(
    path: &str,
    ask: &Ask,
    wait: &mut dyn FnMut(BorrowedFd<'_>) -> bool,
    to: &mut dyn FnMut(&Reply<'_>),
) -> Result<(), Errno> {
    let fd = connected(path).map_err(|e| match e {
        // What is no socket refuses in the same way as one that is left over.
        Errno::ECONNREFUSED if !is_socket(path) => Errno::EINVAL,
        _ => e,
    })?;
    let mut room = FRAME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let bytes = frame(ask, &mut *room).unwrap_or_default();
    send(fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL)?;
    if !wait(fd.as_fd()) {
        return Err(Errno::ECANCELED);
    }
    let heard = super::root::read_all(&fd, &mut *room)?;
    // Cut off, or no reply.
    let Some(Ok(reply)) = unframe(heard, REPLY_MOST) else { return Err(Errno::ECONNRESET) };
    to(&reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn an_answer_that_comes_too_late_is_not_the_next_ones() {
        let dir = std::env::temp_dir().join(format!("ctwarden-control-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let path = dir.join("socket");
        let path = path.to_str().expect("text");
        let mut control = Control::open(path, |_, _, to| to(&Reply { exit: 0, text: "yours" })).expect("a socket");
        let ask = |control: &mut Control, now| {
            let mut peer = UnixStream::connect(path).expect("connected");
            let mut room = [0; 64];
            let ask = Ask { request: Request::Status, json: false, colour: false };
            peer.write_all(frame(&ask, &mut room).expect("fits")).expect("sent");
            (peer, control.next_request(now).expect("a request").0)
        };
        let (_first, early) = ask(&mut control, Millis(0));
        assert_eq!(control.next_request(PATIENCE_ASKED), None, "its time is over");
        let (mut second, late) = ask(&mut control, PATIENCE_ASKED);
        assert_eq!(early.place, late.place);
        control.answer(early, &Answer::not_understood());
        second.set_nonblocking(true).expect("set");
        assert!(second.read(&mut [0; 64]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
        control.answer(late, &Answer::not_understood());
        let mut heard = [0; 64];
        let n = second.read(&mut heard).expect("an answer");
        assert!(heard[..n].ends_with(b"yours"));
        drop(control);
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
