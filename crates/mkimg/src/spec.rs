//! What `mkimg in/spec.json` is asked to do. Whoever writes such a file uses these types, too.
//!
//! Paths are relative to the step's working directory. A key that is not known is an error.

mod boot;
mod budget;
mod device_tree;
mod erofs;
mod ext4;
mod formats;
mod igvm;
mod images;
mod iso;
mod packit;
mod squashfs;

use std::collections::BTreeMap;

pub use boot::{EfiVariablesSpec, GrubFormat, GrubSpec, SignSpec, UkiSpec, UkiText, VerityHash, VeritySpec};
pub use budget::BudgetSpec;
pub use device_tree::{DeviceTreeSourceSpec, DeviceTreeSourcesSpec, DeviceTreeSpec, RamdiskSpec};
pub use erofs::{ErofsCompression, ErofsSpec};
pub use ext4::{Ext4Spec, OnErrorSpec};
pub use formats::{
    BackingSpec, BlankSpec, ConvertSpec, FormatSpec, InputFormat, OverSpec, Qcow2Compression, VmdkAdapter,
    VmdkVariant,
};
pub use igvm::{
    IgvmDirectSpec, IgvmFirmwareSpec, IgvmFlatSpec, IgvmHashedSpec, IgvmSnpSpec, IgvmSpec, IgvmStart,
    IgvmTdxSpec,
};
pub use images::{
    BlobSpec, BootCodeSpec, DiskSpec, FatSpec, HybridSpec, PartitionSizeSpec, PartitionSpec, ProtectiveSpec,
    TableSpec,
};
pub use iso::{
    IsoBootSpec, IsoHybridSpec, IsoImageSpec, IsoPatchSpec, IsoPlatformSpec, IsoSpec, IsoTableSpec,
};
pub use layer::EntryPath;
pub use packit::{PackItFile, PackItSpec};
use serde::{Deserialize, Serialize};
pub use squashfs::{SquashfsCompression, SquashfsFragments, SquashfsSpec};

/// One run of `mkimg in/spec.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Spec {
    /// Writes one canonical layer.
    Layer(LayerSpec),
    /// Writes a layer as plain files.
    Tree(TreeSpec),
    /// Writes a cpio archive of merged layers.
    Initramfs(InitramfsSpec),
    /// Copies files out of merged layers.
    Extract(ExtractSpec),
    /// Writes a layer of kernel modules, with those that they need.
    Modules(ModulesSpec),
    /// Writes an ext4 image of merged layers.
    Ext4(Ext4Spec),
    /// Writes a squashfs image of merged layers.
    Squashfs(SquashfsSpec),
    /// Writes an EROFS image of merged layers.
    Erofs(ErofsSpec),
    /// Writes a FAT image of merged layers.
    Fat(FatSpec),
    /// Writes an ISO 9660 image of merged layers.
    Iso(IsoSpec),
    /// Writes a disk with partitions.
    Disk(DiskSpec),
    /// Writes a disk in another format.
    Convert(ConvertSpec),
    /// Writes a disk on which nothing is.
    Blank(BlankSpec),
    /// Writes a disk that lies over another one.
    Over(OverSpec),
    /// Writes a unified kernel image.
    Uki(UkiSpec),
    /// Signs a program for firmware.
    Sign(SignSpec),
    /// Writes the hash tree of an image.
    Verity(VeritySpec),
    /// Makes GRUB, by programs of the environment.
    Grub(GrubSpec),
    /// Writes the variables of a firmware, with keys for Secure Boot.
    EfiVariables(EfiVariablesSpec),
    /// Writes a device tree.
    DeviceTree(DeviceTreeSpec),
    /// Compiles device tree source, by programs of the environment.
    DeviceTreeSources(DeviceTreeSourcesSpec),
    /// Checks that an image is no larger than it may be.
    Budget(BudgetSpec),
    /// Writes a PackIt archive.
    PackIt(PackItSpec),
    /// Writes an IGVM file.
    Igvm(IgvmSpec),
}

impl Spec {
    /// Says whether what is written has compressed blocks, which a later run may take over.
    pub fn has_compressed_blocks(&self) -> bool {
        match self {
            Spec::Squashfs(_) => true,
            Spec::Erofs(erofs) => erofs.compression != ErofsCompression::None,
            Spec::Disk(DiskSpec { format, .. }) | Spec::Convert(ConvertSpec { format, .. }) => match format {
                FormatSpec::Qcow2 { compression, .. } => *compression != Qcow2Compression::None,
                FormatSpec::Vmdk { variant, .. } => *variant == VmdkVariant::StreamOptimized,
                FormatSpec::Gcp { .. } => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Layers merged, then directories laid over them, then entries, then accounts: one canonical layer.
///
/// Without `layers` the result is an overlay: it says nothing about directories that it does not declare.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSpec {
    /// Where the layer goes.
    pub output: String,
    /// The time of everything that does not say otherwise, in seconds since 1970.
    pub epoch: u64,
    /// Layers to merge into the result, bottom first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// Directories whose contents are laid over them, in this order. Root owns what is in them; of modes only
    /// the executable bit is kept. Directories that have something in them keep what the layers say of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trees: Vec<String>,
    /// What is laid over that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<EntrySpec>,
    /// Users and groups to add to the account files.
    #[serde(default, skip_serializing_if = "AccountsSpec::is_empty")]
    pub accounts: AccountsSpec,
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawEntry", into = "RawEntry")]
pub struct EntrySpec {
    /// Where it is.
    pub path: EntryPath,
    /// Permission bits; a symbolic link has none.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Its time, if that is not the epoch.
    pub mtime: Option<i64>,
    /// Extended attributes by their full names; values are text.
    pub xattrs: BTreeMap<String, String>,
    /// What it is.
    pub node: NodeSpec,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeSpec {
    /// A file with the contents of another one.
    File {
        /// That file.
        source: String,
    },
    /// A file with this text.
    Text {
        /// All of its contents.
        text: String,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points, as it is.
        target: String,
    },
    /// Another name of a file of this list.
    HardLink {
        /// That file.
        target: EntryPath,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// What layers below have here is removed.
    Removed,
}

/// The form of an entry in JSON: the fields of all kinds side by side.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    path: EntryPath,
    r#type: RawType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    major: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minor: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawType {
    File,
    Directory,
    Symlink,
    HardLink,
    CharDevice,
    BlockDevice,
    Fifo,
    Removed,
}

impl TryFrom<RawEntry> for EntrySpec {
    type Error = String;

    fn try_from(raw: RawEntry) -> Result<EntrySpec, String> {
        let RawEntry { path, r#type, mode, uid, gid, mtime, xattrs, source, text, target, major, minor } =
            raw;
        let given = [
            ("source", source.is_some()),
            ("text", text.is_some()),
            ("target", target.is_some()),
            ("major", major.is_some()),
            ("minor", minor.is_some()),
        ];
        let given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        let default_mode = match r#type {
            RawType::Directory => 0o755,
            RawType::Symlink => 0o777,
            RawType::Removed => 0,
            _ => 0o644,
        };
        let node = match (r#type, source, text, target, major, minor) {
            (RawType::File, Some(source), None, None, None, None) => NodeSpec::File { source },
            (RawType::File, None, Some(text), None, None, None) => NodeSpec::Text { text },
            (RawType::Directory, None, None, None, None, None) => NodeSpec::Directory,
            (RawType::Symlink, None, None, Some(target), None, None) => NodeSpec::Symlink { target },
            (RawType::HardLink, None, None, Some(target), None, None) => {
                NodeSpec::HardLink { target: EntryPath::new(target).map_err(|error| error.to_string())? }
            }
            (RawType::CharDevice, None, None, None, Some(major), Some(minor)) => {
                NodeSpec::CharDevice { major, minor }
            }
            (RawType::BlockDevice, None, None, None, Some(major), Some(minor)) => {
                NodeSpec::BlockDevice { major, minor }
            }
            (RawType::Fifo, None, None, None, None, None) => NodeSpec::Fifo,
            (RawType::Removed, None, None, None, None, None) => NodeSpec::Removed,
            _ => {
                let wanted = match r#type {
                    RawType::File => "`source` or `text`",
                    RawType::Symlink | RawType::HardLink => "`target`",
                    RawType::CharDevice | RawType::BlockDevice => "`major` and `minor`",
                    RawType::Directory | RawType::Fifo | RawType::Removed => "none of these",
                };
                let given = if given.is_empty() { "nothing".to_owned() } else { given.join(", ") };
                return Err(format!("entry `{path}` has {given} where its type wants {wanted}"));
            }
        };
        Ok(EntrySpec { path, mode: mode.unwrap_or(default_mode), uid, gid, mtime, xattrs, node })
    }
}

impl From<EntrySpec> for RawEntry {
    fn from(entry: EntrySpec) -> RawEntry {
        let EntrySpec { path, mode, uid, gid, mtime, xattrs, node } = entry;
        let mut raw = RawEntry {
            path,
            r#type: RawType::File,
            mode: Some(mode),
            uid,
            gid,
            mtime,
            xattrs,
            source: None,
            text: None,
            target: None,
            major: None,
            minor: None,
        };
        raw.r#type = match node {
            NodeSpec::File { source } => {
                raw.source = Some(source);
                RawType::File
            }
            NodeSpec::Text { text } => {
                raw.text = Some(text);
                RawType::File
            }
            NodeSpec::Directory => RawType::Directory,
            NodeSpec::Symlink { target } => {
                raw.target = Some(target);
                RawType::Symlink
            }
            NodeSpec::HardLink { target } => {
                raw.target = Some(target.to_string());
                RawType::HardLink
            }
            NodeSpec::CharDevice { major, minor } => {
                (raw.major, raw.minor) = (Some(major), Some(minor));
                RawType::CharDevice
            }
            NodeSpec::BlockDevice { major, minor } => {
                (raw.major, raw.minor) = (Some(major), Some(minor));
                RawType::BlockDevice
            }
            NodeSpec::Fifo => RawType::Fifo,
            NodeSpec::Removed => RawType::Removed,
        };
        raw
    }
}

/// Users and groups to add to `etc/passwd`, `etc/group`, `etc/shadow` and, where there is one, `etc/gshadow`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountsSpec {
    /// The layers whose account files are added to, bottom first; nothing else of them is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<String>,
    /// Groups to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupSpec>,
    /// Users to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserSpec>,
}

impl AccountsSpec {
    /// Says whether there is nobody to add.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.users.is_empty()
    }
}

/// A group to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
}

/// A user to add. Its group is the one of the same name, which is made with the same number if there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The login name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The home directory, which is not made.
    pub home: String,
    /// The shell.
    pub shell: String,
    /// Further groups, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The password as `crypt(3)` leaves it; `*` lets nobody in by password.
    #[serde(default = "no_password")]
    pub password: String,
}

fn no_password() -> String {
    "*".to_owned()
}

/// A layer as plain files, with whiteouts under their `.wh.` names; devices and pipes are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeSpec {
    /// The layer.
    pub layer: String,
    /// The directory that its files go into.
    pub output: String,
    /// Users that `/etc/passwd` and `/etc/group` of the tree name besides, so that programs find a name for the
    /// number they run under. Whose name or number is taken is left out, as are all if there are no such files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserSpec>,
    /// Layers in which these two files are looked for if the layer does not have them, the lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<String>,
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, which every kernel reads.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz, with the check that kernels understand.
    Xz,
    /// LZ4, in the legacy frame that kernels understand.
    Lz4,
}

/// A cpio archive of merged layers, for a kernel to start from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitramfsSpec {
    /// Where the archive goes.
    pub output: String,
    /// The time of everything in it, in seconds since 1970.
    pub epoch: u64,
    /// The layers, bottom first.
    pub layers: Vec<String>,
    /// How the archive is compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Globs of the paths to take; none means all. A directory that is taken comes with what is in it, and
    /// what is taken comes with the directories above it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs of paths to leave out, with what is in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Archives that come before this one, as they are: microcode, or an initramfs to add to. Each is padded to four
    /// bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepend: Vec<String>,
}

/// Files of merged layers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractSpec {
    /// The layers, bottom first.
    pub layers: Vec<String>,
    /// What to copy.
    pub files: Vec<ExtractedSpec>,
}

/// A file to copy out of layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractedSpec {
    /// Its path in the layers, where `*` stands for any part of one name. Symbolic links are followed.
    pub path: String,
    /// Where it goes.
    pub output: String,
}

/// A layer of kernel modules, uncompressed, with those that they need.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModulesSpec {
    /// Where the layer goes.
    pub output: String,
    /// The time of everything in it, in seconds since 1970.
    pub epoch: u64,
    /// The layers that have the modules, bottom first.
    pub layers: Vec<String>,
    /// The modules, as `modprobe` takes them.
    pub names: Vec<String>,
    /// The kernel's release, if the layers have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Where the list of paths for `insmod` goes, what is needed first. Without it, `etc/modules-load.order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<EntryPath>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let error = serde_json::from_str::<Spec>(json).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn unknown_keys_and_half_entries_are_refused() {
        check(r#"{"kind":"tree","layer":"a","output":"b","colour":1}"#, "unknown field `colour`");
        check(r#"{"kind":"minix"}"#, "unknown variant `minix`");
        let layer = |entry: &str| format!(r#"{{"kind":"layer","output":"o","epoch":0,"entries":[{entry}]}}"#);
        check(
            &layer(r#"{"path":"a","type":"file"}"#),
            "entry `a` has nothing where its type wants `source` or `text`",
        );
        check(
            &layer(r#"{"path":"a","type":"directory","target":"b"}"#),
            "entry `a` has target where its type wants none of these",
        );
        check(&layer(r#"{"path":"../a","type":"fifo"}"#), "it has a component `..`");
        check(&layer(r#"{"path":"a","type":"fifo","size":1}"#), "unknown field `size`");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let nodes = [
            NodeSpec::File { source: "in/f".to_owned() },
            NodeSpec::Text { text: "hello\n".to_owned() },
            NodeSpec::Directory,
            NodeSpec::Symlink { target: "/x".to_owned() },
            NodeSpec::HardLink { target: EntryPath::new("b").unwrap() },
            NodeSpec::CharDevice { major: 1, minor: 3 },
            NodeSpec::BlockDevice { major: 8, minor: 0 },
            NodeSpec::Fifo,
            NodeSpec::Removed,
        ];
        let entries = nodes.into_iter().map(|node| EntrySpec {
            path: EntryPath::new("a").unwrap(),
            mode: 0o600,
            uid: 1,
            gid: 2,
            mtime: Some(-1),
            xattrs: BTreeMap::from([("user.a".to_owned(), "b".to_owned())]),
            node,
        });
        let spec = Spec::Layer(LayerSpec {
            output: "out/layer.tar".to_owned(),
            entries: entries.collect(),
            ..LayerSpec::default()
        });
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
    }

    /// What the project's front end writes; it must stay readable.
    #[test]
    fn short_forms_have_defaults() {
        let json = r#"{"kind":"modules","output":"o","epoch":1,"layers":["l"],"names":["ext4"]}"#;
        let Spec::Modules(modules) = serde_json::from_str(json).unwrap() else { panic!("modules") };
        assert_eq!((modules.order, modules.release), (None, None));
        let json = r#"{"kind":"layer","output":"o","epoch":1,"layers":[],"trees":["t"],"entries":[
            {"path":"etc","type":"directory","mode":493,"uid":0,"gid":0},
            {"path":"l","type":"symlink","target":"x","mode":511,"uid":0,"gid":0}],
            "accounts":{"below":[],"groups":[],"users":[]}}"#;
        let Spec::Layer(layer) = serde_json::from_str(json).unwrap() else { panic!("a layer") };
        assert_eq!(layer.entries[0].mode, 0o755);
        assert!(layer.accounts.is_empty());
    }
}
