//! Damaged virtual disks: none makes the reader panic, run forever or take much memory, and what contradicts itself is
//! refused.

use mkimg::MemorySink;
use mkimg::vdisk::{ReadError, Reader, gcp};

use crate::support::sparse::Sparse;
use crate::support::{Disk, Way, archive, ways};

/// A small disk, so that much can be tried.
fn small() -> Disk {
    Disk::empty(300_032).with(512, 70_000, true).with(200_000, 60_000, false)
}

fn way(name: &str) -> Way {
    ways().into_iter().find(|(found, _)| *found == name).unwrap().1
}

fn examine(file: Vec<u8>) -> Result<(), ReadError> {
    let reader = Reader::open(file)?;
    // What says that it is large is not read, as it would only be zeros or the same block again.
    if reader.size() < 1 << 24 {
        reader.dump().map(drop)
    } else {
        let mut buffer = vec![0; 1 << 16];
        reader.read(0, &mut buffer)?;
        reader.read(reader.size() - (1 << 16), &mut buffer)
    }
}

#[test]
fn no_byte_of_the_tables_makes_the_reader_panic() {
    for (name, way) in ways() {
        let good = way.bytes(&small());
        let (mut tried, mut refused) = (0, 0);
        // Headers and tables are in front, and in some formats behind.
        let places = (0..512)
            .chain((512..2048).step_by(5))
            .chain((2048..good.len()).step_by(good.len() / 150))
            .chain(good.len() - 600..good.len());
        for at in places.filter(|at| *at < good.len()) {
            for value in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= value;
                tried += 1;
                refused += usize::from(examine(bad).is_err());
            }
        }
        assert!(refused > 0 && refused < tried, "{name}: {refused} of {tried}");
    }
}

#[test]
fn what_is_cut_off_is_refused() {
    for (name, way) in ways() {
        let good = way.bytes(&small());
        for length in (0..4096).step_by(97).chain((4096..good.len() / 3).step_by(good.len() / 40)) {
            // Without its footer nothing tells that it is a VHD.
            assert!(examine(good[..length].to_vec()).is_err(), "{name} of {length} bytes");
        }
    }
}

/// Puts values at places of a file, and checks what is said.
#[track_caller]
fn check(name: &str, values: &[(usize, &[u8])], expected: &str) {
    let mut bad = way(name).bytes(&small());
    for (at, value) in values {
        bad[*at..at + value.len()].copy_from_slice(value);
    }
    assert_eq!(examine(bad).unwrap_err().to_string(), expected);
}

#[test]
fn qcow2() {
    check("qcow2", &[(0, b"x")], "it is no virtual disk that is known");
    check("qcow2", &[(7, &[4])], "it has version 4, which cannot be read");
    check("qcow2", &[(23, &[8])], "the header: clusters cannot have 2^8 bytes");
    check("qcow2", &[(23, &[40])], "the header: clusters cannot have 2^40 bytes");
    check("qcow2", &[(35, &[1])], "it has encryption, which cannot be read");
    check("qcow2", &[(79, &[2])], "the header: it is marked as damaged");
    check("qcow2", &[(79, &[4])], "it has the feature 2, which cannot be read");
    check("qcow2", &[(79, &[8]), (104, &[2])], "it has compression of type 2, which cannot be read");
    check(
        "qcow2",
        &[(24, &[0x7f])],
        "the table of tables: a disk of 9151314442817147904 bytes has 17045651457 tables, not 1",
    );
    check(
        "qcow2",
        &[(40, &[1])],
        "it is cut off: the table of tables would end at 72057594037993480, and the file has 524288 bytes",
    );
    check(
        "qcow2",
        &[(65536, &[0, 0xff])],
        "it is cut off: a table of clusters would end at 71776119061610496, and the file has 524288 bytes",
    );
    check(
        "qcow2",
        &[(65542, &[2])],
        "the table of tables: the table at 328192 begins in the middle of a cluster",
    );
    check(
        "qcow2",
        &[(15, &[112]), (19, &[4]), (112, b"base")],
        "it is what differs from `base`, which is not given",
    );
    // A table that lists a place in the middle of a cluster.
    let good = way("qcow2").bytes(&small());
    let l2 = u64::from_be_bytes(good[65536..65544].try_into().unwrap()) & !(1 << 63);
    let at = usize::try_from(l2).unwrap();
    check(
        "qcow2",
        &[(at + 6, &[2])],
        "a table of clusters: cluster 0 begins in the middle of one, at 131584",
    );
    check("qcow2", &[(at, &[0xc0])], "a compressed block: the one at 131072 does not unpack to 65536 bytes");
}

#[test]
fn others() {
    check("vdi", &[(76, &[7])], "it has type 7, which cannot be read");
    check("vdi", &[(376, &[1])], "it has blocks of 1048577 and 0 bytes, which cannot be read");
    check("vdi", &[(370, &[0xff])], "the header: 1 blocks of 1048576 bytes are not enough for 16749568");
    check(
        "vdi",
        &[(340, &[0, 0, 0, 0xf0])],
        "it is cut off: the map of blocks would end at 4026531844, and the file has 2097152 bytes",
    );
    check(
        "vdi",
        &[(512, &[9])],
        "it is cut off: a block would end at 10485761, and the file has 2097152 bytes",
    );
    check("vmdk", &[(4, &[9])], "it has version 9, which cannot be read");
    check("vmdk", &[(20, &[3])], "the header: grains cannot have 3 sectors");
    check("vmdk", &[(44, &[1])], "it has tables of 513 entries, which cannot be read");
    check("vmdk", &[(12, &[0; 8])], "the header: a disk cannot have 0 sectors");
    check(
        "vmdk",
        &[(59, &[1])],
        "it is cut off: the grain directory would end at 8589947908, and the file has 262144 bytes",
    );
    check("vhdx", &[(65536, b"x"), (131_072, b"x")], "the header: the checksums of both are wrong");
    check(
        "vhdx",
        &[(196_608, b"x"), (262_144, b"x")],
        "the table of regions: the checksums of both are wrong",
    );
    check("vhdx", &[(2 << 20, b"x")], "the metadata: the mark is missing");
    check("vhdx", &[((2 << 20) + (64 << 10), &[1])], "the metadata: blocks cannot have 1048577 bytes");
    check("vhdx", &[(3 << 20, &[7])], "it has a block in state 7, which cannot be read");
    check("parallels", &[(16, &[1])], "it has version 1, which cannot be read");
    check("parallels", &[(28, &[0; 4])], "the header: blocks cannot have 0 bytes");
    check("parallels", &[(36, &[0; 8])], "the header: 1 blocks of 1048576 bytes are not enough for 0");
    check(
        "parallels",
        &[(28, &[0, 0, 0, 0x80]), (64, &[0xff; 4])],
        "the header: a block lies where no file ends",
    );
    check(
        "parallels",
        &[(64, &[0xff])],
        "it is cut off: a block would end at 267386881, and the file has 2097152 bytes",
    );
}

#[test]
fn vhd() {
    let good = way("vhd").bytes(&small());
    let last = good.len() - 512;
    check("vhd", &[(last + 40, &[1])], "the footer: its checksum is wrong");
    check("vhd", &[(last, b"x")], "the footer: there is none at the end: the file is cut off");
    check("vhd", &[(0, b"x")], "the copy of the footer: it differs from the footer");
    check("vhd", &[(512, b"x")], "the header: its mark or its checksum is wrong");
    check(
        "vhd",
        &[(1536, &[1])],
        "it is cut off: a block would end at 8589938689, and the file has 2101760 bytes",
    );
    let good = way("vhd-fixed").bytes(&small());
    let mut bad = good[512..].to_vec();
    assert_eq!(
        examine(bad.clone()).unwrap_err().to_string(),
        "the footer: it says 300032 bytes, and there are 299520"
    );
    bad.truncate(bad.len() - 1);
    assert_eq!(examine(bad).unwrap_err().to_string(), "it is no virtual disk that is known");
}

#[test]
fn archives() {
    let good = archive(&small(), 1);
    for length in (0..good.len()).step_by(good.len() / 100) {
        assert!(gcp::unpack(&good[..length], &mut MemorySink::default()).is_err(), "{length}");
    }
    let unpack = |tar: &[u8]| {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(tar).unwrap();
        gcp::unpack(&gzip.finish().unwrap()[..], &mut Nowhere).map(drop).map_err(|error| error.to_string())
    };
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&good[..]), &mut tar).unwrap();
    unpack(&tar).unwrap();
    let mut other = tar.clone();
    other[0] = b'D';
    assert_eq!(unpack(&other), Err("the header of the archive: its checksum is wrong".to_owned()));
    // Each byte of the map, with the checksum made right.
    for at in 386..495 {
        let mut bad = tar.clone();
        bad[at] ^= 1;
        bad[148..156].fill(b' ');
        let sum: u32 = bad[..512].iter().map(|byte| u32::from(*byte)).sum();
        bad[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        let _ = unpack(&bad);
    }
}

/// Takes a disk of any size.
struct Nowhere;

impl mkimg::Sink for Nowhere {
    fn data(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn zeros(&mut self, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn tables_that_are_too_large() {
    let check = |name: &str, values: &[(usize, &[u8])], expected: &str| {
        let mut bad = way(name).bytes(&small());
        for (at, value) in values {
            bad[*at..at + value.len()].copy_from_slice(value);
        }
        let said = Reader::open(Sparse::new(bad, 1 << 40)).err().unwrap().to_string();
        assert_eq!(said, expected);
    };
    let large = (1_u64 << 50).to_le_bytes();
    let most = "at most 67108864 are read";
    check(
        "parallels",
        &[(32, &[0xff; 4]), (36, &(1_u64 << 40).to_le_bytes())],
        &format!("the table of blocks: it has 2147483648 bytes: {most}"),
    );
    check(
        "vdi",
        &[(368, &large), (384, &[0xff; 4])],
        &format!("the map of blocks: it has 4294967296 bytes: {most}"),
    );
    check("vmdk", &[(12, &large)], &format!("the grain directory: it has 68719476736 bytes: {most}"));
}

#[test]
fn one_cluster_in_many_places() {
    let mut bad = way("qcow2").bytes(&small());
    let l2 = usize::try_from(u64::from_be_bytes(bad[65536..65544].try_into().unwrap()) & !(1 << 63)).unwrap();
    // A disk that has the first cluster everywhere.
    bad[24..32].copy_from_slice(&(8192_u64 << 16).to_be_bytes());
    for entry in 1..8192 {
        bad.copy_within(l2..l2 + 8, l2 + entry * 8);
    }
    let reader = Reader::open(bad).unwrap();
    let said = reader.data().unwrap_err().to_string();
    assert_eq!(said, "the table of blocks: many blocks are at the same place");
}
