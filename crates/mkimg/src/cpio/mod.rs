//! cpio archives in the format that kernels unpack as an initramfs ("newc", magic 070701).
//!
//! Described by the Linux kernel documentation, `driver-api/early-userspace/buffer-format`. Headers are 110
//! bytes of text; names and contents are padded to four bytes; an entry named `TRAILER!!!` ends an archive.

mod read;
mod write;

pub use read::{ReadError, Reader, Record};
pub use write::{Archive, Error, Selection};

const MAGIC: &[u8; 6] = b"070701";
const HEADER: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";
/// Archives are padded to this, as by GNU cpio, so that another one can follow.
const RECORD: u64 = 512;
const MAX_NAME: usize = 4096;

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFIFO: u32 = 0o010_000;
