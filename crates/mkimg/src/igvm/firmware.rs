//! What OVMF says of itself: the table of GUIDs at its end, and the metadata for SEV-SNP and TDX that it leads to.
//!
//! The table is laid out by `OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm` of EDK II: it ends 32 bytes before the file does,
//! and each entry has its contents, its whole length in two bytes, and its GUID, so it is read from the end. The metadata
//! is that of `X64/OvmfSevMetadata.asm` and `X64/IntelTdxMetadata.asm` beside it.

use super::{BuildError, FOUR_GIB, PAGE};
use crate::bytes::{get_u16, get_u32, get_u64};

/// How many bytes of the reset vector are behind the table.
const BEHIND: usize = 32;
/// The length and the GUID of an entry.
const ENTRY: usize = 18;
/// More than any firmware has.
const LARGEST: usize = 64 << 20;

const FOOTER: [u8; 16] = guid(0x96b5_82de_1fb2_45f7_baea_a366_c55a_082d);
const SEV_METADATA: [u8; 16] = guid(0xdc88_6566_984a_4798_a75e_5585_a7bf_67cc);
const SEV_ES_RESET: [u8; 16] = guid(0x00f7_71de_1a7e_4fcb_890e_68c7_7e2f_b44e);
const SEV_HASHES: [u8; 16] = guid(0x7255_371f_3a3b_4b04_927b_1da6_efa8_d454);
const TDX_METADATA: [u8; 16] = guid(0xe47a_6535_984a_4798_865e_4685_a7bf_8ec2);

/// Returns a GUID as files have it: the first three groups with the lowest byte first.
pub(super) const fn guid(number: u128) -> [u8; 16] {
    let b = number.to_be_bytes();
    [b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]
}

/// An image of firmware that ends at 4 GiB.
#[derive(Clone, Debug)]
pub struct Firmware<'a> {
    image: &'a [u8],
    entries: Vec<([u8; 16], &'a [u8])>,
}

/// What SEV-SNP gives the guest in some pages (`OvmfSevMetadata.asm`; `SevMetadataSection` of QEMU).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SevSection {
    /// Zeros.
    Zeros,
    /// Secrets of the platform's firmware.
    Secrets,
    /// What the guest may believe of the processor.
    Cpuid,
    /// The calling area of an SVSM: zeros.
    CallingArea,
    /// The hashes of a kernel, or zeros.
    KernelHashes,
}

/// What is in a section for TDX (Intel's "TDX Virtual Firmware Design Guide", "TDVF metadata").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TdxSection<'a> {
    /// Code or variables: bytes of the file.
    Volume(&'a [u8]),
    /// What the host says of the guest's memory.
    Hob,
    /// Zeros.
    Zeros,
}

/// Some pages that a platform has to give the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section<T> {
    pub(super) gpa: u64,
    pub(super) size: u64,
    pub(super) what: T,
    /// Whether the contents are measured, where sections say so.
    pub(super) is_measured: bool,
}

impl<'a> Firmware<'a> {
    /// Reads an image. One without a table is firmware as well, for platforms that give it nothing.
    ///
    /// # Errors
    ///
    /// When it does not consist of pages, is too large, or has a table that is damaged.
    pub fn parse(image: &'a [u8]) -> Result<Firmware<'a>, BuildError> {
        let size = image.len();
        if size == 0 || size > LARGEST || !size.is_multiple_of(PAGE as usize) {
            return Err(BuildError::FirmwareSize { size });
        }
        let mut firmware = Firmware { image, entries: Vec::new() };
        let end = size - BEHIND;
        if image[end - 16..end] != FOOTER {
            return Ok(firmware);
        }
        let mut length = usize::from(get_u16(image, end - ENTRY));
        if length < ENTRY || length > end {
            return Err(BuildError::Table("its length is impossible"));
        }
        let mut table = &image[end - length..end - ENTRY];
        while !table.is_empty() {
            let Some(at) = table.len().checked_sub(ENTRY) else {
                return Err(BuildError::Table("an entry begins before it does"));
            };
            length = usize::from(get_u16(table, at));
            let Some(start) = table.len().checked_sub(length).filter(|_| length >= ENTRY) else {
                return Err(BuildError::Table("the length of an entry is impossible"));
            };
            let mut name = [0; 16];
            name.copy_from_slice(&table[at + 2..]);
            firmware.entries.push((name, &table[start..at]));
            table = &table[..start];
        }
        Ok(firmware)
    }

    /// Returns its bytes.
    pub(super) fn image(&self) -> &'a [u8] {
        self.image
    }

    /// Returns where it begins.
    pub(super) fn gpa(&self) -> u64 {
        FOUR_GIB - self.image.len() as u64
    }

    /// Returns a number at the beginning of an entry, and what is behind it.
    fn number(&self, name: &[u8; 16]) -> Result<Option<(u32, &'a [u8])>, BuildError> {
        let Some((_, contents)) = self.entries.iter().find(|(entry, _)| entry == name) else {
            return Ok(None);
        };
        if contents.len() < 4 {
            return Err(BuildError::Table("an entry is too short"));
        }
        Ok(Some((get_u32(contents, 0), &contents[4..])))
    }

    /// Returns where a processor that is not the first one starts.
    pub(super) fn reset_address(&self) -> Result<u32, BuildError> {
        Ok(self.number(&SEV_ES_RESET)?.ok_or(BuildError::NoResetVector)?.0)
    }

    /// Returns where the hashes of a kernel go, and how much room they have there.
    pub(super) fn hashes(&self) -> Result<(u64, u64), BuildError> {
        match self.number(&SEV_HASHES)? {
            Some((gpa, size)) if gpa > 0 && size.len() >= 4 => Ok((gpa.into(), get_u32(size, 0).into())),
            _ => Err(BuildError::NoHashes),
        }
    }

    /// Returns what is so many bytes before the end.
    fn before_end(&self, offset: u32) -> Option<&'a [u8]> {
        let start = self.image.len().checked_sub(usize::try_from(offset).ok()?)?;
        self.image.get(start..)
    }

    /// Returns the sections for SEV-SNP, in their order.
    pub(super) fn sev(&self) -> Result<Vec<Section<SevSection>>, BuildError> {
        let wrong = |problem: String| BuildError::Metadata { metadata: "SEV", problem };
        let damaged = || wrong("it is damaged".to_owned());
        if self.entries.is_empty() {
            return Err(BuildError::NoTable);
        }
        let Some((offset, _)) = self.number(&SEV_METADATA)? else {
            return Err(BuildError::NoMetadata { metadata: "SEV", platform: "snp" });
        };
        // A signature, the size of all, a version, the number of sections; and of each address, size and type.
        let metadata = self.before_end(offset).ok_or_else(damaged)?;
        if metadata.len() < 16 || !metadata.starts_with(b"ASEV") {
            return Err(damaged());
        }
        if get_u32(metadata, 8) != 1 {
            return Err(wrong(format!("version {} is not known", get_u32(metadata, 8))));
        }
        let n_sections = get_u32(metadata, 12) as usize;
        let size = n_sections.checked_mul(12).and_then(|size| size.checked_add(16));
        let sections = size.and_then(|size| metadata.get(16..size)).ok_or_else(damaged)?;
        // What a build of OVMF has no use for has no bytes in its metadata.
        let sections = sections.chunks_exact(12).filter(|section| get_u32(section, 4) != 0).map(|section| {
            let (gpa, size) = (u64::from(get_u32(section, 0)), u64::from(get_u32(section, 4)));
            let what = match get_u32(section, 8) {
                1 => SevSection::Zeros,
                2 => SevSection::Secrets,
                3 => SevSection::Cpuid,
                4 => SevSection::CallingArea,
                0x10 => SevSection::KernelHashes,
                other => return Err(wrong(format!("a section of type {other:#x} is not known"))),
            };
            check_pages(gpa, size).map_err(wrong)?;
            if matches!(what, SevSection::Secrets | SevSection::Cpuid) && size != PAGE {
                return Err(wrong(format!("the section at {gpa:#x} has {size} bytes, and not a page")));
            }
            Ok(Section { gpa, size, what, is_measured: true })
        });
        separate(sections.collect::<Result<_, BuildError>>()?).map_err(wrong)
    }

    /// Returns the sections for TDX, in their order.
    pub(super) fn tdx(&self) -> Result<Vec<Section<TdxSection<'a>>>, BuildError> {
        let wrong = |problem: String| BuildError::Metadata { metadata: "TDX", problem };
        let damaged = || wrong("it is damaged".to_owned());
        if self.entries.is_empty() {
            return Err(BuildError::NoTable);
        }
        let Some((offset, _)) = self.number(&TDX_METADATA)? else {
            return Err(BuildError::NoMetadata { metadata: "TDX", platform: "tdx" });
        };
        // A signature, the size of all, a version, the number of sections; and of each the offset and the size in the
        // file, address and size in memory, a type and attributes.
        let metadata = self.before_end(offset).ok_or_else(damaged)?;
        if metadata.len() < 16 || !metadata.starts_with(b"TDVF") {
            return Err(damaged());
        }
        if get_u32(metadata, 8) != 1 {
            return Err(wrong(format!("version {} is not known", get_u32(metadata, 8))));
        }
        let n_sections = get_u32(metadata, 12) as usize;
        let size = n_sections.checked_mul(32).and_then(|size| size.checked_add(16));
        let sections = size.and_then(|size| metadata.get(16..size)).ok_or_else(damaged)?;
        let sections = sections.chunks_exact(32).map(|section| {
            let (start, raw) = (get_u32(section, 0) as usize, get_u32(section, 4) as usize);
            let (gpa, size) = (get_u64(section, 8), get_u64(section, 16));
            check_pages(gpa, size).map_err(wrong)?;
            let what = match get_u32(section, 24) {
                0 | 1 if raw as u64 == size => {
                    let bytes = start.checked_add(raw).and_then(|end| self.image.get(start..end));
                    TdxSection::Volume(bytes.ok_or_else(damaged)?)
                }
                2 if raw == 0 => TdxSection::Hob,
                3 if raw == 0 => TdxSection::Zeros,
                0..=3 => {
                    return Err(wrong(format!(
                        "the section at {gpa:#x} has {raw} bytes in the file and {size} in memory"
                    )));
                }
                other => return Err(wrong(format!("a section of type {other:#x} is not known"))),
            };
            Ok(Section { gpa, size, what, is_measured: get_u32(section, 28) & 1 != 0 })
        });
        separate(sections.collect::<Result<_, BuildError>>()?).map_err(wrong)
    }
}

/// Refuses memory that is not one of whole pages below 4 GiB, where all firmware lies.
fn check_pages(gpa: u64, size: u64) -> Result<(), String> {
    let is_whole = gpa.is_multiple_of(PAGE) && size.is_multiple_of(PAGE) && size > 0;
    if is_whole && gpa.checked_add(size).is_some_and(|end| end <= FOUR_GIB) {
        return Ok(());
    }
    Err(format!("the section at {gpa:#x} with {size} bytes is not one of pages below 4 GiB"))
}

/// Returns the sections as they are, unless they give memory twice, which no platform does.
fn separate<T>(sections: Vec<Section<T>>) -> Result<Vec<Section<T>>, String> {
    let mut places: Vec<(u64, u64)> = sections.iter().map(|section| (section.gpa, section.size)).collect();
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
        None => Ok(sections),
        Some(pair) => Err(format!("the sections at {:#x} and {:#x} overlap", pair[0].0, pair[1].0)),
    }
}
