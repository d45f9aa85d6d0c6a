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

/// What a file with a private key may have; larger ones are not looked into.
const MAX_KEY: u64 = 1 << 20;

/// How overlayfs marks a directory that hides what is below it.
const OPAQUE: &str = "user.overlay.opaque";

/// A layer that is being collected.
struct Changes<'a> {
    difference: &'a Difference<'a>,
    builder: Builder,
    /// Of files with several names, which one gives the contents and metadata.
    names: BTreeMap<(u64, u64), Name>,
    /// The packages' files by size, for those who look for the origin of a copy.
    by_size: OnceCell<BTreeMap<u64, Vec<(Extent, u32)>>>,
    /// The modes of those that have a size which was looked for, by size and then by content.
    modes: BTreeMap<u64, BTreeMap<Sha256, u32>>,
    /// New files with private keys.
    keys: Vec<EntryPath>,
}

/// A name of a file that has several. The least one says what the file is like: one that a package has, and the
/// smallest of those, in whatever order they are found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    is_new: bool,
    path: EntryPath,
}

impl Difference<'_> {
    /// Declares everything that changed. Returns the new files, too, that have a private key in them.
    pub(super) fn layer(&self) -> Result<(Builder, Vec<EntryPath>), ConfigureError> {
        let mut changes = Changes {
            difference: self,
            builder: Builder::default(),
            names: BTreeMap::new(),
            by_size: OnceCell::new(),
            modes: BTreeMap::new(),
            keys: Vec::new(),
        };
        changes.walk(None)?;
        changes.settle_directories()?;
        // dpkg has the stanzas in its own file now.
        let stanzas = EntryPath::new(STATUS_DIRECTORY).expect("the constant is a path");
        changes.builder.declare(stanzas, Metadata::default(), Declaration::Whiteout)?;
        Ok((changes.builder, changes.keys))
    }
}

impl Changes<'_> {
    /// Looks at everything in the changed directory `above`, or the root.
    fn walk(&mut self, above: Option<&EntryPath>) -> Result<(), ConfigureError> {
        let directory = join(self.difference.upper, above);
        let read_error = |source| ConfigureError::place("read", &directory, source);
        let entries = fs::read_dir(&directory).map_err(read_error)?;
        let names = entries.map(|entry| Ok(entry?.file_name().into_vec()));
        let mut names: Vec<Vec<u8>> = names.collect::<io::Result<_>>().map_err(read_error)?;
        // Every file system has an order of its own.
        names.sort_unstable();
        for name in names {
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
        if packaged.is_none() && cleanup::is_name_of_secret(path.as_bytes(), &target) {
            return Ok(());
        }
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
            Verdict::With(text) => Content::Bytes(text.as_bytes().to_vec()),
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
        if base.is_none()
            && content.size() <= MAX_KEY
            && cleanup::has_private_key(&fs::read(&file).map_err(error)?)
        {
            self.keys.push(path.clone());
        }
        let name = Name { is_new: base.is_none(), path };
        let declaration = match self.names.entry((found.dev(), found.ino())) {
            Entry::Occupied(known) if *known.get() < name => Declaration::HardLink(known.get().path.clone()),
            Entry::Occupied(mut known) => {
                let other = known.insert(name.clone()).path;
                self.builder.withdraw(&other);
                let link = Declaration::HardLink(name.path.clone());
                self.builder.declare(other, Metadata::default(), link)?;
                Declaration::File(content)
            }
            Entry::Vacant(unknown) => {
                unknown.insert(name.clone());
                Declaration::File(content)
            }
        };
        Ok(self.builder.declare(name.path, metadata, declaration)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::fixtures::{TarEntry, control, deb, file};

    /// Renders the layer, and returns the keys, when `change` was what happened in `etc` and `usr/share`; a package has
    /// `usr/share/m` and `etc/munge/munge.key`, and `etc/packaged.key`.
    fn changes(change: impl FnOnce(&Path)) -> (Vec<String>, Vec<EntryPath>) {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let packaged = TarEntry { uid: 33, mode: 0o640, ..file("./usr/share/m", "1") };
        let key = |name| file(name, "-----BEGIN PRIVATE KEY-----\n");
        let all = [packaged, key("./etc/munge/munge.key"), key("./etc/packaged.key")];
        fs::write(at("deb"), deb(&[control("one", "")], &all)).unwrap();
        crate::deb::unpack(&at("deb"), &at("package.tar")).unwrap();
        let packages = Packages::read(&[], &[at("package.tar")]).unwrap();
        for tree in ["lower/usr/share", "upper/usr/share"] {
            fs::create_dir_all(at(tree)).unwrap();
        }
        change(&at("upper"));
        if let Ok(changed) = fs::metadata(at("upper/usr/share/m")) {
            fs::write(at("lower/usr/share/m"), "1").unwrap();
            fs::set_permissions(at("lower/usr/share/m"), changed.permissions()).unwrap();
        }
        let difference = Difference {
            packages: &packages,
            root: &Root::open(&at("upper")).unwrap(),
            records: &Records::default(),
            lower: &at("lower"),
            upper: &at("upper"),
            mount: &at("upper"),
            epoch: 7,
        };
        let (changes, keys) = difference.layer().unwrap();
        fs::write(at("layer.tar"), changes.write(Vec::new()).unwrap()).unwrap();
        let layer = layer::Layer::open(&at("layer.tar")).unwrap();
        let entries = layer.entries().unwrap().map(|located| located.unwrap().entry.to_string());
        (entries.filter(|line| !line.contains("status.d")).collect(), keys)
    }

    #[test]
    fn names_of_one_file_have_the_packaged_name_say_what_it_is_like() {
        // Enough of them that hardly any file system has the packaged one first.
        let mut names: Vec<String> =
            (0..16).map(|n| format!("{}{n:02}", if n < 8 { "a" } else { "z" })).collect();
        names.insert(8, "m".to_owned());
        let mut expected = vec!["file    0640 33:0 7 usr/share/a00 size=7".to_owned()];
        let link = |name: &String| format!("link    0640 33:0 7 usr/share/{name} = usr/share/a00");
        expected.extend(names[1..].iter().map(link));
        for names in [names.clone(), names.into_iter().rev().collect()] {
            let (layer, _) = changes(|root| {
                let share = root.join("usr/share");
                fs::write(share.join(&names[0]), "changed").unwrap();
                names[1..]
                    .iter()
                    .for_each(|name| fs::hard_link(share.join(&names[0]), share.join(name)).unwrap());
            });
            assert_eq!(layer, expected);
        }
    }

    #[test]
    fn secrets_of_one_machine_are_left_out_and_other_keys_are_told() {
        const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n";
        let (layer, keys) = changes(|root| {
            for directory in ["etc/ssl/certs", "etc/ssl/private", "etc/munge", "etc/nvme", "etc/dovecot"] {
                fs::create_dir_all(root.join(directory)).unwrap();
            }
            let made = [
                "ssl/private/ssl-cert-snakeoil.key",
                "ssl/certs/ssl-cert-snakeoil.pem",
                "nvme/hostid",
                "munge/munge.key",
                "packaged.key",
                "dovecot/own.key",
            ];
            made.iter().for_each(|name| fs::write(root.join("etc").join(name), KEY).unwrap());
            let links = ["ssl/certs/0123abcd.0", "dovecot/dovecot.pem"];
            for (link, target) in
                links.iter().zip(["ssl-cert-snakeoil.pem", "/etc/ssl/certs/ssl-cert-snakeoil.pem"])
            {
                std::os::unix::fs::symlink(target, root.join("etc").join(link)).unwrap();
            }
        });
        let files: Vec<String> = layer.into_iter().filter(|line| !line.starts_with("dir")).collect();
        assert_eq!(
            files,
            [
                "symlink 0777 0:0 7 etc/dovecot/dovecot.pem -> /etc/ssl/certs/ssl-cert-snakeoil.pem",
                "file    0644 0:0 7 etc/dovecot/own.key size=37",
                // These the package has, and a script changed them.
                "file    0644 0:0 7 etc/munge/munge.key size=37",
                "file    0644 0:0 7 etc/packaged.key size=37",
            ]
        );
        assert_eq!(keys, [EntryPath::new("etc/dovecot/own.key").unwrap()]);
    }
}
