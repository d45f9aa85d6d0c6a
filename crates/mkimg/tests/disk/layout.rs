//! Where partitions lie, and what is said when they cannot.

use mkimg::disk::{
    Blob, Disk, Hybrid, Identity, Partition, PartitionSize, Protective, Reader, Size, Table, gpt_type,
    resolve,
};

use crate::support::{Contents, MIB, bytes, fixed, gpt, guid, mbr, partition};

/// Compares where partitions lie, each as `number: first+sectors`, and the disk's sectors; or the problems.
#[track_caller]
fn check(disk: Disk, expected: &str) {
    let told = match resolve(disk) {
        Ok(plan) => {
            let map = plan.map();
            let placed = map.partitions.iter();
            let mut told: Vec<String> =
                placed.map(|at| format!("{}: {}+{}", at.number, at.first, at.sectors)).collect();
            told.push(format!("of {}", map.sectors));
            told.join("  ")
        }
        Err(problems) => {
            let problems = problems.problems.iter();
            problems.map(ToString::to_string).collect::<Vec<String>>().join("\n")
        }
    };
    assert_eq!(told, expected);
}

fn of(partitions: Vec<Partition>) -> Disk {
    Disk { partitions, ..gpt() }
}

fn sized(mebibytes: u64, partitions: Vec<Partition>) -> Disk {
    Disk { size: Size::Fixed(mebibytes * MIB), ..of(partitions) }
}

#[test]
fn partitions_follow_one_another() {
    check(
        of(vec![partition("a", fixed(1)), partition("b", fixed(2))]),
        "1: 2048+2048  2: 4096+4096  of 10240",
    );
    check(of(vec![]), "of 2048");
    let at = |name, at| Partition { at: Some(at), ..partition(name, fixed(1)) };
    check(of(vec![at("a", 17_408), partition("b", fixed(1))]), "1: 34+2048  2: 4096+2048  of 8192");
    let aligned = Partition { align: Some(4 * MIB), ..partition("a", fixed(1)) };
    check(of(vec![aligned, partition("b", fixed(1))]), "1: 8192+2048  2: 10240+2048  of 14336");
    check(Disk { first_lba: 16_384, ..of(vec![partition("a", fixed(1))]) }, "1: 16384+2048  of 20480");
    check(Disk { align: 512, ..of(vec![partition("a", fixed(1))]) }, "1: 34+2048  of 4096");
}

#[test]
fn sizes_of_partitions() {
    check(of(vec![partition("a", PartitionSize::Min).with(513)]), "1: 2048+2  of 4096");
    check(of(vec![partition("a", PartitionSize::Fixed(700)).with(600)]), "1: 2048+2  of 4096");
    check(sized(8, vec![partition("a", PartitionSize::Grow)]), "1: 2048+14303  of 16384");
    let three =
        |last| vec![partition("a", fixed(1)), partition("b", PartitionSize::Grow), partition("c", last)];
    check(sized(8, three(fixed(1))), "1: 2048+2048  2: 4096+8192  3: 12288+2048  of 16384");
    // The last one keeps its place.
    let mut placed = three(fixed(1));
    placed[2].at = Some(3 * MIB);
    check(sized(8, placed), "1: 2048+2048  2: 4096+2048  3: 6144+2048  of 16384");
    // It grows into what rounding leaves.
    let grown = vec![partition("a", PartitionSize::Grow).with(100)];
    check(Disk { size: Size::Fit { slack: 3 * MIB, round: MIB }, ..of(grown) }, "1: 2048+6111  of 8192");
}

#[test]
fn sizes_of_disks() {
    let fit = |slack, round| Disk { size: Size::Fit { slack, round }, ..of(vec![partition("a", fixed(1))]) };
    check(fit(0, MIB), "1: 2048+2048  of 6144");
    check(fit(0, 512), "1: 2048+2048  of 4129");
    check(fit(5 * MIB, MIB), "1: 2048+2048  of 12288");
    check(fit(1, 64 * MIB), "1: 2048+2048  of 131072");
}

#[test]
fn numbers_are_apart_from_places() {
    let numbered = |name, number| Partition { number: Some(number), ..partition(name, fixed(1)) };
    check(
        of(vec![numbered("a", 9), partition("b", fixed(1)), numbered("c", 1), partition("d", fixed(1))]),
        "9: 2048+2048  2: 4096+2048  1: 6144+2048  3: 8192+2048  of 12288",
    );
}

#[test]
fn large_sectors() {
    let disk = Disk { sector_size: 4096, ..of(vec![partition("a", fixed(1)).with(5000)]) };
    check(disk.clone(), "1: 256+256  of 768");
    let reader = Reader::open(bytes(&disk)).unwrap();
    assert_eq!((reader.sector_size(), reader.header().unwrap().first_usable), (4096, 6));
}

#[test]
fn old_tables() {
    let old = |kind, is_bootable, size| Partition {
        identity: Identity::Mbr { kind, is_bootable },
        ..partition("a", size)
    };
    let disk =
        Disk { partitions: vec![old(0x0c, true, fixed(2)).with(3000), old(0x83, false, fixed(1))], ..mbr() };
    check(disk.clone(), "1: 2048+4096  2: 6144+2048  of 8192");
    let reader = Reader::open(bytes(&disk)).unwrap();
    assert_eq!((reader.mbr().signature, reader.mbr().records[0].is_bootable), (0x1234_abcd, true));
    assert!(reader.header().is_none());

    let many = Disk { partitions: vec![old(0x83, false, fixed(1)); 5], ..mbr() };
    check(many, "there are 5 partitions, and the table has 4 entries");
    let beyond = Disk { partitions: vec![old(0x83, false, PartitionSize::Fixed(3 << 40))], ..mbr() };
    check(beyond, "partition 1 `a` reaches past the 2^32 sectors that an old table can say");
    check(Disk { boot_code: 446, ..mbr() }, "the boot code has 446 bytes: the limit is 440");
    check(
        Disk { partitions: vec![partition("a", fixed(1))], ..mbr() },
        "partition 1 `a` is not declared for the table that the disk has",
    );
}

#[test]
fn a_wrong_disk_is_told_with_its_drawing() {
    let disk = sized(
        8,
        vec![
            partition("EFI System", fixed(2)).with(3 * MIB + 1),
            Partition { at: Some(2 * MIB), ..partition("root", fixed(1)) },
            partition("data", fixed(16)),
        ],
    );
    let expected = "the disk has 3 problems
- partition 1 `EFI System` has 2 MiB, and `file` has 3.0 MiB (3145729 bytes): 1.0 MiB (1048577 bytes) are missing
  help: give it that much more, or no size at all: it is then as large as what is in it
- the disk has 8 MiB, and all that is on it needs 19.0 MiB (19939840 bytes): 11.0 MiB (11551232 bytes) are missing
  help: the largest parts: partition 3 `data` with 16 MiB, partition 1 `EFI System` with 2 MiB, partition 2 `root` with 1 MiB
- partition 1 `EFI System` at 1 MiB and partition 2 `root` at 2 MiB overlap by 1 MiB
  help: partition 2 `root` at 2 MiB can begin at 3145728, or behind it wherever there is room
┌───────┬───────┬───────────┬───┬────────────────┬─────────┐
│ first │  last │      size │ # │ area           │ content │
├───────┼───────┼───────────┼───┼────────────────┼─────────┤
│     0 │     0 │ 512 bytes │   │ MBR            │ table   │
│     1 │    33 │  16.5 KiB │   │ GPT            │ table   │
│    34 │  2047 │  1007 KiB │   │ (free)         │         │
│  2048 │  6143 │     2 MiB │ 1 │ EFI System     │ `file`  │
│  4096 │  6143 │     1 MiB │   │ (OVERLAP)      │         │
│  4096 │  6143 │     1 MiB │ 2 │ root           │         │
│  6144 │ 38911 │    16 MiB │ 3 │ data           │         │
│ 16351 │ 16383 │  16.5 KiB │   │ (OVERLAP)      │         │
│ 16351 │ 16383 │  16.5 KiB │   │ GPT, copy      │ table   │
│ 16384 │ 38911 │    11 MiB │   │ (PAST THE END) │         │
└───────┴───────┴───────────┴───┴────────────────┴─────────┘";
    assert_eq!(resolve(disk).unwrap_err().to_string(), expected);
}

#[test]
fn names_numbers_and_guids() {
    check(
        of(vec![partition("a", fixed(1)), partition("a", fixed(1))]),
        "partition 1 `a` and partition 2 `a` have the same GUID 00112233-4455-6677-8899-aabbccddee61",
    );
    let numbered = |name, number| Partition { number: Some(number), ..partition(name, fixed(1)) };
    check(
        of(vec![numbered("a", 2), numbered("b", 2)]),
        "partition 2 `a` and partition 2 `b` have the same number",
    );
    check(
        of(vec![numbered("a", 0), numbered("b", 129)]),
        "partition 0 `a` cannot have that number: the table has 128\npartition 129 `b` cannot have that number: the \
         table has 128",
    );
    let long = "😀".repeat(19);
    check(
        of(vec![partition(&long, fixed(1))]),
        &format!("partition 1 `{long}` has a name of 38 UTF-16 units: the limit is 36"),
    );
    check(of(vec![partition(&"x".repeat(36), fixed(1))]), "1: 2048+2048  of 6144");
    let number =
        |number: u8| Identity::Gpt { kind: gpt_type("esp").unwrap(), guid: guid(number), attributes: 0 };
    let many = (1..=130).map(|idx| Partition { identity: number(idx), ..partition("", fixed(1)) });
    check(of(many.collect()), "there are 130 partitions, and the table has 128 entries");
    let nil = Identity::Gpt { kind: gpt_type("esp").unwrap(), guid: mkimg::disk::Guid::NIL, attributes: 0 };
    check(
        of(vec![Partition { identity: nil, ..partition("a", fixed(1)) }]),
        "partition 1 `a` has a GUID or a type of zeros only, which means that there is nothing",
    );
}

#[test]
fn places_and_sizes_that_cannot_be() {
    check(
        of(vec![partition("a", PartitionSize::Min)]),
        "partition 1 `a` has no size: there is nothing in it",
    );
    check(
        sized(8, vec![partition("a", PartitionSize::Grow), partition("b", PartitionSize::Grow).with(1)]),
        "partition 1 `a` and partition 2 `b` cannot both take what the others leave",
    );
    let at = |at, align| Partition { at: Some(at), align, ..partition("a", fixed(1)) };
    check(
        of(vec![at(MIB + 1, None)]),
        "the start of partition 1 `a` is 1048577 bytes, which are no whole sectors of 512",
    );
    check(
        of(vec![at(MIB + 512, Some(4096))]),
        "partition 1 `a` begins at 1049088, which is not a multiple of 4096",
    );
    check(
        of(vec![at(MIB, Some(100))]),
        "partition 1 `a` cannot be aligned to 100 bytes\npartition 1 `a` begins at 1048576, which is not a multiple of 100",
    );
    check(
        of(vec![at(512, None)]),
        "`GPT` at 512 bytes and partition 1 `a` at 512 bytes overlap by 16.5 KiB (16896 bytes)",
    );
    check(Disk { sector_size: 1000, ..gpt() }, "a sector cannot have 1000 bytes");
    check(Disk { align: 0, ..gpt() }, "the disk cannot be aligned to 0 bytes");
    check(
        Disk { size: Size::Fixed(1000), ..gpt() },
        "the disk's size is 1000 bytes, which are no whole sectors of 512\nthe disk has 512 bytes, and all that is on it \
         needs 33.5 KiB (34304 bytes): 33 KiB are missing",
    );
    check(
        of(vec![Partition { at: Some(u64::MAX - 511), ..partition("a", PartitionSize::Fixed(u64::MAX)) }]),
        "the disk has 16777216.0 TiB (18446744073709551104 bytes), and all that is on it needs 16777216.0 TiB \
         (18446744073709551615 bytes): 511 bytes are missing",
    );
}

#[test]
fn boot_code_and_blobs() {
    let blob = |at, size| Disk {
        boot_code: 446,
        blobs: vec![Blob { name: "core".to_owned(), at, size }],
        ..of(vec![partition("a", fixed(1))])
    };
    check(blob(17_408, 30_000), "1: 2048+2048  of 6144");
    let bytes = bytes(&blob(17_408, 30_000));
    assert_eq!((bytes[..446].iter().all(|byte| *byte == 1), bytes[446]), (true, 0));
    assert_ne!(bytes[17_408..17_412], [0; 4]);
    check(blob(16_896, 30_000), "`GPT` at 512 bytes and `core` at 16.5 KiB overlap by 512 bytes");
    check(blob(17_408, MIB), "`core` at 17 KiB and partition 1 `a` at 1 MiB overlap by 17 KiB");
    // Behind all partitions there is room, too.
    check(blob(8 * MIB, 100), "1: 2048+2048  of 18432");
    check(Disk { boot_code: 447, ..gpt() }, "the boot code has 447 bytes: the limit is 446");
    check(blob(17_408, 0), "`core` has no size: there is nothing in it");
}

#[test]
fn hybrid_tables() {
    let with = |numbers: &[u32]| Disk {
        table: Table::Gpt {
            guid: guid(0),
            hybrid: numbers
                .iter()
                .map(|partition| Hybrid { partition: *partition, kind: 0x0c, is_bootable: false })
                .collect(),
            protective: Protective::First,
        },
        ..of((b'a'..=b'd').map(|name| partition(&(name as char).to_string(), fixed(1))).collect())
    };
    let records = |numbers: &[u32]| -> Vec<(u8, u32, u32)> {
        let reader = Reader::open(bytes(&with(numbers))).unwrap();
        reader.mbr().records.iter().map(|record| (record.kind, record.first, record.sectors)).collect()
    };
    assert_eq!(records(&[]), [(0xee, 1, 12_287), (0, 0, 0), (0, 0, 0), (0, 0, 0)]);
    assert_eq!(records(&[3, 2]), [(0xee, 1, 4095), (0x0c, 6144, 2048), (0x0c, 4096, 2048), (0, 0, 0)]);
    check(with(&[5]), "the hybrid table names partition 5, which there is not");
    let many = "the hybrid table cannot have 4 partitions: it has room for three different ones";
    check(with(&[1, 2, 3, 4]), many);
    check(with(&[1, 1]), &many.replace('4', "2"));
}
