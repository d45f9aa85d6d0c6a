//! The kinds of target: what each is made from, and its defaults.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::boot::{EfiVariables, Grub, Signed, Uki, Verity};
use crate::cargo::{Cargo, Make};
use crate::device_tree::Dtb;
use crate::disk::DiskImage;
use crate::filesystem::Filesystem;
use crate::formats::Convert;
use crate::igvm::Igvm;
use crate::kernel::Kernel;
use crate::reader::{Read, Reader, kinds, table, words};
use crate::scalar::{
    Arch, Distro, EnvRef, GuestPath, Mode, Name, OutputPath, PackageName, ProjectPath, Size, SourceRef,
    TargetName, TargetRef, TimeSpan, Url,
};
use crate::stack::Base;
use crate::value::{Kind, Table, Value};
use crate::xbuild::Xbuild;

kinds! {
    /// Something that is built. Its files are found in `out/NAME/` afterwards.
    pub enum Target by "kind" {
        /// What a command makes.
        Command(Command) = "command",
        /// Programs of a Rust package.
        Cargo(Cargo) = "cargo",
        /// What `make` builds.
        Make(Make) = "make",
        /// IGVM files of COCONUT-SVSM, by one of its recipes.
        Xbuild(Xbuild) = "xbuild",
        /// A root file system, as layers.
        Rootfs(Rootfs) = "rootfs",
        /// An initramfs.
        Initramfs(Initramfs) = "initramfs",
        /// A file-system image.
        Filesystem(Filesystem) = "filesystem",
        /// A disk with partitions.
        Disk(DiskImage) = "disk",
        /// A disk in other formats.
        Convert(Convert) = "convert",
        /// A kernel, built from its source.
        Kernel(Kernel) = "kernel",
        /// A kernel, out of a distribution's package.
        KernelPackage(KernelPackage) = "kernel-package",
        /// Files out of packages.
        Extract(Extract) = "extract",
        /// A device tree.
        Dtb(Dtb) = "dtb",
        /// A unified kernel image.
        Uki(Uki) = "uki",
        /// What is loaded into a guest before it starts.
        Igvm(Igvm) = "igvm",
        /// A program for firmware, signed.
        Signed(Signed) = "signed",
        /// The hash tree of an image.
        Verity(Verity) = "verity",
        /// The boot loader GRUB.
        Grub(Grub) = "grub",
        /// The variables of a firmware, with keys for Secure Boot.
        EfiVariables(EfiVariables) = "efi-variables",
    }
}

table! {
    /// What a command makes: it runs in an environment, without network, and leaves files in `$OUT`.
    ///
    /// It starts in `/build`, with its sources at `src/NAME`, its inputs at `in/NAME` and `$OUT` empty.
    /// Nothing else of this machine is there, and of its environment variables none.
    pub struct Command {
        /// The environment it runs in.
        env: Spanned<EnvRef>,
        /// The sources it reads, each at `/build/src/NAME`.
        sources: Vec<Spanned<SourceRef>>,
        /// What it reads of other targets, by the name under `/build/in`: `{ initrd = "initramfs" }`.
        inputs: BTreeMap<Name, Spanned<TargetRef>>,
        /// What runs: a script for `sh -euc`, or a program and its arguments as a list.
        run: Run,
        /// The files and directories it must leave in `$OUT`. The first is what a reference to the target
        /// alone means, if it is the only one.
        outputs: Vec<Spanned<OutputPath>>,
        /// Further environment variables.
        environment: BTreeMap<String, Spanned<String>>,
        /// Directories in which tools find what they left last time, such as `cargo`, each at `/build/cache/NAME`. They
        /// are empty unless the build is an `--incremental` one.
        caches: Vec<Spanned<Name>>,
        /// Whether it runs as root of its sandbox; it never is root of this machine.
        root: bool = false,
        /// How long it may take.
        timeout: Option<TimeSpan>,
    }
}

/// What a command runs.
#[derive(Clone, Debug)]
pub enum Run {
    /// A script for `sh -euc`.
    Script(String),
    /// A program and its arguments; not empty.
    Arguments(Vec<String>),
}

impl Read for Run {
    fn read(value: &Value, reader: &mut Reader) -> Option<Run> {
        match &value.kind {
            Kind::String(script) | Kind::Knob { text: script, .. } => Some(Run::Script(script.clone())),
            Kind::Array(arguments) if !arguments.is_empty() => Vec::read(value, reader).map(Run::Arguments),
            Kind::Array(_) => {
                let problem = crate::Problem::at(&value.place, "`run` is empty");
                reader.problems.push(problem.help("write a script, or a program and its arguments"));
                None
            }
            _ => {
                reader.wrong_type(value, "a script or a list of arguments");
                None
            }
        }
    }
}

impl JsonSchema for Run {
    fn schema_name() -> Cow<'static, str> {
        "Run".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A script for `sh -euc`, or a program and its arguments.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
        })
    }
}

table! {
    /// A root file system: an ordered list of layers, as in OCI. Built on its own it leaves `rootfs.tar`.
    ///
    /// From the bottom: the layers of other targets, the packages, what configuring them changed, the
    /// overlay directories, and at last what is listed here.
    pub struct Rootfs {
        /// Other root file systems to start from, bottom first.
        layers: Vec<Spanned<TargetName>>,
        /// The distribution of the packages: `debian:bookworm`. Required when there are packages.
        distro: Option<Spanned<Distro>>,
        /// The instruction set of the packages.
        arch: Spanned<Arch> = "amd64",
        /// The packages; what they depend on comes with them.
        packages: Vec<Spanned<PackageName>>,
        /// What is installed beside the packages and what they need.
        base: Base = "essential",
        /// Whether what packages recommend is installed too.
        recommends: bool = false,
        /// Whether the maintainer scripts run. Without, packages are plain files: all that is possible for an
        /// instruction set that this machine does not have.
        configure: bool = true,
        /// The archive to lock from, when it is not the distribution's own.
        mirror: Option<Spanned<Url>>,
        /// The suites, when not the release with its updates and security fixes.
        suites: Vec<Spanned<String>>,
        /// The components. The default is `main`.
        components: Vec<Spanned<String>>,
        /// Directories of the project whose contents are laid over the packages, in this order. Root owns
        /// what is in them; of modes only the executable bit is kept.
        overlays: Vec<Spanned<ProjectPath>>,
        /// Files by path: the text itself, or a table with `content`, `file` or `target`.
        files: BTreeMap<GuestPath, Spanned<FileEntry>>,
        /// Symbolic links by path, each with the text it points to.
        symlinks: BTreeMap<GuestPath, Spanned<String>>,
        /// Directories by path: `{ "/srv" = {} }`, with `mode`, `uid` and `gid`.
        directories: BTreeMap<GuestPath, Spanned<DirectoryEntry>>,
        /// Groups to add, beside the one that each user gets.
        groups: BTreeMap<Name, Spanned<Group>>,
        /// Users to add.
        users: BTreeMap<Name, Spanned<User>>,
        /// The host name, for `/etc/hostname`.
        hostname: Option<Spanned<String>>,
        /// The most that all files may have together. More fails the build.
        max_size: Option<Spanned<Size>>,
        /// How many bytes directories may take, by path: `{ "/usr/lib" = "200M" }`. More fails the build.
        budgets: BTreeMap<GuestPath, Spanned<Size>>,
    }
}

/// A file of a root file system or initramfs.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// Where its bytes come from.
    pub content: Content,
    /// Its permission bits; by default 0755 for what is executable where it comes from, else 0644.
    pub mode: Option<Mode>,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
pub enum Content {
    /// They are in the recipe.
    Text(String),
    /// From a file of the project.
    File(Spanned<ProjectPath>),
    /// From a target.
    Target(Spanned<TargetRef>),
}

const CONTENTS: [&str; 3] = ["content", "file", "target"];

impl Content {
    fn read(value: &Value, table: &Table, reader: &mut Reader) -> Option<Content> {
        let entry = reader.exactly_one(&value.place, table, &CONTENTS)?;
        reader.inside(format!("`{}`", entry.key), |reader| match entry.key.as_str() {
            "content" => String::read(&entry.value, reader).map(Content::Text),
            "file" => Spanned::read(&entry.value, reader).map(Content::File),
            _ => Spanned::read(&entry.value, reader).map(Content::Target),
        })
    }
}

fn content_properties(generator: &mut SchemaGenerator) -> serde_json::Value {
    serde_json::json!({
        "content": { "type": "string", "description": "The text itself." },
        "file": generator.subschema_for::<ProjectPath>(),
        "target": generator.subschema_for::<TargetRef>(),
    })
}

impl Read for FileEntry {
    fn read(value: &Value, reader: &mut Reader) -> Option<FileEntry> {
        if let Some(text) = value.as_str() {
            let content = Content::Text(text.to_owned());
            return Some(FileEntry { content, mode: None, uid: 0, gid: 0 });
        }
        let Some(table) = value.as_table() else {
            reader.wrong_type(value, "a string or a table");
            return None;
        };
        let attributes = ["mode", "uid", "gid"];
        let known: Vec<Cow<'static, str>> =
            CONTENTS.iter().chain(&attributes).map(|key| (*key).into()).collect();
        reader.known_keys(table, &known);
        let content = Content::read(value, table, reader);
        let mode: Option<Option<Mode>> = reader.field(value, table, "mode", None);
        let uid = reader.field(value, table, "uid", Some(Kind::Integer(0)));
        let gid = reader.field(value, table, "gid", Some(Kind::Integer(0)));
        Some(FileEntry { content: content?, mode: mode?, uid: uid?, gid: gid? })
    }
}

impl JsonSchema for FileEntry {
    fn schema_name() -> Cow<'static, str> {
        "File".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = content_properties(generator);
        properties["mode"] = generator.subschema_for::<Mode>().into();
        for owner in ["uid", "gid"] {
            properties[owner] = serde_json::json!({ "type": "integer", "minimum": 0, "default": 0 });
        }
        json_schema!({
            "description": "A file: its text, or a table with `content`, `file` (of the project) or `target`.",
            "anyOf": [
                { "type": "string" },
                { "type": "object", "properties": properties, "additionalProperties": false },
            ],
        })
    }
}

table! {
    /// A directory of a root file system.
    pub struct DirectoryEntry {
        /// Its permission bits.
        mode: Mode = "0755",
        /// The number of its owner.
        uid: u32 = 0,
        /// The number of its group.
        gid: u32 = 0,
    }
}

table! {
    /// A group to add.
    pub struct Group {
        /// Its number.
        gid: u32,
    }
}

table! {
    /// A user to add, with a group of the same name.
    pub struct User {
        /// The number of the user, and of the group of the same name.
        uid: u32,
        /// The home directory, which is made.
        home: Option<Spanned<GuestPath>>,
        /// The shell.
        shell: String = "/bin/sh",
        /// Further groups, by name.
        groups: Vec<Spanned<Name>>,
        /// The password as `crypt(3)` leaves it. `*`, the default, lets nobody in by password; empty, anybody.
        password: Spanned<String> = "*",
    }
}

table! {
    /// An initramfs: a cpio archive for the kernel to start from. Leaves `initramfs.img`.
    ///
    /// Packages here are plain files, of any instruction set, and only those that are named: what they depend
    /// on is for a `rootfs`.
    pub struct Initramfs {
        /// Root file systems that it starts from, bottom first.
        layers: Vec<Spanned<TargetName>>,
        /// The distribution of the packages. Required when there are packages.
        distro: Option<Spanned<Distro>>,
        /// The instruction set of the packages.
        arch: Spanned<Arch> = "amd64",
        /// The packages.
        packages: Vec<Spanned<PackageName>>,
        /// The archive to lock from, when it is not the distribution's own.
        mirror: Option<Spanned<Url>>,
        /// The suites, when not the release with its updates and security fixes.
        suites: Vec<Spanned<String>>,
        /// The components. The default is `main`.
        components: Vec<Spanned<String>>,
        /// Kernel modules, with those that they need, and where they come from.
        modules: Option<Spanned<Modules>>,
        /// Links in `/bin` to `/bin/busybox`, by the names of its applets: `["sh", "mount"]`.
        busybox: Vec<Spanned<Applet>>,
        /// Files by path: the text itself, or a table with `content`, `file` or `target`.
        files: BTreeMap<GuestPath, Spanned<FileEntry>>,
        /// Symbolic links by path, each with the text it points to.
        symlinks: BTreeMap<GuestPath, Spanned<String>>,
        /// Directories by path. `/dev`, `/proc`, `/sys`, `/run` and `/tmp` are there anyway.
        directories: BTreeMap<GuestPath, Spanned<DirectoryEntry>>,
        /// Device nodes by path: `{ "/dev/console" = { type = "char", major = 5, minor = 1 } }`.
        devices: BTreeMap<GuestPath, Spanned<DeviceEntry>>,
        /// The program that the kernel starts: the text of a script, or a table with `file` or `target`.
        init: Spanned<FileEntry>,
        /// How the archive is compressed.
        compression: Compression = "gzip",
        /// Files by path of an archive in front, which is not compressed: what kernels read before they unpack anything, as
        /// the microcode of processors in `/kernel/x86/microcode/GenuineIntel.bin`.
        early: BTreeMap<GuestPath, Spanned<FileEntry>>,
        /// Archives that come in front, behind that of `early`, as they are: `["microcode", { file = "more.cpio" }]`. What a
        /// kernel finds in several of them, it takes from the last.
        prepend: Vec<Spanned<ArchiveFile>>,
        /// The most that the archive may have, as it is compressed. More fails the build.
        max_size: Option<Spanned<Size>>,
        /// How many bytes directories may take of the archive, as it is compressed, by path: `{ "/usr/lib" = "200M" }`. More fails the build.
        budgets: BTreeMap<GuestPath, Spanned<Size>>,
    }
}

table! {
    /// A device node.
    pub struct DeviceEntry {
        /// What it is.
        r#type: DeviceType,
        /// The number of its driver; a pipe has none.
        major: Option<Spanned<u32>>,
        /// Its number among those of its driver; a pipe has none.
        minor: Option<Spanned<u32>>,
        /// Its permission bits.
        mode: Mode = "0600",
        /// The number of its owner.
        uid: u32 = 0,
        /// The number of its group.
        gid: u32 = 0,
    }
}

words! {
    /// A type of device node.
    pub enum DeviceType("type of device") {
        /// A character device.
        Char = "char" not "character" not "c",
        /// A block device.
        Block = "block" not "b",
        /// A named pipe.
        Fifo = "fifo" not "pipe" not "p",
    }
}

/// A file of a target or of the project.
#[derive(Clone, Debug)]
pub enum ArchiveFile {
    /// A target leaves it.
    Target(Spanned<TargetRef>),
    /// It is in the project.
    File(Spanned<ProjectPath>),
}

table! {
    /// A file in the project.
    struct ProjectArchive {
        /// The file.
        file: Spanned<ProjectPath>,
    }
}

impl Read for ArchiveFile {
    fn read(value: &Value, reader: &mut Reader) -> Option<ArchiveFile> {
        if value.as_str().is_some() {
            return Spanned::read(value, reader).map(ArchiveFile::Target);
        }
        if value.as_table().is_some() {
            return ProjectArchive::read(value, reader).map(|archive| ArchiveFile::File(archive.file));
        }
        reader.wrong_type(value, "a target, or `{ file = … }`");
        None
    }
}

impl JsonSchema for ArchiveFile {
    fn schema_name() -> Cow<'static, str> {
        "Archive".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (target, file) =
            (generator.subschema_for::<TargetRef>(), generator.subschema_for::<ProjectArchive>());
        json_schema!({ "description": "A target, or a file of the project.", "anyOf": [target, file] })
    }
}

table! {
    /// Kernel modules for an initramfs, with a `modules.dep` so that `modprobe` finds what each needs.
    pub struct Modules {
        /// The kernel: a target of kind `kernel` or `kernel-package`.
        kernel: Spanned<TargetName>,
        /// The modules by name, as `modprobe` takes them. What they need comes with them.
        names: Vec<Spanned<String>>,
    }
}

/// The name of an applet of BusyBox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applet(pub(crate) String);

impl crate::reader::FromText for Applet {
    fn from_text(text: &str) -> Result<Applet, crate::reader::Wrong> {
        if text.is_empty() || text.contains(['/', '\0']) || text == "." || text == ".." {
            let message = format!("invalid applet `{}`", text.escape_debug());
            return Err(crate::reader::Wrong::new(message, "applets are listed by name, as in `mount`"));
        }
        Ok(Applet(text.to_owned()))
    }
}

impl JsonSchema for Applet {
    fn schema_name() -> Cow<'static, str> {
        "Applet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "The name of an applet of BusyBox." })
    }
}

words! {
    /// How an archive is compressed.
    pub enum Compression("compression") {
        /// Not at all.
        None = "none",
        /// gzip, which every kernel reads.
        Gzip = "gzip" not "gz",
        /// Zstandard.
        Zstd = "zstd" not "zst",
        /// xz, with the check that kernels understand.
        Xz = "xz",
        /// LZ4, in the frame that kernels understand; the fastest to unpack.
        Lz4 = "lz4",
    }
}

table! {
    /// A kernel, out of a distribution's package. Leaves `vmlinuz` and `config`.
    pub struct KernelPackage {
        /// The distribution: `debian:bookworm`.
        distro: Spanned<Distro>,
        /// The package, which may be one that only depends on the newest kernel: `linux-image-amd64`.
        package: Spanned<PackageName>,
        /// The instruction set.
        arch: Spanned<Arch> = "amd64",
        /// The archive to lock from, when it is not the distribution's own.
        mirror: Option<Spanned<Url>>,
        /// The suites, when not the release with its updates and security fixes.
        suites: Vec<Spanned<String>>,
        /// The components. The default is `main`.
        components: Vec<Spanned<String>>,
    }
}

table! {
    /// Files out of packages, of any instruction set.
    pub struct Extract {
        /// The distribution: `debian:bookworm`.
        distro: Spanned<Distro>,
        /// The packages; only what is named, not what it depends on.
        packages: Vec<Spanned<PackageName>>,
        /// The instruction set of the packages.
        arch: Spanned<Arch> = "amd64",
        /// The archive to lock from, when it is not the distribution's own.
        mirror: Option<Spanned<Url>>,
        /// The suites, when not the release with its updates and security fixes.
        suites: Vec<Spanned<String>>,
        /// The components. The default is `main`.
        components: Vec<Spanned<String>>,
        /// What is taken, by the name it gets: `{ "OVMF.fd" = "/usr/share/ovmf/OVMF.fd" }`. `*` stands for any
        /// part of one name, and must fit exactly one file.
        files: BTreeMap<OutputPath, Spanned<GuestPath>>,
    }
}
