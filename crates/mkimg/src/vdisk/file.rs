//! A file of which nothing is trusted.

use layer::ReadAt;

use super::error::{ReadError, corrupt};

/// The largest table that is read: with blocks of 1 MiB it is one of 8 or 16 TiB. What is read of it takes several times as
/// much memory, and of a sparse file it costs nothing to say so.
pub(super) const MOST_TABLE: u64 = 64 << 20;

/// The file of an image.
pub(super) struct Image<'a> {
    bytes: Box<dyn ReadAt + 'a>,
    size: u64,
}

impl<'a> Image<'a> {
    pub(super) fn new(bytes: Box<dyn ReadAt + 'a>) -> Result<Image<'a>, ReadError> {
        let size = bytes.size().map_err(|source| ReadError::Io { offset: 0, length: 0, source })?;
        Ok(Image { bytes, size })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Fails unless `length` bytes at `offset` are in the file.
    pub(super) fn check(&self, what: &'static str, offset: u64, length: u64) -> Result<(), ReadError> {
        let end = offset.saturating_add(length);
        if end > self.size { Err(ReadError::CutOff { what, end, size: self.size }) } else { Ok(()) }
    }

    /// Fills the buffer with what is at `offset`.
    pub(super) fn read(&self, what: &'static str, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.check(what, offset, buffer.len() as u64)?;
        let length = buffer.len();
        self.bytes.read_exact_at(buffer, offset).map_err(|source| ReadError::Io { offset, length, source })
    }

    /// Returns `length` bytes at `offset`. No more memory is taken than the file is large.
    pub(super) fn bytes(&self, what: &'static str, offset: u64, length: u64) -> Result<Vec<u8>, ReadError> {
        self.check(what, offset, length)?;
        let Ok(length) = usize::try_from(length) else {
            return Err(ReadError::Corrupt { what, problem: "it does not fit in memory".to_owned() });
        };
        let mut buffer = vec![0; length];
        self.read(what, offset, &mut buffer)?;
        Ok(buffer)
    }

    /// Returns a table of `length` bytes at `offset`, which has no more than [`MOST_TABLE`].
    pub(super) fn table(&self, what: &'static str, offset: u64, length: u64) -> Result<Vec<u8>, ReadError> {
        self.check(what, offset, length)?;
        if length > MOST_TABLE {
            return corrupt(what, format!("it has {length} bytes: at most {MOST_TABLE} are read"));
        }
        self.bytes(what, offset, length)
    }

    /// Returns the bytes at `offset`.
    pub(super) fn array<const N: usize>(
        &self,
        what: &'static str,
        offset: u64,
    ) -> Result<[u8; N], ReadError> {
        let mut buffer = [0; N];
        self.read(what, offset, &mut buffer)?;
        Ok(buffer)
    }

    /// Returns the bytes at `offset`, those that are beyond the end as zeros.
    pub(super) fn start<const N: usize>(&self) -> Result<[u8; N], ReadError> {
        let mut buffer = [0; N];
        let there = self.size.min(N as u64) as usize;
        self.read("the file", 0, &mut buffer[..there])?;
        Ok(buffer)
    }
}
