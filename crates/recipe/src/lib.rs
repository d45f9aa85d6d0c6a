//! Understands what people write: project files, the lock, and what they come to as actions.
//!
//! Reading is apart from understanding: [`parse`] is pure and reports every problem it finds, [`load`] reads
//! files and calls it. [`needs`] says what must be locked and fetched, and [`lower`] turns a stack and what
//! was fetched into an [`engine::Graph`]. Resolving packages, fetching and running are left to others.

mod boot;
mod budget;
mod cargo;
mod check;
pub mod crates;
mod device_tree;
mod disk;
mod filesystem;
mod firmware;
mod formats;
mod git;
mod igvm;
mod iso;
mod json;
mod kernel;
mod knobs;
mod lock;
mod lower;
mod machine;
mod needs;
mod network;
mod overlay;
mod place;
mod problem;
mod project;
mod reader;
mod region;
mod scalar;
mod schema;
mod stack;
pub mod suggest;
mod target;
mod value;
pub mod xbuild;

pub use boot::{EfiVariables, Grub, GrubFirmware, HexBytes, Signed, Uki, Verity, VerityHash};
pub use budget::Budgets;
pub use cargo::{Cargo, CargoWord, Make, Objcopy};
pub use device_tree::{
    Chosen, Cpus, Dtb, GicV2, GicV3, InSource, NodeName, NodePath, Origin, Pl011, PropertyName, PropertyPart,
    PropertyValue, PsciMethod, RegionRef, Root, VirtioMmio, Window,
};
pub use disk::{
    Attribute, BootCode, ChromeOs, DiskBlob, DiskImage, HybridEntry, MbrType, Partition, PartitionSize,
    PartitionTable, PartitionType, ProtectivePlace,
};
pub use filesystem::{
    BcjFilter, Erofs, ErofsCompression, Fat, Filesystem, FilesystemType, Geometry, ImageSize, Squashfs,
    SquashfsCompression, SquashfsFragments, VolumeId,
};
pub use firmware::{Firmware, FirmwareFiles};
pub use formats::{
    Backing, Convert, DiskFormats, InputFormat, ParallelsDisk, Qcow2, Qcow2Compression, Vdi, Vhd, Vhdx, Vmdk,
    VmdkAdapter, VmdkVariant,
};
pub use git::{GitAddress, GitRev};
pub use igvm::{GuestPolicy, Igvm, IgvmPlatform, IgvmPlatforms, SnpCpu};
pub use iso::{Iso, IsoBios, IsoEfi, IsoHybrid, IsoLoader, IsoTable, IsoUuid};
pub use kernel::{ConfigPart, Kernel, Symbol, SymbolValue, Toolchain};
pub use knobs::Settings;
pub use lock::{Lock, LockedFile, LockedRelease, LockedSet, LockedSource, Pin};
pub use lower::{
    Imported, KernelOutput, Lowered, MachineOutput, Pushed, Resolved, Reuse, TargetOutput, lower,
};
pub use machine::{Accel, Disk, DiskAccess, DiskBus, DiskFormat, End, Machine, Push, Talk, Test};
pub use needs::{FileIn, Goal, Needs, PackageRequest, PackageSet, needs};
pub use network::Network;
pub use place::{Place, SourceFile, Spanned};
pub use problem::Problem;
pub use project::{FILE_NAME, LoadError, Stack, fuzz, load, load_telling, parse, parse_with};
pub use region::{Address, Bounds, Region, RegionContent, RegionRules};
pub use scalar::{
    Arch, Distro, EnvRef, GuestPath, KnobName, MachineRef, Mode, Name, OutputPath, PackageName, ProjectPath,
    Sha256, Size, SourceRef, TargetName, TargetRef, TimeSpan, Url, Uuid,
};
pub use schema::schema;
pub use stack::{
    DebianSource, Environment, GitSource, Knob, KnobTable, KnobType, KnobValue, PathSource, Source, UrlSource,
};
pub use target::{
    Applet, ArchiveFile, Command, Compression, Content, DeviceEntry, DeviceType, DirectoryEntry, Extract,
    FileEntry, Group, Initramfs, KernelPackage, Modules, Rootfs, Run, Target, User,
};
