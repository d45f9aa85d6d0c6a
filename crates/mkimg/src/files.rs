//! Input and output files of a run.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use layer::Tree;

use crate::earlier::Earlier;
use crate::error::Error;

/// The step's working directory, to which the paths of a specification are relative.
pub(crate) struct Directory<'a> {
    path: &'a Path,
    earlier: Option<Earlier>,
}

/// Small writes are collected up to this size.
const BUFFER: usize = 256 * 1024;

impl<'a> Directory<'a> {
    pub(crate) fn new(path: &'a Path) -> Directory<'a> {
        Directory { path, earlier: Earlier::open(path) }
    }

    /// Returns what is known from earlier runs of the step.
    pub(crate) fn earlier(&self) -> Option<&Earlier> {
        self.earlier.as_ref()
    }

    /// Leaves what the next runs of the step are to know, of its only large output: the image `relative`.
    pub(crate) fn leave(&self, relative: &str) {
        if let Some(earlier) = &self.earlier {
            earlier.save(relative);
        }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.path.join(relative)
    }

    /// Merges the layers in these files.
    pub(crate) fn merge(&self, layers: &[String]) -> Result<Tree, Error> {
        let paths: Vec<PathBuf> = layers.iter().map(|layer| self.path(layer)).collect();
        Ok(Tree::open(&paths)?)
    }

    /// Has the output `relative` written by `write`, and takes it away again if that fails: nobody should take it
    /// for the result.
    pub(crate) fn produce<T>(
        &self,
        relative: &str,
        write: impl FnOnce(&Output) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let output = self.create(relative)?;
        let written = write(&output);
        if written.is_err() {
            // The first error says more than one about this could.
            let _ = fs::remove_file(&output.path);
        }
        written
    }

    /// Creates the output `relative`, with the directories above it.
    pub(crate) fn create(&self, relative: &str) -> Result<Output, Error> {
        let path = self.path(relative);
        let created = create_above(&path).and_then(|()| {
            // What is read back, to merge it, needs both.
            File::options().read(true).write(true).create(true).truncate(true).open(&path)
        });
        match created {
            Ok(file) => Ok(Output { path, file }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }
}

pub(crate) fn create_above(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// A file that is being written.
pub(crate) struct Output {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl Output {
    /// Returns a buffered writer; [`Output::close`] ends it.
    pub(crate) fn writer(&self) -> BufWriter<&File> {
        BufWriter::with_capacity(BUFFER, &self.file)
    }

    /// Writes out what is left in the buffer.
    pub(crate) fn close(&self, mut writer: BufWriter<&File>) -> Result<(), Error> {
        writer.flush().map_err(|source| self.error(source))
    }

    pub(crate) fn error(&self, source: io::Error) -> Error {
        Error::Write { path: self.path.clone(), source }
    }
}
