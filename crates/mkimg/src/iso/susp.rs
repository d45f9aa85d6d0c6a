//! Rock Ridge: what Unix knows of a file, in fields behind the identifier of its record.
//!
//! System Use Sharing Protocol 1.12 for how fields go on elsewhere, Rock Ridge Interchange Protocol 1.12 for what is
//! in them. What does not fit into a record goes into a continuation area, which stays within a sector, since kernels
//! read no further.

use super::SECTOR;
use super::bytes::both_u32;
use super::date::short;
use crate::tree::{Content, Node, Tree};

/// The longest field.
const MOST_FIELD: usize = 255;
/// The size of the field that says where the fields go on.
const CE_LEN: usize = 28;
/// `NM` and `SL`: the next field goes on with it.
const CONTINUED: u8 = 1;
/// What tells the extension: the identifier of RRIP 1.12 (RRIP 4.3).
const EXTENSION: &[u8] = b"IEEE_1282";

pub(super) const S_IFIFO: u32 = 0o010_000;
pub(super) const S_IFCHR: u32 = 0o020_000;
pub(super) const S_IFDIR: u32 = 0o040_000;
pub(super) const S_IFBLK: u32 = 0o060_000;
pub(super) const S_IFREG: u32 = 0o100_000;
pub(super) const S_IFLNK: u32 = 0o120_000;
pub(super) const S_IFSOCK: u32 = 0o140_000;

fn field(signature: &[u8; 2], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + data.len());
    bytes.extend_from_slice(signature);
    bytes.push((4 + data.len()) as u8);
    bytes.push(1);
    bytes.extend_from_slice(data);
    bytes
}

/// Returns the fields of what `node` is; `name` is there unless it stands for itself or the directory above. The serial
/// number tells which names are of one file.
pub(super) fn fields(tree: &Tree, node: Node, serial: u32, name: Option<&[u8]>) -> Vec<Vec<u8>> {
    let declared = &tree.nodes[node.index()];
    let metadata = &declared.metadata;
    let kind = match declared.content {
        Content::Directory(_) => S_IFDIR,
        Content::File { .. } => S_IFREG,
        Content::Symlink(_) => S_IFLNK,
        Content::CharDevice { .. } => S_IFCHR,
        Content::BlockDevice { .. } => S_IFBLK,
        Content::Fifo => S_IFIFO,
        Content::Socket => S_IFSOCK,
    };
    let links = match tree.directory(node) {
        Some(directory) => directory.n_subdirectories.saturating_add(2),
        None => declared.links,
    };
    let mut fields = Vec::new();
    let posix = [kind | u32::from(metadata.mode), links, metadata.uid, metadata.gid, serial];
    fields.push(field(b"PX", &posix.map(both_u32).concat()));
    // Modification, access, change of attributes, in the form of records.
    let time = short(metadata.mtime);
    fields.push(field(b"TF", &[&[0x0e], &time[..], &time, &time].concat()));
    if let Content::CharDevice { major, minor } | Content::BlockDevice { major, minor } = declared.content {
        let (high, low) = device_number(major, minor);
        fields.push(field(b"PN", &[both_u32(high), both_u32(low)].concat()));
    }
    if let Some(name) = name {
        let most = MOST_FIELD - 5;
        let n_pieces = name.len().div_ceil(most);
        for (index, piece) in name.chunks(most).enumerate() {
            let flags = if index + 1 < n_pieces { CONTINUED } else { 0 };
            fields.push(field(b"NM", &[&[flags], piece].concat()));
        }
    }
    if let Content::Symlink(target) = declared.content {
        fields.extend(link(tree.text(target)));
    }
    fields
}

/// Returns the halves of a device's number. Linux takes the lower one apart if the upper one is zero, as `mkisofs`
/// wrote them first; what does not fit there is in both.
fn device_number(major: u16, minor: u32) -> (u32, u32) {
    match u8::try_from(minor) {
        Ok(minor) => (0, u32::from(major) << 8 | u32::from(minor)),
        Err(_) => (major.into(), minor),
    }
}

/// Returns the fields before those of the root's own record: that there are any, and of which kind.
pub(super) fn root_fields() -> [Vec<u8>; 2] {
    let extension = [&[EXTENSION.len() as u8, 0, 0, 1], EXTENSION].concat();
    [field(b"SP", &[0xbe, 0xef, 0]), field(b"ER", &extension)]
}

/// Returns the fields of a link's target: its components, some of them in several pieces.
fn link(target: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Vec::new();
    let mut data = vec![0];
    let mut push = |flags: u8, piece: &[u8]| {
        if data.len() + 2 + piece.len() > MOST_FIELD - 4 {
            data[0] = CONTINUED;
            fields.push(field(b"SL", &data));
            data = vec![0];
        }
        data.extend_from_slice(&[flags, piece.len() as u8]);
        data.extend_from_slice(piece);
    };
    let mut rest = target;
    if let Some(relative) = target.strip_prefix(b"/") {
        push(8, &[]);
        rest = relative;
    }
    // The root alone has no further components.
    if !rest.is_empty() {
        for component in rest.split(|byte| *byte == b'/') {
            match component {
                b"." => push(2, &[]),
                b".." => push(4, &[]),
                b"" => push(0, &[]),
                _ => {
                    let most = MOST_FIELD - 4 - 1 - 2;
                    let n_pieces = component.len().div_ceil(most);
                    for (index, piece) in component.chunks(most).enumerate() {
                        push(if index + 1 < n_pieces { CONTINUED } else { 0 }, piece);
                    }
                }
            }
        }
    }
    fields.push(field(b"SL", &data));
    fields
}

/// The continuation areas of a directory, in sectors that follow it.
pub(super) struct Areas {
    /// The first of the sectors.
    pub(super) start: u32,
    pub(super) bytes: Vec<u8>,
}

impl Areas {
    /// Keeps an area, and returns its sector and its place in that.
    fn place(&mut self, area: &[u8]) -> (u32, usize) {
        let used = self.bytes.len() % SECTOR;
        if used > 0 && used + area.len() > SECTOR {
            self.bytes.resize(self.bytes.len().next_multiple_of(SECTOR), 0);
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(area);
        // Only a directory that is too large for any image has more of them; sealing refuses that.
        (self.start.wrapping_add((at / SECTOR) as u32), at % SECTOR)
    }

    /// Returns what goes into a record that has `room` for fields; the rest goes into areas.
    pub(super) fn divide(&mut self, fields: &[Vec<u8>], room: usize) -> Vec<u8> {
        let (own, mut rest) = take(fields, room);
        let mut chunks = vec![own];
        while !rest.is_empty() {
            let (chunk, left) = take(rest, SECTOR);
            chunks.push(chunk);
            rest = left;
        }
        // From the end, since each says where the next one is.
        let mut next = Vec::new();
        for chunk in chunks.drain(1..).rev() {
            let area = [chunk, next].concat();
            let (sector, offset) = self.place(&area);
            let place = [sector, offset as u32, area.len() as u32].map(both_u32).concat();
            next = field(b"CE", &place);
        }
        [chunks.swap_remove(0), next].concat()
    }
}

/// Returns the fields that fit into `room`, if need be beside one that says where the others are, and the others.
fn take(fields: &[Vec<u8>], room: usize) -> (Vec<u8>, &[Vec<u8>]) {
    let total: usize = fields.iter().map(Vec::len).sum();
    if total <= room {
        return (fields.concat(), &[]);
    }
    let mut taken = Vec::new();
    let mut rest = fields;
    while let Some((first, others)) = rest.split_first() {
        if taken.len() + first.len() + CE_LEN > room {
            break;
        }
        taken.extend_from_slice(first);
        rest = others;
    }
    (taken, rest)
}

/// Says whether a device's number comes back.
pub(super) fn is_device(major: u16, minor: u32) -> bool {
    major != 0 || minor < 256
}
