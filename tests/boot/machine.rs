//! The emulated machine as its first process sees it: nothing is mounted, loaded or up.

use std::ffi::CStr;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::kmod::{ModuleInitFlags, finit_module};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, send, socket};

use crate::Outcome;

/// In this order, where the kernel has them as modules. Not tun, which the router needs before there is a table.
const CONNTRACK: [&str; 7] = [
    "crc32c_generic",
    "libcrc32c",
    "nf_defrag_ipv4",
    "nf_defrag_ipv6",
    "nf_conntrack",
    "nfnetlink",
    "nf_conntrack_netlink",
];

/// Looks every 10 ms until `look` finds something; a fault after `patience`.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() > patience {
            return Err(format!("{what}: not within {} s", patience.as_secs()));
        }
        sleep(Duration::from_millis(10));
    }
}

/// Mounts what every program counts on.
pub fn mount_all() -> Outcome<()> {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp"), ("tmpfs", "/var")]
    {
        fs::create_dir_all(at).map_err(|e| format!("{at}: {e}"))?;
        // The kernel may have mounted /dev by itself.
        if let Err(e) = mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)
            && e != nix::errno::Errno::EBUSY
        {
            return Err(format!("mounting {at}: {e}"));
        }
    }
    fs::create_dir_all("/var/run").map_err(|e| format!("/var/run: {e}"))
}

fn load(name: &str, parameters: &CStr) -> Outcome<()> {
    let path = format!("/modules/{name}.ko");
    // Built into this kernel; what is neither built in nor there will be missed by what comes next.
    if !Path::new(&path).exists() {
        return Ok(());
    }
    let file = File::open(&path).map_err(|e| format!("{path}: {e}"))?;
    finit_module(&file, parameters, ModuleInitFlags::empty()).map_err(|e| format!("loading {name}: {e}"))
}

/// Is the module of connection tracking there to be loaded, or part of the kernel?
pub fn conntrack_is_module() -> bool {
    Path::new("/modules/nf_conntrack.ko").exists()
}

/// Loads connection tracking.
pub fn load_conntrack() -> Outcome<()> {
    CONNTRACK.iter().try_for_each(|name| load(name, parameters(name)))
}

/// What loads a module by its name, where programs look for it.
pub const LOADER: &str = "/sbin/modprobe";

/// This program is that too.
pub fn install_loader() -> Outcome<()> {
    let install = || -> std::io::Result<()> {
        fs::create_dir_all("/sbin")?;
        symlink("/init", LOADER)
    };
    install().map_err(|e| format!("{LOADER}: {e}"))
}

/// Loads what there is under that name. The kernel asks for others too, by what they are for.
pub fn load_one(name: &str) -> Outcome<()> {
    match CONNTRACK.contains(&name) {
        true => load(name, parameters(name)),
        false => Err(format!("no module {name}")),
    }
}

/// Is a module of that name loaded now?
pub fn is_loaded(name: &str) -> bool {
    let text = fs::read_to_string("/proc/modules").unwrap_or_default();
    text.lines().any(|l| l.split(' ').next() == Some(name))
}

/// A dump of the table that nobody reads: until the socket is closed, it holds ctnetlink's module, and that one the table's.
/// There has to be more in the table than a datagram takes.
pub fn hold_ctnetlink() -> Outcome<OwnedFd> {
    const NETLINK: AddressFamily = AddressFamily::Netlink;
    let fd = socket(NETLINK, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter);
    let fd = fd.map_err(|e| format!("ctnetlink: {e}"))?;
    // The length; CTNETLINK and GET, REQUEST and DUMP; a sequence and a port of nobody; all families.
    let (length, kind, flags) = (20_u32.to_ne_bytes(), 0x101_u16.to_ne_bytes(), 0x301_u16.to_ne_bytes());
    let request = [&length[..], &kind, &flags, &[0; 12]].concat();
    send(fd.as_raw_fd(), &request, MsgFlags::empty()).map_err(|e| format!("ctnetlink: {e}"))?;
    Ok(fd)
}

/// Connection tracking tracks without any rule.
fn parameters(name: &str) -> &'static CStr {
    if name == "nf_conntrack" { c"enable_hooks=1" } else { c"" }
}

pub fn load_tun() -> Outcome<()> {
    load("tun", c"")
}

/// Gives an interface an address, its network and sets it up.
#[allow(unsafe_code)]
pub fn up(name: &str, address: Ipv4Addr, bits: u8) -> Outcome<()> {
    let fd =
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(|e| format!("{e}"))?;
    // SAFETY: ifreq is plain old data; all zeroes is a valid value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    let ask = |what: &str, number: libc::c_ulong, request: &libc::ifreq| {
        // SAFETY: these three requests read an ifreq, and it lives through the call.
        match unsafe { libc::ioctl(fd.as_raw_fd(), number as _, request) } {
            -1 => Err(format!("{name}: {what}: {}", std::io::Error::last_os_error())),
            _ => Ok(()),
        }
    };
    let mask = Ipv4Addr::from(u32::MAX << (32 - u32::from(bits)));
    let requests = [("address", libc::SIOCSIFADDR, address), ("netmask", libc::SIOCSIFNETMASK, mask)];
    for (what, number, value) in requests {
        let value = libc::sockaddr_in {
            sin_family: libc::AF_INET as _,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(value.octets()) },
            sin_zero: [0; 8],
        };
        // SAFETY: a sockaddr_in is as large as a sockaddr and made to be taken for one.
        request.ifr_ifru.ifru_addr = unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(value) };
        ask(what, number as _, &request)?;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as _;
    ask("up", libc::SIOCSIFFLAGS as _, &request)
}

/// Ends the emulation: without a way to switch itself off a board can at least restart, and the emulator is told not to.
pub fn end() {
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

/// A number in a file.
pub fn number(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Seconds since the kernel started.
pub fn uptime() -> String {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_string()
}

/// `MemTotal`, in MiB.
pub fn memory_mib() -> u32 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let words = |l: &str| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u32>().ok();
    text.lines().find_map(words).unwrap_or(0) / 1024
}
