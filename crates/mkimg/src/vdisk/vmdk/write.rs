//! Writing a VMDK of either kind.

use std::fmt::Write as _;

use super::format::{
    AT_END, COMPRESSED, DEFLATE, GRAIN, HEADER_LEN, MARKER_LEN, MARKERS, NEW_LINE_CHARACTERS, NEW_LINES,
    PER_TABLE, TABLE, TWO_TABLES,
};
use super::{Adapter, MAGIC, Options, Variant};
use crate::GapSink;
use crate::earlier::Earlier;
use crate::vdisk::error::WriteError;
use crate::vdisk::stream::{Block, How, blocks, scope};
use crate::vdisk::{Contents, SECTOR, derived, pack, put};

/// Room for the description, in sectors.
const DESCRIPTION: u64 = 20;
/// The most grains: 2 TiB, so that sectors of the file fit into 32 bits.
const MOST: u64 = 2 << 40;
/// The level of deflate.
const LEVEL: u32 = 6;

/// Types of markers.
const END: u32 = 0;
const GRAIN_TABLE: u32 = 1;
const GRAIN_DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;

/// Writes the disk as a VMDK into `sink`. Its size is rounded up to whole grains of 64 KiB.
pub fn write(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    write_reusing(contents, options, n_threads, None, sink)
}

/// As [`write`], and takes over what earlier runs compressed.
pub(crate) fn write_reusing(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    earlier: Option<&Earlier>,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    let contents = contents.grown(contents.size().next_multiple_of(GRAIN * SECTOR));
    match contents.size() {
        0 => return Err(WriteError::Empty),
        size if size > MOST => return Err(WriteError::TooLarge { format: "VMDK", most: MOST, size }),
        _ => {}
    }
    match options.variant {
        Variant::MonolithicSparse => sparse(&contents, options, n_threads, sink),
        Variant::StreamOptimized => stream(&contents, options, n_threads, earlier, sink),
    }
}

/// Where things are in front of the grains, in sectors.
struct Header {
    capacity: u64,
    flags: u32,
    copy_at: u64,
    directory_at: u64,
    overhead: u64,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_LEN] {
        let is_compressed = self.flags & COMPRESSED != 0;
        let mut header = [0; HEADER_LEN];
        put(&mut header, 0, MAGIC);
        put(&mut header, 4, &(if is_compressed { 3_u32 } else { 1 }).to_le_bytes());
        put(&mut header, 8, &self.flags.to_le_bytes());
        put(&mut header, 12, &self.capacity.to_le_bytes());
        put(&mut header, 20, &GRAIN.to_le_bytes());
        put(&mut header, 28, &1_u64.to_le_bytes());
        put(&mut header, 36, &DESCRIPTION.to_le_bytes());
        put(&mut header, 44, &(PER_TABLE as u32).to_le_bytes());
        put(&mut header, 48, &self.copy_at.to_le_bytes());
        put(&mut header, 56, &self.directory_at.to_le_bytes());
        put(&mut header, 64, &self.overhead.to_le_bytes());
        put(&mut header, 73, NEW_LINE_CHARACTERS);
        put(&mut header, 77, &(if is_compressed { DEFLATE } else { 0 }).to_le_bytes());
        header
    }
}

/// Returns the header, and behind it the description.
fn front(header: &Header, options: &Options) -> Result<Vec<u8>, WriteError> {
    let mut front = header.encode().to_vec();
    let description = description(header.capacity, options);
    if description.len() as u64 > DESCRIPTION * SECTOR {
        let what = format!("a file name of {} bytes", options.name.len());
        return Err(WriteError::Option { format: "VMDK", what, help: "take a shorter one" });
    }
    front.extend(description.as_bytes());
    Ok(front)
}

fn description(capacity: u64, options: &Options) -> String {
    let kind = match options.variant {
        Variant::MonolithicSparse => "monolithicSparse",
        Variant::StreamOptimized => "streamOptimized",
    };
    let seed = derived(&options.uuid, "contents");
    // Two numbers have a meaning of their own.
    let number = u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]).min(u32::MAX - 2);
    let (heads, per_track) = match options.adapter {
        Adapter::Ide => (16, 63),
        _ => (255, 63),
    };
    let cylinders = (capacity / (heads * per_track)).clamp(1, 16383);
    let mut text = String::from("# Disk DescriptorFile\nversion=1\n");
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        writeln!(text, "{arguments}").expect("a string takes everything");
    };
    line(format_args!("CID={number:08x}"));
    line(format_args!("parentCID=ffffffff"));
    line(format_args!("createType=\"{kind}\""));
    line(format_args!("\n# Extent description"));
    line(format_args!("RW {capacity} SPARSE \"{}\"", options.name));
    line(format_args!("\n# The Disk Data Base\n#DDB\n"));
    line(format_args!("ddb.virtualHWVersion = \"4\""));
    line(format_args!("ddb.geometry.cylinders = \"{cylinders}\""));
    line(format_args!("ddb.geometry.heads = \"{heads}\""));
    line(format_args!("ddb.geometry.sectors = \"{per_track}\""));
    line(format_args!("ddb.adapterType = \"{}\"", options.adapter.name()));
    text
}

fn sparse(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    let capacity = contents.size() / SECTOR;
    let n_tables = capacity.div_ceil(GRAIN * PER_TABLE);
    let directory_sectors = (n_tables * 4).div_ceil(SECTOR);
    let copy_at = 1 + DESCRIPTION;
    let directory_at = copy_at + directory_sectors + n_tables * TABLE;
    let overhead = (directory_at + directory_sectors + n_tables * TABLE).next_multiple_of(GRAIN);
    let header = Header { capacity, flags: NEW_LINES | TWO_TABLES, copy_at, directory_at, overhead };
    let mut next = overhead;
    sink.zeros(overhead * SECTOR, 0)?;
    let mut table = Tables::new();
    let how = How::plain(GRAIN * SECTOR, n_threads);
    // Tables have their places whatever is in them.
    let store_table = |sink: &mut dyn GapSink, number: u64, bytes: &[u8]| {
        for directory in [copy_at, directory_at] {
            sink.fill_gap((directory + directory_sectors + number * TABLE) * SECTOR, bytes)?;
        }
        Ok::<(), WriteError>(())
    };
    blocks(contents, &how, |number, block| {
        let Block::Plain(plain) = block else { return Ok(()) };
        plain.put(next * SECTOR, sink)?;
        if let Some((finished, bytes)) = table.list(number, fits(next)?) {
            store_table(&mut *sink, finished, &bytes)?;
        }
        next += GRAIN;
        Ok(())
    })?;
    if let Some((finished, bytes)) = table.take() {
        store_table(&mut *sink, finished, &bytes)?;
    }
    for directory in [copy_at, directory_at] {
        let tables = (0..n_tables).map(|number| directory + directory_sectors + number * TABLE);
        let bytes: Vec<u8> = tables.flat_map(|at| (at as u32).to_le_bytes()).collect();
        sink.fill_gap(directory * SECTOR, &bytes)?;
    }
    Ok(sink.fill_gap(0, &front(&header, options)?)?)
}

fn stream(
    contents: &Contents<'_>,
    options: &Options,
    n_threads: usize,
    earlier: Option<&Earlier>,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    let capacity = contents.size() / SECTOR;
    let n_tables = capacity.div_ceil(GRAIN * PER_TABLE);
    let flags = NEW_LINES | COMPRESSED | MARKERS;
    let mut header = Header { capacity, flags, copy_at: 0, directory_at: AT_END, overhead: GRAIN };
    sink.data(0, &front(&header, options)?)?;
    let mut next = GRAIN;
    let mut directory = vec![0_u32; n_tables as usize];
    let mut table = Tables::new();
    let compression = Some(pack::Compression::Zlib(LEVEL));
    let earlier = scope(earlier, compression);
    let how = How { block: GRAIN * SECTOR, compression, below: None, earlier, n_threads };
    // Puts a marker and what follows it, and returns where the next one is to be.
    let put_behind = |sink: &mut dyn GapSink, at: u64, marker: &[u8], bytes: &[u8], first_at: usize| {
        let mut out = vec![0; first_at];
        put(&mut out, 0, marker);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(SECTOR as usize), 0);
        sink.data(at * SECTOR, &out)?;
        Ok::<u64, WriteError>(at + out.len() as u64 / SECTOR)
    };
    let store_table =
        |sink: &mut dyn GapSink, directory: &mut [u32], next: u64, number: u64, bytes: &[u8]| {
            // What the directory lists is the table, not its marker.
            directory[number as usize] = fits(next + 1)?;
            put_behind(sink, next, &marker(TABLE, GRAIN_TABLE), bytes, SECTOR as usize)
        };
    blocks(contents, &how, |number, block| {
        // It is not zero, and grains are always compressed.
        let Block::Packed(packed) = block else { return Ok(()) };
        let bytes = packed.bytes;
        if let Some((finished, bytes)) = table.list(number, fits(next)?) {
            // It lists what is in front: only its own grain comes behind.
            next = store_table(&mut *sink, &mut directory, next, finished, &bytes)?;
            table.list(number, fits(next)?);
        }
        let mut grain_marker = [0; MARKER_LEN];
        put(&mut grain_marker, 0, &(number * GRAIN).to_le_bytes());
        put(&mut grain_marker, 8, &(bytes.len() as u32).to_le_bytes());
        packed.note(next * SECTOR + MARKER_LEN as u64);
        next = put_behind(&mut *sink, next, &grain_marker, bytes, MARKER_LEN)?;
        Ok(())
    })?;
    if let Some((finished, bytes)) = table.take() {
        next = store_table(&mut *sink, &mut directory, next, finished, &bytes)?;
    }
    let bytes: Vec<u8> = directory.iter().flat_map(|at| at.to_le_bytes()).collect();
    let sectors = (bytes.len() as u64).div_ceil(SECTOR);
    header.directory_at = next + 1;
    next = put_behind(&mut *sink, next, &marker(sectors, GRAIN_DIRECTORY), &bytes, SECTOR as usize)?;
    next = put_behind(&mut *sink, next, &marker(1, FOOTER), &header.encode(), SECTOR as usize)?;
    put_behind(&mut *sink, next, &marker(0, END), &[], SECTOR as usize).map(drop)
}

/// Returns a marker of tables, which has a type where a grain has a size.
fn marker(sectors: u64, kind: u32) -> [u8; 16] {
    let mut marker = [0; 16];
    put(&mut marker, 0, &sectors.to_le_bytes());
    put(&mut marker, 12, &kind.to_le_bytes());
    marker
}

fn fits(sector: u64) -> Result<u32, WriteError> {
    u32::try_from(sector).map_err(|_| WriteError::TooLarge {
        format: "VMDK",
        most: MOST,
        size: sector * SECTOR,
    })
}

/// The table that is being filled.
struct Tables {
    number: u64,
    entries: Vec<u32>,
    is_empty: bool,
}

impl Tables {
    fn new() -> Tables {
        Tables { number: 0, entries: vec![0; PER_TABLE as usize], is_empty: true }
    }

    /// Lists a grain. If it belongs into another table, the one before is finished, and returned with its number.
    fn list(&mut self, grain: u64, sector: u32) -> Option<(u64, Vec<u8>)> {
        let finished = if grain / PER_TABLE == self.number { None } else { self.take() };
        self.number = grain / PER_TABLE;
        self.entries[(grain % PER_TABLE) as usize] = sector;
        self.is_empty = false;
        finished
    }

    fn take(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.is_empty {
            return None;
        }
        let bytes = self.entries.iter().flat_map(|sector| sector.to_le_bytes()).collect();
        self.entries.fill(0);
        self.is_empty = true;
        Some((self.number, bytes))
    }
}
