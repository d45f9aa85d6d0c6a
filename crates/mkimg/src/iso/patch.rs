//! Numbers that boot loaders find in themselves: where on the medium they are.
//!
//! They depend on the layout alone, but for a checksum of the image, which is read for that once more.

use std::io;

use super::eltorito::BootEntry;
use super::write::Contents;
use crate::bytes::{get_u32, put_u32};

/// Where the boot information table is: mkisofs(8), "EL TORITO BOOT INFORMATION TABLE".
const INFO: usize = 8;
pub(super) const INFO_END: u64 = 64;
/// Where GRUB's `cdboot` has the address of what follows it.
const GRUB2: u64 = 2548;
pub(super) const GRUB2_END: u64 = GRUB2 + 8;
/// `cdboot` has a sector of the file system, and the first unit of the core is loaded with it.
const GRUB2_OFFSET: u64 = 5;
/// How many units of 512 bytes a sector has.
pub(super) const UNITS: u64 = 4;

/// Bytes that replace some of a file's.
#[derive(Debug, Clone, Default)]
pub(super) struct Patch {
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Patch {
    /// Replaces what is in the buffer, which has what is at `offset` of the file.
    pub(super) fn apply(&self, offset: u64, buffer: &mut [u8]) {
        for (at, bytes) in &self.pieces {
            for (place, byte) in (*at..).zip(bytes) {
                let index = place.checked_sub(offset).and_then(|index| usize::try_from(index).ok());
                if let Some(target) = index.and_then(|index| buffer.get_mut(index)) {
                    *target = *byte;
                }
            }
        }
    }
}

/// Returns what has to be replaced in the image of an entry, which is at `sector` and has `size` bytes.
pub(super) fn of(entry: &BootEntry, sector: u32, size: u64, read: &mut Contents<'_>) -> io::Result<Patch> {
    let mut patch = Patch::default();
    if entry.grub2 {
        let unit = u64::from(sector) * UNITS + GRUB2_OFFSET;
        patch.pieces.push((GRUB2, unit.to_le_bytes().to_vec()));
    }
    if entry.info_table {
        let mut table = vec![0; INFO_END as usize - INFO];
        put_u32(&mut table, 0, super::SYSTEM_AREA);
        put_u32(&mut table, 4, sector);
        put_u32(&mut table, 8, u32::try_from(size).unwrap_or(u32::MAX));
        let mut checksum = 0_u32;
        let mut buffer = vec![0; 1 << 16];
        let mut done = INFO_END;
        while done < size {
            let length = (size - done).min(buffer.len() as u64) as usize;
            buffer[length..length.next_multiple_of(4)].fill(0);
            read(entry.image, done, &mut buffer[..length])?;
            patch.apply(done, &mut buffer[..length]);
            for word in (0..length).step_by(4) {
                checksum = checksum.wrapping_add(get_u32(&buffer, word));
            }
            done += length as u64;
        }
        put_u32(&mut table, 12, checksum);
        patch.pieces.push((INFO as u64, table));
    }
    Ok(patch)
}
