//! ISO 9660 images from anywhere: walked, checked and read, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::iso::{Content, Reader, View};

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::open(bytes.to_vec()) else { return };
    let _ = reader.volume_id();
    for view in [View::RockRidge, View::Plain, View::Joliet] {
        let _ = reader.walk(view, &mut |visit| {
            let Content::File(extents) = &visit.entry.content else { return Ok(()) };
            let size: u64 = extents.iter().map(|extent| u64::from(extent.size)).sum();
            let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(1 << 16)];
            let _ = reader.read_data(extents, 0, &mut buffer);
            let _ = reader.read_data(extents, size - buffer.len() as u64, &mut buffer);
            Ok(())
        });
    }
    let _ = reader.check();
    let _ = reader.dump();
});
