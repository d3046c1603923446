//! A program without std, heap or operating system that links the decision library. It does not link if anything in the
//! library's tree allocates: there is no allocator.
#![no_std]

extern crate ctwarden;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
