//! Volume descriptors: what the file system is called, how large it is, and where its root is (ECMA-119 8).

use super::SECTOR;
use super::bytes::{put_both_u16, put_both_u32};
use super::date::{UNSPECIFIED, long};
use super::eltorito;
use super::options::{Labels, Options};
use crate::bytes::put_u32;

pub(super) const BOOT: u8 = 0;
pub(super) const PRIMARY: u8 = 1;
pub(super) const SUPPLEMENTARY: u8 = 2;
pub(super) const TERMINATOR: u8 = 255;
pub(super) const MAGIC: &[u8; 5] = b"CD001";
/// What says that the identifiers are UTF-16: level 3 of UCS-2 (Joliet, "Escape Sequences").
const UCS_2: &[u8; 3] = b"%/E";
/// Escape sequences of all three levels.
pub(super) const JOLIET: [&[u8; 3]; 3] = [b"%/@", b"%/C", UCS_2];

/// What a descriptor of a tree refers to.
pub(super) struct Volume<'a> {
    pub(super) options: &'a Options,
    /// How many sectors there are.
    pub(super) sectors: u32,
    /// How many bytes a path table has.
    pub(super) table_len: u32,
    /// Where the path tables are: with little-endian and with big-endian numbers.
    pub(super) tables: [u32; 2],
    /// The record of the root.
    pub(super) root: Vec<u8>,
}

/// Returns a sector with the head of a descriptor.
fn start(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR];
    bytes[0] = kind;
    bytes[1..6].copy_from_slice(MAGIC);
    bytes[6] = 1;
    bytes
}

/// Returns the descriptor that ends the list of them.
pub(super) fn terminator() -> Vec<u8> {
    start(TERMINATOR)
}

/// Returns the boot record, which says where the catalog is.
pub(super) fn boot_record(catalog: u32) -> Vec<u8> {
    let mut bytes = start(BOOT);
    bytes[7..39].copy_from_slice(eltorito::SYSTEM_ID);
    put_u32(&mut bytes, 71, catalog);
    bytes
}

impl Volume<'_> {
    /// Returns the descriptor of the primary tree.
    pub(super) fn primary(&self) -> Vec<u8> {
        self.encode(PRIMARY, |text, place| {
            place.fill(b' ');
            place[..text.len()].copy_from_slice(text.as_bytes());
        })
    }

    /// Returns the descriptor of the Joliet tree.
    pub(super) fn joliet(&self) -> Vec<u8> {
        let mut bytes = self.encode(SUPPLEMENTARY, |text, place| {
            // Half as many characters; the rest is cut off.
            for (index, unit) in place.chunks_exact_mut(2).enumerate() {
                unit.copy_from_slice(&[0, text.as_bytes().get(index).copied().unwrap_or(b' ')]);
            }
        });
        bytes[88..91].copy_from_slice(UCS_2);
        bytes
    }

    fn encode(&self, kind: u8, put: impl Fn(&str, &mut [u8])) -> Vec<u8> {
        let Options { volume_id, labels, epoch, uuid, .. } = self.options;
        let Labels { system, volume_set, publisher, preparer, application } = labels;
        let mut bytes = start(kind);
        let texts = [
            (8, 40, system),
            (40, 72, volume_id),
            (190, 318, volume_set),
            (318, 446, publisher),
            (446, 574, preparer),
            (574, 702, application),
        ];
        for (from, to, text) in texts {
            put(text, &mut bytes[from..to]);
        }
        // Files with a copyright, an abstract and a bibliography, of which there are none.
        for (from, to) in [(702, 739), (739, 776), (776, 813)] {
            put("", &mut bytes[from..to]);
        }
        put_both_u32(&mut bytes, 80, self.sectors);
        // The only volume of its set, and the size of a block.
        for (at, value) in [(120, 1), (124, 1), (128, SECTOR as u16)] {
            put_both_u16(&mut bytes, at, value);
        }
        put_both_u32(&mut bytes, 132, self.table_len);
        put_u32(&mut bytes, 140, self.tables[0]);
        bytes[148..152].copy_from_slice(&self.tables[1].to_be_bytes());
        bytes[156..190].copy_from_slice(&self.root);
        let mut modified = long(*epoch);
        if let Some(uuid) = uuid {
            modified[..16].copy_from_slice(&uuid.0);
        }
        let dates = [(813, modified), (830, modified), (847, UNSPECIFIED), (864, UNSPECIFIED)];
        for (at, date) in dates {
            bytes[at..at + 17].copy_from_slice(&date);
        }
        bytes[881] = 1;
        bytes
    }
}
