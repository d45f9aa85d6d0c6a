//! Unfinished downloads, kept to be resumed by this process or a later one.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use cas::{Digest, Hasher, LocalStore};
use rustix::fs::FlockOperation;

use super::FetchError;

/// A download's bytes so far, and their hash. Only one process at a time has it.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    /// What the server calls the version that the bytes are of.
    validator: Option<String>,
}

impl Part {
    /// Opens what is there of the download with that SHA-256; waits while somebody else has it.
    pub(crate) fn open(directory: &Path, sha256: &[u8; 32]) -> Result<Part, FetchError> {
        let path = directory.join(format!("{}.part", Digest::from_parts(*sha256, 0).hex()));
        let failed = |error| FetchError::disk(format!("open `{}`", path.display()), error);
        let (file, hasher) = loop {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.map_err(failed)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
            let stat = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
            if stat.st_nlink == 0 {
                // Whoever had it has finished, and so made it a blob or removed it.
                continue;
            }
            let mut hasher = Hasher::new();
            io::copy(&mut file, &mut hasher).map_err(failed)?;
            break (file, hasher);
        };
        let validator = fs::read_to_string(validator_path(&path)).ok();
        Ok(Part { file, path, hasher, validator })
    }

    /// Returns how many bytes are here.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.hasher.size()
    }

    /// Returns the validator with which the server can tell whether the rest is of the same version.
    pub(crate) fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    /// Forgets what is here and starts with the version that `validator` names.
    pub(crate) fn restart(&mut self, validator: Option<&str>) -> Result<(), FetchError> {
        self.hasher = Hasher::new();
        self.validator = validator.map(str::to_owned);
        let truncated = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        truncated.map_err(|error| self.failed(error))?;
        let path = validator_path(&self.path);
        let written = match validator {
            Some(validator) => fs::write(&path, validator),
            None => remove_if_there(&path),
        };
        written.map_err(|error| self.failed(error))
    }

    /// Adds bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(|error| self.failed(error))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Returns the digest of what is here.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Makes what is here, whose digest is `digest`, a blob.
    pub(crate) fn finish(self, store: &LocalStore, digest: &Digest) -> Result<(), FetchError> {
        remove_if_there(&validator_path(&self.path)).map_err(|error| self.failed(error))?;
        Ok(store.adopt(&self.path, digest)?)
    }

    /// Removes what is here.
    pub(crate) fn discard(self) -> Result<(), FetchError> {
        remove_if_there(&validator_path(&self.path))
            .and_then(|()| remove_if_there(&self.path))
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> FetchError {
        FetchError::disk(format!("write `{}`", self.path.display()), error)
    }
}

fn validator_path(part: &Path) -> PathBuf {
    part.with_extension("validator")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
