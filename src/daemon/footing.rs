//! What the daemon asks of the system for itself: memory that stays, its turn on the CPU, an end together with its jail.

use nix::errno::Errno;
use nix::libc;

/// The lowest of the real-time class: before all that is not in it, and behind what the system has there.
const REALTIME: libc::c_int = 1;

/// Asks for them. An error is of the turn alone: the others are done without where they are not to be had.
#[allow(unsafe_code)]
pub fn settle(realtime: bool) -> Result<(), Errno> {
    // SAFETY: numbers only; what is locked is this program's own. Its pages as they come into use: all of its room for
    // buffers is more than what a small router would miss. Kernels before 4.4 know nothing of this.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_ONFAULT) };
    // SAFETY: a number.
    if unsafe { libc::getpid() } == 1 {
        // The first of a jail. Were the jail killed, this would go on unseen, beside the one that is started anew.
        // SAFETY: numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
    }
    if realtime {
        // Not for the programs and scripts that are started: one that spins would starve a router of one core.
        // musl's own only says that it is not implemented.
        // SAFETY: the kernel reads one int there.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &REALTIME)
        })?;
    }
    Ok(())
}
