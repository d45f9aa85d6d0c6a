//! The tools that own the formats accept what we write, and we what they write.

use std::fs::File;
use std::path::Path;

use mkimg::SparseFile;
use mkimg::disk::{
    Disk, Hybrid, Identity, Partition, PartitionSize, Protective, Reader, Size, Table, resolve,
};

use crate::support::{Contents, MIB, fixed, gpt, guid, mbr, partition, tool, write};

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn save(disk: &Disk, path: &Path) {
    let file = File::create_new(path).unwrap();
    let mut sink = SparseFile::new(&file);
    write(&resolve(disk.clone()).unwrap(), disk, &mut sink);
    sink.finish().unwrap();
}

/// Says what a tool says unless it succeeds and says `expected`.
#[track_caller]
fn check(arguments: &[&str], expected: &[&str]) {
    let Some((code, text)) = tool(arguments[0], &arguments[1..]) else { return };
    assert_eq!(code, 0, "{arguments:?}: {text}");
    for expected in expected {
        assert!(text.contains(expected), "{arguments:?}: {expected}\n{text}");
    }
}

fn three() -> Vec<Partition> {
    vec![
        Partition { number: Some(5), ..partition("EFI System", fixed(2)).with(70_000) },
        partition("root", fixed(3)),
        partition("data", PartitionSize::Grow),
    ]
}

#[test]
fn gdisk_and_sfdisk_verify_a_disk() {
    let directory = scratch();
    let path = directory.path().join("disk");
    save(&Disk { size: Size::Fixed(16 * MIB), partitions: three(), ..gpt() }, &path);
    let path = path.to_str().unwrap();
    check(&["sgdisk", "-v", path], &["No problems found."]);
    check(&["sfdisk", "--verify", path], &["No errors detected."]);
    check(
        &["sgdisk", "-i", "5", path],
        &[
            "Partition unique GUID: 00112233-4455-6677-8899-AABBCCDDEE6D",
            "First sector: 2048 (at 1024.0 KiB)",
            "Partition name: 'EFI System'",
        ],
    );
}

#[test]
fn gdisk_verifies_hybrid_tables() {
    let directory = scratch();
    let hybrid = vec![Hybrid { partition: 5, kind: 0x0c, is_bootable: true }];
    for (name, protective) in [("first", Protective::First), ("last", Protective::Last)] {
        let path = directory.path().join(name);
        let table = Table::Gpt { guid: guid(0), hybrid: hybrid.clone(), protective };
        save(&Disk { table, size: Size::Fixed(16 * MIB), partitions: three(), ..gpt() }, &path);
        let path = path.to_str().unwrap();
        check(&["sgdisk", "-v", path], &["No problems found."]);
        check(&["sgdisk", "-O", path], &["2048", "0x0C", "0xEE"]);
    }
}

#[test]
fn sfdisk_verifies_old_tables() {
    let directory = scratch();
    let path = directory.path().join("disk");
    let old = |kind, is_bootable, size| Partition {
        identity: Identity::Mbr { kind, is_bootable },
        ..partition("", size)
    };
    let partitions = vec![old(0x0c, true, fixed(2)), old(0x83, false, PartitionSize::Grow)];
    save(&Disk { size: Size::Fixed(8 * MIB), partitions, ..mbr() }, &path);
    let path = path.to_str().unwrap();
    check(&["sfdisk", "--verify", path], &["No errors detected."]);
    check(
        &["sfdisk", "--dump", path],
        &["label: dos", "label-id: 0x1234abcd", "start=        2048, size=        4096, type=c, bootable"],
    );
}

#[test]
fn what_gdisk_wrote_is_read() {
    let directory = scratch();
    let path = directory.path().join("disk");
    File::create_new(&path).unwrap().set_len(8 * MIB).unwrap();
    let name = path.to_str().unwrap();
    let made = tool("sgdisk", &["-n", "2:2048:4095", "-t", "2:ef00", "-c", "2:name", "-A", "2:set:2", name]);
    let Some((code, text)) = made else { return };
    assert_eq!(code, 0, "{text}");
    let reader = Reader::open(File::open(&path).unwrap()).unwrap();
    let (number, entry) = &reader.entries()[0];
    assert_eq!(
        (*number, entry.name.as_str(), entry.first, entry.last, entry.attributes),
        (2, "name", 2048, 4095, 4)
    );
    let (code, text) = tool("sgdisk", &["-h", "2:EE", name]).unwrap();
    assert_eq!(code, 0, "{text}");
    let reader = Reader::open(File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.mbr().records[0].kind, 0xef, "{text}");
}
