//! Hash trees of dm-verity: every block of an image is hashed, and what is read later is checked against them.
//!
//! The format is that of `veritysetup`, version 1 (cryptsetup, `docs/on-disk-format`; Linux,
//! Documentation/admin-guide/device-mapper/verity.rst): a superblock, then the levels of the tree, the root's first.
//! Blocks are hashed on all processors, which the result does not depend on.

mod dump;
mod make;
mod superblock;
mod tree;
mod verify;

pub use dump::dump;
pub(crate) use make::write;
pub use superblock::{Hash, MAGIC, SUPERBLOCK, Superblock};
pub use tree::{Error, Tree, hash_image};
pub use verify::{ReadError, verify};
