//! In a build for the crash matrix: dies by SIGKILL at the step whose number `CTWARDEN_CRASH_AT` says. Else nothing.
//!
//! A step stands wherever something has just been written down or done, so that what a crash leaves there is tried:
//! `tests/crash/run`.

/// One step has been taken.
#[inline(always)]
pub fn step() {
    #[cfg(feature = "crash-points")]
    counted::step();
}

#[cfg(feature = "crash-points")]
mod counted {
    use nix::sys::signal::{Signal, raise};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static TAKEN: AtomicU32 = AtomicU32::new(0);
    static LAST: OnceLock<u32> = OnceLock::new();

    pub fn step() {
        let last = *LAST
            .get_or_init(|| std::env::var("CTWARDEN_CRASH_AT").ok().and_then(|n| n.parse().ok()).unwrap_or(u32::MAX));
        if TAKEN.fetch_add(1, Ordering::Relaxed) + 1 >= last {
            let _ = raise(Signal::SIGKILL);
        }
    }
}
