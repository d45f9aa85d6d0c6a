//! Two images of anything: how they differ, which is nothing if they are the same.
//!
//! The first four bytes are the length of the first.
#![no_main]

use std::sync::Arc;

use inspect::{Ignored, Limits, Object, Source, diff};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, bytes)) = bytes.split_first_chunk() else { return };
    let (a, b) = bytes.split_at(bytes.len().min(u32::from_le_bytes(*length) as usize));
    let limits = Limits { depth: 4, unpacked: 4 << 20, entries: 500, compared: 4 << 20 };
    let open = |bytes: &[u8]| {
        let source: Source = Arc::new(bytes.to_vec());
        Object::of("image".to_owned(), source, 0, limits)
    };
    let (Ok(left), Ok(right)) = (open(a), open(b)) else { return };
    for ignored in [Ignored::default(), Ignored { signatures: true, times: true }] {
        let found = diff(&left, &right, ignored);
        assert!(a != b || found.is_err() || found.is_ok_and(|found| found.changes.is_empty()));
    }
});
