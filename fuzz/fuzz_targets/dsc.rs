//! Control files of source packages.
#![no_main]

use distro::source::Dsc;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(dsc) = Dsc::parse(bytes) else { return };
    assert!(!dsc.source.contains('/'));
    assert!(dsc.files.iter().all(|file| !file.name.contains('/') && !file.name.starts_with('.')));
    assert!(dsc.version_in_names().starts_with(dsc.upstream_version()));
});
