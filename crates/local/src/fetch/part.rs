//! Unfinished downloads, kept to be resumed by this process or a later one.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cas::{Digest, Hasher, LocalStore};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempPath};

use super::FetchError;

/// A download's bytes so far, and their hash. Only one thread of one process at a time has it.
pub(super) struct Part {
    file: File,
    place: Place,
    hasher: Hasher,
    /// What the server calls the version that the bytes are of.
    validator: Option<String>,
}

enum Place {
    /// Stays when it is unfinished.
    Kept(PathBuf),
    /// Goes with the process.
    Scratch(TempPath),
}

/// A part that was asked for.
pub(super) enum Opened {
    /// Nobody else has it.
    Ours(Part),
    /// Somebody else has it, and has come this far.
    Busy { n_bytes: u64 },
}

impl Part {
    /// Opens what is there of the download with that SHA-256.
    pub(super) fn open(directory: &Path, sha256: &[u8; 32]) -> Result<Opened, FetchError> {
        let path = directory.join(format!("{}.part", Digest::from_parts(*sha256, 0).hex()));
        let failed = |error| FetchError::disk(format!("open `{}`", path.display()), error);
        let (file, hasher) = loop {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.map_err(failed)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Ok(Opened::Busy { n_bytes: file.metadata().map_err(failed)?.len() });
                }
                Err(error) => return Err(failed(error.into())),
            }
            // Whoever had it may have finished: then what was opened is a blob now, or removed.
            if !is_at(&file, &path) {
                continue;
            }
            let mut hasher = Hasher::new();
            read_through(&mut file, &mut hasher).map_err(failed)?;
            break (file, hasher);
        };
        // The version was forgotten: it only saves time, since what the digest does not fit is not kept.
        Ok(Opened::Ours(Part { file, place: Place::Kept(path), hasher, validator: None }))
    }

    /// Makes one that is not kept.
    pub(super) fn scratch(store: &LocalStore) -> Result<Part, FetchError> {
        let made = NamedTempFile::new_in(store.scratch());
        let doing = || format!("make a file in `{}`", store.scratch().display());
        let (file, path) = made.map_err(|error| FetchError::disk(doing(), error))?.into_parts();
        let place = Place::Scratch(path);
        Ok(Part { file, place, hasher: Hasher::new(), validator: None })
    }

    /// Returns how many bytes are here.
    pub(super) fn n_bytes(&self) -> u64 {
        self.hasher.size()
    }

    /// Returns the validator with which the server can tell whether the rest is of the same version.
    pub(super) fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    /// Forgets what is here and starts with the version that `validator` names.
    pub(super) fn restart(&mut self, validator: Option<&str>) -> Result<(), FetchError> {
        self.hasher = Hasher::new();
        self.validator = validator.map(str::to_owned);
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|error| self.failed(error))
    }

    /// Adds bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(|error| self.failed(error))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Returns the digest of what is here.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Makes what is here, whose digest is `digest`, a blob. The lock is released after that, so that whoever
    /// waits for it finds the blob.
    pub(super) fn finish(self, store: &LocalStore, digest: &Digest) -> Result<(), FetchError> {
        Ok(store.adopt(self.path(), digest)?)
    }

    /// Removes what is here.
    pub(super) fn discard(self) -> Result<(), FetchError> {
        let Place::Kept(path) = &self.place else { return Ok(()) };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn path(&self) -> &Path {
        match &self.place {
            Place::Kept(path) => path,
            Place::Scratch(path) => path,
        }
    }

    fn failed(&self, error: io::Error) -> FetchError {
        FetchError::disk(format!("write `{}`", self.path().display()), error)
    }
}

/// What [`sweep_parts`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many unfinished downloads.
    pub n_parts: u64,
    /// The bytes in them.
    pub bytes: u64,
}

/// Removes the unfinished downloads in `directory` to which nothing was added since `since`. Those that
/// somebody is at work on stay.
pub fn sweep_parts(directory: &Path, since: SystemTime) -> Result<Swept, FetchError> {
    let mut swept = Swept::default();
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(swept),
        listed => listed.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    let entries =
        listed.map_err(|error| FetchError::disk(format!("list `{}`", directory.display()), error))?;
    for path in entries.into_iter().map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "part") {
            continue;
        }
        let failed = |error| FetchError::disk(format!("remove `{}`", path.display()), error);
        // Without an entry it was finished or removed in the meantime.
        let Ok(file) = File::open(&path) else { continue };
        let is_ours = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        let metadata = file.metadata().map_err(failed)?;
        if is_ours && is_at(&file, &path) && metadata.modified().map_err(failed)? < since {
            fs::remove_file(&path).map_err(failed)?;
            swept.n_parts += 1;
            swept.bytes += metadata.len();
        }
    }
    Ok(swept)
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn read_through(file: &mut File, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n_bytes) => hasher.update(&buffer[..n_bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
