//! A program started without the heap: nix's and the C library's posix_spawn allocate, and this is called from the loop.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc::{self, c_char};
use nix::unistd::{ForkResult, Pid, fork, setpgid};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Words, or variables, at most.
pub const WORDS: usize = 8;

/// The pointers that execve wants, the last of them null.
fn pointers(words: &[&CStr]) -> Option<[*const c_char; WORDS + 1]> {
    let mut pointers = [std::ptr::null(); WORDS + 1];
    for (pointer, word) in pointers.iter_mut().zip(words) {
        *pointer = word.as_ptr();
    }
    (words.len() <= WORDS).then_some(pointers)
}

/// Starts `words[0]` in a process group of its own, its standard input, output and error `nowhere`.
pub fn start(words: &[&CStr], environment: &[&CStr], nowhere: &OwnedFd) -> Result<Pid, Errno> {
    let (Some(words), Some(environment)) = (pointers(words), pointers(environment)) else {
        return Err(Errno::E2BIG);
    };
    // SAFETY: the child makes system calls only, on values made before: it neither allocates nor takes a lock.
    match unsafe { fork()? } {
        ForkResult::Parent { child } => {
            // In both, so that it is so whoever runs first.
            let _ = setpgid(child, child);
            Ok(child)
        }
        // SAFETY: as above; the pointers are to texts that end in a zero, and the last one is null. std ignores SIGPIPE, which
        // a script must not inherit.
        ForkResult::Child => unsafe {
            libc::setpgid(0, 0);
            for fd in 0..3 {
                libc::dup2(nowhere.as_raw_fd(), fd);
            }
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::execve(words[0], words.as_ptr(), environment.as_ptr());
            libc::_exit(127)
        },
    }
}
