//! Packets that the kernel tracks, and what it says when it refuses one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::process::Command;
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Outcome;
use crate::ctnetlink::Flow;
use crate::entries::{established, make_what_fits, v4};
use crate::host::{count, own_path, timed};
use crate::netns::Netns;
use crate::subject::until;
use crate::world::limits;

const RULES: &str = "add table inet tests; add chain inet tests out { type filter hook output priority 0; }; \
                     add rule inet tests out ct state new counter";

/// From now on packets over the loopback of `netns` (none: ours) are tracked: the kernel does so where a rule asks for it.
pub fn track(netns: Option<&Netns>) -> Outcome<()> {
    for words in [&["ip", "link", "set", "lo", "up"][..], &["nft", RULES]] {
        let mut command = match netns {
            Some(netns) => {
                let mut command = Command::new(own_path()?);
                command.args(["inside", "--net"]).arg(netns.path()).args(words);
                command
            }
            None => {
                let mut command = Command::new(words[0]);
                command.args(&words[1..]);
                command
            }
        };
        timed(&mut command)?;
    }
    Ok(())
}

/// Does `work` while packets over our loopback are tracked; not any more afterwards, whatever came of it.
pub fn tracked(work: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
    track(None)?;
    let done = work();
    timed(Command::new("nft").arg("delete table inet tests"))?;
    done
}

/// Flows that fill the table of the calling thread's namespace to the brim: established ones, which the kernel never evicts
/// by itself.
pub fn brim() -> Outcome<Vec<Flow>> {
    let missing = limits()?.max.saturating_sub(count()?);
    Ok((0..missing).map(|n| established(v4(10, 9, 0, 1), n, 100 + n / 50)).collect())
}

/// Fills it where others come meanwhile: they may have taken the last places.
pub fn fill_up() -> Outcome<()> {
    make_what_fits(&brim()?)
}

/// A packet of a new flow, to `port` of the loopback; true: it was refused.
pub fn new_flow(port: u16) -> Outcome<bool> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).map_err(|e| format!("UDP socket: {e}"))?;
    match socket.send_to(b"test", (IpAddr::from([127, 0, 0, 1]), port)) {
        Ok(_) => Ok(false),
        // A refused packet of our own is EPERM.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(true),
        Err(e) => Err(format!("a packet: {e}")),
    }
}

/// The inode number of the calling thread's namespace, by which the kernel's line names it.
pub fn namespace() -> Outcome<u64> {
    std::fs::metadata("/proc/thread-self/ns/net").map(|m| m.ino()).map_err(|e| format!("own namespace: {e}"))
}

/// The kernel's log from where it ended when opened.
pub struct Kmsg(File);

impl Kmsg {
    pub fn at_end() -> Outcome<Self> {
        let open = || -> std::io::Result<Self> {
            let mut file =
                OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
            file.seek(SeekFrom::End(0))?;
            Ok(Self(file))
        };
        open().map_err(|e| format!("/dev/kmsg: {e}"))
    }

    /// Writes a line as a program does.
    pub fn write(&mut self, line: &str) -> Outcome<()> {
        self.0.write_all(format!("{line}\n").as_bytes()).map_err(|e| format!("/dev/kmsg: {e}"))
    }

    /// Writes lines until some were lost to this reader, which has read none of them: as many as the kernel keeps, and more.
    pub fn overrun(&self) -> Outcome<()> {
        let line = format!("<7>{}\n", "filler ".repeat(120));
        until("the kernel's log is overrun", Duration::from_secs(30), || {
            // What it takes of one opened file in five seconds is ten lines. These are not for the console.
            let mut file = OpenOptions::new().write(true).open("/dev/kmsg").map_err(|e| format!("/dev/kmsg: {e}"))?;
            for _ in 0..10 {
                file.write_all(line.as_bytes()).map_err(|e| format!("/dev/kmsg: {e}"))?;
            }
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).map_err(|e| format!("/dev/kmsg: {e}"))?;
            // Data have vanished under a reader.
            Ok(fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLERR)).then_some(()))
        })
    }

    /// Waits for a record with `part`.
    pub fn shows(&mut self, part: &str, patience: Duration) -> Outcome<()> {
        let mut record = [0; 8192];
        until(&format!("/dev/kmsg shows {part:?}"), patience, || match self.0.read(&mut record) {
            Ok(n) => Ok(String::from_utf8_lossy(&record[..n]).contains(part).then_some(())),
            // EPIPE: records were lost before we read them; go on with the oldest.
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::BrokenPipe) => Ok(None),
            Err(e) => Err(format!("/dev/kmsg: {e}")),
        })
    }
}

/// A refusal in the calling thread's full namespace that the kernel really writes down: of all network warnings it writes
/// ten in five seconds, so it may take a few.
pub fn refused_and_logged(kmsg: &mut Kmsg) -> Outcome<()> {
    let line = format!("table full in netns {},", namespace()?);
    let mut port = 10_000;
    until("the kernel logs a refusal", Duration::from_secs(12), || {
        port += 1;
        if !new_flow(port)? {
            return Err(format!("the table is not full: {} entries", count()?));
        }
        Ok(kmsg.shows(&line, Duration::from_millis(20)).ok())
    })
}
