//! Writing a VHDX.

use super::format::{
    BAT, BLOCK_SIZES, DISK_ID, DISK_SIZE, ENTRY_LEN, FILE_PARAMETERS, HEADER_LEN, HEADER_MAGIC, HEADERS,
    LOGICAL_SECTOR, METADATA, METADATA_MAGIC, METADATA_TABLE, MIB, MOST, NAME, PHYSICAL_SECTOR, PRESENT,
    REGIONS, REGIONS_LEN, REGIONS_MAGIC, chunk, entries,
};
use super::{MAGIC, Options};
use crate::GapSink;
use crate::disk::Guid;
use crate::vdisk::error::WriteError;
use crate::vdisk::stream::{Block, How, blocks};
use crate::vdisk::{Contents, derived, put};

/// Where things are in front of the table of blocks.
const LOG_AT: u64 = MIB;
const METADATA_AT: u64 = 2 * MIB;
const BAT_AT: u64 = 3 * MIB;
/// Flags of metadata: of the disk and not of the file; needed.
const OF_DISK: u32 = 1 << 1;
const REQUIRED: u32 = 1 << 2;

/// Writes the disk as a dynamic VHDX into `sink`. Its size is rounded up to whole sectors.
pub fn write(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    let wrong = |what: String, help| Err(WriteError::Option { format: NAME, what, help });
    let sector_size = options.sector_size;
    if ![512, 4096].contains(&sector_size) {
        return wrong(format!("sectors of {sector_size} bytes"), "they have 512 or 4096");
    }
    let contents = contents.grown(contents.size().next_multiple_of(sector_size));
    let size = contents.size();
    if size == 0 {
        return Err(WriteError::Empty);
    }
    if size > MOST {
        return Err(WriteError::TooLarge { format: NAME, most: MOST, size });
    }
    let block_size = options.block_size.unwrap_or(if size > 1 << 40 { 32 * MIB } else { MIB });
    if !block_size.is_power_of_two() || !BLOCK_SIZES.contains(&block_size) {
        return wrong(format!("blocks of {block_size} bytes"), "they have a power of two from 1 to 256 MiB");
    }
    let (n_blocks, chunk) = (size.div_ceil(block_size), chunk(sector_size, block_size));
    let n_entries = entries(n_blocks, chunk);
    let bat_len = (n_entries * 8).next_multiple_of(MIB);
    let mut bat = vec![0_u64; n_entries as usize];
    let mut next = BAT_AT + bat_len;
    let mut current = None;
    let how = How::plain(MIB, n_threads);
    blocks(&contents, &how, |number, piece| {
        let Block::Plain(plain) = piece else { return Ok(()) };
        let (block, within) = (number * MIB / block_size, number * MIB % block_size);
        let start = match current {
            Some((same, start)) if same == block => start,
            _ => {
                let start = next;
                bat[(block + block / chunk) as usize] = start | PRESENT;
                next += block_size;
                current = Some((block, start));
                start
            }
        };
        Ok(plain.put(start + within, sink)?)
    })?;
    // The last block is all there, too.
    sink.zeros(next, 0)?;

    let bat: Vec<u8> = bat.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    sink.fill_gap(BAT_AT, &bat)?;
    sink.fill_gap(METADATA_AT, &metadata(size, block_size, options))?;
    let regions = regions(bat_len);
    for at in REGIONS {
        sink.fill_gap(at, &regions)?;
    }
    for (at, sequence) in HEADERS.into_iter().zip(1..) {
        sink.fill_gap(at, &header(sequence, options))?;
    }
    let mut identifier = MAGIC.to_vec();
    identifier.extend("Bootwright".encode_utf16().flat_map(u16::to_le_bytes));
    sink.fill_gap(0, &identifier)?;
    Ok(())
}

fn header(sequence: u64, options: &Options) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    put(&mut header, 0, HEADER_MAGIC);
    put(&mut header, 8, &sequence.to_le_bytes());
    put(&mut header, 16, &derived(&options.uuid, "file"));
    put(&mut header, 32, &derived(&options.uuid, "data"));
    // No GUID of a log: there is nothing in it.
    put(&mut header, 66, &1_u16.to_le_bytes());
    put(&mut header, 68, &(MIB as u32).to_le_bytes());
    put(&mut header, 72, &LOG_AT.to_le_bytes());
    let sum = crc32c::crc32c(&header);
    put(&mut header, 4, &sum.to_le_bytes());
    header
}

fn regions(bat_len: u64) -> Vec<u8> {
    let mut regions = vec![0; REGIONS_LEN];
    put(&mut regions, 0, REGIONS_MAGIC);
    put(&mut regions, 8, &2_u32.to_le_bytes());
    for (idx, (guid, at, length)) in
        [(BAT, BAT_AT, bat_len), (METADATA, METADATA_AT, MIB)].into_iter().enumerate()
    {
        let entry = &mut regions[16 + idx * ENTRY_LEN..];
        put(entry, 0, &guid.0);
        put(entry, 16, &at.to_le_bytes());
        // The table of 64 TiB has far less than 4 GiB.
        put(entry, 24, &(length as u32).to_le_bytes());
        put(entry, 28, &1_u32.to_le_bytes());
    }
    let sum = crc32c::crc32c(&regions);
    put(&mut regions, 4, &sum.to_le_bytes());
    regions
}

fn metadata(size: u64, block_size: u64, options: &Options) -> Vec<u8> {
    let sector_size = (options.sector_size as u32).to_le_bytes();
    // The block size, and flags of which none is set.
    let parameters = block_size.to_le_bytes();
    let items: [(Guid, u32, Vec<u8>); 5] = [
        (FILE_PARAMETERS, REQUIRED, parameters.to_vec()),
        (DISK_SIZE, OF_DISK | REQUIRED, size.to_le_bytes().to_vec()),
        (DISK_ID, OF_DISK | REQUIRED, options.uuid.to_vec()),
        (LOGICAL_SECTOR, OF_DISK | REQUIRED, sector_size.to_vec()),
        (PHYSICAL_SECTOR, OF_DISK | REQUIRED, 4096_u32.to_le_bytes().to_vec()),
    ];
    let mut metadata = vec![0; METADATA_TABLE];
    put(&mut metadata, 0, METADATA_MAGIC);
    put(&mut metadata, 10, &(items.len() as u16).to_le_bytes());
    for (idx, (guid, flags, value)) in items.into_iter().enumerate() {
        let at = metadata.len() as u32;
        let entry = &mut metadata[ENTRY_LEN * (idx + 1)..];
        put(entry, 0, &guid.0);
        put(entry, 16, &at.to_le_bytes());
        put(entry, 20, &(value.len() as u32).to_le_bytes());
        put(entry, 24, &flags.to_le_bytes());
        metadata.extend(value);
    }
    metadata
}
