//! A layer as plain files, which become a tree in the sense of the Remote Execution API.
//!
//! Such a tree has names, contents, the executable bit and symbolic links. Whiteouts keep their `.wh.` names, so
//! that trees can be merged like layers. Devices and pipes have no place in it: nothing runs from a plain tree
//! that could use them.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::entry::Kind;
use crate::path::EntryPath;
use crate::reader::{Located, ReadError};
use crate::tree::Layer;

/// A layer could not be written as plain files.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// The layer is damaged.
    #[error("could not read layer `{layer}`")]
    Layer {
        /// The layer.
        layer: String,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The contents of a file could not be read.
    #[error("could not read `{path}` in layer `{layer}`")]
    Content {
        /// The file.
        path: EntryPath,
        /// The layer.
        layer: String,
        /// What reading said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("could not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What writing said.
        source: io::Error,
    },
    /// A tree cannot have such a name or such a link.
    #[error("`{path}` is not UTF-8, which the names of a step's files must be")]
    NotUtf8 {
        /// The path.
        path: EntryPath,
    },
}

/// Writes the files of `layer` to the directory `output`, which is made if it is not there.
///
/// Fails when the layer is damaged, when something is in the way, and for names that are not UTF-8; then a part of
/// the files may be there.
pub fn write_plain(layer: &Layer, output: &Path) -> Result<(), PlainError> {
    fs::create_dir_all(output).map_err(|source| PlainError::Write { path: output.to_path_buf(), source })?;
    let layer_error = |source| PlainError::Layer { layer: layer.name().to_owned(), source };
    let mut files = Files { layer, output, made: PathBuf::new(), buffer: vec![0; 256 << 10] };
    for located in layer.entries().map_err(layer_error)? {
        files.place(&located.map_err(layer_error)?)?;
    }
    Ok(())
}

struct Files<'a> {
    layer: &'a Layer,
    output: &'a Path,
    /// The directory that was made or found last.
    made: PathBuf,
    buffer: Vec<u8>,
}

impl Files<'_> {
    fn place(&mut self, located: &Located) -> Result<(), PlainError> {
        let entry = &located.entry;
        let Ok(stored) = entry.stored_path() else {
            unreachable!("the reader found the entry at its stored path")
        };
        if stored.as_str().is_none() {
            return Err(PlainError::NotUtf8 { path: stored });
        }
        let path = self.path(&stored);
        let write_error = |source| PlainError::Write { path: path.clone(), source };
        if let Some(parent) = path.parent()
            && self.made != parent
        {
            // A layer need not have the directories above what it has.
            DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(write_error)?;
            self.made = parent.to_path_buf();
        }
        match &entry.kind {
            Kind::Directory => match DirBuilder::new().mode(0o755).create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(write_error(error)),
                _ => {
                    self.made = path;
                    Ok(())
                }
            },
            Kind::File { .. } => self.write_file(located, &path),
            Kind::Symlink { target } => {
                if std::str::from_utf8(target).is_err() {
                    return Err(PlainError::NotUtf8 { path: stored });
                }
                std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).map_err(write_error)
            }
            Kind::HardLink { target } => fs::hard_link(self.path(target), &path).map_err(write_error),
            Kind::Whiteout | Kind::OpaqueDirectory => File::create_new(&path).map(drop).map_err(write_error),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => Ok(()),
        }
    }

    fn path(&self, path: &EntryPath) -> PathBuf {
        self.output.join(OsStr::from_bytes(path.as_bytes()))
    }

    fn write_file(&mut self, located: &Located, path: &Path) -> Result<(), PlainError> {
        let mode = if located.entry.metadata.mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let write_error = |source| PlainError::Write { path: path.to_path_buf(), source };
        let mut file =
            File::options().write(true).create_new(true).mode(mode).open(path).map_err(write_error)?;
        let mut content = self.layer.open_content(located);
        loop {
            let n = content.read(&mut self.buffer).map_err(|source| PlainError::Content {
                path: located.entry.path.clone(),
                layer: self.layer.name().to_owned(),
                source,
            })?;
            if n == 0 {
                return Ok(());
            }
            file.write_all(&self.buffer[..n]).map_err(write_error)?;
        }
    }
}
