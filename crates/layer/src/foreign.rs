//! Reads tar archives that other programs wrote, some of them to do harm.
//!
//! Understood: old tar, ustar, GNU (long names, base-256 numbers) and pax. Refused with a reason: sparse files,
//! multi-volume archives, and everything that would put a file where its path does not say: absolute paths,
//! `..`, a path below something that is not a directory, hard links to what the archive did not bring,
//! the same path twice, unless it is a directory both times. Memory is bounded by [`Limits`], whatever the archive claims.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use crate::entry::{Entry, EntryError, Kind, Metadata};
use crate::header::{self, BLOCK, HeaderError, MAX_PAX, RawHeader, Records, XATTR_KEY};
use crate::path::{EntryPath, PathError};

/// The longest value that is taken for all entries that follow: what a path may have.
const MAX_GLOBAL: usize = 4095;

/// How much an archive may make its reader remember.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Paths, with the directories that they imply; a path that comes twice counts twice.
    pub paths: usize,
    /// Bytes of paths, link targets, extended attributes and extended headers.
    pub metadata_bytes: u64,
}

impl Default for Limits {
    /// Ten times the largest package of Debian.
    fn default() -> Limits {
        Limits { paths: 1_000_000, metadata_bytes: 256 << 20 }
    }
}

/// The archive is damaged, hostile or of a kind that is not supported.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The archive could not be read.
    #[error("could not read the archive at byte {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// What reading said.
        source: io::Error,
    },
    /// The archive ends within a header or within contents.
    #[error("the archive is cut off at byte {offset}")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// A header is damaged or lies.
    #[error("the archive has no valid entry at byte {offset}")]
    Header {
        /// Where the header ends.
        offset: u64,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A path or a hard link's target leaves the tree.
    #[error("the archive has a path that leaves the tree")]
    Path(#[from] PathError),
    /// Linux could not have such an entry.
    #[error("the archive has an entry that no file system can hold")]
    Entry(#[from] EntryError),
    /// The same path comes twice, and not as a directory both times.
    #[error("`{path}` is in the archive twice")]
    Duplicate {
        /// The path.
        path: EntryPath,
    },
    /// The archive has something else where the path needs a directory.
    #[error("`{path}` lies below `{parent}`, which is not a directory")]
    Parent {
        /// The entry.
        path: EntryPath,
        /// What is above it.
        parent: EntryPath,
    },
    /// The target is neither a file nor a symbolic link that came earlier.
    #[error(
        "the hard link `{path}` points to `{target}`, which is no file that comes before it in the archive"
    )]
    LinkTarget {
        /// The link.
        path: EntryPath,
        /// Its target.
        target: EntryPath,
    },
    /// Something that only files have.
    #[error("`{path}` is not a file and yet has {size} bytes of contents")]
    Contents {
        /// The entry.
        path: EntryPath,
        /// Its size.
        size: u64,
    },
    /// The root of the archive is not a directory.
    #[error("the archive has a root that is not a directory")]
    Root,
    /// A user, group or device number that Linux does not have, or contents beyond any file's size.
    #[error("`{path}` has a {field} that does not fit: {value}")]
    TooLarge {
        /// The entry.
        path: EntryPath,
        /// What is too large.
        field: &'static str,
        /// How large it is.
        value: u64,
    },
    /// Sparse files, volumes of a set, and kinds that nobody knows.
    #[error("`{path}` is {what}, which is not supported")]
    Unsupported {
        /// The entry.
        path: String,
        /// What it is.
        what: String,
    },
    /// More than the limits allow.
    #[error("the archive has more than {limit} {what}")]
    Limit {
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
}

/// What a path is, as far as later entries need to know.
#[derive(Clone, PartialEq, Eq)]
enum Seen {
    ImpliedDirectory,
    Directory,
    /// With the bytes of its extended attributes, which each of its names has.
    File {
        attributes: u64,
    },
    /// As it was, for further names of it.
    Symlink(Arc<(Metadata, Vec<u8>)>),
    Other,
}

/// Reads the entries of a tar archive from a stream.
pub struct ForeignReader<R: Read> {
    input: R,
    offset: u64,
    /// Contents of the last entry that nobody read, then padding.
    unread: u64,
    padding: u64,
    finished: bool,
    global: Records,
    seen: BTreeMap<EntryPath, Seen>,
    /// How many directories came once more.
    n_repeated: usize,
    metadata_bytes: u64,
    limits: Limits,
}

/// The contents of one entry; what is not read is skipped.
pub struct ForeignContent<'a, R: Read> {
    reader: &'a mut ForeignReader<R>,
}

impl<R: Read> Read for ForeignContent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.reader.unread).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.reader.input.read(&mut buffer[..wanted])?;
        if n == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive is cut off within this file",
            ));
        }
        self.reader.unread -= n as u64;
        self.reader.offset += n as u64;
        Ok(n)
    }
}

impl<R: Read> ForeignContent<'_, R> {
    /// Returns where in the archive the contents go on: at first, where they begin.
    pub fn position(&self) -> u64 {
        self.reader.offset
    }
}

impl<R: Read> ForeignReader<R> {
    /// Returns a reader of the archive that `input` gives, which should be buffered.
    pub fn new(input: R, limits: Limits) -> ForeignReader<R> {
        ForeignReader {
            input,
            offset: 0,
            unread: 0,
            padding: 0,
            finished: false,
            global: Records::new(),
            seen: BTreeMap::new(),
            n_repeated: 0,
            metadata_bytes: 0,
            limits,
        }
    }

    /// Returns the next entry and its contents, or `None` at the end of the archive.
    ///
    /// The root's own entry is left out. A hard link carries the metadata of its own header, which may differ
    /// from its target's; one to a symbolic link is a symbolic link like that one. A directory may come several times,
    /// each time with other metadata: for tar the last ones hold. An archive may end without the blocks of zeros that
    /// should end it. Do not go on after an error.
    pub fn next_entry(&mut self) -> Result<Option<(Entry, ForeignContent<'_, R>)>, ForeignError> {
        if self.finished {
            return Ok(None);
        }
        loop {
            self.skip_contents()?;
            let Some((header, records)) = self.read_header()? else {
                self.finished = true;
                return Ok(None);
            };
            let Some((entry, size)) = self.understand(header, records)? else { continue };
            let entry = self.as_symlink(entry);
            self.remember(&entry)?;
            self.unread = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            return Ok(Some((entry, ForeignContent { reader: self })));
        }
    }

    fn skip_contents(&mut self) -> Result<(), ForeignError> {
        let mut left = self.unread + self.padding;
        (self.unread, self.padding) = (0, 0);
        let mut buffer = [0; 16 * BLOCK];
        while left > 0 {
            let part = left.min(buffer.len() as u64) as usize;
            self.read_exact(&mut buffer[..part])?;
            left -= part as u64;
        }
        Ok(())
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ForeignError> {
        match self.read_up_to(buffer)? {
            n if n == buffer.len() => Ok(()),
            _ => Err(ForeignError::Truncated { offset: self.offset }),
        }
    }

    fn read_up_to(&mut self, buffer: &mut [u8]) -> Result<usize, ForeignError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ForeignError::Io { offset: self.offset, source }),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Reads one block; `None` at the end of the input.
    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, ForeignError> {
        let mut block = [0; BLOCK];
        match self.read_up_to(&mut block)? {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(ForeignError::Truncated { offset: self.offset }),
        }
    }

    /// Reads the header of the next entry with everything that extends it, whose records are returned beside it.
    fn read_header(&mut self) -> Result<Option<(RawHeader, Records)>, ForeignError> {
        let (mut records, mut long_name, mut long_link, mut extended) = (Records::new(), None, None, false);
        loop {
            let header = match self.read_block()? {
                Some(block) => RawHeader::parse(&block).map_err(|source| self.wrong(source))?,
                None => None,
            };
            let Some(mut header) = header else {
                // Something that extends an entry must be followed by that entry.
                return if extended {
                    Err(ForeignError::Truncated { offset: self.offset })
                } else {
                    Ok(None)
                };
            };
            match header.typeflag {
                b'x' => {
                    let data = self.read_extension(header.size)?;
                    header::parse_records(&data, &mut records).map_err(|source| self.wrong(source))?;
                    extended = true;
                }
                b'g' => {
                    let data = self.read_extension(header.size)?;
                    let mut global = Records::new();
                    header::parse_records(&data, &mut global).map_err(|source| self.wrong(source))?;
                    // Every later entry looks through all of these.
                    global.retain(|keyword, _| header::is_applied(keyword) || is_sparse(keyword));
                    let is_long =
                        |keyword: &[u8], value: &[u8]| !is_sparse(keyword) && value.len() > MAX_GLOBAL;
                    if let Some((keyword, _)) = global.iter().find(|(keyword, value)| is_long(keyword, value))
                    {
                        let keyword = String::from_utf8_lossy(keyword).into_owned();
                        return Err(self.wrong(HeaderError::PaxValue { keyword }));
                    }
                    self.global.extend(global);
                }
                b'L' => (long_name, extended) = (Some(self.read_long_name(header.size)?), true),
                b'K' => (long_link, extended) = (Some(self.read_long_name(header.size)?), true),
                _ => {
                    header.name = long_name.unwrap_or(header.name);
                    header.link_name = long_link.unwrap_or(header.link_name);
                    header.apply(&self.global).map_err(|source| self.wrong(source))?;
                    header.apply(&records).map_err(|source| self.wrong(source))?;
                    return Ok(Some((header, records)));
                }
            }
        }
    }

    fn wrong(&self, source: HeaderError) -> ForeignError {
        ForeignError::Header { offset: self.offset, source }
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, ForeignError> {
        if size > MAX_PAX as u64 {
            return Err(self.wrong(HeaderError::TooLarge { size }));
        }
        self.count(size)?;
        let mut data = vec![0; (size as usize).next_multiple_of(BLOCK)];
        self.read_exact(&mut data)?;
        data.truncate(size as usize);
        Ok(data)
    }

    fn read_long_name(&mut self, size: u64) -> Result<Vec<u8>, ForeignError> {
        let mut name = self.read_extension(size)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    fn count(&mut self, bytes: u64) -> Result<(), ForeignError> {
        self.metadata_bytes += bytes;
        if self.metadata_bytes > self.limits.metadata_bytes {
            let limit = self.limits.metadata_bytes;
            return Err(ForeignError::Limit { limit, what: "bytes of names and attributes" });
        }
        Ok(())
    }

    /// Returns the entry that a header means and the size of its contents; `None` for the root.
    fn understand(&self, header: RawHeader, records: Records) -> Result<Option<(Entry, u64)>, ForeignError> {
        let has_sparse = |records: &Records| records.keys().any(|keyword| is_sparse(keyword));
        let unsupported = |what: &str| {
            let name = header.name.get(..200).unwrap_or(&header.name);
            ForeignError::Unsupported {
                path: String::from_utf8_lossy(name).into_owned(),
                what: what.to_owned(),
            }
        };
        if has_sparse(&records) || has_sparse(&self.global) || header.typeflag == b'S' {
            return Err(unsupported("a sparse file"));
        }
        // The oldest archives mark directories by a slash only.
        let is_directory =
            header.typeflag == b'5' || matches!(header.typeflag, 0 | b'0') && header.name.ends_with(b"/");
        let Some(path) = EntryPath::tolerant(&header.name)? else {
            return if is_directory { Ok(None) } else { Err(ForeignError::Root) };
        };
        let number = |value: u64, field| {
            u32::try_from(value).map_err(|_| ForeignError::TooLarge { path: path.clone(), field, value })
        };
        let (major, minor) = (number(header.major, "device number")?, number(header.minor, "device number")?);
        let kind = match header.typeflag {
            _ if is_directory => Kind::Directory,
            0 | b'0' | b'7' => {
                if header.size > i64::MAX as u64 {
                    return Err(ForeignError::TooLarge { path, field: "size", value: header.size });
                }
                Kind::File { size: header.size }
            }
            b'1' => match EntryPath::tolerant(&header.link_name)? {
                Some(target) => Kind::HardLink { target },
                None => return Err(ForeignError::Root),
            },
            b'2' => Kind::Symlink { target: header.link_name.clone() },
            b'3' => Kind::CharDevice { major, minor },
            b'4' => Kind::BlockDevice { major, minor },
            b'6' => Kind::Fifo,
            b'M' | b'V' => return Err(unsupported("a part of a multi-volume archive")),
            other => return Err(unsupported(&format!("an entry of type `{}`", other.escape_ascii()))),
        };
        let size = match &kind {
            Kind::File { size } => *size,
            // Old archivers store the size of the file in the header of a link; its contents do not follow.
            Kind::HardLink { .. } => 0,
            _ if header.size == 0 => 0,
            _ => return Err(ForeignError::Contents { path, size: header.size }),
        };
        let mode = match kind {
            Kind::Symlink { .. } => 0o777,
            // Some archivers store the bits of the file's type, too.
            _ => (header.mode & 0o7777) as u32,
        };
        let mut metadata = Metadata::with_mode(mode);
        (metadata.uid, metadata.gid) = (number(header.uid, "user")?, number(header.gid, "group")?);
        metadata.mtime = header.mtime;
        for (keyword, value) in records {
            if let Some(name) = keyword.strip_prefix(XATTR_KEY) {
                metadata.xattrs.insert(name.to_vec(), value);
            }
        }
        let entry = Entry { path, metadata, kind };
        entry.check()?;
        Ok(Some((entry, size)))
    }

    /// Returns `entry`, or what it means if it is a hard link to a symbolic link: another one, whose inode it is.
    fn as_symlink(&self, entry: Entry) -> Entry {
        let Kind::HardLink { target } = &entry.kind else { return entry };
        let Some(Seen::Symlink(link)) = self.seen.get(target) else { return entry };
        let (metadata, target) = (**link).clone();
        Entry { path: entry.path, metadata, kind: Kind::Symlink { target } }
    }

    /// Checks `entry` against what came before it, and remembers it.
    fn remember(&mut self, entry: &Entry) -> Result<(), ForeignError> {
        let path = &entry.path;
        let seen = match &entry.kind {
            Kind::Directory => Seen::Directory,
            Kind::File { .. } => Seen::File { attributes: attributes_of(&entry.metadata) },
            Kind::HardLink { target } => {
                self.count(target.as_bytes().len() as u64)?;
                let Some(&Seen::File { attributes }) = self.seen.get(target) else {
                    return Err(ForeignError::LinkTarget { path: path.clone(), target: target.clone() });
                };
                // A layer has the attributes of the file once more for each link.
                self.count(attributes)?;
                Seen::File { attributes }
            }
            Kind::Symlink { target } => {
                // The attributes, too, are kept, and a hard link has them once more.
                self.count(target.len() as u64 + attributes_of(&entry.metadata))?;
                Seen::Symlink(Arc::new((entry.metadata.clone(), target.clone())))
            }
            _ => Seen::Other,
        };
        match self.seen.get(path) {
            None => {}
            Some(Seen::ImpliedDirectory) if seen == Seen::Directory => {}
            Some(Seen::Directory) if seen == Seen::Directory => {
                // Who reads this may keep what all of them say.
                self.n_repeated += 1;
            }
            Some(_) => return Err(ForeignError::Duplicate { path: path.clone() }),
        }
        // From the nearest ancestor upwards: as soon as one is known, so are those above it.
        for ancestor in path.ancestors().rev() {
            match self.seen.get(ancestor) {
                Some(Seen::Directory | Seen::ImpliedDirectory) => break,
                Some(_) => {
                    let parent = EntryPath::new(ancestor)?;
                    return Err(ForeignError::Parent { path: path.clone(), parent });
                }
                None => self.insert(EntryPath::new(ancestor)?, Seen::ImpliedDirectory)?,
            }
        }
        self.insert(path.clone(), seen)
    }

    fn insert(&mut self, path: EntryPath, seen: Seen) -> Result<(), ForeignError> {
        self.count(path.as_bytes().len() as u64)?;
        self.seen.insert(path, seen);
        if self.seen.len() + self.n_repeated > self.limits.paths {
            return Err(ForeignError::Limit { limit: self.limits.paths as u64, what: "paths" });
        }
        Ok(())
    }
}

fn attributes_of(metadata: &Metadata) -> u64 {
    metadata.xattrs.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
}

/// Says whether a pax keyword is one of those that GNU tar describes a sparse file by.
fn is_sparse(keyword: &[u8]) -> bool {
    keyword.starts_with(b"GNU.sparse.")
}
