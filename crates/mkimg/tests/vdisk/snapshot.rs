//! What virtual disks say, and what they are, to the byte.

use std::collections::BTreeSet;

use mkimg::MemorySink;
use mkimg::disk::Guid;
use mkimg::vdisk::{Reader, gcp, parallels, qcow2, vdi, vhd, vhdx, vmdk};
use sha2::{Digest, Sha256};

use crate::support::{MIB, UUID, Way, archive, disk, ways};

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A change here is a new version of a format: every such disk gets another digest.
#[test]
fn every_format_has_this_description_and_this_digest() {
    let mut text = String::new();
    for (name, way) in ways() {
        let bytes = way.bytes(&disk());
        let dump = Reader::open(bytes.clone()).unwrap().dump().unwrap();
        text += &format!("== {name}: {} bytes, {}\n{dump}", bytes.len(), digest(&bytes));
    }
    let bytes = archive(&disk(), 2);
    text += &format!("== gcp: {} bytes, {}\n", bytes.len(), digest(&bytes));
    assert_eq!(text, include_str!("everything.txt"), "{text}");
}

#[test]
fn every_option_shows() {
    let small = qcow2::Options::default();
    let options: [Way; 15] = [
        Way::Qcow2(small.clone()),
        Way::Qcow2(qcow2::Options { cluster_size: 32 << 10, ..small.clone() }),
        Way::Qcow2(qcow2::Options { compression: qcow2::Compression::Zlib(6), ..small.clone() }),
        Way::Qcow2(qcow2::Options { compression: qcow2::Compression::Zlib(9), ..small.clone() }),
        Way::Qcow2(qcow2::Options { compression: qcow2::Compression::Zstd(6), ..small.clone() }),
        Way::Qcow2(qcow2::Options { preallocated: true, ..small }),
        Way::Vdi(vdi::Options { fixed: false, uuid: UUID }),
        Way::Vdi(vdi::Options { fixed: true, uuid: UUID }),
        Way::Vdi(vdi::Options { fixed: true, uuid: [9; 16] }),
        Way::Vhd(vhd::Options { fixed: false, uuid: UUID, epoch: 1_600_000_000 }),
        Way::Vhd(vhd::Options { fixed: false, uuid: [9; 16], epoch: 1_600_000_000 }),
        Way::Vhd(vhd::Options { fixed: false, uuid: UUID, epoch: 1_600_000_001 }),
        Way::Vhdx(vhdx::Options { uuid: UUID, ..vhdx::Options::default() }),
        Way::Vhdx(vhdx::Options { uuid: [9; 16], ..vhdx::Options::default() }),
        Way::Vhdx(vhdx::Options { uuid: UUID, sector_size: 4096, ..vhdx::Options::default() }),
    ];
    let vmdk = [
        (vmdk::Variant::MonolithicSparse, vmdk::Adapter::Ide, "a", UUID),
        (vmdk::Variant::StreamOptimized, vmdk::Adapter::Ide, "a", UUID),
        (vmdk::Variant::MonolithicSparse, vmdk::Adapter::BusLogic, "a", UUID),
        (vmdk::Variant::MonolithicSparse, vmdk::Adapter::Ide, "b", UUID),
        (vmdk::Variant::MonolithicSparse, vmdk::Adapter::Ide, "a", [9; 16]),
    ];
    let vmdk = vmdk.map(|(variant, adapter, name, uuid)| {
        Way::Vmdk(vmdk::Options { variant, adapter, name: name.to_owned(), uuid })
    });
    let ways: Vec<Way> = options.into_iter().chain(vmdk).collect();
    let digests: BTreeSet<String> = ways.iter().map(|way| digest(&way.bytes(&disk()))).collect();
    assert_eq!(digests.len(), ways.len(), "two options have the same digest");
}

#[test]
fn an_archive_comes_back() {
    let disk = disk();
    let bytes = archive(&disk, 2);
    // Zeros take nothing.
    assert!(bytes.len() < 3 << 20, "{}", bytes.len());
    let mut sink = Ranges { bytes: vec![0; disk.bytes.len()], end: 0 };
    let size = gcp::unpack(&bytes[..], &mut sink).unwrap();
    assert_eq!((size, sink.end), (1 << 30, 1 << 30));
    assert!(sink.bytes == disk.bytes);
}

/// Keeps the front of a disk.
struct Ranges {
    bytes: Vec<u8>,
    end: u64,
}

impl mkimg::Sink for Ranges {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let there = bytes.len().min(self.bytes.len() - offset);
        self.bytes[offset..offset + there].copy_from_slice(&bytes[..there]);
        assert!(bytes[there..].iter().all(|byte| *byte == 0));
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> std::io::Result<()> {
        self.end = offset + len;
        Ok(())
    }
}

#[test]
fn a_bundle_says_what_is_in_it() {
    let uuid = Guid::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap();
    let text = parallels::descriptor("a & b", 40 * MIB + 512, uuid);
    assert_eq!(text, include_str!("descriptor.xml"), "{text}");
}

#[test]
fn a_disk_of_nothing_is_refused() {
    let nothing = crate::support::Disk::empty(0);
    for (name, way) in ways() {
        let refused = way.write(&nothing.contents(), 1, &mut MemorySink::default()).unwrap_err();
        assert_eq!(refused.to_string(), "the disk has no bytes", "{name}");
    }
}
