//! Makes a program of another one, with further sections.

use super::read::{CERTIFICATES, DEBUG, Pe, SECTION, Section};
use crate::bytes::{get_u32, put_u16, put_u32};

/// Sections are at multiples of this in memory, or of more if the program says so: a page, so that each can be
/// protected on its own.
const PAGE: u32 = 4096;
/// `IMAGE_SCN_CNT_CODE`, `IMAGE_SCN_MEM_EXECUTE`, `IMAGE_SCN_MEM_READ`.
const CODE: u32 = 0x6000_0020;
/// `IMAGE_SCN_CNT_INITIALIZED_DATA`, `IMAGE_SCN_MEM_READ`.
const DATA: u32 = 0x4000_0040;
/// The size of an entry of the debug directory.
const DEBUG_ENTRY: usize = 28;

/// A section to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSection<'a> {
    /// Its name, at most eight bytes.
    pub name: &'a str,
    /// What it has.
    pub contents: &'a [u8],
    /// Whether it is code.
    pub is_code: bool,
}

/// Why sections could not be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Its numbers are no powers of two.
    #[error("its sections are aligned to {0}, which is no power of two that can be")]
    Alignment(u32),
    /// A name that the table has no room for.
    #[error("a section cannot be called `{0}`: it has at most eight bytes")]
    Name(String),
    /// Names are how sections are found.
    #[error("it has a section `{0}` already")]
    Exists(String),
    /// What is in memory behind the headers is in the way.
    #[error("its headers have no room for {0} sections")]
    Headers(usize),
    /// It does not fit into what its headers can say.
    #[error("it would have more than 4 GiB with its section `{0}`")]
    TooLarge(String),
}

/// Returns the program without the sections called `removed` and its certificates, and with these sections behind the
/// others, in this order, in memory and in the file.
pub fn with_sections(pe: &Pe<'_>, removed: &[&str], added: &[NewSection<'_>]) -> Result<Vec<u8>, WriteError> {
    let align = power_of_two(pe.section_alignment())?.max(PAGE);
    let file_align = power_of_two(pe.file_alignment())?;
    let kept: Vec<&Section> =
        pe.sections().iter().filter(|section| !removed.contains(&section.name.as_str())).collect();
    for (idx, section) in added.iter().enumerate() {
        if section.name.len() > 8 {
            return Err(WriteError::Name(section.name.to_owned()));
        }
        let mut names =
            kept.iter().map(|kept| kept.name.as_str()).chain(added[..idx].iter().map(|new| new.name));
        if names.any(|name| name == section.name) {
            return Err(WriteError::Exists(section.name.to_owned()));
        }
    }
    let n_sections = kept.len() + added.len();
    let too_many = || WriteError::Headers(n_sections);
    let table_end = pe.table + n_sections * SECTION;
    let headers = u32::try_from(table_end).map_err(|_| too_many())?.max(pe.headers_size());
    let headers = headers.checked_next_multiple_of(file_align).ok_or_else(too_many)?;
    // Headers are loaded, too.
    if kept.iter().any(|section| section.address > 0 && section.address < headers) {
        return Err(too_many());
    }

    let mut bytes = pe.bytes[..pe.table].to_vec();
    bytes.resize(headers as usize, 0);
    put_u16(&mut bytes, pe.coff + 2, u16::try_from(n_sections).map_err(|_| too_many())?);
    // Symbols were at the end of the file, and firmware has no use for them.
    put_u32(&mut bytes, pe.coff + 8, 0);
    put_u32(&mut bytes, pe.coff + 12, 0);
    put_u32(&mut bytes, pe.optional + 60, headers);
    if let Some(directory) = pe.directory_at(CERTIFICATES) {
        bytes[directory..directory + 8].fill(0);
    }

    let mut entry_at = pe.table;
    let mut end = 0;
    for section in &kept {
        let old =
            pe.table + SECTION * pe.sections().iter().position(|one| one == *section).unwrap_or_default();
        let offset = append(&mut bytes, pe.raw(section), file_align, &section.name)?;
        let entry = entry_at..entry_at + SECTION;
        bytes[entry.clone()].copy_from_slice(&pe.bytes[old..old + SECTION]);
        let entry = &mut bytes[entry];
        put_u32(entry, 16, offset.1);
        put_u32(entry, 20, offset.0);
        entry_at += SECTION;
        // In the file it may take more than before, to a multiple of the alignment.
        let size = section.virtual_size.max(section.raw_size).max(offset.1);
        let too_large = || WriteError::TooLarge(section.name.clone());
        end = end.max(section.address.checked_add(size).ok_or_else(too_large)?);
    }
    move_debug(pe, &kept, &mut bytes);
    let mut initialized = 0u32;
    for section in added {
        let too_large = || WriteError::TooLarge(section.name.to_owned());
        let size = u32::try_from(section.contents.len()).map_err(|_| too_large())?;
        let address = end.checked_next_multiple_of(align).ok_or_else(too_large)?;
        let (offset, raw_size) = append(&mut bytes, section.contents, file_align, section.name)?;
        end = address.checked_add(size.max(raw_size).max(1)).ok_or_else(too_large)?;
        let entry = &mut bytes[entry_at..entry_at + SECTION];
        entry[..section.name.len()].copy_from_slice(section.name.as_bytes());
        for (at, value) in [(8, size), (12, address), (16, raw_size), (20, offset)] {
            put_u32(entry, at, value);
        }
        put_u32(entry, 36, if section.is_code { CODE } else { DATA });
        entry_at += SECTION;
        initialized = initialized.saturating_add(if section.is_code { 0 } else { raw_size });
    }
    let data = get_u32(&bytes, pe.optional + 8).saturating_add(initialized);
    put_u32(&mut bytes, pe.optional + 8, data);
    let image = end.checked_next_multiple_of(pe.section_alignment());
    let last =
        || WriteError::TooLarge(added.last().map_or_else(String::new, |section| section.name.to_owned()));
    put_u32(&mut bytes, pe.optional + 56, image.ok_or_else(last)?);
    seal(&mut bytes, pe.checksum_at());
    Ok(bytes)
}

fn power_of_two(alignment: u32) -> Result<u32, WriteError> {
    if alignment.is_power_of_two() && alignment <= 1 << 24 {
        Ok(alignment)
    } else {
        Err(WriteError::Alignment(alignment))
    }
}

/// Adds contents to the file and returns where they are, and how much they take.
fn append(bytes: &mut Vec<u8>, contents: &[u8], align: u32, name: &str) -> Result<(u32, u32), WriteError> {
    if contents.is_empty() {
        return Ok((0, 0));
    }
    let start = bytes.len();
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(align as usize), 0);
    match (u32::try_from(start), u32::try_from(bytes.len())) {
        (Ok(offset), Ok(end)) => Ok((offset, end - offset)),
        _ => Err(WriteError::TooLarge(name.to_owned())),
    }
}

/// The debug directory says where in the file things are, which was said of the old one.
fn move_debug(pe: &Pe<'_>, kept: &[&Section], bytes: &mut [u8]) {
    let (address, size) = pe.directory(DEBUG);
    // Known before anything is changed: in a damaged program one thing may lie in another.
    let offsets: Vec<u32> =
        (0..kept.len()).map(|idx| get_u32(bytes, pe.table + idx * SECTION + 20)).collect();
    let moved = || kept.iter().zip(&offsets);
    let home = moved().find(|(section, _)| {
        address
            .checked_sub(section.address)
            .is_some_and(|within| u64::from(within) + u64::from(size) <= u64::from(section.raw_size))
    });
    let Some((home, start)) = home.filter(|_| size > 0) else { return };
    let start = (start + (address - home.address)) as usize;
    for idx in 0..size as usize / DEBUG_ENTRY {
        let at = start + idx * DEBUG_ENTRY + 24;
        let old = get_u32(bytes, at);
        let place = moved().find_map(|(section, new)| {
            let within = old.checked_sub(section.offset)?;
            (within < section.raw_size).then(|| new + within)
        });
        put_u32(bytes, at, place.unwrap_or_default());
    }
}

/// Writes the checksum: the sum of all 16-bit words but its own, folded, and the size of the file.
pub(super) fn seal(bytes: &mut [u8], at: usize) {
    put_u32(bytes, at, 0);
    let words = bytes.chunks(2).map(|word| match word {
        [low, high] => u64::from(u16::from_le_bytes([*low, *high])),
        rest => rest.iter().map(|byte| u64::from(*byte)).sum(),
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let size = bytes.len() as u64;
    put_u32(bytes, at, (sum + size) as u32);
}
