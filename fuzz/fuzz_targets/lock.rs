//! The locks, of what was chosen and of what is measured: what is read is written back to the same.
#![no_main]

use launch::lock::Lock as Measurements;
use libfuzzer_sys::fuzz_target;
use recipe::Lock;

fuzz_target!(|text: &str| {
    if let Ok(lock) = Lock::parse(text) {
        assert_eq!(Lock::parse(&lock.to_text()).expect("our own text is a lock"), lock);
    }
    if let Ok(lock) = Measurements::parse(text) {
        assert_eq!(Measurements::parse(&lock.to_text()).expect("our own text is a lock"), lock);
    }
});
