//! Bytes to look into: files, parts of them, and what is unpacked on the way.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use layer::ReadAt;

use crate::error::Error;

/// Bytes that can be read anywhere.
pub type Source = Arc<dyn ReadAt>;

/// How much an image may make its reader do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many objects may be inside each other.
    pub depth: usize,
    /// How many bytes something compressed may unpack to.
    pub unpacked: u64,
    /// How many entries a container may have.
    pub entries: u64,
    /// How many bytes one comparison may read of each side; what is known to be zero does not count.
    ///
    /// A container whose files have to be unpacked whole to be read, EROFS, does so for as many bytes in all.
    pub compared: u64,
}

impl Default for Limits {
    /// More than any real image has: 16 objects in each other, 64 GiB, ten million entries, 256 GiB.
    fn default() -> Limits {
        Limits { depth: 16, unpacked: 64 << 30, entries: 10_000_000, compared: 256 << 30 }
    }
}

/// A part of something.
pub(crate) struct Window {
    of: Source,
    start: u64,
    length: u64,
}

impl Window {
    /// Returns `length` bytes of `of` from `start` on, or as many as there are.
    pub(crate) fn of(of: &Source, start: u64, length: u64) -> Source {
        Arc::new(Window { of: Arc::clone(of), start, length })
    }
}

impl ReadAt for Window {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        match self.start.checked_add(offset) {
            Some(at) if length > 0 => self.of.read_at(&mut buffer[..length], at),
            _ => Ok(0),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.length.min(self.of.size()?.saturating_sub(self.start)))
    }

    fn next_data(&self, offset: u64) -> io::Result<u64> {
        match self.start.checked_add(offset) {
            Some(at) => Ok(self.of.next_data(at)?.saturating_sub(self.start).min(self.size()?)),
            None => Ok(offset),
        }
    }
}

/// How much is read at once of what costs the same for a little.
const PIECE: u64 = 256 << 10;
/// How many pieces are kept.
const KEPT: usize = 8;

type Piece = (u64, Arc<Vec<u8>>);

/// What has to be unpacked to be read: the last pieces are kept.
pub(crate) struct Pieces<F, N = fn(u64) -> io::Result<u64>> {
    read: F,
    next_data: N,
    size: u64,
    kept: Mutex<VecDeque<Piece>>,
}

impl<F: Fn(u64, &mut [u8]) -> io::Result<()> + Send + Sync + 'static> Pieces<F> {
    /// Returns `size` bytes, of which `read` fills a buffer with those at an offset.
    pub(crate) fn of(size: u64, read: F) -> Source {
        Pieces::with_holes(size, read, Ok)
    }
}

impl<F, N> Pieces<F, N>
where
    F: Fn(u64, &mut [u8]) -> io::Result<()> + Send + Sync + 'static,
    N: Fn(u64) -> io::Result<u64> + Send + Sync + 'static,
{
    /// As [`Pieces::of`], of which `next_data` says where it has data: see [`ReadAt::next_data`].
    pub(crate) fn with_holes(size: u64, read: F, next_data: N) -> Source {
        Arc::new(Pieces { read, next_data, size, kept: Mutex::default() })
    }

    fn piece(&self, start: u64) -> io::Result<Arc<Vec<u8>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = kept.iter().find(|(at, _)| *at == start) {
            return Ok(Arc::clone(bytes));
        }
        let mut bytes = vec![0; (self.size - start).min(PIECE) as usize];
        (self.read)(start, &mut bytes)?;
        let bytes = Arc::new(bytes);
        kept.truncate(KEPT - 1);
        kept.push_front((start, Arc::clone(&bytes)));
        Ok(bytes)
    }
}

impl<F, N> ReadAt for Pieces<F, N>
where
    F: Fn(u64, &mut [u8]) -> io::Result<()> + Send + Sync + 'static,
    N: Fn(u64) -> io::Result<u64> + Send + Sync + 'static,
{
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let start = offset / PIECE * PIECE;
        let within = (offset - start) as usize;
        // Whoever reads much needs nothing to be kept.
        if within == 0 && buffer.len() as u64 >= PIECE {
            let length = buffer.len().min(usize::try_from(self.size - offset).unwrap_or(usize::MAX));
            (self.read)(offset, &mut buffer[..length])?;
            return Ok(length);
        }
        let piece = self.piece(start)?;
        let length = buffer.len().min(piece.len() - within);
        buffer[..length].copy_from_slice(&piece[within..within + length]);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn next_data(&self, offset: u64) -> io::Result<u64> {
        (self.next_data)(offset)
    }
}

/// Reads a source from the beginning to the end.
pub(crate) struct Stream {
    source: Source,
    pub(crate) position: u64,
}

impl Stream {
    pub(crate) fn new(source: &Source, position: u64) -> Stream {
        Stream { source: Arc::clone(source), position }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(buffer, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

/// How much of what is unpacked stays in memory.
const IN_MEMORY: usize = 32 << 20;

/// Keeps what comes piece by piece: in memory, or in a file that has no name. It may be several parts, which have
/// [`Limits::unpacked`] and the memory together.
pub(crate) struct Spool<'a> {
    what: &'a str,
    limits: Limits,
    /// The part that is not finished, as long as there is no file.
    bytes: Vec<u8>,
    /// How much the finished parts have in memory.
    in_memory: usize,
    file: Option<Arc<File>>,
    /// Where in the file that part begins, and where it ends so far.
    range: Range<u64>,
    /// How long all parts are.
    length: u64,
}

impl<'a> Spool<'a> {
    /// Returns one for what `what` unpacks to.
    pub(crate) fn new(what: &'a str, limits: Limits) -> Spool<'a> {
        Spool { what, limits, bytes: Vec::new(), in_memory: 0, file: None, range: 0..0, length: 0 }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Spool { what: self.what.to_owned(), source }
    }

    /// Adds a piece.
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.length += piece.len() as u64;
        if self.length > self.limits.unpacked {
            let problem = format!("unpacks to more than {} bytes", self.limits.unpacked);
            return Err(Error::Limit { what: self.what.to_owned(), problem });
        }
        if self.file.is_none() && self.in_memory + self.bytes.len() + piece.len() <= IN_MEMORY {
            self.bytes.extend_from_slice(piece);
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = Arc::new(tempfile::tempfile().map_err(|error| self.failed(error))?);
                let bytes = std::mem::take(&mut self.bytes);
                file.write_all_at(&bytes, 0).map_err(|error| self.failed(error))?;
                self.range.end = bytes.len() as u64;
                Arc::clone(self.file.insert(file))
            }
        };
        // What is all zero stays a hole.
        if piece.iter().any(|byte| *byte != 0) {
            file.write_all_at(piece, self.range.end).map_err(|error| self.failed(error))?;
        }
        self.range.end += piece.len() as u64;
        Ok(())
    }

    /// Adds everything that `input` gives.
    pub(crate) fn add_all(&mut self, input: &mut dyn Read) -> Result<(), Error> {
        let mut buffer = vec![0; 1 << 18];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => self.add(&buffer[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Io { what: self.what.to_owned(), source }),
            }
        }
    }

    /// Returns all that was added since the last part.
    pub(crate) fn part(&mut self) -> Result<Source, Error> {
        let Some(file) = &self.file else {
            self.in_memory += self.bytes.len();
            return Ok(Arc::new(std::mem::take(&mut self.bytes)));
        };
        let Range { start, end } = self.range;
        file.set_len(end).map_err(|error| self.failed(error))?;
        self.range.start = end;
        Ok(Window::of(&(Arc::clone(file) as Source), start, end - start))
    }
}

/// Keeps everything that `input` gives.
pub(crate) fn spool(what: &str, input: &mut dyn Read, limits: Limits) -> Result<Source, Error> {
    let mut spool = Spool::new(what, limits);
    spool.add_all(input)?;
    spool.part()
}

/// Reads all of `source`, which must have at most `most` bytes.
pub(crate) fn whole(what: &str, source: &Source, most: u64) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { what: what.to_owned(), source };
    let size = source.size().map_err(io)?;
    if size > most {
        let problem = format!("has {size} bytes, of which at most {most} are read at once");
        return Err(Error::Limit { what: what.to_owned(), problem });
    }
    let mut bytes = vec![0; size as usize];
    source.read_exact_at(&mut bytes, 0).map_err(io)?;
    Ok(bytes)
}

/// Returns up to `length` bytes from `offset` on: fewer at the end.
pub(crate) fn some(source: &dyn ReadAt, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let filled = fill(source, offset, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Reads what there is at `offset` into the buffer, and returns how much that is: less than it holds at the end only.
pub(crate) fn fill(source: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes all of `source` to `output`, and returns how many bytes these were.
pub fn copy_to(source: &dyn ReadAt, output: &mut dyn Write) -> io::Result<u64> {
    let size = source.size()?;
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    while done < size {
        let length = usize::try_from(size - done).unwrap_or(usize::MAX).min(buffer.len());
        source.read_exact_at(&mut buffer[..length], done)?;
        output.write_all(&buffer[..length])?;
        done += length as u64;
    }
    Ok(size)
}

/// Writes all of `source` to `file`, which is empty, and returns how many bytes these were. Pieces that are all zero stay
/// holes.
pub fn copy_to_file(source: &dyn ReadAt, file: &File) -> io::Result<u64> {
    let size = source.size()?;
    file.set_len(size)?;
    let mut buffer = vec![0; size.clamp(1, 1 << 20) as usize];
    let mut at = source.next_data(0)?;
    while at < size {
        let length = usize::try_from(size - at).unwrap_or(usize::MAX).min(buffer.len());
        source.read_exact_at(&mut buffer[..length], at)?;
        // What is all zero stays a hole, also of who does not know its own.
        if buffer[..length].iter().any(|byte| *byte != 0) {
            file.write_all_at(&buffer[..length], at)?;
        }
        at = source.next_data(at + length as u64)?;
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_it_or_what_it_shows_ends() {
        let bytes: Source = Arc::new((0..100).collect::<Vec<u8>>());
        let window = Window::of(&bytes, 90, 20);
        assert_eq!(window.size().unwrap(), 10);
        assert_eq!(some(&*window, 5, 100).unwrap(), [95, 96, 97, 98, 99]);
        let window = Window::of(&bytes, 10, 3);
        assert_eq!(some(&*window, 0, 100).unwrap(), [10, 11, 12]);
        assert!(some(&*Window::of(&bytes, u64::MAX, 3), 1, 100).unwrap().is_empty());
    }

    #[test]
    fn pieces_are_the_same_bytes_wherever_one_starts() {
        let all: Vec<u8> = (0..(3 * PIECE + 77)).map(|at| (at % 251) as u8).collect();
        let copy = all.clone();
        let source = Pieces::of(all.len() as u64, move |offset, buffer| {
            let start = offset as usize;
            buffer.copy_from_slice(&copy[start..start + buffer.len()]);
            Ok(())
        });
        for (offset, length) in
            [(0, 1), (PIECE - 1, 3), (PIECE, 2 * PIECE), (3 * PIECE + 70, 100), (5, 4 * PIECE)]
        {
            let end = (offset + length).min(all.len() as u64) as usize;
            assert_eq!(some(&*source, offset, length as usize).unwrap(), all[offset as usize..end]);
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let limits = Limits { unpacked: (IN_MEMORY + 10) as u64, ..Limits::default() };
        let mut endless = io::repeat(7);
        let Err(error) = spool("bomb", &mut endless, limits) else { panic!("it was taken") };
        assert_eq!(error.to_string(), "`bomb` unpacks to more than 33554442 bytes");
    }

    #[test]
    fn parts_have_the_memory_and_the_limit_together() {
        let limits = Limits { unpacked: 100 << 20, ..Limits::default() };
        let mut spool = Spool::new("parts", limits);
        let mut add = |byte: u8, length: usize| {
            spool.add(&vec![byte; length])?;
            Ok::<_, Error>((spool.part()?, spool.in_memory))
        };
        let (first, _) = add(1, 20 << 20).unwrap();
        let (second, in_memory) = add(2, 20 << 20).unwrap();
        assert_eq!(in_memory, 20 << 20);
        let (zeros, _) = add(0, 3).unwrap();
        let (third, in_memory) = add(3, 20 << 20).unwrap();
        assert_eq!(in_memory, 20 << 20);
        for (part, byte, length) in
            [(first, 1, 20 << 20), (second, 2, 20 << 20), (zeros, 0, 3), (third, 3, 20 << 20)]
        {
            assert_eq!(part.size().unwrap(), length);
            assert_eq!(some(&*part, length - 3, 100).unwrap(), [byte; 3]);
        }
        assert!(add(4, 50 << 20).is_err());
    }
}
