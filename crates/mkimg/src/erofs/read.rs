//! Reading an image, one piece at a time: memory does not depend on what the image says of itself.

use std::collections::BTreeMap;
use std::ops::Range;

use layer::ReadAt;

use super::error::ReadError;
use super::inode::{COMPACT_LEN, Content, EXTENDED_LEN, Inode, layout};
use super::options::BLOCK;
use super::place::SLOT;
use super::superblock::{self, Superblock};
use super::xattr::{self, Found};
use crate::bytes::get_u32;

/// How much is read at once.
pub(super) const PART: usize = 256 << 10;
/// Of a chunk that is a hole, the number of its first block.
const HOLE: u32 = u32::MAX;
/// What an inode says of chunks: how many blocks they have, and that more than their blocks is said of them.
pub(super) const CHUNK_LOG: u32 = 0x1f;
const CHUNK_INDEXES: u32 = 0x20;
const CHUNK_KNOWN: u32 = CHUNK_LOG | CHUNK_INDEXES;
/// What Linux lists of attributes, and more than it lets a file have.
const MAX_XATTR_BYTES: usize = 1 << 20;

/// Receives what is read.
pub(super) type Receiver<'a> = dyn FnMut(&[u8]) -> Result<(), ReadError> + 'a;

/// An image that is read.
pub struct Reader<R> {
    source: R,
    size: u64,
    superblock: Superblock,
}

impl<R: ReadAt> Reader<R> {
    /// Reads the superblock of the image in `source`.
    pub fn open(source: R) -> Result<Reader<R>, ReadError> {
        let io = |source| ReadError::Io { offset: 0, length: BLOCK, source };
        let size = source.size().map_err(io)?;
        if size < (superblock::OFFSET + superblock::LEN) as u64 {
            return Err(ReadError::NotErofs);
        }
        let mut first = [0; BLOCK];
        let length = usize::try_from(size).unwrap_or(BLOCK).min(BLOCK);
        source.read_exact_at(&mut first[..length], 0).map_err(io)?;
        let superblock = Superblock::decode(&first)?;
        if u64::from(superblock.blocks) * BLOCK as u64 > size {
            return Err(ReadError::corrupt("the superblock", "the file system is larger than the image"));
        }
        Ok(Reader { source, size, superblock })
    }

    /// Returns the superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Returns the size of the image.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root's inode.
    pub fn root(&self) -> Result<Inode, ReadError> {
        let root = self.inode(self.superblock.root.into())?;
        match root.content {
            Content::Directory => Ok(root),
            _ => Err(ReadError::corrupt("the root", "it is not a directory")),
        }
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let length = buffer.len();
        let io = |source| ReadError::Io { offset, length, source };
        if offset.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        self.source.read_exact_at(buffer, offset).map_err(io)
    }

    /// Returns where an inode is. A number that leads out of the image is one that nothing can be read at.
    fn place(&self, nid: u64) -> u64 {
        let start = u64::from(self.superblock.metadata) * BLOCK as u64;
        nid.checked_mul(SLOT).and_then(|place| place.checked_add(start)).unwrap_or(u64::MAX)
    }

    /// Returns where what is beside an inode begins, behind its attributes.
    pub(super) fn beside(&self, inode: &Inode) -> u64 {
        self.place(inode.nid).saturating_add(inode.head_len as u64)
    }

    /// Returns the inode of this number.
    pub fn inode(&self, nid: u64) -> Result<Inode, ReadError> {
        let place = self.place(nid);
        let mut bytes = [0; EXTENDED_LEN];
        self.read_at(place, &mut bytes[..COMPACT_LEN])?;
        let length = Inode::len([bytes[0], bytes[1]]);
        self.read_at(place, &mut bytes[..length])?;
        let inode = Inode::decode(nid, &bytes[..length], self.superblock.epoch)?;
        let fits = matches!(inode.content, Content::File)
            || inode.layout <= layout::INLINE && inode.layout != layout::FULL;
        if !fits {
            return Err(ReadError::unsupported(format!(
                "inode {nid} is no file and compressed, or in chunks"
            )));
        }
        Ok(inode)
    }

    /// Gives the contents of a file, the listing of a directory or the target of a link to `receive`, from front to
    /// back. What is in holes is given, too, so that what an image says of a size takes that long.
    pub fn contents(
        &self,
        inode: &Inode,
        receive: &mut dyn FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        match inode.layout {
            layout::PLAIN | layout::INLINE => self.flat(inode, receive),
            layout::CHUNKS => self.chunks(inode, receive),
            _ => self.compressed(inode, receive),
        }
    }

    /// Returns all of what [`Reader::contents`] gives, of an inode that has no more than `limit` bytes.
    pub fn bytes(&self, inode: &Inode, limit: u64) -> Result<Vec<u8>, ReadError> {
        if inode.size > limit {
            return Err(ReadError::corrupt(
                format!("inode {}", inode.nid),
                format!("it has more than {limit} bytes"),
            ));
        }
        let mut bytes = Vec::new();
        self.contents(inode, &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Returns where in the image an inode has what is neither compressed nor in chunks, without its end if that is
    /// beside it.
    pub(super) fn flat_blocks(&self, inode: &Inode) -> Range<u64> {
        let tail = if inode.layout == layout::INLINE { inode.size % BLOCK as u64 } else { 0 };
        let start = u64::from(inode.detail) * BLOCK as u64;
        start..start.saturating_add(inode.size - tail)
    }

    fn flat(&self, inode: &Inode, receive: &mut Receiver<'_>) -> Result<(), ReadError> {
        let blocks = self.flat_blocks(inode);
        let tail = inode.size - (blocks.end - blocks.start);
        self.range(blocks.start, blocks.end - blocks.start, receive)?;
        if tail > 0 {
            let place = self.beside(inode);
            if place % BLOCK as u64 + tail > BLOCK as u64 {
                let what = format!("inode {}", inode.nid);
                return Err(ReadError::corrupt(what, "what is beside it does not end with the block"));
            }
            self.range(place, tail, receive)?;
        }
        Ok(())
    }

    fn chunks(&self, inode: &Inode, receive: &mut Receiver<'_>) -> Result<(), ReadError> {
        let zeros = [0; BLOCK];
        self.each_chunk(inode, &mut |place, length| {
            if let Some(block) = place {
                return self.range(block * BLOCK as u64, length, receive);
            }
            let mut left = length;
            while left > 0 {
                let some = left.min(BLOCK as u64);
                receive(&zeros[..some as usize])?;
                left -= some;
            }
            Ok(())
        })
    }

    /// Calls `visit` for each chunk of a file: with its first block, unless it is a hole, and how long it is.
    pub(super) fn each_chunk(
        &self,
        inode: &Inode,
        visit: &mut dyn FnMut(Option<u64>, u64) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let log = inode.detail & CHUNK_LOG;
        if inode.detail & 0xffff & !CHUNK_KNOWN != 0 {
            return Err(ReadError::unsupported(format!("chunks of the format {:#x}", inode.detail & 0xffff)));
        }
        let unit = if inode.detail & CHUNK_INDEXES != 0 { 8 } else { 4 };
        let start = self.beside(inode).next_multiple_of(unit as u64);
        let chunk_len = (BLOCK as u64) << log;
        let mut at = 0;
        let mut table = Vec::new();
        while at < inode.size {
            let number = at / chunk_len;
            let place = (number % (PART / unit) as u64) as usize * unit;
            if place == 0 {
                let n_left = inode.size.div_ceil(chunk_len) - number;
                let n_read = usize::try_from(n_left).unwrap_or(usize::MAX).min(PART / unit);
                table.resize(n_read * unit, 0);
                self.read_at(start + number * unit as u64, &mut table)?;
            }
            if unit == 8 && table[place..place + 4] != [0; 4] && table[place..place + 4] != [0xff; 4] {
                return Err(ReadError::unsupported("chunks on other devices"));
            }
            let block = get_u32(&table, place + unit - 4);
            let length = chunk_len.min(inode.size - at);
            visit((block != HOLE).then_some(block.into()), length)?;
            at += length;
        }
        Ok(())
    }

    fn range(&self, start: u64, length: u64, receive: &mut Receiver<'_>) -> Result<(), ReadError> {
        let mut buffer = Vec::new();
        let mut done = 0;
        while done < length {
            let part = usize::try_from(length - done).unwrap_or(PART).min(PART);
            buffer.resize(part, 0);
            self.read_at(start.saturating_add(done), &mut buffer)?;
            receive(&buffer)?;
            done += part as u64;
        }
        Ok(())
    }

    /// Returns the extended attributes of an inode under their full names.
    pub fn xattrs(&self, inode: &Inode) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(format!("inode {}", inode.nid), problem);
        let mut found = BTreeMap::new();
        if inode.xattrs_len == 0 {
            return Ok(found);
        }
        let mut body = vec![0; inode.xattrs_len];
        self.read_at(self.beside(inode) - inode.xattrs_len as u64, &mut body)?;
        let (places, mut rest) = xattr::split(&body).map_err(corrupt)?;
        let mut total = 0;
        let mut add = |attribute: Found<'_>| {
            total += attribute.len;
            if total > MAX_XATTR_BYTES {
                return Err(corrupt("it has too many attributes"));
            }
            match found.insert(attribute.name, attribute.value.to_vec()) {
                None => Ok(()),
                Some(_) => Err(corrupt("it has an attribute twice")),
            }
        };
        for place in places {
            let start =
                u64::from(self.superblock.xattrs) * BLOCK as u64 + u64::from(place) * xattr::UNIT as u64;
            let mut head = [0; xattr::ENTRY_LEN];
            self.read_at(start, &mut head)?;
            let mut bytes = vec![0; xattr::entry_len(&head)];
            self.read_at(start, &mut bytes)?;
            add(Found::decode(&bytes).map_err(corrupt)?)?;
        }
        while !rest.is_empty() {
            let attribute = Found::decode(rest).map_err(corrupt)?;
            rest = rest.get(attribute.len..).unwrap_or_default();
            add(attribute)?;
        }
        Ok(found)
    }
}
