//! Inodes: 256 bytes each, with nanoseconds.
//!
//! Kernel documentation, ext4, "Index Nodes".

use super::bytes::{get_u16, get_u32, low_u16, low_u32, put_u16, put_u32};
use super::checksum::{Checksum, seal_inode};
use crate::tree::Timestamp;

/// How long an inode is in the images made here.
pub(super) const LEN: usize = 256;

/// Where the fields end (`128 + i_extra_isize`) and extended attributes can start.
pub(super) const FIELDS_END: usize = 160;

/// The root directory.
pub(super) const ROOT: u32 = 2;
/// The inode that owns the blocks for more group descriptors.
pub(super) const RESIZE: u32 = 7;
/// The journal.
pub(super) const JOURNAL: u32 = 8;
/// Where `e2fsck` puts what has lost its name.
pub(super) const LOST_AND_FOUND: u32 = 11;

/// The most hard links that an inode can have. Directories with more say 1.
pub(super) const LINK_MAX: u32 = 65000;

/// `i_mode`: the bits of the type.
pub(super) const TYPE_MASK: u16 = 0xf000;
pub(super) const FIFO: u16 = 0x1000;
pub(super) const CHAR_DEVICE: u16 = 0x2000;
pub(super) const DIRECTORY: u16 = 0x4000;
pub(super) const BLOCK_DEVICE: u16 = 0x6000;
pub(super) const REGULAR: u16 = 0x8000;
pub(super) const SYMLINK: u16 = 0xa000;
pub(super) const SOCKET: u16 = 0xc000;

/// `i_flags`: the directory has an index.
pub(super) const FLAG_INDEX: u32 = 0x1000;
/// `i_flags`: the blocks are mapped by an extent tree.
pub(super) const FLAG_EXTENTS: u32 = 0x8_0000;
/// `i_flags`: the data is in the inode.
pub(super) const FLAG_INLINE_DATA: u32 = 0x1000_0000;

/// Returns the two words of an inode: signed seconds, then the epoch's two bits and the nanoseconds.
fn words(time: Timestamp) -> [u32; 2] {
    let low = low_u32(time.seconds().cast_unsigned());
    let epoch = (time.seconds() - i64::from(low.cast_signed())) >> 32;
    [low, time.nanoseconds() << 2 | low_u32(epoch.cast_unsigned()) & 3]
}

fn from_words(low: u32, extra: u32) -> Timestamp {
    let seconds = i64::from(low.cast_signed()) + (i64::from(extra & 3) << 32);
    Timestamp::pack(seconds, (extra >> 2).min(999_999_999))
}

/// An inode's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub number: u32,
    /// Type and permissions.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of content.
    pub size: u64,
    /// How many names it has.
    pub links: u16,
    /// How much it takes, in units of 512 bytes.
    pub sectors: u64,
    /// Flags (`i_flags`).
    pub flags: u32,
    /// Extents, a short symbolic link's target, or a device number.
    pub block: [u8; 60],
    /// NFS generation; it takes part in checksums.
    pub generation: u32,
    /// Where the block of extended attributes is, or 0.
    pub xattr_block: u64,
    /// Access time.
    pub atime: Timestamp,
    /// Inode change time.
    pub ctime: Timestamp,
    /// Modification time.
    pub mtime: Timestamp,
    /// Creation time.
    pub crtime: Timestamp,
    /// What is stored behind the fields: extended attributes.
    pub tail: Vec<u8>,
}

impl Inode {
    /// Writes the inode into `bytes`, which is one slot of the table.
    pub(super) fn encode(&self, seed: Checksum, bytes: &mut [u8]) {
        bytes.fill(0);
        put_u16(bytes, 0x0, self.mode);
        put_u16(bytes, 0x2, low_u16(self.uid));
        put_u32(bytes, 0x4, low_u32(self.size));
        put_u16(bytes, 0x18, low_u16(self.gid));
        put_u16(bytes, 0x1a, self.links);
        put_u32(bytes, 0x1c, low_u32(self.sectors));
        put_u32(bytes, 0x20, self.flags);
        bytes[0x28..0x64].copy_from_slice(&self.block);
        put_u32(bytes, 0x64, self.generation);
        put_u32(bytes, 0x68, low_u32(self.xattr_block));
        put_u32(bytes, 0x6c, low_u32(self.size >> 32));
        put_u16(bytes, 0x74, low_u16(low_u32(self.sectors >> 32)));
        put_u16(bytes, 0x76, low_u16(low_u32(self.xattr_block >> 32)));
        put_u16(bytes, 0x78, low_u16(self.uid >> 16));
        put_u16(bytes, 0x7a, low_u16(self.gid >> 16));
        put_u16(bytes, 0x80, (FIELDS_END - 128) as u16);
        let times = [
            (self.atime, 0x8, 0x8c),
            (self.ctime, 0xc, 0x84),
            (self.mtime, 0x10, 0x88),
            (self.crtime, 0x90, 0x94),
        ];
        for (time, low, extra) in times {
            let words = words(time);
            put_u32(bytes, low, words[0]);
            put_u32(bytes, extra, words[1]);
        }
        bytes[FIELDS_END..FIELDS_END + self.tail.len()].copy_from_slice(&self.tail);
        seal_inode(bytes, self.number, seed);
    }

    /// Reads a slot of the table. Says nothing about whether what it read makes sense.
    pub(super) fn decode(number: u32, bytes: &[u8]) -> Inode {
        let extra_end = if bytes.len() > 128 { 128 + usize::from(get_u16(bytes, 0x80)) } else { 128 };
        let extra = |at: usize| if at + 4 <= extra_end.min(bytes.len()) { get_u32(bytes, at) } else { 0 };
        let time = |low: usize, at: usize| from_words(get_u32(bytes, low), extra(at));
        Inode {
            number,
            mode: get_u16(bytes, 0x0),
            uid: u32::from(get_u16(bytes, 0x2)) | u32::from(get_u16(bytes, 0x78)) << 16,
            gid: u32::from(get_u16(bytes, 0x18)) | u32::from(get_u16(bytes, 0x7a)) << 16,
            size: u64::from(get_u32(bytes, 0x4)) | u64::from(get_u32(bytes, 0x6c)) << 32,
            links: get_u16(bytes, 0x1a),
            sectors: u64::from(get_u32(bytes, 0x1c)) | u64::from(get_u16(bytes, 0x74)) << 32,
            flags: get_u32(bytes, 0x20),
            block: std::array::from_fn(|index| bytes[0x28 + index]),
            generation: get_u32(bytes, 0x64),
            xattr_block: u64::from(get_u32(bytes, 0x68)) | u64::from(get_u16(bytes, 0x76)) << 32,
            atime: time(0x8, 0x8c),
            ctime: time(0xc, 0x84),
            mtime: time(0x10, 0x88),
            crtime: from_words(extra(0x90), extra(0x94)),
            tail: bytes.get(extra_end..).unwrap_or_default().to_vec(),
        }
    }

    /// Returns the bits of the mode that say what it is.
    pub(super) fn kind(&self) -> u16 {
        self.mode & TYPE_MASK
    }

    /// Tells whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind() == DIRECTORY
    }

    /// Tells whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == REGULAR
    }

    /// Tells whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind() == SYMLINK
    }

    /// Returns the major and minor number of a device.
    pub fn device(&self) -> Option<(u32, u32)> {
        matches!(self.kind(), CHAR_DEVICE | BLOCK_DEVICE).then(|| decode_device(&self.block))
    }
}

/// Returns the block map of a device: the old form where the numbers are small, the new one elsewhere.
pub(super) fn encode_device(major: u32, minor: u32) -> [u8; 60] {
    let mut block = [0; 60];
    if major < 256 && minor < 256 {
        put_u32(&mut block, 0, major << 8 | minor);
    } else {
        put_u32(&mut block, 4, minor & 0xff | major << 8 | (minor & !0xff) << 12);
    }
    block
}

fn decode_device(block: &[u8; 60]) -> (u32, u32) {
    let [old, new] = [get_u32(block, 0), get_u32(block, 4)];
    if old != 0 { (old >> 8 & 0xff, old & 0xff) } else { (new >> 8 & 0xfff, new & 0xff | new >> 12 & !0xff) }
}

/// Returns the type that a directory entry has for an inode with this mode.
pub(super) fn entry_type(mode: u16) -> u8 {
    match mode & TYPE_MASK {
        REGULAR => 1,
        DIRECTORY => 2,
        CHAR_DEVICE => 3,
        BLOCK_DEVICE => 4,
        FIFO => 5,
        SOCKET => 6,
        SYMLINK => 7,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_from_1901_to_2310_survive() {
        for seconds in
            [Timestamp::MIN_SECONDS, -1, 0, 1, (1 << 31) - 1, 1 << 31, 1 << 32, Timestamp::MAX_SECONDS]
        {
            let time = Timestamp::new(seconds, 999_999_999).unwrap();
            let [low, extra] = words(time);
            assert_eq!(from_words(low, extra), time);
        }
        assert_eq!(Timestamp::new(Timestamp::MAX_SECONDS + 1, 0), None);
        assert_eq!(Timestamp::new(0, 1_000_000_000), None);
        assert_eq!(Timestamp::saturating(i64::MAX).seconds(), Timestamp::MAX_SECONDS);
    }

    #[test]
    fn devices_survive_in_both_forms() {
        for numbers in [(0, 0), (5, 1), (255, 255), (256, 0), (8, 256), (4095, (1 << 20) - 1)] {
            assert_eq!(decode_device(&encode_device(numbers.0, numbers.1)), numbers);
        }
    }
}
