//! The same tree is always the same tar.
//!
//! A root file system is an ordered list of layers; a layer is one tar blob in a canonical form: sorted,
//! normalised, with owners, modes, extended attributes, devices and hard links as data. This crate writes
//! that form ([`Writer`], [`Builder`]), reads it back strictly ([`Reader`]), reads other people's archives with
//! suspicion ([`ForeignReader`]), and merges layers into one tree ([`Tree`]) whose contents stay in the layers'
//! files until somebody reads them. A layer can be had as plain files ([`write_plain`]); what a tree becomes (an
//! archive, a file system) is left to others.

mod builder;
mod entry;
mod foreign;
mod header;
mod merge;
mod path;
mod plain;
mod read_at;
mod reader;
mod sequence;
mod tree;
mod writer;

pub use builder::{BuildError, Builder, Content, Declaration};
pub use entry::{Entry, EntryError, Kind, Metadata, OPAQUE_NAME, WHITEOUT_PREFIX};
pub use foreign::{ForeignContent, ForeignError, ForeignReader, Limits};
pub use header::HeaderError;
pub use merge::TreeError;
pub use path::{EntryPath, PathError};
pub use plain::{PlainError, write_plain};
pub use read_at::ReadAt;
pub use reader::{Located, ReadError, Reader};
pub use sequence::SequenceError;
pub use tree::{
    ContentReader, Extent, Item, Layer, Node, NodeId, NodeKind, ResolveError, Statistics, Tree, write_layer,
};
pub use writer::{WriteError, Writer};
