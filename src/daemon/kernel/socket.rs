//! A netlink socket, and the requests that wait for one answer.

use ctwarden::wire::netlink::{Batch, Messages};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The kernel answers at once; longer than this means that it will not.
const PATIENCE_MS: u16 = 5_000;

pub struct Socket(OwnedFd);

impl Socket {
    /// EPROTONOSUPPORT: the kernel has no nfnetlink.
    pub fn open() -> Result<Self, Errno> {
        Self::of(SockProtocol::NetlinkNetFilter)
    }

    /// To what knows addresses and links.
    pub fn open_route() -> Result<Self, Errno> {
        Self::of(SockProtocol::NetlinkRoute)
    }

    fn of(protocol: SockProtocol) -> Result<Self, Errno> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self(fd))
    }

    pub fn send(&self, batch: &Batch<'_>) -> Result<(), Errno> {
        loop {
            match send(self.0.as_raw_fd(), batch.bytes(), MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    }

    /// The next datagram, waiting for it. (Not by SO_RCVTIMEO: setsockopt is 0.4 KB on MIPS.)
    pub fn receive(&self, room: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match self.receive_now(room) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    if poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PATIENCE_MS) == Ok(0) {
                        return Err(Errno::EAGAIN);
                    }
                }
                other => return other,
            }
        }
    }

    /// The next datagram if there is one.
    pub fn receive_now(&self, room: &mut [u8]) -> Result<usize, Errno> {
        recv(self.0.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT)
    }

    /// Sends a request that asked for an acknowledgement and waits for it.
    pub fn request(&self, batch: &Batch<'_>) -> Result<(), Errno> {
        self.send(batch)?;
        let mut room = [0; 512];
        loop {
            let n = self.receive(&mut room)?;
            for message in Messages::new(room.get(..n).unwrap_or(&[])).flatten() {
                match message.errno() {
                    Some(0) => return Ok(()),
                    Some(e) => return Err(Errno::from_raw(e)),
                    None => {}
                }
            }
        }
    }
}
