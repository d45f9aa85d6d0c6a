//! Blobs, written (Devicetree Specification v0.4, chapter 5) as `dtc` does.

use std::collections::BTreeMap;

use crate::name::{FormError, MAX_DEPTH, no_duplicates, node_name, path, property_name};
use crate::read::{HEADER, MAGIC, RESERVATION, VERSION, token};
use crate::tree::{Node, Tree};

/// The oldest version whose readers understand what is written (5.2).
const LAST_COMPATIBLE: u32 = 16;

/// The tree cannot be a blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// What no blob may have.
    #[error(transparent)]
    Form(#[from] FormError),
    /// A reservation that would end the list (5.3.2).
    #[error("reservation {index} is empty and at address 0, which ends the list")]
    EmptyReservation {
        /// Its place in the list.
        index: usize,
    },
    /// The blob would not fit what its header can say.
    #[error("the blob would have {len} bytes or more; 4294967295 are possible")]
    TooLarge {
        /// How many it would have at least.
        len: usize,
    },
}

impl Tree {
    /// Returns the blob: header, reservations, structure and strings without gaps, version 17.
    ///
    /// The bytes are those of `dtc -O dtb` without further options. Whatever is written can be read.
    pub fn write(&self) -> Result<Vec<u8>, WriteError> {
        if let Some(index) =
            self.reservations.iter().position(|region| (region.address, region.size) == (0, 0))
        {
            return Err(WriteError::EmptyReservation { index });
        }
        if !self.root.name.is_empty() {
            return Err(FormError::Root { name: self.root.name.clone() }.into());
        }
        let mut strings = Strings::default();
        let mut structure = Vec::new();
        write_node(&mut vec![&self.root], &mut structure, &mut strings)?;
        push(&mut structure, token::END);

        let structure_at = HEADER + (self.reservations.len() + 1) * RESERVATION;
        let strings_at = structure_at + structure.len();
        let total = strings_at + strings.bytes.len();
        let header = [
            MAGIC,
            fit(total)?,
            fit(structure_at)?,
            fit(strings_at)?,
            HEADER as u32,
            VERSION,
            LAST_COMPATIBLE,
            self.boot_cpu,
            fit(strings.bytes.len())?,
            fit(structure.len())?,
        ];
        let mut blob = Vec::with_capacity(total);
        header.iter().for_each(|field| push(&mut blob, *field));
        for region in &self.reservations {
            blob.extend_from_slice(&region.address.to_be_bytes());
            blob.extend_from_slice(&region.size.to_be_bytes());
        }
        blob.extend_from_slice(&[0; RESERVATION]);
        blob.extend_from_slice(&structure);
        blob.extend_from_slice(&strings.bytes);
        Ok(blob)
    }
}

/// Writes the last of `nodes`, each of which is in the one before it.
fn write_node<'a>(
    nodes: &mut Vec<&'a Node>,
    structure: &mut Vec<u8>,
    strings: &mut Strings<'a>,
) -> Result<(), WriteError> {
    let node = nodes[nodes.len() - 1];
    let (above, name_error) = (&nodes[..nodes.len() - 1], |node, source| FormError::Name { node, source });
    if above.len() == MAX_DEPTH {
        return Err(FormError::Depth { node: path(above) }.into());
    }
    if !above.is_empty() {
        node_name(node.name.as_bytes()).map_err(|source| name_error(path(above), source))?;
    }
    no_duplicates(nodes)?;
    push(structure, token::BEGIN_NODE);
    structure.extend_from_slice(node.name.as_bytes());
    structure.push(0);
    pad(structure);
    for property in &node.properties {
        let name =
            property_name(property.name.as_bytes()).map_err(|source| name_error(path(nodes), source))?;
        push(structure, token::PROP);
        push(structure, fit(property.value.len())?);
        push(structure, strings.offset(name)?);
        structure.extend_from_slice(&property.value);
        pad(structure);
    }
    for child in &node.children {
        nodes.push(child);
        write_node(nodes, structure, strings)?;
        nodes.pop();
    }
    push(structure, token::END_NODE);
    Ok(())
}

/// The strings block (5.5): every name once, in the order of first use. A name that an earlier one ends with is
/// a part of that.
#[derive(Default)]
struct Strings<'a> {
    bytes: Vec<u8>,
    offsets: BTreeMap<&'a str, u32>,
}

impl<'a> Strings<'a> {
    fn offset(&mut self, name: &'a str) -> Result<u32, WriteError> {
        if let Some(offset) = self.offsets.get(name) {
            return Ok(*offset);
        }
        let start = self.bytes.len();
        for (index, _) in name.char_indices() {
            let offset = fit(start + index)?;
            self.offsets.entry(&name[index..]).or_insert(offset);
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        fit(start)
    }
}

fn push(bytes: &mut Vec<u8>, word: u32) {
    bytes.extend_from_slice(&word.to_be_bytes());
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn fit(len: usize) -> Result<u32, WriteError> {
    u32::try_from(len).map_err(|_| WriteError::TooLarge { len })
}
