//! Makes layers: other layers merged, then directories, entries and accounts laid over them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer::{Builder, Content, Declaration, EntryPath, Layer, Metadata, NodeKind, Tree};

use crate::accounts::AccountFiles;
use crate::error::Error;
use crate::files::{Directory, Output};
use crate::spec::{AccountsSpec, EntrySpec, LayerSpec, NodeSpec};

/// Writes the layer that `spec` describes.
pub(crate) fn write(spec: &LayerSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let epoch = i64::try_from(spec.epoch).map_err(|_| Error::Epoch { epoch: spec.epoch })?;
    let mut overlay = Overlay { builder: Builder::default(), epoch };
    for tree in &spec.trees {
        overlay.lay_tree(&directory.path(tree), None)?;
    }
    for entry in &spec.entries {
        overlay.lay_entry(entry, directory)?;
    }
    if !spec.accounts.is_empty() {
        overlay.add_accounts(spec, directory)?;
    }
    if spec.layers.is_empty() {
        return directory.produce(&spec.output, |output| overlay.write(output));
    }
    let mut paths: Vec<PathBuf> = spec.layers.iter().map(|layer| directory.path(layer)).collect();
    let has_overlay = !spec.trees.is_empty() || !spec.entries.is_empty() || !spec.accounts.is_empty();
    if !has_overlay {
        return write_merged(&Tree::open(&paths)?, spec, directory);
    }
    // The overlay is merged like any layer. It may be large, so it is a file, whose name is gone at once.
    let scratch = directory.create(&format!("{}.overlay", spec.output))?;
    fs::remove_file(&scratch.path).map_err(|source| scratch.error(source))?;
    overlay.write(&scratch)?;
    let mut layers = Vec::with_capacity(paths.len() + 1);
    for path in paths.drain(..) {
        layers.push(Layer::open(&path).map_err(|source| Error::Read { path, source })?);
    }
    layers.push(Layer::new("what is laid over the layers", Arc::new(scratch.file)));
    write_merged(&Tree::merge(layers)?, spec, directory)
}

fn write_merged(tree: &Tree, spec: &LayerSpec, directory: &Directory<'_>) -> Result<(), Error> {
    directory.produce(&spec.output, |output| {
        let written = layer::write_layer(tree, output.writer());
        let writer = written.map_err(|source| Error::WriteLayer { path: output.path.clone(), source })?;
        output.close(writer)
    })
}

/// Writes the layer that `builder` describes.
pub(crate) fn write_builder(builder: &Builder, output: &Output) -> Result<(), Error> {
    let built = builder.write(output.writer());
    let writer = built.map_err(|source| Error::Build { path: output.path.clone(), source })?;
    output.close(writer)
}

struct Overlay {
    builder: Builder,
    epoch: i64,
}

impl Overlay {
    fn write(&self, output: &Output) -> Result<(), Error> {
        write_builder(&self.builder, output)
    }

    fn declare(&mut self, path: EntryPath, metadata: Metadata, declaration: Declaration) {
        // What is laid later replaces what was laid before.
        self.builder.withdraw(&path);
        self.builder.declare(path, metadata, declaration).expect("the path was withdrawn");
    }

    /// Lays the contents of the directory `from` at `to`, which is `None` for the root.
    fn lay_tree(&mut self, from: &Path, to: Option<&EntryPath>) -> Result<(), Error> {
        let read_error = |source| Error::Read { path: from.to_path_buf(), source };
        let mut entries: Vec<fs::DirEntry> =
            fs::read_dir(from).map_err(read_error)?.collect::<Result<_, _>>().map_err(read_error)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        if let (true, Some(to)) = (entries.is_empty(), to) {
            self.declare(to.clone(), self.metadata(0o755), Declaration::Directory);
        }
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let to = match to {
                Some(to) => to.join(name.as_bytes()),
                None => EntryPath::new(name.as_bytes()),
            };
            let to = to.map_err(|error| Error::Overlay { path: path.clone(), problem: error.to_string() })?;
            let read_error = |source| Error::Read { path: path.clone(), source };
            let status = fs::symlink_metadata(&path).map_err(read_error)?;
            if status.is_dir() {
                self.lay_tree(&path, Some(&to))?;
            } else if status.is_symlink() {
                let target = fs::read_link(&path).map_err(read_error)?.into_os_string().into_vec();
                self.declare(to, self.metadata(0o777), Declaration::Symlink(target));
            } else if status.is_file() {
                let mode = if status.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
                let content = Content::Path { path, size: status.len() };
                self.declare(to, self.metadata(mode), Declaration::File(content));
            } else {
                let problem = "it is neither file, directory nor symbolic link".to_owned();
                return Err(Error::Overlay { path, problem });
            }
        }
        Ok(())
    }

    fn metadata(&self, mode: u32) -> Metadata {
        Metadata { mtime: self.epoch, ..Metadata::with_mode(mode) }
    }

    fn lay_entry(&mut self, entry: &EntrySpec, directory: &Directory<'_>) -> Result<(), Error> {
        let xattrs = entry.xattrs.iter().map(|(name, value)| (name.clone().into(), value.clone().into()));
        let metadata = Metadata {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime.unwrap_or(self.epoch),
            xattrs: xattrs.collect::<BTreeMap<_, _>>(),
        };
        let declaration = match &entry.node {
            NodeSpec::File { source } => {
                let path = directory.path(source);
                let status =
                    fs::metadata(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
                Declaration::File(Content::Path { path, size: status.len() })
            }
            NodeSpec::Text { text } => Declaration::File(Content::Bytes(text.clone().into_bytes())),
            NodeSpec::Directory => Declaration::Directory,
            NodeSpec::Symlink { target } => Declaration::Symlink(target.clone().into_bytes()),
            NodeSpec::HardLink { target } => Declaration::HardLink(target.clone()),
            NodeSpec::CharDevice { major, minor } => Declaration::CharDevice(*major, *minor),
            NodeSpec::BlockDevice { major, minor } => Declaration::BlockDevice(*major, *minor),
            NodeSpec::Fifo => Declaration::Fifo,
            NodeSpec::Removed => {
                let removed =
                    self.builder.declare(entry.path.clone(), Metadata::default(), Declaration::Whiteout);
                return removed.map_err(|source| Error::Build { path: directory.path(""), source });
            }
        };
        self.declare(entry.path.clone(), metadata, declaration);
        Ok(())
    }

    /// Declares account files with the accounts added, in place of those that the overlay or the layers have.
    fn add_accounts(&mut self, spec: &LayerSpec, directory: &Directory<'_>) -> Result<(), Error> {
        let AccountsSpec { below, .. } = &spec.accounts;
        let layers: Vec<String> = below.iter().chain(&spec.layers).cloned().collect();
        let tree = directory.merge(&layers)?;
        let passwd = self.existing("etc/passwd", &tree)?;
        let group = self.existing("etc/group", &tree)?;
        let shadow = self.existing("etc/shadow", &tree)?;
        let gshadow = self.existing("etc/gshadow", &tree)?;
        let text = |found: &Option<(Metadata, String)>| found.as_ref().map(|(_, text)| text.clone());
        let mut files = AccountFiles {
            passwd: text(&passwd).unwrap_or_default(),
            group: text(&group).unwrap_or_default(),
            shadow: text(&shadow).unwrap_or_default(),
            gshadow: text(&gshadow),
        };
        files.add(&spec.accounts)?;
        let changed = [
            ("etc/passwd", passwd, 0o644, Some(files.passwd)),
            ("etc/group", group, 0o644, Some(files.group)),
            ("etc/shadow", shadow, 0o600, Some(files.shadow)),
            ("etc/gshadow", gshadow, 0o600, files.gshadow),
        ];
        for (path, found, mode, text) in changed {
            let Some(text) = text else { continue };
            let metadata = found.map_or_else(
                || self.metadata(mode),
                |(metadata, _)| Metadata { mtime: self.epoch, ..metadata },
            );
            let path = EntryPath::new(path).expect("the names of account files are paths");
            self.declare(path, metadata, Declaration::File(Content::Bytes(text.into_bytes())));
        }
        Ok(())
    }

    /// Returns what the overlay has at `path`, or else the tree.
    fn existing(&self, path: &str, tree: &Tree) -> Result<Option<(Metadata, String)>, Error> {
        let read_error = |source| Error::Read { path: PathBuf::from(path), source };
        let as_text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let entry_path = EntryPath::new(path).expect("the names of account files are paths");
        match self.builder.get(&entry_path) {
            Some((metadata, Declaration::File(Content::Bytes(bytes)))) => {
                return Ok(Some((metadata.clone(), as_text(bytes.clone()))));
            }
            Some((metadata, Declaration::File(Content::Path { path, .. }))) => {
                let bytes = fs::read(path).map_err(read_error)?;
                return Ok(Some((metadata.clone(), as_text(bytes))));
            }
            _ => {}
        }
        let Some(item) = tree.get(path.as_bytes()) else { return Ok(None) };
        let NodeKind::File(extent) = item.node.kind else { return Ok(None) };
        let bytes = tree.read_content(extent).map_err(read_error)?;
        Ok(Some((item.node.metadata.clone(), as_text(bytes))))
    }
}
