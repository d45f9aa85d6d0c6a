//! Where images go: data and runs of zeros, each byte once, at offsets that only grow.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use crate::bytes::is_zero;

/// Receives the bytes of an image.
///
/// A writer calls `data` and `zeros` with ranges that do not overlap and whose offsets only grow; what lies
/// between two ranges is zero. A writer ends with a range that reaches the image's size.
pub trait Sink {
    /// Puts `bytes` at `offset`.
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Says that `len` bytes at `offset` are zero.
    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        (**self).zeros(offset, len)
    }
}

/// A sink that can take bytes late, for a header that says what is only known at the end.
pub trait GapSink: Sink {
    /// Puts `bytes` into a range that was skipped and is behind the last one by now.
    fn fill_gap(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

/// The range starts before the end of the one before it, or passes the largest offset there is.
fn misplaced(offset: u64, end: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("a range at {offset} follows one that ends at {end}"))
}

/// Where a sink that only goes forward stands.
#[derive(Default)]
struct Position {
    end: u64,
}

impl Position {
    /// Moves over `len` bytes at `offset` and returns the size of the gap before them.
    fn advance(&mut self, offset: u64, len: u64) -> io::Result<u64> {
        let gap = offset.checked_sub(self.end).ok_or_else(|| misplaced(offset, self.end))?;
        self.end = offset.checked_add(len).ok_or_else(|| misplaced(offset, self.end))?;
        Ok(gap)
    }

    /// Fails unless the range is in what is done with.
    fn check_behind(&self, offset: u64, len: u64) -> io::Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.end => Ok(()),
            _ => Err(misplaced(offset, self.end)),
        }
    }
}

/// Writes into an empty file and leaves holes where the image is zero.
pub struct SparseFile<'a> {
    file: &'a File,
    position: Position,
}

/// The unit in which runs of zeros inside data become holes: the block size of the usual file systems.
const HOLE: usize = 4096;

impl<'a> SparseFile<'a> {
    /// Returns a sink that fills `file`, which must be empty.
    pub fn new(file: &'a File) -> SparseFile<'a> {
        SparseFile { file, position: Position::default() }
    }

    /// Gives the file its size, which is the end of the last range, and returns it.
    pub fn finish(self) -> io::Result<u64> {
        self.file.set_len(self.position.end)?;
        Ok(self.position.end)
    }
}

impl Sink for SparseFile<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.position.advance(offset, bytes.len() as u64)?;
        // Up to the first block boundary, then whole blocks; neighbours that are not zero go out together.
        let first = bytes.len().min((HOLE - (offset % HOLE as u64) as usize) % HOLE);
        let mut pending = 0..first;
        let mut at = first;
        while at < bytes.len() {
            let end = bytes.len().min(at + HOLE);
            if is_zero(&bytes[at..end]) {
                self.file.write_all_at(&bytes[pending.clone()], offset + pending.start as u64)?;
                pending = end..end;
            } else {
                pending.end = end;
            }
            at = end;
        }
        self.file.write_all_at(&bytes[pending.clone()], offset + pending.start as u64)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.position.advance(offset, len).map(drop)
    }
}

impl GapSink for SparseFile<'_> {
    fn fill_gap(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.position.check_behind(offset, bytes.len() as u64)?;
        self.file.write_all_at(bytes, offset)
    }
}

/// Hashes the image as if it were written to a file.
#[derive(Default)]
pub struct HashSink {
    hasher: Sha256,
    position: Position,
}

impl HashSink {
    /// Returns the SHA-256 of the image in lower-case hex digits, and its size.
    pub fn finish(self) -> (String, u64) {
        let hash = self.hasher.finalize();
        (hash.iter().map(|byte| format!("{byte:02x}")).collect(), self.position.end)
    }

    fn hash_zeros(&mut self, mut len: u64) {
        let zeros = [0; 8192];
        while len > 0 {
            let part = len.min(zeros.len() as u64);
            self.hasher.update(&zeros[..part as usize]);
            len -= part;
        }
    }
}

impl Sink for HashSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let gap = self.position.advance(offset, bytes.len() as u64)?;
        self.hash_zeros(gap);
        self.hasher.update(bytes);
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let gap = self.position.advance(offset, len)?;
        self.hash_zeros(gap);
        self.hash_zeros(len);
        Ok(())
    }
}

/// Keeps the image in memory.
#[derive(Default)]
pub struct MemorySink {
    bytes: Vec<u8>,
    position: Position,
}

impl MemorySink {
    /// Returns the image.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn grow(&mut self) -> io::Result<()> {
        let size = usize::try_from(self.position.end)
            .map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "the image does not fit in memory"))?;
        self.bytes.resize(size, 0);
        Ok(())
    }
}

impl Sink for MemorySink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.position.advance(offset, bytes.len() as u64)?;
        self.grow()?;
        let start = self.bytes.len() - bytes.len();
        self.bytes[start..].copy_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.position.advance(offset, len)?;
        self.grow()
    }
}

impl GapSink for MemorySink {
    fn fill_gap(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.position.check_behind(offset, bytes.len() as u64)?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// Counts the bytes of data and of zeros, and keeps neither.
#[derive(Default)]
pub struct CountingSink {
    /// Bytes that came as data.
    pub data: u64,
    /// Bytes that came as zeros or were skipped.
    pub zeros: u64,
    position: Position,
}

impl Sink for CountingSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.zeros += self.position.advance(offset, bytes.len() as u64)?;
        self.data += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.zeros += self.position.advance(offset, len)? + len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(sink: &mut dyn Sink) -> io::Result<()> {
        sink.data(0, &[1; 5000])?;
        sink.zeros(5000, 20_000)?;
        let mut block = vec![0; 3 * HOLE];
        block[HOLE + 7] = 9;
        sink.data(40_000, &block)?;
        sink.zeros(70_000, 30_000)
    }

    #[test]
    fn every_sink_sees_the_same_image() {
        let mut memory = MemorySink::default();
        write(&mut memory).unwrap();
        let bytes = memory.into_bytes();
        assert_eq!(bytes.len(), 100_000);

        let file = tempfile::tempfile().unwrap();
        let mut sparse = SparseFile::new(&file);
        write(&mut sparse).unwrap();
        assert_eq!(sparse.finish().unwrap(), 100_000);
        let mut written = vec![0; bytes.len()];
        file.read_exact_at(&mut written, 0).unwrap();
        assert_eq!(written, bytes);

        let mut hash = HashSink::default();
        write(&mut hash).unwrap();
        let mut whole = HashSink::default();
        whole.data(0, &bytes).unwrap();
        assert_eq!(hash.finish(), whole.finish());

        let mut count = CountingSink::default();
        write(&mut count).unwrap();
        assert_eq!((count.data, count.data + count.zeros), (5000 + 3 * HOLE as u64, 100_000));
    }

    #[test]
    fn gaps_are_filled_behind_the_end_only() {
        let file = tempfile::tempfile().unwrap();
        let (mut sparse, mut memory) = (SparseFile::new(&file), MemorySink::default());
        for sink in [&mut sparse as &mut dyn GapSink, &mut memory] {
            sink.data(10, b"body").unwrap();
            assert!(sink.fill_gap(5, &[0; 10]).is_err());
            sink.fill_gap(0, b"head").unwrap();
        }
        let mut written = [0; 14];
        file.read_exact_at(&mut written, 0).unwrap();
        assert_eq!((&written, &memory.into_bytes()[..]), (b"head\0\0\0\0\0\0body", &written[..]));
    }

    #[test]
    fn going_back_is_an_error() {
        let mut sink = MemorySink::default();
        sink.data(10, b"x").unwrap();
        assert!(sink.data(10, b"y").is_err());
        assert!(sink.zeros(u64::MAX, 2).is_err());
    }
}
