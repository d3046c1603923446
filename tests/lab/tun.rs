//! tun devices: bare IP packets, written and read by a program.

use nix::libc;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// A tun device `name` (no header before the packet) in the calling thread's network namespace, non-blocking.
/// It lives as long as the file is open.
#[allow(unsafe_code)]
pub fn open_tun(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: ifreq is plain old data; all zeroes is a valid value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // nix's ioctl macros cannot name this request: its number says the size of an int, but the kernel reads a whole ifreq
    // (drivers/net/tun.c).
    // SAFETY: the descriptor is /dev/net/tun's and the request lives through the call.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(file),
    }
}
