//! How a command ended, for scripts.

use super::text::complain;
use nix::errno::Errno;

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

impl Exit {
    /// From its number; what is none is a fault.
    pub fn from_number(n: u8) -> Exit {
        use Exit::*;
        [Done, Fault, Usage, NoDaemon, NotPermitted, Refused].into_iter().find(|e| *e as u8 == n).unwrap_or(Fault)
    }
}

/// An error of the system in words: those that files, folders and sockets meet. The system's own table of all of them
/// is 5 KB on MIPS.
pub struct Why(pub Errno);

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Errno::EPERM | Errno::EACCES => "permission denied",
            Errno::ENOENT => "no such file or folder",
            Errno::EISDIR => "is a folder",
            Errno::ENOTDIR => "not a folder",
            Errno::EROFS => "read-only file system",
            Errno::ENOSPC => "no space left",
            Errno::EADDRINUSE => "address in use",
            Errno::ENAMETOOLONG | Errno::EINVAL => "path too long or not valid",
            Errno::ECONNRESET | Errno::EPIPE => "connection lost",
            Errno::EIO => "input/output error",
            other => return write!(f, "errno {}", other as i32),
        })
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
        Errno::EBADMSG => (Exit::Fault, "what the kernel says of the table makes no sense; nothing is done about it"),
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
pub fn no_daemon(e: Errno) -> bool {
    matches!(e, Errno::ENOENT | Errno::ECONNREFUSED)
}
