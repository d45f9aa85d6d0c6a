//! File-system images: of what, how large, and what each type of file system has besides.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::iso::Iso;
use crate::reader::{FromText, Wrong, table, words};
use crate::region::Address;
use crate::scalar::{GuestPath, Size, TargetName, Uuid};
use crate::target::FileEntry;

table! {
    /// A file-system image with the files of a root file system, or those that are listed, or both. Leaves
    /// `NAME.TYPE`, as in `disk.ext4`.
    pub struct Filesystem {
        /// The root file system: a target of kind `rootfs`.
        rootfs: Option<Spanned<TargetName>>,
        /// Files by path, laid over it: the text itself, or a table with `content`, `file` or `target`.
        files: BTreeMap<GuestPath, Spanned<FileEntry>>,
        /// The type of file system.
        r#type: FilesystemType = "ext4",
        /// Its size, or `min`: as small as the files allow. Without it, room for the files and a quarter more.
        size: Option<Spanned<ImageSize>>,
        /// Its label: at most 16 bytes for ext4, 15 for EROFS, 11 characters in capitals for FAT, 32 characters for ISO 9660, which
        /// has the target's name in capitals without it.
        label: Option<Spanned<String>>,
        /// Its UUID, which FAT and ISO 9660 have not. Without it, one derived from the names of stack and target.
        uuid: Option<Spanned<Uuid>>,
        /// What ext4 has besides.
        ext4: Option<Spanned<Ext4>>,
        /// What FAT has besides.
        fat: Option<Spanned<Fat>>,
        /// What squashfs has besides: it is only read, as large as what is in it, and has neither label nor UUID.
        squashfs: Option<Spanned<Squashfs>>,
        /// What EROFS has besides: it is only read, and as large as what is in it.
        erofs: Option<Spanned<Erofs>>,
        /// What ISO 9660 has besides.
        iso: Option<Spanned<Iso>>,
        /// The most that the image may have. More fails the build.
        max_size: Option<Spanned<Size>>,
        /// How many bytes directories may take of the image, as it is stored, by path: `{ "/usr/lib" = "200M" }`. More fails the build.
        budgets: BTreeMap<GuestPath, Spanned<Size>>,
    }
}

words! {
    /// A type of file system.
    pub enum FilesystemType("file system") {
        /// The fourth extended file system of Linux.
        Ext4 = "ext4",
        /// FAT12, FAT16 or FAT32, with long names: what firmware reads. It has no owners, modes, links or devices.
        Fat = "fat" not "vfat" not "msdos" not "fat32",
        /// A compressed file system that is only read.
        Squashfs = "squashfs" not "squash" not "sqfs",
        /// A file system that is only read, compressed or not, and quick to read in small pieces.
        Erofs = "erofs",
        /// ISO 9660 with Rock Ridge: what is on optical disks, and on what starts like one.
        Iso = "iso" not "iso9660" not "cdrom",
    }
}

table! {
    /// What ext4 has besides. What is left out is as `mke2fs` has it, except that nothing is reserved.
    pub struct Ext4 {
        /// The size of a block: `1K`, `2K` or `4K`. Without it, `4K`.
        block_size: Option<Spanned<Size>>,
        /// How much room there is beside the files, when the file system has no `size`.
        free: Option<Spanned<Size>>,
        /// At least how many inodes there are.
        inodes: Option<Spanned<u32>>,
        /// The size of the journal, or `none`.
        journal: Option<Spanned<NoneOrSize>>,
        /// Up to which size it can grow while it is mounted, or `none` for no room set aside. Without it, 1024 times
        /// its size.
        grow_to: Option<Spanned<NoneOrSize>>,
        /// How much of it only root may fill, in percent: up to 50. Without it, nothing.
        reserved: Option<Spanned<u32>>,
        /// What a kernel does when it finds it damaged.
        errors: OnErrors = "continue",
    }
}

words! {
    /// What a kernel does when it finds a file system damaged.
    pub enum OnErrors("reaction") {
        /// It carries on.
        Continue = "continue",
        /// It mounts it again, only to be read.
        RemountReadOnly = "remount-ro" not "readonly" not "ro" not "remount-read-only",
        /// It panics.
        Panic = "panic",
    }
}

table! {
    /// What FAT has besides. What is left out is as `mkfs.fat` has it.
    pub struct Fat {
        /// The kind: 12, 16 or 32.
        bits: Option<Spanned<u32>>,
        /// The size of a cluster: a power of two.
        cluster: Option<Spanned<Address>>,
        /// The size of a sector: 512, 1024, 2048 or 4096.
        sector_size: Spanned<Address> = "512",
        /// The volume's number: `1234-ABCD`. Without it, one derived from the names of stack and target.
        volume_id: Option<Spanned<VolumeId>>,
        /// How many sectors there are in front of the file system on its disk.
        hidden_sectors: u32 = 0,
        /// The geometry that a BIOS reckons with.
        geometry: Option<Spanned<Geometry>>,
    }
}

table! {
    /// A disk's geometry.
    pub struct Geometry {
        /// How many heads: 1 to 65535.
        heads: Spanned<u32>,
        /// How many sectors per track: 1 to 65535.
        sectors: Spanned<u32>,
    }
}

table! {
    /// What squashfs has besides.
    pub struct Squashfs {
        /// What compresses it.
        compression: SquashfsCompression = "gzip",
        /// How hard `gzip` (1 to 12) and `zstd` (1 to 22) try. Without it, 7 and 15.
        level: Option<Spanned<u32>>,
        /// The size of a block, from `4K` to `1M`. Larger ones make it smaller and slower to read. Without it, `128K`.
        block_size: Option<Spanned<Size>>,
        /// Filters for code that `xz` tries on each block beside none, to keep the smallest result.
        bcj: Vec<Spanned<BcjFilter>>,
        /// Which ends of files share blocks.
        fragments: SquashfsFragments = "small",
    }
}

words! {
    /// What compresses a squashfs.
    pub enum SquashfsCompression("compression") {
        /// Deflate, which every kernel reads.
        Gzip = "gzip" not "gz" not "zlib",
        /// LZ4: large, and the fastest to read.
        Lz4 = "lz4",
        /// LZ4 by an encoder that tries as hard as it can: as fast to read.
        Lz4hc = "lz4hc",
        /// xz: the smallest, and the slowest to read.
        Xz = "xz" not "lzma",
        /// Zstandard.
        Zstd = "zstd" not "zst",
    }
}

words! {
    /// Which ends of files, which do not fill a block, share blocks.
    pub enum SquashfsFragments("choice of fragments") {
        /// None: each is a block of its own.
        None = "none",
        /// Those of files smaller than a block.
        Small = "small",
        /// All.
        All = "all",
    }
}

words! {
    /// The processor whose code a filter is for.
    pub enum BcjFilter("filter") {
        /// x86 in 32 and 64 bits.
        X86 = "x86" not "amd64" not "x86_64",
        /// PowerPC, big endian.
        PowerPc = "powerpc",
        /// Itanium.
        Ia64 = "ia64",
        /// 32-bit ARM.
        Arm = "arm",
        /// ARM Thumb.
        ArmThumb = "armthumb",
        /// SPARC.
        Sparc = "sparc",
        /// 64-bit ARM; Linux reads it from 6.12 on.
        Arm64 = "arm64" not "aarch64",
        /// RISC-V; Linux reads it from 6.12 on.
        RiscV = "riscv" not "riscv64",
    }
}

table! {
    /// What EROFS has besides.
    pub struct Erofs {
        /// What compresses it.
        compression: ErofsCompression = "lz4",
        /// How hard `lz4hc` (1 to 12) and `zstd` (1 to 22) try. Without it, 9 and 3.
        level: Option<Spanned<u32>>,
        /// How large what was compressed together can be, from `4K` to `1M`. Larger ones make it smaller, and have more
        /// read for a little. Without it, `64K`.
        cluster_size: Option<Spanned<Size>>,
    }
}

words! {
    /// What compresses an EROFS.
    pub enum ErofsCompression("compression") {
        /// Nothing.
        None = "none" not "off",
        /// LZ4: large, and the fastest to write.
        Lz4 = "lz4",
        /// LZ4 by an encoder that spends more time: as fast to read.
        Lz4hc = "lz4hc",
        /// Zstandard: the smallest; Linux reads it from 6.10 on.
        Zstd = "zstd" not "zst",
    }
}

/// The size of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSize {
    /// As small as the contents allow.
    Min,
    /// This size.
    Fixed(Size),
}

impl FromText for ImageSize {
    fn from_text(text: &str) -> Result<ImageSize, Wrong> {
        match text {
            "min" => Ok(ImageSize::Min),
            _ => Size::from_text(text).map(ImageSize::Fixed).map_err(|wrong| Wrong {
                help: Some(
                    "write `min`, or a whole number and a unit, as in `64K`, `512M` or `2G`".to_owned(),
                ),
                ..wrong
            }),
        }
    }
}

impl JsonSchema for ImageSize {
    fn schema_name() -> Cow<'static, str> {
        "ImageSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(min|[0-9]+[KMGT](iB)?)$",
            "description": "A size with a binary unit, or `min`: as small as the contents allow.",
        })
    }
}

/// A size that something has, or nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneOrSize {
    /// Nothing.
    None,
    /// This size.
    Size(Size),
}

impl FromText for NoneOrSize {
    fn from_text(text: &str) -> Result<NoneOrSize, Wrong> {
        match text {
            "none" => Ok(NoneOrSize::None),
            _ => Size::from_text(text).map(NoneOrSize::Size).map_err(|wrong| Wrong {
                help: Some(
                    "write `none`, or a whole number and a unit, as in `64K`, `512M` or `2G`".to_owned(),
                ),
                ..wrong
            }),
        }
    }
}

impl JsonSchema for NoneOrSize {
    fn schema_name() -> Cow<'static, str> {
        "NoneOrSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(none|[0-9]+[KMGT](iB)?)$",
            "description": "A size with a binary unit, or `none`.",
        })
    }
}

/// The number of a FAT volume: `1234-ABCD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeId(u32);

impl VolumeId {
    /// Returns the number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl FromText for VolumeId {
    fn from_text(text: &str) -> Result<VolumeId, Wrong> {
        let digits = text.split_once('-').filter(|halves| halves.0.len() == 4 && halves.1.len() == 4);
        let digits = digits.map(|(high, low)| format!("{high}{low}"));
        let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        number.and_then(|digits| u32::from_str_radix(&digits, 16).ok()).map(VolumeId).ok_or_else(|| {
            let message = format!("`{}` is not the number of a volume", text.escape_debug());
            Wrong::new(message, "write it as in `1234-ABCD`")
        })
    }
}

impl JsonSchema for VolumeId {
    fn schema_name() -> Cow<'static, str> {
        "VolumeId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9a-fA-F]{4}-[0-9a-fA-F]{4}$",
            "description": "The number of a FAT volume: `1234-ABCD`.",
        })
    }
}
