//! Directory messages from other stores.
#![no_main]

use cas::Directory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(directory) = Directory::decode(bytes) {
        assert_eq!(Directory::decode(&directory.encode()).expect("our own encoding is canonical"), directory);
    }
});
