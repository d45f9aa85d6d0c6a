//! Blobs, read (Devicetree Specification v0.4, chapter 5).

use crate::name::{FormError, MAX_DEPTH, MAX_NAME, no_duplicates, node_name, path, property_name};
use crate::tree::{Node, Property, Region, Tree};

/// Begins every blob (5.2).
pub(crate) const MAGIC: u32 = 0xd00d_feed;
/// The version that is written, and the oldest that is read.
pub(crate) const VERSION: u32 = 17;
/// The bytes of the header (5.2).
pub(crate) const HEADER: usize = 40;
/// The bytes of an entry of the memory reservation block (5.3.2).
pub(crate) const RESERVATION: usize = 16;

/// The tokens of the structure block (5.4.1).
pub(crate) mod token {
    pub(crate) const BEGIN_NODE: u32 = 1;
    pub(crate) const END_NODE: u32 = 2;
    pub(crate) const PROP: u32 = 3;
    pub(crate) const NOP: u32 = 4;
    pub(crate) const END: u32 = 9;
}

/// The bytes are not a flattened device tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It begins with something else.
    #[error("the blob does not begin with the magic number of a device tree")]
    Magic,
    /// The format of another time.
    #[error("the blob has version {version}, compatible with {last_compatible}, and not 17")]
    Version {
        /// Its version.
        version: u32,
        /// The oldest version whose readers understand it.
        last_compatible: u32,
    },
    /// Something that should be in the blob is not, or not all of it.
    #[error("the {what} ends after the {total} bytes that there are")]
    Bounds {
        /// What it is.
        what: &'static str,
        /// Where there is nothing more.
        total: usize,
    },
    /// A block that does not begin where one may.
    #[error("the {block} begins at byte {offset}, which is not a multiple of {alignment}")]
    Alignment {
        /// Which.
        block: &'static str,
        /// Where it begins.
        offset: usize,
        /// What that has to be a multiple of.
        alignment: usize,
    },
    /// Two blocks share bytes.
    #[error("the {first} and the {second} overlap")]
    Overlap {
        /// The one that begins first.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A token that may not be there, or is none at all.
    #[error("the structure block has the token {token:#x} at byte {at}, which may not be there")]
    Token {
        /// The token.
        token: u32,
        /// Where in the structure block it is.
        at: usize,
    },
    /// What no tree may have.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Something comes after the end.
    #[error("the structure block goes on after its end, at byte {at}")]
    Trailing {
        /// Where in the structure block.
        at: usize,
    },
}

impl Tree {
    /// Reads a blob of version 17. What follows the size that its header states is left alone.
    ///
    /// Fails for everything that the specification forbids about the form, and for names that `dtc` would not
    /// take. Padding may have any value. What the properties say is not looked at; see [`check`](crate::check).
    pub fn parse(bytes: &[u8]) -> Result<Tree, ReadError> {
        if word(bytes, 0) != Some(MAGIC) {
            return Err(ReadError::Magic);
        }
        let short = || ReadError::Bounds { what: "header", total: bytes.len() };
        let field = |index: usize| word(bytes, index * 4).ok_or_else(short);
        let (total, structure, strings, reservations) = (field(1)?, field(2)?, field(3)?, field(4)?);
        let (version, compatible, boot_cpu) = (field(5)?, field(6)?, field(7)?);
        let (n_strings, n_structure) = (field(8)?, field(9)?);
        if version < VERSION || compatible > VERSION {
            return Err(ReadError::Version { version, last_compatible: compatible });
        }
        let total = total as usize;
        let blob = match bytes.get(..total) {
            Some(blob) if total >= HEADER => blob,
            _ => return Err(ReadError::Bounds { what: "blob", total: bytes.len().min(total) }),
        };
        let structure = Block::new("structure block", structure, n_structure, 4);
        let strings = Block::new("strings block", strings, n_strings, 1);
        let start = Block::new("memory reservation block", reservations, 0, 8);
        start.of(blob)?;
        let list =
            read_reservations(&blob[start.offset..]).ok_or(ReadError::Bounds { what: start.name, total })?;
        let reservations = Block { size: (list.len() + 1) * RESERVATION, ..start };
        let (tokens, names) = (structure.of(blob)?, strings.of(blob)?);
        let mut blocks = [Block::new("header", 0, HEADER as u32, 1), reservations, structure, strings];
        blocks.sort_by_key(|block| (block.offset, block.size));
        for pair in blocks.windows(2) {
            if pair[0].offset + pair[0].size > pair[1].offset {
                return Err(ReadError::Overlap { first: pair[0].name, second: pair[1].name });
            }
        }
        let root = Structure { tokens, names, at: 0 }.read()?;
        Ok(Tree { reservations: list, boot_cpu, root })
    }
}

/// A part of the blob.
#[derive(Clone, Copy)]
struct Block {
    name: &'static str,
    offset: usize,
    size: usize,
    alignment: usize,
}

impl Block {
    fn new(name: &'static str, offset: u32, size: u32, alignment: usize) -> Block {
        Block { name, offset: offset as usize, size: size as usize, alignment }
    }

    /// Returns the block's bytes.
    fn of(self, blob: &[u8]) -> Result<&[u8], ReadError> {
        if !self.offset.is_multiple_of(self.alignment) {
            return Err(ReadError::Alignment {
                block: self.name,
                offset: self.offset,
                alignment: self.alignment,
            });
        }
        let rest = blob.get(self.offset..).and_then(|rest| rest.get(..self.size));
        rest.ok_or(ReadError::Bounds { what: self.name, total: blob.len() })
    }
}

/// Reads entries up to the one of zeros (5.3.2); none when there is no such entry.
fn read_reservations(bytes: &[u8]) -> Option<Vec<Region>> {
    let mut list = Vec::new();
    for entry in bytes.chunks_exact(RESERVATION) {
        let (address, size) = entry.split_at(8);
        let [address, size] =
            [address, size].map(|half| half.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        if (address, size) == (0, 0) {
            return Some(list);
        }
        list.push(Region { address, size });
    }
    None
}

/// The structure block while it is read (5.4).
struct Structure<'a> {
    tokens: &'a [u8],
    names: &'a [u8],
    at: usize,
}

impl Structure<'_> {
    fn read(mut self) -> Result<Node, ReadError> {
        let mut open: Vec<Node> = Vec::new();
        let root = loop {
            let at = self.at;
            match self.word()? {
                token::NOP => {}
                token::BEGIN_NODE if open.len() == MAX_DEPTH => {
                    return Err(FormError::Depth { node: path(&open) }.into());
                }
                token::BEGIN_NODE => {
                    let name = self.node_name(&open)?;
                    open.push(Node { name, ..Node::default() });
                }
                // Properties come before nodes (5.4.2).
                token::PROP if open.last().is_some_and(|node| node.children.is_empty()) => {
                    let property = self.property(&open)?;
                    if let Some(node) = open.last_mut() {
                        node.properties.push(property);
                    }
                }
                token::END_NODE => {
                    no_duplicates(&open)?;
                    let node = open.pop().ok_or(ReadError::Token { token: token::END_NODE, at })?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(node),
                        None => break node,
                    }
                }
                token => return Err(ReadError::Token { token, at }),
            }
        };
        loop {
            let at = self.at;
            match self.word()? {
                token::NOP => {}
                token::END if self.at == self.tokens.len() => return Ok(root),
                token::END => return Err(ReadError::Trailing { at: self.at }),
                token => return Err(ReadError::Token { token, at }),
            }
        }
    }

    /// Reads the name of a node in the last of `open`.
    fn node_name(&mut self, open: &[Node]) -> Result<String, ReadError> {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == 0).ok_or(self.short())?;
        let name = &rest[..length];
        self.at = (self.at + length + 1).next_multiple_of(4);
        if !open.is_empty() {
            return Ok(node_name(name)
                .map_err(|source| FormError::Name { node: path(open), source })?
                .to_owned());
        }
        if !name.is_empty() {
            let shown = name.get(..MAX_NAME).unwrap_or(name).escape_ascii().to_string();
            return Err(FormError::Root { name: shown }.into());
        }
        Ok(String::new())
    }

    /// Reads a property of the last of `open`.
    fn property(&mut self, open: &[Node]) -> Result<Property, ReadError> {
        let (length, name) = (self.word()? as usize, self.word()? as usize);
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        let value = rest.get(..length).ok_or(self.short())?.to_vec();
        self.at = (self.at + length).next_multiple_of(4);
        let outside = ReadError::Bounds { what: "name of a property", total: self.names.len() };
        let Some(rest) = self.names.get(name..) else { return Err(outside) };
        // What is longer than a name may be is refused as such; its end is not looked for.
        let rest = rest.get(..=MAX_NAME + 1).unwrap_or(rest);
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        if end == rest.len() && end <= MAX_NAME {
            return Err(outside);
        }
        let name =
            property_name(&rest[..end]).map_err(|source| FormError::Name { node: path(open), source })?;
        Ok(Property { name: name.to_owned(), value })
    }

    fn word(&mut self) -> Result<u32, ReadError> {
        let word = word(self.tokens, self.at).ok_or(self.short())?;
        self.at += 4;
        Ok(word)
    }

    fn short(&self) -> ReadError {
        ReadError::Bounds { what: "structure block", total: self.tokens.len() }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}
