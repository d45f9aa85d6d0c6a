//! Microsoft's VHD (Virtual Hard Disk Image Format Specification 1.0). Numbers are big-endian.
//!
//! A fixed one is the disk itself with a footer behind it. A dynamic one begins with a copy of the footer, the header
//! and the table of blocks of 2 MiB, each of which has a bitmap of its sectors in front. Its data begin at multiples
//! of 4 KiB of the file, for which the specification leaves room.
//!
//! Old programs take the size from the geometry, which cannot say every size. Which one is meant is told by who made
//! the file; we say that Hyper-V did, and that takes the size as it is.

use super::error::{ReadError, WriteError, corrupt, unsupported};
use super::file::Image;
use super::read::{Blocks, Place};
use super::stream::{Block, How, blocks};
use super::table::{Table, UNUSED};
use super::{Contents, SECTOR, be_u16, be_u32, be_u64, geometry, put};
use crate::GapSink;

const NAME: &str = "VHD";
pub(super) const MAGIC: &[u8] = b"conectix";
const HEADER_MAGIC: &[u8] = b"cxsparse";
const FOOTER_LEN: usize = 512;
const HEADER_LEN: usize = 1024;
const VERSION: u32 = 0x0001_0000;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const NOWHERE: u32 = u32::MAX;
const TABLE_AT: u64 = (FOOTER_LEN + HEADER_LEN) as u64;
const BLOCK: u64 = 2 << 20;
/// A bit for each sector of a block.
const BITMAP: u64 = BLOCK / SECTOR / 8;
/// What data are aligned to.
const ALIGN: u64 = 4096;
/// What is read and looked at at once.
const PIECE: u64 = 1 << 20;
/// The most that Hyper-V takes: 2040 GiB.
const MOST: u64 = 2040 << 30;
/// 2000-01-01, from where times are counted, in seconds since 1970.
const YEAR_2000: u64 = 946_684_800;

/// How a VHD is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether it is the whole disk with a footer. What is zero is a hole there.
    pub fixed: bool,
    /// The image's UUID, as it is stored.
    pub uuid: [u8; 16],
    /// When it was made, in seconds since 1970; not before 2000.
    pub epoch: u64,
}

/// Writes the disk as a VHD into `sink`. Its size is rounded up to whole sectors of 512 bytes.
pub fn write(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    let contents = contents.grown(contents.size().next_multiple_of(SECTOR));
    match contents.size() {
        0 => return Err(WriteError::Empty),
        size if size > MOST => return Err(WriteError::TooLarge { format: NAME, most: MOST, size }),
        _ => {}
    }
    let footer = footer(contents.size(), options);
    let how = How::plain(PIECE, n_threads);
    if options.fixed {
        let size = contents.size();
        blocks(&contents, &how, |number, block| {
            let Block::Plain(plain) = block else { return Ok(()) };
            Ok(plain.put_before(size, number * PIECE, sink)?)
        })?;
        return Ok(sink.data(size, &footer)?);
    }
    let n_blocks = contents.size().div_ceil(BLOCK);
    let table_len = (n_blocks * 4).next_multiple_of(SECTOR);
    let mut table = vec![NOWHERE; table_len as usize / 4];
    // Where the next block's bitmap ends.
    let mut next = (TABLE_AT + table_len + BITMAP).next_multiple_of(ALIGN);
    let mut current = None;
    let mut end = TABLE_AT + table_len;
    blocks(&contents, &how, |number, block| {
        let Block::Plain(plain) = block else { return Ok(()) };
        let (block, within) = (number * PIECE / BLOCK, number * PIECE % BLOCK);
        let start = match current {
            Some((same, start)) if same == block => start,
            _ => {
                let start = next;
                // The file is far below 2^32 sectors.
                table[block as usize] = ((start - BITMAP) / SECTOR) as u32;
                sink.data(start - BITMAP, &[0xff; BITMAP as usize])?;
                next = (start + BLOCK + BITMAP).next_multiple_of(ALIGN);
                end = start + BLOCK;
                current = Some((block, start));
                start
            }
        };
        Ok(plain.put(start + within, sink)?)
    })?;
    sink.data(end, &footer)?;
    let table: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
    sink.fill_gap(TABLE_AT, &table)?;
    sink.fill_gap(FOOTER_LEN as u64, &header(n_blocks))?;
    sink.fill_gap(0, &footer)?;
    Ok(())
}

fn footer(size: u64, options: &Options) -> [u8; FOOTER_LEN] {
    let mut footer = [0; FOOTER_LEN];
    let time = u32::try_from(options.epoch.saturating_sub(YEAR_2000)).unwrap_or(u32::MAX);
    let (cylinders, heads, sectors) = geometry(size);
    put(&mut footer, 0, MAGIC);
    // A bit that is always set.
    put(&mut footer, 8, &2_u32.to_be_bytes());
    put(&mut footer, 12, &VERSION.to_be_bytes());
    let header_at = if options.fixed { u64::MAX } else { FOOTER_LEN as u64 };
    put(&mut footer, 16, &header_at.to_be_bytes());
    put(&mut footer, 24, &time.to_be_bytes());
    put(&mut footer, 28, b"win ");
    put(&mut footer, 32, &0x0006_0001_u32.to_be_bytes());
    put(&mut footer, 36, b"Wi2k");
    put(&mut footer, 40, &size.to_be_bytes());
    put(&mut footer, 48, &size.to_be_bytes());
    put(&mut footer, 56, &cylinders.to_be_bytes());
    (footer[58], footer[59]) = (heads, sectors);
    put(&mut footer, 60, &(if options.fixed { FIXED } else { DYNAMIC }).to_be_bytes());
    put(&mut footer, 68, &options.uuid);
    let sum = checksum(&footer, 64);
    put(&mut footer, 64, &sum.to_be_bytes());
    footer
}

fn header(n_blocks: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    put(&mut header, 0, HEADER_MAGIC);
    put(&mut header, 8, &u64::MAX.to_be_bytes());
    put(&mut header, 16, &TABLE_AT.to_be_bytes());
    put(&mut header, 24, &VERSION.to_be_bytes());
    put(&mut header, 28, &(n_blocks as u32).to_be_bytes());
    put(&mut header, 32, &(BLOCK as u32).to_be_bytes());
    let sum = checksum(&header, 36);
    put(&mut header, 36, &sum.to_be_bytes());
    header
}

/// Returns the one's complement of the sum of all bytes but the four at `at`.
fn checksum(bytes: &[u8], at: usize) -> u32 {
    let others = bytes[..at].iter().chain(&bytes[at + 4..]);
    !others.map(|byte| u32::from(*byte)).fold(0, u32::wrapping_add)
}

/// What a VHD says of its disk.
pub(super) struct Vhd {
    size: u64,
    /// Where blocks are; none are listed if the disk is all there.
    table: Option<Table>,
    uuid: [u8; 16],
    time: u32,
}

pub(super) fn read(image: &Image<'_>) -> Result<Vhd, ReadError> {
    let what = "the footer";
    if image.size() < FOOTER_LEN as u64 {
        return Err(ReadError::Other { format: NAME });
    }
    let last: [u8; FOOTER_LEN] = image.array(what, image.size() - FOOTER_LEN as u64)?;
    let first: [u8; FOOTER_LEN] = image.array(what, 0)?;
    if !last.starts_with(MAGIC) {
        return match first.starts_with(MAGIC) {
            true => corrupt(what, "there is none at the end: the file is cut off"),
            false => Err(ReadError::Other { format: NAME }),
        };
    }
    let footer = last;
    if be_u32(&footer, 64) != checksum(&footer, 64) {
        return corrupt(what, "its checksum is wrong");
    }
    if be_u32(&footer, 12) != VERSION {
        return unsupported(format!("version {:#x}", be_u32(&footer, 12)));
    }
    let size = size(&footer);
    let table = match be_u32(&footer, 60) {
        FIXED => {
            let there = image.size() - FOOTER_LEN as u64;
            if size > there {
                return corrupt(what, format!("it says {size} bytes, and there are {there}"));
            }
            None
        }
        DYNAMIC => Some(table(image, &footer, &first, size)?),
        4 => return unsupported("only what differs from another disk"),
        kind => return unsupported(format!("type {kind}")),
    };
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&footer[68..84]);
    Ok(Vhd { size, table, uuid, time: be_u32(&footer, 24) })
}

/// Returns the disk's size, which old programs have from the geometry.
fn size(footer: &[u8]) -> u64 {
    let (cylinders, heads, sectors) = (be_u16(footer, 56), footer[58], footer[59]);
    let by_geometry = u64::from(cylinders) * u64::from(heads) * u64::from(sectors) * SECTOR;
    let is_old = [b"vpc ", b"qemu"].iter().any(|maker| footer[28..].starts_with(*maker));
    let is_most = (cylinders, heads, sectors) == (65535, 16, 255);
    if is_old && !is_most { by_geometry } else { be_u64(footer, 48) }
}

fn table(image: &Image<'_>, footer: &[u8], first: &[u8], size: u64) -> Result<Table, ReadError> {
    if footer != first {
        return corrupt("the copy of the footer", "it differs from the footer");
    }
    let what = "the header";
    let header: [u8; HEADER_LEN] = image.array(what, be_u64(footer, 16))?;
    if !header.starts_with(HEADER_MAGIC) || be_u32(&header, 36) != checksum(&header, 36) {
        return corrupt(what, "its mark or its checksum is wrong");
    }
    let (n_blocks, block_len) = (u64::from(be_u32(&header, 28)), u64::from(be_u32(&header, 32)));
    if !block_len.is_power_of_two() || block_len < SECTOR {
        return corrupt(what, format!("blocks cannot have {block_len} bytes"));
    }
    let needed = size.div_ceil(block_len);
    if needed > n_blocks {
        return corrupt(what, format!("{n_blocks} blocks of {block_len} bytes are not enough for {size}"));
    }
    let bitmap = (block_len / SECTOR / 8).next_multiple_of(SECTOR);
    let entries = image.table("the table of blocks", be_u64(&header, 16), needed * 4)?;
    // What no sector of was written to is zero in the file, too, whatever the bitmap says.
    let offsets = entries.chunks_exact(4).map(|entry| match be_u32(entry, 0) {
        NOWHERE => UNUSED,
        sector => u64::from(sector) * SECTOR + bitmap,
    });
    Table::new(image, block_len, offsets.collect())
}

impl Blocks for Vhd {
    fn size(&self) -> u64 {
        self.size
    }

    fn block_len(&self) -> u64 {
        self.table.as_ref().map_or(PIECE, Table::block_len)
    }

    fn place(&self, _: &Image<'_>, block: u64) -> Result<Place, ReadError> {
        Ok(match &self.table {
            Some(table) => table.place(block),
            None => Place::At(block * PIECE),
        })
    }

    fn describe(&self) -> Vec<String> {
        let kind = match &self.table {
            Some(table) => {
                format!("dynamic, {} of {} blocks of {}", table.n_used(), table.n_blocks(), table.block_len())
            }
            None => "fixed".to_owned(),
        };
        let uuid: String = self.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        let time = u64::from(self.time) + YEAR_2000;
        vec![format!("VHD 1.0, {} bytes, {kind}, {uuid}, made {time}", self.size)]
    }
}
