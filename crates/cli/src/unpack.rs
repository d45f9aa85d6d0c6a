//! Archives of sources as trees: unpacked once, remembered by the archive's digest.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use cas::{Digest, ImportMode, LocalStore, Record, Reference};
use distro::deb::Compression;
use layer::{ForeignReader, Kind, Limits};

use crate::failure::{Failure, io as doing};

/// The kind of records that say what an archive unpacks to. Its number is raised when that changes.
const RECORDS: &str = "unpacked-1";

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

/// Returns the tree in the archive, without its single top directory if it has one. `get` brings the archive
/// into the store and is called only when the tree is not remembered.
///
/// Files keep their contents and whether they are executable; devices and the like are an error.
pub(crate) fn archive(
    store: &LocalStore,
    digest: &Digest,
    suffix: &str,
    name: &str,
    get: impl FnOnce() -> Result<(), Failure>,
) -> Result<Digest, Failure> {
    if let Some(record) = store.record(RECORDS, digest).map_err(Failure::machine)?
        && let [Reference::Tree(tree)] = record.references[..]
    {
        return Ok(tree);
    }
    get()?;
    let scratch = store.scratch().join(format!("unpack-{}", digest.hex()));
    fs::create_dir_all(&scratch).map_err(doing(format!("make `{}`", scratch.display())))?;
    let file = store.open_blob(digest).map_err(Failure::machine)?;
    write_files(file, suffix, &scratch, name)?;
    let top = single_top(&scratch).map_err(doing(format!("read `{}`", scratch.display())))?;
    let imported = store.import_tree(&top, ImportMode::Move).map_err(Failure::machine)?;
    cas::remove_tree(&scratch).map_err(Failure::machine)?;
    let record = Record { references: vec![Reference::Tree(imported.digest)], payload: Vec::new() };
    store.sync().map_err(Failure::machine)?;
    store.put_record(RECORDS, digest, &record).map_err(Failure::machine)?;
    Ok(imported.digest)
}

fn write_files(file: File, suffix: &str, scratch: &Path, name: &str) -> Result<(), Failure> {
    let damaged = |error: &dyn std::fmt::Display| {
        Failure::project(format!("the archive of source `{name}` cannot be unpacked: {error}"))
    };
    let compression = Compression::from_suffix(suffix).unwrap_or(Compression::None);
    let plain = compression.decode(file).map_err(|error| damaged(&error))?;
    let mut reader = ForeignReader::new(BufReader::with_capacity(1 << 20, plain), Limits::default());
    loop {
        let next = reader.next_entry().map_err(|error| {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            damaged(&format!("{error}{cause}"))
        })?;
        let Some((entry, mut content)) = next else { return Ok(()) };
        // The reader has refused every path that leaves the tree or passes through a link.
        let path = scratch.join(std::ffi::OsStr::from_bytes(entry.path.as_bytes()));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(doing(format!("make `{}`", parent.display())))?;
        }
        let written = match &entry.kind {
            Kind::Directory => fs::create_dir_all(&path),
            Kind::File { .. } => {
                let mode = if entry.metadata.mode & 0o100 != 0 { 0o755 } else { 0o644 };
                File::options()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(&path)
                    .and_then(|mut file| io::copy(&mut content, &mut file).map(drop))
            }
            Kind::Symlink { target } => symlink(std::ffi::OsStr::from_bytes(target), &path),
            Kind::HardLink { target } => {
                fs::hard_link(scratch.join(std::ffi::OsStr::from_bytes(target.as_bytes())), &path)
            }
            Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Fifo
            | Kind::Whiteout
            | Kind::OpaqueDirectory => {
                return Err(damaged(&format!("`{}` is neither a file, a directory nor a link", entry.path)));
            }
        };
        written.map_err(doing(format!("write `{}`", path.display())))?;
    }
}

/// Returns the only directory in `scratch` if that is all there is, as archives of releases have it.
fn single_top(scratch: &Path) -> io::Result<PathBuf> {
    let mut entries = fs::read_dir(scratch)?;
    if let (Some(first), None) = (entries.next().transpose()?, entries.next())
        && first.file_type()?.is_dir()
    {
        return Ok(first.path());
    }
    Ok(scratch.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_known_by_their_names() {
        for (url, expected) in [
            ("https://x/linux-6.12.tar.xz", Some(".xz")),
            ("https://x/a.tgz?download=1", Some(".gz")),
            ("https://x/a.tar", Some("")),
            ("https://x/a.zip", None),
            ("https://x/tar.xz/a", None),
        ] {
            assert_eq!(archive_suffix(url), expected, "{url}");
        }
    }
}
