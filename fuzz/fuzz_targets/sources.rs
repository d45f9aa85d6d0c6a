//! Debian's indexes of sources.
#![no_main]

use distro::packages::SourceIndex;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(index) = SourceIndex::parse(text.to_owned()) else { return };
    for source in index.sources() {
        let _ = (source.binaries().count(), source.files().count());
    }
    let compact = SourceIndex::parse(index.compact()).expect("our own text is an index");
    assert_eq!(compact.sources().count(), index.sources().count());
});
