//! The lists in /proc/net/xt_recent: written, read back, and seen to be gone.

use crate::daemon::root::{PIECE, RECENT, Root, terminated};
use ctwarden::iptables::Family;
use ctwarden::iptables::recent::{last_seen, order};
use ctwarden::iptables::rules::{HEADS, Head};
use ctwarden::observe::lines::LineSplitter;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_getres};
use nix::unistd::{AccessFlags, access, read, write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

/// A list's file: its name in two parts, without what all of ours begin with, and its family.
pub type Name<'a> = ([&'a str; 2], Family);

fn path(root: &Root, (parts, family): Name<'_>) -> crate::daemon::root::SystemPath {
    let [first, second] = parts;
    root.path(&[RECENT, "ctwarden_", first, second, family.suffix()])
}

/// Whether some rule names it.
pub fn is_there(root: &Root, name: Name<'_>) -> bool {
    access(&terminated(&path(root, name)), AccessFlags::F_OK).is_ok()
}

/// The heads of a family that are in the foreign chains now: one system call each.
pub fn heads(root: &Root, family: Family) -> u8 {
    HEADS.iter().filter(|head| is_there(root, (head.marker(), family))).map(|head| head.bit).sum()
}

fn open_list(root: &Root, name: Name<'_>, flags: OFlag) -> Result<OwnedFd, Errno> {
    open(&terminated(&path(root, name)), flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// Puts an address into a list with a stamp of now, or takes it out.
pub fn put(root: &Root, name: Name<'_>, there: bool, address: IpAddr) -> Result<(), Errno> {
    let fd = open_list(root, name, OFlag::O_WRONLY)?;
    write(&fd, order(there, address).as_bytes()).map(drop)
}

/// When an address was put there last, in jiffies.
pub fn seen(root: &Root, name: Name<'_>, address: IpAddr) -> Option<u32> {
    let fd = open_list(root, name, OFlag::O_RDONLY).ok()?;
    let mut splitter = LineSplitter::<PIECE>::new();
    while let Ok(n @ 1..) = read(&fd, splitter.room()) {
        splitter.filled(n);
        while let Some(line) = splitter.next_line() {
            if let Some(jiffies) = last_seen(line.bytes, address) {
                return Some(jiffies);
            }
        }
    }
    None
}

/// The kernel's jiffies now: what it stamps an entry with in the list of a marker, which no packet is ever looked up in.
pub fn now(root: &Root, head: &Head, family: Family) -> Option<u32> {
    let mark = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let name = (head.marker(), family);
    put(root, name, true, mark).ok()?;
    seen(root, name, mark)
}

/// Jiffies in a second: the coarse clocks tick with them. (Measured: 4 ms at 250 Hz. What sysconf says is another unit.)
pub fn jiffies_per_second() -> u32 {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or(0, |tick| tick.tv_nsec());
    u32::try_from(tick).ok().filter(|ns| *ns > 0).map_or(100, |ns| 1_000_000_000 / ns)
}
