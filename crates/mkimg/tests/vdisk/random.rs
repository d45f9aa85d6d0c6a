//! Random disks, which come back from every format.

use mkimg::vdisk::{Contents, Reader, qcow2};
use mkimg::{MemorySink, SparseFile};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Disk, archive, check, disk, ways};

/// Returns parts of a disk: gaps in front of them, their lengths, and whether they do not compress.
fn parts() -> impl Strategy<Value = Vec<(u64, usize, bool)>> {
    let gap = prop_oneof![3 => 0..200_000u64, 1 => 0..4_000_000u64];
    vec((gap, prop_oneof![3 => 1..150_000usize, 1 => 1..1_500_000usize], any::<bool>()), 0..8)
}

fn random_disk() -> impl Strategy<Value = Disk> {
    (parts(), 1..20_000u64).prop_map(|(parts, sectors)| {
        let mut places = Vec::new();
        let mut at = 0;
        for (gap, length, is_noise) in parts {
            places.push((at + gap, length, is_noise));
            at += gap + length as u64;
        }
        let size = at.next_multiple_of(512) + sectors * 512;
        places
            .into_iter()
            .fold(Disk::empty(size), |disk, (at, length, is_noise)| disk.with(at, length, is_noise))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn disks_come_back(disk in random_disk()) {
        for (name, way) in ways() {
            check(name, way.bytes(&disk), &disk);
        }
    }

    #[test]
    fn what_differs_from_a_disk_makes_the_other_of_it(below in random_disk(), disk in random_disk(), log in 9..20u32) {
        let backing = Some(qcow2::Backing { name: "below.raw".to_owned(), format: "raw".to_owned() });
        for compression in [qcow2::Compression::None, qcow2::Compression::Zlib(1)] {
            let options = qcow2::Options {
                cluster_size: 1 << log,
                compression,
                backing: backing.clone(),
                ..qcow2::Options::default()
            };
            let mut sink = MemorySink::default();
            qcow2::write(&disk.contents(), Some(&below.contents()), &options, 2, &mut sink).unwrap();
            let reader = Reader::open_over(sink.into_bytes(), below.bytes.clone()).unwrap();
            let mut found = vec![0; disk.bytes.len()];
            reader.read(0, &mut found).unwrap();
            prop_assert!(found == disk.bytes);
        }
    }
}

#[test]
fn nothing_but_the_disk_changes_the_bytes() {
    let disk = disk();
    // All of it may have data, as far as anybody says.
    let whole = Contents::whole(&disk.bytes).unwrap();
    for (name, way) in ways() {
        let expected = way.bytes(&disk);
        for n_threads in [1, 5] {
            let mut sink = MemorySink::default();
            way.write(&whole, n_threads, &mut sink).unwrap();
            assert!(sink.into_bytes() == expected, "{name}, {n_threads} threads");
        }
        let file = tempfile::tempfile().unwrap();
        let mut sink = SparseFile::new(&file);
        way.write(&disk.contents(), 2, &mut sink).unwrap();
        sink.finish().unwrap();
        assert!(layer_bytes(&file) == expected, "{name} in a file");
    }
    assert!(archive(&disk, 1) == archive(&disk, 4));
}

fn layer_bytes(file: &std::fs::File) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn zeros_are_not_stored() {
    let full_of_zeros = Disk { bytes: vec![0; 64 << 20], data: std::iter::once(0..64 << 20).collect() };
    for (name, way) in ways() {
        let file = tempfile::tempfile().unwrap();
        let mut sink = SparseFile::new(&file);
        way.write(&full_of_zeros.contents(), 2, &mut sink).unwrap();
        sink.finish().unwrap();
        let metadata = file.metadata().unwrap();
        let taken = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
        // What is left is tables, of which those of the smallest clusters are the largest.
        assert!(taken < 3 << 20, "{name} takes {taken} bytes");
    }
}
