//! How a command ended, for scripts.

use nix::errno::Errno;
use std::io;

/// The exit codes; they are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    /// A fault was found: in the config, in the table, in what the kernel answered.
    Fault = 1,
    Usage = 2,
    /// The daemon is not there.
    NoDaemon = 3,
    NotPermitted = 4,
    /// Refused by budget or breaker.
    Refused = 5,
}

/// One line that says what is missing and what to do.
pub fn explain(e: Errno) -> (Exit, &'static str) {
    match e {
        Errno::EPERM | Errno::EACCES => (Exit::NotPermitted, "not permitted; it takes CAP_NET_ADMIN (run as root)"),
        Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::EOPNOTSUPP => {
            (Exit::Fault, "the kernel has no ctnetlink; install kmod-nf-conntrack-netlink")
        }
        Errno::ENOENT => (Exit::Fault, "no connection tracking here; is nf_conntrack loaded (kmod-nf-conntrack)?"),
        Errno::EROFS => (Exit::NotPermitted, "read-only; only the initial network namespace may write this"),
        _ => (Exit::Fault, e.desc()),
    }
}

/// Of an error on the way to the daemon: is it that none is there?
pub fn no_daemon(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
