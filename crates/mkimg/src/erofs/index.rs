//! The compact index of a compressed file: for each 4096 bytes of the file two bytes, or four at either end.
//!
//! Entries come in packs that end with the number of a block: two entries in 8 bytes, or sixteen in 32 bytes, which
//! begin at a multiple of their size. An entry says that an extent begins in its part of the file and where, or how far
//! back that is; the first that does not begin one says how many blocks the extent has. The blocks of a file follow each
//! other, so a pack needs one number for all of them.

use super::options::BLOCK;
use super::pack::Extent;

/// The size of `struct z_erofs_map_header`, and what it begins at a multiple of.
pub(super) const HEAD_LEN: usize = 8;
/// There are packs of sixteen entries (`Z_EROFS_ADVISE_COMPACTED_2B`).
pub(super) const ADVISE_SMALL: u16 = 1;
/// Clusters can have several blocks (`Z_EROFS_ADVISE_BIG_PCLUSTER_1`).
pub(super) const ADVISE_BIG: u16 = 2;
/// And so can those of the other kind and what is stored as it is (`Z_EROFS_ADVISE_BIG_PCLUSTER_2`). In compact indexes
/// the one is not without the other.
pub(super) const ADVISE_BIG_PLAIN: u16 = 4;

pub(super) const KIND_PLAIN: u16 = 0;
pub(super) const KIND_HEAD: u16 = 1;
pub(super) const KIND_REST: u16 = 2;
/// An entry says how many blocks there are (`Z_EROFS_LI_D0_CBLKCNT`).
pub(super) const BLOCK_COUNT: u16 = 1 << 11;
/// Bits of an entry below its kind.
pub(super) const LOW_BITS: u32 = 12;

/// A pack: how many entries it has, and its size.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pack {
    pub(super) n_entries: usize,
    pub(super) len: usize,
}

pub(super) const LARGE: Pack = Pack { n_entries: 2, len: 8 };
pub(super) const SMALL: Pack = Pack { n_entries: 16, len: 32 };

impl Pack {
    /// Returns how many bits an entry has.
    pub(super) fn bits(self) -> usize {
        (self.len - 4) * 8 / self.n_entries
    }
}

/// How many entries are in large packs, in small ones and again in large ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Division {
    pub(super) before: u64,
    pub(super) small: u64,
    pub(super) after: u64,
}

impl Division {
    /// Returns how `n_entries` entries that begin at `start` are divided.
    pub(super) fn new(start: u64, n_entries: u64, has_small: bool) -> Division {
        // Up to a multiple of 32, where small packs can begin; each entry has four bytes.
        let before = (32 - start % 32) / 4 % 8;
        if !has_small || before >= n_entries {
            return Division { before: n_entries, small: 0, after: 0 };
        }
        let small = (n_entries - before) / 16 * 16;
        Division { before, small, after: n_entries - before - small }
    }

    /// Returns the size of all packs.
    pub(super) fn len(self) -> u64 {
        ((self.before + self.after) * 4 + self.small * 2).next_multiple_of(8)
    }
}

/// An entry before it is known where in its pack it is.
#[derive(Clone, Copy)]
struct Entry {
    kind: u16,
    low: u16,
    /// What it says instead of how far back the extent begins, if it is the last of a pack: how far the next is.
    low_at_end: u16,
    /// The first block, of an entry that begins an extent, or behind the last, of one that counts them.
    block: u32,
}

/// Returns the header and the entries for extents whose blocks begin with `start`. They come behind `before` bytes, of
/// which all but a multiple of 32 count.
pub(super) fn encode(before: usize, algorithm: u8, start: u32, extents: &[Extent]) -> Vec<u8> {
    let mut bytes = vec![0; before.next_multiple_of(HEAD_LEN) - before];
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(ADVISE_SMALL | ADVISE_BIG | ADVISE_BIG_PLAIN).to_le_bytes());
    // Logical clusters are blocks.
    bytes.extend_from_slice(&[algorithm, 0]);
    let size: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
    let division = Division::new((before + bytes.len()) as u64, size.div_ceil(BLOCK as u64), true);
    let mut entries = entries(start, extents);
    for (n_entries, pack) in [(division.before, LARGE), (division.small, SMALL), (division.after, LARGE)] {
        for _ in 0..n_entries.div_ceil(pack.n_entries as u64) {
            let some: Vec<Entry> = entries.by_ref().take(pack.n_entries).collect();
            put(&mut bytes, pack, &some);
        }
    }
    bytes
}

fn entries(start: u32, extents: &[Extent]) -> impl Iterator<Item = Entry> {
    let size: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
    let (mut block, mut from, mut last_head) = (start, 0_u64, 0);
    let mut pending = Vec::new().into_iter();
    let mut extents = extents.iter();
    let mut is_done = false;
    std::iter::from_fn(move || {
        loop {
            if let Some(entry) = pending.next() {
                return Some(entry);
            }
            if let Some(extent) = extents.next() {
                last_head = from / BLOCK as u64;
                pending = of_extent(extent, block, from).into_iter();
                block += u32::from(extent.n_blocks);
                from += u64::from(extent.length);
                continue;
            }
            // Where the last extent ends has to be said, unless it is at the end of its entry's part of the file or that
            // entry says where it begins. Kernels would ask for more than it has.
            let end = Entry::begin(KIND_PLAIN, size, block);
            let is_needed = !size.is_multiple_of(BLOCK as u64) && size / BLOCK as u64 > last_head;
            return (is_needed && !std::mem::replace(&mut is_done, true)).then_some(end);
        }
    })
}

/// Returns the entries of an extent that begins at `from` of the file. What begins in the middle shares its entry with the
/// end of what comes before, so the last part of an extent has no entry of its own.
fn of_extent(extent: &Extent, block: u32, from: u64) -> Vec<Entry> {
    let kind = if extent.is_plain { KIND_PLAIN } else { KIND_HEAD };
    let mut entries = vec![Entry::begin(kind, from, block)];
    let (head, next) = (from / BLOCK as u64, (from + u64::from(extent.length)) / BLOCK as u64);
    let behind = block + u32::from(extent.n_blocks);
    entries.extend((head + 1..next).map(|place| {
        let (back, forward) = ((place - head) as u16, (next - place) as u16);
        if back == 1 {
            let low = extent.n_blocks | BLOCK_COUNT;
            Entry { kind: KIND_REST, low, low_at_end: low, block: behind }
        } else {
            Entry { kind: KIND_REST, low: back, low_at_end: forward, block: behind }
        }
    }));
    entries
}

impl Entry {
    fn begin(kind: u16, from: u64, block: u32) -> Entry {
        let low = (from % BLOCK as u64) as u16;
        Entry { kind, low, low_at_end: low, block }
    }
}

/// Appends a pack.
fn put(bytes: &mut Vec<u8>, pack: Pack, entries: &[Entry]) {
    let start = bytes.len();
    bytes.resize(start + pack.len, 0);
    let place = &mut bytes[start..];
    for (idx, entry) in entries.iter().enumerate() {
        let low = if idx + 1 == pack.n_entries { entry.low_at_end } else { entry.low };
        let value = u32::from(low | entry.kind << LOW_BITS);
        let at = idx * pack.bits();
        for (byte, part) in place[at / 8..].iter_mut().zip((value << (at % 8)).to_le_bytes()) {
            *byte |= part;
        }
    }
    let base = base(entries);
    place[pack.len - 4..].copy_from_slice(&base.to_le_bytes());
}

/// Returns the block from which readers count: those of all extents that begin in the pack, and of one that began before
/// if the pack says how many it has.
fn base(entries: &[Entry]) -> u32 {
    let counts = entries.first().filter(|entry| entry.kind == KIND_REST && entry.low & BLOCK_COUNT != 0);
    match (counts, entries.iter().find(|entry| entry.kind != KIND_REST)) {
        (Some(entry), _) => entry.block - u32::from(entry.low & !BLOCK_COUNT),
        (None, Some(entry)) => entry.block,
        (None, None) => 0,
    }
}

/// Returns the size of what [`encode`] returns for a file of `size` bytes.
pub(super) fn len(before: usize, size: u64) -> u64 {
    let start = before.next_multiple_of(HEAD_LEN) + HEAD_LEN;
    let division = Division::new(start as u64, size.div_ceil(BLOCK as u64), true);
    (start - before) as u64 + division.len()
}
