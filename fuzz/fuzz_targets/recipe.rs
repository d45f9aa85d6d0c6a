//! The project file: whatever it says, the answer is a stack or problems that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| recipe::fuzz(text));
