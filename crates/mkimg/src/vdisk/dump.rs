//! A virtual disk as text: what `mkimg dump` shows and snapshots keep.

use std::fmt::Write;

use layer::ReadAt;
use sha2::{Digest, Sha256};

use super::error::ReadError;
use super::read::Reader;
use crate::bytes::is_zero;

/// In what pieces contents are hashed.
const PIECE: u64 = 1 << 20;

impl Reader<'_> {
    /// Describes the file: its headers, where the disk may have data, and a digest of what is on it.
    ///
    /// The digest is the SHA-256 of those mebibytes that are not all zero, each after its offset, so that what is
    /// empty takes no time to hash. It is the same for every format of one disk.
    pub fn dump(&self) -> Result<String, ReadError> {
        let mut text = self.describe().join("\n") + "\n";
        let contents = self.contents()?;
        let mut buffer = vec![0; PIECE as usize];
        let mut hash = Sha256::new();
        for range in self.data()? {
            writeln!(text, "data {}-{}", range.start, range.end - 1).expect("a string takes everything");
        }
        for number in contents.pieces(PIECE) {
            let offset = number * PIECE;
            let piece = &mut buffer[..PIECE.min(self.size() - offset) as usize];
            self.read(offset, piece)?;
            if !is_zero(piece) {
                hash.update(offset.to_le_bytes());
                hash.update(piece);
            }
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "sha256 {digits}").expect("a string takes everything");
        Ok(text)
    }

    /// Says whether there is a GUID partition table on the disk.
    pub(crate) fn is_gpt(&self) -> bool {
        ReadAt::size(self).is_ok_and(|size| size > 0) && crate::disk::is_gpt(self).unwrap_or(false)
    }
}
