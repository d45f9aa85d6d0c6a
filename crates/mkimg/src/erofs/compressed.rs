//! Reading compressed files: their index, in both of its forms, and their clusters.

use layer::ReadAt;

use super::error::ReadError;
use super::index::{
    ADVISE_BIG, ADVISE_BIG_PLAIN, ADVISE_SMALL, BLOCK_COUNT, Division, HEAD_LEN, KIND_HEAD, KIND_PLAIN,
    KIND_REST, LARGE, LOW_BITS, Pack, SMALL,
};
use super::inode::{Inode, layout};
use super::options::{BLOCK, ZSTD_WINDOWS};
use super::read::{Reader, Receiver};
use crate::bytes::{get_u16, get_u32};

/// The most that a cluster can hold, as Linux has it.
const MAX_DECODED: u64 = 12 << 20;
/// The most that a cluster can have.
const MAX_ENCODED: usize = 1 << 20;
/// The size of an entry of the index that is not compact.
const FULL_LEN: u64 = 8;
const LZ4: u8 = 0;
const ZSTD: u8 = 3;

/// What an entry of an index says.
#[derive(Debug, Clone, Copy)]
enum Entry {
    /// An extent begins here.
    Begin { is_plain: bool, offset: u16, block: u32 },
    /// One that began before goes on. The first such entry says how many blocks it has.
    Rest { n_blocks: Option<u16> },
}

/// Reads an index from front to back.
struct Index<'a, R> {
    reader: &'a Reader<R>,
    nid: u64,
    start: u64,
    /// How many entries there are.
    n_entries: u64,
    form: Form,
    /// Whether clusters can have several blocks, and whether what is stored as it is can.
    is_big: bool,
    is_big_plain: bool,
    algorithm: u8,
    /// Entries that were read and not used, the next one last.
    ready: Vec<Entry>,
    /// The number of the next entry that is read.
    next: u64,
}

enum Form {
    Full,
    Compact(Division),
}

/// An extent whose beginning was read.
struct Begun {
    at: u64,
    is_plain: bool,
    block: u32,
    n_blocks: u16,
}

impl<R: ReadAt> Reader<R> {
    pub(super) fn compressed(&self, inode: &Inode, receive: &mut Receiver<'_>) -> Result<(), ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", inode.nid), problem);
        let mut index = Index::open(self, inode)?;
        let mut unpacker = Unpacker::new(index.algorithm)?;
        let mut begun: Option<Begun> = None;
        let mut is_first_rest = false;
        for number in 0..index.n_entries {
            match index.entry()? {
                Entry::Begin { is_plain, offset, block } => {
                    let at = number * BLOCK as u64 + u64::from(offset);
                    if usize::from(offset) >= BLOCK || at > inode.size {
                        return Err(corrupt("an extent begins where it cannot"));
                    }
                    match begun {
                        Some(extent) => self.extent(inode, &extent, at, &mut unpacker, receive)?,
                        None if at > 0 => return Err(corrupt("no extent begins with the file")),
                        None => {}
                    }
                    if at == inode.size {
                        // Nothing begins here: it says where the last one ends.
                        return Ok(());
                    }
                    begun = Some(Begun { at, is_plain, block, n_blocks: 1 });
                    is_first_rest = true;
                }
                Entry::Rest { n_blocks } => {
                    let extent = begun.as_mut().ok_or_else(|| corrupt("no extent begins with the file"))?;
                    let has_count = if extent.is_plain { index.is_big_plain } else { index.is_big };
                    if std::mem::take(&mut is_first_rest) && has_count {
                        extent.n_blocks = n_blocks
                            .ok_or_else(|| corrupt("an extent does not say how many blocks it has"))?;
                    }
                }
            }
        }
        match begun {
            Some(extent) => self.extent(inode, &extent, inode.size, &mut unpacker, receive),
            None if inode.size == 0 => Ok(()),
            None => Err(corrupt("no extent begins with the file")),
        }
    }

    /// Returns where the blocks of a compressed file begin, and how many there are.
    pub(super) fn compressed_blocks(&self, inode: &Inode) -> Result<(u32, u64), ReadError> {
        let mut index = Index::open(self, inode)?;
        let (mut start, mut n_blocks) = (None, 0_u64);
        let mut may_say_more = false;
        for number in 0..index.n_entries {
            match index.entry()? {
                // Nothing begins at the end of the file: it says where the last extent ends.
                Entry::Begin { offset, .. } if number * BLOCK as u64 + u64::from(offset) >= inode.size => {
                    break;
                }
                Entry::Begin { is_plain, block, .. } => {
                    start.get_or_insert(block);
                    n_blocks += 1;
                    may_say_more = if is_plain { index.is_big_plain } else { index.is_big };
                }
                Entry::Rest { n_blocks: count } => {
                    if std::mem::take(&mut may_say_more) {
                        n_blocks += u64::from(count.unwrap_or(1).saturating_sub(1));
                    }
                }
            }
        }
        Ok((start.unwrap_or(0), n_blocks))
    }

    /// Gives out the extent that ends at `end` of the file.
    fn extent(
        &self,
        inode: &Inode,
        extent: &Begun,
        end: u64,
        unpacker: &mut Unpacker,
        receive: &mut Receiver<'_>,
    ) -> Result<(), ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", inode.nid), problem);
        let length = end.checked_sub(extent.at).filter(|length| *length > 0 && *length <= MAX_DECODED);
        let length = length.ok_or_else(|| corrupt("an extent has an impossible size"))? as usize;
        let stored_len = usize::from(extent.n_blocks) * BLOCK;
        // Nobody stores what is larger than it was; many small extents could have the same blocks.
        let most = MAX_ENCODED.min(length.next_multiple_of(BLOCK));
        if stored_len == 0 || stored_len > most || extent.is_plain && length > stored_len {
            return Err(corrupt("an extent has an impossible number of blocks"));
        }
        let mut stored = vec![0; stored_len];
        self.read_at(u64::from(extent.block) * BLOCK as u64, &mut stored)?;
        if extent.is_plain {
            return receive(&stored[..length]);
        }
        let padding = stored.iter().take_while(|byte| **byte == 0).count();
        let unpacked = unpacker.unpack(&stored[padding..], length);
        receive(&unpacked.ok_or_else(|| corrupt("an extent cannot be decompressed"))?)
    }
}

impl<'a, R: ReadAt> Index<'a, R> {
    fn open(reader: &'a Reader<R>, inode: &Inode) -> Result<Index<'a, R>, ReadError> {
        if !reader.superblock().is_padded() {
            return Err(ReadError::unsupported("compressed data with zeros behind it"));
        }
        let place = reader.beside(inode).checked_next_multiple_of(HEAD_LEN as u64).unwrap_or(u64::MAX);
        let mut head = [0; HEAD_LEN];
        reader.read_at(place, &mut head)?;
        let (advise, [algorithm, bits]) = (get_u16(&head, 4), [head[6], head[7]]);
        let known = ADVISE_SMALL | ADVISE_BIG | ADVISE_BIG_PLAIN;
        let is_consistent = (advise & ADVISE_BIG == 0) == (advise & ADVISE_BIG_PLAIN == 0);
        if inode.layout == layout::COMPACT && !is_consistent {
            let what = format!("inode {}", inode.nid);
            return Err(ReadError::corrupt(what, "its index contradicts itself"));
        }
        if advise & !known != 0 || bits != 0 || advise & ADVISE_SMALL != 0 && inode.layout == layout::FULL {
            return Err(ReadError::unsupported(format!(
                "inode {} is compressed in the way {advise:#x}, with logical clusters {bits:#x}",
                inode.nid
            )));
        }
        let n_entries = inode.size.div_ceil(BLOCK as u64);
        let start = place + HEAD_LEN as u64;
        let (start, form) = if inode.layout == layout::FULL {
            // Eight bytes that mean nothing come first.
            (start + 8, Form::Full)
        } else {
            (start, Form::Compact(Division::new(start, n_entries, advise & ADVISE_SMALL != 0)))
        };
        Ok(Index {
            reader,
            nid: inode.nid,
            start,
            n_entries,
            form,
            is_big: advise & ADVISE_BIG != 0,
            is_big_plain: advise & ADVISE_BIG_PLAIN != 0,
            algorithm: algorithm & 0xf,
            ready: Vec::new(),
            next: 0,
        })
    }

    /// Returns the next entry, of which there is one more.
    fn entry(&mut self) -> Result<Entry, ReadError> {
        if self.ready.is_empty() {
            match self.form {
                Form::Full => self.read_full()?,
                Form::Compact(division) => self.read_pack(division)?,
            }
            self.next += self.ready.len() as u64;
            self.ready.reverse();
        }
        Ok(self.ready.pop().expect("something was read"))
    }

    fn at(&self, offset: u64) -> u64 {
        self.start.saturating_add(offset)
    }

    fn read_full(&mut self) -> Result<(), ReadError> {
        let n_read = (self.n_entries - self.next).min(512);
        let mut bytes = vec![0; (n_read * FULL_LEN) as usize];
        self.reader.read_at(self.at(self.next * FULL_LEN), &mut bytes)?;
        for entry in bytes.chunks_exact(FULL_LEN as usize) {
            let low = match get_u16(entry, 0) & 3 {
                KIND_REST => get_u16(entry, 4),
                _ => get_u16(entry, 2),
            };
            let entry = self.understand(get_u16(entry, 0) & 3, low, get_u32(entry, 4))?;
            self.ready.push(entry);
        }
        Ok(())
    }

    /// Reads the pack that begins with the next entry.
    fn read_pack(&mut self, division: Division) -> Result<(), ReadError> {
        let (pack, offset) = match self.next.checked_sub(division.before) {
            None => (LARGE, self.next * 4),
            Some(place) if place < division.small => (SMALL, division.before * 4 + place * 2),
            Some(place) => (LARGE, division.before * 4 + division.small * 2 + (place - division.small) * 4),
        };
        let mut bytes = vec![0; pack.len];
        self.reader.read_at(self.at(offset), &mut bytes)?;
        let values: Vec<(u16, u16)> =
            (0..pack.n_entries).map(|idx| unpack_entry(&bytes, pack, idx)).collect();
        let base = get_u32(&bytes, pack.len - 4);
        // With clusters of one block it is the block before the first.
        let mut block = if self.is_big { base } else { base.wrapping_add(1) };
        let counts = |value: Option<&(u16, u16)>| {
            value
                .filter(|(kind, low)| *kind == KIND_REST && low & BLOCK_COUNT != 0)
                .map(|(_, low)| low & !BLOCK_COUNT)
        };
        for (idx, (kind, low)) in values.iter().enumerate() {
            let entry = self.understand(*kind, *low, block)?;
            self.ready.push(entry);
            if *kind == KIND_REST {
                block = block.wrapping_add(counts(Some(&(*kind, *low))).unwrap_or(0).into());
            } else if !self.is_big || counts(values.get(idx + 1)).is_none() {
                // One that has several says so in the next entry.
                block = block.wrapping_add(1);
            }
        }
        self.ready.truncate((self.n_entries - self.next).min(pack.n_entries as u64) as usize);
        Ok(())
    }

    fn understand(&self, kind: u16, low: u16, block: u32) -> Result<Entry, ReadError> {
        match kind {
            KIND_PLAIN | KIND_HEAD => Ok(Entry::Begin { is_plain: kind == KIND_PLAIN, offset: low, block }),
            KIND_REST => Ok(Entry::Rest { n_blocks: (low & BLOCK_COUNT != 0).then_some(low & !BLOCK_COUNT) }),
            _ => Err(ReadError::unsupported(format!("inode {} has a second kind of clusters", self.nid))),
        }
    }
}

/// Returns kind and value of an entry.
fn unpack_entry(bytes: &[u8], pack: Pack, idx: usize) -> (u16, u16) {
    let at = idx * pack.bits();
    // The number of a block is behind the last entry, so there are always four bytes.
    let value = get_u32(bytes, at / 8) >> (at % 8);
    let low = value & ((1 << LOW_BITS) - 1);
    ((value >> LOW_BITS & 3) as u16, low as u16)
}

/// A decompressor with its memory.
enum Unpacker {
    Lz4,
    Zstd(Box<zstd::bulk::Decompressor<'static>>),
}

impl Unpacker {
    fn new(algorithm: u8) -> Result<Unpacker, ReadError> {
        match algorithm {
            LZ4 => Ok(Unpacker::Lz4),
            ZSTD => {
                let failed = |error: std::io::Error| ReadError::unsupported(error.to_string());
                let mut decompressor = zstd::bulk::Decompressor::new().map_err(failed)?;
                let most = zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOWS[1].into());
                decompressor.set_parameter(most).map_err(failed)?;
                Ok(Unpacker::Zstd(Box::new(decompressor)))
            }
            _ => Err(ReadError::unsupported(format!("compressor {algorithm}"))),
        }
    }

    /// Returns what `stored` unpacks to, or nothing if that is not `length` bytes.
    fn unpack(&mut self, stored: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let found = match self {
            Unpacker::Lz4 => {
                let most = i32::try_from(length).ok()?;
                lz4::block::decompress_to_buffer(stored, Some(most), &mut bytes).ok()?
            }
            Unpacker::Zstd(decompressor) => decompressor.decompress_to_buffer(stored, &mut bytes[..]).ok()?,
        };
        (found == length).then_some(bytes)
    }
}
