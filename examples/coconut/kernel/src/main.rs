//! The kernel: it stands still.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

/// What is found in the image.
#[used]
static VERSION: &str = release::GIT_VERSION;
#[used]
static VTPM: bool = cfg!(feature = "vtpm");
#[used]
static ATTEST: bool = cfg!(feature = "attest");

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
