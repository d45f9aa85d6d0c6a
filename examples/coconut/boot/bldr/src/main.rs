//! The boot loader: it stands still.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

#[used]
static NAME: &str = env!("CARGO_PKG_NAME");

cfg_if::cfg_if! {
    if #[cfg(feature = "loud")] {
        const GREETING: &str = "loads the kernel, loudly";
    } else {
        const GREETING: &str = "loads the kernel";
    }
}

/// What is found in the image.
#[used]
static SAYS: &str = GREETING;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
