//! Debian packages: unpacked to a layer that our own reader takes, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = fuzz::with_tar_checksums(bytes);
    let scratch = std::env::temp_dir().join(format!("bootwright-fuzz-{}.scratch", std::process::id()));
    if let Ok((_, layer)) = distro::deb::unpack_to(&bytes[..], Vec::new(), scratch) {
        let reader = layer::Reader::new(&layer).expect("our own layers can be read");
        for entry in reader {
            entry.expect("our own layers can be read");
        }
    }
});
