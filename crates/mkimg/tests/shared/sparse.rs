//! Files that say that they are large.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use layer::ReadAt;

/// More than any reader has to read of a few kilobytes.
const MOST: u64 = 32 << 20;

/// A file with nothing behind its first bytes. Who reads much of it fails.
pub(crate) struct Sparse {
    bytes: Vec<u8>,
    size: u64,
    n_read: AtomicU64,
}

impl Sparse {
    pub(crate) fn new(bytes: Vec<u8>, size: u64) -> Sparse {
        Sparse { bytes, size, n_read: AtomicU64::new(0) }
    }

    /// Returns how many bytes were read.
    #[allow(dead_code, reason = "not all formats are asked")]
    pub(crate) fn n_read(&self) -> u64 {
        self.n_read.load(Ordering::Relaxed)
    }
}

impl ReadAt for Sparse {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.size.saturating_sub(offset)).unwrap());
        let n_read = self.n_read.fetch_add(length as u64, Ordering::Relaxed) + length as u64;
        assert!(n_read <= MOST, "{n_read} bytes were read");
        let buffer = &mut buffer[..length];
        buffer.fill(0);
        let start = self.bytes.len().min(usize::try_from(offset).unwrap());
        let there = length.min(self.bytes.len() - start);
        buffer[..there].copy_from_slice(&self.bytes[start..start + there]);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}
