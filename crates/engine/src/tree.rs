//! Reading trees, with everything decoded once, and collecting the blobs of new ones.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use cas::{Digest, Directory, DirectoryError, Node, Store, StoreError};

/// A map by digest.
pub(crate) type DigestMap<V> = HashMap<Digest, V, BuildHasherDefault<DigestHasher>>;

/// Trees that go deeper are refused, so that recursion over them fits any stack. Real trees have a few dozen
/// levels.
pub(crate) const MAX_DEPTH: usize = 1024;

/// How many symbolic links are followed before we take them for a loop, as in Linux.
const MAX_LINKS: usize = 40;

/// Why a tree could not be read or put together.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob that should be a directory is none.
    #[error("could not read directory {digest}")]
    NotDirectory {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        source: DirectoryError,
    },
    /// Directories are nested deeper than any file system allows.
    #[error("directories are nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A placement's path is not a relative path of plain names.
    #[error("`{path}` is no path to place an input at")]
    BadPath {
        /// The path.
        path: String,
    },
    /// Only a directory can be placed at the root of a tree.
    #[error("only a directory can be placed at the root of a tree")]
    NotAtRoot,
}

impl TreeError {
    /// Returns whether a blob was missing that had been in the store once.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, TreeError::Store(StoreError::Missing { .. }))
    }
}

/// Reads directories from a store and remembers what it decoded.
pub(crate) struct Trees<'a> {
    store: &'a dyn Store,
    decoded: DigestMap<Arc<Directory>>,
}

impl<'a> Trees<'a> {
    pub(crate) fn new(store: &'a dyn Store) -> Trees<'a> {
        Trees { store, decoded: DigestMap::default() }
    }

    /// Returns the store that it reads.
    pub(crate) fn store(&self) -> &'a dyn Store {
        self.store
    }

    /// Returns the directory of that digest. The empty one need not be in the store.
    pub(crate) fn directory(&mut self, digest: &Digest) -> Result<Arc<Directory>, TreeError> {
        if let Some(directory) = self.decoded.get(digest) {
            return Ok(directory.clone());
        }
        let directory = if digest.size() == 0 {
            Directory::default()
        } else {
            let bytes = self.store.read(digest)?;
            Directory::decode(&bytes).map_err(|source| TreeError::NotDirectory { digest: *digest, source })?
        };
        let directory = Arc::new(directory);
        self.decoded.insert(*digest, directory.clone());
        Ok(directory)
    }

    /// Returns what is at `path` below the directory `root`, or `None` when nothing is. Symbolic links are
    /// followed, also by the last name, and lead nowhere outside of `root`, which is what an absolute link
    /// starts from.
    pub(crate) fn lookup(&mut self, root: &Digest, path: &str) -> Result<Option<Node>, TreeError> {
        let mut here = *root;
        let mut names = path.split('/').filter(|name| !name.is_empty());
        while let Some(name) = names.next() {
            let directory = self.directory(&here)?;
            match directory.entries.get(name) {
                Some(Node::Directory { digest }) => here = *digest,
                Some(file @ Node::File { .. }) => {
                    return Ok(names.next().is_none().then(|| file.clone()));
                }
                Some(Node::Symlink { .. }) => return self.follow(root, path),
                None if matches!(name, "." | "..") => return self.follow(root, path),
                None => return Ok(None),
            }
        }
        Ok(Some(Node::Directory { digest: here }))
    }

    fn follow(&mut self, root: &Digest, path: &str) -> Result<Option<Node>, TreeError> {
        let mut above: Vec<Digest> = vec![*root];
        let mut rest: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut n_links = 0;
        while let Some(name) = rest.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    if above.len() > 1 {
                        above.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let here = above.last().expect("the root is never popped");
            let directory = self.directory(here)?;
            match directory.entries.get(&name) {
                None => return Ok(None),
                Some(Node::Directory { digest }) => above.push(*digest),
                Some(file @ Node::File { .. }) => {
                    // A file has nothing below it; `a/file/..` is nothing either, as for the kernel.
                    return Ok(rest.is_empty().then(|| file.clone()));
                }
                Some(Node::Symlink { target }) => {
                    n_links += 1;
                    if n_links > MAX_LINKS {
                        return Ok(None);
                    }
                    if target.starts_with('/') {
                        above.truncate(1);
                    }
                    rest.extend(target.rsplit('/').map(str::to_owned));
                }
            }
            if above.len() > MAX_DEPTH {
                return Err(TreeError::TooDeep);
            }
        }
        let digest = *above.last().expect("the root is never popped");
        Ok(Some(Node::Directory { digest }))
    }

    /// Returns whether every blob of the tree is in the store.
    pub(crate) fn is_complete(&self, root: &Digest) -> Result<bool, TreeError> {
        let mut seen: DigestMap<()> = DigestMap::default();
        let mut unseen = vec![*root];
        while let Some(digest) = unseen.pop() {
            if digest.size() == 0 || seen.insert(digest, ()).is_some() {
                continue;
            }
            // Read again although it may have been decoded before: that is what is asked.
            let bytes = match self.store.read(&digest) {
                Ok(bytes) => bytes,
                Err(StoreError::Missing { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let directory =
                Directory::decode(&bytes).map_err(|source| TreeError::NotDirectory { digest, source })?;
            for node in directory.entries.values() {
                match node {
                    Node::Directory { digest } => unseen.push(*digest),
                    Node::File { digest, .. } if !is_stored(self.store, digest)? => return Ok(false),
                    Node::File { .. } | Node::Symlink { .. } => {}
                }
            }
        }
        Ok(true)
    }

    /// Takes the directories among `blobs` for read, although no store has them.
    pub(crate) fn adopt(&mut self, blobs: &Blobs) {
        for blob in blobs.iter() {
            // The other messages are under digests that nobody will take for a directory's.
            if let Ok(directory) = Directory::decode(blob) {
                self.decoded.insert(Digest::of(blob), Arc::new(directory));
            }
        }
    }

    /// Forgets what was decoded, so that blobs which went missing are noticed.
    pub(crate) fn forget(&mut self) {
        self.decoded.clear();
    }
}

/// Returns whether the blob is in the store. The empty blob is everywhere, as the API has it.
pub(crate) fn is_stored(store: &dyn Store, digest: &Digest) -> Result<bool, StoreError> {
    Ok(digest.size() == 0 || store.contains(digest)?)
}

/// Blobs that are known by digest but not yet in a store: most turn out to be there already, since the
/// action that they belong to ran before.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Blobs {
    /// Adds the blob that `write` appends, and returns its digest.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Digest {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
        Digest::of(&self.bytes[start..])
    }

    /// Adds the empty blob, which is also the empty directory, and returns its digest.
    pub(crate) fn push_empty(&mut self) -> Digest {
        self.push(|_| ())
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Returns them in the order in which they were pushed: children before their parents.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    pub(crate) fn write_to(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.iter().try_for_each(|blob| store.write(blob).map(drop))
    }
}

/// Takes eight bytes of a SHA-256 as they are: nothing spreads better.
#[derive(Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    // The derived `Hash` of a digest also feeds lengths and the size; they add nothing.
    fn write_usize(&mut self, _: usize) {}
    fn write_u64(&mut self, _: u64) {}
}
