//! What Google Compute Engine imports: `disk.raw` in an archive of tar, compressed by gzip.
//!
//! The archive is what `tar --format=oldgnu --sparse` writes: in front of the data is a map of where they belong. So the
//! disk is read twice: for the map, and for the data. Google wants whole gibibytes.

mod read;
mod write;

pub use read::{UnpackError, unpack};
pub(crate) use write::write_reusing;
pub use write::{Options, write};

/// Numbers that both sides need (GNU tar, `src/tar.h`).
mod format {
    pub(super) const BLOCK: usize = 512;
    pub(super) const NAME: &[u8] = b"disk.raw";
    pub(super) const MAGIC_AT: usize = 257;
    pub(super) const MAGIC: &[u8] = b"ustar  \0";
    pub(super) const SPARSE: u8 = b'S';
    /// Where the map begins in the header, and in the blocks behind it, and how many entries there are.
    pub(super) const MAP_AT: usize = 386;
    pub(super) const N_FIRST: usize = 4;
    pub(super) const N_FURTHER: usize = 21;
    pub(super) const ENTRY_LEN: usize = 24;
    pub(super) const NUMBER_LEN: usize = 12;
    /// Whether another block of the map follows.
    pub(super) const IS_EXTENDED_AT: usize = 482;
    pub(super) const FURTHER_IS_EXTENDED_AT: usize = 504;
    pub(super) const REAL_SIZE_AT: usize = 483;
    pub(super) const SIZE_AT: usize = 124;
    pub(super) const CHECKSUM_AT: usize = 148;
    pub(super) const TYPE_AT: usize = 156;

    /// Returns the checksum of a header.
    pub(super) fn checksum(header: &[u8]) -> u32 {
        let (before, after) = (&header[..CHECKSUM_AT], &header[CHECKSUM_AT + 8..]);
        before.iter().chain(after).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ')
    }
}
