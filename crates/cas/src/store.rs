//! Where blobs are kept: the trait, and the store in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::files::Cancelled;
use crate::{Digest, DirectoryError};

/// Keeps blobs by digest. Shared between threads; every method may be called at any time.
pub trait Store: Send + Sync {
    /// Returns whether the blob is here. A `true` must hold until the process ends.
    fn contains(&self, digest: &Digest) -> Result<bool, StoreError>;

    /// Returns the whole blob. Meant for messages and other small blobs.
    ///
    /// Fails with [`StoreError::Missing`] when it is not here.
    fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError>;

    /// Keeps `bytes` and returns their digest. Afterwards they are here whole. When the machine dies they
    /// may be gone, but never half there (see [`crate::LocalStore`] for how).
    fn write(&self, bytes: &[u8]) -> Result<Digest, StoreError>;
}

/// Why a store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The blob is not in the store.
    #[error("blob {digest} is not in the store")]
    Missing {
        /// The blob asked for.
        digest: Digest,
    },
    /// The stored bytes are not those that the digest names.
    #[error("blob {digest} is damaged: its bytes have digest {found}")]
    Damaged {
        /// The blob asked for.
        digest: Digest,
        /// What its bytes hash to.
        found: Digest,
    },
    /// The blob was to be the root of a tree, or of a part of one, and is none.
    #[error("blob {digest} is no directory")]
    NotADirectory {
        /// The blob.
        digest: Digest,
        /// What is wrong with its bytes.
        source: DirectoryError,
    },
    /// A tree can hold files, directories and symbolic links, and this is none of them.
    #[error("`{}` is a {kind}, which a tree cannot hold", path.display())]
    Special {
        /// Where it is.
        path: PathBuf,
        /// What it is: `socket`, `named pipe`, `device` …
        kind: &'static str,
    },
    /// A name or the target of a symbolic link is not UTF-8, which a tree cannot hold.
    #[error("the name or link `{}` is not UTF-8", path.display())]
    NotUtf8 {
        /// Where it is.
        path: PathBuf,
    },
    /// The file system did not do it.
    #[error("could not {doing}")]
    Io {
        /// What was being done to what, as in "write `/x/y`".
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Returns whether the cause is a full disk or an exhausted quota.
    pub fn is_storage_full(&self) -> bool {
        let StoreError::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Returns whether it was not done because nobody wants it any more: the cause is [`Cancelled`].
    pub fn is_cancelled(&self) -> bool {
        let StoreError::Io { source, .. } = self else { return false };
        source.get_ref().is_some_and(|cause| cause.is::<Cancelled>())
    }
}

/// Says what was being done when the system refused.
pub(crate) trait Doing<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::Io { doing: doing(), source: error.into() })
    }
}

/// A store that forgets everything at the end of the process; for tests.
#[derive(Default)]
pub struct MemoryStore {
    blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

impl Store for MemoryStore {
    fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.blobs.lock().unwrap_or_else(PoisonError::into_inner).contains_key(digest))
    }

    fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.get(digest).cloned().ok_or(StoreError::Missing { digest: *digest })
    }

    fn write(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, bytes.to_vec());
        Ok(digest)
    }
}
