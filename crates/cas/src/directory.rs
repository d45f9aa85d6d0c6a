//! One level of a directory tree, in the canonical encoding of the Remote Execution API v2.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::{Digest, DigestMessage, proto};

/// One level of a tree: names, each a file, a directory or a symbolic link.
///
/// Names are unique and sorted by construction. A name is valid when it is not empty, `.` or `..` and has
/// neither a slash nor a NUL; [`Directory::decode`] refuses others, callers who insert must hold to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// The entries by name.
    pub entries: BTreeMap<String, Node>,
}

/// What a name in a directory stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A regular file. Of its mode only the executable bit is kept.
    File {
        /// The digest of its content.
        digest: Digest,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A directory: the digest of its encoded [`Directory`].
    Directory {
        /// The digest of its encoded [`Directory`].
        digest: Digest,
    },
    /// A symbolic link and the text it points to.
    Symlink {
        /// The text of the link, verbatim.
        target: String,
    },
}

/// The bytes are not a canonical `Directory` message.
#[derive(Debug, thiserror::Error)]
#[error("not a canonical directory message: {reason}")]
pub struct DirectoryError {
    reason: String,
}

impl Directory {
    /// Returns the canonical encoding: fields in order, entries of each kind sorted by name, as the API
    /// demands so that equal directories have equal digests.
    pub fn encode(&self) -> Vec<u8> {
        let mut message = proto::Directory::default();
        for (name, node) in &self.entries {
            let name = name.clone();
            match node {
                Node::File { digest, executable } => message.files.push(proto::FileNode {
                    name,
                    digest: Some(digest.into()),
                    is_executable: *executable,
                }),
                Node::Directory { digest } => {
                    message.directories.push(proto::DirectoryNode { name, digest: Some(digest.into()) })
                }
                Node::Symlink { target } => {
                    message.symlinks.push(proto::SymlinkNode { name, target: target.clone() });
                }
            }
        }
        message.encode_to_vec()
    }

    /// Returns the directory that `bytes` encode.
    ///
    /// Fails when they are no `Directory` message, when a name is invalid or occurs twice, or when a digest
    /// is missing or malformed.
    pub fn decode(bytes: &[u8]) -> Result<Directory, DirectoryError> {
        let message = proto::Directory::decode(bytes).map_err(|error| refuse(error.to_string()))?;
        let mut directory = Directory::default();
        for file in message.files {
            let digest = from_message(file.digest, &file.name)?;
            directory.insert_unique(file.name, Node::File { digest, executable: file.is_executable })?;
        }
        for child in message.directories {
            let digest = from_message(child.digest, &child.name)?;
            directory.insert_unique(child.name, Node::Directory { digest })?;
        }
        for link in message.symlinks {
            directory.insert_unique(link.name, Node::Symlink { target: link.target })?;
        }
        Ok(directory)
    }

    fn insert_unique(&mut self, name: String, node: Node) -> Result<(), DirectoryError> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(refuse(format!("`{}` is not a file name", name.escape_debug())));
        }
        match self.entries.insert(name.clone(), node) {
            None => Ok(()),
            Some(_) => Err(refuse(format!("`{name}` occurs twice"))),
        }
    }
}

fn refuse(reason: String) -> DirectoryError {
    DirectoryError { reason }
}

fn from_message(message: Option<DigestMessage>, name: &str) -> Result<Digest, DirectoryError> {
    message
        .and_then(|message| message.digest())
        .ok_or_else(|| refuse(format!("the digest of `{name}` is missing or malformed")))
}
