//! Names bytes and keeps them: digests, directory trees, stores.
//!
//! Everything that Bootwright builds is a blob or a tree of blobs, named by SHA-256 as in the Remote
//! Execution API v2. What the blobs mean (actions, images, packages) is left to the other crates.

mod digest;
mod directory;
mod files;
mod glance;
mod ignore;
mod local;
mod proto;
mod remove;
mod replace;
mod source;
mod stat_cache;
mod store;
mod watch;

pub use digest::{Digest, Hasher, ParseDigestError};
pub use directory::{Directory, DirectoryError, Node};
pub use files::{Cancelled, FIXED_MTIME};
pub use glance::look;
pub use ignore::Ignore;
pub use local::{
    Freed, ImportMode, Imported, Keep, LocalStore, Note, Noted, Record, Reference, Root, Scrubbed, Texts,
};
pub use proto::DigestMessage;
pub use remove::remove_tree;
pub use replace::replace_file;
pub use stat_cache::StatCache;
pub use store::{MemoryStore, Store, StoreError};
pub use watch::{Asked, Beat, Names, Server, WatchError, Watcher, Watches};
