//! Checks an image against its tree, and the tree against its root.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::superblock::{SUPERBLOCK, Superblock};
use super::tree::{Error, Tree, hash_image};

/// Why an image is not what its tree says.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Something else.
    #[error("it does not begin as a hash tree of dm-verity")]
    NotVerity,
    /// Another format.
    #[error("it has the version {version} with hashes of type {kind}, where 1 and 1 are known")]
    Version {
        /// The version.
        version: u32,
        /// The type of hashes.
        kind: u32,
    },
    /// A hash that is not known.
    #[error("it has hashes of `{name}`, where `sha256` and `sha512` are known")]
    Hash {
        /// The name of the hash.
        name: String,
    },
    /// Not a size that the kernel has.
    #[error("its blocks cannot have {size} bytes")]
    BlockSize {
        /// What it says.
        size: u32,
    },
    /// A salt that is longer than its place.
    #[error("its salt cannot have {size} bytes")]
    Salt {
        /// What it says.
        size: usize,
    },
    /// An image that cannot be.
    #[error("its image cannot have {blocks} blocks")]
    Blocks {
        /// What it says.
        blocks: u64,
    },
    /// An image of another size.
    #[error("its image has {wanted} bytes, and this one {size}")]
    Size {
        /// What the tree is of.
        wanted: u64,
        /// What there is.
        size: u64,
    },
    /// A tree that is not that of the image.
    #[error("the tree is not that of the image: they differ at byte {at} of the tree's file")]
    Tree {
        /// The first byte of the file that differs.
        at: u64,
    },
    /// Another root.
    #[error("the root's hash is another one")]
    Root,
    /// The tree cannot be made.
    #[error("could not hash the image")]
    Image(#[source] Error),
    /// A file could not be read.
    #[error("could not read it")]
    Read(#[source] io::Error),
}

/// Reads the superblock at `offset` of a file.
pub(super) fn superblock(file: &File, offset: u64) -> Result<Superblock, ReadError> {
    let mut bytes = [0; SUPERBLOCK];
    match file.read_exact_at(&mut bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::NotVerity),
        Err(error) => Err(ReadError::Read(error)),
        Ok(()) => Superblock::parse(&bytes),
    }
}

/// Checks that `file` has at `offset` the tree of `image`, and that its root has this hash. The image may have the tree
/// behind it, in the same file.
pub fn verify(image: &File, file: &File, offset: u64, root: &[u8]) -> Result<(), ReadError> {
    let superblock = superblock(file, offset)?;
    let wanted = superblock.data_blocks * u64::from(superblock.data_block_size);
    let size = image.metadata().map_err(ReadError::Read)?.len();
    if size < wanted {
        return Err(ReadError::Size { wanted, size });
    }
    let read = |buffer: &mut [u8], offset: u64| image.read_exact_at(buffer, offset);
    let tree: Tree = hash_image(&superblock, &read).map_err(ReadError::Image)?;
    let encoded = tree.encode(offset);
    let mut found = vec![0; encoded.len()];
    let end = file.read_exact_at(&mut found, offset);
    if end.is_err() || found != encoded {
        let same = found.iter().zip(&encoded).take_while(|(found, wanted)| found == wanted).count();
        return Err(ReadError::Tree { at: offset + same as u64 });
    }
    if tree.root() == root { Ok(()) } else { Err(ReadError::Root) }
}
