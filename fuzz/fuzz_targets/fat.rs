//! FAT images from anywhere: walked, checked and read, or refused.
//!
//! They have zeros at their end, which are left out: FAT32 has no images of less than 32 MiB.
#![no_main]

use fuzz::Padded;
use libfuzzer_sys::fuzz_target;
use mkimg::fat::Reader;

/// The largest image.
const MOST: u64 = 40 << 20;

/// Returns the size that a boot sector says.
fn said(bytes: &[u8]) -> Option<u64> {
    let number = |at: usize| Some(u64::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
    let sectors = match number(19)? {
        0 => number(32)? | number(34)? << 16,
        few => few,
    };
    Some(number(11)? * sectors)
}

fuzz_target!(|bytes: &[u8]| {
    let size = said(bytes).unwrap_or_default().min(MOST).max(bytes.len() as u64);
    let Ok(reader) = Reader::open(Padded { bytes: bytes.to_vec(), size }) else { return };
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
