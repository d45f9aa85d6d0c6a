//! Formats of disks: what hypervisors and clouds want them in.

use crate::Spanned;
use crate::reader::{table, words};
use crate::region::Address;
use crate::scalar::{Name, ProjectPath, Size, TargetRef, Uuid};

table! {
    /// A disk in other formats. One of `target` and `file` has it. Leaves the files of `formats`.
    pub struct Convert {
        /// A target that has the disk.
        target: Option<Spanned<TargetRef>>,
        /// A file of the project that has it.
        file: Option<Spanned<ProjectPath>>,
        /// Its format. Without it, the one that it begins or ends as; a raw one is told by its boot sector.
        from: Option<Spanned<InputFormat>>,
        /// The formats that it is written in.
        formats: Spanned<DiskFormats>,
    }
}

table! {
    /// The formats that a disk is written in, each as a file and by a step of its own: `{ qcow2 = {}, vmdk = {} }`.
    pub struct DiskFormats {
        /// Whether there is the disk itself, `NAME.raw`, with holes where it is zero. A disk with partitions has it unless
        /// this is false, one that is converted only if it is true.
        raw: Option<Spanned<bool>>,
        /// QEMU's: `NAME.qcow2`.
        qcow2: Option<Spanned<Qcow2>>,
        /// VirtualBox': `NAME.vdi`.
        vdi: Option<Spanned<Vdi>>,
        /// VMware's: `NAME.vmdk`.
        vmdk: Option<Spanned<Vmdk>>,
        /// Microsoft's older one: `NAME.vhd`.
        vhd: Option<Spanned<Vhd>>,
        /// Microsoft's newer one: `NAME.vhdx`.
        vhdx: Option<Spanned<Vhdx>>,
        /// Parallels': the directory `NAME.hdd`.
        parallels: Option<Spanned<ParallelsDisk>>,
        /// Whether there is what Google imports: `NAME.img.tar.gz`, of whole gibibytes.
        gcp: Option<Spanned<bool>>,
    }
}

table! {
    /// How a qcow2 is written.
    pub struct Qcow2 {
        /// How clusters are compressed.
        compression: Qcow2Compression = "none",
        /// How hard `zlib` (1 to 9) and `zstd` (1 to 22) try. Without it, 9 and 3.
        level: Option<Spanned<u32>>,
        /// The size of a cluster: a power of two from 512 to `2M`. Without it, `64K`.
        cluster: Option<Spanned<Address>>,
        /// Whether every cluster has its place in the file from the start, so that a guest that writes finds it.
        preallocated: bool = false,
        /// The disk that it lies over: it has only what differs from that.
        backing: Option<Spanned<Backing>>,
    }
}

table! {
    /// The disk that a qcow2 lies over, in any format that is read. One of `target` and `file` has it.
    pub struct Backing {
        /// From a target.
        target: Option<Spanned<TargetRef>>,
        /// From a file of the project.
        file: Option<Spanned<ProjectPath>>,
        /// What the qcow2 calls it: a path, relative to itself.
        name: Spanned<String>,
    }
}

table! {
    /// How a VDI is written.
    pub struct Vdi {
        /// Whether every block has its place in the file from the start.
        fixed: bool = false,
        /// Its UUID. Without it, one derived from the names of stack, target and format.
        uuid: Option<Spanned<Uuid>>,
    }
}

table! {
    /// How a VMDK is written. Its size is rounded up to whole grains of 64 KiB.
    pub struct Vmdk {
        /// What kind it is.
        variant: VmdkVariant = "monolithic-sparse",
        /// The controller that it is for.
        adapter: VmdkAdapter = "ide",
    }
}

table! {
    /// How a VHD is written.
    pub struct Vhd {
        /// Whether it is the whole disk with a footer, as Azure wants it.
        fixed: bool = false,
        /// Its UUID. Without it, one derived from the names of stack, target and format.
        uuid: Option<Spanned<Uuid>>,
    }
}

table! {
    /// How a VHDX is written.
    pub struct Vhdx {
        /// The size of a block: a power of two from `1M` to `256M`. Without it, one that suits the disk's size.
        block_size: Option<Spanned<Size>>,
        /// The disk's UUID. Without it, one derived from the names of stack, target and format.
        uuid: Option<Spanned<Uuid>>,
    }
}

table! {
    /// How a disk for Parallels is written.
    pub struct ParallelsDisk {
        /// The disk's UUID. Without it, one derived from the names of stack, target and format.
        uuid: Option<Spanned<Uuid>>,
    }
}

words! {
    /// How clusters of a qcow2 are compressed.
    pub enum Qcow2Compression("compression") {
        /// Not at all.
        None = "none",
        /// Deflate, which every QEMU reads.
        Zlib = "zlib" not "gzip" not "deflate",
        /// Zstandard, which QEMU reads from 5.1 on.
        Zstd = "zstd" not "zst",
    }
}

words! {
    /// A kind of VMDK.
    pub enum VmdkVariant("variant") {
        /// A disk to run.
        MonolithicSparse = "monolithic-sparse" not "monolithicSparse",
        /// A disk to import, as in an OVA: compressed.
        StreamOptimized = "stream-optimized" not "streamOptimized",
    }
}

words! {
    /// The controller that a VMDK is for.
    pub enum VmdkAdapter("adapter") {
        /// IDE, or SATA.
        Ide = "ide" not "sata",
        /// An old SCSI controller.
        BusLogic = "buslogic",
        /// A SCSI controller.
        LsiLogic = "lsilogic" not "scsi",
    }
}

words! {
    /// The format of a disk that is read.
    pub enum InputFormat("format") {
        /// The disk itself.
        Raw = "raw" not "img",
        /// QEMU's.
        Qcow2 = "qcow2" not "qcow",
        /// VirtualBox'.
        Vdi = "vdi",
        /// VMware's, in one file.
        Vmdk = "vmdk",
        /// Microsoft's older one.
        Vhd = "vhd" not "vpc",
        /// Microsoft's newer one.
        Vhdx = "vhdx",
        /// Parallels': the `.hds` file with the data.
        Parallels = "parallels" not "hds" not "hdd",
        /// What Google imports: `disk.raw` in a tar archive, compressed by gzip.
        Gcp = "gcp" not "gce",
    }
}

/// A format with what there is to say of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format<'a> {
    Raw,
    Qcow2(&'a Qcow2),
    Vdi(&'a Vdi),
    Vmdk(&'a Vmdk),
    Vhd(&'a Vhd),
    Vhdx(&'a Vhdx),
    Parallels(&'a ParallelsDisk),
    Gcp,
}

impl Format<'_> {
    /// Returns what messages and labels call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2(_) => "qcow2",
            Format::Vdi(_) => "vdi",
            Format::Vmdk(_) => "vmdk",
            Format::Vhd(_) => "vhd",
            Format::Vhdx(_) => "vhdx",
            Format::Parallels(_) => "parallels",
            Format::Gcp => "gcp",
        }
    }

    /// Returns the name of the file or directory that a target leaves in this format.
    pub(crate) fn file(self, name: &Name) -> String {
        match self {
            Format::Parallels(_) => format!("{name}.hdd"),
            Format::Gcp => format!("{name}.img.tar.gz"),
            other => format!("{name}.{}", other.word()),
        }
    }
}

impl DiskFormats {
    /// Returns the formats other than raw, in the order of the keys.
    fn others(&self) -> Vec<Format<'_>> {
        let mut formats = Vec::new();
        formats.extend(self.qcow2.as_ref().map(|format| Format::Qcow2(&format.value)));
        formats.extend(self.vdi.as_ref().map(|format| Format::Vdi(&format.value)));
        formats.extend(self.vmdk.as_ref().map(|format| Format::Vmdk(&format.value)));
        formats.extend(self.vhd.as_ref().map(|format| Format::Vhd(&format.value)));
        formats.extend(self.vhdx.as_ref().map(|format| Format::Vhdx(&format.value)));
        formats.extend(self.parallels.as_ref().map(|format| Format::Parallels(&format.value)));
        formats.extend(self.gcp.as_ref().filter(|gcp| gcp.value).map(|_| Format::Gcp));
        formats
    }

    /// Returns the formats that are written, the main one first. `raw` says whether the disk itself is one of them if it
    /// is not said.
    fn written(&self, raw: bool) -> Vec<Format<'_>> {
        let raw = self.raw.as_ref().map_or(raw, |raw| raw.value);
        raw.then_some(Format::Raw).into_iter().chain(self.others()).collect()
    }

    /// Returns what the formats lie over.
    pub(crate) fn backing(&self) -> Option<&Spanned<Backing>> {
        self.qcow2.as_ref().and_then(|qcow2| qcow2.backing.as_ref())
    }
}

/// Returns the formats that a disk with partitions is written in.
pub(crate) fn of_disk(formats: &Option<Spanned<DiskFormats>>) -> Vec<Format<'_>> {
    formats.as_ref().map_or(vec![Format::Raw], |formats| formats.written(true))
}

impl Convert {
    /// Returns the formats that it is written in.
    pub(crate) fn written(&self) -> Vec<Format<'_>> {
        self.formats.written(false)
    }
}
