//! CRC-32C as ext4 uses it: without the final inversion, seeded by what the structure belongs to.
//!
//! Kernel documentation, ext4, "Checksums".

use super::bytes::{get_u16, get_u32, low_u16, put_u16, put_u32};

/// A CRC-32C under way. Copies go on from the same point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// Returns the checksum of nothing.
    pub(super) fn new() -> Checksum {
        Checksum(!0)
    }

    /// Returns the checksum with which a file system's metadata starts.
    pub(super) fn of_uuid(uuid: &[u8; 16]) -> Checksum {
        Checksum::new().bytes(uuid)
    }

    /// Goes on from a value that was stored: the superblock's `s_checksum_seed`.
    pub(super) fn resume(value: u32) -> Checksum {
        Checksum(value)
    }

    /// Returns the checksum with which everything that belongs to inode `number` starts.
    pub(super) fn inode(self, number: u32, generation: u32) -> Checksum {
        self.u32(number).u32(generation)
    }

    pub(super) fn u32(self, value: u32) -> Checksum {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Checksum {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Checksum {
        // The crate computes the usual CRC-32C, which inverts on the way in and out; ext4 does neither.
        Checksum(!crc32c::crc32c_append(!self.0, bytes))
    }

    pub(super) fn value(self) -> u32 {
        self.0
    }
}

/// Where a group descriptor keeps its checksum (`bg_checksum`).
const DESCRIPTOR_CHECKSUM: usize = 0x1e;

/// Where an inode keeps the halves of its checksum (`l_i_checksum_lo`, `i_checksum_hi`).
const INODE_CHECKSUM_LOW: usize = 0x7c;
const INODE_CHECKSUM_HIGH: usize = 0x82;

/// Where a superblock keeps its checksum (`s_checksum`).
const SUPERBLOCK_CHECKSUM: usize = 0x3fc;

/// Where an external block of extended attributes keeps its checksum (`h_checksum`).
const XATTR_CHECKSUM: usize = 0x10;

/// Stores the superblock's checksum, which covers all bytes before it and has no seed.
pub(super) fn seal_superblock(superblock: &mut [u8; 1024]) {
    let value = Checksum::new().bytes(&superblock[..SUPERBLOCK_CHECKSUM]).value();
    put_u32(superblock, SUPERBLOCK_CHECKSUM, value);
}

/// Tells whether a superblock's checksum is right.
pub(super) fn superblock_is_sealed(superblock: &[u8; 1024]) -> bool {
    Checksum::new().bytes(&superblock[..SUPERBLOCK_CHECKSUM]).value()
        == get_u32(superblock, SUPERBLOCK_CHECKSUM)
}

fn descriptor_checksum(descriptor: &[u8], group: u32, seed: Checksum) -> u16 {
    let checksum = seed.u32(group).bytes(&descriptor[..DESCRIPTOR_CHECKSUM]).bytes(&[0; 2]);
    low_u16(checksum.bytes(&descriptor[DESCRIPTOR_CHECKSUM + 2..]).value())
}

/// Stores the checksum of the descriptor of `group`.
pub(super) fn seal_descriptor(descriptor: &mut [u8], group: u32, seed: Checksum) {
    let value = descriptor_checksum(descriptor, group, seed);
    put_u16(descriptor, DESCRIPTOR_CHECKSUM, value);
}

/// Tells whether a group descriptor's checksum is right.
pub(super) fn descriptor_is_sealed(descriptor: &[u8], group: u32, seed: Checksum) -> bool {
    descriptor_checksum(descriptor, group, seed) == get_u16(descriptor, DESCRIPTOR_CHECKSUM)
}

fn inode_checksum(inode: &[u8], number: u32, seed: Checksum) -> u32 {
    let generation = get_u32(inode, 0x64);
    let checksum = seed.inode(number, generation).bytes(&inode[..INODE_CHECKSUM_LOW]).bytes(&[0; 2]);
    if has_high_half(inode) {
        let checksum = checksum.bytes(&inode[INODE_CHECKSUM_LOW + 2..INODE_CHECKSUM_HIGH]).bytes(&[0; 2]);
        checksum.bytes(&inode[INODE_CHECKSUM_HIGH + 2..]).value()
    } else {
        checksum.bytes(&inode[INODE_CHECKSUM_LOW + 2..]).value() & 0xffff
    }
}

/// Tells whether the inode is large enough (`i_extra_isize`) for the upper half of the checksum.
fn has_high_half(inode: &[u8]) -> bool {
    inode.len() > 128 && get_u16(inode, 0x80) >= 4
}

/// Stores the checksum of inode `number`.
pub(super) fn seal_inode(inode: &mut [u8], number: u32, seed: Checksum) {
    let value = inode_checksum(inode, number, seed);
    put_u16(inode, INODE_CHECKSUM_LOW, low_u16(value));
    if has_high_half(inode) {
        put_u16(inode, INODE_CHECKSUM_HIGH, low_u16(value >> 16));
    }
}

/// Tells whether the checksum of inode `number` is right. An inode of zeros was never used and needs none.
pub(super) fn inode_is_sealed(inode: &[u8], number: u32, seed: Checksum) -> bool {
    let low = u32::from(get_u16(inode, INODE_CHECKSUM_LOW));
    let high = if has_high_half(inode) { u32::from(get_u16(inode, INODE_CHECKSUM_HIGH)) << 16 } else { 0 };
    inode_checksum(inode, number, seed) == low | high || inode.iter().all(|byte| *byte == 0)
}

fn xattr_checksum(block: &[u8], address: u64, seed: Checksum) -> u32 {
    let checksum = seed.u64(address).bytes(&block[..XATTR_CHECKSUM]).bytes(&[0; 4]);
    checksum.bytes(&block[XATTR_CHECKSUM + 4..]).value()
}

/// Stores the checksum of the block of extended attributes at `address`.
pub(super) fn seal_xattr_block(block: &mut [u8], address: u64, seed: Checksum) {
    let value = xattr_checksum(block, address, seed);
    put_u32(block, XATTR_CHECKSUM, value);
}

/// Tells whether the checksum of the block of extended attributes at `address` is right.
pub(super) fn xattr_block_is_sealed(block: &[u8], address: u64, seed: Checksum) -> bool {
    xattr_checksum(block, address, seed) == get_u32(block, XATTR_CHECKSUM)
}

/// Stores the checksum in the last `4` bytes of a directory leaf, whose tail is already in place.
/// `owner` is the checksum that the directory's inode starts.
pub(super) fn seal_leaf(block: &mut [u8], owner: Checksum) {
    let at = block.len() - 12;
    let value = owner.bytes(&block[..at]).value();
    put_u32(block, at + 8, value);
}

/// Tells whether a directory leaf has a tail with the right checksum.
pub(super) fn leaf_is_sealed(block: &[u8], owner: Checksum) -> bool {
    let tail = block.len() - 12;
    block[tail..tail + 8] == [0, 0, 0, 0, 12, 0, 0, 0xde]
        && owner.bytes(&block[..tail]).value() == get_u32(block, tail + 8)
}

fn index_checksum(block: &[u8], count_at: usize, owner: Checksum) -> Option<(usize, u32)> {
    let limit = usize::from(get_u16(block, count_at));
    let count = usize::from(get_u16(block, count_at + 2));
    let tail = count_at + limit * 8;
    if count > limit || tail + 8 > block.len() {
        return None;
    }
    let checksum = owner.bytes(&block[..count_at + count * 8]).bytes(&block[tail..tail + 4]).bytes(&[0; 4]);
    Some((tail + 4, checksum.value()))
}

/// Stores the checksum of an htree block whose limit and count are at `count_at`.
pub(super) fn seal_index(block: &mut [u8], count_at: usize, owner: Checksum) {
    let (at, value) =
        index_checksum(block, count_at, owner).expect("the limit was computed from the block size");
    put_u32(block, at, value);
}

/// Tells whether the checksum of an htree block is right.
pub(super) fn index_is_sealed(block: &[u8], count_at: usize, owner: Checksum) -> bool {
    index_checksum(block, count_at, owner).is_some_and(|(at, value)| get_u32(block, at) == value)
}

/// Stores the checksum of an extent tree's block behind its `max` entries.
pub(super) fn seal_extents(block: &mut [u8], owner: Checksum) {
    let at = 12 + usize::from(get_u16(block, 4)) * 12;
    let value = owner.bytes(&block[..at]).value();
    put_u32(block, at, value);
}

/// Tells whether the checksum of an extent tree's block is right.
pub(super) fn extents_are_sealed(block: &[u8], owner: Checksum) -> bool {
    let at = 12 + usize::from(get_u16(block, 4)) * 12;
    at + 4 <= block.len() && owner.bytes(&block[..at]).value() == get_u32(block, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_castagnoli_without_the_last_inversion() {
        assert_eq!(!Checksum::new().bytes(b"123456789").value(), 0xe306_9283);
        assert_eq!(Checksum::new().bytes(b"1234").bytes(b"56789"), Checksum::new().bytes(b"123456789"));
    }

    #[test]
    fn a_sealed_structure_stops_being_so_when_one_bit_changes() {
        let mut inode = [7; 256];
        put_u16(&mut inode, 0x80, 32);
        seal_inode(&mut inode, 12, Checksum::new());
        assert!(inode_is_sealed(&inode, 12, Checksum::new()));
        assert!(!inode_is_sealed(&inode, 13, Checksum::new()));
        for at in 0..inode.len() {
            let mut damaged = inode;
            damaged[at] ^= 0x10;
            assert!(!inode_is_sealed(&damaged, 12, Checksum::new()), "byte {at}");
        }
    }
}
