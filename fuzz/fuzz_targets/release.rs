//! Release files, signed or not.
#![no_main]

use distro::release::Release;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Release::parse(text);
});
