//! Where libc's start leads to. std's own `main` would do more than is wanted here: it keeps the arguments on the heap, and
//! has handlers for stacks that overflow and output that is buffered.
#![allow(unsafe_code)]

use nix::fcntl::{OFlag, open};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;
use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsRawFd, IntoRawFd};

#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    open_standard();
    // SAFETY: no handler, and no other thread. Writes to a closed pipe then are an error like others.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    // SAFETY: libc hands over so many words, which stay for as long as the program runs.
    let words = unsafe { std::slice::from_raw_parts(words, count as usize) };
    // SAFETY: as above; each ends with a zero.
    let words = words.iter().map(|word| unsafe { CStr::from_ptr(*word) }.to_str().ok());
    crate::run(&mut words.skip(1)) as c_int
}

/// Puts /dev/null in the place of standard input, output and error where they are closed, or the next file would be them.
fn open_standard() {
    while let Ok(fd) = open("/dev/null", OFlag::O_RDWR, Mode::empty()) {
        if fd.as_raw_fd() > 2 {
            return;
        }
        let _ = fd.into_raw_fd();
    }
}
