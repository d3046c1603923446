//! Standard output and error as bare descriptors: std's buffered output is 3 KB on MIPS and a heap allocation, for nothing
//! that is wanted here. Unsafe code is here, in `begin`, and where nix is too large: `cli::terminal`, `link`, the firewall's
//! programs, the owner's scripts.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

/// Standard input.
pub fn input() -> BorrowedFd<'static> {
    // SAFETY: as for 1.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Standard output.
pub fn out() -> BorrowedFd<'static> {
    // SAFETY: 1 is open for as long as the program runs. `begin` opens /dev/null in its place if it was closed at the start,
    // and nothing here closes it.
    unsafe { BorrowedFd::borrow_raw(1) }
}

/// Standard error.
pub fn err() -> BorrowedFd<'static> {
    // SAFETY: as for 1.
    unsafe { BorrowedFd::borrow_raw(2) }
}
