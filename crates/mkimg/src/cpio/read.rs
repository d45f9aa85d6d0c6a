//! Reads cpio archives, one after another as a kernel does.

use std::fmt;
use std::io::{self, Read};

use super::{HEADER, MAGIC, MAX_NAME, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, TRAILER};

/// The bytes are not a cpio archive.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The archive could not be read.
    #[error("could not read the archive at byte {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// What reading said.
        source: io::Error,
    },
    /// The archive ends before its trailer.
    #[error("the archive is cut off at byte {offset}")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// Something else is where a header must be, or its fields contradict each other.
    #[error("the archive has no valid entry at byte {offset}: {problem}")]
    Header {
        /// Where the header begins.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name, without the NUL that ends it.
    pub name: Vec<u8>,
    /// Inode number.
    pub inode: u32,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// How many names the inode has.
    pub links: u32,
    /// Modification time in seconds since 1970.
    pub mtime: u32,
    /// Bytes of content.
    pub size: u32,
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

impl Record {
    /// Says whether the contents are the target of a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & 0o170_000 == S_IFLNK
    }
}

/// One line for people.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { name, inode, mode, uid, gid, links, mtime, size, device } = self;
        let kind = match mode & 0o170_000 {
            S_IFDIR => "dir",
            S_IFREG => "file",
            S_IFLNK => "symlink",
            S_IFCHR => "char",
            S_IFBLK => "block",
            S_IFIFO => "fifo",
            _ => "?",
        };
        write!(f, "{kind:<7} {:04o} {uid}:{gid} {mtime} {}", mode & 0o7777, name.escape_ascii())?;
        write!(f, " inode={inode} links={links}")?;
        if matches!(mode & 0o170_000, S_IFCHR | S_IFBLK) {
            write!(f, " device={}:{}", device.0, device.1)?;
        }
        if *size > 0 {
            write!(f, " size={size}")?;
        }
        Ok(())
    }
}

/// Iterates over the entries of all archives in a stream.
pub struct Reader<R: Read> {
    input: R,
    offset: u64,
    contents: u64,
}

impl<R: Read> Reader<R> {
    /// Returns a reader of the archives in `input`, which should be buffered.
    pub fn new(input: R) -> Reader<R> {
        Reader { input, offset: 0, contents: 0 }
    }

    /// Returns how much of the input was read: behind an entry, where the next one begins.
    pub fn position(&self) -> u64 {
        self.offset
    }

    /// Returns where the contents of the last entry begin.
    pub fn contents(&self) -> u64 {
        self.contents
    }

    /// Returns the next entry and its contents, or `None` when an archive and the zeros after it end the input.
    ///
    /// The trailer of each archive is an entry, too. Contents are handed to `content` in pieces.
    pub fn next_record(
        &mut self,
        content: &mut dyn FnMut(&Record, &[u8]),
    ) -> Result<Option<Record>, ReadError> {
        // An archive starts at a multiple of four; between archives there may be any number of zeros.
        let mut header = [0; HEADER];
        let start = loop {
            let start = self.offset;
            match self.read_up_to(&mut header[..4])? {
                0 => return Ok(None),
                4 if header[..4] == [0; 4] => {}
                4 => break start,
                _ => return Err(ReadError::Truncated { offset: self.offset }),
            }
        };
        let wrong = |problem| ReadError::Header { offset: start, problem };
        self.read_exact(&mut header[4..])?;
        if &header[..6] != MAGIC {
            return Err(wrong("the magic number is not 070701"));
        }
        let mut fields = [0_u32; 13];
        for (field, digits) in fields.iter_mut().zip(header[6..].chunks_exact(8)) {
            *field = hexadecimal(digits).ok_or_else(|| wrong("a field is not hexadecimal"))?;
        }
        let [inode, mode, uid, gid, links, mtime, size, _, _, major, minor, name_size, check] = fields;
        if check != 0 {
            return Err(wrong("the format without checksums has a checksum"));
        }
        let name_size = name_size as usize;
        if name_size == 0 || name_size > MAX_NAME {
            return Err(wrong("the name is empty or longer than 4096 bytes"));
        }
        let mut name = vec![0; name_size];
        self.read_exact(&mut name)?;
        if name.pop() != Some(0) || name.contains(&0) || name.is_empty() {
            return Err(wrong("the name does not end with its NUL byte"));
        }
        self.skip_padding(start)?;
        let record = Record { name, inode, mode, uid, gid, links, mtime, size, device: (major, minor) };
        let is_trailer = record.name == TRAILER;
        let has_contents = matches!(mode & 0o170_000, S_IFREG | S_IFLNK);
        let is_known = has_contents || matches!(mode & 0o170_000, S_IFDIR | S_IFCHR | S_IFBLK | S_IFIFO);
        if !is_trailer && !is_known {
            return Err(wrong("the type of the file is unknown"));
        }
        if size > 0 && !has_contents {
            return Err(wrong("something that is no file has contents"));
        }
        self.contents = self.offset;
        let mut buffer = [0; 16 * 1024];
        let mut left = size as usize;
        while left > 0 {
            let part = left.min(buffer.len());
            self.read_exact(&mut buffer[..part])?;
            content(&record, &buffer[..part]);
            left -= part;
        }
        self.skip_padding(start)?;
        Ok(Some(record))
    }

    fn skip_padding(&mut self, start: u64) -> Result<(), ReadError> {
        let missing = (self.offset.next_multiple_of(4) - self.offset) as usize;
        let mut padding = [0; 4];
        // The last name of an archive need not be padded.
        let n = self.read_up_to(&mut padding[..missing])?;
        if padding[..n] != [0; 4][..n] {
            return Err(ReadError::Header { offset: start, problem: "the padding is not zero" });
        }
        Ok(())
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        match self.read_up_to(buffer)? {
            n if n == buffer.len() => Ok(()),
            _ => Err(ReadError::Truncated { offset: self.offset }),
        }
    }

    fn read_up_to(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ReadError::Io { offset: self.offset, source }),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}
