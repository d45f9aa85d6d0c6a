//! Names bytes and keeps them: digests, directory trees, stores.
//!
//! Everything that Bootwright builds is a blob or a tree of blobs, named by SHA-256 as in the Remote
//! Execution API v2. What the blobs mean (actions, images, packages) is left to the other crates.

mod digest;
mod directory;
mod proto;
mod store;

pub use digest::{Digest, ParseDigestError};
pub use directory::{Directory, DirectoryError, Node};
pub use store::{MemoryStore, Store, StoreError};
