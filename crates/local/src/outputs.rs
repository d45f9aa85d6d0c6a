//! What a command left in its output directory, into the store.

use std::io;
use std::path::Path;

use cas::{Digest, ImportMode, LocalStore, StoreError};
use engine::ExecutorError;
use rustix::fs::Mode;

use crate::executor::disk;

/// Takes over what a command left in the directory `out`, whose name for the command is `shown`.
///
/// What a tree cannot hold is the command's failure, and `Err` within is the message for its log.
pub(crate) fn import(
    store: &LocalStore,
    out: &Path,
    shown: &str,
    mode: ImportMode,
) -> Result<Result<Digest, String>, ExecutorError> {
    // A step may leave it closed to everybody.
    let opened = rustix::fs::chmod(out, Mode::from_raw_mode(0o755));
    opened.map_err(|error| disk(format!("open `{}`", out.display()), error.into()))?;
    match store.import_tree(out, mode) {
        Ok(imported) => Ok(Ok(imported.digest)),
        Err(error @ (StoreError::Special { .. } | StoreError::NotUtf8 { .. })) => {
            Ok(Err(error.to_string().replace(&out.display().to_string(), shown)))
        }
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidFilename => {
            Ok(Err(format!("`{shown}` has directories that are nested too deep")))
        }
        Err(error) => Err(error.into()),
    }
}
