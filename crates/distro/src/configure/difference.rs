//! What configuring changed, as a layer over those of the packages.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use layer::{Builder, Content, Declaration, EntryPath, Extent, Metadata, NodeKind};
use sandbox::emulate::{DeviceKind, Record, Records};

use super::ConfigureError;
use super::cleanup::{self, Verdict};
use super::packages::Packages;
use super::root::Root;
use crate::deb::STATUS_DIRECTORY;
use crate::digest::Sha256;

/// What is compared.
pub(super) struct Difference<'a> {
    pub(super) packages: &'a Packages,
    pub(super) root: &'a Root,
    pub(super) records: &'a Records,
    /// The tree below the overlay: what the scripts saw before they changed it.
    pub(super) lower: &'a Path,
    /// What the overlay has beyond it.
    pub(super) upper: &'a Path,
    /// Both together, as mounted: the view that the records are about.
    pub(super) mount: &'a Path,
    /// How old everything new is, in seconds since 1970.
    pub(super) epoch: i64,
}

/// How overlayfs marks a directory that hides what is below it.
const OPAQUE: &str = "user.overlay.opaque";

/// A layer that is being collected.
struct Changes<'a> {
    difference: &'a Difference<'a>,
    builder: Builder,
    /// The first declared path of files with several names.
    names: BTreeMap<(u64, u64), EntryPath>,
    /// The packages' files by size, for those who look for the origin of a copy.
    by_size: OnceCell<BTreeMap<u64, Vec<(Extent, u32)>>>,
    /// The modes of those that have a size which was looked for, by size and then by content.
    modes: BTreeMap<u64, BTreeMap<Sha256, u32>>,
}

impl Difference<'_> {
    /// Declares everything that changed.
    pub(super) fn layer(&self) -> Result<Builder, ConfigureError> {
        let mut changes = Changes {
            difference: self,
            builder: Builder::default(),
            names: BTreeMap::new(),
            by_size: OnceCell::new(),
            modes: BTreeMap::new(),
        };
        changes.walk(None)?;
        changes.settle_directories()?;
        // dpkg has the stanzas in its own file now.
        let stanzas = EntryPath::new(STATUS_DIRECTORY).expect("the constant is a path");
        changes.builder.declare(stanzas, Metadata::default(), Declaration::Whiteout)?;
        Ok(changes.builder)
    }
}

impl Changes<'_> {
    /// Looks at everything in the changed directory `above`, or the root.
    fn walk(&mut self, above: Option<&EntryPath>) -> Result<(), ConfigureError> {
        let directory = join(self.difference.upper, above);
        let read_error = |source| ConfigureError::place("read", &directory, source);
        for entry in fs::read_dir(&directory).map_err(read_error)? {
            let name = entry.map_err(read_error)?.file_name().into_vec();
            let path = match above {
                Some(above) => above.join(&name),
                None => EntryPath::new(name),
            };
            let path =
                path.map_err(|error| read_error(io::Error::new(io::ErrorKind::InvalidFilename, error)))?;
            self.look_at(path)?;
        }
        Ok(())
    }

    fn look_at(&mut self, path: EntryPath) -> Result<(), ConfigureError> {
        let packages = self.difference.packages;
        let is_below = packages.get(path.as_bytes()).is_some();
        let verdict = cleanup::verdict(path.as_bytes(), packages.is_packaged(&path));
        if verdict == Verdict::Drop {
            return Ok(());
        }
        let file = join(self.difference.upper, Some(&path));
        let found =
            fs::symlink_metadata(&file).map_err(|source| ConfigureError::root("look at", &path, source))?;
        let file_type = found.file_type();
        if file_type.is_char_device() && found.rdev() == 0 {
            if is_below {
                self.builder.declare(path, Metadata::default(), Declaration::Whiteout)?;
            }
            Ok(())
        } else if file_type.is_dir() {
            self.look_at_directory(&path, &file, &found)?;
            self.walk(Some(&path))
        } else if file_type.is_symlink() {
            let target =
                fs::read_link(&file).map_err(|source| ConfigureError::root("read", &path, source))?;
            self.look_at_symlink(path, target, &found)
        } else if file_type.is_file() {
            self.look_at_file(path, file, &found, verdict)
        } else if file_type.is_fifo() {
            let metadata = self.metadata(&path, &found, None)?;
            Ok(self.builder.declare(path, metadata, Declaration::Fifo)?)
        } else {
            // A socket, of a program that is gone.
            Ok(())
        }
    }

    fn look_at_directory(
        &mut self,
        path: &EntryPath,
        file: &Path,
        found: &fs::Metadata,
    ) -> Result<(), ConfigureError> {
        let packages = self.difference.packages;
        let is_opaque = rustix::fs::lgetxattr(file, OPAQUE, &mut [0; 4]).is_ok();
        if is_opaque && packages.tree.items_below(path).next().is_some() {
            self.builder.declare_opaque(path.clone());
        }
        let packaged = packages.get(path.as_bytes()).filter(|item| item.node.kind == NodeKind::Directory);
        let base = packages.directories.get(path).or(packaged.map(|item| &item.node.metadata));
        let base = base.filter(|_| packaged.is_some());
        let metadata = self.metadata(path, found, base)?;
        let is_same = packaged.is_some_and(|item| is_same_apart_from_time(&item.node.metadata, &metadata));
        if !is_same {
            self.builder.declare(path.clone(), metadata, Declaration::Directory)?;
        }
        Ok(())
    }

    fn look_at_symlink(
        &mut self,
        path: EntryPath,
        target: PathBuf,
        found: &fs::Metadata,
    ) -> Result<(), ConfigureError> {
        let target = target.into_os_string().into_vec();
        let packaged = self.difference.packages.get(path.as_bytes());
        let packaged = packaged.filter(|item| item.node.kind == NodeKind::Symlink { target: target.clone() });
        let metadata = self.metadata(&path, found, packaged.map(|item| &item.node.metadata))?;
        let metadata = Metadata { mode: 0o777, ..metadata };
        if packaged.is_none_or(|item| item.node.metadata != metadata) {
            self.builder.declare(path, metadata, Declaration::Symlink(target))?;
        }
        Ok(())
    }

    fn look_at_file(
        &mut self,
        path: EntryPath,
        file: PathBuf,
        found: &fs::Metadata,
        verdict: Verdict,
    ) -> Result<(), ConfigureError> {
        let error = |source| ConfigureError::root("read", &path, source);
        if let Some(device) = self.record(&path)?.and_then(|record| record.device) {
            let metadata = self.metadata(&path, found, None)?;
            let declaration = match device.kind {
                DeviceKind::Character => Declaration::CharDevice(device.major, device.minor),
                DeviceKind::Block => Declaration::BlockDevice(device.major, device.minor),
            };
            return Ok(self.builder.declare(path, metadata, declaration)?);
        }
        let content = match verdict {
            Verdict::KeepIfEmpty if found.len() > 0 => return Ok(()),
            Verdict::Empty => Content::Bytes(Vec::new()),
            Verdict::Shadow => {
                let shadow = fs::read(&file).map_err(error)?;
                Content::Bytes(cleanup::shadow_with_day(&shadow, self.difference.epoch / 86400))
            }
            _ => Content::Path { path: file.clone(), size: found.len() },
        };

        let packages = self.difference.packages;
        let packaged = packages.get(path.as_bytes());
        let base = match self.difference.root.placed.get(&path) {
            Some(placed) => Some(placed.clone()),
            None => packaged.map(|item| item.node.metadata.clone()),
        };
        let is_same_content = match packaged.map(|item| &item.node.kind) {
            Some(NodeKind::File(extent)) => self.is_same(&file, found.len(), *extent).map_err(error)?,
            _ => false,
        };
        let is_placed = self.difference.root.placed.contains_key(&path);
        let mut metadata = self.metadata(&path, found, base.as_ref())?;
        metadata.gid = cleanup::group_of(path.as_bytes(), metadata.gid);
        if !is_same_content && !is_placed {
            metadata.mtime = self.difference.epoch;
        }
        if base.is_none() && matches!(metadata.mode, 0o444 | 0o555) {
            // A copy of a packaged file has the mode that the scripts saw, and should have the file's real one.
            let original = self.mode_of_original(&file, found.len()).map_err(error)?;
            let likely = cleanup::mode_of_new_file(path.as_bytes(), metadata.mode);
            metadata.mode = original.unwrap_or(likely);
        }
        if is_same_content && packaged.is_some_and(|item| item.node.metadata == metadata) {
            return Ok(());
        }
        let declaration = match self.names.get(&(found.dev(), found.ino())) {
            Some(first) if found.nlink() > 1 => Declaration::HardLink(first.clone()),
            _ => {
                self.names.insert((found.dev(), found.ino()), path.clone());
                Declaration::File(content)
            }
        };
        Ok(self.builder.declare(path, metadata, declaration)?)
    }

    /// Returns the owner, mode and time of what is at `path` now; `base` is what a package says about it if it is
    /// still the package's.
    fn metadata(
        &self,
        path: &EntryPath,
        found: &fs::Metadata,
        base: Option<&Metadata>,
    ) -> Result<Metadata, ConfigureError> {
        let record = self.record(path)?;
        let new = Metadata { mtime: self.difference.epoch, ..Metadata::default() };
        let mut metadata = base.cloned().unwrap_or(new);
        if base.is_none() || !self.is_mode_of_lower(path, found) {
            metadata.mode = found.mode() & 0o7777;
        }
        if let Some(record) = record {
            metadata.uid = record.user.unwrap_or(metadata.uid);
            metadata.gid = record.group.unwrap_or(metadata.gid);
            let attributes = record.attributes.iter();
            metadata
                .xattrs
                .extend(attributes.map(|(name, value)| (name.clone().into_bytes(), value.clone())));
        }
        Ok(metadata)
    }

    /// Says whether the mode is what the tree below has, which is not the package's but only resembles it.
    fn is_mode_of_lower(&self, path: &EntryPath, found: &fs::Metadata) -> bool {
        let lower = fs::symlink_metadata(join(self.difference.lower, Some(path)));
        lower.is_ok_and(|lower| lower.mode() == found.mode())
    }

    fn record(&self, path: &EntryPath) -> Result<Option<&Record>, ConfigureError> {
        let seen = fs::symlink_metadata(join(self.difference.mount, Some(path)));
        let seen = seen.map_err(|source| ConfigureError::root("look at", path, source))?;
        Ok(self.difference.records.get(&seen))
    }

    fn is_same(&self, file: &Path, size: u64, extent: Extent) -> io::Result<bool> {
        if size != extent.size {
            return Ok(false);
        }
        let (mut file, mut packaged) =
            (File::open(file)?, self.difference.packages.tree.open_content(extent));
        let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        loop {
            let n = file.read(&mut left)?;
            packaged.read_exact(&mut right[..n])?;
            if n == 0 || left[..n] != right[..n] {
                return Ok(n == 0);
            }
        }
    }

    /// Returns the mode of a packaged file with the same contents.
    fn mode_of_original(&mut self, file: &Path, size: u64) -> io::Result<Option<u32>> {
        let tree = &self.difference.packages.tree;
        let by_size = self.by_size.get_or_init(|| {
            let mut by_size: BTreeMap<u64, Vec<(Extent, u32)>> = BTreeMap::new();
            for item in tree.items() {
                if let NodeKind::File(extent) = item.node.kind {
                    by_size.entry(extent.size).or_default().push((extent, item.node.metadata.mode));
                }
            }
            by_size
        });
        let Some(originals) = by_size.get(&size) else { return Ok(None) };
        // There may be as many copies as originals: by its content, each is read once.
        let modes = match self.modes.entry(size) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let mut modes = BTreeMap::new();
                for (extent, mode) in originals {
                    let (content, _) = Sha256::of_reader(&mut tree.open_content(*extent))?;
                    modes.entry(content).or_insert(*mode);
                }
                entry.insert(modes)
            }
        };
        let (content, _) = Sha256::of_reader(&mut File::open(file)?)?;
        Ok(modes.get(&content).copied())
    }

    /// Declares directories that several packages have and that dpkg would have left as the first of them has
    /// them, where the layers, of which the last one counts, say otherwise.
    fn settle_directories(&mut self) -> Result<(), ConfigureError> {
        for (path, first) in &self.difference.packages.directories {
            let item = self.difference.packages.get(path.as_bytes());
            let is_other = item.is_some_and(|item| {
                item.node.kind == NodeKind::Directory && !is_same_apart_from_time(&item.node.metadata, first)
            });
            let is_there =
                || fs::symlink_metadata(join(self.difference.mount, Some(path))).is_ok_and(|m| m.is_dir());
            if is_other && self.builder.get(path).is_none() && is_there() {
                self.builder.declare(path.clone(), first.clone(), Declaration::Directory)?;
            }
        }
        Ok(())
    }
}

fn is_same_apart_from_time(left: &Metadata, right: &Metadata) -> bool {
    (left.mode, left.uid, left.gid, &left.xattrs) == (right.mode, right.uid, right.gid, &right.xattrs)
}

fn join(directory: &Path, path: Option<&EntryPath>) -> PathBuf {
    match path {
        Some(path) => directory.join(std::ffi::OsStr::from_bytes(path.as_bytes())),
        None => directory.to_owned(),
    }
}
