//! Reading files of an image, block by block.

use std::sync::Arc;

use layer::ReadAt;

use super::bytes::Fields;
use super::error::ReadError;
use super::format::BLOCK_PLAIN;
use super::inode::{Content, Inode};
use super::read::Reader;
use super::write::FRAGMENT_LEN;

/// A file that is read.
pub struct File<'a, R> {
    reader: &'a Reader<R>,
    at: Paused,
}

/// How far a file was read, for [`Reader::resume`].
pub struct Paused {
    /// The inode's number.
    number: u32,
    size: u64,
    fragment: Option<(u32, u32)>,
    /// Where its blocks and the list of their sizes start.
    beginning: (u64, u64),
    /// Where the list goes on, the number of the next block and where it starts.
    list: u64,
    next: (u64, u64),
    /// The block that was read last.
    current: Option<(u64, Arc<Vec<u8>>)>,
}

impl<R: ReadAt> Reader<R> {
    /// Opens a file.
    pub fn file(&self, inode: &Inode) -> Result<File<'_, R>, ReadError> {
        let what = || format!("inode {}", inode.number);
        let Content::File { size, start, fragment, blocks, .. } = inode.content else {
            return Err(ReadError::corrupt(what(), "it is not a file"));
        };
        if let Some((block, offset)) = fragment {
            let tail = size % u64::from(self.block_size().bytes());
            let is_inside = u64::from(offset) + tail <= u64::from(self.block_size().bytes());
            if block >= self.superblock().fragments || !is_inside || tail == 0 {
                return Err(ReadError::corrupt(what(), "its end is in no block of fragments"));
            }
        }
        Ok(self.resume(Paused {
            number: inode.number,
            size,
            fragment,
            beginning: (start, blocks),
            list: blocks,
            next: (0, start),
            current: None,
        }))
    }

    /// Opens a file again that this reader had opened.
    pub fn resume(&self, at: Paused) -> File<'_, R> {
        File { reader: self, at }
    }

    /// Returns how many blocks of its own a file has.
    pub(super) fn n_blocks(&self, size: u64, fragment: Option<(u32, u32)>) -> u64 {
        let block_len = u64::from(self.block_size().bytes());
        if fragment.is_some() { size / block_len } else { size.div_ceil(block_len) }
    }

    fn fragment_block(&self, number: u32) -> Result<Arc<Vec<u8>>, ReadError> {
        if let Some((known, bytes)) = &*self.fragment.borrow()
            && *known == number
        {
            return Ok(Arc::clone(bytes));
        }
        let (start, size) = self.fragment_place(number)?;
        let bytes = Arc::new(self.data_block(start, size, self.block_size().len())?);
        *self.fragment.borrow_mut() = Some((number, Arc::clone(&bytes)));
        Ok(bytes)
    }

    /// Returns where in the image the block `number` of those that have the ends of several files is, and what is stored
    /// of it.
    pub fn fragment_place(&self, number: u32) -> Result<(u64, StoredSize), ReadError> {
        let table = self.superblock().fragment_table;
        let entry = self.indexed::<FRAGMENT_LEN>(table, number.into(), "the table of fragments")?;
        let mut fields = Fields(&entry);
        Ok((fields.u64().unwrap_or_default(), StoredSize(fields.u32().unwrap_or_default())))
    }
}

/// How much of a block is stored, and whether it is compressed, as the list of blocks has it: none of a block of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSize(pub u32);

impl StoredSize {
    /// Returns how many bytes are stored.
    pub fn stored(self) -> u64 {
        (self.0 & !BLOCK_PLAIN).into()
    }

    /// Says whether it is compressed.
    pub fn is_packed(self) -> bool {
        self.0 & BLOCK_PLAIN == 0
    }
}

impl<R: ReadAt> File<'_, R> {
    /// Lets go of the reader. To open the file anew would be to search its blocks from the first one.
    pub fn pause(self) -> Paused {
        self.at
    }

    /// Returns how many bytes it has.
    pub fn size(&self) -> u64 {
        self.at.size
    }

    /// Fills `buffer` with what is at `offset`, which must not pass the end. Reading on is faster than reading back.
    pub fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let length = buffer.len();
        if offset.checked_add(length as u64).is_none_or(|end| end > self.at.size) {
            let source = std::io::ErrorKind::UnexpectedEof.into();
            return Err(ReadError::Io { offset, length, source });
        }
        let block_len = u64::from(self.reader.block_size().bytes());
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let block = self.block(at / block_len)?;
            let within = (at % block_len) as usize;
            let part = (block.len() - within).min(length - done);
            buffer[done..done + part].copy_from_slice(&block[within..within + part]);
            done += part;
        }
        Ok(())
    }

    /// Returns how many blocks it has of its own, how many bytes these take, and how many of them are zeros.
    pub fn blocks(&mut self) -> Result<(u64, u64, u64), ReadError> {
        self.rewind();
        let n_blocks = self.n_blocks();
        let (mut stored, mut zeros) = (0_u64, 0);
        for _ in 0..n_blocks {
            let size = self.next_size()?.stored();
            stored += size;
            zeros += u64::from(size == 0);
        }
        self.rewind();
        Ok((n_blocks, stored, zeros))
    }

    /// Returns what is stored of each block of its own.
    pub fn block_sizes(&mut self) -> Result<Vec<StoredSize>, ReadError> {
        self.rewind();
        let sizes = (0..self.n_blocks()).map(|_| self.next_size()).collect();
        self.rewind();
        sizes
    }

    fn n_blocks(&self) -> u64 {
        self.reader.n_blocks(self.at.size, self.at.fragment)
    }

    fn rewind(&mut self) {
        (self.at.list, self.at.next) = (self.at.beginning.1, (0, self.at.beginning.0));
    }

    /// Reads on in the list of blocks.
    fn next_size(&mut self) -> Result<StoredSize, ReadError> {
        let superblock = self.reader.superblock();
        let (start, end) = (superblock.inode_table, superblock.directory_table);
        let mut list = self.reader.cursor(start, end, self.at.list, "the table of inodes");
        let size = u32::from_le_bytes(list.array()?);
        self.at.list = list.reference(start);
        Ok(StoredSize(size))
    }

    /// Returns block `number` in its full size.
    fn block(&mut self, number: u64) -> Result<Arc<Vec<u8>>, ReadError> {
        if let Some((known, bytes)) = &self.at.current
            && *known == number
        {
            return Ok(Arc::clone(bytes));
        }
        let inode = self.at.number;
        let corrupt = |problem: &str| ReadError::corrupt(format!("inode {inode}"), problem);
        let block_len = u64::from(self.reader.block_size().bytes());
        let expected = (self.at.size - number * block_len).min(block_len) as usize;
        let bytes = if let Some((fragment, offset)) = self.at.fragment
            && number == self.n_blocks()
        {
            let block = self.reader.fragment_block(fragment)?;
            let end = block.get(offset as usize..).and_then(|rest| rest.get(..expected));
            end.ok_or_else(|| corrupt("its end is not in the block of fragments"))?.to_vec()
        } else {
            if number < self.at.next.0 {
                self.rewind();
            }
            loop {
                let size = self.next_size()?;
                let (current, start) = self.at.next;
                let end = start.checked_add(size.stored());
                self.at.next =
                    (current + 1, end.ok_or_else(|| corrupt("its blocks are outside of the image"))?);
                if current == number {
                    break if size.stored() == 0 {
                        vec![0; expected]
                    } else {
                        self.reader.data_block(start, size, expected)?
                    };
                }
            }
        };
        if bytes.len() != expected {
            return Err(corrupt("a block is shorter or longer than it should be"));
        }
        let bytes = Arc::new(bytes);
        self.at.current = Some((number, Arc::clone(&bytes)));
        Ok(bytes)
    }
}
