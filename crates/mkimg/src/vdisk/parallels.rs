//! Parallels' expanding disks (`docs/interop/parallels.txt` of QEMU). Numbers are little-endian.
//!
//! A header, the table of blocks of 1 MiB, and the blocks in the order of the disk. Parallels Desktop wants such a file
//! in a directory, with a `DiskDescriptor.xml` that says what it is.

use super::error::{ReadError, WriteError, corrupt, unsupported};
use super::file::Image;
use super::read::{Blocks, Place};
use super::stream::{Block, How, blocks};
use super::table::{Table, UNUSED};
use super::{Contents, SECTOR, put};
use crate::GapSink;
use crate::bytes::{get_u32, get_u64};
use crate::disk::Guid;

const NAME: &str = "Parallels";
/// The first counts blocks in its table, the older one sectors.
pub(super) const MAGICS: [&[u8]; 2] = [b"WithouFreSpacExt", b"WithoutFreeSpace"];
const VERSION: u32 = 2;
const HEADER_LEN: usize = 64;
const BLOCK: u64 = 1 << 20;
const HEADS: u64 = 16;
const PER_TRACK: u64 = 32;
/// Numbers of blocks have 32 bits; QEMU reads tables of up to 2 GiB.
const MOST: u64 = (i32::MAX as u64 / 4) * BLOCK;
/// The image that nothing was added to (prl-disk-tool).
const BASE: &str = "{5fbaabe3-6958-40ff-92a7-860e329aab41}";
const NOTHING: &str = "{00000000-0000-0000-0000-000000000000}";

/// Returns the name of the file with the data in the bundle of the disk `name`.
pub fn data_name(name: &str) -> String {
    format!("{name}.0.{BASE}.hds")
}

/// Writes the disk as an expanding one into `sink`. Its size is rounded up to whole sectors of 512 bytes.
pub fn write(contents: &Contents<'_>, n_threads: usize, sink: &mut dyn GapSink) -> Result<(), WriteError> {
    let contents = contents.grown(contents.size().next_multiple_of(SECTOR));
    let size = contents.size();
    match size {
        0 => return Err(WriteError::Empty),
        _ if size > MOST => return Err(WriteError::TooLarge { format: NAME, most: MOST, size }),
        _ => {}
    }
    let n_blocks = size.div_ceil(BLOCK);
    let mut table = vec![0_u32; n_blocks as usize];
    let data_at = (HEADER_LEN as u64 + n_blocks * 4).next_multiple_of(BLOCK);
    let mut next = data_at;
    let how = How::plain(BLOCK, n_threads);
    blocks(&contents, &how, |number, block| {
        let Block::Plain(plain) = block else { return Ok(()) };
        // The file has hardly more blocks than the disk.
        table[number as usize] = (next / BLOCK) as u32;
        plain.put(next, sink)?;
        next += BLOCK;
        Ok(())
    })?;
    sink.zeros(next, 0)?;
    let sectors = size / SECTOR;
    let mut header = [0; HEADER_LEN];
    put(&mut header, 0, MAGICS[0]);
    put(&mut header, 16, &VERSION.to_le_bytes());
    put(&mut header, 20, &(HEADS as u32).to_le_bytes());
    put(&mut header, 24, &cylinders(sectors).to_le_bytes());
    put(&mut header, 28, &((BLOCK / SECTOR) as u32).to_le_bytes());
    put(&mut header, 32, &(n_blocks as u32).to_le_bytes());
    put(&mut header, 36, &sectors.to_le_bytes());
    put(&mut header, 48, &((data_at / SECTOR) as u32).to_le_bytes());
    let table: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    sink.fill_gap(HEADER_LEN as u64, &table)?;
    sink.fill_gap(0, &header)?;
    Ok(())
}

fn cylinders(sectors: u64) -> u32 {
    u32::try_from(sectors / (HEADS * PER_TRACK)).unwrap_or(u32::MAX)
}

/// Returns the `DiskDescriptor.xml` of a disk of `size` bytes.
pub fn descriptor(name: &str, size: u64, uuid: Guid) -> String {
    let sectors = size.div_ceil(SECTOR);
    let name = escaped(name);
    let file = data_name(&name);
    let cylinders = cylinders(sectors);
    let block = BLOCK / SECTOR;
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>
<Parallels_disk_image Version=\"1.0\">
    <Disk_Parameters>
        <Disk_size>{sectors}</Disk_size>
        <Cylinders>{cylinders}</Cylinders>
        <PhysicalSectorSize>4096</PhysicalSectorSize>
        <LogicSectorSize>512</LogicSectorSize>
        <Heads>{HEADS}</Heads>
        <Sectors>{PER_TRACK}</Sectors>
        <Padding>0</Padding>
        <Encryption>
            <Engine>{NOTHING}</Engine>
            <Data></Data>
        </Encryption>
        <UID>{{{uuid}}}</UID>
        <Name>{name}</Name>
        <Miscellaneous>
            <CompatLevel>level2</CompatLevel>
            <Bootable>1</Bootable>
            <SuspendState>0</SuspendState>
        </Miscellaneous>
    </Disk_Parameters>
    <StorageData>
        <Storage>
            <Start>0</Start>
            <End>{sectors}</End>
            <Blocksize>{block}</Blocksize>
            <Image>
                <GUID>{BASE}</GUID>
                <Type>Compressed</Type>
                <File>{file}</File>
            </Image>
        </Storage>
    </StorageData>
    <Snapshots>
        <Shot>
            <GUID>{BASE}</GUID>
            <ParentGUID>{NOTHING}</ParentGUID>
        </Shot>
    </Snapshots>
</Parallels_disk_image>
"
    )
}

/// Returns the text as XML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What such a file says of its disk.
pub(super) struct Parallels {
    size: u64,
    table: Table,
}

pub(super) fn read(image: &Image<'_>) -> Result<Parallels, ReadError> {
    let what = "the header";
    let header: [u8; HEADER_LEN] = image.start()?;
    let Some(magic) = MAGICS.iter().position(|magic| header.starts_with(magic)) else {
        return Err(ReadError::Other { format: NAME });
    };
    image.check(what, 0, HEADER_LEN as u64)?;
    if get_u32(&header, 16) != VERSION {
        return unsupported(format!("version {}", get_u32(&header, 16)));
    }
    let block_len = u64::from(get_u32(&header, 28)) * SECTOR;
    let unit = if magic == 0 { block_len } else { SECTOR };
    let n_blocks = u64::from(get_u32(&header, 32));
    // The older one has 32 bits for it.
    let sectors = if magic == 0 { get_u64(&header, 36) } else { get_u32(&header, 36).into() };
    if !block_len.is_power_of_two() {
        return corrupt(what, format!("blocks cannot have {block_len} bytes"));
    }
    let size = sectors.saturating_mul(SECTOR);
    let needed = size.div_ceil(block_len);
    if sectors == 0 || needed > n_blocks {
        return corrupt(what, format!("{n_blocks} blocks of {block_len} bytes are not enough for {size}"));
    }
    let entries = image.table("the table of blocks", HEADER_LEN as u64, needed * 4)?;
    let offsets = entries.chunks_exact(4).map(|entry| match get_u32(entry, 0) {
        0 => Some(UNUSED),
        number => u64::from(number).checked_mul(unit),
    });
    match offsets.collect() {
        Some(offsets) => Ok(Parallels { size, table: Table::new(image, block_len, offsets)? }),
        None => corrupt(what, "a block lies where no file ends".to_owned()),
    }
}

impl Blocks for Parallels {
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
        vec![format!(
            "Parallels 2, expanding, {} bytes, {} of {} blocks of {}",
            self.size,
            self.table.n_used(),
            self.table.n_blocks(),
            self.table.block_len()
        )]
    }
}
