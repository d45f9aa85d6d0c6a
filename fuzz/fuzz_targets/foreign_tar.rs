//! Other people's archives.
#![no_main]

use std::io;

use layer::{ForeignReader, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = fuzz::with_tar_checksums(bytes);
    let mut reader = ForeignReader::new(&bytes[..], Limits::default());
    while let Ok(Some((entry, mut content))) = reader.next_entry() {
        entry.check().expect("what is read is an entry");
        if io::copy(&mut content, &mut io::sink()).is_err() {
            break;
        }
    }
});
