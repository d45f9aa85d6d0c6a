//! Archives of sources as trees: unpacked once, remembered by the archive's digest.
//!
//! This is done here, outside of any sandbox, so nothing is ever written under a name that an archive chose.
//! Contents become blobs, names only become entries of encoded directories, and links are text: there is no
//! path that an archive could lead out of the store.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write as _};

use cas::{Digest, Directory, Hasher, LocalStore, Node, Record, Reference, Store as _, StoreError};
use distro::deb::Compression;
use layer::{Entry, EntryPath, ForeignError, ForeignReader, Kind, Limits};
use local::fetch::most_unpacked;
use tempfile::NamedTempFile;

use crate::failure::Failure;

/// The kind of records that say what an archive unpacks to. Its number is raised when that changes.
const RECORDS: &str = "unpacked-2";

/// Contents up to this size are hashed and looked for before they are written.
const SMALL: u64 = 1 << 20;
/// Where a tree is checked out, the path of that place comes before those in it; together they have 4095 bytes.
const MAX_PATH: usize = 2048;

/// Returns the suffix that says how the archive at `url` is compressed, or `None` when it is no archive.
pub(crate) fn archive_suffix(url: &str) -> Option<&'static str> {
    let name = url.split(['?', '#']).next().unwrap_or(url);
    [
        (".tar", ""),
        (".tar.gz", ".gz"),
        (".tgz", ".gz"),
        (".tar.xz", ".xz"),
        (".txz", ".xz"),
        (".tar.zst", ".zst"),
        (".tar.bz2", ".bz2"),
        (".tbz2", ".bz2"),
    ]
    .into_iter()
    .find(|(ending, _)| name.ends_with(ending))
    .map(|(_, suffix)| suffix)
}

/// What an archive came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// The digest of its tree.
    pub(crate) tree: Digest,
    /// When its newest file was changed, in seconds since 1970; `None` if it has no file.
    pub(crate) date: Option<i64>,
}

/// Returns the tree in the archive, without its single top directory if it has one. `get` brings the archive
/// into the store and is called only when the tree is not remembered.
///
/// Files keep their contents and whether they are executable. Fails when the archive is damaged, has what a
/// tree cannot hold (devices, names that are not UTF-8), or is far larger than one of its size should be.
pub(crate) fn archive(
    store: &LocalStore,
    digest: &Digest,
    suffix: &str,
    name: &str,
    get: impl FnOnce() -> Result<(), Failure>,
) -> Result<Unpacked, Failure> {
    if let Some(record) = store.record(RECORDS, digest).map_err(Failure::store)?
        && let [Reference::Tree(tree)] = record.references[..]
    {
        let date = str::from_utf8(&record.payload).ok().and_then(|date| date.parse().ok());
        return Ok(Unpacked { tree, date });
    }
    get()?;
    let unpacked = unremembered(store, digest, suffix, name)?;
    let payload = unpacked.date.map(|date| date.to_string().into_bytes()).unwrap_or_default();
    let record = Record { references: vec![Reference::Tree(unpacked.tree)], payload };
    store.sync().map_err(Failure::store)?;
    store.put_record(RECORDS, digest, &record).map_err(Failure::store)?;
    Ok(unpacked)
}

/// Does the same with an archive that is in the store, without remembering it.
pub(crate) fn unremembered(
    store: &LocalStore,
    digest: &Digest,
    suffix: &str,
    name: &str,
) -> Result<Unpacked, Failure> {
    let (tree, date) =
        read_archive(store, digest, suffix, most_unpacked(digest.size())).map_err(|error| error.of(name))?;
    let tree = tree.without_single_top().write(store).map_err(Failure::store)?;
    Ok(Unpacked { tree, date })
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("its compression cannot be undone")]
    Decode(#[source] io::Error),
    #[error(transparent)]
    Archive(#[from] ForeignError),
    #[error("`{path}` cannot be read")]
    Content { path: EntryPath, source: io::Error },
    #[error("`{path}` {problem}")]
    Entry { path: EntryPath, problem: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not write `{path}`")]
    Write { path: EntryPath, source: io::Error },
}

impl UnpackError {
    /// Returns the failure to unpack the source `name`.
    fn of(self, name: &str) -> Failure {
        let is_machine = matches!(self, UnpackError::Store(_) | UnpackError::Write { .. });
        let error = NotUnpacked { name: name.to_owned(), source: self };
        if is_machine { Failure::machine(error) } else { Failure::project(error).help(HELP) }
    }
}

const HELP: &str =
    "if the archive is as it should be, give its source `unpack = false` and unpack it in a step";

#[derive(Debug, thiserror::Error)]
#[error("the archive of source `{name}` cannot be unpacked")]
struct NotUnpacked {
    name: String,
    source: UnpackError,
}

/// Returns what is in the archive, and when the newest of its files was changed.
fn read_archive(
    store: &LocalStore,
    digest: &Digest,
    suffix: &str,
    limit: u64,
) -> Result<(Tree, Option<i64>), UnpackError> {
    let compression = Compression::from_suffix(suffix).unwrap_or(Compression::None);
    let plain = compression.decode_within(store.open_blob(digest)?, limit).map_err(UnpackError::Decode)?;
    let mut reader = ForeignReader::new(BufReader::with_capacity(1 << 20, plain), Limits::default());
    let mut tree = Tree::default();
    let mut newest = None;
    while let Some((entry, mut content)) = reader.next_entry()? {
        store.go_on()?;
        let Entry { path, metadata, kind } = entry;
        let wrong = |problem| UnpackError::Entry { path: path.clone(), problem };
        if path.as_bytes().len() > MAX_PATH {
            return Err(wrong("is too long to lie below another directory"));
        }
        let Some(text) = path.as_str() else { return Err(wrong("is not UTF-8")) };
        match kind {
            Kind::Directory => drop(tree.directory(text)),
            Kind::File { size } => {
                newest = newest.max(Some(metadata.mtime));
                let digest = put(store, &path, &mut content, size)?;
                tree.insert(text, Node::File { digest, executable: metadata.mode & 0o100 != 0 });
            }
            Kind::Symlink { target } => {
                let target = String::from_utf8(target).map_err(|_| wrong("is a link that is not UTF-8"))?;
                tree.insert(text, Node::Symlink { target });
            }
            Kind::HardLink { target } => {
                let file = target.as_str().and_then(|target| tree.get(target)).cloned();
                // The reader has seen it, so that only such as are no UTF-8 are not there.
                tree.insert(text, file.ok_or_else(|| wrong("is a link that is not UTF-8"))?);
            }
            Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Fifo
            | Kind::Whiteout
            | Kind::OpaqueDirectory => return Err(wrong("is neither a file, a directory nor a link")),
        }
    }
    Ok((tree, newest))
}

/// Keeps the contents of the file at `path` as a blob.
fn put(
    store: &LocalStore,
    path: &EntryPath,
    content: &mut impl Read,
    size: u64,
) -> Result<Digest, UnpackError> {
    let read_error = |source| UnpackError::Content { path: path.clone(), source };
    let write_error = |source| UnpackError::Write { path: path.clone(), source };
    if size <= SMALL {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(read_error)?;
        return Ok(store.write(&bytes)?);
    }
    let mut file = NamedTempFile::new_in(store.scratch()).map_err(write_error)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        store.go_on()?;
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&buffer[..n]);
                file.write_all(&buffer[..n]).map_err(write_error)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error)),
        }
    }
    let digest = hasher.finish();
    store.adopt(&file.into_temp_path(), &digest)?;
    Ok(digest)
}

/// A tree that is being put together. Its reader has seen to it that no path comes twice but for directories, and that nothing
/// but these has something below it.
#[derive(Debug, Default)]
struct Tree {
    directories: BTreeMap<String, Tree>,
    others: BTreeMap<String, Node>,
}

impl Tree {
    fn directory(&mut self, path: &str) -> &mut Tree {
        path.split('/').fold(self, |tree, name| tree.directories.entry(name.to_owned()).or_default())
    }

    fn insert(&mut self, path: &str, node: Node) {
        match path.rsplit_once('/') {
            None => _ = self.others.insert(path.to_owned(), node),
            Some((parent, name)) => _ = self.directory(parent).others.insert(name.to_owned(), node),
        }
    }

    fn get(&self, path: &str) -> Option<&Node> {
        let Some((parent, name)) = path.rsplit_once('/') else { return self.others.get(path) };
        let parent = parent.split('/').try_fold(self, |tree, name| tree.directories.get(name))?;
        parent.others.get(name)
    }

    /// Returns the only directory if that is all there is, as archives of releases have it.
    fn without_single_top(mut self) -> Tree {
        if self.directories.len() == 1
            && self.others.is_empty()
            && let Some((_, top)) = self.directories.pop_first()
        {
            return top;
        }
        self
    }

    /// Returns the digest of the tree, all of which is in the store then.
    fn write(self, store: &LocalStore) -> Result<Digest, StoreError> {
        let mut directory = Directory { entries: self.others };
        for (name, child) in self.directories {
            directory.entries.insert(name, Node::Directory { digest: child.write(store)? });
        }
        store.write(&directory.encode())
    }
}
