//! The unpacked packages: what their layers say about them, and which files they dispute.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::PathBuf;

use layer::{Entry, EntryPath, Extent, Item, Kind, Metadata, ReadError, Tree, TreeError};

use super::database::{Conffile, conffiles};
use super::order::{self, Candidate};
use super::spec::Stage;
use crate::deb::{ControlError, INFO_DIRECTORY, Identity, STATUS_DIRECTORY};
use crate::deb822;
use crate::depends;
use crate::version::Operator;

/// One unpacked package.
pub(super) struct Package {
    pub(super) identity: Identity,
    /// The control stanza.
    pub(super) control: String,
    /// The conffiles, with their contents as far as the package has them.
    pub(super) conffiles: Vec<(Conffile, Option<Vec<u8>>)>,
    /// The control file `triggers`, or nothing.
    pub(super) triggers: String,
    has_preinst: bool,
    /// The layer's index.
    layer: usize,
    /// Whose files this may take over: names, and which versions if not all.
    replaces: Vec<(String, Option<(Operator, String)>)>,
}

/// All packages, and the tree that their layers make.
pub(super) struct Packages {
    /// Those that are configured already, then those that are not.
    pub(super) all: Vec<Package>,
    /// How many are configured already.
    pub(super) n_configured: usize,
    /// The files of all, and what configuring changed so far.
    pub(super) tree: Tree,
    /// What has a path without being a directory, by path: the package and where its contents are.
    files: BTreeMap<EntryPath, Vec<PackagedFile>>,
    /// What the first package says of a directory that several have, or what configuring made of it; a later package
    /// does not change it.
    pub(super) directories: BTreeMap<EntryPath, Metadata>,
    /// Where configuring put something else than what packages had there.
    changed: BTreeSet<EntryPath>,
}

/// What one package has at a path that is not a directory.
#[derive(Clone)]
pub(super) struct PackagedFile {
    /// The package's index.
    pub(super) package: usize,
    pub(super) entry: Entry,
    /// Where a file's contents are; nothing for what has none of its own.
    pub(super) extent: Extent,
}

/// The layers are not those of packages that can be configured together.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The layers do not make a tree.
    #[error("the packages' files do not make a tree")]
    Tree(#[from] TreeError),
    /// A layer could not be read.
    #[error("could not read the layer `{layer}`")]
    Layer {
        /// The layer.
        layer: String,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The contents of a file could not be read.
    #[error("could not read `{path}` in the layer `{layer}`")]
    Content {
        /// The file.
        path: EntryPath,
        /// The layer.
        layer: String,
        /// What reading said.
        source: io::Error,
    },
    /// A layer that is not that of one package.
    #[error("the layer `{layer}` has {found} control stanzas and not one")]
    NotPackage {
        /// The layer.
        layer: String,
        /// How many it has.
        found: usize,
    },
    /// A layer with a control stanza that says not enough.
    #[error("the control stanza in the layer `{layer}` cannot be used")]
    Control {
        /// The layer.
        layer: String,
        /// What is wrong with it.
        source: ControlError,
    },
}

impl Packages {
    /// Reads the layers of packages that are configured already, and of `new` ones, which come in an order in which
    /// they can be installed.
    pub(super) fn read(below: &[Stage], new: &[PathBuf]) -> Result<Packages, PackagesError> {
        let stages = below.iter().flat_map(|stage| {
            let packages = stage.packages.iter().map(|layer| (layer, true));
            packages.chain([(&stage.changes, false)])
        });
        let new = new.iter().map(|layer| (layer, true));
        let (layers, is_package): (Vec<&PathBuf>, Vec<bool>) = stages.chain(new).unzip();
        let mut packages = Packages {
            all: Vec::new(),
            n_configured: below.iter().map(|stage| stage.packages.len()).sum(),
            tree: Tree::open(&layers)?,
            files: BTreeMap::new(),
            directories: BTreeMap::new(),
            changed: BTreeSet::new(),
        };
        for (layer_idx, is_package) in is_package.into_iter().enumerate() {
            if is_package {
                packages.add(layer_idx)?;
            } else {
                packages.add_changes(layer_idx)?;
            }
        }
        Ok(packages)
    }

    /// Returns how old everything is that scripts make, in seconds since 1970: as the newest file of the packages. So
    /// nothing that scripts derive from files seems older than these, and who has the same packages has the same result.
    pub(super) fn epoch(&self) -> i64 {
        self.tree.items().map(|item| item.node.metadata.mtime).max().unwrap_or(0).max(0)
    }

    /// Adds what configuring changed.
    fn add_changes(&mut self, layer_idx: usize) -> Result<(), PackagesError> {
        let layer = &self.tree.layers()[layer_idx];
        let layer_error = |source| PackagesError::Layer { layer: layer.name().to_owned(), source };
        for located in layer.entries().map_err(layer_error)? {
            let entry = located.map_err(layer_error)?.entry;
            if entry.kind != Kind::Directory || self.files.contains_key(&entry.path) {
                self.changed.insert(entry.path.clone());
            }
            if entry.kind == Kind::Directory {
                self.directories.insert(entry.path, entry.metadata);
            }
        }
        Ok(())
    }

    fn add(&mut self, layer_idx: usize) -> Result<(), PackagesError> {
        let package = self.all.len();
        let layer = &self.tree.layers()[layer_idx];
        let layer_error = |source| PackagesError::Layer { layer: layer.name().to_owned(), source };
        let (mut stanzas, mut info) = (Vec::new(), BTreeMap::new());
        for located in layer.entries().map_err(layer_error)? {
            let located = located.map_err(layer_error)?;
            let entry = located.entry;
            if entry.kind == Kind::Directory {
                self.directories.entry(entry.path).or_insert(entry.metadata);
                continue;
            }
            let extent = Extent { layer: layer_idx, offset: located.offset, size: entry.size() };
            match entry.path.parent_bytes() {
                Some(parent) if parent == STATUS_DIRECTORY.as_bytes() => {
                    stanzas.push((entry.path.clone(), extent))
                }
                Some(parent) if parent == INFO_DIRECTORY.as_bytes() => {
                    info.insert(entry.path.clone(), extent);
                }
                _ => {}
            }
            let file = PackagedFile { package, entry, extent };
            self.files.entry(file.entry.path.clone()).or_default().push(file);
        }
        let [(stanza_path, stanza)] = &stanzas[..] else {
            return Err(PackagesError::NotPackage { layer: layer.name().to_owned(), found: stanzas.len() });
        };
        let control = self.text(stanza_path, *stanza)?;
        let identity = Identity::parse(&control)
            .map_err(|source| PackagesError::Control { layer: layer.name().to_owned(), source })?;
        let read = |extension| {
            let path = identity.info_path(extension);
            info.get(&path).map_or(Ok(String::new()), |extent| self.text(&path, *extent))
        };
        let (conffile_list, triggers) = (read("conffiles")?, read("triggers")?);
        let has_preinst = info.contains_key(&identity.info_path("preinst"));
        let mut contents = Vec::new();
        for conffile in conffiles(&conffile_list) {
            let content = self.conffile_content(package, &conffile)?;
            contents.push((conffile, content));
        }
        let (conffiles, replaces) = (contents, replaces(&field(&control, "Replaces")));
        let layer = layer_idx;
        self.all.push(Package { identity, control, conffiles, triggers, has_preinst, layer, replaces });
        Ok(())
    }

    fn conffile_content(
        &self,
        package: usize,
        conffile: &Conffile,
    ) -> Result<Option<Vec<u8>>, PackagesError> {
        let path = EntryPath::tolerant(conffile.path.trim_start_matches('/').as_bytes()).ok().flatten();
        let path = path.map(|path| crate::deb::usr_merge::real_path(&path).unwrap_or(path));
        let file = path.and_then(|path| self.file_of(package, &path));
        let Some(file) = file.filter(|file| matches!(file.entry.kind, Kind::File { .. })) else {
            return Ok(None);
        };
        self.bytes(&file.entry.path, file.extent).map(Some)
    }

    fn text(&self, path: &EntryPath, extent: Extent) -> Result<String, PackagesError> {
        self.bytes(path, extent).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads the contents of a packaged file.
    pub(super) fn bytes(&self, path: &EntryPath, extent: Extent) -> Result<Vec<u8>, PackagesError> {
        self.tree.read_content(extent).map_err(|source| PackagesError::Content {
            path: path.clone(),
            layer: self.tree.layers()[extent.layer].name().to_owned(),
            source,
        })
    }

    /// Returns what the package has at `path`, unless that is a directory.
    pub(super) fn file_of(&self, package: usize, path: &EntryPath) -> Option<&PackagedFile> {
        self.files_at(path).iter().find(|file| file.package == package)
    }

    /// Returns what packages have at `path`, directories apart, in the order of the packages.
    pub(super) fn files_at(&self, path: &EntryPath) -> &[PackagedFile] {
        self.files.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the paths that several packages have, one of them not yet configured, directories apart.
    pub(super) fn disputed(&self) -> impl Iterator<Item = (&EntryPath, &[PackagedFile])> {
        let disputed = self.files.iter().filter(|(_, files)| files.len() > 1 && self.has_new(files));
        disputed.map(|(path, files)| (path, &files[..]))
    }

    /// Returns whether one of the files is of a package that is not configured yet.
    pub(super) fn has_new(&self, files: &[PackagedFile]) -> bool {
        files.iter().any(|file| file.package >= self.n_configured)
    }

    /// Returns whether a package that is not configured yet has something at `path` or below, directories apart.
    pub(super) fn has_new_below(&self, path: &EntryPath) -> bool {
        self.has_new(self.files_at(path)) || self.files_below(path).any(|files| self.has_new(files))
    }

    /// Returns what packages have at each path below `path`, directories apart.
    pub(super) fn files_below(&self, path: &EntryPath) -> impl Iterator<Item = &[PackagedFile]> {
        let [from, to] = [b"/", b"0"].map(|end| [path.as_bytes(), end].concat());
        let below = self.files.range::<[u8], _>((Bound::Included(&from[..]), Bound::Excluded(&to[..])));
        below.map(|(_, files)| &files[..])
    }

    /// Returns the paths at which a package has something, directories apart, in order.
    pub(super) fn paths_of_files(&self) -> impl Iterator<Item = &EntryPath> {
        self.files.keys()
    }

    /// Returns the last package but `other` that has a directory at `path`, with an entry of its own or files in it.
    pub(super) fn directory_of(&self, path: &EntryPath, other: usize) -> Option<usize> {
        let has_entry = |package: &Package| {
            let entries = self.tree.layers()[package.layer].entries();
            let mut entries = entries.into_iter().flatten().flatten().map(|located| located.entry);
            entries.any(|entry| entry.path == *path && entry.kind == Kind::Directory)
        };
        let below = self.files_below(path).flatten().map(|file| file.package).filter(|it| *it != other).max();
        let with_entry = (0..self.all.len()).rev().find(|it| *it != other && has_entry(&self.all[*it]));
        below.max(with_entry)
    }

    /// Returns whether configuring put something else at `path` than packages had there.
    pub(super) fn is_changed(&self, path: &EntryPath) -> bool {
        self.changed.contains(path)
    }

    /// Returns whether a package has something at `path`.
    pub(super) fn is_packaged(&self, path: &EntryPath) -> bool {
        self.files.contains_key(path) || self.directories.contains_key(path)
    }

    /// Returns the packages that are not configured yet.
    pub(super) fn new_packages(&self) -> &[Package] {
        &self.all[self.n_configured..]
    }

    /// Returns the paths that `package` has under their own names, as dpkg lists them: absolute.
    pub(super) fn listed(&self, package: usize) -> Result<BTreeSet<Vec<u8>>, PackagesError> {
        let path = self.all[package].identity.info_path("list");
        let Some(file) = self.file_of(package, &path) else { return Ok(BTreeSet::new()) };
        let list = self.bytes(&path, file.extent)?;
        Ok(list.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
    }

    /// Returns what the order of scripts depends on.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        self.all.iter().map(Package::candidate).collect()
    }

    /// Returns what a path is in the packages' tree.
    pub(super) fn get(&self, path: &[u8]) -> Option<Item<'_>> {
        self.tree.get(path)
    }
}

impl Package {
    fn candidate(&self) -> Candidate {
        Candidate {
            name: self.identity.name.clone(),
            provides: order::names(&field(&self.control, "Provides")).concat(),
            is_essential: field(&self.control, "Essential") == "yes",
            has_preinst: self.has_preinst,
            pre_depends: order::names(&field(&self.control, "Pre-Depends")),
            depends: order::names(&field(&self.control, "Depends")),
        }
    }

    /// Says whether this package may take over files of `other`.
    pub(super) fn replaces(&self, other: &Package) -> bool {
        let (name, version) = (&other.identity.name, &other.identity.version);
        self.replaces.iter().any(|(replaced, versions)| {
            let accepts = |(operator, bound): &(Operator, String)| operator.accepts(version, bound);
            replaced == name && versions.as_ref().is_none_or(accepts)
        })
    }
}

/// Reads the field `Replaces`. What cannot be read of it replaces nothing.
fn replaces(field: &str) -> Vec<(String, Option<(Operator, String)>)> {
    let relations = field.split(',').filter_map(|relation| depends::parse_relation(relation).ok());
    relations
        .map(|relation| {
            let version = relation.version.map(|(operator, bound)| (operator, bound.to_owned()));
            (relation.name.to_owned(), version)
        })
        .collect()
}

fn field(control: &str, name: &str) -> String {
    deb822::single(control).unwrap_or_default().get(name).unwrap_or_default().to_owned()
}
