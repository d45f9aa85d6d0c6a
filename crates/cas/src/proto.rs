//! The messages of the Remote Execution API v2 that name trees, as far as we write them.
//!
//! Field numbers are those of `build/bazel/remote/execution/v2/remote_execution.proto`. They are declared
//! here instead of taken from a crate because the one that has them brings a gRPC stack along.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Digest {
    #[prost(string, tag = "1")]
    pub(crate) hash: String,
    #[prost(int64, tag = "2")]
    pub(crate) size_bytes: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FileNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<Digest>,
    #[prost(bool, tag = "4")]
    pub(crate) is_executable: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DirectoryNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<Digest>,
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
}
