//! File-system images: what each type of file system can be told.

use crate::Spanned;
use crate::reader::{table, words};
use crate::scalar::{Size, TargetName, Uuid};

table! {
    /// A file-system image with the files of a root file system. Leaves `NAME.TYPE`, as in `disk.ext4`.
    ///
    /// `size`, `label` and `uuid` are for `ext4`. The keys from `compression` on are for `squashfs`, which is read-only,
    /// as large as what is in it, and has neither label nor UUID.
    pub struct Filesystem {
        /// The root file system: a target of kind `rootfs`.
        rootfs: Spanned<TargetName>,
        /// The type of file system.
        r#type: FilesystemType = "ext4",
        /// Its size. Without it, room for the files and a quarter more.
        size: Option<Spanned<Size>>,
        /// Its label, at most 16 bytes.
        label: Option<Spanned<String>>,
        /// Its UUID. Without it, one derived from the names of stack and target.
        uuid: Option<Spanned<Uuid>>,
        /// What compresses it. Without it, `gzip`.
        compression: Option<Spanned<SquashfsCompression>>,
        /// How hard `gzip` (1 to 12) and `zstd` (1 to 22) try. Without it, 7 and 15.
        level: Option<Spanned<u32>>,
        /// The size of a block, from `4K` to `1M`. Larger ones make it smaller and slower to read. Without it, `128K`.
        block_size: Option<Spanned<Size>>,
        /// Filters for code that `xz` tries on each block beside none, to keep the smallest result.
        bcj: Vec<Spanned<BcjFilter>>,
        /// Which ends of files share blocks. Without it, `small`.
        fragments: Option<Spanned<SquashfsFragments>>,
    }
}

words! {
    /// A type of file system.
    pub enum FilesystemType("file system") {
        /// The fourth extended file system of Linux.
        Ext4 = "ext4",
        /// A compressed file system that is only read.
        Squashfs = "squashfs" not "squash" not "sqfs",
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
