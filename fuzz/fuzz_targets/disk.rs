//! Disks from anywhere, with their checksums made right: described or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::disk::Reader;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reader) = Reader::open(fuzz::with_gpt_checksums(bytes)) {
        let _ = reader.dump();
    }
});
