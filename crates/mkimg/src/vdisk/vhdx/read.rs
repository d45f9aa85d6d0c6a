//! Reading a VHDX.

use super::MAGIC;
use super::format::{
    BAT, BLOCK_SIZES, DISK_ID, DISK_SIZE, ENTRY_LEN, FILE_PARAMETERS, HEADER_LEN, HEADER_MAGIC, HEADERS,
    LOGICAL_SECTOR, METADATA, METADATA_MAGIC, METADATA_TABLE, MIB, MOST, NAME, PRESENT, REGIONS, REGIONS_LEN,
    REGIONS_MAGIC, chunk, entries,
};
use crate::bytes::{get_u16, get_u32, get_u64};
use crate::disk::Guid;
use crate::vdisk::error::{ReadError, corrupt, unsupported};
use crate::vdisk::file::Image;
use crate::vdisk::put;
use crate::vdisk::read::{Blocks, Place};
use crate::vdisk::table::{Table, UNUSED};

/// The most entries of the table of regions, and of that of metadata (MS-VHDX 2.2.3, 2.6.1.1).
const MOST_ENTRIES: usize = 2047;
const HAS_PARENT: u32 = 1 << 1;

/// What a VHDX says of its disk.
pub(in crate::vdisk) struct Vhdx {
    size: u64,
    sector_size: u32,
    table: Table,
    id: Guid,
}

pub(in crate::vdisk) fn read(image: &Image<'_>) -> Result<Vhdx, ReadError> {
    let start: [u8; 8] = image.start()?;
    if start != MAGIC {
        return Err(ReadError::Other { format: NAME });
    }
    check_headers(image)?;
    let regions = Regions::read(image)?;
    let (metadata_at, metadata_len) = regions.metadata;
    let metadata = Items::read(image, metadata_at, metadata_len)?;
    let parameters: [u8; 8] = metadata.get(image, FILE_PARAMETERS, "the size of a block")?;
    let size = u64::from_le_bytes(metadata.get(image, DISK_SIZE, "the disk's size")?);
    let sector_size = u32::from_le_bytes(metadata.get(image, LOGICAL_SECTOR, "the size of a sector")?);
    let id = Guid(metadata.get(image, DISK_ID, "the disk's GUID")?);
    let block_size = u64::from(get_u32(&parameters, 0));
    if get_u32(&parameters, 4) & HAS_PARENT != 0 {
        return unsupported("only what differs from another disk");
    }
    let what = "the metadata";
    if !block_size.is_power_of_two() || !BLOCK_SIZES.contains(&block_size) {
        return corrupt(what, format!("blocks cannot have {block_size} bytes"));
    }
    if ![512, 4096].contains(&sector_size) || size == 0 || size > MOST {
        return corrupt(what, format!("a disk cannot have {size} bytes in sectors of {sector_size}"));
    }
    let (n_blocks, chunk) = (size.div_ceil(block_size), chunk(sector_size.into(), block_size));
    let what = "the table of blocks";
    let length = entries(n_blocks, chunk) * 8;
    if length > regions.bat.1 {
        return corrupt(what, format!("it has {} bytes where the disk needs {length}", regions.bat.1));
    }
    let bat = image.table(what, regions.bat.0, length)?;
    let mut offsets = Vec::with_capacity(n_blocks as usize);
    for (number, entry) in bat.chunks_exact(8).map(|entry| get_u64(entry, 0)).enumerate() {
        // The entry of a bitmap, which only disks over others have.
        if (number as u64 + 1).is_multiple_of(chunk + 1) {
            continue;
        }
        offsets.push(match entry & 7 {
            // Not there, never written, zero, given back: all of it reads as zeros.
            0..=3 => UNUSED,
            PRESENT => entry & !(MIB - 1),
            state => return unsupported(format!("a block in state {state}")),
        });
    }
    Ok(Vhdx { size, sector_size, table: Table::new(image, block_size, offsets)?, id })
}

/// Checks that one of the headers is right, and that nothing is in the log.
fn check_headers(image: &Image<'_>) -> Result<(), ReadError> {
    let what = "the header";
    let mut newest: Option<[u8; HEADER_LEN]> = None;
    for at in HEADERS {
        let header: [u8; HEADER_LEN] = image.array(what, at)?;
        let mut unsummed = header;
        put(&mut unsummed, 4, &[0; 4]);
        let is_right = header.starts_with(HEADER_MAGIC) && get_u32(&header, 4) == crc32c::crc32c(&unsummed);
        let is_newer = |newest: &[u8; HEADER_LEN]| get_u64(&header, 8) > get_u64(newest, 8);
        if is_right && newest.as_ref().is_none_or(is_newer) {
            newest = Some(header);
        }
    }
    let Some(header) = newest else { return corrupt(what, "the checksums of both are wrong") };
    if get_u16(&header, 66) != 1 {
        return unsupported(format!("version {}", get_u16(&header, 66)));
    }
    if header[48..64] != [0; 16] {
        return unsupported("a log of what was not finished");
    }
    Ok(())
}

/// Where the regions are, with their lengths.
struct Regions {
    bat: (u64, u64),
    metadata: (u64, u64),
}

impl Regions {
    fn read(image: &Image<'_>) -> Result<Regions, ReadError> {
        let what = "the table of regions";
        for at in REGIONS {
            let regions = image.bytes(what, at, REGIONS_LEN as u64)?;
            let mut unsummed = regions.clone();
            put(&mut unsummed, 4, &[0; 4]);
            if !regions.starts_with(REGIONS_MAGIC) || get_u32(&regions, 4) != crc32c::crc32c(&unsummed) {
                continue;
            }
            let (mut bat, mut metadata) = (None, None);
            let count = get_u32(&regions, 8) as usize;
            for entry in regions[16..].chunks_exact(ENTRY_LEN).take(count.min(MOST_ENTRIES)) {
                let region = Some((get_u64(entry, 16), u64::from(get_u32(entry, 24))));
                match entry {
                    _ if entry.starts_with(&BAT.0) => bat = region,
                    _ if entry.starts_with(&METADATA.0) => metadata = region,
                    _ if get_u32(entry, 28) & 1 != 0 => return unsupported("a region that is not known"),
                    _ => {}
                }
            }
            return match (bat, metadata) {
                (Some(bat), Some(metadata)) => Ok(Regions { bat, metadata }),
                _ => corrupt(what, "it lacks the table of blocks, or the metadata"),
            };
        }
        corrupt(what, "the checksums of both are wrong")
    }
}

/// The items of the metadata: the GUID, the offset in the file and the length of each.
struct Items(Vec<(Guid, u64, u32)>);

impl Items {
    fn read(image: &Image<'_>, at: u64, length: u64) -> Result<Items, ReadError> {
        let what = "the metadata";
        if length < METADATA_TABLE as u64 {
            return corrupt(what, "there is no room for a table");
        }
        let table = image.bytes(what, at, METADATA_TABLE as u64)?;
        if !table.starts_with(METADATA_MAGIC) {
            return corrupt(what, "the mark is missing");
        }
        let count = usize::from(get_u16(&table, 10)).min(MOST_ENTRIES);
        let entries = table[ENTRY_LEN..].chunks_exact(ENTRY_LEN).take(count);
        let items = entries.map(|entry| {
            let mut guid = [0; 16];
            guid.copy_from_slice(&entry[..16]);
            (Guid(guid), at.saturating_add(get_u32(entry, 16).into()), get_u32(entry, 20))
        });
        Ok(Items(items.collect()))
    }

    fn get<const N: usize>(
        &self,
        image: &Image<'_>,
        guid: Guid,
        what: &'static str,
    ) -> Result<[u8; N], ReadError> {
        match self.0.iter().find(|(found, ..)| *found == guid) {
            Some((_, at, length)) if *length as usize == N => image.array(what, *at),
            _ => corrupt("the metadata", format!("{what} is missing")),
        }
    }
}

impl Blocks for Vhdx {
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
            "VHDX 1, {} bytes in sectors of {}, {} of {} blocks of {}, {}",
            self.size,
            self.sector_size,
            self.table.n_used(),
            self.table.n_blocks(),
            self.table.block_len(),
            self.id
        )]
    }
}
