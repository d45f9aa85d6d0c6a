//! Extended attributes: what fits behind the inode's fields goes there, the rest into one block that inodes with the
//! same attributes share.
//!
//! Kernel documentation, ext4, "Extended Attributes".

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bytes::{get_u16, get_u32, put_u16, put_u32};
use super::checksum::{Checksum, seal_xattr_block};
use super::inode::{FIELDS_END, LEN as INODE_LEN};

const MAGIC: u32 = 0xea02_0000;
const HEADER_LEN: usize = 32;
const ENTRY_LEN: usize = 16;

/// How many inodes can share a block.
pub(super) const MAX_REFERENCES: u32 = 1024;

/// Prefixes of names that are stored as a number; the two ACLs are whole names.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (ACL_ACCESS, b"system.posix_acl_access"),
    (ACL_DEFAULT, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];
const ACL_ACCESS: u8 = 2;
const ACL_DEFAULT: u8 = 3;

/// One attribute as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attribute {
    /// The number of the name's prefix.
    index: u8,
    /// The rest of the name.
    name: Box<[u8]>,
    value: Box<[u8]>,
}

/// Why an attribute cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Name,
    Acl,
}

impl Attribute {
    /// Returns the attribute with this full name.
    pub(super) fn new(name: &[u8], value: &[u8]) -> Result<Attribute, Refusal> {
        let prefix = PREFIXES.iter().find(|(_, prefix)| name.starts_with(prefix));
        let (index, rest) =
            prefix.map(|(index, prefix)| (*index, &name[prefix.len()..])).ok_or(Refusal::Name)?;
        let is_acl = matches!(index, ACL_ACCESS | ACL_DEFAULT);
        if rest.is_empty() != is_acl || rest.len() > 255 || rest.contains(&0) {
            return Err(Refusal::Name);
        }
        let value = if is_acl { acl_to_disk(value).ok_or(Refusal::Acl)? } else { value.to_vec() };
        Ok(Attribute { index, name: rest.into(), value: value.into() })
    }

    /// Returns the full name and the value as `getxattr` has it.
    fn into_pair(self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (_, prefix) = PREFIXES.iter().find(|(index, _)| *index == self.index)?;
        let is_acl = matches!(self.index, ACL_ACCESS | ACL_DEFAULT);
        let value = if is_acl { acl_from_disk(&self.value)? } else { self.value.into_vec() };
        Some(([prefix, &*self.name].concat(), value))
    }

    fn entry_len(&self) -> usize {
        ENTRY_LEN + padded(self.name.len())
    }

    fn len(&self) -> usize {
        self.entry_len() + padded(self.value.len())
    }

    fn order(&self) -> (u8, usize, &[u8]) {
        (self.index, self.name.len(), &self.name)
    }
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// Turns the value that `setxattr` takes for an ACL into the one that is stored: only named users and groups keep
/// their number. Returns nothing if it is not an ACL.
fn acl_to_disk(value: &[u8]) -> Option<Vec<u8>> {
    let (header, entries) = value.split_first_chunk::<4>()?;
    if *header != 2u32.to_le_bytes() || entries.is_empty() || !entries.len().is_multiple_of(8) {
        return None;
    }
    let mut stored = 1u32.to_le_bytes().to_vec();
    for entry in entries.chunks_exact(8) {
        match get_u16(entry, 0) {
            2 | 8 => stored.extend(entry),
            1 | 4 | 0x10 | 0x20 => stored.extend(&entry[..4]),
            _ => return None,
        }
    }
    Some(stored)
}

fn acl_from_disk(stored: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = stored.split_first_chunk::<4>()?;
    if *header != 1u32.to_le_bytes() {
        return None;
    }
    let mut value = 2u32.to_le_bytes().to_vec();
    while !rest.is_empty() {
        let tag = get_u16(rest.get(..2)?, 0);
        let len = if matches!(tag, 2 | 8) { 8 } else { 4 };
        value.extend(rest.get(..len)?);
        if len == 4 {
            value.extend([0xff; 4]);
        }
        rest = &rest[len..];
    }
    Some(value)
}

/// The attributes of an inode, divided into where they go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Placed {
    /// The bytes behind the inode's fields; empty if there are none.
    pub(super) inline: Box<[u8]>,
    /// The attributes of the block; empty if it needs none.
    pub(super) block: Arc<[Attribute]>,
}

/// Divides attributes, given in any order. Returns the index of the first that does not fit anywhere.
pub(super) fn place(attributes: &[Attribute], block_len: usize) -> Result<Placed, usize> {
    let mut sorted: Vec<usize> = (0..attributes.len()).collect();
    sorted.sort_by(|a, b| attributes[*a].order().cmp(&attributes[*b].order()));
    // Each table of entries ends with four zero bytes.
    let mut inline_room = INODE_LEN - FIELDS_END - 4 - 4;
    let mut block_room = block_len - HEADER_LEN - 4;
    let [mut inline, mut block] = [Vec::new(), Vec::new()];
    for index in sorted {
        let attribute = &attributes[index];
        if attribute.len() <= inline_room {
            inline_room -= attribute.len();
            inline.push(attribute.clone());
        } else if attribute.len() <= block_room {
            block_room -= attribute.len();
            block.push(attribute.clone());
        } else {
            return Err(index);
        }
    }
    let mut bytes = Vec::new();
    if !inline.is_empty() {
        bytes.resize(INODE_LEN - FIELDS_END, 0);
        put_u32(&mut bytes, 0, MAGIC);
        // The kernel does not keep hashes of attributes in inodes, and a hash of zero is not checked.
        put_entries(&mut bytes[4..], 0, &inline, |_| 0);
    }
    Ok(Placed { inline: bytes.into(), block: block.into() })
}

/// Writes entries from `start` on and their values from the end of `bytes` backwards.
fn put_entries(bytes: &mut [u8], start: usize, attributes: &[Attribute], hash: impl Fn(&Attribute) -> u32) {
    let mut at = start;
    let mut value_at = bytes.len();
    for attribute in attributes {
        let len = attribute.value.len();
        if len > 0 {
            value_at -= padded(len);
            bytes[value_at..value_at + len].copy_from_slice(&attribute.value);
            put_u16(bytes, at + 2, value_at as u16);
        }
        bytes[at] = attribute.name.len() as u8;
        bytes[at + 1] = attribute.index;
        put_u32(bytes, at + 8, len as u32);
        put_u32(bytes, at + 12, hash(attribute));
        bytes[at + ENTRY_LEN..at + ENTRY_LEN + attribute.name.len()].copy_from_slice(&attribute.name);
        at += attribute.entry_len();
    }
}

/// Returns the hash of an attribute in a block. Kernels before 6.2 took the bytes of names as signed on some
/// architectures; the difference shows only in names that are not ASCII.
fn entry_hash(name: &[u8], value: &[u8], byte: fn(u8) -> u32) -> u32 {
    let hash = name.iter().fold(0u32, |hash, char| hash.rotate_left(5) ^ byte(*char));
    value.chunks(4).fold(hash, |hash, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}

fn unsigned(byte: u8) -> u32 {
    u32::from(byte)
}

fn signed(byte: u8) -> u32 {
    i32::from(byte.cast_signed()).cast_unsigned()
}

/// Writes the block at `address` that `references` inodes share into `bytes`.
pub(super) fn write_block(
    attributes: &[Attribute],
    references: u32,
    address: u64,
    seed: Checksum,
    bytes: &mut [u8],
) {
    bytes.fill(0);
    put_u32(bytes, 0x0, MAGIC);
    put_u32(bytes, 0x4, references);
    put_u32(bytes, 0x8, 1);
    let hash = |attribute: &Attribute| entry_hash(&attribute.name, &attribute.value, unsigned);
    // One attribute without a hash makes the whole block have none.
    let hashes: Vec<u32> = attributes.iter().map(hash).collect();
    let whole = if hashes.contains(&0) {
        0
    } else {
        hashes.iter().fold(0u32, |all, hash| all.rotate_left(16) ^ hash)
    };
    put_u32(bytes, 0xc, whole);
    put_entries(bytes, HEADER_LEN, attributes, hash);
    seal_xattr_block(bytes, address, seed);
}

/// Reads the attributes behind an inode's fields into `found`. Says what is wrong with them.
pub(super) fn read_inline(tail: &[u8], found: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), &'static str> {
    if tail.len() < 8 || get_u32(tail, 0) != MAGIC {
        return Ok(());
    }
    read_entries(&tail[4..], 0, found)
}

/// Reads the attributes of a block into `found`. Says what is wrong with them.
pub(super) fn read_block(bytes: &[u8], found: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), &'static str> {
    if get_u32(bytes, 0) != MAGIC || get_u32(bytes, 8) != 1 || get_u32(bytes, 4) == 0 {
        return Err("its block of extended attributes has no header");
    }
    read_entries(bytes, HEADER_LEN, found)
}

/// Returns how many inodes say that they share this block.
pub(super) fn block_references(bytes: &[u8]) -> u32 {
    get_u32(bytes, 4)
}

fn read_entries(
    bytes: &[u8],
    start: usize,
    found: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(), &'static str> {
    const BROKEN: &str = "an extended attribute does not fit into its place";
    let mut at = start;
    // Values have no bytes in common: 200 of a block each would be far more than it has.
    let mut left = bytes.len();
    loop {
        if at + 4 > bytes.len() {
            return Err(BROKEN);
        }
        if get_u32(bytes, at) == 0 {
            return Ok(());
        }
        if at + ENTRY_LEN > bytes.len() {
            return Err(BROKEN);
        }
        let name = bytes.get(at + ENTRY_LEN..at + ENTRY_LEN + usize::from(bytes[at])).ok_or(BROKEN)?;
        if get_u32(bytes, at + 4) != 0 {
            return Err("an extended attribute is stored in an inode of its own, which is not supported");
        }
        let len = usize::try_from(get_u32(bytes, at + 8)).map_err(|_| BROKEN)?;
        let value_at = usize::from(get_u16(bytes, at + 2));
        let end = value_at.checked_add(len).ok_or(BROKEN)?;
        let value = if len == 0 { &[][..] } else { bytes.get(value_at..end).ok_or(BROKEN)? };
        left = left.checked_sub(len).ok_or("the values of its extended attributes overlap")?;
        let hash = get_u32(bytes, at + 12);
        if hash != 0 && ![unsigned, signed].iter().any(|byte| entry_hash(name, value, *byte) == hash) {
            return Err("the hash of an extended attribute is wrong");
        }
        let attribute = Attribute { index: bytes[at + 1], name: name.into(), value: value.into() };
        at += attribute.entry_len();
        let (name, value) = attribute.into_pair().ok_or("an extended attribute has an unknown form")?;
        if found.insert(name, value).is_some() {
            return Err("an extended attribute is there twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&[u8], &[u8])]) -> Vec<Attribute> {
        pairs.iter().map(|(name, value)| Attribute::new(name, value).unwrap()).collect()
    }

    #[track_caller]
    fn check(pairs: &[(&[u8], &[u8])], is_inline: bool, in_block: usize) {
        let placed = place(&attributes(pairs), 1024).unwrap();
        assert_eq!((!placed.inline.is_empty(), placed.block.len()), (is_inline, in_block));
        let mut found = BTreeMap::new();
        read_inline(&placed.inline, &mut found).unwrap();
        if in_block > 0 {
            let mut block = vec![9; 1024];
            write_block(&placed.block, 3, 77, Checksum::new(), &mut block);
            assert_eq!(block_references(&block), 3);
            read_block(&block, &mut found).unwrap();
        }
        let expected = pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn attributes_go_into_the_inode_and_then_into_the_block() {
        let acl = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 233, 3, 0, 0, 0x10, 0, 6, 0, 255, 255,
            255, 255,
        ];
        check(&[(b"user.a", b"")], true, 0);
        check(&[(b"security.capability", &[1; 20]), (b"user.b", b"12345")], true, 0);
        check(
            &[(b"system.posix_acl_access", &acl), (b"trusted.x", &[7; 100]), (b"user.y", &[8; 400])],
            true,
            2,
        );
        check(&[(b"user.\xff\x80", &[3; 300])], false, 1);
    }

    #[test]
    fn values_have_no_bytes_in_common() {
        let mut block = vec![0; 1024];
        write_block(&attributes(&[(b"user.a", &[8; 600])]), 1, 77, Checksum::new(), &mut block);
        // The same entry for another name.
        block.copy_within(HEADER_LEN..HEADER_LEN + 20, HEADER_LEN + 20);
        block[HEADER_LEN + 20 + ENTRY_LEN] = b'b';
        put_u32(&mut block, HEADER_LEN + 20 + 12, 0);
        let said = read_block(&block, &mut BTreeMap::new());
        assert_eq!(said, Err("the values of its extended attributes overlap"));
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        for name in ["user.", "system.other", "plain", "system.posix_acl_accessx"] {
            assert_eq!(Attribute::new(name.as_bytes(), b""), Err(Refusal::Name), "{name}");
        }
        assert_eq!(Attribute::new(b"system.posix_acl_default", b"\x02\0\0\0\x03"), Err(Refusal::Acl));
        let set = attributes(&[(b"user.a", &[0; 900]), (b"user.b", &[0; 50]), (b"user.c", &[0; 90])]);
        assert_eq!(place(&set, 1024), Err(2));
    }
}
