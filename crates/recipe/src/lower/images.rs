//! The specifications that `mkimg` reads.
//!
//! Paths are relative to the step's working directory.

use serde::Serialize;

/// One run of `mkimg SPEC.json`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Spec {
    /// Writes one canonical layer: other layers merged, then entries.
    Layer {
        output: String,
        epoch: u64,
        /// Layers to merge, bottom first.
        layers: Vec<String>,
        /// Directories whose contents are laid over them, owned by root.
        trees: Vec<String>,
        /// Entries over all that, by path.
        entries: Vec<Entry>,
        /// Users and groups to add to the account files of the layers.
        accounts: Accounts,
    },
    /// Writes a cpio archive of merged layers.
    Initramfs { output: String, epoch: u64, layers: Vec<String>, compression: &'static str },
    /// Copies files out of merged layers.
    Extract { layers: Vec<String>, files: Vec<Extracted> },
    /// Writes a layer of kernel modules, with those that they need.
    Modules { output: String, epoch: u64, layers: Vec<String>, names: Vec<String> },
    /// Writes an ext4 image of merged layers.
    Ext4 {
        output: String,
        epoch: u64,
        layers: Vec<String>,
        size: Option<u64>,
        label: Option<String>,
        uuid: String,
        hash_seed: String,
    },
}

/// An entry of a layer.
#[derive(Serialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    #[serde(flatten)]
    pub(super) node: Node,
}

/// What an entry is.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Node {
    File { source: String },
    Directory,
    Symlink { target: String },
}

/// A file to copy out of layers.
#[derive(Serialize)]
pub(super) struct Extracted {
    /// Its path in the layers; `*` stands for any part of one name.
    pub(super) path: String,
    /// Where it goes.
    pub(super) output: String,
}

/// Users and groups to add.
#[derive(Serialize)]
pub(super) struct Accounts {
    /// The layers that have `etc/passwd`, `etc/group` and `etc/shadow`, bottom first; they are only read.
    pub(super) below: Vec<String>,
    pub(super) groups: Vec<Group>,
    pub(super) users: Vec<User>,
}

/// A group to add.
#[derive(Serialize)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) gid: u32,
}

/// A user to add, with a group of the same name.
#[derive(Serialize)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) home: String,
    pub(super) shell: String,
    pub(super) groups: Vec<String>,
    pub(super) password: String,
}
