//! Standard output and error as bare descriptors: std's buffered output is 3 KB on MIPS and a heap allocation, for nothing
//! that is wanted here. Unsafe code is here, in `begin`, and where nix is too large: `link`, the firewall's programs, the
//! owner's scripts.
#![allow(unsafe_code)]

use nix::libc;
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

/// Rows and columns of the terminal; 24 and 80 if it does not say.
pub fn size() -> (usize, usize) {
    // SAFETY: the kernel fills in four numbers, for which any bits will do.
    let said: libc::winsize = unsafe {
        let mut said = core::mem::zeroed();
        libc::ioctl(1, libc::TIOCGWINSZ, &mut said);
        said
    };
    match (said.ws_row, said.ws_col) {
        (0, _) | (_, 0) => (24, 80),
        (rows, columns) => (rows.into(), columns.into()),
    }
}

/// How the terminal treats keys. nix's way has types for every flag there is.
pub struct Modes(libc::termios);

impl Modes {
    /// As they are; `None`: standard input is no terminal.
    pub fn now() -> Option<Self> {
        // SAFETY: any bits will do for a place that is filled in, and is used only if it was.
        unsafe {
            let mut modes = core::mem::zeroed();
            (libc::tcgetattr(0, &mut modes) == 0).then_some(Self(modes))
        }
    }

    /// Keys come one by one and are not shown; Ctrl-C is one of them.
    pub fn set_for_keys(&self) {
        let mut modes = self.0;
        modes.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG);
        set(&modes);
    }

    /// As they were. Keys that nobody read are not left to the shell.
    pub fn set_back(&self) {
        set(&self.0);
    }
}

fn set(modes: &libc::termios) {
    // SAFETY: modes that the kernel gave, but for some flags.
    unsafe { libc::tcsetattr(0, libc::TCSAFLUSH, modes) };
}
