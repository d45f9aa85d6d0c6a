//! Other people's archives.
#![no_main]

use std::io::Read as _;

use layer::{ForeignReader, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = ForeignReader::new(bytes, Limits::default());
    while let Ok(Some((_, mut content))) = reader.next_entry() {
        let mut sink = Vec::new();
        if content.by_ref().take(1 << 20).read_to_end(&mut sink).is_err() {
            break;
        }
    }
});
