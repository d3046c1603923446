//! The heap, for what std, nix and signal-hook put there at the start; the loop makes no allocations. Test builds count
//! them.

/// Gives and never takes back: musl's allocator is 12 KB on MIPS. The signals take 14 of it on a 64-bit CPU, and what is not
/// taken is no memory in use.
#[cfg(not(any(test, feature = "count-allocations")))]
#[global_allocator]
static HEAP: static_alloc::Bump<[u8; 32 * 1024]> = static_alloc::Bump::uninit();

#[cfg(feature = "count-allocations")]
#[allow(unsafe_code)]
mod counting {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicU32, Ordering};

    pub static COUNT: AtomicU32 = AtomicU32::new(0);
    pub static MARK: AtomicU32 = AtomicU32::new(0);

    struct Counting;

    // SAFETY: every call is handed to the system's allocator as it came; only a number is kept besides.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            COUNT.fetch_add(1, Ordering::Relaxed);
            // SAFETY: as above.
            unsafe { System.alloc(layout) }
        }
        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            // SAFETY: as above.
            unsafe { System.dealloc(at, layout) }
        }
    }

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;
}

/// From here on allocations count.
pub fn mark() {
    #[cfg(feature = "count-allocations")]
    counting::MARK
        .store(counting::COUNT.load(std::sync::atomic::Ordering::Relaxed), std::sync::atomic::Ordering::Relaxed);
}

/// Allocations since the mark; `None` in a build that does not count.
pub fn since_mark() -> Option<u32> {
    #[cfg(feature = "count-allocations")]
    {
        use std::sync::atomic::Ordering::Relaxed;
        Some(counting::COUNT.load(Relaxed).wrapping_sub(counting::MARK.load(Relaxed)))
    }
    #[cfg(not(feature = "count-allocations"))]
    None
}
