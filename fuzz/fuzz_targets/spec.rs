//! Specifications for `mkimg`: what is read is written back to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::spec::Spec;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(spec) = serde_json::from_slice::<Spec>(bytes) {
        let text = serde_json::to_vec(&spec).expect("a specification can be written");
        assert_eq!(serde_json::from_slice::<Spec>(&text).expect("our own text is a specification"), spec);
    }
});
