//! The two ways of speaking with nf_tables: a question, and a transaction.
//!
//! One socket, kept open: when a socket of netfilter is closed, nf_tables first waits until what earlier transactions took
//! out is nobody's any more. A renewal took 12 ms with a socket of its own, 5 µs with this one (measured).

use crate::daemon::kernel::socket::Socket;
use ctwarden::wire::netlink::{Batch, FLAG_DUMP_INTERRUPTED, FLAG_MULTI, Messages};
use ctwarden::wire::nftables;
use nix::errno::Errno;

/// A dump's first datagram may be that large, whatever the reader offers.
pub const DATAGRAM: usize = 8192;
/// An error has in it the message that it is about.
const ANSWER: usize = 64;

pub struct Link(Option<Socket>);

impl Link {
    /// Opened when it is needed.
    pub const fn new() -> Self {
        Self(None)
    }

    pub fn close(&mut self) {
        self.0 = None;
    }

    /// The socket, with nothing to be read from it.
    fn socket(&mut self) -> Result<&Socket, Errno> {
        if self.0.is_none() {
            self.0 = Some(Socket::open()?);
        }
        let socket = self.0.as_ref().ok_or(Errno::EBADF)?;
        // What a transaction that failed had more to say.
        while socket.receive_now(&mut [0; ANSWER]).is_ok() {}
        Ok(socket)
    }

    /// Asks, and gives each message of the answer to `take`. EAGAIN: it changed while it was read, something may be missing.
    pub fn ask(&mut self, question: &dyn Fn(&mut Batch<'_>) -> bool, take: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        let socket = self.socket()?;
        let mut room = [0; DATAGRAM];
        let mut batch = Batch::new(&mut room);
        if !question(&mut batch) {
            return Err(Errno::EMSGSIZE);
        }
        socket.send(&batch)?;
        let mut changed = false;
        loop {
            let n = socket.receive(&mut room)?;
            let mut more = false;
            for message in Messages::new(room.get(..n).unwrap_or(&[])) {
                let Ok(message) = message else {
                    // Larger than the room (a rule of many parts): cut short. The next datagram is whole again.
                    more = true;
                    break;
                };
                more = message.flags & FLAG_MULTI != 0;
                changed |= message.flags & FLAG_DUMP_INTERRUPTED != 0;
                match message.errno() {
                    Some(0) => return if changed { Err(Errno::EAGAIN) } else { Ok(()) },
                    Some(e) => return Err(Errno::from_raw(e)),
                    None => take(message.payload),
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Ends the transaction in `batch`, sends it and waits for what comes of it; `batch` then has the beginning of another.
    pub fn commit(&mut self, batch: &mut Batch<'_>) -> Result<(), Errno> {
        if !nftables::end(batch) {
            return Err(Errno::EMSGSIZE);
        }
        let socket = self.socket()?;
        socket.send(batch)?;
        batch.clear();
        nftables::begin(batch);
        let mut room = [0; ANSWER];
        loop {
            let n = socket.receive(&mut room)?;
            match nftables::answer(room.get(..n).unwrap_or(&[])) {
                Some(0) => return Ok(()),
                Some(e) => return Err(Errno::from_raw(e)),
                None => {}
            }
        }
    }

    /// A transaction of one change.
    pub fn change(&mut self, fill: &dyn Fn(&mut Batch<'_>) -> bool) -> Result<(), Errno> {
        let mut room = [0; 256];
        let mut batch = Batch::new(&mut room);
        nftables::begin(&mut batch);
        if fill(&mut batch) { self.commit(&mut batch) } else { Err(Errno::EMSGSIZE) }
    }
}
