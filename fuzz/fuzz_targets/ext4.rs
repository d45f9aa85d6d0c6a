//! ext4 images from anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::ext4::Reader;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reader) = Reader::open(bytes.to_vec()) {
        let _ = reader.walk(&mut |_| Ok(()));
    }
});
