//! Reading: descriptors, path tables, the boot catalog, contents.

use layer::ReadAt;

use super::bytes::{get_both_u16, get_both_u32};
use super::eltorito::{self, StartEntry};
use super::error::ReadError;
use super::record::{Extent, Record};
use super::rock::{self, System};
use super::volume::{BOOT, JOLIET, MAGIC, PRIMARY, SUPPLEMENTARY, TERMINATOR};
use super::{SECTOR, SYSTEM_AREA};
use crate::bytes::get_u32;

/// How many descriptors are read: others have three or four.
const MOST_DESCRIPTORS: u32 = 64;

/// An ISO 9660 file system that is read. It trusts nothing that the image says.
pub struct Reader<R> {
    source: R,
    /// How many bytes there are.
    size: u64,
    pub(super) primary: Volume,
    pub(super) joliet: Option<Volume>,
    /// How many bytes of a record are before the Rock Ridge fields, if there are such.
    pub(super) rock: Option<usize>,
    catalog: Option<u32>,
    boot: Vec<StartEntry>,
}

/// What a descriptor of a tree says.
pub(super) struct Volume {
    pub(super) bytes: Vec<u8>,
    pub(super) sectors: u32,
    pub(super) table_len: u32,
    pub(super) tables: [u32; 2],
    pub(super) root: Extent,
}

/// Which tree is walked, and what of it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The first tree with its Rock Ridge fields. If it has none, what records say.
    RockRidge,
    /// The first tree with the names of records.
    Plain,
    /// The second tree, with long names and little else.
    Joliet,
}

impl<R: ReadAt> Reader<R> {
    /// Opens a file system. Fails if its descriptors or its boot catalog contradict themselves or the image's size.
    pub fn open(source: R) -> Result<Reader<R>, ReadError> {
        let size = source.size().map_err(|source| ReadError::Io { offset: 0, length: 0, source })?;
        let (mut primary, mut joliet, mut catalog) = (None, None, None);
        for number in SYSTEM_AREA..SYSTEM_AREA + MOST_DESCRIPTORS {
            let at = u64::from(number) * SECTOR as u64;
            if at + SECTOR as u64 > size {
                break;
            }
            let bytes = read(&source, at, SECTOR)?;
            if bytes[1..6] != *MAGIC {
                break;
            }
            match bytes[0] {
                BOOT if bytes[7..39] == *eltorito::SYSTEM_ID => catalog = Some(get_u32(&bytes, 71)),
                PRIMARY if primary.is_none() => primary = Some(Volume::decode(bytes, "primary")?),
                SUPPLEMENTARY if JOLIET.iter().any(|level| bytes[88..91] == level[..]) => {
                    joliet = Some(Volume::decode(bytes, "Joliet")?);
                }
                TERMINATOR => break,
                _ => {}
            }
        }
        let primary = primary.ok_or(ReadError::NotIso)?;
        let mut reader = Reader { source, size, primary, joliet, rock: None, catalog, boot: Vec::new() };
        for volume in std::iter::once(&reader.primary).chain(&reader.joliet) {
            if u64::from(volume.sectors) * SECTOR as u64 > size {
                return Err(ReadError::corrupt(
                    "the volume descriptor",
                    "the file system is larger than the image",
                ));
            }
            reader.check_extent("the root directory", volume.root)?;
        }
        if let Some(sector) = catalog {
            let bytes = reader.bytes("the boot catalog", Extent { sector, size: SECTOR as u32 })?;
            reader.boot = eltorito::decode(&bytes)?;
        }
        reader.rock = reader.find_rock_ridge()?;
        Ok(reader)
    }

    /// Returns the name of the volume.
    pub fn volume_id(&self) -> String {
        self.primary.text(40, 72)
    }

    /// Returns the images that machines start from, in the order of the catalog.
    pub fn boot(&self) -> &[StartEntry] {
        &self.boot
    }

    /// Returns the sector of the boot catalog.
    pub(super) fn catalog(&self) -> Option<u32> {
        self.catalog
    }

    /// Says whether there is such a view.
    pub fn has(&self, view: View) -> bool {
        match view {
            View::RockRidge => self.rock.is_some(),
            View::Plain => true,
            View::Joliet => self.joliet.is_some(),
        }
    }

    /// Returns how many bytes the image has.
    pub(super) fn image_size(&self) -> u64 {
        self.size
    }

    /// Fills the buffer with what is in a file from `offset` on; its extents are those of an entry.
    pub fn read_data(&self, extents: &[Extent], offset: u64, mut buffer: &mut [u8]) -> Result<(), ReadError> {
        let mut start = 0;
        let mut offset = offset;
        for extent in extents {
            if buffer.is_empty() {
                break;
            }
            let end = start + u64::from(extent.size);
            if offset < end {
                let length = buffer.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
                let (part, rest) = std::mem::take(&mut buffer).split_at_mut(length);
                self.read_at(u64::from(extent.sector) * SECTOR as u64 + offset - start, part)?;
                offset += length as u64;
                buffer = rest;
            }
            start = end;
        }
        if !buffer.is_empty() {
            return Err(ReadError::Io {
                offset,
                length: buffer.len(),
                source: std::io::ErrorKind::UnexpectedEof.into(),
            });
        }
        Ok(())
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let length = buffer.len();
        self.source.read_exact_at(buffer, offset).map_err(|source| ReadError::Io { offset, length, source })
    }

    /// Fails unless an extent is in the image.
    pub(super) fn check_extent(&self, what: &str, extent: Extent) -> Result<(), ReadError> {
        let end = u64::from(extent.sector) * SECTOR as u64 + u64::from(extent.size);
        if extent.size > 0 && end > self.size {
            return Err(ReadError::corrupt(what, "it is outside of the image"));
        }
        Ok(())
    }

    /// Returns the bytes of an extent, which is small or was paid for.
    pub(super) fn bytes(&self, what: &str, extent: Extent) -> Result<Vec<u8>, ReadError> {
        self.check_extent(what, extent)?;
        read(&self.source, u64::from(extent.sector) * SECTOR as u64, extent.size as usize)
    }

    /// Looks for the field that says that there are others, in the root's record of itself.
    fn find_rock_ridge(&self) -> Result<Option<usize>, ReadError> {
        let root = self.primary.root;
        if (root.size as usize) < SECTOR {
            return Err(ReadError::corrupt("the root directory", "it has less than a sector"));
        }
        let bytes = self.bytes("the root directory", Extent { size: SECTOR as u32, ..root })?;
        let (record, _) =
            Record::decode(&bytes).map_err(|problem| ReadError::corrupt("the root directory", problem))?;
        let Some(skip) = rock::shared(&record.system) else { return Ok(None) };
        let System { posix, .. } = self.system("the root directory", &record.system)?;
        Ok(posix.is_some().then_some(skip))
    }
}

fn read(source: &impl ReadAt, offset: u64, length: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = vec![0; length];
    source.read_exact_at(&mut bytes, offset).map_err(|source| ReadError::Io { offset, length, source })?;
    Ok(bytes)
}

impl Volume {
    fn decode(bytes: Vec<u8>, what: &str) -> Result<Volume, ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(format!("the {what} volume descriptor"), problem);
        let differ = || corrupt("the two forms of a number differ");
        let sectors = get_both_u32(&bytes, 80).ok_or_else(differ)?;
        let block = get_both_u16(&bytes, 128).ok_or_else(differ)?;
        if usize::from(block) != SECTOR {
            return Err(ReadError::Unsupported { what: format!("blocks of {block} bytes") });
        }
        let table_len = get_both_u32(&bytes, 132).ok_or_else(differ)?;
        let tables = [get_u32(&bytes, 140), get_u32(&bytes, 148).swap_bytes()];
        let (root, _) = Record::decode(&bytes[156..190]).map_err(corrupt)?;
        if !root.is_directory() {
            return Err(corrupt("its root is not a directory"));
        }
        Ok(Volume { sectors, table_len, tables, root: root.extent, bytes })
    }

    /// Returns a text of the descriptor, without the spaces behind it.
    pub(super) fn text(&self, from: usize, to: usize) -> String {
        let text = self.bytes[from..to].trim_ascii_end();
        let text: &[u8] = text.split(|byte| *byte == 0).next().unwrap_or_default();
        text.escape_ascii().to_string()
    }
}
