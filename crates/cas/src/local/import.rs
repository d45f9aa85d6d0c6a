//! Files and trees from outside into the store.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use rustix::fs::{AtFlags, CWD, FileType, OFlags};
use rustix::io::Errno;

use super::LocalStore;
use super::blobs::{blob_name, seal};
use crate::files::{copy_hashing, hash, in_parallel};
use crate::remove::remove_file;
use crate::store::Doing as _;
use crate::{Digest, Directory, Hasher, Node, Store as _, StoreError};

/// How deep directories may be nested in what is imported. No reader of trees goes deeper.
const MAX_DEPTH: usize = 1024;

/// What becomes of a file that is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// It becomes the blob's file and is gone from its place. Nobody else may have it open for writing.
    Move,
    /// It becomes the blob's file too: read-only, its time fixed. Nobody may write to it from then on.
    Link,
    /// Nothing: its content is copied, sharing extents where the file system can.
    Copy,
}

/// What was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The digest of the root `Directory`.
    pub digest: Digest,
    /// How many files are in the tree.
    pub n_files: u64,
    /// How many bytes are in its files.
    pub n_bytes: u64,
}

impl LocalStore {
    /// Keeps the file at `path` and returns it as a [`Node::File`].
    ///
    /// Where the file system or the file (another owner, other hard links, access lists, attributes that a
    /// blob does not have) prevents moving or linking, it is copied, and for [`ImportMode::Move`] removed.
    /// Fails with [`StoreError::Special`] when it is no regular file; symbolic links are not followed.
    pub fn put_file(&self, path: &Path, mode: ImportMode) -> Result<Node, StoreError> {
        self.go_on().doing_to("import", path)?;
        let (mut file, metadata) = open_regular(path, mode)?;
        let executable = metadata.mode() & 0o100 != 0;
        let digest = if mode == ImportMode::Copy {
            self.copy_in(&mut file, metadata.len(), executable)
        } else {
            hash(&mut file, &self.cancel).doing(|| "read it".to_owned())
        };
        let digest = digest.doing_to("import", path)?;
        let is_gone = mode != ImportMode::Copy
            && self.find(&digest)?.is_none()
            && self.take_over(path, &mut file, &metadata, &digest, mode).doing_to("import", path)?;
        if is_gone {
            self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
        }
        if mode == ImportMode::Move && !is_gone {
            remove_file(path)?;
        }
        Ok(Node::File { digest, executable })
    }

    /// Makes the file at `path` the blob `digest`, which its content has.
    ///
    /// For callers that hashed while they wrote; as [`ImportMode::Move`]. The blob is wrong for good if the
    /// digest is.
    pub fn adopt(&self, path: &Path, digest: &Digest) -> Result<(), StoreError> {
        let (mut file, metadata) = open_regular(path, ImportMode::Move)?;
        if self.find(digest)?.is_none() {
            self.take_over(path, &mut file, &metadata, digest, ImportMode::Move).doing_to("import", path)?;
        }
        remove_file(path)
    }

    fn copy_in(&self, file: &mut File, size: u64, executable: bool) -> Result<Digest, StoreError> {
        /// What is read whole, so that a blob that is already here is not written again.
        const SMALL: u64 = 1 << 20;
        let doing = || "copy it".to_owned();
        let mut temporary;
        let digest;
        if size <= SMALL {
            let mut bytes = Vec::with_capacity(size as usize);
            file.take(SMALL).read_to_end(&mut bytes).doing(doing)?;
            let mut hasher = Hasher::new();
            hasher.update(&bytes);
            // It may have grown since its size was read.
            let rest = bytes.len() as u64 == SMALL;
            let known = if rest { None } else { self.find(&hasher.clone().finish())? };
            if known.is_some() {
                return Ok(hasher.finish());
            }
            temporary = self.new_file()?;
            io::Write::write_all(&mut temporary, &bytes).doing(doing)?;
            digest = if rest {
                io::copy(file, &mut Tee(&mut hasher, temporary.as_file_mut())).doing(doing)?;
                hasher.finish()
            } else {
                hasher.finish()
            };
        } else {
            temporary = self.new_file()?;
            digest = copy_hashing(file, temporary.as_file_mut(), &self.cancel).doing(doing)?;
        }
        if self.find(&digest)?.is_none() {
            self.place(temporary, &digest, executable)?;
        }
        Ok(digest)
    }

    /// Makes the file, whose content has been hashed, a blob's file if it can, else copies it. Returns whether it is
    /// gone from its place.
    fn take_over(
        &self,
        path: &Path,
        file: &mut File,
        metadata: &fs::Metadata,
        digest: &Digest,
        mode: ImportMode,
    ) -> Result<bool, StoreError> {
        let executable = metadata.mode() & 0o100 != 0;
        let ours = metadata.nlink() == 1
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && !has_attributes(file).doing(|| "read its attributes".to_owned())?;
        if ours {
            seal(file, executable).doing(|| "seal it".to_owned())?;
            let name = blob_name(digest, executable);
            let placed = match mode {
                ImportMode::Move => rustix::fs::renameat(CWD, path, &self.blobs, &name),
                // A file of the right name may be in the way: one of the wrong size, or the right one, which somebody else
                // placed meanwhile and which must not be gone for an instant.
                _ => match rustix::fs::linkat(CWD, path, &self.blobs, &name, AtFlags::empty()) {
                    Err(Errno::EXIST) => self.link_over(path, &name)?,
                    result => result,
                },
            };
            match placed {
                Ok(()) => return Ok(mode == ImportMode::Move),
                Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::EXIST) => {}
                Err(error) => return Err(error).doing(|| format!("place blob {digest}")),
            }
        }
        let mut temporary = self.new_file()?;
        io::Seek::rewind(file).doing(|| "read it again".to_owned())?;
        let copied = copy_hashing(file, temporary.as_file_mut(), &self.cancel);
        let copied = copied.doing(|| "copy it".to_owned())?;
        if copied != *digest {
            return Err(StoreError::Damaged { digest: *digest, found: copied });
        }
        self.place(temporary, digest, executable)?;
        Ok(false)
    }

    /// Makes a blob's file another name of the file at `path`, whatever it was.
    fn link_over(&self, path: &Path, name: &str) -> Result<rustix::io::Result<()>, StoreError> {
        // Its name is one that nobody else has.
        let unique = self.new_file()?.into_temp_path();
        let link = unique.with_extension("link");
        let linked = rustix::fs::linkat(CWD, path, CWD, &link, AtFlags::empty())
            .and_then(|()| rustix::fs::renameat(CWD, &link, &self.blobs, name));
        // Of two names of one file, `rename` leaves both.
        let _ = fs::remove_file(&link);
        Ok(linked)
    }

    /// Keeps the tree in `directory`: files, directories and symbolic links, of files the executable bit.
    ///
    /// Files are hashed on several threads. With [`ImportMode::Move`] they are gone afterwards, while the
    /// emptied directories remain; when it fails, some may be gone.
    /// Fails with [`StoreError::Special`] or [`StoreError::NotUtf8`] for what a tree cannot hold, and with an error of the
    /// kind [`io::ErrorKind::InvalidFilename`] for directories that are nested too deep.
    pub fn import_tree(&self, directory: &Path, mode: ImportMode) -> Result<Imported, StoreError> {
        let mut files = Vec::new();
        let skeleton = Skeleton::read(directory, 0, mode, &mut files)?;
        let nodes = in_parallel(files.len(), |idx| self.put_file(&files[idx], mode))?;
        let n_bytes =
            nodes.iter().map(|node| if let Node::File { digest, .. } = node { digest.size() } else { 0 });
        let (n_files, n_bytes) = (nodes.len() as u64, n_bytes.sum());
        let mut encoded = Vec::new();
        let digest = skeleton.encode(&nodes, &mut encoded);
        in_parallel(encoded.len(), |idx| self.write(&encoded[idx]).map(drop))?;
        Ok(Imported { digest, n_files, n_bytes })
    }
}

/// Names the file that an inner error was about.
trait DoingTo<T> {
    fn doing_to(self, verb: &str, path: &Path) -> Result<T, StoreError>;
}

impl<T> DoingTo<T> for Result<T, StoreError> {
    fn doing_to(self, verb: &str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| match error {
            StoreError::Io { doing, source } => {
                StoreError::Io { doing: format!("{verb} `{}`: {doing}", path.display()), source }
            }
            other => other,
        })
    }
}

struct Tee<'a>(&'a mut Hasher, &'a mut File);

impl io::Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write_all(bytes)?;
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A directory as it was found, its files by their place in a list.
#[derive(Default)]
struct Skeleton {
    entries: Vec<(String, Found)>,
}

enum Found {
    File(usize),
    Directory(Skeleton),
    Symlink(String),
}

impl Skeleton {
    /// Reads what lies `depth` levels below what is imported, and everything in it.
    fn read(
        directory: &Path,
        depth: usize,
        mode: ImportMode,
        files: &mut Vec<PathBuf>,
    ) -> Result<Skeleton, StoreError> {
        if depth > MAX_DEPTH {
            let reason = format!("directories are nested more than {MAX_DEPTH} levels deep");
            // The kind is that of a path which is too long for the system: to callers it is the same.
            let error = io::Error::new(io::ErrorKind::InvalidFilename, reason);
            return Err(error).doing(|| format!("list `{}`", directory.display()));
        }
        let mut skeleton = Skeleton::list(directory, mode, files)?;
        for (name, found) in &mut skeleton.entries {
            if let Found::Directory(below) = found {
                *below = Skeleton::read(&directory.join(name.as_str()), depth + 1, mode, files)?;
            }
        }
        Ok(skeleton)
    }

    /// Reads one directory, and those in it as if they were empty. Nothing of it stays open: a process may have fewer
    /// files open than directories are nested.
    fn list(directory: &Path, mode: ImportMode, files: &mut Vec<PathBuf>) -> Result<Skeleton, StoreError> {
        if mode == ImportMode::Move {
            // Files are taken out of it, and its owner may have closed it.
            let about = fs::metadata(directory).doing(|| format!("look at `{}`", directory.display()))?;
            if about.mode() & 0o700 != 0o700 {
                let _or_taking_says_so = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
            }
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory).doing(|| format!("list `{}`", directory.display()))? {
            let entry = entry.doing(|| format!("list `{}`", directory.display()))?;
            let path = entry.path();
            let name = utf8_name(&path, entry.file_name())?;
            let kind = entry.file_type().doing(|| format!("read the type of `{}`", path.display()))?;
            let found = if kind.is_dir() {
                Found::Directory(Skeleton::default())
            } else if kind.is_symlink() {
                Found::Symlink(read_link(&path)?)
            } else {
                files.push(path);
                Found::File(files.len() - 1)
            };
            entries.push((name, found));
        }
        Ok(Skeleton { entries })
    }

    /// Returns the digest of the tree whose files are `nodes`, and adds its encoded directories.
    fn encode(&self, nodes: &[Node], encoded: &mut Vec<Vec<u8>>) -> Digest {
        let mut directory = Directory::default();
        for (name, found) in &self.entries {
            let node = match found {
                Found::File(idx) => nodes[*idx].clone(),
                Found::Directory(child) => Node::Directory { digest: child.encode(nodes, encoded) },
                Found::Symlink(target) => Node::Symlink { target: target.clone() },
            };
            directory.entries.insert(name.clone(), node);
        }
        let bytes = directory.encode();
        let digest = Digest::of(&bytes);
        encoded.push(bytes);
        digest
    }
}

pub(crate) fn utf8_name(path: &Path, name: std::ffi::OsString) -> Result<String, StoreError> {
    name.into_string().map_err(|_| StoreError::NotUtf8 { path: path.to_owned() })
}

pub(crate) fn read_link(path: &Path) -> Result<String, StoreError> {
    let target = fs::read_link(path).doing(|| format!("read link `{}`", path.display()))?;
    target.into_os_string().into_string().map_err(|_| StoreError::NotUtf8 { path: path.to_owned() })
}

fn is_denied<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Opens a regular file. One that is to be moved is made readable first, since a step may have left it
/// otherwise.
pub(crate) fn open_regular(path: &Path, mode: ImportMode) -> Result<(File, fs::Metadata), StoreError> {
    // Opening a named pipe would wait for its writer.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let open = || File::options().read(true).custom_flags(flags).open(path);
    let mut file = open();
    if file.is_err() {
        let found = fs::symlink_metadata(path).doing(|| format!("open `{}`", path.display()))?;
        refuse_special(path, found.mode())?;
        if mode == ImportMode::Move && is_denied(&file) {
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(found.mode() & 0o7777 | 0o400));
            file = open();
        }
    }
    let file = file.doing(|| format!("open `{}`", path.display()))?;
    let metadata = file.metadata().doing(|| format!("read the attributes of `{}`", path.display()))?;
    refuse_special(path, metadata.mode())?;
    Ok((file, metadata))
}

fn refuse_special(path: &Path, mode: u32) -> Result<(), StoreError> {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "directory",
        FileType::Symlink => "symbolic link",
        FileType::Socket => "socket",
        FileType::Fifo => "named pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Unknown => "file of an unknown type",
    };
    Err(StoreError::Special { path: path.to_owned(), kind })
}

/// Returns whether a file has access lists or attributes, which a copy of its content would not have.
fn has_attributes(file: &File) -> Result<bool, Errno> {
    let mut names = [0_u8; 256];
    let n_bytes = match rustix::fs::flistxattr(file, &mut names[..]) {
        Ok(n_bytes) => n_bytes,
        Err(Errno::RANGE) => return Ok(true),
        Err(Errno::OPNOTSUPP) => return Ok(false),
        Err(error) => return Err(error),
    };
    // The label is the machine's, and every file has one where there are labels.
    Ok(names[..n_bytes].split(|byte| *byte == 0).any(|name| !name.is_empty() && name != b"security.selinux"))
}
