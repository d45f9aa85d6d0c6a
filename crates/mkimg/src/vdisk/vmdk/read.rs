//! Reading a VMDK that is one file.

use std::sync::{Mutex, PoisonError};

use super::MAGIC;
use super::format::{
    AT_END, COMPRESSED, DEFLATE, HEADER_LEN, MARKER_LEN, MARKERS, PER_TABLE, TABLE, ZERO_GRAINS,
};
use crate::bytes::{get_u16, get_u32, get_u64};
use crate::vdisk::SECTOR;
use crate::vdisk::error::{ReadError, corrupt, unsupported};
use crate::vdisk::file::Image;
use crate::vdisk::pack::Compression;
use crate::vdisk::read::{Blocks, Place};

const HEADER: &str = "the header";
const DIRECTORY: &str = "the grain directory";
/// More is not read of a description.
const MOST_DESCRIPTION: u64 = 1 << 20;
/// The largest grain that is read, in sectors.
const MOST_GRAIN: u64 = 1 << 15;
/// What is behind a footer, and the footer.
const FOOTER: u64 = 2 * SECTOR;

/// What a VMDK says of its disk.
pub(in crate::vdisk) struct Vmdk {
    capacity: u64,
    grain: u64,
    flags: u32,
    description: Vec<String>,
    /// The sectors of the tables; 0 is nowhere.
    directory: Vec<u64>,
    /// The table that was read last, and its number.
    table: Mutex<(u64, [u8; (TABLE * SECTOR) as usize])>,
}

pub(in crate::vdisk) fn read(image: &Image<'_>) -> Result<Vmdk, ReadError> {
    let mut header: [u8; HEADER_LEN] = image.start()?;
    if !header.starts_with(MAGIC) {
        return Err(ReadError::Other { format: "VMDK" });
    }
    image.check(HEADER, 0, HEADER_LEN as u64)?;
    let description = description(image, &header)?;
    if get_u64(&header, 56) == AT_END {
        let what = "the footer";
        let at = image.size().saturating_sub(FOOTER);
        header = image.array(what, at)?;
        if !header.starts_with(MAGIC) || get_u64(&header, 56) == AT_END {
            return corrupt(what, "there is none at the end: the file is cut off");
        }
    }
    let version = get_u32(&header, 4);
    if !(1..=3).contains(&version) {
        return unsupported(format!("version {version}"));
    }
    let flags = get_u32(&header, 8);
    let (is_compressed, has_markers) = (flags & COMPRESSED != 0, flags & MARKERS != 0);
    if is_compressed && (get_u16(&header, 77) != DEFLATE || !has_markers) {
        return unsupported(format!("compression of type {}", get_u16(&header, 77)));
    }
    let (capacity, grain) = (get_u64(&header, 12), get_u64(&header, 20));
    if !grain.is_power_of_two() || !(8..=MOST_GRAIN).contains(&grain) {
        return corrupt(HEADER, format!("grains cannot have {grain} sectors"));
    }
    if u64::from(get_u32(&header, 44)) != PER_TABLE {
        return unsupported(format!("tables of {} entries", get_u32(&header, 44)));
    }
    if capacity == 0 || capacity > u64::MAX / SECTOR {
        return corrupt(HEADER, format!("a disk cannot have {capacity} sectors"));
    }
    let directory = directory(image, &header, capacity.div_ceil(grain * PER_TABLE))?;
    let table = Mutex::new((u64::MAX, [0; (TABLE * SECTOR) as usize]));
    Ok(Vmdk { capacity, grain, flags, description, directory, table })
}

/// Returns the lines of the description that say something.
fn description(image: &Image<'_>, header: &[u8]) -> Result<Vec<String>, ReadError> {
    let what = "the description";
    let (at, sectors) = (get_u64(header, 28), get_u64(header, 36));
    if at == 0 || sectors == 0 {
        return Ok(Vec::new());
    }
    let length = sectors.saturating_mul(SECTOR).min(MOST_DESCRIPTION);
    let bytes = image.bytes(what, at.saturating_mul(SECTOR), length)?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let lines: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let parent = lines.iter().find_map(|line| line.strip_prefix("parentCID="));
    if parent.is_some_and(|parent| !parent.eq_ignore_ascii_case("ffffffff")) {
        return unsupported("only what differs from another disk");
    }
    Ok(lines)
}

fn directory(image: &Image<'_>, header: &[u8], n_tables: u64) -> Result<Vec<u64>, ReadError> {
    let at = get_u64(header, 56).saturating_mul(SECTOR);
    let bytes = image.table(DIRECTORY, at, n_tables.saturating_mul(4))?;
    let directory: Vec<u64> = bytes.chunks_exact(4).map(|entry| get_u32(entry, 0).into()).collect();
    // As no two overlap, what they list is not more than the file has room for.
    let mut places: Vec<u64> = directory.iter().copied().filter(|at| *at != 0).collect();
    places.sort_unstable();
    if let Some(pair) = places.windows(2).find(|pair| pair[1] - pair[0] < TABLE) {
        return corrupt(DIRECTORY, format!("the tables at sectors {} and {} overlap", pair[0], pair[1]));
    }
    if let Some(last) = places.last() {
        image.check("a grain table", last * SECTOR, TABLE * SECTOR)?;
    }
    Ok(directory)
}

impl Blocks for Vmdk {
    fn size(&self) -> u64 {
        self.capacity * SECTOR
    }

    fn block_len(&self) -> u64 {
        self.grain * SECTOR
    }

    fn place(&self, image: &Image<'_>, block: u64) -> Result<Place, ReadError> {
        let number = block / PER_TABLE;
        let table_at = usize::try_from(number).ok().and_then(|number| self.directory.get(number));
        let Some(table_at) = table_at.copied().filter(|at| *at != 0) else { return Ok(Place::Zero) };
        let sector = {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            if table.0 != number {
                table.0 = u64::MAX;
                image.read("a grain table", table_at * SECTOR, &mut table.1)?;
                table.0 = number;
            }
            get_u32(&table.1, (block % PER_TABLE) as usize * 4)
        };
        let at = u64::from(sector) * SECTOR;
        match sector {
            0 => Ok(Place::Zero),
            1 if self.flags & ZERO_GRAINS != 0 => Ok(Place::Zero),
            _ if self.flags & COMPRESSED != 0 => {
                let marker: [u8; MARKER_LEN] = image.array("a marker", at)?;
                let length = u64::from(get_u32(&marker, 8));
                if get_u64(&marker, 0) != block * self.grain || length > 2 * self.block_len() {
                    return corrupt("a marker", format!("the one at {at} is not that of grain {block}"));
                }
                image.check("a grain", at + MARKER_LEN as u64, length)?;
                Ok(Place::Packed(at + MARKER_LEN as u64, length, Compression::Zlib(0)))
            }
            _ => {
                image.check("a grain", at, 1)?;
                Ok(Place::At(at))
            }
        }
    }

    fn skip(&self, _: &Image<'_>, block: u64) -> Result<u64, ReadError> {
        let number = usize::try_from(block / PER_TABLE).unwrap_or(usize::MAX);
        let is_there = self.directory.get(number).is_some_and(|at| *at != 0);
        Ok(if is_there { 0 } else { PER_TABLE - block % PER_TABLE })
    }

    fn describe(&self) -> Vec<String> {
        let compressed = if self.flags & COMPRESSED != 0 { ", compressed" } else { "" };
        let size = self.capacity * SECTOR;
        let mut lines = vec![format!("VMDK, {size} bytes in grains of {}{compressed}", self.grain * SECTOR)];
        lines.extend(self.description.iter().map(|line| line.escape_debug().to_string()));
        lines
    }
}
