//! Reads canonical layers, and nothing else.

use std::io;

use crate::entry::{Entry, Kind, Metadata};
use crate::header::{self, BLOCK, HeaderError, MAX_PAX, RawHeader, Records, XATTR_KEY};
use crate::path::{EntryPath, PathError};
use crate::read_at::ReadAt;
use crate::sequence::{Sequence, SequenceError};

/// The bytes are not a canonical layer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The layer could not be read.
    #[error("could not read the layer at byte {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// What reading said.
        source: io::Error,
    },
    /// The layer ends where something must follow.
    #[error("the layer is cut off at byte {offset}")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// A header is damaged.
    #[error("the layer has no valid entry at byte {offset}")]
    Header {
        /// Where the header is.
        offset: u64,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A path leaves the tree.
    #[error("the layer has a wrong path at byte {offset}")]
    Path {
        /// Where the header is.
        offset: u64,
        /// What is wrong with it.
        source: PathError,
    },
    /// An entry cannot be in a layer, or not here.
    #[error("the layer has a wrong entry at byte {offset}")]
    Sequence {
        /// Where the header is.
        offset: u64,
        /// What is wrong with it.
        source: SequenceError,
    },
    /// A tar, but not the one that this tree always is.
    #[error("the layer is not in canonical form at byte {offset}")]
    NotCanonical {
        /// Where it differs.
        offset: u64,
    },
}

/// An entry and where its contents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The entry; its kind has the contents' size.
    pub entry: Entry,
    /// Offset of the contents in the layer.
    pub offset: u64,
}

/// Iterates over the entries of a canonical layer. Ends after the first error.
///
/// What is accepted is exactly what [`crate::Writer`] writes: every header is encoded again and compared.
pub struct Reader<'a> {
    source: &'a dyn ReadAt,
    size: u64,
    /// Where the next header begins, after `padding` zeros; `None` after the end or an error.
    position: Option<u64>,
    padding: usize,
    sequence: Sequence,
}

impl<'a> Reader<'a> {
    /// Returns a reader of the layer that is the whole of `source`.
    pub fn new(source: &'a dyn ReadAt) -> Result<Reader<'a>, ReadError> {
        let size = source.size().map_err(|source| ReadError::Io { offset: 0, source })?;
        Ok(Reader { source, size, position: Some(0), padding: 0, sequence: Sequence::default() })
    }

    fn read_exact(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(ReadError::Truncated { offset: self.size });
        }
        self.source.read_exact_at(buffer, offset).map_err(|source| ReadError::Io { offset, source })
    }

    /// Reads the entry whose padding begins at `position`; `None` at the end of the layer.
    fn read(&mut self, position: u64) -> Result<Option<Located>, ReadError> {
        let mut buffer = [0; 2 * BLOCK];
        let with_padding = &mut buffer[..self.padding + BLOCK];
        self.read_exact(with_padding, position)?;
        if with_padding[..self.padding].iter().any(|byte| *byte != 0) {
            return Err(ReadError::NotCanonical { offset: position });
        }
        let start = position + self.padding as u64;
        let first: &[u8; BLOCK] =
            with_padding.last_chunk().expect("the buffer has a block after the padding");
        let wrong = |source| ReadError::Header { offset: start, source };
        let Some(mut header) = RawHeader::parse(first).map_err(wrong)? else {
            return self.read_end(start).map(|()| None);
        };
        let mut blocks = first.to_vec();
        let mut records = Records::new();
        if header.typeflag == b'x' {
            if header.size > MAX_PAX as u64 {
                return Err(wrong(HeaderError::TooLarge { size: header.size }));
            }
            let length = header.size as usize;
            blocks.resize(BLOCK + length.next_multiple_of(BLOCK) + BLOCK, 0);
            self.read_exact(&mut blocks[BLOCK..], start + BLOCK as u64)?;
            header::parse_records(&blocks[BLOCK..BLOCK + length], &mut records).map_err(wrong)?;
            let last: &[u8; BLOCK] = blocks.last_chunk().expect("the blocks end with a header");
            let offset = start + (blocks.len() - BLOCK) as u64;
            header = RawHeader::parse(last).map_err(wrong)?.ok_or(ReadError::Truncated { offset })?;
            header.apply(&records).map_err(wrong)?;
        }
        let entry = self.understand(header, records, start)?;
        let stored =
            self.sequence.accept(&entry).map_err(|source| ReadError::Sequence { offset: start, source })?;
        if header::encode(&entry, &stored) != blocks {
            return Err(ReadError::NotCanonical { offset: start });
        }

        let offset = start + blocks.len() as u64;
        let end = offset.checked_add(entry.size()).filter(|end| *end <= self.size);
        let end = end.ok_or(ReadError::Truncated { offset: self.size })?;
        self.padding = (BLOCK - (end % BLOCK as u64) as usize) % BLOCK;
        self.position = Some(end);
        Ok(Some(Located { entry, offset }))
    }

    fn read_end(&mut self, start: u64) -> Result<(), ReadError> {
        let mut second = [0; BLOCK];
        self.read_exact(&mut second, start + BLOCK as u64)?;
        let end = start + 2 * BLOCK as u64;
        if second.iter().any(|byte| *byte != 0) || end != self.size {
            return Err(ReadError::NotCanonical { offset: start + BLOCK as u64 });
        }
        Ok(())
    }

    /// Returns the entry that a header means; whatever it does not say canonically shows when it is encoded.
    fn understand(&self, header: RawHeader, records: Records, start: u64) -> Result<Entry, ReadError> {
        let not_canonical = || ReadError::NotCanonical { offset: start };
        let path_error = |source| ReadError::Path { offset: start, source };
        let number = |value: u64| u32::try_from(value).map_err(|_| not_canonical());
        let name = match header.typeflag {
            b'5' => header.name.strip_suffix(b"/").ok_or_else(not_canonical)?,
            _ => &header.name[..],
        };
        let stored = EntryPath::new(name).map_err(path_error)?;
        let whiteout = Entry::whiteout_at(&stored)
            .map_err(|source| ReadError::Sequence { offset: start, source: source.into() })?;
        if let Some(entry) = whiteout {
            return Ok(entry);
        }
        let (major, minor) = (number(header.major)?, number(header.minor)?);
        let kind = match header.typeflag {
            b'0' => Kind::File { size: header.size },
            b'1' => Kind::HardLink { target: EntryPath::new(header.link_name).map_err(path_error)? },
            b'2' => Kind::Symlink { target: header.link_name },
            b'3' => Kind::CharDevice { major, minor },
            b'4' => Kind::BlockDevice { major, minor },
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => return Err(not_canonical()),
        };
        let xattrs = records.into_iter().filter_map(|(keyword, value)| {
            keyword.strip_prefix(XATTR_KEY).map(|name| (name.to_vec(), value))
        });
        let metadata = Metadata {
            mode: number(header.mode)?,
            uid: number(header.uid)?,
            gid: number(header.gid)?,
            mtime: header.mtime,
            xattrs: xattrs.collect(),
        };
        Ok(Entry { path: stored, metadata, kind })
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Located, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.position.take()?;
        self.read(position).transpose()
    }
}
