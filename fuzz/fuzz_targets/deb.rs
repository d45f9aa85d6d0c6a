//! Debian packages: unpacked to a layer that our own reader takes, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let scratch = tempfile_directory();
    if let Ok((_, layer)) = distro::deb::unpack_to(bytes, &scratch, Vec::new()) {
        let reader = layer::Reader::new(&layer).expect("our own layers can be read");
        for entry in reader {
            entry.expect("our own layers can be read");
        }
    }
});

fn tempfile_directory() -> std::path::PathBuf {
    std::env::temp_dir()
}
