//! Extended attributes: beside the inode that has them, or once for several inodes behind everything else.

use std::collections::BTreeMap;

use super::error::Error;
use crate::bytes::{get_u16, get_u32};

/// The prefixes that have a number (`EROFS_XATTR_INDEX_…`).
const PREFIXES: [(u8, &[u8]); 3] = [(1, b"user."), (4, b"trusted."), (6, b"security.")];
/// Whole names that have a number.
const NAMES: [(u8, &[u8]); 2] = [(2, b"system.posix_acl_access"), (3, b"system.posix_acl_default")];
const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 65535;
/// The size of `struct erofs_xattr_ibody_header`.
pub(super) const HEADER_LEN: usize = 12;
/// The size of what comes before a name.
pub(super) const ENTRY_LEN: usize = 4;
/// The most that can be beside an inode, which counts it in units of four bytes.
pub(super) const MAX_BODY: usize = HEADER_LEN + (u16::MAX as usize - 1) * UNIT;
/// What everything is aligned to.
pub(super) const UNIT: usize = 4;

/// A name without its prefix, and a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attribute {
    index: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Why an attribute cannot be stored.
pub(super) enum Refusal {
    Name,
    Size,
}

impl Attribute {
    pub(super) fn new(full_name: &[u8], value: &[u8]) -> Result<Attribute, Refusal> {
        let whole = NAMES.iter().find(|(_, name)| *name == full_name);
        let prefixed = || {
            let found =
                PREFIXES.iter().find_map(|(index, text)| Some((*index, full_name.strip_prefix(*text)?)));
            found.filter(|(_, name)| !name.is_empty())
        };
        let (index, name) =
            whole.map(|(index, _)| (*index, &[][..])).or_else(prefixed).ok_or(Refusal::Name)?;
        if full_name.len() > MAX_NAME || name.contains(&0) {
            return Err(Refusal::Name);
        }
        if value.len() > MAX_VALUE {
            return Err(Refusal::Size);
        }
        Ok(Attribute { index, name: name.to_vec(), value: value.to_vec() })
    }

    fn len(&self) -> usize {
        (ENTRY_LEN + self.name.len() + self.value.len()).next_multiple_of(UNIT)
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.name.len() as u8);
        bytes.push(self.index);
        bytes.extend_from_slice(&(self.value.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&self.value);
        bytes.resize(bytes.len().next_multiple_of(UNIT), 0);
    }
}

/// Returns the size of what is beside an inode with these attributes and so many shared ones.
pub(super) fn body_len<'a>(attributes: impl Iterator<Item = &'a Attribute>, n_shared: usize) -> usize {
    HEADER_LEN + UNIT * n_shared + attributes.map(Attribute::len).sum::<usize>()
}

/// Attributes that several inodes have.
#[derive(Default)]
pub(super) struct Shared {
    /// Where each is, in units of four bytes.
    places: BTreeMap<Attribute, u32>,
    /// All of them as they are stored.
    pub(super) bytes: Vec<u8>,
}

/// An inode says with a byte how many attributes are elsewhere.
const MAX_SHARED: usize = 255;

impl Shared {
    /// Decides for the sets of attributes that inodes have, each with the number of those.
    pub(super) fn new<'a>(sets: impl Iterator<Item = (&'a Vec<Attribute>, usize)>) -> Result<Shared, Error> {
        let mut counts: BTreeMap<&Attribute, usize> = BTreeMap::new();
        for (set, n_inodes) in sets {
            for attribute in set {
                *counts.entry(attribute).or_default() += n_inodes;
            }
        }
        let mut shared = Shared::default();
        for (attribute, n_inodes) in counts {
            if n_inodes * attribute.len() > attribute.len() + n_inodes * UNIT {
                let place = u32::try_from(shared.bytes.len() / UNIT).map_err(|_| Error::TreeTooLarge)?;
                attribute.put(&mut shared.bytes);
                shared.places.insert(attribute.clone(), place);
            }
        }
        Ok(shared)
    }

    /// Returns what is beside an inode that has these attributes.
    pub(super) fn body(&self, set: &[Attribute]) -> Vec<u8> {
        let mut places = Vec::new();
        let mut inline = Vec::new();
        for attribute in set {
            match self.places.get(attribute).filter(|_| places.len() < MAX_SHARED) {
                Some(place) => places.push(*place),
                None => inline.push(attribute),
            }
        }
        // The filter of names is not used; what it is without is zero.
        let mut bytes = vec![0; HEADER_LEN];
        bytes[4] = places.len() as u8;
        bytes.extend(places.iter().flat_map(|place| place.to_le_bytes()));
        inline.iter().for_each(|attribute| attribute.put(&mut bytes));
        bytes
    }
}

/// An attribute as it is stored, read from what begins with it.
pub(super) struct Found<'a> {
    pub(super) name: Vec<u8>,
    pub(super) value: &'a [u8],
    /// Its size with what aligns the next one.
    pub(super) len: usize,
}

/// Returns the size of the attribute that begins with `head`.
pub(super) fn entry_len(head: &[u8; ENTRY_LEN]) -> usize {
    (ENTRY_LEN + usize::from(head[0]) + usize::from(get_u16(head, 2))).next_multiple_of(UNIT)
}

impl Found<'_> {
    pub(super) fn decode(bytes: &[u8]) -> Result<Found<'_>, &'static str> {
        let head = bytes.first_chunk::<ENTRY_LEN>().ok_or("an attribute ends early")?;
        let (name_len, value_len) = (usize::from(head[0]), usize::from(get_u16(head, 2)));
        let rest = &bytes[ENTRY_LEN..];
        let (name, rest) = rest.split_at_checked(name_len).ok_or("an attribute ends early")?;
        let value = rest.get(..value_len).ok_or("an attribute ends early")?;
        let prefix = PREFIXES.iter().chain(&NAMES).find(|(index, _)| *index == head[1]);
        let (_, prefix) = prefix.ok_or("the prefix of a name is unknown")?;
        Ok(Found { name: [*prefix, name].concat(), value, len: entry_len(head) })
    }
}

/// Takes what is beside an inode apart: the places of shared attributes, and the others.
pub(super) fn split(body: &[u8]) -> Result<(Vec<u32>, &[u8]), &'static str> {
    let n_shared = usize::from(*body.get(4).ok_or("its attributes end early")?);
    let rest = body.get(HEADER_LEN..).ok_or("its attributes end early")?;
    let (places, rest) = rest.split_at_checked(n_shared * UNIT).ok_or("its attributes end early")?;
    Ok((places.chunks_exact(UNIT).map(|place| get_u32(place, 0)).collect(), rest))
}
