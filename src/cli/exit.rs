//! How a command ended, for scripts.

use super::text::complain;
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

/// An error of the system in words: std's, since a second table of them (nix's) is 5 KB.
pub struct Why(pub Errno);

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        io::Error::from(self.0).fmt(f)
    }
}

/// An error on the way to the table: in one line what is missing and what to do.
pub fn complain_of(e: Errno) -> Exit {
    let (exit, text) = match e {
        Errno::EPERM | Errno::EACCES => (Exit::NotPermitted, "not permitted; it takes CAP_NET_ADMIN (run as root)"),
        Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::EOPNOTSUPP => {
            (Exit::Fault, "the kernel has no ctnetlink; install kmod-nf-conntrack-netlink")
        }
        Errno::ENOENT => (Exit::Fault, "no connection tracking here; is nf_conntrack loaded (kmod-nf-conntrack)?"),
        Errno::EROFS => (Exit::NotPermitted, "read-only; only the initial network namespace may write this"),
        _ => {
            complain(format_args!("{}", Why(e)));
            return Exit::Fault;
        }
    };
    complain(format_args!("{text}"));
    exit
}

/// Of an error on the way to the daemon: is it that none is there?
pub fn no_daemon(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
