//! What nix and the C library do with the heap only, for the loop, which has none: a program started, a folder read.
#![allow(unsafe_code)]

use super::root::terminated;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc::{self, c_char};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, setpgid};
use std::ffi::CStr;
use std::os::fd::AsRawFd;

unsafe extern "C" {
    /// fork without the care for threads and their locks, which is 3 KB of musl; POSIX 2024, and in every libc since 2021.
    fn _Fork() -> libc::pid_t;
}

/// Words, or variables, at most.
pub const WORDS: usize = 8;

/// The pointers that execve wants, the last of them null.
fn pointers(words: &[&CStr]) -> [*const c_char; WORDS + 1] {
    let mut pointers = [std::ptr::null(); WORDS + 1];
    for (pointer, word) in pointers.iter_mut().zip(words).take(WORDS) {
        *pointer = word.as_ptr();
    }
    pointers
}

/// Starts `words[0]` in a process group of its own. Descriptors that are not closed by exec are its own business.
pub fn start(words: &[&CStr], environment: &[&CStr]) -> Result<Pid, Errno> {
    let (words, environment) = (pointers(words), pointers(environment));
    // SAFETY: the child makes system calls only, on values made before: it neither allocates nor takes a lock.
    let child = Errno::result(unsafe { _Fork() })?;
    if child == 0 {
        // SAFETY: as above; the pointers are to texts that end in a zero, and the last one is null. SIGPIPE is ignored here,
        // which a script must not inherit.
        unsafe {
            libc::setpgid(0, 0);
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::execve(words[0], words.as_ptr(), environment.as_ptr());
            libc::_exit(127)
        }
    }
    let child = Pid::from_raw(child);
    // In both, so that it is so whoever runs first.
    let _ = setpgid(child, child);
    Ok(child)
}

/// Gives every name of a folder that is UTF-8, in no order, `.` and `..` too.
pub fn names(folder: &str, tell: &mut dyn FnMut(&str)) -> Result<(), Errno> {
    let fd = open(&terminated(folder), OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
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
