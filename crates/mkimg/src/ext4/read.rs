//! Reading file systems back, strictly: every checksum is checked, and whatever contradicts itself is an error.
//!
//! Images may come from anywhere, so no number is believed: addresses have to be inside, trees have to be in order,
//! and nothing takes more memory than the image's own size can justify.

use std::collections::BTreeMap;

use layer::ReadAt;

use super::bytes::get_u32;
use super::checksum::{
    Checksum, descriptor_is_sealed, extents_are_sealed, inode_is_sealed, xattr_block_is_sealed,
};
use super::error::ReadError;
use super::extent::{self, Extent, Node};
use super::group::{GroupDescriptor, INODE_UNINIT};
use super::hash::{NameHasher, Signedness};
use super::inode::{self, FLAG_EXTENTS, FLAG_INLINE_DATA, Inode};
use super::superblock::{self, FLAG_UNSIGNED_HASH, Superblock, incompat, ro_compat};
use super::xattr;

/// An ext4 file system in something that can be read at any offset.
pub struct Reader<R> {
    source: R,
    superblock: Superblock,
    groups: Vec<GroupDescriptor>,
    seed: Checksum,
    hasher: NameHasher,
}

/// Where the content of an inode is: all that is to be known to read it, found once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    pub(super) inode: u32,
    size: u64,
    extents: Vec<Extent>,
    /// Where the blocks of the extent tree are.
    pub(super) tree: Vec<u64>,
}

/// The content of an inode.
pub struct Data<'a, R> {
    pub(super) reader: &'a Reader<R>,
    pub(super) mapped: Mapped,
}

impl<R: ReadAt> Reader<R> {
    /// Opens the file system in `source` and reads its superblock and group descriptors.
    pub fn open(source: R) -> Result<Reader<R>, ReadError> {
        let size = source.size().map_err(|source| ReadError::Io { offset: 0, length: 0, source })?;
        if size < superblock::OFFSET + superblock::LEN as u64 {
            return Err(ReadError::NotExt4);
        }
        let mut bytes = [0; superblock::LEN];
        read_exact(&source, superblock::OFFSET, &mut bytes)?;
        let superblock = Superblock::decode(&bytes)?;
        let block_size = superblock.block_size;
        if superblock.blocks_per_group != block_size.blocks_per_group() {
            return Err(ReadError::unsupported("groups that a bitmap does not fill"));
        }
        let fits =
            superblock.blocks_count.checked_mul(block_size.bytes().into()).is_some_and(|end| end <= size);
        if !fits {
            return Err(ReadError::corrupt("the superblock", "the file system is larger than the image"));
        }
        let seed = if superblock.has_incompat(incompat::CSUM_SEED) {
            Checksum::resume(superblock.checksum_seed)
        } else {
            Checksum::of_uuid(&superblock.uuid)
        };
        let is_unsigned = superblock.flags & FLAG_UNSIGNED_HASH != 0;
        let signedness = if is_unsigned { Signedness::Unsigned } else { Signedness::Signed };
        let hasher = NameHasher::new(&superblock.hash_seed, signedness);
        let mut reader = Reader { source, superblock, groups: Vec::new(), seed, hasher };
        reader.groups = reader.read_groups()?;
        Ok(reader)
    }

    fn read_groups(&self) -> Result<Vec<GroupDescriptor>, ReadError> {
        let superblock = &self.superblock;
        let length = usize::from(superblock.descriptor_size);
        let first = u64::from(superblock.block_size.first_data_block()) + 1;
        let per_block = superblock.block_size.len() / length;
        let mut groups = Vec::new();
        let mut block = Vec::new();
        for index in 0..superblock.groups() {
            let group = u32::try_from(index)
                .map_err(|_| ReadError::corrupt("the superblock", "it has too many groups"))?;
            let position = index as usize % per_block;
            if position == 0 {
                block = self.block(first + index / per_block as u64)?;
            }
            let bytes = &block[position * length..(position + 1) * length];
            if self.has_checksums() && !descriptor_is_sealed(bytes, group, self.seed) {
                return Err(ReadError::checksum(format!("the descriptor of group {group}")));
            }
            let descriptor = GroupDescriptor::decode(bytes);
            let table_end = descriptor.inode_table.checked_add(self.table_blocks());
            let is_inside = |block: u64| (first..superblock.blocks_count).contains(&block);
            let fits = is_inside(descriptor.block_bitmap)
                && is_inside(descriptor.inode_bitmap)
                && is_inside(descriptor.inode_table)
                && table_end.is_some_and(|end| end <= superblock.blocks_count);
            if !fits {
                return Err(ReadError::corrupt(
                    format!("group {group}"),
                    "its bitmaps or its table are outside",
                ));
            }
            groups.push(descriptor);
        }
        Ok(groups)
    }

    /// Returns the superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Returns the group descriptors.
    pub fn groups(&self) -> &[GroupDescriptor] {
        &self.groups
    }

    pub(super) fn has_checksums(&self) -> bool {
        self.superblock.has_ro_compat(ro_compat::METADATA_CSUM)
    }

    pub(super) fn seed(&self) -> Checksum {
        self.seed
    }

    pub(super) fn hasher(&self) -> &NameHasher {
        &self.hasher
    }

    pub(super) fn table_blocks(&self) -> u64 {
        let bytes = u64::from(self.superblock.inodes_per_group) * u64::from(self.superblock.inode_size);
        self.superblock.block_size.blocks_for(bytes)
    }

    /// Reads one block.
    pub(super) fn block(&self, address: u64) -> Result<Vec<u8>, ReadError> {
        let mut block = vec![0; self.superblock.block_size.len()];
        if address >= self.superblock.blocks_count {
            return Err(ReadError::corrupt(format!("block {address}"), "it is outside of the file system"));
        }
        read_exact(&self.source, address * self.superblock.block_size.len() as u64, &mut block)?;
        Ok(block)
    }

    /// Returns inode `number`.
    pub fn inode(&self, number: u32) -> Result<Inode, ReadError> {
        let what = || format!("inode {number}");
        let Some(place) = number.checked_sub(1).filter(|place| *place < self.superblock.inodes_count) else {
            return Err(ReadError::corrupt(what(), "there is no such inode"));
        };
        let group = &self.groups[(place / self.superblock.inodes_per_group) as usize];
        let place = u64::from(place % self.superblock.inodes_per_group);
        let is_used = place
            < u64::from(
                self.superblock.inodes_per_group - group.unused_inodes.min(self.superblock.inodes_per_group),
            );
        if group.flags & INODE_UNINIT != 0 || !is_used {
            return Err(ReadError::corrupt(what(), "it was never used"));
        }
        let mut bytes = vec![0; self.superblock.inode_size.into()];
        let offset = group.inode_table * self.superblock.block_size.len() as u64;
        read_exact(&self.source, offset + place * u64::from(self.superblock.inode_size), &mut bytes)?;
        if self.has_checksums() && !inode_is_sealed(&bytes, number, self.seed) {
            return Err(ReadError::checksum(what()));
        }
        Ok(Inode::decode(number, &bytes))
    }

    /// Returns the root directory's inode.
    pub fn root(&self) -> Result<Inode, ReadError> {
        let root = self.inode(inode::ROOT)?;
        if !root.is_directory() {
            return Err(ReadError::corrupt("inode 2", "the root is not a directory"));
        }
        Ok(root)
    }

    /// Returns the content of an inode: of a file, a directory or a long symbolic link.
    pub fn data(&self, inode: &Inode) -> Result<Data<'_, R>, ReadError> {
        Ok(Data { reader: self, mapped: self.mapped(inode)? })
    }

    /// Returns where the content of an inode is: of a file, a directory or a long symbolic link.
    pub fn mapped(&self, inode: &Inode) -> Result<Mapped, ReadError> {
        let what = format!("inode {}", inode.number);
        if inode.flags & FLAG_INLINE_DATA != 0 {
            return Err(ReadError::unsupported("data inside of inodes"));
        }
        let mut mapped =
            Mapped { inode: inode.number, size: inode.size, extents: Vec::new(), tree: Vec::new() };
        if inode.flags & FLAG_EXTENTS == 0 {
            if inode.block != [0; 60] {
                return Err(ReadError::unsupported("files whose blocks are not mapped by extents"));
            }
            return Ok(mapped);
        }
        let owner = self.seed.inode(inode.number, inode.generation);
        let mut n_mapped = 0;
        // Nodes that are still to be read: their address, depth and the range of blocks that they may map.
        let mut pending: Vec<(u64, u16, u64, u64)> = Vec::new();
        let mut node =
            extent::decode(&inode.block, None).map_err(|problem| ReadError::corrupt(&what, problem))?;
        let (mut start, mut end) = (0, 1 << 32);
        loop {
            match node.1 {
                Node::Leaf(extents) => {
                    for extent in extents {
                        self.check_extent(&extent, start, end)
                            .map_err(|problem| ReadError::corrupt(&what, problem))?;
                        start = u64::from(extent.logical) + u64::from(extent.length);
                        n_mapped += u64::from(extent.length);
                        // A file without shared blocks has no more than there are.
                        if n_mapped > self.superblock.blocks_count {
                            return Err(ReadError::corrupt(&what, "it maps more blocks than there are"));
                        }
                        mapped.extents.push(extent);
                    }
                }
                Node::Index(children) => {
                    let depth = node.0 - 1;
                    let ends = children[1..].iter().map(|child| u64::from(child.0)).chain([end]);
                    let mut below: Vec<_> = Vec::with_capacity(children.len());
                    for ((logical, address), child_end) in children.iter().zip(ends) {
                        let logical = u64::from(*logical);
                        if logical < start || logical >= child_end {
                            return Err(ReadError::corrupt(&what, "its extent tree is out of order"));
                        }
                        below.push((*address, depth, logical, child_end));
                    }
                    pending.extend(below.into_iter().rev());
                }
            }
            let Some((address, depth, child_start, child_end)) = pending.pop() else { return Ok(mapped) };
            let block = self.block(address)?;
            if self.has_checksums() && !extents_are_sealed(&block, owner) {
                return Err(ReadError::checksum(format!("the extent tree of {what}")));
            }
            mapped.tree.push(address);
            node =
                extent::decode(&block, Some(depth)).map_err(|problem| ReadError::corrupt(&what, problem))?;
            (start, end) = (child_start, child_end);
        }
    }

    fn check_extent(&self, extent: &Extent, start: u64, end: u64) -> Result<(), &'static str> {
        let logical = u64::from(extent.logical);
        if extent.length == 0 || logical < start || logical + u64::from(extent.length) > end {
            return Err("its extents are empty, overlap or are out of order");
        }
        let first = u64::from(self.superblock.block_size.first_data_block());
        if extent.physical <= first
            || extent.physical + u64::from(extent.length) > self.superblock.blocks_count
        {
            return Err("an extent is outside of the file system");
        }
        Ok(())
    }

    /// Returns the target of a symbolic link.
    pub fn symlink_target(&self, inode: &Inode) -> Result<Vec<u8>, ReadError> {
        let what = format!("inode {}", inode.number);
        if !inode.is_symlink() {
            return Err(ReadError::corrupt(what, "it is not a symbolic link"));
        }
        let length = usize::try_from(inode.size).unwrap_or(usize::MAX);
        if length == 0 || length >= self.superblock.block_size.len() {
            return Err(ReadError::corrupt(what, "its target has an impossible length"));
        }
        if inode.flags & FLAG_EXTENTS == 0 {
            let target = inode.block.get(..length).filter(|_| length < super::image::FAST_LINK);
            return target
                .map(<[u8]>::to_vec)
                .ok_or_else(|| ReadError::corrupt(what, "its target has no block"));
        }
        let mut target = vec![0; length];
        self.data(inode)?.read_exact_at(0, &mut target)?;
        Ok(target)
    }

    /// Returns the extended attributes of an inode under their full names.
    pub fn xattrs(&self, inode: &Inode) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ReadError> {
        let corrupt = |problem| ReadError::corrupt(format!("inode {}", inode.number), problem);
        let mut found = BTreeMap::new();
        xattr::read_inline(&inode.tail, &mut found).map_err(corrupt)?;
        if inode.xattr_block != 0 {
            let block = self.xattr_block(inode)?;
            xattr::read_block(&block, &mut found).map_err(corrupt)?;
        }
        Ok(found)
    }

    pub(super) fn xattr_block(&self, inode: &Inode) -> Result<Vec<u8>, ReadError> {
        let block = self.block(inode.xattr_block)?;
        if self.has_checksums() && !xattr_block_is_sealed(&block, inode.xattr_block, self.seed) {
            return Err(ReadError::checksum(format!(
                "the block of extended attributes of inode {}",
                inode.number
            )));
        }
        Ok(block)
    }
}

impl<R: ReadAt> Reader<R> {
    /// Returns where the next extent with data of a file of this reader is at or after `offset`; the end if there is none.
    pub fn next_data(&self, mapped: &Mapped, offset: u64) -> u64 {
        let block_len = self.superblock.block_size.len() as u64;
        let first = mapped.extents.partition_point(|extent| {
            (u64::from(extent.logical) + u64::from(extent.length)).saturating_mul(block_len) <= offset
        });
        let next = mapped.extents[first..].iter().find(|extent| extent.is_written);
        let start = next.map_or(mapped.size, |extent| u64::from(extent.logical) * block_len);
        start.max(offset).min(mapped.size.max(offset))
    }

    /// Fills `buffer` with what is at `offset` of a file of this reader, which must not pass the end.
    pub fn read_data(&self, mapped: &Mapped, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let io = |source| ReadError::Io { offset, length: buffer.len(), source };
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > mapped.size) {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let block_len = self.superblock.block_size.len() as u64;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let too_far =
                || ReadError::corrupt(format!("inode {}", mapped.inode), "it is larger than files can be");
            let logical = u32::try_from(at / block_len).map_err(|_| too_far())?;
            let place = mapped.extents.partition_point(|extent| extent.logical <= logical);
            let current = place.checked_sub(1).map(|place| &mapped.extents[place]);
            let current = current.filter(|extent| logical - extent.logical < extent.length);
            // Up to the end of this extent, or of the hole before the next.
            let until = match (current, mapped.extents.get(place)) {
                (Some(extent), _) => (u64::from(extent.logical) + u64::from(extent.length)) * block_len,
                (None, Some(next)) => u64::from(next.logical) * block_len,
                (None, None) => mapped.size,
            };
            let length = usize::try_from(until - at).unwrap_or(usize::MAX).min(buffer.len() - done);
            let part = &mut buffer[done..done + length];
            match current {
                Some(extent) if extent.is_written => {
                    let within = at - u64::from(extent.logical) * block_len;
                    read_exact(&self.source, extent.physical * block_len + within, part)?;
                }
                _ => part.fill(0),
            }
            done += length;
        }
        Ok(())
    }
}

impl Mapped {
    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the extents; what is in none reads as zeros.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Returns how many blocks the extents have.
    pub(super) fn n_blocks(&self) -> u64 {
        self.extents.iter().map(|extent| u64::from(extent.length)).sum()
    }
}

impl<R: ReadAt> Data<'_, R> {
    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.mapped.size
    }

    /// Returns the extents; what is in none reads as zeros.
    pub fn extents(&self) -> &[Extent] {
        &self.mapped.extents
    }

    /// Returns a block of the content.
    pub(super) fn block(&self, logical: u32) -> Result<Vec<u8>, ReadError> {
        match self.extent_of(logical) {
            Some(extent) if extent.is_written => {
                self.reader.block(extent.physical + u64::from(logical - extent.logical))
            }
            _ => Err(ReadError::corrupt(
                format!("inode {}", self.mapped.inode),
                "it has a hole where it must have none",
            )),
        }
    }

    fn extent_of(&self, logical: u32) -> Option<&Extent> {
        let extents = self.extents();
        let place = extents.partition_point(|extent| extent.logical <= logical).checked_sub(1)?;
        Some(&extents[place]).filter(|extent| logical - extent.logical < extent.length)
    }

    /// Returns where the next extent with data is at or after `offset`; the end if there is none.
    pub fn next_data(&self, offset: u64) -> u64 {
        self.reader.next_data(&self.mapped, offset)
    }

    /// Fills `buffer` with what is at `offset`, which must not pass the end.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.reader.read_data(&self.mapped, offset, buffer)
    }
}

/// Returns the indirect block's addresses, without the zeros at its end.
pub(super) fn addresses(block: &[u8]) -> Vec<u32> {
    (0..block.len() / 4).map(|place| get_u32(block, place * 4)).collect()
}

fn read_exact(source: &impl ReadAt, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
    let length = buffer.len();
    source.read_exact_at(buffer, offset).map_err(|source| ReadError::Io { offset, length, source })
}
