//! cpio archives: their records are read to the end, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::cpio::Reader;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    loop {
        let mut length = 0;
        match reader.next_record(&mut |_, part| length += part.len()) {
            Ok(Some(record)) => {
                assert_eq!(length, record.size as usize);
                let _ = record.to_string();
            }
            Ok(None) | Err(_) => break,
        }
    }
});
