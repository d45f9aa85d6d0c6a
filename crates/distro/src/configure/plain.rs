//! A layer as plain files, for environments: contents, what is executable, symbolic links, and whiteouts as
//! files of their own.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use layer::{EntryPath, Kind, Layer};

use super::ConfigureError;

/// Writes the layer in the file `layer` to the new directory `tree`. Devices and pipes are left out: nothing
/// runs from a plain tree that could use them.
pub(super) fn write_tree(layer: &Path, tree: &Path) -> Result<(), ConfigureError> {
    let layer_error = |source| ConfigureError::place("read", layer, source);
    fs::create_dir(tree).map_err(|source| ConfigureError::place("make", tree, source))?;
    let contents = File::open(layer).map_err(layer_error)?;
    let opened = Layer::open(layer).map_err(layer_error)?;
    for located in opened.entries().map_err(|error| layer_error(io::Error::other(error)))? {
        let located = located.map_err(|error| layer_error(io::Error::other(error)))?;
        let entry = &located.entry;
        let stored = entry.stored_path().map_err(|error| layer_error(io::Error::other(error)))?;
        let place = join(tree, &stored);
        let error = |source| ConfigureError::place("write", &place, source);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(error)?;
        }
        match &entry.kind {
            Kind::Directory => fs::create_dir_all(&place).map_err(error)?,
            Kind::File { size } => {
                let mode = if entry.metadata.mode & 0o111 == 0 { 0o644 } else { 0o755 };
                write_file(&place, mode, &contents, located.offset, *size).map_err(error)?;
            }
            Kind::Symlink { target } => {
                symlink(std::ffi::OsStr::from_bytes(target), &place).map_err(error)?;
            }
            Kind::HardLink { target } => fs::hard_link(join(tree, target), &place).map_err(error)?,
            Kind::Whiteout | Kind::OpaqueDirectory => drop(File::create_new(&place).map_err(error)?),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => {}
        }
    }
    Ok(())
}

fn write_file(place: &Path, mode: u32, contents: &File, mut offset: u64, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(place)?;
    let (end, mut written) = (offset + size, 0);
    let mut buffer = vec![0; usize::try_from(size.min(256 << 10)).unwrap_or(256 << 10)];
    while offset < end {
        let wanted = usize::try_from(end - offset).map_or(buffer.len(), |left| left.min(buffer.len()));
        contents.read_exact_at(&mut buffer[..wanted], offset)?;
        file.write_all_at(&buffer[..wanted], written)?;
        offset += wanted as u64;
        written += wanted as u64;
    }
    Ok(())
}

fn join(tree: &Path, path: &EntryPath) -> PathBuf {
    tree.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}
