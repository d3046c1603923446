//! The only place where a system path is made.
//!
//! `--root DIR` puts DIR before every one of them: a folder of plain files then stands for the system, and nothing of the
//! real one is read or written (the kernel's sockets are not used then either).

use ctwarden::text::without_end;
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use nix::sys::uio::pread;
use nix::unistd::{read, write};
use std::ffi::CStr;
use std::fmt::Write as _;
use std::os::fd::OwnedFd;

/// All that is read line by line is read in pieces of this: the longest record of the log. One size, since each size is
/// another copy of the splitter in the binary.
pub const PIECE: usize = ctwarden::observe::kmsg::RECORD_MAX;
/// Longest path, with its root.
pub const PATH_MOST: usize = 256;

/// A path with its root, on the stack.
pub type SystemPath = heapless::String<PATH_MOST>;

/// A path as the system wants it. nix's own way for texts has the heap at hand for long ones: 2 KB on MIPS.
pub struct Terminated([u8; PATH_MOST + 1]);

/// What does not fit is cut: no path of ours is longer.
pub fn terminated(path: &str) -> Terminated {
    let mut text = [0; PATH_MOST + 1];
    text.iter_mut().zip(path.bytes().take(PATH_MOST)).for_each(|(to, byte)| *to = byte);
    Terminated(text)
}

impl Terminated {
    pub fn c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

impl NixPath for Terminated {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn len(&self) -> usize {
        self.c().count_bytes()
    }
    fn with_nix_path<T, F: FnOnce(&CStr) -> T>(&self, f: F) -> Result<T, Errno> {
        Ok(f(self.c()))
    }
}

/// One thing to be read, under the names it has had over the years, the newest first.
pub type Names = &'static [&'static str];

pub const COUNT: Names =
    &["proc/sys/net/netfilter/nf_conntrack_count", "proc/sys/net/ipv4/netfilter/ip_conntrack_count"];
pub const MAX: Names = &[
    "proc/sys/net/netfilter/nf_conntrack_max",
    "proc/sys/net/nf_conntrack_max",
    "proc/sys/net/ipv4/netfilter/ip_conntrack_max",
    "proc/sys/net/ipv4/ip_conntrack_max",
];
/// The module parameter is writable where the sysctl is not yet there (before 4.7).
pub const BUCKETS: Names = &[
    "proc/sys/net/netfilter/nf_conntrack_buckets",
    "sys/module/nf_conntrack/parameters/hashsize",
    "proc/sys/net/ipv4/netfilter/ip_conntrack_buckets",
];
pub const LIBERAL: Names =
    &["proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "proc/sys/net/ipv4/netfilter/ip_conntrack_tcp_be_liberal"];
pub const STAT: Names = &["proc/net/stat/nf_conntrack", "proc/net/stat/ip_conntrack"];
pub const TEXT: Names = &["proc/net/nf_conntrack", "proc/net/ip_conntrack"];
pub const MEMINFO: Names = &["proc/meminfo"];
pub const SLABINFO: Names = &["proc/slabinfo"];
pub const KMSG: Names = &["dev/kmsg"];
pub const BOOT_ID: Names = &["proc/sys/kernel/random/boot_id"];
pub const RELEASE: Names = &["proc/sys/kernel/osrelease"];
pub const ARCH: Names = &["proc/sys/kernel/arch"];
pub const NETNS: &[&str] = &["proc/self/ns/net"];
pub const BOARD_NAME: Names = &["tmp/sysinfo/board_name"];
/// What the device tree calls the board and its SoC.
pub const COMPATIBLE: Names = &["sys/firmware/devicetree/base/compatible"];
/// The driver of the Nth radio: a link.
pub const RADIO_DRIVER: [&str; 2] = ["sys/class/ieee80211/phy", "/device/driver"];
/// Where each timeout's sysctl stands, with the prefix of its name.
pub const TIMEOUT_FOLDERS: [(&str, &str); 2] = [
    ("proc/sys/net/netfilter/", ctwarden::observe::timeouts::PREFIX),
    ("proc/sys/net/ipv4/netfilter/", ctwarden::observe::timeouts::LEGACY_PREFIX),
];
/// ubusd's socket, the newest name first.
pub const UBUS: [&str; 2] = ["var/run/ubus/ubus.sock", "var/run/ubus.sock"];
pub const CONFIG: &str = "etc/config/ctwarden";
/// Where textfile collectors look for metrics.
pub const TEXTFILE_DIR: &str = "var/prometheus";
pub const TEXTFILE: &str = "var/prometheus/ctwarden.prom";
pub const STATE_DIR: &str = "var/run/ctwarden";
pub const PROGRAM_FOLDERS: [&str; 5] = ["usr/sbin/", "sbin/", "usr/bin/", "bin/", "usr/local/sbin/"];
pub const OWN_PROGRAM: &str = "proc/self/exe";
pub const NOWHERE: Names = &["dev/null"];
/// The lists of `-m recent`.
pub const RECENT: &str = "proc/net/xt_recent/";
/// The tables that iptables-legacy has loaded.
pub const IPTABLES_NAMES: Names = &["proc/net/ip_tables_names"];
pub const IP6TABLES_NAMES: Names = &["proc/net/ip6_tables_names"];
/// The owner's scripts, and OpenWrt's program that runs such.
pub const HOOKS: &str = "etc/hotplug.d/ctwarden";
pub const HOTPLUG_CALL: &str = "sbin/hotplug-call";
/// Of the real system, whatever the root is.
pub const SHELL: &std::ffi::CStr = c"/bin/sh";
#[cfg(feature = "stateless")]
/// There where connection tracking is loaded, or built in and has parameters.
pub const TRACKING: &str = "sys/module/nf_conntrack";
#[cfg(feature = "stateless")]
pub const MODULES: Names = &["proc/modules"];
#[cfg(feature = "stateless")]
/// Where the resolvers stand that the WAN has told of; /etc/resolv.conf names the router itself on OpenWrt.
pub const RESOLVERS: Names = &["tmp/resolv.conf.d/resolv.conf.auto", "tmp/resolv.conf.auto", "etc/resolv.conf"];
pub const FIREWALL_SCRIPT: &str = "etc/init.d/firewall";
/// Of two fragments of one name the one in the folder that comes first counts.
pub const SYSCTL_FOLDERS: [&str; 3] = ["etc/sysctl.d/", "run/sysctl.d/", "usr/lib/sysctl.d/"];
/// Comes after all fragments.
pub const SYSCTL_CONF: &str = "etc/sysctl.conf";
pub const SYSCTL_FRAGMENT: &str = "etc/sysctl.d/60-ctwarden.conf";

/// The folder that stands for `/`.
#[derive(Clone, Debug)]
pub struct Root {
    prefix: heapless::String<128>,
}

impl Root {
    /// `None`: the path is longer than 128 bytes. `""` and `"/"` are the real system.
    pub fn new(dir: &str) -> Option<Self> {
        let prefix = heapless::String::try_from(without_end(dir, b"/")).ok()?;
        Some(Self { prefix })
    }

    /// Is it the real system?
    pub fn is_real(&self) -> bool {
        self.prefix.is_empty()
    }

    /// A path below the root. What does not fit is cut, and will not be found.
    pub fn path(&self, parts: &[&str]) -> SystemPath {
        let mut path = SystemPath::new();
        for part in [&*self.prefix, "/"].iter().chain(parts) {
            let _ = path.push_str(part);
        }
        path
    }

    /// Opens the first of the names that is there. ENOENT: none is.
    pub fn open(&self, names: Names, flags: OFlag) -> Result<OwnedFd, Errno> {
        let mut fault = Errno::ENOENT;
        for name in names {
            match open(&terminated(&self.path(&[name])), flags | OFlag::O_CLOEXEC, Mode::from_bits_truncate(0o644)) {
                Ok(fd) => return Ok(fd),
                // A name that is there but may not be read says more than one that is not there.
                Err(e) if fault == Errno::ENOENT => fault = e,
                Err(_) => {}
            }
        }
        Err(fault)
    }

    /// Reads a file from its beginning into `room`; longer ones are cut.
    pub fn read<'a>(&self, names: Names, room: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        let fd = self.open(names, OFlag::O_RDONLY)?;
        read_all(&fd, room)
    }

    /// Writes a number into the first of the names that can be opened for writing.
    pub fn write_number(&self, names: Names, value: u32) -> Result<(), Errno> {
        let fd = self.open(names, OFlag::O_WRONLY | OFlag::O_TRUNC)?;
        let mut text = heapless::String::<32>::new();
        let _ = writeln!(text.as_mut_view(), "{value}");
        write(&fd, text.as_bytes()).map(drop)
    }
}

/// What a link leads to, as much as there is room for.
#[allow(unsafe_code)]
pub fn link<'a>(path: &SystemPath, room: &'a mut [u8]) -> Option<&'a [u8]> {
    // SAFETY: a text that ends with a zero, and as much room as is said. nix's way asks for the size of the link too, and
    // stat is 1.5 KB on MIPS.
    let n = unsafe { libc::readlink(terminated(path).c().as_ptr(), room.as_mut_ptr().cast(), room.len()) };
    room.get(..usize::try_from(n).ok()?)
}

/// Reads until the end or until `room` is full.
pub fn read_all<'a>(fd: &OwnedFd, room: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    let mut used = 0;
    while let Some(rest) = room.get_mut(used..).filter(|r| !r.is_empty()) {
        match read(fd, rest) {
            Ok(0) => break,
            Ok(n) => used += n,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(room.get(..used).unwrap_or(&[]))
}

/// A file that is read at every look: kept open, so that a look costs one system call. Opened anew when it fails, since
/// a module that was unloaded and loaded again has new files.
#[derive(Debug)]
pub struct Kept {
    names: Names,
    fd: Option<OwnedFd>,
}

impl Kept {
    pub const fn new(names: Names) -> Self {
        Self { names, fd: None }
    }

    /// Its text now.
    pub fn read<'a>(&mut self, root: &Root, room: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        if let Some(fd) = &self.fd {
            match pread(fd, room, 0) {
                Ok(n) => return Ok(room.get(..n).unwrap_or(&[])),
                Err(_) => self.fd = None,
            }
        }
        let fd = root.open(self.names, OFlag::O_RDONLY)?;
        let n = pread(&fd, room, 0)?;
        self.fd = Some(fd);
        Ok(room.get(..n).unwrap_or(&[]))
    }
}
