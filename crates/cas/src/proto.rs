//! The messages of the Remote Execution API v2 that name trees, as far as we write them.
//!
//! Field numbers are those of `build/bazel/remote/execution/v2/remote_execution.proto`. They are declared
//! here instead of taken from a crate because the one that has them brings a gRPC stack along.

use prost::Message;

use crate::Digest;

/// The message `Digest`: a [`Digest`] as it stands in messages, where it may be malformed.
#[derive(Clone, PartialEq, Message)]
pub struct DigestMessage {
    /// The hash in hexadecimal digits.
    #[prost(string, tag = "1")]
    pub hash: String,
    /// The size in bytes.
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}

impl DigestMessage {
    /// Returns the digest; `None` if the message is malformed.
    pub fn digest(&self) -> Option<Digest> {
        Digest::from_hex(&self.hash, u64::try_from(self.size_bytes).ok()?)
    }
}

impl From<&Digest> for DigestMessage {
    fn from(digest: &Digest) -> DigestMessage {
        // A blob of 8 EiB does not exist; the message's field is signed.
        DigestMessage { hash: digest.hex(), size_bytes: digest.size() as i64 }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FileNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<DigestMessage>,
    #[prost(bool, tag = "4")]
    pub(crate) is_executable: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DirectoryNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<DigestMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SymlinkNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) target: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Directory {
    #[prost(message, repeated, tag = "1")]
    pub(crate) files: Vec<FileNode>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) directories: Vec<DirectoryNode>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) symlinks: Vec<SymlinkNode>,
}

// The stat cache, which is ours alone.

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatEntry {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(uint64, tag = "2")]
    pub(crate) size: u64,
    #[prost(int64, tag = "3")]
    pub(crate) modified_seconds: i64,
    #[prost(int64, tag = "4")]
    pub(crate) modified_nanoseconds: i64,
    #[prost(int64, tag = "5")]
    pub(crate) changed_seconds: i64,
    #[prost(int64, tag = "6")]
    pub(crate) changed_nanoseconds: i64,
    #[prost(uint64, tag = "7")]
    pub(crate) inode: u64,
    #[prost(uint64, tag = "8")]
    pub(crate) device: u64,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) hash: Vec<u8>,
    #[prost(uint64, tag = "10")]
    pub(crate) digest_size: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatCache {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<StatEntry>,
    /// The run of the machine that it was saved in.
    #[prost(string, tag = "2")]
    pub(crate) boot: String,
}

/// What a source looked like, and what it came to.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Glance {
    #[prost(message, optional, tag = "1")]
    pub(crate) whole: Option<DigestMessage>,
    #[prost(message, optional, tag = "2")]
    pub(crate) tree: Option<DigestMessage>,
    #[prost(uint64, tag = "3")]
    pub(crate) n_files: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) n_bytes: u64,
    /// When it was looked at, in seconds since 1970.
    #[prost(int64, tag = "6")]
    pub(crate) now: i64,
    /// Whether any file has other names.
    #[prost(bool, tag = "7")]
    pub(crate) has_links: bool,
    /// What to ask a watcher by for what changed since.
    #[prost(string, tag = "8")]
    pub(crate) instance: String,
    #[prost(uint64, tag = "9")]
    pub(crate) sequence: u64,
    /// An encoded [`GlanceDirectories`], which is not needed when nothing changed. Not the field 5 of earlier versions,
    /// which take every directory in it for one that had not just changed.
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) directories: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GlanceDirectory {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) own: Option<DigestMessage>,
    #[prost(message, optional, tag = "3")]
    pub(crate) tree: Option<DigestMessage>,
    #[prost(uint64, tag = "4")]
    pub(crate) n_files: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) n_bytes: u64,
    /// When a file in it last changed, in seconds since 1970.
    #[prost(int64, tag = "6")]
    pub(crate) latest: i64,
    #[prost(bool, tag = "7")]
    pub(crate) has_links: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GlanceDirectories {
    #[prost(message, repeated, tag = "1")]
    pub(crate) directories: Vec<GlanceDirectory>,
}

// What is said between a build and who watches its sources, each message behind its length (32 bits, little endian).

/// What changed of a source?
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchQuestion {
    #[prost(uint32, tag = "1")]
    pub(crate) protocol: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) directory: Vec<u8>,
    #[prost(string, repeated, tag = "3")]
    pub(crate) ignore: Vec<String>,
    #[prost(uint64, tag = "4")]
    pub(crate) device: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) inode: u64,
    /// Since when; empty for nothing that is known.
    #[prost(string, tag = "6")]
    pub(crate) instance: String,
    #[prost(uint64, tag = "7")]
    pub(crate) sequence: u64,
}

/// What changed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchAnswer {
    #[prost(uint32, tag = "1")]
    pub(crate) protocol: u32,
    /// What to ask by the next time; empty when it is not watched.
    #[prost(string, tag = "2")]
    pub(crate) instance: String,
    #[prost(uint64, tag = "3")]
    pub(crate) sequence: u64,
    /// Whether anything may have changed.
    #[prost(bool, tag = "4")]
    pub(crate) anything: bool,
    /// Else, where something did.
    #[prost(message, repeated, tag = "5")]
    pub(crate) directories: Vec<WatchedDirectory>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchedDirectory {
    #[prost(string, repeated, tag = "1")]
    pub(crate) parts: Vec<String>,
    /// Whether everything below it may be new, too.
    #[prost(bool, tag = "2")]
    pub(crate) below: bool,
}
