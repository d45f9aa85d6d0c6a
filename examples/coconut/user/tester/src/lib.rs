//! A test program for the bare machine.
#![no_std]
#![cfg_attr(test, no_main)]

#[cfg(test)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {}
}

#[cfg(test)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
