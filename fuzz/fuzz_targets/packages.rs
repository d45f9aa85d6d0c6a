//! Debian's package indexes.
#![no_main]

use distro::packages::Index;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(index) = Index::parse(text.to_owned()) {
        assert!(index.packages().count() == index.len());
    }
});
