//! An image as the bytes of a disk or file system, whatever its file looks like.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use layer::ReadAt;

use super::Error;
use crate::vdisk::{Kind, Reader, data_ranges, recognize_file};

/// An image that is read.
pub struct Image {
    path: PathBuf,
    side: Side,
    size: u64,
    /// Where it may have other bytes than zeros.
    data: Vec<Range<u64>>,
}

/// What an image's file is.
pub enum Side {
    /// The bytes themselves.
    Raw(File),
    /// A virtual disk.
    Virtual(Reader<'static>),
}

impl Image {
    /// Opens the image in `file`, which is at `path`.
    pub fn open(path: &Path, file: File) -> Result<Image, Error> {
        let read_error = |source| Error::Read { path: path.to_owned(), source };
        let disk_error = |source| Error::VirtualDisk { path: path.to_owned(), source };
        let path = path.to_owned();
        let Some(kind) = recognize_file(&file).map_err(disk_error)? else {
            let size = file.metadata().map_err(read_error)?.len();
            let data = data_ranges(&file, size).map_err(|error| read_error(error.into()))?;
            return Ok(Image { path, side: Side::Raw(file), size, data });
        };
        let reader = Reader::open_as(kind, file).map_err(disk_error)?;
        let (size, data) = (reader.size(), reader.data().map_err(disk_error)?);
        Ok(Image { path, side: Side::Virtual(reader), size, data })
    }

    /// Returns where its file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the format if it is that of a virtual disk.
    pub fn kind(&self) -> Option<Kind> {
        match &self.side {
            Side::Raw(_) => None,
            Side::Virtual(reader) => Some(reader.kind()),
        }
    }

    /// Returns where it may have other bytes than zeros: ascending ranges.
    pub(super) fn data(&self) -> &[Range<u64>] {
        &self.data
    }

    /// Fills the buffer with what is at `offset`; beyond the end there are zeros.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let there = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        buffer[there..].fill(0);
        let bytes: &dyn ReadAt = match &self.side {
            Side::Raw(file) => file,
            Side::Virtual(reader) => reader,
        };
        let read = bytes.read_exact_at(&mut buffer[..there], offset);
        read.map_err(|source| Error::Read { path: self.path.clone(), source })
    }
}

impl ReadAt for &Image {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.side {
            Side::Raw(file) => ReadAt::read_at(file, buffer, offset),
            Side::Virtual(reader) => ReadAt::read_at(reader, buffer, offset),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}
