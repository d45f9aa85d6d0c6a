//! How many bytes of an image each of its files takes, as they are stored: mostly compressed.
//!
//! What a file takes is counted once: under its first name, and for contents that several files share, at the first of
//! them. So the files, what describes them and what is free come to the size of the image.

mod archive;
mod shares;

use std::io;
use std::sync::Arc;

use layer::ReadAt;

pub(crate) use shares::share;

use crate::{cpio, erofs, ext4, fat, iso, squashfs};

/// What takes up an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// How many bytes the image has.
    pub size: u64,
    /// Its files, in the order of the image.
    pub files: Vec<FileUsage>,
    /// The paths of its directories, as far as it has entries for them.
    pub directories: Vec<Vec<u8>>,
    /// How many bytes are free.
    pub free: u64,
    /// How the bytes of files were counted.
    pub basis: Basis,
}

/// What a file takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUsage {
    /// Its path, without a slash in front.
    pub path: Vec<u8>,
    /// How many bytes it has.
    pub size: u64,
    /// How many bytes of the image it takes.
    pub stored: u64,
    /// Whether it is a further name of a file that came before, and so takes nothing.
    pub is_further_name: bool,
}

/// How the bytes were counted that files take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// As blocks are stored, which may be compressed. Of blocks that files share, each has a part.
    Stored,
    /// As the blocks that are allocated.
    Allocated,
    /// As they are: nothing is compressed.
    Plain,
    /// Files are compressed together: each has the share of the compressed bytes that it has of the others.
    Ratio,
}

/// An image cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The image could not be read.
    #[error("the image could not be read")]
    Io(#[from] io::Error),
    /// A squashfs that is damaged.
    #[error(transparent)]
    Squashfs(#[from] squashfs::ReadError),
    /// An EROFS that is damaged.
    #[error(transparent)]
    Erofs(#[from] erofs::ReadError),
    /// An ext4 that is damaged.
    #[error(transparent)]
    Ext4(#[from] ext4::ReadError),
    /// A FAT that is damaged.
    #[error(transparent)]
    Fat(#[from] fat::ReadError),
    /// An ISO 9660 that is damaged.
    #[error(transparent)]
    Iso(#[from] iso::ReadError),
    /// An archive that is damaged.
    #[error(transparent)]
    Cpio(#[from] cpio::ReadError),
    /// An archive that is damaged.
    #[error(transparent)]
    Tar(#[from] layer::ForeignError),
    /// More than any real image has.
    #[error("the archive has more than {0}")]
    Limit(&'static str),
}

impl Usage {
    /// Returns an image of which nothing is known but its size.
    pub(crate) fn new(size: u64, basis: Basis) -> Usage {
        Usage { size, files: Vec::new(), directories: Vec::new(), free: 0, basis }
    }

    /// Returns how many bytes are neither of files nor free: what describes the files, and what is in none.
    pub fn metadata(&self) -> u64 {
        let files = self.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.stored));
        self.size.saturating_sub(self.free).saturating_sub(files)
    }
}

/// Returns what takes up the file system or archive in `source`, or `None` if it is neither.
///
/// # Errors
///
/// Fails if it is damaged, or says that it has more than any real one.
pub fn measure(source: &Arc<dyn ReadAt>) -> Result<Option<Usage>, UsageError> {
    let has = |offset: u64, magic: &[u8]| {
        let mut found = vec![0; magic.len()];
        match source.read_exact_at(&mut found, offset) {
            Ok(()) => Ok(found == magic),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    };
    let own = || Arc::clone(source);
    if has(0, b"hsqs")? {
        return Ok(Some(squashfs::Reader::open(own())?.usage()?));
    }
    if has(1024, &[0xe2, 0xe1, 0xf5, 0xe0])? {
        return Ok(Some(erofs::Reader::open(own())?.usage()?));
    }
    if has(0x8001, b"CD001")? {
        return Ok(Some(iso::Reader::open(own())?.usage()?));
    }
    if has(1080, &[0x53, 0xef])? {
        return Ok(Some(ext4::Reader::open(own())?.usage()?));
    }
    if let Some(usage) = archive::measure(source)? {
        return Ok(Some(usage));
    }
    // A boot sector may begin a disk, too.
    if has(510, &[0x55, 0xaa])? && (has(0, &[0xeb])? || has(0, &[0xe9])?) {
        return Ok(Some(fat::Reader::open(own())?.usage()?));
    }
    Ok(None)
}
