//! The tree: levels of hashes, each of the blocks of the one below, up to the root's.

use std::io;
use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

use super::superblock::{Hash, LONGEST_SALT, SUPERBLOCK, Salted, Superblock, is_block_size};

/// About how much of an image is read at a time.
const CHUNK: usize = 1 << 20;

/// Why there is no hash tree of an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An image without blocks.
    #[error("it is empty")]
    Empty,
    /// An image that ends within a block.
    #[error("it has {size} bytes, which is no multiple of its blocks of {block}")]
    Partial {
        /// The image's size.
        size: u64,
        /// The size of a block.
        block: u32,
    },
    /// Not a size that the kernel has.
    #[error("a block cannot have {size} bytes")]
    BlockSize {
        /// What was given.
        size: u32,
    },
    /// A salt that does not fit into the superblock, or is none.
    #[error("the salt is not up to 256 bytes in hexadecimal digits")]
    Salt,
    /// The image could not be read, or its copy not written.
    #[error("could not read or copy it")]
    Copy(#[source] io::Error),
}

impl Superblock {
    /// Fails if there is no such tree.
    pub(super) fn check(&self) -> Result<(), Error> {
        for size in [self.data_block_size, self.hash_block_size] {
            if !is_block_size(size) {
                return Err(Error::BlockSize { size });
            }
        }
        if self.salt.len() > LONGEST_SALT {
            return Err(Error::Salt);
        }
        if self.data_blocks == 0 { Err(Error::Empty) } else { Ok(()) }
    }

    /// Returns how many hashes fit into a block of the tree: with these sizes a power of two.
    fn per_block(&self) -> usize {
        self.hash_block_size as usize / self.hash.size()
    }
}

/// A whole tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    superblock: Superblock,
    /// The levels in whole blocks, the root's first.
    levels: Vec<Vec<u8>>,
    root: Vec<u8>,
}

impl Tree {
    /// Returns the tree over the hashes of all blocks, one behind the other.
    fn new(superblock: Superblock, mut hashes: Vec<u8>) -> Tree {
        let (hash, per_block) = (superblock.hash.size(), superblock.per_block());
        let block = superblock.hash_block_size as usize;
        let salted = Salted::new(superblock.hash, &superblock.salt);
        let mut levels = Vec::new();
        while hashes.len() > hash {
            hashes.resize((hashes.len() / hash).div_ceil(per_block) * block, 0);
            let mut above = vec![0; hashes.len() / block * hash];
            for (block, out) in hashes.chunks_exact(block).zip(above.chunks_exact_mut(hash)) {
                salted.hash(block, out);
            }
            levels.push(std::mem::replace(&mut hashes, above));
        }
        levels.reverse();
        Tree { superblock, levels, root: hashes }
    }

    /// Returns the root's hash: who knows it can check everything.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Returns the tree with the superblock in front, for an offset of the file that is a multiple of 512. The tree's
    /// blocks are at multiples of their size of the whole file.
    pub fn encode(&self, offset: u64) -> Vec<u8> {
        let mut bytes = self.superblock.encode().to_vec();
        let start = first_block(&self.superblock, offset) - offset;
        bytes.resize(usize::try_from(start).unwrap_or(SUPERBLOCK), 0);
        self.levels.iter().for_each(|level| bytes.extend(level));
        bytes
    }
}

/// Returns where the first block of a tree is whose superblock is at `offset`.
pub(super) fn first_block(superblock: &Superblock, offset: u64) -> u64 {
    (offset + SUPERBLOCK as u64).next_multiple_of(superblock.hash_block_size.into())
}

/// Returns the tree of an image. `read` reads a part of it, whole, at an offset, and may copy it elsewhere; it is called
/// from several threads, with every part once. The image has the blocks that the superblock says.
pub fn hash_image(
    superblock: &Superblock,
    read: &(dyn Fn(&mut [u8], u64) -> io::Result<()> + Sync),
) -> Result<Tree, Error> {
    superblock.check()?;
    let (hash, block) = (superblock.hash.size(), superblock.data_block_size as usize);
    let per_chunk = (CHUNK / block).max(1);
    let too_large = || Error::Copy(io::ErrorKind::OutOfMemory.into());
    let n_blocks = usize::try_from(superblock.data_blocks).map_err(|_| too_large())?;
    let n_bytes = n_blocks.checked_mul(hash).ok_or_else(too_large)?;
    let mut hashes = Vec::new();
    hashes.try_reserve_exact(n_bytes).map_err(|_| too_large())?;
    hashes.resize(n_bytes, 0);
    let salted = Salted::new(superblock.hash, &superblock.salt);
    // Much of an image is free space.
    let mut of_zeros = vec![0; hash];
    salted.hash(&vec![0; block], &mut of_zeros);

    let work = Mutex::new(hashes.chunks_mut(per_chunk * hash).enumerate());
    let failed = Mutex::new(None);
    let next = || {
        let is_over = failed.lock().is_ok_and(|failed| failed.is_some());
        if is_over { None } else { work.lock().ok()?.next() }
    };
    let hash_chunks = || {
        let mut buffer = vec![0; per_chunk * block];
        while let Some((idx, out)) = next() {
            let chunk = &mut buffer[..out.len() / hash * block];
            let offset = (idx * per_chunk) as u64 * block as u64;
            if let Err(error) = read(chunk, offset) {
                if let Ok(mut failed) = failed.lock() {
                    *failed = Some(error);
                }
                return;
            }
            for (block, out) in chunk.chunks_exact(block).zip(out.chunks_exact_mut(hash)) {
                if block.iter().all(|byte| *byte == 0) {
                    out.copy_from_slice(&of_zeros);
                } else {
                    salted.hash(block, out);
                }
            }
        }
    };
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get).min(n_blocks.div_ceil(per_chunk));
    thread::scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(hash_chunks);
        }
        hash_chunks();
    });
    if let Some(error) = failed.into_inner().ok().flatten() {
        return Err(Error::Copy(error));
    }
    Ok(Tree::new(superblock.clone(), hashes))
}

/// Reads a hash or a salt from hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<crate::spec::VerityHash> for Hash {
    fn from(hash: crate::spec::VerityHash) -> Hash {
        match hash {
            crate::spec::VerityHash::Sha256 => Hash::Sha256,
            crate::spec::VerityHash::Sha512 => Hash::Sha512,
        }
    }
}
