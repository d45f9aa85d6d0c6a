//! Changing clusters of a qcow2 that somebody may have written to.
//!
//! Where a cluster has a place of its own, that is where it is written; otherwise it gets one at the end of the file.
//! Tables and counts are changed in memory and handed out at the end. The file stays as QEMU's `qemu-img check` wants it.

use std::collections::BTreeMap;

use layer::ReadAt;

use super::MAGIC;
use super::format::{
    CLUSTER_BITS, COMPRESSED, COPIED, HEADER_LEN, INCOMPATIBLE_COMPRESSION, OFFSET, REFCOUNT_BYTES,
    REFCOUNT_ORDER, ZERO, length_shift,
};
use crate::vdisk::file::Image;
use crate::vdisk::{SECTOR, be_u16, be_u32, be_u64};

/// Why a qcow2 is not changed: the end of a sentence that begins with it.
type Refusal = String;

/// Changes of a qcow2, until they are written.
pub(crate) struct Qcow2Patch<'a> {
    image: Image<'a>,
    bits: u32,
    /// Where the file ends, and the next cluster goes.
    end: u64,
    l1_at: u64,
    l1: Vec<u64>,
    l1_is_changed: bool,
    /// Tables that were read, by number.
    l2: BTreeMap<usize, Table>,
    counts_at: u64,
    /// Where the blocks of counts are.
    counts: Vec<u64>,
    counts_are_changed: bool,
    /// Blocks of counts that were read, by number.
    blocks: BTreeMap<usize, Table>,
    /// Whether what the file says beside of its clusters holds no longer once these change.
    clears: bool,
}

struct Table {
    at: u64,
    bytes: Vec<u8>,
    is_changed: bool,
}

/// The bits of features that are to be cleared by whoever does not know them.
const AUTOCLEAR_AT: usize = 88;
/// What a table of clusters has at most.
const MOST_TABLE: u64 = 64 << 20;

impl<'a> Qcow2Patch<'a> {
    /// Opens a qcow2 to change it.
    ///
    /// Fails if it has what we do not change, or is damaged.
    pub(crate) fn open(file: &'a dyn ReadAt) -> Result<Qcow2Patch<'a>, Refusal> {
        let image = Image::new(Box::new(Borrowed(file))).map_err(told)?;
        let header: [u8; HEADER_LEN] = image.start().map_err(told)?;
        if !header.starts_with(MAGIC) || be_u32(&header, 4) != 3 {
            return Err("of a version other than 3".to_owned());
        }
        let bits = be_u32(&header, 20);
        if !CLUSTER_BITS.contains(&bits) {
            return Err("that is damaged: its clusters have no possible size".to_owned());
        }
        let features = be_u64(&header, 72) & !INCOMPATIBLE_COMPRESSION;
        let refused = [
            (be_u64(&header, 8) != 0, "over another disk"),
            (be_u32(&header, 32) != 0, "that is encrypted"),
            (be_u32(&header, 60) != 0, "with snapshots"),
            (
                features & 1 != 0,
                "that was not closed: let QEMU repair it first, with `qemu-img check -r all`",
            ),
            (features & 2 != 0, "that is marked as damaged"),
            (features & !3 != 0, "with features that only newer programs know"),
            (be_u32(&header, 96) != REFCOUNT_ORDER, "whose counts do not have 16 bits"),
        ];
        if let Some((_, what)) = refused.into_iter().find(|(is_so, _)| *is_so) {
            return Err(what.to_owned());
        }
        let cluster = 1_u64 << bits;
        let end = image.size().div_ceil(cluster) * cluster;
        let (n_l1, l1_at) = (u64::from(be_u32(&header, 36)), be_u64(&header, 40));
        let (counts_at, n_counts) = (be_u64(&header, 48), u64::from(be_u32(&header, 56)) * cluster / 8);
        if (n_l1 * 8).max(n_counts * 8) > MOST_TABLE {
            return Err("that is damaged: its tables are too large".to_owned());
        }
        let numbers = |what, at, count| -> Result<Vec<u64>, Refusal> {
            let bytes = image.bytes(what, at, count * 8).map_err(told)?;
            Ok(bytes.chunks_exact(8).map(|entry| be_u64(entry, 0)).collect())
        };
        let l1 = numbers("the table of tables", l1_at, n_l1)?;
        let counts = numbers("the table of counts", counts_at, n_counts)?;
        let clears = be_u64(&header, AUTOCLEAR_AT) != 0;
        let (l2, blocks) = (BTreeMap::new(), BTreeMap::new());
        Ok(Qcow2Patch {
            image,
            bits,
            end,
            l1_at,
            l1,
            l1_is_changed: false,
            l2,
            counts_at,
            counts,
            counts_are_changed: false,
            blocks,
            clears,
        })
    }

    /// Returns the size of a cluster.
    pub(crate) fn cluster_size(&self) -> u64 {
        1 << self.bits
    }

    /// Returns where a cluster of the disk is to be written, which then has that place.
    pub(crate) fn place(&mut self, number: u64) -> Result<u64, Refusal> {
        let (table, idx) = self.table_of(number)?;
        let entry = self.entry(table, idx);
        if entry & COMPRESSED == 0 && entry & OFFSET != 0 {
            let at = self.own(entry)?;
            self.set_entry(table, idx, at | COPIED);
            return Ok(at);
        }
        self.release_packed(entry)?;
        let at = self.allocate()?;
        self.set_entry(table, idx, at | COPIED);
        Ok(at)
    }

    /// Makes a cluster of the disk zero.
    pub(crate) fn zero(&mut self, number: u64) -> Result<(), Refusal> {
        let (table, idx) = self.table_of(number)?;
        let entry = self.entry(table, idx);
        let new = if entry & COMPRESSED == 0 && entry & OFFSET != 0 {
            // It keeps its place, where the old bytes stay and nobody reads them.
            self.own(entry)? | COPIED | ZERO
        } else {
            self.release_packed(entry)?;
            ZERO
        };
        self.set_entry(table, idx, new);
        Ok(())
    }

    /// Returns the tables and counts that changed, each with its offset. They rely on all clusters being written.
    pub(crate) fn tables(&self) -> Vec<(u64, Vec<u8>)> {
        let changed = self.l2.values().chain(self.blocks.values()).filter(|table| table.is_changed);
        let mut writes: Vec<(u64, Vec<u8>)> = changed.map(|table| (table.at, table.bytes.clone())).collect();
        let bytes = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        if self.l1_is_changed {
            writes.push((self.l1_at, bytes(&self.l1)));
        }
        if self.counts_are_changed {
            writes.push((self.counts_at, bytes(&self.counts)));
        }
        if self.clears {
            writes.push((AUTOCLEAR_AT as u64, vec![0; 8]));
        }
        writes
    }

    /// Returns how large the file is then.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Returns the table that lists a cluster of the disk, which is made if there is none, and its place in that.
    fn table_of(&mut self, number: u64) -> Result<(usize, usize), Refusal> {
        let per_table = self.cluster_size() / 8;
        let table = usize::try_from(number / per_table).unwrap_or(usize::MAX);
        let idx = (number % per_table) as usize;
        if self.l2.contains_key(&table) {
            return Ok((table, idx));
        }
        let entry = *self.l1.get(table).ok_or("that is damaged: it lists less than it has")?;
        let read = if entry & OFFSET == 0 {
            let at = self.allocate()?;
            self.l1[table] = at | COPIED;
            self.l1_is_changed = true;
            Table { at, bytes: vec![0; self.cluster_size() as usize], is_changed: true }
        } else {
            let at = self.own(entry)?;
            let bytes = self.image.bytes("a table of clusters", at, self.cluster_size()).map_err(told)?;
            Table { at, bytes, is_changed: false }
        };
        self.l2.insert(table, read);
        Ok((table, idx))
    }

    fn entry(&self, table: usize, idx: usize) -> u64 {
        self.l2.get(&table).map_or(0, |table| be_u64(&table.bytes, idx * 8))
    }

    fn set_entry(&mut self, table: usize, idx: usize, entry: u64) {
        if let Some(table) = self.l2.get_mut(&table) {
            table.bytes[idx * 8..idx * 8 + 8].copy_from_slice(&entry.to_be_bytes());
            table.is_changed = true;
        }
    }

    /// Returns where something lies that nothing else uses.
    fn own(&mut self, entry: u64) -> Result<u64, Refusal> {
        let at = entry & OFFSET;
        if !at.is_multiple_of(self.cluster_size()) || at == 0 || at >= self.end {
            return Err(format!("that is damaged: a cluster lies at {at}"));
        }
        match self.count(at >> self.bits)? {
            1 => Ok(at),
            count => Err(format!("that is damaged: the cluster at {at} is used {count} times")),
        }
    }

    /// Lets go of the place of a compressed cluster, if the entry is one.
    fn release_packed(&mut self, entry: u64) -> Result<(), Refusal> {
        if entry & COMPRESSED == 0 {
            return Ok(());
        }
        let shift = length_shift(self.bits);
        let at = entry & ((1 << shift) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> shift;
        let last = (at / SECTOR + sectors + 1) * SECTOR - 1;
        for cluster in at >> self.bits..=last >> self.bits {
            match self.count(cluster)? {
                0 => {
                    return Err(format!(
                        "that is damaged: nothing is said to use the cluster at {}",
                        cluster << self.bits
                    ));
                }
                count => self.set_count(cluster, count - 1)?,
            }
        }
        Ok(())
    }

    /// Returns a cluster at the end of the file.
    fn allocate(&mut self) -> Result<u64, Refusal> {
        let at = self.end;
        self.end += self.cluster_size();
        self.set_count(at >> self.bits, 1)?;
        Ok(at)
    }

    /// Returns how often a cluster of the file is used.
    fn count(&mut self, cluster: u64) -> Result<u16, Refusal> {
        let (block, idx) = self.block_of(cluster)?;
        Ok(self.blocks.get(&block).map_or(0, |block| be_u16(&block.bytes, idx)))
    }

    fn set_count(&mut self, cluster: u64, count: u16) -> Result<(), Refusal> {
        let (number, idx) = self.block_of(cluster)?;
        if !self.blocks.contains_key(&number) {
            let at = self.end;
            self.end += self.cluster_size();
            self.counts[number] = at;
            self.counts_are_changed = true;
            let bytes = vec![0; self.cluster_size() as usize];
            self.blocks.insert(number, Table { at, bytes, is_changed: true });
            // It may count itself, or be counted in the next one.
            self.set_count(at >> self.bits, 1)?;
        }
        if let Some(block) = self.blocks.get_mut(&number) {
            block.bytes[idx..idx + 2].copy_from_slice(&count.to_be_bytes());
            block.is_changed = true;
        }
        Ok(())
    }

    /// Returns the number of the block of counts that has a cluster, and where in it. The block is read if it is there.
    fn block_of(&mut self, cluster: u64) -> Result<(usize, usize), Refusal> {
        let per_block = self.cluster_size() / REFCOUNT_BYTES;
        let number = usize::try_from(cluster / per_block).unwrap_or(usize::MAX);
        let idx = (cluster % per_block * REFCOUNT_BYTES) as usize;
        let at = *self.counts.get(number).ok_or("that has no room for more counts of clusters")? & OFFSET;
        if at != 0 && !self.blocks.contains_key(&number) {
            let bytes = self.image.bytes("a block of counts", at, self.cluster_size()).map_err(told)?;
            self.blocks.insert(number, Table { at, bytes, is_changed: false });
        }
        Ok((number, idx))
    }
}

/// Returns why a qcow2 cannot be read as the end of such a sentence.
fn told(error: impl std::error::Error) -> Refusal {
    format!("that is damaged: {error}")
}

struct Borrowed<'a>(&'a dyn ReadAt);

impl ReadAt for Borrowed<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn size(&self) -> std::io::Result<u64> {
        self.0.size()
    }
}
