//! Extended attributes: sets of names and values, each stored once, and long or repeated values once for all sets.

use std::collections::BTreeMap;

use super::bytes::{Fields, Put};
use super::error::Error;
use super::pack::Packer;
use super::table::{Table, write_blocks};
use crate::output::Output;

/// The prefixes that have a number, which is their place.
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
/// The bit of a type that says that the value is elsewhere.
const ELSEWHERE: u16 = 0x100;
const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 65536;
/// Longer values are stored apart from the names, so that a list of names is short.
const INLINE_MAX: usize = 128;
/// What stands for a value that is elsewhere: a reference.
const REFERENCE_LEN: usize = 8;

/// A name without its prefix, and a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attribute {
    prefix: u16,
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
        let found = PREFIXES
            .iter()
            .zip(0..)
            .find_map(|(text, prefix)| Some((prefix, full_name.strip_prefix(*text)?)));
        let (prefix, name) = found.filter(|(_, name)| !name.is_empty()).ok_or(Refusal::Name)?;
        if full_name.len() > MAX_NAME || name.contains(&0) {
            return Err(Refusal::Name);
        }
        if value.len() > MAX_VALUE {
            return Err(Refusal::Size);
        }
        Ok(Attribute { prefix, name: name.to_vec(), value: value.to_vec() })
    }

    /// Returns the size that the format counts: the name with a NUL, and the value.
    fn counted(&self) -> usize {
        PREFIXES[usize::from(self.prefix)].len() + self.name.len() + 1 + self.value.len()
    }
}

/// Writes all sets, and returns where the header of their table is.
pub(super) fn write(
    packer: &mut Packer,
    output: &mut Output<'_>,
    sets: &[Vec<Attribute>],
) -> Result<u64, Error> {
    let mut table = Table::new();
    let mut known: BTreeMap<&[u8], u64> = BTreeMap::new();
    let mut ids = Vec::new();
    let stored_value = |value: &[u8]| {
        let mut bytes = Vec::with_capacity(value.len() + 4);
        bytes.put_u32(value.len() as u32);
        bytes.extend_from_slice(value);
        bytes
    };
    for set in sets {
        for attribute in set.iter().filter(|attribute| attribute.value.len() > INLINE_MAX) {
            if !known.contains_key(&attribute.value[..]) {
                known.insert(&attribute.value, table.reference(table.length())?);
                table.append(packer, &stored_value(&attribute.value))?;
            }
        }
        ids.put_u64(table.reference(table.length())?);
        ids.put_u32(u32::try_from(set.len()).map_err(|_| Error::TreeTooLarge)?);
        let counted: usize = set.iter().map(Attribute::counted).sum();
        ids.put_u32(u32::try_from(counted).map_err(|_| Error::TreeTooLarge)?);
        for attribute in set {
            let place = known.get(&attribute.value[..]).copied();
            let mut bytes = Vec::new();
            bytes.put_u16(attribute.prefix | if place.is_some() { ELSEWHERE } else { 0 });
            bytes.put_u16(attribute.name.len() as u16);
            bytes.extend_from_slice(&attribute.name);
            table.append(packer, &bytes)?;
            match place {
                Some(reference) => table.append(packer, &stored_value(&reference.to_le_bytes()))?,
                None => {
                    // What is longer than a reference can be referred to from now on.
                    if attribute.value.len() > REFERENCE_LEN {
                        known.insert(&attribute.value, table.reference(table.length())?);
                    }
                    table.append(packer, &stored_value(&attribute.value))?;
                }
            }
        }
    }
    table.finish(packer)?;
    let start = output.position();
    table.drain(output)?;
    let places = write_blocks(packer, output, &ids)?;
    let header = output.position();
    let mut bytes = Vec::new();
    bytes.put_u64(start);
    bytes.put_u32(u32::try_from(sets.len()).map_err(|_| Error::TreeTooLarge)?);
    bytes.put_u32(0);
    for place in places {
        bytes.put_u64(place);
    }
    output.append(&bytes)?;
    Ok(header)
}

/// The head of an attribute as it is stored.
pub(super) struct Head {
    prefix: &'static [u8],
    pub(super) name_len: usize,
    pub(super) is_elsewhere: bool,
}

impl Head {
    pub(super) const LEN: usize = 4;

    pub(super) fn decode(bytes: &[u8; Head::LEN]) -> Result<Head, &'static str> {
        let mut fields = Fields(bytes);
        let (kind, length) = (fields.u16().unwrap_or_default(), fields.u16().unwrap_or_default());
        let prefix = PREFIXES.get(usize::from(kind & !ELSEWHERE)).ok_or("the prefix of a name is unknown")?;
        Ok(Head { prefix, name_len: length.into(), is_elsewhere: kind & ELSEWHERE != 0 })
    }

    pub(super) fn full_name(&self, name: &[u8]) -> Vec<u8> {
        [self.prefix, name].concat()
    }

    /// Says whether a value can be so long.
    pub(super) fn is_value_len(length: u32) -> bool {
        length as usize <= MAX_VALUE
    }
}
