//! What nix and the C library do with the heap only, for the loop, which has none: a program started, a folder read.
#![allow(unsafe_code)]

use super::root::terminated;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc::{self, c_char};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::ffi::{CStr, c_long};
use std::os::fd::AsRawFd;

/// Words, or variables, at most.
pub const WORDS: usize = 15;
const NONE: c_long = 0;

/// The pointers that execve wants, the last of them null. E2BIG: too many.
fn pointers(words: &[&CStr]) -> Result<[*const c_char; WORDS + 1], Errno> {
    let mut pointers = [std::ptr::null(); WORDS + 1];
    let places = pointers.get_mut(..words.len()).filter(|places| places.len() <= WORDS).ok_or(Errno::E2BIG)?;
    places.iter_mut().zip(words).for_each(|(pointer, word)| *pointer = word.as_ptr());
    Ok(pointers)
}

/// Starts a program. `prepare` runs in the child and makes system calls only; `false`: it is not started.
pub fn start(program: &CStr, words: &[&CStr], environment: &[&CStr], prepare: &dyn Fn() -> bool) -> Result<Pid, Errno> {
    let (words, environment) = (pointers(words)?, pointers(environment)?);
    // SAFETY: as fork(2), whose C function takes and gives back locks that nobody else is there for (1.6 KB on MIPS).
    let child =
        Errno::result(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD as c_long, NONE, NONE, NONE, NONE) })?;
    if child > 0 {
        return Ok(Pid::from_raw(child as i32));
    }
    // SAFETY: the pointers are to texts that end in a zero, and the last one is null. SIGPIPE is ignored here, which no other
    // program must inherit. This is the child, of which nothing is to be undone.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        if prepare() {
            libc::execve(program.as_ptr(), words.as_ptr(), environment.as_ptr());
        }
        libc::_exit(127)
    }
}

/// Whether it has ended: then its number is still its own until [`ended`] is asked.
pub fn is_over(pid: Pid) -> bool {
    let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: plain numbers, for which zeros are values; written to by the kernel. nix's way tells all that there is to know
    // of an end, which is 0.7 KB on MIPS.
    unsafe {
        let mut told: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid.as_raw() as libc::id_t, &raw mut told, how) != 0 || told.si_pid() != 0
    }
}

/// How it ended: with status 0 or not; `None`: it has not.
pub fn ended(pid: Pid) -> Result<Option<bool>, Errno> {
    let mut status = 0;
    // SAFETY: `status` is there to be written to. nix's way, which knows all there is to know of an end, is 0.5 KB on MIPS.
    let ended = Errno::result(unsafe { libc::waitpid(pid.as_raw(), &raw mut status, libc::WNOHANG) })?;
    Ok((ended != 0).then_some(status == 0))
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
