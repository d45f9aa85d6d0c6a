//! From a `.dsc` and its files to a tree.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use layer::EntryPath;
use quilt::{Options, Patch, Record, Series, Tree};

use crate::deb::Compression;
use crate::digest::Sha256;
use crate::source::dsc::{Dsc, DscFile, MAX_DSC};
use crate::source::error::SourceError;
use crate::source::extract::{QuiltDirectory, extract, failed, merge, remove};
use crate::source::layout::{Archive, Layout};

const PATCHES: &str = "debian/patches";
/// More than any patch has, that of a kernel with all that its distribution changed included; to understand one takes many times
/// its size in memory.
const MAX_PATCH: u64 = 256 << 20;
/// What the patches of a series may have in all; the series can name one of them many times.
const MAX_PATCHES: u64 = 1 << 30;
/// Far more than any series has; each of its lines costs a look at the tree.
const MAX_SERIES: u64 = 1 << 20;

/// Puts the source package of the control file `dsc` together as the new directory `tree`, and returns what it
/// is. Its files must lie beside the control file. The new directory `scratch`, on the same file system, is
/// needed meanwhile. `announce` is told what is done.
///
/// If it fails, `tree` and `scratch` may have been begun.
pub fn unpack(
    dsc: &Path,
    tree: &Path,
    scratch: &Path,
    announce: &mut dyn FnMut(&str),
) -> Result<Dsc, SourceError> {
    let text = File::open(dsc).and_then(|file| read_up_to(file, MAX_DSC + 1)).map_err(failed("read", dsc))?;
    let package = Dsc::parse(&text).map_err(|source| SourceError::Dsc { path: dsc.to_owned(), source })?;
    let layout = Layout::of(&package)
        .map_err(|source| SourceError::Layout { package: package.source.clone(), source })?;
    let directory = dsc.parent().unwrap_or(Path::new(""));
    for file in &package.files {
        check(file, &directory.join(&file.name))?;
    }
    fs::create_dir(scratch).map_err(failed("make", scratch))?;
    let mut unpacking = Unpacking { directory, tree, scratch, announce };
    match &layout {
        Layout::Native(archive) => unpacking.new_tree(archive, QuiltDirectory::Keep)?,
        Layout::Diff(archive, diff) => {
            unpacking.new_tree(archive, QuiltDirectory::Keep)?;
            unpacking.diff(diff)?;
        }
        Layout::Quilt { upstream, components, debian } => {
            unpacking.new_tree(upstream, QuiltDirectory::LeaveOut)?;
            for (name, archive) in components {
                unpacking.component(name, archive)?;
            }
            unpacking.debian(debian)?;
            unpacking.patches(&package.source)?;
        }
    }
    unpacking.make_rules_executable()?;
    remove(scratch)?;
    Ok(package)
}

/// Checks that a file is the one that the control file lists.
fn check(file: &DscFile, path: &Path) -> Result<(), SourceError> {
    let mut input = File::open(path).map_err(failed("open", path))?;
    let (found, found_size) = Sha256::of_reader(&mut input).map_err(failed("read", path))?;
    let DscFile { name, size: expected_size, sha256: expected } = file;
    if found != *expected || found_size != *expected_size {
        return Err(SourceError::Altered {
            name: name.clone(),
            found,
            found_size,
            expected: *expected,
            expected_size: *expected_size,
        });
    }
    Ok(())
}

struct Unpacking<'a> {
    directory: &'a Path,
    tree: &'a Path,
    scratch: &'a Path,
    announce: &'a mut dyn FnMut(&str),
}

impl Unpacking<'_> {
    /// Unpacks an archive to a place of its own.
    fn extract(&mut self, archive: &Archive, quilt: QuiltDirectory) -> Result<PathBuf, SourceError> {
        (self.announce)(&format!("unpacking {}", archive.name));
        extract(archive, &self.directory.join(&archive.name), &self.unpacked(), quilt)
    }

    fn unpacked(&self) -> PathBuf {
        self.scratch.join("unpacked")
    }

    /// Makes what the archive has, without its single top directory, the directory `to`, where nothing is.
    fn place(&mut self, archive: &Archive, to: &Path, quilt: QuiltDirectory) -> Result<(), SourceError> {
        let top = self.extract(archive, quilt)?;
        fs::rename(&top, to).map_err(failed("move", &top))?;
        remove(&self.unpacked())
    }

    fn new_tree(&mut self, archive: &Archive, quilt: QuiltDirectory) -> Result<(), SourceError> {
        self.place(archive, self.tree, quilt)
    }

    /// Unpacks a further archive of upstream to a directory of its own, which replaces what has its name.
    fn component(&mut self, name: &str, archive: &Archive) -> Result<(), SourceError> {
        let place = self.tree.join(name);
        remove(&place)?;
        self.place(archive, &place, QuiltDirectory::Keep)
    }

    /// Lays the archive of Debian over the tree. The directory `debian` is its alone.
    fn debian(&mut self, archive: &Archive) -> Result<(), SourceError> {
        remove(&self.tree.join("debian"))?;
        self.extract(archive, QuiltDirectory::LeaveOut)?;
        let unpacked = self.unpacked();
        merge(archive, &unpacked, self.tree)?;
        remove(&unpacked)
    }

    /// Applies the patches that the directory `debian` lists.
    fn patches(&mut self, package: &str) -> Result<(), SourceError> {
        let failed_patches = |source| SourceError::Patches { package: package.to_owned(), source };
        let patches = self.tree.join(PATCHES);
        let name = if patches.join("debian.series").exists() { "debian.series" } else { "series" };
        let file = open_inside(self.tree, &patches.join(name));
        let text = match file.and_then(|file| read_up_to(file, MAX_SERIES + 1)) {
            Ok(text) if text.len() as u64 > MAX_SERIES => {
                return Err(SourceError::LongSeries { package: package.to_owned(), limit: MAX_SERIES });
            }
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(failed("read", &patches.join(name))(source)),
        };
        let series = Series::parse(&text).map_err(|error| failed_patches(error.into()))?;
        let staging = self.scratch.join("patched");
        fs::create_dir(&staging).map_err(failed("make", &staging))?;
        let tree = Tree::new(self.tree, &staging);
        let record = Record { patches: PATCHES, series: name };
        let options = Options { fuzz: 0, remove_empty: true };
        let root = self.tree;
        let mut left = MAX_PATCHES;
        let read = |patch: &EntryPath| {
            let file = open_inside(root, &tree.path(&join(PATCHES, patch)?))?;
            let size = file.metadata()?.len();
            let text = decompressed(patch.as_bytes(), file)?;
            // Of a compressed patch, either may be what takes the time.
            match left.checked_sub(size.max(text.len() as u64)) {
                Some(rest) => left = rest,
                None => return Err(too_large("the patches have more than 1 GiB in all")),
            }
            Ok(text)
        };
        let announce = &mut *self.announce;
        let say = |patch: &EntryPath| announce(&format!("applying {patch}"));
        tree.apply_series(&series, options, Some(record), read, say).map_err(failed_patches)?;
        if name != "series" {
            self.link_series(&patches.join("series"), name)?;
        }
        Ok(())
    }

    /// Leaves a link by which quilt finds the series of Debian, unless a file has its name.
    fn link_series(&self, link: &Path, name: &str) -> Result<(), SourceError> {
        match fs::symlink_metadata(link) {
            Ok(metadata) if metadata.is_symlink() => remove(link)?,
            Ok(_) => return Ok(()),
            Err(_) => {}
        }
        symlink(name, link).map_err(failed("make the link", link))
    }

    /// Applies the diff of a package of the format 1.0.
    fn diff(&mut self, name: &str) -> Result<(), SourceError> {
        (self.announce)(&format!("applying {name}"));
        let path = self.directory.join(name);
        let compressed = File::open(&path).map_err(failed("open", &path))?;
        let text = decompressed(name.as_bytes(), compressed)
            .map_err(|source| SourceError::Decompress { name: name.to_owned(), source })?;
        let patch =
            Patch::parse(&text, 1).map_err(|source| SourceError::Diff { name: name.to_owned(), source })?;
        let staging = self.scratch.join("patched");
        fs::create_dir(&staging).map_err(failed("make", &staging))?;
        Tree::new(self.tree, &staging)
            .apply(&patch, Options::default(), None)
            .map_err(|source| SourceError::DiffApply { name: name.to_owned(), source: Box::new(source) })
    }

    fn make_rules_executable(&self) -> Result<(), SourceError> {
        let rules = self.tree.join("debian/rules");
        match fs::symlink_metadata(&rules) {
            Ok(metadata) if metadata.is_file() => {
                let mode = metadata.permissions().mode() | 0o111;
                fs::set_permissions(&rules, Permissions::from_mode(mode))
                    .map_err(failed("set the mode of", &rules))
            }
            _ => Ok(()),
        }
    }
}

/// Opens a file below `root`. Links are followed as long as they stay there.
fn open_inside(root: &Path, path: &Path) -> io::Result<File> {
    let (path, root) = (path.canonicalize()?, root.canonicalize()?);
    if !path.starts_with(root) {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is a link that leads out of the tree"));
    }
    File::open(path)
}

fn read_up_to(input: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_large(problem: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

fn join(directory: &str, patch: &EntryPath) -> io::Result<EntryPath> {
    let directory = EntryPath::new(directory).map_err(io::Error::other)?;
    directory.join(patch.as_bytes()).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Returns what a patch that may be compressed has in it.
fn decompressed(name: &[u8], file: File) -> io::Result<Vec<u8>> {
    let suffix = [".gz", ".xz", ".bz2", ".zst"].into_iter().find(|suffix| name.ends_with(suffix.as_bytes()));
    let compression = suffix.and_then(Compression::from_suffix).unwrap_or(Compression::None);
    let text = read_up_to(compression.decode(file)?, MAX_PATCH + 1)?;
    if text.len() as u64 > MAX_PATCH {
        return Err(too_large("it has more than 256 MiB"));
    }
    Ok(text)
}
