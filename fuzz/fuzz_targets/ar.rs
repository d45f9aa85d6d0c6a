//! `ar` archives: members are read to the end, or the archive is refused.
#![no_main]

use std::io::Read as _;

use distro::deb::ar::Archive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut archive) = Archive::new(bytes) else { return };
    let mut is_read = true;
    while let Ok(Some(member)) = archive.next_member() {
        // Every other member is skipped.
        if is_read {
            let mut contents = Vec::new();
            if archive.contents().read_to_end(&mut contents).is_err() {
                break;
            }
            assert_eq!(contents.len() as u64, member.size);
        }
        is_read = !is_read;
    }
});
