//! What nix and the C library do with the heap only, for the loop, which has none: a program started, a folder read.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc::{self, c_char, c_short};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// Words, or variables, at most.
pub const WORDS: usize = 8;

/// The pointers that execve wants, the last of them null.
fn pointers(words: &[&CStr]) -> [*mut c_char; WORDS + 1] {
    let mut pointers = [std::ptr::null_mut(); WORDS + 1];
    for (pointer, word) in pointers.iter_mut().zip(words).take(WORDS) {
        *pointer = word.as_ptr().cast_mut();
    }
    pointers
}

/// Starts `words[0]` in a process group of its own. Descriptors that are not closed by exec are its own business.
pub fn start(words: &[&CStr], environment: &[&CStr]) -> Result<Pid, Errno> {
    let (words, environment) = (pointers(words), pointers(environment));
    let flags = (libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGDEF) as c_short;
    let mut pid = 0;
    let mut attributes = MaybeUninit::uninit();
    let mut signals = MaybeUninit::uninit();
    // SAFETY: attributes and signals are made before they are used; the pointers are to texts that end in a zero, live
    // through the call, and the last one is null. std ignores SIGPIPE, which a script must not inherit.
    let errno = unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGPIPE);
        libc::posix_spawnattr_init(attributes.as_mut_ptr());
        libc::posix_spawnattr_setflags(attributes.as_mut_ptr(), flags);
        libc::posix_spawnattr_setpgroup(attributes.as_mut_ptr(), 0);
        libc::posix_spawnattr_setsigdefault(attributes.as_mut_ptr(), signals.as_ptr());
        libc::posix_spawn(
            &mut pid,
            words[0],
            std::ptr::null(),
            attributes.as_ptr(),
            words.as_ptr(),
            environment.as_ptr(),
        )
    };
    if errno == 0 { Ok(Pid::from_raw(pid)) } else { Err(Errno::from_raw(errno)) }
}

/// Gives every name of a folder that is UTF-8, in no order, `.` and `..` too.
pub fn names(folder: &str, tell: &mut dyn FnMut(&str)) -> Result<(), Errno> {
    let fd = open(folder, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    // Longer than any one entry.
    let mut room = [0u8; 1024];
    loop {
        // SAFETY: the kernel writes so many bytes at most.
        let got = unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), room.as_mut_ptr(), room.len()) };
        let mut rest = match Errno::result(got)? {
            0 => return Ok(()),
            n => room.get(..n as usize).unwrap_or_default(),
        };
        // struct linux_dirent64: two numbers of 8 bytes, the entry's length, its type, its name with a zero.
        while let Some([low, high]) = rest.get(16..).and_then(|r| r.first_chunk()) {
            let length = u16::from_ne_bytes([*low, *high]) as usize;
            if let Some(Ok(Ok(name))) = rest.get(19..length).map(|n| CStr::from_bytes_until_nul(n).map(CStr::to_str)) {
                tell(name);
            }
            rest = rest.get(length.max(19)..).unwrap_or_default();
        }
    }
}
