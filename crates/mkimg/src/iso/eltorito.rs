//! El Torito: the catalog of images that machines start from.
//!
//! "Bootable CD-ROM Format Specification" 1.0, section 2; the platform of UEFI is in UEFI 13.3.2.1.

use super::SECTOR;
use super::error::ReadError;
use crate::bytes::{get_u16, get_u32, put_u16, put_u32};
use crate::tree::Node;

/// What the boot record is known by.
pub(super) const SYSTEM_ID: &[u8; 32] = b"EL TORITO SPECIFICATION\0\0\0\0\0\0\0\0\0";
/// The size of an entry of the catalog.
const ENTRY_LEN: usize = 32;
/// The first two entries are the validation and the default one, and each other has a header.
pub(super) const MOST_ENTRIES: usize = (SECTOR / ENTRY_LEN - 2) / 2 + 1;
/// The unit of sizes: a sector of a disk.
const UNIT: u64 = 512;
/// What a BIOS loads if nobody says how much: one sector of the file system, in which loaders have their own loader.
const BIOS_UNITS: u16 = 4;

/// Which firmware starts an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// BIOS of a PC: the image is loaded and run.
    Bios,
    /// UEFI: the image is a FAT file system with `EFI/BOOT`.
    Efi,
}

impl Platform {
    fn id(self) -> u8 {
        match self {
            Platform::Bios => 0,
            Platform::Efi => 0xef,
        }
    }
}

/// An image that machines start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootEntry {
    /// The firmware that it is for.
    pub platform: Platform,
    /// The file.
    pub image: Node,
    /// How many units of 512 bytes are loaded; without it 4 for BIOS, and for UEFI all, or up to the end of the medium
    /// if all is more than 16 bits can say.
    pub load_units: Option<u16>,
    /// Whether bytes 8 to 63 of the image are replaced by what isolinux and GRUB look for there: where the volume
    /// descriptor and the image are, how large the image is and its checksum.
    pub info_table: bool,
    /// Whether bytes 2548 to 2555 of the image are replaced by where its second sector of 2048 bytes goes on, in units
    /// of 512 bytes, as GRUB's `cdboot` wants it.
    pub grub2: bool,
}

impl BootEntry {
    /// Returns an entry whose image is taken as it is.
    pub fn new(platform: Platform, image: Node) -> BootEntry {
        BootEntry { platform, image, load_units: None, info_table: false, grub2: false }
    }

    /// Returns how large the image has to be, and what for.
    pub(super) fn least_size(&self) -> Option<(u64, &'static str)> {
        match (self.grub2, self.info_table) {
            (true, _) => Some((super::patch::GRUB2_END, "GRUB's table")),
            (false, true) => Some((super::patch::INFO_END, "the boot information table")),
            (false, false) => None,
        }
    }

    fn units(&self, size: u64) -> u16 {
        match (self.load_units, self.platform) {
            (Some(units), _) => units,
            (None, Platform::Bios) => BIOS_UNITS,
            // Zero is up to the end of the medium (UEFI 13.3.2.1).
            (None, Platform::Efi) => u16::try_from(size.div_ceil(UNIT)).unwrap_or(0),
        }
    }

    fn encode(&self, bytes: &mut [u8], size: u64, sector: u32) {
        // Bootable, without emulation of another medium, at the usual segment.
        bytes[0] = 0x88;
        put_u16(bytes, 6, self.units(size));
        put_u32(bytes, 8, sector);
    }
}

/// Returns the catalog of entries, each with the size of its image and where that is. There is one at least.
pub(super) fn encode(entries: &[(BootEntry, u64, u32)]) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR];
    let Some(((first, size, sector), others)) = entries.split_first() else { return bytes };
    bytes[0] = 1;
    bytes[1] = first.platform.id();
    bytes[30..32].copy_from_slice(&[0x55, 0xaa]);
    let checksum = sum(&bytes[..ENTRY_LEN]).wrapping_neg();
    put_u16(&mut bytes, 28, checksum);
    first.encode(&mut bytes[ENTRY_LEN..2 * ENTRY_LEN], *size, *sector);
    for (index, (entry, size, sector)) in others.iter().enumerate() {
        let at = (2 + 2 * index) * ENTRY_LEN;
        let is_last = index + 1 == others.len();
        bytes[at] = if is_last { 0x91 } else { 0x90 };
        bytes[at + 1] = entry.platform.id();
        put_u16(&mut bytes, at + 2, 1);
        entry.encode(&mut bytes[at + ENTRY_LEN..at + 2 * ENTRY_LEN], *size, *sector);
    }
    bytes
}

fn sum(entry: &[u8]) -> u16 {
    (0..ENTRY_LEN).step_by(2).fold(0, |sum: u16, at| sum.wrapping_add(get_u16(entry, at)))
}

/// An entry of a catalog, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartEntry {
    /// The number of the platform: 0 for BIOS, 0xef for UEFI.
    pub platform: u8,
    /// Whether it may be started.
    pub is_bootable: bool,
    /// Which medium is emulated: 0 for none.
    pub media: u8,
    /// How many units of 512 bytes are loaded.
    pub units: u16,
    /// Where the image begins.
    pub sector: u32,
}

fn entry(platform: u8, bytes: &[u8]) -> StartEntry {
    StartEntry {
        platform,
        is_bootable: bytes[0] == 0x88,
        media: bytes[1] & 15,
        units: get_u16(bytes, 6),
        sector: get_u32(bytes, 8),
    }
}

/// Reads a catalog, of which there is one sector.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<StartEntry>, ReadError> {
    let corrupt = |problem: &str| ReadError::corrupt("the boot catalog", problem);
    let mut rest = bytes.chunks_exact(ENTRY_LEN);
    let validation = rest.next().filter(|entry| entry[0] == 1 && entry[30..32] == [0x55, 0xaa]);
    let validation = validation.ok_or_else(|| corrupt("it does not begin with its mark"))?;
    if sum(validation) != 0 {
        return Err(corrupt("its checksum is wrong"));
    }
    let is_entry = |bytes: &[u8]| matches!(bytes[0], 0 | 0x88);
    let first = rest.next().filter(|bytes| is_entry(bytes));
    let mut entries = vec![entry(validation[1], first.ok_or_else(|| corrupt("it has no first entry"))?)];
    while let Some(header) = rest.next().filter(|header| matches!(header[0], 0x90 | 0x91)) {
        for _ in 0..get_u16(header, 2) {
            let found = rest.next().filter(|bytes| is_entry(bytes));
            entries.push(entry(header[1], found.ok_or_else(|| corrupt("a section has fewer entries"))?));
        }
        if header[0] == 0x91 {
            break;
        }
    }
    Ok(entries)
}
