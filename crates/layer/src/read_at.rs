//! Reading at an offset, from a file or from memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Something whose bytes can be read at any offset by several threads at once.
pub trait ReadAt: Send + Sync {
    /// Reads some bytes at `offset` into `buffer`, returns how many; none only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Returns how many bytes there are.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`; an end before that is an error.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buffer = &mut buffer[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns where, at or after `offset`, the next byte is that may be other than zero, or the size if there is none.
    ///
    /// Who knows nothing of holes returns `offset`.
    fn next_data(&self, offset: u64) -> io::Result<u64> {
        Ok(offset)
    }

    /// Returns a file that has the same `length` bytes as are at `offset`, and where in it they begin, if one is known.
    ///
    /// Who copies them may then have the file system do it, which can let two files have the same blocks. What is not
    /// there is not in the file either.
    fn file(&self, _offset: u64, _length: u64) -> Option<(&File, u64)> {
        None
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn next_data(&self, offset: u64) -> io::Result<u64> {
        (**self).next_data(offset)
    }

    fn file(&self, offset: u64, length: u64) -> Option<(&File, u64)> {
        (**self).file(offset, length)
    }
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn next_data(&self, offset: u64) -> io::Result<u64> {
        match rustix::fs::seek(self, rustix::fs::SeekFrom::Data(offset)) {
            Ok(at) => Ok(at),
            // There is nothing more, or `offset` is behind the end.
            Err(rustix::io::Errno::NXIO) => Ok(ReadAt::size(self)?.max(offset)),
            // Of no holes, or no file.
            Err(_) => Ok(offset),
        }
    }

    fn file(&self, offset: u64, _length: u64) -> Option<(&File, u64)> {
        Some((self, offset))
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}
