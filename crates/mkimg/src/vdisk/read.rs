//! Reading a virtual disk of any format.
//!
//! What a format says is where each block lies ([`Blocks`]); the rest is the same for all.

use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use layer::ReadAt;

use super::contents::Contents;
use super::error::{ReadError, corrupt};
use super::file::Image;
use super::pack::{Compression, unpack};
use super::{Kind, parallels, qcow2, vdi, vhd, vhdx, vmdk};

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is zero.
    Zero,
    /// It is what the disk below has.
    Below,
    /// At this offset of the file.
    At(u64),
    /// Compressed, at this offset of the file, in up to so many bytes.
    Packed(u64, u64, Compression),
}

/// What a format says of a disk.
pub(super) trait Blocks: Send + Sync {
    /// Returns the disk's size.
    fn size(&self) -> u64;

    /// Returns the size of a block.
    fn block_len(&self) -> u64;

    /// Returns where a block of the disk lies.
    fn place(&self, image: &Image<'_>, block: u64) -> Result<Place, ReadError>;

    /// Returns how many blocks from `block` on are surely not in the file: at least none.
    fn skip(&self, _image: &Image<'_>, _block: u64) -> Result<u64, ReadError> {
        Ok(0)
    }

    /// Returns lines that describe it.
    fn describe(&self) -> Vec<String>;
}

/// A virtual disk that is read. It trusts nothing that the file says.
pub struct Reader<'a> {
    image: Image<'a>,
    blocks: Box<dyn Blocks>,
    kind: Kind,
    below: Option<Box<dyn ReadAt + 'a>>,
    /// The block that was unpacked last, and its number.
    unpacked: Mutex<(u64, Vec<u8>)>,
}

/// No block has this number.
const NOTHING_UNPACKED: u64 = u64::MAX;

impl<'a> Reader<'a> {
    /// Opens a virtual disk, whose format is told by what it begins or ends with.
    ///
    /// Fails if it is none or damaged, or lies over another disk.
    pub fn open(image: impl ReadAt + 'a) -> Result<Reader<'a>, ReadError> {
        let image = Image::new(Box::new(image))?;
        let kind = recognize(&image)?.ok_or(ReadError::Unknown)?;
        Reader::new(image, kind, None)
    }

    /// Opens a virtual disk of this format.
    pub fn open_as(kind: Kind, image: impl ReadAt + 'a) -> Result<Reader<'a>, ReadError> {
        Reader::new(Image::new(Box::new(image))?, kind, None)
    }

    /// Opens a virtual disk that lies over another: what it does not have comes from `below`.
    pub fn open_over(image: impl ReadAt + 'a, below: impl ReadAt + 'a) -> Result<Reader<'a>, ReadError> {
        let image = Image::new(Box::new(image))?;
        let kind = recognize(&image)?.ok_or(ReadError::Unknown)?;
        Reader::new(image, kind, Some(Box::new(below)))
    }

    fn new(
        image: Image<'a>,
        kind: Kind,
        below: Option<Box<dyn ReadAt + 'a>>,
    ) -> Result<Reader<'a>, ReadError> {
        let blocks: Box<dyn Blocks> = match kind {
            Kind::Qcow2 => Box::new(qcow2::read(&image, below.is_some())?),
            Kind::Vdi => Box::new(vdi::read(&image)?),
            Kind::Vmdk => Box::new(vmdk::read(&image)?),
            Kind::Vhd => Box::new(vhd::read(&image)?),
            Kind::Vhdx => Box::new(vhdx::read(&image)?),
            Kind::Parallels => Box::new(parallels::read(&image)?),
        };
        Ok(Reader { image, blocks, kind, below, unpacked: Mutex::new((NOTHING_UNPACKED, Vec::new())) })
    }

    /// Returns the format.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the disk's size.
    pub fn size(&self) -> u64 {
        self.blocks.size()
    }

    /// Returns lines that describe the file: what its headers say.
    pub fn describe(&self) -> Vec<String> {
        self.blocks.describe()
    }

    /// Returns where the disk may have data, as ascending ranges: whole blocks, up to the disk's end. Neighbours are
    /// one range.
    pub fn data(&self) -> Result<Vec<Range<u64>>, ReadError> {
        let (size, block_len) = (self.size(), self.blocks.block_len());
        let n_blocks = size.div_ceil(block_len);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut block = 0;
        // What is stored as it is is in the file, once for each block. Of the last one the end may be missing.
        let mut left = self.image.size().saturating_add(block_len);
        while block < n_blocks {
            let skipped = if self.below.is_some() { 0 } else { self.blocks.skip(&self.image, block)? };
            if skipped > 0 {
                block = block.saturating_add(skipped);
                continue;
            }
            let place = self.blocks.place(&self.image, block)?;
            if let Place::At(_) = place {
                let Some(rest) = left.checked_sub(block_len) else {
                    return corrupt("the table of blocks", "many blocks are at the same place");
                };
                left = rest;
            }
            if place != Place::Zero {
                // The disk's size fits, and so does what is below it.
                let (start, end) = (block * block_len, size.min((block + 1).saturating_mul(block_len)));
                match ranges.last_mut().filter(|last| last.end == start) {
                    Some(last) => last.end = end,
                    None => ranges.push(start..end),
                }
            }
            block += 1;
        }
        Ok(ranges)
    }

    /// Returns the start of the next block at or after `offset` that may have data; the disk's size if there is none.
    fn next_data(&self, offset: u64) -> Result<u64, ReadError> {
        if self.below.is_some() {
            return Ok(offset);
        }
        let (size, block_len) = (self.size(), self.blocks.block_len());
        let n_blocks = size.div_ceil(block_len);
        let mut block = offset / block_len;
        while block < n_blocks {
            let skipped = match self.blocks.skip(&self.image, block)? {
                0 if self.blocks.place(&self.image, block)? != Place::Zero => break,
                skipped => skipped.max(1),
            };
            block = block.saturating_add(skipped);
        }
        Ok(block.saturating_mul(block_len).min(size).max(offset))
    }

    /// Returns the disk as something to write or convert.
    pub fn contents(&self) -> Result<Contents<'_>, ReadError> {
        Ok(Contents::new(self, self.size(), self.data()?))
    }

    /// Fills the buffer with what is at `offset` of the disk, all of which is on it.
    pub fn read(&self, mut offset: u64, mut buffer: &mut [u8]) -> Result<(), ReadError> {
        let block_len = self.blocks.block_len();
        while !buffer.is_empty() {
            let (block, within) = (offset / block_len, offset % block_len);
            let length = buffer.len().min(usize::try_from(block_len - within).unwrap_or(usize::MAX));
            let (part, rest) = buffer.split_at_mut(length);
            match self.blocks.place(&self.image, block)? {
                Place::Zero => part.fill(0),
                Place::Below => self.read_below(offset, part)?,
                Place::At(start) => self.image.read("a block", start.saturating_add(within), part)?,
                // Whoever reads whole blocks, as those who convert do, needs none to be kept.
                Place::Packed(start, packed_len, compression)
                    if within == 0 && length as u64 == self.needed(block) =>
                {
                    self.unpack((start, packed_len, compression), part)?;
                }
                Place::Packed(start, packed_len, compression) => {
                    let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
                    if unpacked.0 != block {
                        unpacked.0 = NOTHING_UNPACKED;
                        unpacked.1.clear();
                        unpacked.1.resize(block_len as usize, 0);
                        let needed = self.needed(block) as usize;
                        self.unpack((start, packed_len, compression), &mut unpacked.1[..needed])?;
                        unpacked.0 = block;
                    }
                    // It has a whole block.
                    part.copy_from_slice(&unpacked.1[within as usize..within as usize + length]);
                }
            }
            offset = offset.saturating_add(length as u64);
            buffer = rest;
        }
        Ok(())
    }

    /// Returns how much of a block is on the disk: the last one may have less than the others.
    fn needed(&self, block: u64) -> u64 {
        let block_len = self.blocks.block_len();
        block_len.min(self.size().saturating_sub(block.saturating_mul(block_len)))
    }

    /// Fills `part` with the beginning of a compressed block.
    fn unpack(
        &self,
        (start, packed_len, compression): (u64, u64, Compression),
        part: &mut [u8],
    ) -> Result<(), ReadError> {
        // What others wrote may say that the last one is longer than the file.
        let packed_len = packed_len.min(self.image.size().saturating_sub(start));
        let packed = self.image.bytes("a compressed block", start, packed_len)?;
        if unpack(compression, &packed, part) != Some(part.len()) {
            let needed = part.len();
            return corrupt(
                "a compressed block",
                format!("the one at {start} does not unpack to {needed} bytes"),
            );
        }
        Ok(())
    }

    fn read_below(&self, offset: u64, part: &mut [u8]) -> Result<(), ReadError> {
        part.fill(0);
        let Some(below) = &self.below else { return Ok(()) };
        let failed = |source| ReadError::Io { offset, length: part.len(), source };
        let there = below.size().map_err(failed)?.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(part.len());
        let length = part.len();
        below.read_exact_at(&mut part[..there], offset).map_err(|source| ReadError::Io {
            offset,
            length,
            source,
        })
    }
}

impl ReadAt for Reader<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let there = Reader::size(self).saturating_sub(offset);
        let length = usize::try_from(there).unwrap_or(usize::MAX).min(buffer.len());
        self.read(offset, &mut buffer[..length])?;
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(Reader::size(self))
    }

    fn next_data(&self, offset: u64) -> io::Result<u64> {
        Ok(Reader::next_data(self, offset)?)
    }
}

/// Returns the format of a file by what it begins with, or ends.
pub fn recognize_file(bytes: &dyn ReadAt) -> Result<Option<Kind>, ReadError> {
    recognize(&Image::new(Box::new(Borrowed(bytes)))?)
}

struct Borrowed<'a>(&'a dyn ReadAt);

impl ReadAt for Borrowed<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

fn recognize(image: &Image<'_>) -> Result<Option<Kind>, ReadError> {
    let start: [u8; 512] = image.start()?;
    let kind = match () {
        () if start.starts_with(qcow2::MAGIC) => Some(Kind::Qcow2),
        () if start[64..].starts_with(vdi::MAGIC) => Some(Kind::Vdi),
        () if start.starts_with(vmdk::MAGIC) => Some(Kind::Vmdk),
        () if start.starts_with(vhdx::MAGIC) => Some(Kind::Vhdx),
        () if parallels::MAGICS.iter().any(|magic| start.starts_with(magic)) => Some(Kind::Parallels),
        () if start.starts_with(vhd::MAGIC) => Some(Kind::Vhd),
        // A fixed one has nothing but a footer.
        () if image.size() >= 512 => {
            let end: [u8; 512] = image.array("the footer", image.size() - 512)?;
            end.starts_with(vhd::MAGIC).then_some(Kind::Vhd)
        }
        () => None,
    };
    Ok(kind)
}
