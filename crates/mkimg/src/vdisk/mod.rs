//! Virtual disks: the files in which hypervisors and clouds keep a disk.
//!
//! A disk is [`Contents`]: a size, bytes, and where there may be any. A raw file gives them, and so do the plan of a
//! disk that is about to be written ([`crate::disk::View`]) and a [`Reader`] of any of these formats, so each is
//! written from each. Blocks that are zero are not stored. Which ones these are is told by their bytes, so holes of a
//! file, the number of threads and the machine change nothing.
//!
//! Blocks are read, and compressed where a format has that, by many threads with bounded memory, and stored in the
//! order of the disk. Tables in front, of which the size is known and the contents are not, are filled in behind the
//! data ([`crate::GapSink`]). UUIDs and times are options.
//!
//! - qcow2: `docs/interop/qcow2.txt` of QEMU
//! - VDI: `Storage/VDICore.h` of VirtualBox
//! - VMDK: VMware, "Virtual Disk Format 5.0"
//! - VHD: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0
//! - VHDX: MS-VHDX
//! - Parallels: `docs/interop/parallels.txt` of QEMU, and prl-disk-tool's bundles
//! - Google's: "Manually import boot disks", a `disk.raw` in an old GNU sparse archive

mod blank;
mod contents;
mod dump;
mod error;
mod file;
mod make;
mod pack;
mod read;
mod stream;
mod table;

pub mod gcp;
pub mod parallels;
pub mod qcow2;
pub mod vdi;
pub mod vhd;
pub mod vhdx;
pub mod vmdk;

pub(crate) use blank::{blank, over};
pub use contents::Contents;
pub(crate) use contents::data_ranges;
pub use error::{ReadError, WriteError};
pub(crate) use make::{convert, write};
pub(crate) use qcow2::Qcow2Patch;
pub use read::{Reader, recognize_file};

/// The size of a sector where a format has no other.
const SECTOR: u64 = 512;

/// A format of virtual disks that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// QEMU's, version 2 and 3.
    Qcow2,
    /// VirtualBox'.
    Vdi,
    /// VMware's, in one file.
    Vmdk,
    /// Microsoft's older one.
    Vhd,
    /// Microsoft's newer one.
    Vhdx,
    /// Parallels', the file with the data.
    Parallels,
}

impl Kind {
    /// Returns what messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Qcow2 => "qcow2",
            Kind::Vdi => "VDI",
            Kind::Vmdk => "VMDK",
            Kind::Vhd => "VHD",
            Kind::Vhdx => "VHDX",
            Kind::Parallels => "Parallels",
        }
    }
}

/// Says how many threads read and compress unless it is said otherwise.
pub use crate::contents::default_threads;

/// Puts bytes at a fixed place of a header.
fn put(header: &mut [u8], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}

fn be_u16(bytes: &[u8], at: usize) -> u16 {
    crate::bytes::get_u16(bytes, at).swap_bytes()
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    crate::bytes::get_u32(bytes, at).swap_bytes()
}

fn be_u64(bytes: &[u8], at: usize) -> u64 {
    crate::bytes::get_u64(bytes, at).swap_bytes()
}

/// Returns a UUID for `what` of the disk that has the UUID `of`: version 8, of a SHA-256.
fn derived(of: &[u8; 16], what: &str) -> [u8; 16] {
    use sha2::{Digest, Sha256};
    let hash = Sha256::new().chain_update(of).chain_update(what).finalize();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// Returns the geometry that old programs reckon with: cylinders, heads and sectors per track (VHD specification,
/// appendix "CHS Calculation").
fn geometry(size: u64) -> (u16, u8, u8) {
    let sectors = (size / SECTOR).min(65535 * 16 * 255);
    if sectors >= 65535 * 16 * 63 {
        return ((sectors / (16 * 255)) as u16, 16, 255);
    }
    let mut per_track = 17;
    let mut cylinder_heads = sectors / per_track;
    let mut heads = cylinder_heads.div_ceil(1024).max(4);
    if cylinder_heads >= heads * 1024 || heads > 16 {
        (per_track, heads) = (31, 16);
        cylinder_heads = sectors / per_track;
    }
    if cylinder_heads >= heads * 1024 {
        (per_track, heads) = (63, 16);
        cylinder_heads = sectors / per_track;
    }
    // Below 65535 * 16 * 63 sectors all of them fit.
    ((cylinder_heads / heads) as u16, heads as u8, per_track as u8)
}
