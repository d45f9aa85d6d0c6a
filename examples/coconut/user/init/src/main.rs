//! The first program: it stands still.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

#[used]
static NAME: &str = env!("CARGO_PKG_NAME");

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
