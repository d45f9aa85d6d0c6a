//! VirtualBox' VDI (`Storage/VDICore.h` of VirtualBox). Numbers are little-endian.
//!
//! A header, the map of blocks of 1 MiB, and the blocks in the order of the disk. In a fixed image all of them are there.

use super::error::{ReadError, WriteError, corrupt, unsupported};
use super::file::Image;
use super::read::{Blocks, Place};
use super::stream::{Block, How, blocks};
use super::table::{Table, UNUSED};
use super::{Contents, SECTOR, derived, put};
use crate::GapSink;
use crate::bytes::{get_u32, get_u64};

const NAME: &str = "VDI";
/// At offset 64.
pub(super) const MAGIC: &[u8] = &[0x7f, 0x10, 0xda, 0xbe];
const TEXT: &[u8] = b"<<< Oracle VM VirtualBox Disk Image >>>\n";
const VERSION: u32 = 0x0001_0001;
/// From the field that has it to the end of the geometry.
const HEADER_LEN: u32 = 400;
const DYNAMIC: u32 = 1;
const FIXED: u32 = 2;
const MAP_AT: u64 = 512;
const BLOCK: u64 = 1 << 20;
/// The most blocks that QEMU reads.
const MOST_BLOCKS: u64 = 0x3fff_ffff;

/// How a VDI is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether every block has its place in the file from the start. What is zero is a hole there.
    pub fixed: bool,
    /// The image's UUID, as it is stored.
    pub uuid: [u8; 16],
}

/// Writes the disk as a VDI into `sink`. Its size is rounded up to whole sectors of 512 bytes.
pub fn write(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    let contents = contents.grown(contents.size().next_multiple_of(SECTOR));
    let size = contents.size();
    let n_blocks = size.div_ceil(BLOCK);
    if size == 0 {
        return Err(WriteError::Empty);
    }
    if n_blocks > MOST_BLOCKS {
        return Err(WriteError::TooLarge { format: NAME, most: MOST_BLOCKS * BLOCK, size });
    }
    let data_at = (MAP_AT + n_blocks * 4).next_multiple_of(BLOCK);
    let mut map: Vec<u32> = match options.fixed {
        true => (0..n_blocks as u32).collect(),
        false => vec![u32::MAX; n_blocks as usize],
    };
    let mut n_stored = if options.fixed { n_blocks } else { 0 };
    let mut end = data_at;
    let how = How::plain(BLOCK, n_threads);
    blocks(&contents, &how, |number, block| {
        let Block::Plain(plain) = block else { return Ok(()) };
        if !options.fixed {
            // Not more blocks than the map has entries.
            map[number as usize] = n_stored as u32;
            n_stored += 1;
        }
        let at = data_at + u64::from(map[number as usize]) * BLOCK;
        plain.put(at, sink)?;
        end = at + BLOCK;
        Ok(())
    })?;
    sink.zeros(end, data_at + n_stored * BLOCK - end)?;

    let mut header = [0; MAP_AT as usize];
    put(&mut header, 0, TEXT);
    put(&mut header, 64, MAGIC);
    put(&mut header, 68, &VERSION.to_le_bytes());
    put(&mut header, 72, &HEADER_LEN.to_le_bytes());
    put(&mut header, 76, &(if options.fixed { FIXED } else { DYNAMIC }).to_le_bytes());
    put(&mut header, 340, &(MAP_AT as u32).to_le_bytes());
    // The map is at most 4 GiB large, without what is rounded up.
    let Ok(data_at) = u32::try_from(data_at) else {
        return Err(WriteError::TooLarge { format: NAME, most: (MOST_BLOCKS - (1 << 18)) * BLOCK, size });
    };
    put(&mut header, 344, &data_at.to_le_bytes());
    put(&mut header, 360, &(SECTOR as u32).to_le_bytes());
    put(&mut header, 368, &size.to_le_bytes());
    put(&mut header, 376, &(BLOCK as u32).to_le_bytes());
    put(&mut header, 384, &(n_blocks as u32).to_le_bytes());
    put(&mut header, 388, &(n_stored as u32).to_le_bytes());
    put(&mut header, 392, &options.uuid);
    put(&mut header, 408, &derived(&options.uuid, "modification"));
    put(&mut header, 468, &(SECTOR as u32).to_le_bytes());
    let map: Vec<u8> = map.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    sink.fill_gap(MAP_AT, &map)?;
    sink.fill_gap(0, &header)?;
    Ok(())
}

/// What a VDI says of its disk.
pub(super) struct Vdi {
    kind: u32,
    size: u64,
    table: Table,
    uuid: [u8; 16],
}

pub(super) fn read(image: &Image<'_>) -> Result<Vdi, ReadError> {
    let what = "the header";
    let header: [u8; MAP_AT as usize] = image.start()?;
    if !header[64..].starts_with(MAGIC) {
        return Err(ReadError::Other { format: NAME });
    }
    image.check(what, 0, 456)?;
    if get_u32(&header, 68) != VERSION {
        return unsupported(format!("version {:#x}", get_u32(&header, 68)));
    }
    let kind = get_u32(&header, 76);
    if ![DYNAMIC, FIXED].contains(&kind) {
        return unsupported(format!("type {kind}"));
    }
    let (size, block_len, extra) = (get_u64(&header, 368), get_u32(&header, 376), get_u32(&header, 380));
    let n_blocks = u64::from(get_u32(&header, 384));
    if !block_len.is_power_of_two() || u64::from(block_len) < SECTOR || extra != 0 {
        return unsupported(format!("blocks of {block_len} and {extra} bytes"));
    }
    if size == 0 || size.div_ceil(block_len.into()) > n_blocks {
        return corrupt(what, format!("{n_blocks} blocks of {block_len} bytes are not enough for {size}"));
    }
    let (map_at, data_at) = (u64::from(get_u32(&header, 340)), u64::from(get_u32(&header, 344)));
    let map = image.table("the map of blocks", map_at, size.div_ceil(block_len.into()) * 4)?;
    let offsets = map.chunks_exact(4).map(|entry| match get_u32(entry, 0) {
        // Not there, and zero.
        0xffff_fffe.. => UNUSED,
        number => data_at + u64::from(number) * u64::from(block_len),
    });
    let table = Table::new(image, block_len.into(), offsets.collect())?;
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&header[392..408]);
    Ok(Vdi { kind, size, table, uuid })
}

impl Blocks for Vdi {
    fn size(&self) -> u64 {
        self.size
    }

    fn block_len(&self) -> u64 {
        self.table.block_len()
    }

    fn place(&self, _: &Image<'_>, block: u64) -> Result<Place, ReadError> {
        Ok(self.table.place(block))
    }

    fn describe(&self) -> Vec<String> {
        let kind = if self.kind == FIXED { "fixed" } else { "dynamic" };
        let guid = crate::disk::Guid(self.uuid);
        vec![format!(
            "VDI 1.1, {kind}, {} bytes, {} of {} blocks of {}, {guid}",
            self.size,
            self.table.n_used(),
            self.table.n_blocks(),
            self.table.block_len()
        )]
    }
}
