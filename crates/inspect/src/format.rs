//! Telling what bytes are.

use std::io;

use layer::ReadAt;
use mkimg::{disk, vdisk, verity};

use crate::source::some;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A disk with a table of partitions.
    Disk,
    /// A virtual disk of this kind.
    VirtualDisk(vdisk::Kind),
    /// A disk for Google's cloud: `disk.raw` in a compressed archive.
    Gcp,
    /// The fourth extended file system.
    Ext4,
    /// squashfs 4.0.
    Squashfs,
    /// EROFS.
    Erofs,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// ISO 9660.
    Iso,
    /// Hash trees of dm-verity.
    Verity,
    /// A cpio archive, or several: what an initramfs is.
    Cpio,
    /// A tar archive.
    Tar,
    /// Something compressed.
    Compressed(Compression),
    /// A program for firmware.
    Pe,
    /// A kernel for x86.
    BzImage,
    /// A kernel for arm64.
    Arm64Image,
    /// A kernel for RISC-V.
    RiscvImage,
    /// What a confidential guest is launched from.
    Igvm,
    /// A flattened device tree.
    DeviceTree,
    /// ELF: a program, a library, an object or a kernel.
    Elf,
    /// A directory of the machine's.
    Directory,
    /// A directory as the OCI image layout has it.
    OciLayout,
    /// Nothing but zeros.
    Zeros,
    /// No bytes.
    Empty,
    /// Text in UTF-8.
    Text,
    /// Known by name only.
    Other(&'static str),
    /// Something else.
    Data,
}

/// What compressed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// LZ4 in the old frames that Linux has.
    Lz4,
}

impl Compression {
    /// Returns what compressed bytes that begin like this.
    pub(crate) fn of(start: &[u8]) -> Option<Compression> {
        [
            (&[0x1f, 0x8b][..], Compression::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (b"\xfd7zXZ\0", Compression::Xz),
            (&[0x02, 0x21, 0x4c, 0x18], Compression::Lz4),
        ]
        .into_iter()
        .find(|(magic, _)| start.starts_with(magic))
        .map(|(_, compression)| compression)
    }

    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Xz => "xz",
            Compression::Lz4 => "LZ4",
        }
    }
}

impl Format {
    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Disk => "a disk",
            Format::VirtualDisk(vdisk::Kind::Qcow2) => "a qcow2 disk",
            Format::VirtualDisk(vdisk::Kind::Vdi) => "a VDI disk",
            Format::VirtualDisk(vdisk::Kind::Vmdk) => "a VMDK disk",
            Format::VirtualDisk(vdisk::Kind::Vhd) => "a VHD disk",
            Format::VirtualDisk(vdisk::Kind::Vhdx) => "a VHDX disk",
            Format::VirtualDisk(vdisk::Kind::Parallels) => "a Parallels disk",
            Format::Gcp => "a disk for Google Compute Engine",
            Format::Ext4 => "an ext4 file system",
            Format::Squashfs => "a squashfs file system",
            Format::Erofs => "an EROFS file system",
            Format::Fat => "a FAT file system",
            Format::Iso => "an ISO 9660 file system",
            Format::Verity => "a dm-verity hash tree",
            Format::Cpio => "a cpio archive",
            Format::Tar => "a tar archive",
            Format::Compressed(Compression::Gzip) => "gzip",
            Format::Compressed(Compression::Zstd) => "zstd",
            Format::Compressed(Compression::Xz) => "xz",
            Format::Compressed(Compression::Lz4) => "LZ4",
            Format::Pe => "a program for firmware",
            Format::BzImage => "a Linux kernel for x86",
            Format::Arm64Image => "a Linux kernel for arm64",
            Format::RiscvImage => "a Linux kernel for RISC-V",
            Format::Igvm => "an IGVM file",
            Format::DeviceTree => "a device tree",
            Format::Elf => "ELF",
            Format::Directory => "a directory",
            Format::OciLayout => "an OCI image layout",
            Format::Zeros => "nothing but zeros",
            Format::Empty => "empty",
            Format::Text => "text",
            Format::Other(name) => name,
            Format::Data => "data of an unknown format",
        }
    }
}

/// Where cpio archives that are not compressed begin.
pub(crate) const CPIO: &[u8] = b"070701";
const CPIO_WITH_SUMS: &[u8] = b"070702";

/// What is told from others by bytes at a place, and is no more than named.
const OTHERS: [(usize, &[u8], &str); 14] = [
    (0, b"LUKS\xba\xbe", "an encrypted volume (LUKS), whose contents only its key shows"),
    (0, b"XFSB", "an XFS file system, which is not looked into"),
    (0x10040, b"_BHRfS_M", "a btrfs file system, which is not looked into"),
    (0x400, b"\x10\x20\xf5\xf2", "an F2FS file system, which is not looked into"),
    (0, b"-FVE-FS-", "an encrypted volume (BitLocker), whose contents only its key shows"),
    (3, b"NTFS    ", "an NTFS file system, which is not looked into"),
    (3, b"EXFAT   ", "an exFAT file system, which is not looked into"),
    (0xff6, b"SWAPSPACE2", "swap space"),
    (0x218, b"LVM2 001", "a physical volume of LVM, which is not looked into"),
    (0, b"BZh", "bzip2, which is not looked into"),
    (0, b"PK\x03\x04", "a ZIP archive, which is not looked into"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive, which is not looked into"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"SQLite format 3\0", "an SQLite database"),
];

/// How much is looked at to see that something is text, or nothing but zeros.
const START: usize = 64 << 10;

/// Returns what `source` is, by how it begins and what is at well-known places.
pub(crate) fn recognize(source: &dyn ReadAt) -> io::Result<Format> {
    let start = some(source, 0, START)?;
    let has = |at: usize, magic: &[u8]| start.get(at..at + magic.len()) == Some(magic);
    if start.is_empty() {
        return Ok(Format::Empty);
    }
    if let Some(kind) = vdisk::recognize_file(source).map_err(io::Error::other)? {
        return Ok(Format::VirtualDisk(kind));
    }
    // Kernels begin like programs for firmware, too.
    let format = match () {
        () if has(0x202, b"HdrS") && has(0x1fe, &[0x55, 0xaa]) => Format::BzImage,
        () if has(56, b"ARM\x64") => Format::Arm64Image,
        () if has(56, b"RSC\x05") => Format::RiscvImage,
        () if has(0, b"MZ") => Format::Pe,
        () if has(0, b"\x7fELF") => Format::Elf,
        () if has(0, b"IGVM") => Format::Igvm,
        () if has(0, &[0xd0, 0x0d, 0xfe, 0xed]) => Format::DeviceTree,
        () if has(0, verity::MAGIC) => Format::Verity,
        () if has(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) => Format::Erofs,
        () if has(0, b"hsqs") => Format::Squashfs,
        () if has(0x8001, b"CD001") => Format::Iso,
        () if has(1080, &[0x53, 0xef]) => Format::Ext4,
        () if has(0, CPIO) || has(0, CPIO_WITH_SUMS) => Format::Cpio,
        () if has(257, b"ustar") => Format::Tar,
        () => match Compression::of(&start) {
            Some(Compression::Gzip) if is_gcp(source)? => Format::Gcp,
            Some(compression) => Format::Compressed(compression),
            None => return by_less(source, &start),
        },
    };
    Ok(format)
}

fn by_less(source: &dyn ReadAt, start: &[u8]) -> io::Result<Format> {
    for (at, magic, name) in OTHERS {
        let found = match start.get(at..at + magic.len()) {
            Some(found) => found == magic,
            None => some(source, at as u64, magic.len())? == magic,
        };
        if found {
            return Ok(Format::Other(name));
        }
    }
    if disk::is_gpt(source)? {
        return Ok(Format::Disk);
    }
    if start.get(510..512) == Some(&[0x55, 0xaa]) {
        // File systems have their parameters where a table of partitions has code.
        let is_fat = start[0] == 0xeb || start[0] == 0xe9;
        return Ok(if is_fat && start.get(11..13).is_some_and(is_sector_size) {
            Format::Fat
        } else {
            Format::Disk
        });
    }
    if start.iter().all(|byte| *byte == 0) {
        // An initramfs may begin with zeros, and an empty archive is zeros.
        return Ok(Format::Zeros);
    }
    let text = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        // The last character may be cut off.
        Err(error) if start.len() == START && error.valid_up_to() + 4 > START => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let is_text = |text: &str| text.chars().all(|char| !char.is_control() || "\n\r\t\x0c\x1b".contains(char));
    Ok(if text.is_some_and(is_text) { Format::Text } else { Format::Data })
}

fn is_sector_size(bytes: &[u8]) -> bool {
    matches!(u16::from_le_bytes([bytes[0], bytes[1]]), 512 | 1024 | 2048 | 4096)
}

/// Says whether a gzip has an archive whose first file is a disk.
fn is_gcp(source: &dyn ReadAt) -> io::Result<bool> {
    use std::io::Read as _;
    let packed = some(source, 0, 4096)?;
    let mut header = [0; 512];
    let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
    if decoder.read_exact(&mut header).is_err() {
        return Ok(false);
    }
    let name = header[..100].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(name.strip_prefix(b"./").unwrap_or(name) == b"disk.raw" && header[257..].starts_with(b"ustar"))
}
