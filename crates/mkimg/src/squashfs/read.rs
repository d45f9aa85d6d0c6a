//! Reading an image, one block at a time: memory does not depend on what the image says of itself.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use layer::ReadAt;

use super::bytes::Fields;
use super::error::ReadError;
use super::file::StoredSize;
use super::format::{
    METADATA_LEN, METADATA_PLAIN, NONE, NOWHERE, SUPERBLOCK_LEN, Superblock, flag, split_reference,
};
use super::inode::{self, Content, HEADER_LEN, Header, Inode};
use super::options::{BlockSize, Compression};
use super::unpack::Unpacker;

/// How many metadata blocks are kept.
const CACHE_LEN: usize = 64;

/// An image that is read.
pub struct Reader<R> {
    source: R,
    superblock: Superblock,
    block_size: BlockSize,
    compression: Compression,
    ids: Vec<u32>,
    /// Where the table of directories ends.
    directory_end: u64,
    unpacker: RefCell<Unpacker>,
    cache: RefCell<VecDeque<(u64, Arc<MetadataBlock>)>>,
    /// The block of fragments that was read last.
    pub(super) fragment: RefCell<Option<(u32, Arc<Vec<u8>>)>>,
}

/// A metadata block that was read, and where the next one starts.
pub(super) struct MetadataBlock {
    bytes: Vec<u8>,
    next: u64,
}

/// Reads on in a table.
pub(super) struct Cursor<'a, R> {
    reader: &'a Reader<R>,
    /// Where the metadata block starts, in the image.
    start: u64,
    /// Where the table ends.
    end: u64,
    place: usize,
    what: &'static str,
}

impl<R: ReadAt> Reader<R> {
    /// Reads the superblock of the image in `source`, the compressor's options and the table of owners.
    pub fn open(source: R) -> Result<Reader<R>, ReadError> {
        let io = |source| ReadError::Io { offset: 0, length: SUPERBLOCK_LEN, source };
        let size = source.size().map_err(io)?;
        if size < SUPERBLOCK_LEN as u64 {
            return Err(ReadError::NotSquashfs);
        }
        let mut bytes = [0; SUPERBLOCK_LEN];
        source.read_exact_at(&mut bytes, 0).map_err(io)?;
        let superblock = Superblock::decode(&bytes)?;
        let corrupt = |problem: &str| ReadError::corrupt("the superblock", problem);
        let block_size = BlockSize::from_bytes(superblock.block_size)
            .filter(|size| size.log() == superblock.block_log)
            .ok_or_else(|| corrupt("it has an impossible block size"))?;
        if superblock.bytes_used > size {
            return Err(corrupt("the file system is larger than the image"));
        }
        let tables = [superblock.inode_table, superblock.directory_table, superblock.id_table];
        let optional = [superblock.xattr_table, superblock.fragment_table, superblock.export_table];
        let optional = optional.into_iter().filter(|start| *start != NOWHERE);
        if tables
            .into_iter()
            .chain(optional)
            .any(|start| start < SUPERBLOCK_LEN as u64 || start >= superblock.bytes_used)
            || superblock.inode_table > superblock.directory_table
        {
            return Err(corrupt("a table is outside of the file system"));
        }
        if superblock.inodes == 0 || superblock.ids == 0 {
            return Err(corrupt("it has no inodes or no owners"));
        }
        if superblock.fragments != 0 && superblock.fragment_table == NOWHERE {
            return Err(corrupt("it has blocks of fragments and no table of them"));
        }
        let has_options = superblock.flags & flag::COMPRESSOR_OPTIONS != 0;
        let stored = if has_options { Some(stored_options(&source)?) } else { None };
        let unsupported = |what| ReadError::Unsupported { what };
        let compression =
            Compression::decode(superblock.compressor, stored.as_deref(), block_size).map_err(unsupported)?;
        let unpacker =
            Unpacker::new(&compression, block_size).map_err(|error| unsupported(error.to_string()))?;
        let mut reader = Reader {
            source,
            directory_end: superblock.bytes_used,
            superblock,
            block_size,
            compression,
            ids: Vec::new(),
            unpacker: RefCell::new(unpacker),
            cache: RefCell::new(VecDeque::new()),
            fragment: RefCell::new(None),
        };
        reader.ids = reader.read_ids()?;
        reader.directory_end = reader.find_directory_end()?;
        Ok(reader)
    }

    /// Returns the superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Returns the compressor and its options.
    pub fn compression(&self) -> &Compression {
        &self.compression
    }

    /// Returns how many bytes the image has, with the padding at its end.
    pub(super) fn image_len(&self) -> Result<u64, ReadError> {
        self.source.size().map_err(|source| ReadError::Io { offset: 0, length: 0, source })
    }

    pub(super) fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// Returns the root's inode.
    pub fn root(&self) -> Result<Inode, ReadError> {
        let root = self.inode(self.superblock.root)?;
        match root.content {
            Content::Directory { .. } => Ok(root),
            _ => Err(ReadError::corrupt("the root", "it is not a directory")),
        }
    }

    fn read_ids(&self) -> Result<Vec<u32>, ReadError> {
        let mut ids = Vec::new();
        for place in 0..self.superblock.ids {
            let bytes = self.indexed::<4>(self.superblock.id_table, place.into(), "the table of owners")?;
            ids.push(u32::from_le_bytes(bytes));
        }
        Ok(ids)
    }

    /// Returns where the first table behind that of directories starts.
    fn find_directory_end(&self) -> Result<u64, ReadError> {
        let superblock = &self.superblock;
        let mut end = superblock.bytes_used;
        let fragments = if superblock.fragments > 0 { superblock.fragment_table } else { NOWHERE };
        // What an index points to first, and the header of attributes, is where their tables start.
        for index in [fragments, superblock.export_table, superblock.id_table, superblock.xattr_table] {
            if index != NOWHERE {
                end = end.min(self.number_at(index)?);
            }
        }
        if end < superblock.directory_table {
            return Err(ReadError::corrupt("the superblock", "its tables are out of order"));
        }
        Ok(end)
    }

    pub(super) fn directory_end(&self) -> u64 {
        self.directory_end
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let length = buffer.len();
        let io = |source| ReadError::Io { offset, length, source };
        if offset.checked_add(length as u64).is_none_or(|end| end > self.superblock.bytes_used) {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        self.source.read_exact_at(buffer, offset).map_err(io)
    }

    fn number_at(&self, offset: u64) -> Result<u64, ReadError> {
        let mut bytes = [0; 8];
        self.read_at(offset, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads the element `place` of a table whose index is at `index`.
    pub(super) fn indexed<const N: usize>(
        &self,
        index: u64,
        place: u64,
        what: &'static str,
    ) -> Result<[u8; N], ReadError> {
        let offset = place * N as u64;
        let block = self.number_at(index + offset / METADATA_LEN as u64 * 8)?;
        let end = self.superblock.bytes_used;
        let place = (offset % METADATA_LEN as u64) as usize;
        Cursor { reader: self, start: block, end, place, what }.array()
    }

    /// Returns the metadata block at `start` of the image.
    pub(super) fn metadata_block(&self, start: u64, what: &str) -> Result<Arc<MetadataBlock>, ReadError> {
        if let Some((_, block)) = self.cache.borrow().iter().find(|(known, _)| *known == start) {
            return Ok(Arc::clone(block));
        }
        let corrupt = |problem| ReadError::corrupt(format!("{what}, the block at {start}"), problem);
        let mut head = [0; 2];
        self.read_at(start, &mut head)?;
        let head = u16::from_le_bytes(head);
        let length = usize::from(head & !METADATA_PLAIN);
        if length == 0 || length > METADATA_LEN {
            return Err(corrupt("it has an impossible size"));
        }
        let mut bytes = vec![0; length];
        self.read_at(start + 2, &mut bytes)?;
        if head & METADATA_PLAIN == 0 {
            bytes = self
                .unpacker
                .borrow_mut()
                .unpack(&bytes, METADATA_LEN)
                .ok_or_else(|| corrupt("it cannot be decompressed"))?;
        }
        let block = Arc::new(MetadataBlock { bytes, next: start + 2 + length as u64 });
        let mut cache = self.cache.borrow_mut();
        if cache.len() == CACHE_LEN {
            cache.pop_front();
        }
        cache.push_back((start, Arc::clone(&block)));
        Ok(block)
    }

    pub(super) fn cursor(&self, table: u64, end: u64, reference: u64, what: &'static str) -> Cursor<'_, R> {
        let (start, place) = split_reference(reference);
        Cursor { reader: self, start: table.saturating_add(start), end, place, what }
    }

    /// Returns the inode at a reference.
    pub(super) fn inode(&self, reference: u64) -> Result<Inode, ReadError> {
        let superblock = &self.superblock;
        let mut cursor =
            self.cursor(superblock.inode_table, superblock.directory_table, reference, "the table of inodes");
        let corrupt = |problem: &str| ReadError::corrupt(format!("the inode at {reference:#x}"), problem);
        let header = Header::decode(&cursor.array::<HEADER_LEN>()?);
        let header = header.ok_or_else(|| corrupt("its type is unknown"))?;
        if header.number == 0 || header.number > superblock.inodes {
            return Err(corrupt("its number is more than there are inodes"));
        }
        let owner = |place: u16| {
            self.ids.get(usize::from(place)).copied().ok_or_else(|| corrupt("its owner is not in the table"))
        };
        let (uid, gid) = (owner(header.owners[0])?, owner(header.owners[1])?);
        let body = cursor.bytes(header.body_len())?;
        let (links, xattrs, content) = content(&header, &body, &mut cursor, superblock.inode_table)?;
        let mode = header.mode & 0o7777;
        Ok(Inode { number: header.number, mode, uid, gid, mtime: header.mtime, links, xattrs, content })
    }

    /// Reads a block of data that is stored in `size`, and unpacks to `limit` bytes at most.
    pub(super) fn data_block(
        &self,
        start: u64,
        size: StoredSize,
        limit: usize,
    ) -> Result<Vec<u8>, ReadError> {
        let corrupt = |problem| ReadError::corrupt(format!("the block at {start}"), problem);
        let length = size.stored() as usize;
        if length > self.block_size.len() {
            return Err(corrupt("it has an impossible size"));
        }
        let mut bytes = vec![0; length];
        self.read_at(start, &mut bytes)?;
        if size.is_packed() {
            let unpacked = self.unpacker.borrow_mut().unpack(&bytes, limit);
            bytes = unpacked.ok_or_else(|| corrupt("it cannot be decompressed"))?;
        }
        Ok(bytes)
    }
}

/// Reads the options of the compressor, which come behind the superblock.
fn stored_options(source: &impl ReadAt) -> Result<Vec<u8>, ReadError> {
    let offset = SUPERBLOCK_LEN as u64;
    let io = |source| ReadError::Io { offset, length: 2, source };
    let mut head = [0; 2];
    source.read_exact_at(&mut head, offset).map_err(io)?;
    let length = usize::from(u16::from_le_bytes(head) & !METADATA_PLAIN);
    // The largest that any compressor has are 8 bytes.
    if length > 64 || u16::from_le_bytes(head) & METADATA_PLAIN == 0 {
        return Err(ReadError::corrupt("the compressor's options", "they are too long"));
    }
    let mut stored = vec![0; length];
    source.read_exact_at(&mut stored, offset + 2).map_err(io)?;
    Ok(stored)
}

/// Understands what follows the header of an inode: the number of links, the attributes and what it is.
fn content<R: ReadAt>(
    header: &Header,
    body: &[u8],
    cursor: &mut Cursor<'_, R>,
    inode_table: u64,
) -> Result<(u32, Option<u32>, Content), ReadError> {
    let mut fields = Fields(body);
    let fits = "the body of an inode has the size that its type says";
    let mut u32 = || fields.u32().expect(fits);
    let some = |value: u32| (value != NONE).then_some(value);
    let is_long = header.is_long;
    Ok(match header.kind {
        inode::DIRECTORY if is_long => {
            let [links, size, start, parent, both] = [(); 5].map(|()| u32());
            let (n_marks, place) = ((both & 0xffff) as u16, (both >> 16) as u16);
            (links, some(u32()), Content::Directory { parent, listing: (start, place, size), n_marks })
        }
        inode::DIRECTORY => {
            let [start, links, both, parent] = [(); 4].map(|()| u32());
            let (size, place) = (both & 0xffff, (both >> 16) as u16);
            (links, None, Content::Directory { parent, listing: (start, place, size), n_marks: 0 })
        }
        inode::FILE => {
            let mut u64 = || u64::from(u32()) | u64::from(u32()) << 32;
            let (start, size, sparse, links) =
                if is_long { (u64(), u64(), u64(), Some(u32())) } else { (0, 0, 0, None) };
            let (start, [fragment, offset]) =
                if is_long { (start, [u32(), u32()]) } else { (u32().into(), [u32(), u32()]) };
            let size = if is_long { size } else { u32().into() };
            let xattrs = if is_long { some(u32()) } else { None };
            let fragment = some(fragment).map(|block| (block, offset));
            let blocks = cursor.reference(inode_table);
            (links.unwrap_or(1), xattrs, Content::File { size, start, sparse, fragment, blocks })
        }
        inode::SYMLINK => {
            let (links, length) = (u32(), u32());
            if !(1..=4096).contains(&length) {
                let what = format!("inode {}", header.number);
                return Err(ReadError::corrupt(what, "the target of the link has an impossible length"));
            }
            let target = cursor.bytes(length as usize)?;
            let xattrs = if is_long { some(u32::from_le_bytes(cursor.array()?)) } else { None };
            (links, xattrs, Content::Symlink { target })
        }
        inode::BLOCK_DEVICE | inode::CHAR_DEVICE => {
            let (links, (major, minor)) = (u32(), inode::device(u32()));
            let is_block = header.kind == inode::BLOCK_DEVICE;
            let content =
                if is_block { Content::BlockDevice(major, minor) } else { Content::CharDevice(major, minor) };
            (links, if is_long { some(u32()) } else { None }, content)
        }
        kind => {
            let links = u32();
            let content = if kind == inode::FIFO { Content::Fifo } else { Content::Socket };
            (links, if is_long { some(u32()) } else { None }, content)
        }
    })
}

impl<R: ReadAt> Cursor<'_, R> {
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        let mut done = 0;
        while done < buffer.len() {
            if self.start >= self.end {
                return Err(ReadError::corrupt(self.what, "something reaches over its end"));
            }
            let block = self.reader.metadata_block(self.start, self.what)?;
            let rest = block.bytes.get(self.place..).unwrap_or_default();
            if rest.is_empty() {
                // Only a full block can be followed by another one of the table.
                if self.place != block.bytes.len() || self.place < METADATA_LEN {
                    return Err(ReadError::corrupt(self.what, "something is behind the end of its block"));
                }
                (self.start, self.place) = (block.next, 0);
                continue;
            }
            let length = rest.len().min(buffer.len() - done);
            buffer[done..done + length].copy_from_slice(&rest[..length]);
            self.place += length;
            done += length;
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let part = (length - bytes.len()).min(METADATA_LEN);
            let filled = bytes.len();
            bytes.resize(filled + part, 0);
            self.fill(&mut bytes[filled..])?;
        }
        Ok(bytes)
    }

    /// Returns the reference to what comes next.
    pub(super) fn reference(&self, table: u64) -> u64 {
        (self.start - table) << 16 | self.place as u64
    }
}
