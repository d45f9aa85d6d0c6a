//! What is to be written into an image, kept beside it until it is there.
//!
//! ```text
//! magic, size and inode of the file as it was, its size as it will be   64 bits each
//! records: kind, offset, length                                         8, 64 and 64 bits, then the bytes if it has any
//! end: kind, checksum of all before it                                  8 and 64 bits
//! ```
//!
//! It has its name only once it is whole and on the disk. To write what it says twice does the same as to do so once.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use super::{Ask, Error};

const MAGIC: &[u8; 8] = b"BWUPDAT1";
const END: u8 = 0;
const BYTES: u8 = 1;
const ZEROS: u8 = 2;
/// How much is read or written at once.
const PART: usize = 1 << 20;

/// Where the journal of an image is.
pub struct Journal {
    image: PathBuf,
    path: PathBuf,
}

impl Journal {
    /// Returns the place of the journal of the image at `path`.
    pub fn of(path: &Path) -> Journal {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Journal { image: path.to_owned(), path: path.with_file_name(format!(".{name}.update")) }
    }

    /// Returns the path of the journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says whether an update of the image was interrupted: it is neither the old nor the new one.
    pub fn is_pending(&self) -> bool {
        self.path.exists()
    }

    /// Finishes an update that was interrupted, if one was, and says whether that was so. Nobody else may have `file`,
    /// which is the image, open.
    pub fn recover(&self, file: &File, ask: Ask<'_>) -> Result<bool, Error> {
        // One without its name was not finished, so the image was not touched.
        remove(&self.unfinished()).map_err(|source| self.write_error(source))?;
        let journal = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            journal => journal.map_err(|source| self.read_error(source))?,
        };
        self.apply(&journal, file, ask)?;
        Ok(true)
    }

    /// Begins a journal for `file`, which is the image.
    pub(super) fn begin(&self, file: &File) -> Result<Writer<'_>, Error> {
        let write_error = |source| self.write_error(source);
        let metadata = file.metadata().map_err(|source| Error::Read { path: self.image.clone(), source })?;
        let path = self.unfinished();
        remove(&path).map_err(write_error)?;
        let made =
            File::options().read(true).write(true).create_new(true).open(&path).map_err(write_error)?;
        let sums = Sums::default();
        let out = Summed { inner: BufWriter::with_capacity(PART, made), sums };
        let mut writer = Writer { journal: self, out, size: metadata.len(), is_empty: true };
        let head = [metadata.len(), metadata.ino()].map(u64::to_le_bytes).concat();
        writer.put(MAGIC)?;
        writer.put(&head)?;
        Ok(writer)
    }

    /// Writes what the journal says, and removes it.
    fn apply(&self, journal: &File, file: &File, ask: Ask<'_>) -> Result<(), Error> {
        let unfinished = |source| Error::Unfinished { path: self.image.clone(), source };
        let metadata = file.metadata().map_err(|source| Error::Read { path: self.image.clone(), source })?;
        let size = self.check(journal, &metadata)?;
        let mut input = self.open_records(journal)?;
        ask().map_err(unfinished)?;
        if size > metadata.len() {
            file.set_len(size).map_err(unfinished)?;
        }
        let mut buffer = vec![0; PART];
        while let Some(record) = Record::read(&mut input).map_err(unfinished)? {
            ask().map_err(unfinished)?;
            if record.kind == ZEROS {
                // What lies behind the end will not be there.
                put_zeros(file, record.offset, record.length.min(size.saturating_sub(record.offset)))
                    .map_err(unfinished)?;
                continue;
            }
            let (mut offset, end) = (record.offset, record.offset.saturating_add(record.length));
            while offset < end {
                let part = (end - offset).min(PART as u64) as usize;
                input.read_exact(&mut buffer[..part]).map_err(unfinished)?;
                file.write_all_at(&buffer[..part], offset).map_err(unfinished)?;
                offset += part as u64;
            }
        }
        ask().map_err(unfinished)?;
        file.set_len(size).map_err(unfinished)?;
        ask().map_err(unfinished)?;
        file.sync_all().map_err(unfinished)?;
        ask().map_err(unfinished)?;
        remove(&self.path).and_then(|()| sync_directory(&self.path)).map_err(unfinished)
    }

    /// Returns the size that the file will have, if the journal is whole and of this file, which has that size or the one that it
    /// had then.
    fn check(&self, journal: &File, metadata: &fs::Metadata) -> Result<u64, Error> {
        let read_error = |source| self.read_error(source);
        let mut input = Summed { inner: self.rewound(journal)?, sums: Sums::default() };
        let mut head = [0; 24];
        input.read_exact(&mut head).map_err(read_error)?;
        let number = |at: usize| crate::bytes::get_u64(&head, at);
        let damaged = || self.read_error(io::Error::new(io::ErrorKind::InvalidData, "it is damaged"));
        if !head.starts_with(MAGIC) {
            return Err(damaged());
        }
        if number(16) != metadata.ino() {
            return Err(Error::Journal { journal: self.path.clone(), path: self.image.clone() });
        }
        let mut buffer = vec![0; PART];
        while let Some(record) = Record::read(&mut input).map_err(read_error)? {
            let mut left = if record.kind == BYTES { record.length } else { 0 };
            while left > 0 {
                let part = left.min(PART as u64) as usize;
                input.read_exact(&mut buffer[..part]).map_err(read_error)?;
                left -= part as u64;
            }
        }
        let mut size = [0; 8];
        input.read_exact(&mut size).map_err(read_error)?;
        let expected = input.sums.value();
        let mut sum = [0; 8];
        input.read_exact(&mut sum).map_err(read_error)?;
        let size = u64::from_le_bytes(size);
        if u64::from_le_bytes(sum) != expected {
            return Err(damaged());
        }
        // Somebody has put another image into the file, or has run it.
        if ![number(8), size].contains(&metadata.len()) {
            return Err(Error::Journal { journal: self.path.clone(), path: self.image.clone() });
        }
        Ok(size)
    }

    fn open_records<'j>(&self, journal: &'j File) -> Result<BufReader<&'j File>, Error> {
        let mut input = self.rewound(journal)?;
        input.read_exact(&mut [0; 24]).map_err(|source| self.read_error(source))?;
        Ok(input)
    }

    fn rewound<'j>(&self, mut journal: &'j File) -> Result<BufReader<&'j File>, Error> {
        io::Seek::rewind(&mut journal).map_err(|source| self.read_error(source))?;
        Ok(BufReader::with_capacity(PART, journal))
    }

    /// Where it is as long as it is not whole.
    fn unfinished(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".new");
        path.into()
    }

    fn forget_unfinished(&self) {
        let _left_for_the_next = remove(&self.unfinished());
    }

    fn read_error(&self, source: io::Error) -> Error {
        Error::Read { path: self.path.clone(), source }
    }

    fn write_error(&self, source: io::Error) -> Error {
        Error::Write { path: self.path.clone(), source }
    }
}

/// Writes a journal. Whoever drops it has changed nothing.
pub(super) struct Writer<'j> {
    journal: &'j Journal,
    out: Summed<BufWriter<File>>,
    size: u64,
    is_empty: bool,
}

impl Writer<'_> {
    /// Says that these bytes are to be at `offset`.
    pub(super) fn bytes(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.record(BYTES, offset, bytes.len() as u64)?;
        self.put(bytes)
    }

    /// Says that there are to be zeros.
    pub(super) fn zeros(&mut self, offset: u64, length: u64) -> Result<(), Error> {
        self.record(ZEROS, offset, length)
    }

    /// Says how large the file is to be.
    pub(super) fn set_size(&mut self, size: u64) {
        self.is_empty &= size == self.size;
        self.size = size;
    }

    fn record(&mut self, kind: u8, offset: u64, length: u64) -> Result<(), Error> {
        self.is_empty = false;
        let mut head = [kind; 17];
        head[1..9].copy_from_slice(&offset.to_le_bytes());
        head[9..].copy_from_slice(&length.to_le_bytes());
        self.put(&head)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(|source| self.journal.write_error(source))
    }

    /// Makes the image `file` what the journal says, now that all is said. From the moment on that the journal has its
    /// name, an update that is interrupted goes on.
    pub(super) fn finish(self, file: &File, ask: Ask<'_>) -> Result<(), Error> {
        let journal = self.journal;
        if self.is_empty {
            return remove(&journal.unfinished()).map_err(|source| journal.write_error(source));
        }
        let made = self.complete(ask).inspect_err(|_| journal.forget_unfinished())?;
        let named = fs::rename(journal.unfinished(), &journal.path);
        named.map_err(|source| journal.write_error(source)).inspect_err(|_| journal.forget_unfinished())?;
        // It is found from here on.
        sync_directory(&journal.path)
            .map_err(|source| Error::Unfinished { path: journal.image.clone(), source })?;
        journal.apply(&made, file, ask)
    }

    /// Returns the file, all of which is on the disk.
    fn complete(mut self, ask: Ask<'_>) -> Result<File, Error> {
        let journal = self.journal;
        let write_error = |source| journal.write_error(source);
        self.put(&[END])?;
        let size = self.size.to_le_bytes();
        self.put(&size)?;
        let sum = self.out.sums.value().to_le_bytes();
        self.put(&sum)?;
        let made = self.out.inner.into_inner().map_err(|error| write_error(error.into_error()))?;
        ask().map_err(write_error)?;
        made.sync_data().map_err(write_error)?;
        ask().map_err(write_error)?;
        Ok(made)
    }

    /// Removes what was written.
    pub(super) fn discard(self) {
        self.journal.forget_unfinished();
    }
}

struct Record {
    kind: u8,
    offset: u64,
    length: u64,
}

impl Record {
    /// Reads what stands in front of a record; nothing at the end.
    fn read(input: &mut impl Read) -> io::Result<Option<Record>> {
        let mut kind = [0];
        input.read_exact(&mut kind)?;
        let [kind] = kind;
        if kind == END {
            return Ok(None);
        }
        if ![BYTES, ZEROS].contains(&kind) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged"));
        }
        let mut numbers = [0; 16];
        input.read_exact(&mut numbers)?;
        let [offset, length] = [0, 8].map(|at| crate::bytes::get_u64(&numbers, at));
        Ok(Some(Record { kind, offset, length }))
    }
}

/// Two checksums of different polynomials.
#[derive(Default)]
struct Sums {
    castagnoli: u32,
    other: crc32fast::Hasher,
}

impl Sums {
    fn update(&mut self, bytes: &[u8]) {
        self.castagnoli = crc32c::crc32c_append(self.castagnoli, bytes);
        self.other.update(bytes);
    }

    fn value(&self) -> u64 {
        u64::from(self.castagnoli) << 32 | u64::from(self.other.clone().finalize())
    }
}

/// Sums up what goes through it.
struct Summed<T> {
    inner: T,
    sums: Sums,
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.sums.update(&buffer[..n]);
        Ok(n)
    }
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.sums.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Makes a hole where the file system can have one, which reads as zeros.
fn put_zeros(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if length == 0 || fallocate(file, flags, offset, length).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; PART];
    let (mut at, end) = (offset, offset.saturating_add(length));
    while at < end {
        let part = (end - at).min(PART as u64) as usize;
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes names in the directory of `path` durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
