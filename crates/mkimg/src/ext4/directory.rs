//! Directories: a single block of entries, or leaves below an index of name hashes.
//!
//! Kernel documentation, ext4, "Directory Entries" and "Hash Tree Directories". An indexed directory has its root
//! in block 0, then the levels of the index from the top, then the leaves in the order of hashes.

use super::bytes::{get_u16, get_u32, put_u16, put_u32};
use super::checksum::{Checksum, seal_index, seal_leaf};
use super::hash::NameHasher;
use super::options::BlockSize;
use super::superblock::HASH_HALF_MD4;

/// The entry behind the last name of a leaf that holds its checksum.
const TAIL_LEN: usize = 12;

/// `.` and `..` in the first block.
const DOTS_LEN: usize = 24;

/// Where an index block has its limit and count: behind the dots and eight bytes about the index in the root,
/// behind an empty entry elsewhere.
pub(super) const ROOT_COUNT_AT: usize = 32;
pub(super) const NODE_COUNT_AT: usize = 8;

const DIRECTORY_TYPE: u8 = 2;

/// A name in a directory, and what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u32,
    /// As in the entry: see [`super::inode::entry_type`].
    pub(super) file_type: u8,
}

fn record_len(name: &[u8]) -> usize {
    (8 + name.len()).next_multiple_of(4)
}

/// How many entries the index's root and its other blocks have.
fn index_limits(block_size: BlockSize) -> (usize, usize) {
    // The checksum takes the place of one entry.
    ((block_size.len() - ROOT_COUNT_AT) / 8 - 1, (block_size.len() - NODE_COUNT_AT) / 8 - 1)
}

/// A leaf: from which name on, and the hash that its parent has for it.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    first: u32,
    hash: u32,
}

/// How the names of a directory are divided into blocks.
pub(super) enum Plan {
    /// All names are in the first block.
    Linear,
    /// There is an index.
    Indexed(Index),
}

/// The index of a directory.
pub(super) struct Index {
    /// The names in the order of their hashes.
    order: Vec<u32>,
    leaves: Vec<Leaf>,
    /// How many blocks each level between the root and the leaves has, from the top.
    levels: Vec<usize>,
}

/// A directory has more leaves than an index can have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyNames;

impl Plan {
    /// Divides names, given in any order that is always the same for the same directory.
    pub(super) fn new<'a>(
        names: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
        hasher: &NameHasher,
        block_size: BlockSize,
    ) -> Result<Plan, TooManyNames> {
        let room = block_size.len() - TAIL_LEN;
        let total: usize = names.clone().map(record_len).sum();
        if DOTS_LEN + total <= room {
            return Ok(Plan::Linear);
        }
        let n_names = u32::try_from(names.len()).map_err(|_| TooManyNames)?;
        let mut sorted: Vec<_> = names
            .zip(0..n_names)
            .map(|(name, index)| (hasher.hash(name), index, record_len(name) as u16))
            .collect();
        // The index of a name decides between equal hashes, so the order is always the same.
        sorted.sort_unstable();

        let mut leaves: Vec<Leaf> = Vec::new();
        let mut used = room + 1;
        for (position, (hash, _, len)) in sorted.iter().enumerate() {
            used += usize::from(*len);
            if used > room {
                used = usize::from(*len);
                // The lowest bit says that names with this hash are in the leaf before, too.
                let continues = position > 0 && sorted[position - 1].0.major == hash.major;
                leaves.push(Leaf { first: position as u32, hash: hash.major | u32::from(continues) });
            }
        }
        let levels = index_levels(leaves.len(), block_size)?;
        let order = sorted.into_iter().map(|(_, index, _)| index).collect();
        Ok(Plan::Indexed(Index { order, leaves, levels }))
    }

    /// Returns how many blocks the directory has.
    pub(super) fn n_blocks(&self) -> usize {
        match self {
            Plan::Linear => 1,
            Plan::Indexed(index) => 1 + index.levels.iter().sum::<usize>() + index.leaves.len(),
        }
    }

    /// Tells whether the index has more levels than kernels take without `large_dir`.
    pub(super) fn is_large(&self) -> bool {
        matches!(self, Plan::Indexed(index) if index.levels.len() > 1)
    }

    /// Tells whether the directory has an index.
    pub(super) fn is_indexed(&self) -> bool {
        matches!(self, Plan::Indexed(_))
    }
}

/// Returns how many blocks the levels between the root and `n_leaves` leaves have, from the top.
fn index_levels(n_leaves: usize, block_size: BlockSize) -> Result<Vec<usize>, TooManyNames> {
    let (root_limit, node_limit) = index_limits(block_size);
    let mut levels = Vec::new();
    let mut children = n_leaves;
    while children > root_limit {
        children = children.div_ceil(node_limit);
        levels.insert(0, children);
    }
    if levels.len() > 2 { Err(TooManyNames) } else { Ok(levels) }
}

/// A directory under way to the disk: its plan and what its blocks are made of.
pub(super) struct Blocks<'a, F: Fn(usize) -> Entry<'a>> {
    /// The plan.
    pub(super) plan: &'a Plan,
    /// How many names there are, for a linear directory.
    pub(super) n_names: usize,
    /// Returns what was given to the plan as name `index`.
    pub(super) entry: F,
    /// The directory's inode.
    pub(super) inode: u32,
    /// Its parent's.
    pub(super) parent: u32,
    /// The checksum that its inode starts.
    pub(super) owner: Checksum,
    /// The block size.
    pub(super) block_size: BlockSize,
}

impl<'a, F: Fn(usize) -> Entry<'a>> Blocks<'a, F> {
    /// Writes block `index` of the directory into `bytes`.
    pub(super) fn write(&self, index: usize, bytes: &mut [u8]) {
        bytes.fill(0);
        match self.plan {
            Plan::Linear if index == 0 => {
                let names = (0..self.n_names).map(|name| (self.entry)(name));
                put_leaf(bytes, self.dots().into_iter().chain(names), self.owner);
            }
            // `lost+found` has blocks in reserve, so that `e2fsck` needs none when the disk is full.
            Plan::Linear => put_leaf(bytes, std::iter::empty(), self.owner),
            Plan::Indexed(plan) => self.write_indexed(plan, index, bytes),
        }
    }

    fn dots(&self) -> [Entry<'a>; 2] {
        let entry = |name, inode| Entry { name, inode, file_type: DIRECTORY_TYPE };
        [entry(b".", self.inode), entry(b"..", self.parent)]
    }

    fn write_indexed(&self, plan: &Index, index: usize, bytes: &mut [u8]) {
        let Some(mut index) = index.checked_sub(1) else { return self.write_root(plan, bytes) };
        let mut first_child = 1;
        for (level, n_blocks) in plan.levels.iter().enumerate() {
            first_child += n_blocks;
            if index < *n_blocks {
                return self.write_node(plan, level, index, first_child, bytes);
            }
            index -= n_blocks;
        }
        let start = plan.leaves[index].first as usize;
        let end = plan.leaves.get(index + 1).map_or(plan.order.len(), |leaf| leaf.first as usize);
        put_leaf(bytes, plan.order[start..end].iter().map(|name| (self.entry)(*name as usize)), self.owner);
    }

    fn write_root(&self, plan: &Index, bytes: &mut [u8]) {
        let [dot, dot_dot] = self.dots();
        put_entry(bytes, 0, &dot, 12);
        put_entry(bytes, 12, &dot_dot, self.block_size.len() - 12);
        bytes[0x1c] = HASH_HALF_MD4;
        bytes[0x1d] = 8;
        bytes[0x1e] = plan.levels.len() as u8;
        let n_children = plan.levels.first().copied().unwrap_or(plan.leaves.len());
        self.put_children(plan, 0, 0..n_children, 1, (ROOT_COUNT_AT, index_limits(self.block_size).0), bytes);
    }

    fn write_node(&self, plan: &Index, level: usize, index: usize, first_child: usize, bytes: &mut [u8]) {
        let limit = index_limits(self.block_size).1;
        let n_below = plan.levels.get(level + 1).copied().unwrap_or(plan.leaves.len());
        let children = index * limit..n_below.min((index + 1) * limit);
        put_u16(bytes, 4, self.block_size.bytes() as u16);
        self.put_children(plan, level + 1, children, first_child, (NODE_COUNT_AT, limit), bytes);
    }

    /// Writes limit, count and the children of an index block, which are on `level` (leaves are below the last one)
    /// and of which the first of the level is block `first_child` of the directory.
    fn put_children(
        &self,
        plan: &Index,
        level: usize,
        children: std::ops::Range<usize>,
        first_child: usize,
        (count_at, limit): (usize, usize),
        bytes: &mut [u8],
    ) {
        put_u16(bytes, count_at, limit as u16);
        put_u16(bytes, count_at + 2, children.len() as u16);
        // A child on the lowest level is a leaf; each level above multiplies by what a node holds.
        let leaves_below = index_limits(self.block_size).1.pow((plan.levels.len() - level) as u32);
        for (position, child) in children.enumerate() {
            let at = count_at + position * 8;
            if position > 0 {
                put_u32(bytes, at, plan.leaves[child * leaves_below].hash);
            }
            put_u32(bytes, at + 4, (first_child + child) as u32);
        }
        seal_index(bytes, count_at, self.owner);
    }
}

fn put_entry(bytes: &mut [u8], at: usize, entry: &Entry<'_>, len: usize) {
    put_u32(bytes, at, entry.inode);
    put_u16(bytes, at + 4, len as u16);
    bytes[at + 6] = entry.name.len() as u8;
    bytes[at + 7] = entry.file_type;
    bytes[at + 8..at + 8 + entry.name.len()].copy_from_slice(entry.name);
}

/// Writes entries, the last of which reaches to the tail, and the tail with the checksum.
fn put_leaf<'a>(bytes: &mut [u8], entries: impl Iterator<Item = Entry<'a>>, owner: Checksum) {
    let end = bytes.len() - TAIL_LEN;
    let mut at = 0;
    let mut last = 0;
    for entry in entries {
        let len = record_len(entry.name);
        put_entry(bytes, at, &entry, len);
        last = at;
        at += len;
    }
    put_u16(bytes, last + 4, (end - last) as u16);
    put_u16(bytes, end + 4, TAIL_LEN as u16);
    bytes[end + 7] = 0xde;
    seal_leaf(bytes, owner);
}

/// An index block, as it was found: how many levels are below it if it is a root, and its children with their
/// hashes.
pub(super) struct IndexBlock {
    pub(super) levels: Option<u8>,
    pub(super) children: Vec<(u32, u32)>,
}

/// Reads the root or another block of an index. Says what is wrong with it.
pub(super) fn decode_index(bytes: &[u8], is_root: bool) -> Result<IndexBlock, &'static str> {
    let count_at = if is_root { ROOT_COUNT_AT } else { NODE_COUNT_AT };
    let levels = if is_root {
        if get_u32(bytes, 0x18) != 0 || bytes[0x1d] != 8 {
            return Err("its index has no header");
        }
        if !matches!(bytes[0x1c], HASH_HALF_MD4 | 4) {
            return Err("its index has another hash than half MD4");
        }
        Some(bytes[0x1e])
    } else {
        if get_u32(bytes, 0) != 0 || usize::from(get_u16(bytes, 4)) != bytes.len() {
            return Err("a block of its index does not look empty");
        }
        None
    };
    let [limit, count] = [0, 2].map(|at| usize::from(get_u16(bytes, count_at + at)));
    if count == 0 || count > limit || count_at + limit * 8 > bytes.len() {
        return Err("a block of its index has an impossible number of children");
    }
    let child = |position: usize| {
        let at = count_at + position * 8;
        (if position == 0 { 0 } else { get_u32(bytes, at) }, get_u32(bytes, at + 4))
    };
    let children: Vec<(u32, u32)> = (0..count).map(child).collect();
    if !children.is_sorted_by(|a, b| a.0 <= b.0) {
        return Err("the hashes of its index are out of order");
    }
    Ok(IndexBlock { levels, children })
}

/// Reads the entries of a leaf into `found`. Says what is wrong with it.
pub(super) fn read_leaf<'a>(bytes: &'a [u8], found: &mut Vec<Entry<'a>>) -> Result<(), &'static str> {
    let mut at = 0;
    while at < bytes.len() {
        if at + 8 > bytes.len() {
            return Err("an entry passes the end of its block");
        }
        let len = usize::from(get_u16(bytes, at + 4));
        let name_len = usize::from(bytes[at + 6]);
        if !len.is_multiple_of(4) || len < (8 + name_len).next_multiple_of(4) || at + len > bytes.len() {
            return Err("an entry has an impossible length");
        }
        let inode = get_u32(bytes, at);
        if inode != 0 {
            let name = &bytes[at + 8..at + 8 + name_len];
            if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
                return Err("an entry has an impossible name");
            }
            found.push(Entry { name, inode, file_type: bytes[at + 7] });
        }
        at += len;
    }
    Ok(())
}
