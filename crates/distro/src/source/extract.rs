//! Archives of sources as directories.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use layer::{EntryPath, ForeignContent, ForeignReader, Kind, Limits};

use crate::deb::ahead::read_ahead;
use crate::deb::{MAX_HEADERS, unpacked_limit};
use crate::source::error::SourceError;
use crate::source::layout::Archive;

/// Files up to this size are written at once.
const BUFFER: usize = 1 << 20;

/// Whose `.pc` directories are left out: patches keep theirs there, and one that is full of links must not be
/// what they are kept in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum QuiltDirectory {
    Keep,
    LeaveOut,
}

/// Unpacks `archive`, whose bytes are in the file `path`, to the new directory `to`, and returns the directory
/// in there that is the archive's only entry, or else `to`.
pub(super) fn extract(
    archive: &Archive,
    path: &Path,
    to: &Path,
    quilt: QuiltDirectory,
) -> Result<PathBuf, SourceError> {
    fs::create_dir(to).map_err(failed("make", to))?;
    let file = File::open(path).map_err(failed("open", path))?;
    let size = file.metadata().map_err(failed("look at", path))?.len();
    decode_files(archive, file, to, quilt, (unpacked_limit(size), MAX_HEADERS))?;
    let mut entries = fs::read_dir(to).map_err(failed("read", to))?;
    let next = |entries: &mut fs::ReadDir| entries.next().transpose().map_err(failed("read", to));
    let Some(first) = next(&mut entries)? else {
        return Err(SourceError::Empty { name: archive.name.clone() });
    };
    let is_only_directory =
        first.file_type().map_err(failed("look at", to))?.is_dir() && next(&mut entries)?.is_none();
    Ok(if is_only_directory { first.path() } else { to.to_owned() })
}

/// Unpacks what `file` has to the directory `to`. The files may have so many bytes, and everything around them so many
/// more.
pub(super) fn decode_files(
    archive: &Archive,
    file: File,
    to: &Path,
    quilt: QuiltDirectory,
    (limit, max_headers): (u64, u64),
) -> Result<(), SourceError> {
    let plain = archive
        .compression
        .decode_within(BufReader::with_capacity(256 << 10, file), limit.saturating_add(max_headers))
        .map_err(|source| SourceError::Decompress { name: archive.name.clone(), source })?;
    std::thread::scope(|scope| write_files(archive, read_ahead(scope, plain), to, quilt, limit))
}

fn write_files(
    archive: &Archive,
    plain: impl Read,
    to: &Path,
    quilt: QuiltDirectory,
    limit: u64,
) -> Result<(), SourceError> {
    let mut left = limit;
    let mut reader = ForeignReader::new(plain, Limits::default());
    let mut buffer = Vec::new();
    let mut last_directory = PathBuf::new();
    let damaged = |source| SourceError::Archive { name: archive.name.clone(), source };
    while let Some((entry, content)) = reader.next_entry().map_err(damaged)? {
        // Also what is left out has to be read.
        left = left
            .checked_sub(entry.size())
            .ok_or_else(|| SourceError::TooLarge { name: archive.name.clone(), limit })?;
        if quilt == QuiltDirectory::LeaveOut && is_quilt(&entry.path) {
            continue;
        }
        // The reader has refused every path that leaves the tree or passes through a link.
        let path = to.join(OsStr::from_bytes(entry.path.as_bytes()));
        if let Some(parent) = path.parent()
            && parent != last_directory
        {
            fs::create_dir_all(parent).map_err(failed("make", parent))?;
            last_directory = parent.to_owned();
        }
        match &entry.kind {
            Kind::Directory => fs::create_dir_all(&path).map_err(failed("make", &path))?,
            Kind::File { size } => {
                let mode = if entry.metadata.mode & 0o111 != 0 { 0o755 } else { 0o644 };
                let mut file = File::options()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(&path)
                    .map_err(failed("write", &path))?;
                copy(content, *size, &mut file, &mut buffer).map_err(|error| match error {
                    CopyError::Read(source) => SourceError::Decompress { name: archive.name.clone(), source },
                    CopyError::Write(source) => {
                        SourceError::Io { doing: "write", path: path.clone(), source }
                    }
                })?;
            }
            Kind::Symlink { target } => {
                symlink(OsStr::from_bytes(target), &path).map_err(failed("make the link", &path))?;
            }
            Kind::HardLink { target } => {
                let target = to.join(OsStr::from_bytes(target.as_bytes()));
                fs::hard_link(target, &path).map_err(failed("make the link", &path))?;
            }
            Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Fifo
            | Kind::Whiteout
            | Kind::OpaqueDirectory => {
                return Err(SourceError::Special { name: archive.name.clone(), entry: entry.path });
            }
        }
    }
    Ok(())
}

/// `.pc` at the top, or in the directory that is all there is at the top, with what is in it.
fn is_quilt(path: &EntryPath) -> bool {
    path.components().take(2).any(|component| component == b".pc")
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

fn copy(
    mut content: ForeignContent<'_, impl Read>,
    size: u64,
    file: &mut File,
    buffer: &mut Vec<u8>,
) -> Result<(), CopyError> {
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        buffer.resize(part.max(buffer.len()), 0);
        content.read_exact(&mut buffer[..part]).map_err(CopyError::Read)?;
        file.write_all(&buffer[..part]).map_err(CopyError::Write)?;
        left -= part as u64;
    }
    Ok(())
}

/// Moves everything in `from` into `to`, where it replaces what has the same name; directories are merged.
///
/// Both are directories; nothing is written through a link, for a link is replaced as a file is.
pub(super) fn merge(archive: &Archive, from: &Path, to: &Path) -> Result<(), SourceError> {
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let is_directory = entry.file_type().map_err(failed("look at", &source))?.is_dir();
        match fs::symlink_metadata(&target) {
            Ok(metadata) if metadata.is_dir() && is_directory => {
                merge(archive, &source, &target)?;
                continue;
            }
            Ok(metadata) if metadata.is_dir() => {
                fs::remove_dir(&target).map_err(|error| match error.kind() {
                    ErrorKind::DirectoryNotEmpty => {
                        SourceError::Replaces { name: archive.name.clone(), path: target.clone() }
                    }
                    _ => failed("remove", &target)(error),
                })?;
            }
            Ok(_) => fs::remove_file(&target).map_err(failed("remove", &target))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at", &target)(error)),
        }
        fs::rename(&source, &target).map_err(failed("move", &source))?;
    }
    Ok(())
}

/// Removes whatever is at `path`, if anything is.
pub(super) fn remove(path: &Path) -> Result<(), SourceError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(failed("remove", path))
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::Io { doing, path, source }
}
