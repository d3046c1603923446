//! What the terminal is like, and how it treats keys. nix's way has types for every flag there is.
#![allow(unsafe_code)]

use nix::libc::{self, c_long};

/// Rows and columns of the terminal; 24 and 80 if it does not say.
pub fn size() -> (usize, usize) {
    // SAFETY: four numbers, for which any bits will do.
    let mut said: libc::winsize = unsafe { core::mem::zeroed() };
    ask_terminal(1, libc::TIOCGWINSZ as c_long, &raw mut said);
    match (said.ws_row, said.ws_col) {
        (0, _) | (_, 0) => (24, 80),
        (rows, columns) => (rows.into(), columns.into()),
    }
}

/// How the terminal treats keys.
pub struct Modes(libc::termios);

impl Modes {
    /// As they are; `None`: standard input is no terminal.
    pub fn now() -> Option<Self> {
        // SAFETY: numbers, for which any bits will do.
        let mut modes = Self(unsafe { core::mem::zeroed() });
        ask_terminal(0, libc::TCGETS as c_long, &raw mut modes.0).then_some(modes)
    }

    /// Keys come one by one and are not shown; Ctrl-C is one of them.
    pub fn set_for_keys(&self) {
        let mut modes = self.0;
        modes.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG);
        set(modes);
    }

    /// As they were. Keys that nobody read are not left to the shell.
    pub fn set_back(&self) {
        set(self.0);
    }
}

fn set(mut modes: libc::termios) {
    ask_terminal(0, libc::TCSETSF as c_long, &raw mut modes);
}

/// The bare system call: musl's ioctl, with all that it makes right for old kernels, is 1.2 KB on MIPS.
fn ask_terminal<T>(fd: c_long, what: c_long, of: *mut T) -> bool {
    // SAFETY: requests of what a terminal is, each with the type that it wants; libc's termios begins as the kernel's does,
    // and is longer.
    unsafe { libc::syscall(libc::SYS_ioctl, fd, what, of) == 0 }
}
