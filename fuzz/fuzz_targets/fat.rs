//! FAT images from anywhere: walked, checked and read, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::fat::Reader;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::open(bytes.to_vec()) else { return };
    let _ = reader.label();
    let _ = reader.walk(&mut |visit| {
        let Some(data) = &visit.data else { return Ok(()) };
        let mut buffer = vec![0; usize::try_from(data.size()).unwrap_or(usize::MAX).min(1 << 16)];
        let _ = reader.read_data(data, 0, &mut buffer);
        let _ = reader.read_data(data, data.size() - buffer.len() as u64, &mut buffer);
        Ok(())
    });
    let _ = reader.check();
    let _ = reader.dump();
});
