//! The few things that neither std nor nix offers without `unsafe`: each block says why it is sound.

use crate::netns::Netns;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The header builds the number with the size of an int, but the kernel reads a whole ifreq (drivers/net/tun.c), so nix's
/// ioctl macros, which take size and type from one place, cannot name it.
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;

/// A tun device `name` (bare IP packets, no header) in the calling thread's network namespace, non-blocking.
/// It lives as long as the file is open.
pub fn open_tun(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: ifreq is plain old data; all zeroes is a valid value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is /dev/net/tun's and the request lives through the call.
    match unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, &request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(file),
    }
}

/// Makes `command` start inside `ns` and get `parting` when the thread that spawns it ends: spawn it from the main thread.
pub fn inside(command: &mut Command, ns: &Netns, parting: Signal) {
    let fd = ns.file();
    // SAFETY: between fork and exec only two system calls are made; neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(move || {
            setns(&*fd, CloneFlags::CLONE_NEWNET)?;
            set_pdeathsig(parting)?;
            Ok(())
        })
    };
}

/// Lets the calling thread go ahead of ordinary work: a WAN that comes late because a compiler runs is not 80 ms away.
pub fn hurry() {
    // SAFETY: setpriority takes three integers; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}
