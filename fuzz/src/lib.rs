//! What the fuzz targets share.

pub mod git;
#[allow(dead_code, reason = "tests use the rest")]
#[path = "../../crates/local/tests/git/repository.rs"]
mod repository;
pub mod server;
pub mod step;

use std::path::Path;
use std::{fs, io};

use cas::LocalStore;
use crc32c::crc32c;
use crc32fast::hash as crc32;
use layer::ReadAt;

/// Returns a store with nothing in it, `store` in `directory`; one that was there is removed.
///
/// # Panics
///
/// If there is no room.
pub fn new_store(directory: &Path) -> LocalStore {
    let path = directory.join("store");
    let _none_there = fs::remove_dir_all(&path);
    LocalStore::open(&path).expect("there is room")
}

/// An image that has zeros behind its bytes.
pub struct Padded {
    /// How it begins.
    pub bytes: Vec<u8>,
    /// How long it is.
    pub size: u64,
}

impl ReadAt for Padded {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = rest.min(buffer.len());
        let n_there = self.bytes.read_at(&mut buffer[..length], offset)?;
        buffer[n_there..length].fill(0);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

/// Returns `bytes` with the checksum of everything in it that looks like a tar header set right.
///
/// Otherwise nearly every change is refused for its checksum, and what is behind it is never reached.
pub fn with_tar_checksums(bytes: &[u8]) -> Vec<u8> {
    const MAGIC: &[u8] = b"ustar";
    const MAGIC_OFFSET: usize = 257;
    const BLOCK: usize = 512;
    let mut bytes = bytes.to_vec();
    let mut start = 0;
    while start + BLOCK <= bytes.len() {
        let header = &mut bytes[start..start + BLOCK];
        if header[MAGIC_OFFSET..].starts_with(MAGIC) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            start += BLOCK;
        } else {
            start += 1;
        }
    }
    bytes
}

/// Returns `bytes` with the checksums of both GUID partition tables set right, as far as there are such.
///
/// Sectors have 512 bytes, and the entries are where a table usually has them.
pub fn with_gpt_checksums(bytes: &[u8]) -> Vec<u8> {
    const SECTOR: usize = 512;
    const ENTRIES: usize = 128 * 128;
    let mut bytes = bytes.to_vec();
    let Some(last) = (bytes.len() / SECTOR).checked_sub(1).map(|sector| sector * SECTOR) else {
        return bytes;
    };
    let Some(copy) = last.checked_sub(ENTRIES).filter(|copy| *copy >= 2 * SECTOR) else { return bytes };
    for (header, entries) in [(SECTOR, 2 * SECTOR), (last, copy)] {
        let Some(sum) = bytes.get(entries..entries + ENTRIES).map(crc32) else { continue };
        let header = &mut bytes[header..header + SECTOR];
        header[88..92].copy_from_slice(&sum.to_le_bytes());
        header[16..20].fill(0);
        let sum = crc32(&header[..92]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// Returns `bytes` with the size of the file and the checksum of the headers of an IGVM file set right, as far as it looks
/// like one.
pub fn with_igvm_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let fixed = if bytes.get(4) == Some(&2) { 32 } else { 24 };
    let number = |at: usize| {
        bytes.get(at..at + 4)?.iter().rev().try_fold(0, |sum, byte| Some(sum << 8 | usize::from(*byte)))
    };
    let headers =
        number(8).zip(number(12)).and_then(|(start, size)| bytes.get(start..start.checked_add(size)?));
    let Some((headers, length)) = headers.zip(u32::try_from(bytes.len()).ok()) else { return bytes };
    let mut all = [bytes.get(..fixed).unwrap_or_default(), headers].concat();
    let Some(said) = all.get_mut(16..24) else { return bytes };
    said[..4].copy_from_slice(&length.to_le_bytes());
    said[4..].fill(0);
    let sum = crc32(&all);
    bytes[16..20].copy_from_slice(&length.to_le_bytes());
    bytes[20..24].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Sets the digest at the end of a table of blocks right.
pub fn seal_table(table: &mut [u8]) {
    let Some((body, sum)) = table.split_last_chunk_mut::<32>() else { return };
    sum.copy_from_slice(cas::Digest::of(body).hash());
}

/// Returns the journal of an update `bytes` as that of the file `inode`, with its sums set right.
pub fn with_journal_sums(bytes: &[u8], inode: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(said) = bytes.get_mut(16..24) {
        said.copy_from_slice(&inode.to_le_bytes());
    }
    if let Some((body, sums)) = bytes.split_last_chunk_mut::<8>() {
        sums[..4].copy_from_slice(&crc32(body).to_le_bytes());
        sums[4..].copy_from_slice(&crc32c(body).to_le_bytes());
    }
    bytes
}

/// Returns `bytes` with the checksums of a VHD or VHDX set right, as far as it looks like one whose structures are where
/// they usually are.
pub fn with_vdisk_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.starts_with(b"vhdxfile") {
        for (at, length) in
            [(64 << 10, 4096), (128 << 10, 4096), (192 << 10, 64 << 10), (256 << 10, 64 << 10)]
        {
            let Some(part) = bytes.get_mut(at..at + length) else { continue };
            part[4..8].fill(0);
            let sum = crc32c(part);
            part[4..8].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let last = bytes.len().saturating_sub(512);
    for (at, length, place, magic) in
        [(0, 512, 64, &b"conectix"[..]), (512, 1024, 36, &b"cxsparse"[..]), (last, 512, 64, &b"conectix"[..])]
    {
        let Some(part) = bytes.get_mut(at..at + length).filter(|part| part.starts_with(magic)) else {
            continue;
        };
        part[place..place + 4].fill(0);
        let sum = part.iter().map(|byte| u32::from(*byte)).fold(0, u32::wrapping_add);
        part[place..place + 4].copy_from_slice(&(!sum).to_be_bytes());
    }
    bytes
}

/// Makes what the metadata of firmware says of memory small, as far as `image` has such: sections of OVMF for SEV-SNP and TDX
/// can have 4 GiB, and each page of them takes time and shows nothing.
pub fn with_small_sections(image: &mut [u8]) {
    /// How metadata begins, how long a section is, and where in it sizes are.
    const KINDS: [(&[u8], usize, &[usize]); 2] = [(b"ASEV", 12, &[4]), (b"TDVF", 32, &[4, 16])];
    const HEADER: usize = 16;
    for (magic, section, sizes) in KINDS {
        let starts: Vec<usize> =
            image.windows(4).enumerate().filter(|(_, window)| *window == magic).map(|(at, _)| at).collect();
        for start in starts {
            for section in image[start..].get_mut(HEADER..).unwrap_or_default().chunks_exact_mut(section) {
                for at in sizes {
                    section[at + 2] &= 0x0f;
                    section[at + 3] = 0;
                }
            }
        }
    }
}
