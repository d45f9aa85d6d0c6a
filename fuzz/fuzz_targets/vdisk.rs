//! Virtual disks from anywhere, of any format, with their checksums made right: described and read, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::vdisk::Reader;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::open(fuzz::with_vdisk_checksums(bytes)) else { return };
    let _ = reader.describe();
    // A few bytes can say that a disk has exabytes, of which a small part is read here.
    let length = usize::try_from(reader.size()).unwrap_or(usize::MAX).min(1 << 16);
    let mut buffer = vec![0; length];
    let _ = reader.read(0, &mut buffer);
    let _ = reader.read(reader.size() - length as u64, &mut buffer);
    if reader.size() < 1 << 24 {
        let _ = reader.dump();
    }
});
