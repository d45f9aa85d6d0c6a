//! What is on a disk: bytes, and where there are any.

use std::fs::File;
use std::io;
use std::ops::Range;

use layer::ReadAt;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// What is on a disk.
///
/// Whoever makes one says where data may be. What is elsewhere is zero and need not be read.
pub struct Contents<'a> {
    bytes: &'a dyn ReadAt,
    size: u64,
    data: Vec<Range<u64>>,
}

impl<'a> Contents<'a> {
    /// Returns the first `size` of `bytes`, of which what lies outside of the ranges `data` is zero. The ranges ascend.
    pub fn new(bytes: &'a dyn ReadAt, size: u64, data: Vec<Range<u64>>) -> Contents<'a> {
        Contents { bytes, size, data }
    }

    /// Returns all of `bytes`, of which nobody knows where they are zero.
    pub fn whole(bytes: &'a dyn ReadAt) -> io::Result<Contents<'a>> {
        let size = bytes.size()?;
        Ok(Contents { bytes, size, data: std::iter::once(0..size).collect() })
    }

    /// Returns what is in a file, without its holes.
    pub fn of_file(file: &'a File) -> io::Result<Contents<'a>> {
        let size = ReadAt::size(file)?;
        Ok(Contents { bytes: file, size, data: data_ranges(file, size)? })
    }

    /// Returns how large the disk is.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns it as a disk of `size` bytes, which is not smaller: what is new is zero.
    pub(super) fn grown(&self, size: u64) -> Contents<'a> {
        Contents { bytes: self.bytes, size: size.max(self.size), data: self.data.clone() }
    }

    /// Returns the numbers of the pieces of `length` bytes that data may be in, each once and in order.
    pub(super) fn pieces(&self, length: u64) -> impl Iterator<Item = u64> + Send + use<'_> {
        let mut next = 0;
        self.data.iter().flat_map(move |range| {
            let end = range.end.min(self.size).div_ceil(length);
            let first = next.max(range.start / length);
            next = next.max(end);
            first..end
        })
    }

    /// Fills the buffer with what is at `offset`; beyond the end there are zeros.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(self.bytes_behind(offset)).unwrap_or(usize::MAX).min(buffer.len());
        buffer[there..].fill(0);
        self.bytes.read_exact_at(&mut buffer[..there], offset)
    }

    /// Returns the file that has these bytes, and where in it they begin, if there is one.
    pub(super) fn file(&self, offset: u64, length: u64) -> Option<(&File, u64)> {
        if length > self.bytes_behind(offset) { None } else { self.bytes.file(offset, length) }
    }

    /// Returns how much there is to read from `offset` on.
    fn bytes_behind(&self, offset: u64) -> u64 {
        let end = self.data.last().map_or(0, |range| range.end).min(self.size);
        end.saturating_sub(offset)
    }
}

/// Returns where a file of `size` bytes has data, as far as its file system knows.
pub(crate) fn data_ranges(file: &File, size: u64) -> Result<Vec<Range<u64>>, Errno> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // There is no more data.
            Err(Errno::NXIO) => break,
            // The file system does not know of holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(std::iter::once(0..size).collect()),
            Err(error) => return Err(error),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        if end <= start {
            break;
        }
        ranges.push(start..end);
        at = end;
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_once_and_in_order() {
        let bytes = vec![7; 100];
        let contents = Contents::new(&bytes, 95, vec![0..3, 5..6, 8..22, 39..41, 90..100]);
        assert_eq!(contents.pieces(10).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 9]);
        assert_eq!(contents.pieces(200).collect::<Vec<_>>(), [0]);
        let mut buffer = [1; 10];
        contents.read(90, &mut buffer).unwrap();
        assert_eq!(buffer, [7, 7, 7, 7, 7, 0, 0, 0, 0, 0]);
    }
}
