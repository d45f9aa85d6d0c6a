//! Where images go: data and runs of zeros, each byte once, at offsets that only grow.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt as _};

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

    /// Puts the `len` bytes at `offset` that `file` has from `at` on. An end of the file before that is an error.
    ///
    /// It is as good as reading them and [`Sink::data`], and faster where the file system copies them itself.
    fn copy(&mut self, offset: u64, file: &File, at: u64, len: u64) -> io::Result<()> {
        let mut buffer = vec![0; len.min(PART as u64) as usize];
        let mut done = 0;
        while done < len {
            let part = (len - done).min(PART as u64) as usize;
            file.read_exact_at(&mut buffer[..part], at + done)?;
            self.data(offset + done, &buffer[..part])?;
            done += part as u64;
        }
        Ok(())
    }
}

/// How much of a file is copied at once where that needs memory.
const PART: usize = 1 << 20;

impl<S: Sink + ?Sized> Sink for &mut S {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        (**self).zeros(offset, len)
    }

    fn copy(&mut self, offset: u64, file: &File, at: u64, len: u64) -> io::Result<()> {
        (**self).copy(offset, file, at, len)
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

/// What is to be copied does not wait for more than this: others read and compress meanwhile.
const MOST_PENDING: u64 = 1 << 20;

/// Writes into an empty file and leaves holes where the image is zero.
///
/// What is copied from other files shares their blocks where the file system can do that.
pub struct SparseFile<'a> {
    file: &'a File,
    position: Position,
    n_written: u64,
    /// What is to be copied, as long as it may turn out to be longer.
    pending: Option<Copied>,
}

/// A part of a file that is to be copied.
struct Copied {
    file: File,
    /// Device and inode of the file.
    identity: (u64, u64),
    at: u64,
    offset: u64,
    len: u64,
}

/// The unit in which runs of zeros inside data become holes: the block size of the usual file systems.
const HOLE: usize = 4096;

impl<'a> SparseFile<'a> {
    /// Returns a sink that fills `file`, which must be empty.
    pub fn new(file: &'a File) -> SparseFile<'a> {
        SparseFile { file, position: Position::default(), n_written: 0, pending: None }
    }

    /// Returns how many bytes of data were written so far: those that stayed holes are none of them, nor what was copied.
    pub fn n_written(&self) -> u64 {
        self.n_written
    }

    /// Gives the file its size, which is the end of the last range, and returns it.
    pub fn finish(mut self) -> io::Result<u64> {
        self.copy_pending()?;
        self.file.set_len(self.position.end)?;
        Ok(self.position.end)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)?;
        self.n_written += bytes.len() as u64;
        Ok(())
    }

    fn copy_pending(&mut self) -> io::Result<()> {
        let Some(Copied { file, at, offset, len, .. }) = self.pending.take() else { return Ok(()) };
        let within = offset % HOLE as u64;
        // Only whole blocks are shared, and only if they lie alike in both files.
        let first = if at % HOLE as u64 == within { (HOLE as u64 - within) % HOLE as u64 } else { len };
        let first = first.min(len);
        let blocks = (len - first) / HOLE as u64 * HOLE as u64;
        let mut done = 0;
        for part in [first, blocks, len - first - blocks] {
            copy_range(&file, at + done, self.file, offset + done, part)?;
            done += part;
        }
        Ok(())
    }
}

/// Copies `len` bytes from one file to the other, or has the file system do it.
fn copy_range(from: &File, mut at: u64, to: &File, mut offset: u64, mut len: u64) -> io::Result<()> {
    while len > 0 {
        let n = rustix::fs::copy_file_range(
            from,
            Some(&mut at),
            to,
            Some(&mut offset),
            usize::try_from(len).unwrap_or(usize::MAX),
        );
        match n {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // The places have moved on.
            Ok(n) => len -= n as u64,
            Err(rustix::io::Errno::INTR) => {}
            // The files are on different file systems, or theirs cannot do it.
            Err(_) => break,
        }
    }
    let mut buffer = vec![0; len.min(PART as u64) as usize];
    while len > 0 {
        let part = len.min(PART as u64) as usize;
        from.read_exact_at(&mut buffer[..part], at)?;
        to.write_all_at(&buffer[..part], offset)?;
        (at, offset, len) = (at + part as u64, offset + part as u64, len - part as u64);
    }
    Ok(())
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
                self.write(offset + pending.start as u64, &bytes[pending])?;
                pending = end..end;
            } else {
                pending.end = end;
            }
            at = end;
        }
        self.write(offset + pending.start as u64, &bytes[pending])
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.position.advance(offset, len).map(drop)
    }

    fn copy(&mut self, offset: u64, file: &File, at: u64, len: u64) -> io::Result<()> {
        self.position.advance(offset, len)?;
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        if let Some(pending) = &mut self.pending
            && pending.identity == identity
            && pending.at + pending.len == at
            && pending.offset + pending.len == offset
            && pending.len < MOST_PENDING
        {
            pending.len += len;
            return Ok(());
        }
        self.copy_pending()?;
        self.pending = Some(Copied { file: file.try_clone()?, identity, at, offset, len });
        Ok(())
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
        // The second piece begins in a block, up to whose end it is written; of the rest it has one block.
        assert_eq!(sparse.n_written(), 5000 + (40_960 - 40_000) + HOLE as u64);
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
    fn what_is_copied_is_as_if_it_were_written() {
        let source = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| (number / 7) as u8 | 1).collect();
        source.write_all_at(&bytes, 0).unwrap();
        let write = |sink: &mut dyn Sink| {
            // Pieces that follow each other in both, lie alike or not, and end in the middle of a block.
            sink.copy(96, &source, 96, 5000)?;
            sink.copy(5096, &source, 5096, 30_000)?;
            sink.data(35_096, b"between")?;
            sink.copy(40_000, &source, 17, 10_000)?;
            sink.copy(50_000, &source, 3, 1)?;
            sink.copy(60_000, &source, 90_000, 10_000)?;
            sink.zeros(70_000, 1000)
        };
        let mut memory = MemorySink::default();
        write(&mut memory).unwrap();
        let file = tempfile::tempfile().unwrap();
        let mut sparse = SparseFile::new(&file);
        write(&mut sparse).unwrap();
        assert_eq!(sparse.finish().unwrap(), 71_000);
        let expected = memory.into_bytes();
        let mut written = vec![0; expected.len()];
        file.read_exact_at(&mut written, 0).unwrap();
        assert!(written == expected);
        assert_eq!(expected[40_000..50_000], bytes[17..10_017]);

        let short = tempfile::tempfile().unwrap();
        let mut sparse = SparseFile::new(&short);
        sparse.copy(0, &source, 99_999, 2).unwrap();
        assert_eq!(sparse.finish().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
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
