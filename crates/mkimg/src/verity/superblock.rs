//! The superblock: what a tree is of, and how it is made.

use sha2::{Digest, Sha256, Sha512};

use super::verify::ReadError;
use crate::bytes::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};

/// What a superblock begins with.
pub const MAGIC: &[u8] = b"verity\0\0";
/// The size of a superblock. The tree begins with the next block behind it.
pub const SUPERBLOCK: usize = 512;
/// The longest salt.
pub(super) const LONGEST_SALT: usize = 256;
/// The only version there is, and the hash type that has the salt in front.
const VERSION: u32 = 1;
const SALT_FIRST: u32 = 1;

/// A hash that trees are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// Returns its name, as the kernel knows it.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Sha256 => "sha256",
            Hash::Sha512 => "sha512",
        }
    }

    /// Returns how many bytes it has.
    pub fn size(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha512 => 64,
        }
    }
}

/// A hash that has been told the salt.
#[derive(Clone)]
pub(super) enum Salted {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Salted {
    pub(super) fn new(hash: Hash, salt: &[u8]) -> Salted {
        match hash {
            Hash::Sha256 => Salted::Sha256(Sha256::new_with_prefix(salt)),
            Hash::Sha512 => Salted::Sha512(Sha512::new_with_prefix(salt)),
        }
    }

    /// Writes the hash of a block into `out`, which has its size.
    pub(super) fn hash(&self, block: &[u8], out: &mut [u8]) {
        match self {
            Salted::Sha256(hash) => out.copy_from_slice(&hash.clone().chain_update(block).finalize()),
            Salted::Sha512(hash) => out.copy_from_slice(&hash.clone().chain_update(block).finalize()),
        }
    }
}

/// What a tree is of, and how it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// The tree's UUID.
    pub uuid: [u8; 16],
    /// The hash.
    pub hash: Hash,
    /// The size of a block of the image: a power of two from 512 to 512 KiB.
    pub data_block_size: u32,
    /// The size of a block of the tree: likewise.
    pub hash_block_size: u32,
    /// How many blocks the image has.
    pub data_blocks: u64,
    /// What every hash begins with, at most 256 bytes.
    pub salt: Vec<u8>,
}

/// Says whether the kernel takes blocks of this size.
pub(super) fn is_block_size(size: u32) -> bool {
    size.is_power_of_two() && (512..=512 << 10).contains(&size)
}

impl Superblock {
    /// Returns the bytes of the superblock.
    pub(super) fn encode(&self) -> [u8; SUPERBLOCK] {
        let mut bytes = [0; SUPERBLOCK];
        bytes[..8].copy_from_slice(MAGIC);
        put_u32(&mut bytes, 8, VERSION);
        put_u32(&mut bytes, 12, SALT_FIRST);
        bytes[16..32].copy_from_slice(&self.uuid);
        let name = self.hash.name().as_bytes();
        bytes[32..32 + name.len()].copy_from_slice(name);
        put_u32(&mut bytes, 64, self.data_block_size);
        put_u32(&mut bytes, 68, self.hash_block_size);
        put_u64(&mut bytes, 72, self.data_blocks);
        put_u16(&mut bytes, 80, self.salt.len() as u16);
        bytes[88..88 + self.salt.len()].copy_from_slice(&self.salt);
        bytes
    }

    /// Reads a superblock.
    pub fn parse(bytes: &[u8; SUPERBLOCK]) -> Result<Superblock, ReadError> {
        if !bytes.starts_with(MAGIC) {
            return Err(ReadError::NotVerity);
        }
        let (version, kind) = (get_u32(bytes, 8), get_u32(bytes, 12));
        if (version, kind) != (VERSION, SALT_FIRST) {
            return Err(ReadError::Version { version, kind });
        }
        let name = bytes[32..64].split(|byte| *byte == 0).next().unwrap_or_default();
        let hash = [Hash::Sha256, Hash::Sha512].into_iter().find(|hash| hash.name().as_bytes() == name);
        let hash = hash.ok_or_else(|| ReadError::Hash { name: name.escape_ascii().to_string() })?;
        let (data_block_size, hash_block_size) = (get_u32(bytes, 64), get_u32(bytes, 68));
        if let Some(size) = [data_block_size, hash_block_size].into_iter().find(|size| !is_block_size(*size))
        {
            return Err(ReadError::BlockSize { size });
        }
        let salt = usize::from(get_u16(bytes, 80));
        let Some(salt) = bytes[88..88 + LONGEST_SALT].get(..salt) else {
            return Err(ReadError::Salt { size: salt });
        };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[16..32]);
        let data_blocks = get_u64(bytes, 72);
        if data_blocks == 0
            || data_blocks.checked_mul(data_block_size.into()).is_none_or(|size| size > i64::MAX as u64)
        {
            return Err(ReadError::Blocks { blocks: data_blocks });
        }
        let salt = salt.to_vec();
        Ok(Superblock { uuid, hash, data_block_size, hash_block_size, data_blocks, salt })
    }
}
