//! Why `mkimg` could not do what its specification says.

mod help;

use std::io;
use std::path::PathBuf;

pub(crate) use help::{quoted, similar};
use layer::{BuildError, EntryPath, PlainError, ReadError, ResolveError, TreeError, WriteError};

use crate::budget::BudgetError;
use crate::grub::GrubError;
use crate::{
    accounts, cpio, disk, efi_variables, erofs, ext4, fat, igvm, iso, modules, sign, squashfs, uki, vdisk,
    verity,
};

/// A specification could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("could not read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What reading said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("could not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What writing said.
        source: io::Error,
    },
    /// The specification is not JSON, or says what nobody understands.
    #[error("could not understand the specification `{path}`")]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file that is no device tree.
    #[error("`{path}` is not a device tree that can be used")]
    DeviceTreeRead {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: fdt::ReadError,
    },
    /// An edit that does not fit the device tree.
    #[error("could not edit the device tree")]
    DeviceTreeEdit(#[source] fdt::EditError),
    /// An overlay that does not fit its base.
    #[error("could not lay `{path}` over the device tree")]
    DeviceTreeOverlay {
        /// The overlay's file.
        path: PathBuf,
        /// Why not.
        source: fdt::OverlayError,
    },
    /// A program that the environment should have.
    #[error("there is no program `{program}`")]
    NoProgram {
        /// The program.
        program: String,
    },
    /// A program that could not be run.
    #[error("could not run `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// Source that a program does not accept.
    #[error("`{program}` does not accept `{file}`:\n{}", .said.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    Compile {
        /// The program.
        program: String,
        /// The file.
        file: String,
        /// What it says.
        said: Vec<String>,
    },
    /// A file in front of an archive that would keep the kernel from reading on.
    #[error("`{path}` cannot come before an archive: it is none that a kernel unpacks")]
    NotArchive {
        /// The file.
        path: PathBuf,
    },
    /// A device tree that has no form as a blob.
    #[error("could not write the device tree")]
    DeviceTreeWrite(#[source] fdt::WriteError),
    /// A device tree that nobody could make sense of.
    #[error("the device tree is wrong:\n{}", .0.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    DeviceTree(Vec<String>),
    /// The layers do not make a tree.
    #[error("could not merge the layers")]
    Tree(#[from] TreeError),
    /// A layer is damaged.
    #[error("could not read layer `{path}`")]
    Layer {
        /// The layer's file.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The declared layer cannot be made.
    #[error("could not make the layer `{path}`")]
    Build {
        /// The layer's file.
        path: PathBuf,
        /// Why.
        source: BuildError,
    },
    /// The layer could not be written.
    #[error("could not make the layer `{path}`")]
    WriteLayer {
        /// The layer's file.
        path: PathBuf,
        /// Why.
        source: WriteError,
    },
    /// A directory that is laid over layers has something that no layer can hold.
    #[error("`{path}` cannot become part of a layer: {problem}")]
    Overlay {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// Users or groups cannot be added.
    #[error("could not add users and groups")]
    Accounts(#[from] accounts::Error),
    /// The archive cannot be made.
    #[error("could not make the archive `{path}`")]
    Cpio {
        /// The archive's file.
        path: PathBuf,
        /// Why.
        source: cpio::Error,
    },
    /// The modules cannot be collected.
    #[error("could not collect kernel modules")]
    Modules(#[from] modules::Error),
    /// The image cannot be made.
    #[error("could not make the file system `{path}`")]
    Ext4 {
        /// The image's file.
        path: PathBuf,
        /// Why.
        source: ext4::Error,
    },
    /// The image cannot be made.
    #[error("could not make the file system `{path}`")]
    Squashfs {
        /// The image's file.
        path: PathBuf,
        /// Why.
        source: squashfs::Error,
    },
    /// An option of another compressor.
    #[error("{format} with {compression} has no `{option}`")]
    CompressionOption {
        /// The file system.
        format: &'static str,
        /// The option.
        option: &'static str,
        /// The compressor.
        compression: &'static str,
    },
    /// The image cannot be made.
    #[error("could not make the file system `{path}`")]
    Erofs {
        /// The image's file.
        path: PathBuf,
        /// Why.
        source: erofs::Error,
    },
    /// Not a size that EROFS has.
    #[error("a cluster of EROFS cannot have {size} bytes")]
    ErofsClusterSize {
        /// What was given.
        size: u32,
    },
    /// Not a size that squashfs has.
    #[error("a block of squashfs cannot have {size} bytes")]
    SquashfsBlockSize {
        /// What was given.
        size: u32,
    },
    /// Not a filter of xz.
    #[error("there is no filter `{name}` for xz")]
    Bcj {
        /// What was given.
        name: String,
    },
    /// The image cannot be made.
    #[error("could not make the file system `{path}`")]
    Fat {
        /// The image's file.
        path: PathBuf,
        /// Why.
        source: fat::Error,
    },
    /// The image cannot be made.
    #[error("could not make the file system `{path}`")]
    Iso {
        /// The image's file.
        path: PathBuf,
        /// Why.
        source: iso::Error,
    },
    /// Not a kind of FAT.
    #[error("there is no FAT of {bits} bits")]
    FatBits {
        /// What was given.
        bits: u32,
    },
    /// The disk cannot be as it is declared.
    #[error(transparent)]
    DiskLayout(disk::Problems),
    /// The disk could not be written.
    #[error("could not make the disk `{path}`")]
    Disk {
        /// The disk's file.
        path: PathBuf,
        /// Why.
        source: disk::WriteError,
    },
    /// The disk could not be written in that format.
    #[error("could not make the {format} disk `{path}`")]
    VirtualDisk {
        /// The format.
        format: &'static str,
        /// The disk's file.
        path: PathBuf,
        /// Why.
        source: vdisk::WriteError,
    },
    /// A format that has no sectors of that size.
    #[error("a {format} disk cannot have sectors of {size} bytes")]
    FormatSector {
        /// The format.
        format: &'static str,
        /// The disk's sectors.
        size: u64,
    },
    /// A file of which nobody knows what it is.
    #[error("`{path}` is no disk that can be told by what it begins with")]
    NotDiskImage {
        /// The file.
        path: PathBuf,
    },
    /// What looked like a virtual disk is damaged.
    #[error("could not read the virtual disk `{path}`")]
    ReadVirtualDisk {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: vdisk::ReadError,
    },
    /// An archive with a disk is damaged.
    #[error("could not unpack the disk in `{path}`")]
    UnpackDisk {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: vdisk::gcp::UnpackError,
    },
    /// Something of a partition that its table does not have.
    #[error("partition `{name}` cannot have the {what} `{value}`")]
    Partition {
        /// The partition's name.
        name: String,
        /// What it is that it cannot have.
        what: &'static str,
        /// What was given.
        value: String,
    },
    /// A file that is larger than a boot sector.
    #[error("`{path}` cannot be boot code: it has {size} bytes, more than a sector")]
    BootCode {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// Not 32 hexadecimal digits.
    #[error("`{text}` is not a UUID")]
    Uuid {
        /// What was given.
        text: String,
    },
    /// Not a size that ext4 has.
    #[error("a block cannot have {size} bytes")]
    BlockSize {
        /// What was given.
        size: u32,
    },
    /// The time is beyond what the format can say.
    #[error("the epoch {epoch} is too far in the future")]
    Epoch {
        /// What was given.
        epoch: u64,
    },
    /// No file of the layers, or not a regular one.
    #[error("could not extract `{path}`")]
    Extract {
        /// What was asked for.
        path: String,
        /// Why not.
        source: ExtractProblem,
    },
    /// A layer could not be written as plain files.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// Something is larger than it may be.
    #[error(transparent)]
    Budget(BudgetError),
    /// A file that should be text.
    #[error("`{path}` is not text in UTF-8")]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The image cannot be made.
    #[error("could not make the unified kernel image `{path}`")]
    Uki {
        /// The image's file.
        path: PathBuf,
        /// Why.
        source: uki::BuildError,
    },
    /// The IGVM file cannot be made.
    #[error("could not make the IGVM file `{path}`")]
    Igvm {
        /// The file.
        path: PathBuf,
        /// Why.
        source: igvm::BuildError,
    },
    /// A program that was just made cannot be read: our bug.
    #[error("could not read what was made")]
    OwnProgram(#[source] sign::SignError),
    /// A key or a certificate that cannot sign.
    #[error("could not use the key and the certificate")]
    Key(#[source] sign::KeyError),
    /// A program that cannot be signed.
    #[error("could not sign `{path}`")]
    Sign {
        /// The program.
        path: PathBuf,
        /// Why not.
        source: sign::SignError,
    },
    /// What looked like a program is none.
    #[error("could not read the program `{path}`")]
    ReadPe {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: sign::SignError,
    },
    /// Modules of GRUB that the environment should have.
    #[error("there is no GRUB for `{format}`: no `{path}`")]
    NoGrub {
        /// What it should be for.
        format: &'static str,
        /// What was looked for.
        path: PathBuf,
        /// The package that has it.
        package: &'static str,
    },
    /// A module that GRUB does not have.
    #[error("GRUB for `{format}` has no module `{module}`")]
    NoGrubModule {
        /// What it is for.
        format: &'static str,
        /// What was asked for.
        module: String,
        /// The most similar names.
        similar: Vec<String>,
    },
    /// GRUB would not find itself.
    #[error(transparent)]
    Grub(GrubError),
    /// GRUB could not be made.
    #[error("`{program}` failed:\n{}", .said.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    Program {
        /// The program.
        program: &'static str,
        /// What it said.
        said: Vec<String>,
    },
    /// Variables cannot be added.
    #[error("could not add keys to the variables of `{path}`")]
    Variables {
        /// The template.
        path: PathBuf,
        /// Why not.
        source: efi_variables::Error,
    },
    /// A certificate that cannot be enrolled.
    #[error("could not use the certificate `{path}`")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: sign::KeyError,
    },
    /// A hash tree cannot be made.
    #[error("could not make the hash tree of `{path}`")]
    Verity {
        /// The image.
        path: PathBuf,
        /// Why not.
        source: verity::Error,
    },
    /// A hash tree is not that of its image, or damaged.
    #[error("could not read the hash tree `{path}`")]
    ReadVerity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: verity::ReadError,
    },
    /// Nobody knows what this is.
    #[error("`{path}` is no layer, archive, file system, disk or program")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// What looked like an archive is damaged.
    #[error("could not read the archive `{path}`")]
    ReadCpio {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: cpio::ReadError,
    },
    /// What looked like a file system is damaged.
    #[error("could not read the file system `{path}`")]
    ReadExt4 {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ext4::ReadError,
    },
    /// What looked like a file system is damaged.
    #[error("could not read the file system `{path}`")]
    ReadSquashfs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: squashfs::ReadError,
    },
    /// What looked like a file system is damaged.
    #[error("could not read the file system `{path}`")]
    ReadErofs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: erofs::ReadError,
    },
    /// What looked like a disk is damaged.
    #[error("could not read the disk `{path}`")]
    ReadDisk {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: disk::ReadError,
    },
    /// What looked like a file system is damaged.
    #[error("could not read the file system `{path}`")]
    ReadFat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: fat::ReadError,
    },
    /// What looked like a file system is damaged.
    #[error("could not read the file system `{path}`")]
    ReadIso {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: iso::ReadError,
    },
}

/// Why a file could not be extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractProblem {
    /// The path leads to nothing.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No path matches.
    #[error("nothing in the layers matches")]
    NoMatch {
        /// The most similar paths.
        similar: Vec<String>,
    },
    /// Several files match.
    #[error("several files match: {}", .matches.join(", "))]
    Ambiguous {
        /// Some of them.
        matches: Vec<String>,
    },
    /// It is a directory or a device.
    #[error("`{path}` is not a regular file")]
    NotFile {
        /// What the path led to.
        path: EntryPath,
    },
}
