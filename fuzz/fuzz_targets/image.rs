//! Anything from anywhere: recognised, looked into at any depth, measured, and compared with itself, or refused.
#![no_main]

use std::sync::Arc;

use inspect::{Ignored, Limits, Object, Sizes, Source, diff};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { depth: 6, unpacked: 4 << 20, entries: 1000, compared: 4 << 20 };
    let source: Source = Arc::new(bytes.to_vec());
    let Ok(object) = Object::of("image".to_owned(), source, 0, limits) else { return };
    let Some(container) = object.container() else { return };
    let mut entries = Vec::new();
    let walked = container.walk(&mut |entry| {
        // A few bytes can say that a file has exabytes.
        if entry.size < 1 << 20 && entries.len() < 50 {
            entries.push(entry);
        }
        Ok(())
    });
    for entry in &entries {
        // What came before the damage is listed all the same.
        assert!(container.lookup(&entry.path).is_ok() || walked.is_err());
        let _ = object.enter(entry);
    }
    let _ = Sizes::of(&object);
    if entries.len() < 50 {
        let _ = diff(&object, &object, Ignored { signatures: true, times: true });
    }
});
