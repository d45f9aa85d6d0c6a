//! Disks in memory, and every way in which they are written.

use std::ops::Range;

use mkimg::vdisk::{Contents, Reader, WriteError, gcp, parallels, qcow2, vdi, vhd, vhdx, vmdk};
use mkimg::{GapSink, MemorySink};

#[path = "../shared/sparse.rs"]
pub(crate) mod sparse;
#[path = "../tool/mod.rs"]
mod tool;

pub(crate) use tool::tool;

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const UUID: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// A disk of which parts have something on them.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) data: Vec<Range<u64>>,
}

impl Disk {
    /// Returns a disk of zeros.
    pub(crate) fn empty(size: u64) -> Disk {
        Disk { bytes: vec![0; usize::try_from(size).unwrap()], data: Vec::new() }
    }

    /// Puts bytes that do not compress, or that do, at a place behind all others. Among them are zeros.
    pub(crate) fn with(mut self, at: u64, length: usize, is_noise: bool) -> Disk {
        let start = usize::try_from(at).unwrap();
        let mut state = at as u32 | 1;
        for (idx, byte) in self.bytes[start..start + length].iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = if is_noise { (state >> 24) as u8 } else { (idx / 100) as u8 };
        }
        self.data.push(at..at + length as u64);
        self
    }

    pub(crate) fn contents(&self) -> Contents<'_> {
        Contents::new(&self.bytes, self.bytes.len() as u64, self.data.clone())
    }
}

/// Returns a disk with something everywhere: whole blocks, parts of them, runs over tables' borders, and a last one that
/// is no whole block of any format.
pub(crate) fn disk() -> Disk {
    Disk::empty(40 * MIB + 512 * 3)
        .with(0, 512, false)
        .with(100 * KIB, 200_000, true)
        .with(3 * MIB - 5, 10, false)
        .with(4 * MIB, 2 << 20, false)
        .with(31 * MIB + 77_777, 1_500_000, true)
        .with(40 * MIB + 512, 700, false)
}

/// A way in which a disk is written.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    Qcow2(qcow2::Options),
    Vdi(vdi::Options),
    Vmdk(vmdk::Options),
    Vhd(vhd::Options),
    Vhdx(vhdx::Options),
    Parallels,
}

impl Way {
    /// Returns what QEMU calls the format.
    pub(crate) fn qemu(&self) -> &'static str {
        match self {
            Way::Qcow2(_) => "qcow2",
            Way::Vdi(_) => "vdi",
            Way::Vmdk(_) => "vmdk",
            Way::Vhd(_) => "vpc",
            Way::Vhdx(_) => "vhdx",
            Way::Parallels => "parallels",
        }
    }

    pub(crate) fn write(
        &self,
        contents: &Contents<'_>,
        n_threads: usize,
        sink: &mut dyn GapSink,
    ) -> Result<(), WriteError> {
        match self {
            Way::Qcow2(options) => qcow2::write(contents, None, options, n_threads, sink),
            Way::Vdi(options) => vdi::write(contents, options, n_threads, sink),
            Way::Vmdk(options) => vmdk::write(contents, options, n_threads, sink),
            Way::Vhd(options) => vhd::write(contents, options, n_threads, sink),
            Way::Vhdx(options) => vhdx::write(contents, options, n_threads, sink),
            Way::Parallels => parallels::write(contents, n_threads, sink),
        }
    }

    /// Returns the file.
    #[track_caller]
    pub(crate) fn bytes(&self, disk: &Disk) -> Vec<u8> {
        let mut sink = MemorySink::default();
        self.write(&disk.contents(), 2, &mut sink).unwrap();
        sink.into_bytes()
    }
}

/// Returns every way, by a name that a file can have.
pub(crate) fn ways() -> Vec<(&'static str, Way)> {
    let qcow2 = qcow2::Options::default;
    let vmdk = |variant, adapter| {
        Way::Vmdk(vmdk::Options { variant, adapter, name: "disk.vmdk".to_owned(), uuid: UUID })
    };
    let compressed = |compression| Way::Qcow2(qcow2::Options { compression, ..qcow2() });
    vec![
        ("qcow2", Way::Qcow2(qcow2())),
        ("qcow2-zlib", compressed(qcow2::Compression::Zlib(6))),
        ("qcow2-zstd", compressed(qcow2::Compression::Zstd(3))),
        ("qcow2-preallocated", Way::Qcow2(qcow2::Options { preallocated: true, ..qcow2() })),
        ("qcow2-small", Way::Qcow2(qcow2::Options { cluster_size: 512, ..qcow2() })),
        ("qcow2-large", Way::Qcow2(qcow2::Options { cluster_size: 2 * MIB, ..qcow2() })),
        (
            "qcow2-small-zlib",
            Way::Qcow2(qcow2::Options {
                cluster_size: 4096,
                compression: qcow2::Compression::Zlib(1),
                ..qcow2()
            }),
        ),
        ("vdi", Way::Vdi(vdi::Options { fixed: false, uuid: UUID })),
        ("vdi-fixed", Way::Vdi(vdi::Options { fixed: true, uuid: UUID })),
        ("vmdk", vmdk(vmdk::Variant::MonolithicSparse, vmdk::Adapter::Ide)),
        ("vmdk-stream", vmdk(vmdk::Variant::StreamOptimized, vmdk::Adapter::LsiLogic)),
        ("vhd", Way::Vhd(vhd::Options { fixed: false, uuid: UUID, epoch: 1_600_000_000 })),
        ("vhd-fixed", Way::Vhd(vhd::Options { fixed: true, uuid: UUID, epoch: 1_600_000_000 })),
        ("vhdx", Way::Vhdx(vhdx::Options { uuid: UUID, ..vhdx::Options::default() })),
        (
            "vhdx-large",
            Way::Vhdx(vhdx::Options { block_size: Some(8 * MIB), uuid: UUID, ..vhdx::Options::default() }),
        ),
        ("parallels", Way::Parallels),
    ]
}

/// Returns the disk that a file has, which must be as large as this one or, where formats have whole blocks, larger.
#[track_caller]
pub(crate) fn check(name: &str, file: Vec<u8>, disk: &Disk) {
    let reader = Reader::open(file).unwrap();
    let size = usize::try_from(reader.size()).unwrap();
    assert!(size >= disk.bytes.len() && size - disk.bytes.len() < 64 << 10, "{name}: {size}");
    let mut found = vec![0; size];
    reader.read(0, &mut found).unwrap();
    assert!(found[..disk.bytes.len()] == disk.bytes[..], "{name}: the disk came back changed");
    assert!(found[disk.bytes.len()..].iter().all(|byte| *byte == 0), "{name}");
    // What is said to have no data is zero.
    let mut rest = found;
    for range in reader.data().unwrap() {
        rest[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].fill(0);
    }
    assert!(rest.iter().all(|byte| *byte == 0), "{name}: there are data where none are said to be");
}

/// Returns the archive for Google.
pub(crate) fn archive(disk: &Disk, n_threads: usize) -> Vec<u8> {
    let options = gcp::Options { epoch: 1_600_000_000 };
    gcp::write(&disk.contents(), &options, n_threads, Vec::new()).unwrap()
}
