//! Block groups: their descriptors and bitmaps.
//!
//! Kernel documentation, ext4, "Block Group Descriptors" and "Block and Inode Bitmaps".

use super::bytes::{get_split_u32, get_split_u64, get_u16, get_u32, put_split_u32, put_split_u64, put_u16};
use super::checksum::{Checksum, seal_descriptor};

/// How long a descriptor is with 64-bit block numbers.
pub(super) const DESCRIPTOR_LEN: usize = 64;

/// `bg_flags`: no inode is used; the inode bitmap is not initialised.
pub(super) const INODE_UNINIT: u16 = 1;
/// `bg_flags`: only copies of the superblock and of the descriptors are used; the block bitmap is not initialised.
pub(super) const BLOCK_UNINIT: u16 = 2;
/// `bg_flags`: the unused part of the inode table is zeros.
pub(super) const INODE_ZEROED: u16 = 4;

/// A group descriptor's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupDescriptor {
    /// Where the block bitmap is.
    pub block_bitmap: u64,
    /// Where the inode bitmap is.
    pub inode_bitmap: u64,
    /// Where the inode table starts.
    pub inode_table: u64,
    /// How many blocks are free.
    pub free_blocks: u32,
    /// How many inodes are free.
    pub free_inodes: u32,
    /// How many inodes are directories.
    pub used_directories: u32,
    /// How many inodes at the end of the table were never used.
    pub unused_inodes: u32,
    /// Flags (`bg_flags`).
    pub flags: u16,
    /// The checksum of the block bitmap.
    pub block_bitmap_checksum: u32,
    /// The checksum of the inode bitmap.
    pub inode_bitmap_checksum: u32,
}

impl GroupDescriptor {
    /// Returns the bytes of the descriptor of `group`.
    pub(super) fn encode(&self, group: u32, seed: Checksum) -> [u8; DESCRIPTOR_LEN] {
        let mut bytes = [0; DESCRIPTOR_LEN];
        put_split_u64(&mut bytes, 0x0, 0x20, self.block_bitmap);
        put_split_u64(&mut bytes, 0x4, 0x24, self.inode_bitmap);
        put_split_u64(&mut bytes, 0x8, 0x28, self.inode_table);
        put_split_u32(&mut bytes, 0xc, 0x2c, self.free_blocks);
        put_split_u32(&mut bytes, 0xe, 0x2e, self.free_inodes);
        put_split_u32(&mut bytes, 0x10, 0x30, self.used_directories);
        put_u16(&mut bytes, 0x12, self.flags);
        put_split_u32(&mut bytes, 0x18, 0x38, self.block_bitmap_checksum);
        put_split_u32(&mut bytes, 0x1a, 0x3a, self.inode_bitmap_checksum);
        put_split_u32(&mut bytes, 0x1c, 0x32, self.unused_inodes);
        seal_descriptor(&mut bytes, group, seed);
        bytes
    }

    /// Reads a descriptor of 32 or 64 bytes.
    pub(super) fn decode(bytes: &[u8]) -> GroupDescriptor {
        let is_wide = bytes.len() >= DESCRIPTOR_LEN;
        let address =
            |low, high| if is_wide { get_split_u64(bytes, low, high) } else { get_u32(bytes, low).into() };
        let count =
            |low, high| if is_wide { get_split_u32(bytes, low, high) } else { get_u16(bytes, low).into() };
        GroupDescriptor {
            block_bitmap: address(0x0, 0x20),
            inode_bitmap: address(0x4, 0x24),
            inode_table: address(0x8, 0x28),
            free_blocks: count(0xc, 0x2c),
            free_inodes: count(0xe, 0x2e),
            used_directories: count(0x10, 0x30),
            unused_inodes: count(0x1c, 0x32),
            flags: get_u16(bytes, 0x12),
            block_bitmap_checksum: count(0x18, 0x38),
            inode_bitmap_checksum: count(0x1a, 0x3a),
        }
    }
}

/// Sets the bits `start..end` of a bitmap.
pub(super) fn set_bits(bitmap: &mut [u8], start: usize, end: usize) {
    let mut at = start;
    while at < end {
        if at.is_multiple_of(8) && end - at >= 8 {
            let bytes = (end - at) / 8;
            bitmap[at / 8..at / 8 + bytes].fill(0xff);
            at += bytes * 8;
        } else {
            bitmap[at / 8] |= 1 << (at % 8);
            at += 1;
        }
    }
}

/// Tells whether bit `at` of a bitmap is set.
pub(super) fn has_bit(bitmap: &[u8], at: usize) -> bool {
    bitmap[at / 8] & 1 << (at % 8) != 0
}

/// Fills `bitmap` as an inode bitmap: the first `used` of `total` inodes are used, and what follows the last one
/// counts as used, too.
pub(super) fn fill_inode_bitmap(bitmap: &mut [u8], used: u32, total: u32) {
    bitmap.fill(0);
    let bits = bitmap.len() * 8;
    set_bits(bitmap, 0, used as usize);
    set_bits(bitmap, total as usize, bits);
}

/// Returns the checksum of an inode bitmap, which covers only the bits of inodes.
pub(super) fn inode_bitmap_checksum(bitmap: &[u8], inodes_per_group: u32, seed: Checksum) -> u32 {
    seed.bytes(&bitmap[..inodes_per_group as usize / 8]).value()
}

/// Returns the checksum of a block bitmap.
pub(super) fn block_bitmap_checksum(bitmap: &[u8], blocks_per_group: u32, seed: Checksum) -> u32 {
    seed.bytes(&bitmap[..blocks_per_group as usize / 8]).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_in_their_range_only() {
        for (start, end) in [(0, 0), (0, 1), (3, 29), (8, 16), (7, 64), (0, 64)] {
            let mut bitmap = [0; 8];
            set_bits(&mut bitmap, start, end);
            for at in 0..64 {
                assert_eq!(has_bit(&bitmap, at), (start..end).contains(&at), "{at} of {start}..{end}");
            }
        }
    }

    #[test]
    fn a_descriptor_reads_back() {
        let descriptor = GroupDescriptor {
            block_bitmap: 0x1_2345_6789,
            inode_bitmap: 0x2_3456_789a,
            inode_table: 0x3_4567_89ab,
            free_blocks: 0x1_8000,
            free_inodes: 0x1_8001,
            used_directories: 0x1_8002,
            unused_inodes: 0x1_8003,
            flags: INODE_ZEROED,
            block_bitmap_checksum: 0x89ab_cdef,
            inode_bitmap_checksum: 0xfedc_ba98,
        };
        assert_eq!(GroupDescriptor::decode(&descriptor.encode(7, Checksum::new())), descriptor);
    }
}
