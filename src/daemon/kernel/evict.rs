//! Ways of taking entries out of the table: one by one, by a filter in the kernel, all at once.
//!
//! None of them is believed: the caller reads the count again.

use super::super::root::{Root, TEXT};
use super::reader::{Buffers, Progress, Reader};
use super::socket::Socket;
use ctwarden::entry::{Entry, status};
use ctwarden::wire::conntrack;
use ctwarden::wire::netlink::{Batch, Messages};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::net::Ipv4Addr;

/// 16 to 64 deletions a datagram were as fast as any other number.
const BATCH: usize = 4096;

/// What is collected. Not in the evictor, which lies in the daemon and is moved with its pass: six copies of it were 25 KiB of
/// stack.
pub struct Deletions([u8; BATCH]);

impl Deletions {
    pub const fn new() -> Self {
        Self([0; BATCH])
    }
}

/// Collects deletions and sends them in batches, without acknowledgements.
pub struct Evictor {
    socket: Socket,
    used: usize,
    /// The first error other than "it is gone already".
    fault: Option<Errno>,
}

impl Evictor {
    pub fn open() -> Result<Self, Errno> {
        Ok(Self { socket: Socket::open()?, used: 0, fault: None })
    }

    /// This entry goes, with this batch or the next.
    pub fn evict(&mut self, deletions: &mut Deletions, entry: &Entry<'_>) {
        for _ in 0..2 {
            let Some(room) = deletions.0.get_mut(self.used..) else { return };
            let mut batch = Batch::new(room);
            if conntrack::delete(&mut batch, entry) {
                self.used += batch.bytes().len();
                return;
            }
            self.send(deletions);
        }
    }

    /// Sends what is collected and reads the complaints: an answer comes only for what could not be deleted.
    pub fn send(&mut self, deletions: &mut Deletions) {
        if self.used > 0 {
            let sent = self.socket.send(&Batch::filled(&mut deletions.0, self.used));
            crate::daemon::crash::step();
            self.used = 0;
            if let Err(e) = sent {
                self.fault.get_or_insert(e);
            }
        }
        let mut room = [0; 1024];
        loop {
            match self.socket.receive_now(&mut room) {
                Ok(n) => {
                    for message in Messages::new(room.get(..n).unwrap_or(&[])).flatten() {
                        if let Some(e) = message.errno()
                            && e != 0
                            && e != Errno::ENOENT as i32
                        {
                            self.fault.get_or_insert(Errno::from_raw(e));
                        }
                    }
                }
                // More complaints than the socket holds; they would all have been ENOENT of a table that empties itself.
                Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Sends the rest; the first real error.
    pub fn finish(mut self, deletions: &mut Deletions) -> Result<(), Errno> {
        self.send(deletions);
        self.fault.map_or(Ok(()), Err)
    }
}

fn request(fill: &dyn Fn(&mut Batch<'_>) -> bool) -> Result<(), Errno> {
    let mut room = [0; 128];
    let mut batch = Batch::new(&mut room);
    fill(&mut batch);
    Socket::open()?.request(&batch)
}

/// All entries of one IPv4 source, in the kernel. EINVAL from kernels before 6.12: nothing was deleted.
pub fn by_source(source: Ipv4Addr) -> Result<(), Errno> {
    request(&|b| conntrack::delete_by_source(b, source, 1))
}

/// All unreplied entries, in the kernel. Only after [`filters_by_status`] said yes.
pub fn unreplied() -> Result<(), Errno> {
    request(&|b| conntrack::delete_by_status(b, 0, status::SEEN_REPLY, 1))
}

/// Does this kernel filter by status? Asked by a dump for a status that no entry has: a kernel that does not know the
/// filter gives entries all the same. A deletion could not be asked that way, it would delete them.
///
/// `deaf`, for tests: asked so that a kernel which does know it answers like one which does not.
pub fn filters_by_status(buffers: &mut Buffers, deaf: bool) -> Result<bool, Errno> {
    let socket = Socket::open()?;
    let mut room = [0; 64];
    let mut batch = Batch::new(&mut room);
    let no_such = if deaf { status::CONFIRMED } else { NO_SUCH_STATUS };
    conntrack::dump_by_status(&mut batch, no_such, no_such, 1);
    socket.send(&batch)?;
    let mut reader = Reader::Dump { socket, interrupted: false };
    let mut seen = false;
    while reader.step(buffers, &mut |_| {
        seen = true;
        false
    })? == Progress::More
    {}
    Ok(!seen)
}

/// No kernel has a status bit this high.
const NO_SUCH_STATUS: u32 = 1 << 31;

/// A way of emptying the table.
pub struct Way {
    pub name: &'static str,
    pub run: fn(&Root) -> Result<(), Errno>,
}

/// The ways, the quickest first. What each does depends on the kernel; the count tells whether it did. By tuple is the
/// caller's last but one.
pub const FLUSHES: [Way; 2] = [
    Way { name: "ctnetlink, all families at once", run: |_| request(&|b| conntrack::flush(b, None, 1)) },
    Way {
        name: "ctnetlink, a family at a time",
        run: |_| {
            request(&|b| conntrack::flush(b, Some(conntrack::FAMILY_V4), 1))?;
            request(&|b| conntrack::flush(b, Some(conntrack::FAMILY_V6), 2))
        },
    },
];

/// OpenWrt's patch: `f` written into the proc file. In other trees it is refused, or does nothing.
pub const FLUSH_PROC: Way = Way {
    name: "the proc file",
    run: |root| {
        let fd = root.open(TEXT, OFlag::O_WRONLY)?;
        nix::unistd::write(&fd, b"f\n").map(drop)
    },
};
