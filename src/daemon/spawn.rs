//! A program started from the loop: without the heap, which nix's posix_spawn and the C library's file actions use.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc::{self, c_char, c_short};
use nix::unistd::Pid;
use std::ffi::CStr;
use std::mem::MaybeUninit;

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
