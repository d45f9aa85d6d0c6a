//! What disks say, and what they are, to the byte.

use mkimg::HashSink;
use mkimg::disk::{
    Blob, Disk, Hybrid, Identity, Partition, PartitionSize, Protective, Reader, Size, Table, gpt_type,
    resolve,
};

use crate::support::{Contents, MIB, bytes, fixed, gpt, guid, mbr, partition, write};

fn everything() -> Disk {
    let esp = Identity::Gpt { kind: gpt_type("esp").unwrap(), guid: guid(200), attributes: 1 << 2 | 1 };
    let hybrid = vec![Hybrid { partition: 3, kind: 0x0c, is_bootable: true }];
    Disk {
        size: Size::Fixed(16 * MIB),
        table: Table::Gpt { guid: guid(0), hybrid, protective: Protective::Last },
        boot_code: 440,
        blobs: vec![Blob { name: "core".to_owned(), at: 17_408, size: 1000 }],
        partitions: vec![
            Partition { number: Some(3), identity: esp, ..partition("EFI System", fixed(2)).with(100_000) },
            partition("größe", PartitionSize::Min).with(5000),
            partition("rest", PartitionSize::Grow),
        ],
        ..gpt()
    }
}

fn digest(disk: &Disk) -> String {
    let plan = resolve(disk.clone()).unwrap();
    let mut sink = HashSink::default();
    write(&plan, disk, &mut sink);
    sink.finish().0
}

#[test]
fn one_of_everything_has_this_description() {
    let text = Reader::open(bytes(&everything())).unwrap().dump().unwrap();
    assert_eq!(text, include_str!("everything.txt"), "{text}");
    let old = Identity::Mbr { kind: 0x0c, is_bootable: true };
    let disk =
        Disk { partitions: vec![Partition { identity: old, ..partition("a", fixed(1)).with(9) }], ..mbr() };
    let text = Reader::open(bytes(&disk)).unwrap().dump().unwrap();
    assert_eq!(text, include_str!("mbr.txt"), "{text}");
}

/// A change here is a new version of the format: every image and everything made from one gets another digest.
#[test]
fn one_of_everything_has_this_digest() {
    assert_eq!(digest(&everything()), "306bb937094a7e8be8013985888811f15071cd36cfdf97eed6df044f037b81cb");
}

#[test]
fn every_change_shows() {
    let changes: [fn(&mut Disk); 14] = [
        |_| {},
        |disk| disk.size = Size::Fixed(17 * MIB),
        |disk| disk.align = 4096,
        |disk| disk.first_lba = 4096,
        |disk| disk.boot_code = 441,
        |disk| disk.blobs[0].at += 1,
        |disk| disk.blobs[0].size += 1,
        |disk| disk.partitions[0].number = None,
        |disk| disk.partitions[0].name.push('s'),
        |disk| disk.partitions[0].size = fixed(1),
        |disk| disk.partitions[0].content = Some((99_999, String::new())),
        |disk| disk.partitions[1].at = Some(8 * MIB),
        |disk| {
            let Identity::Gpt { attributes, .. } = &mut disk.partitions[0].identity else { return };
            *attributes = 0;
        },
        |disk| {
            let Table::Gpt { protective, .. } = &mut disk.table else { return };
            *protective = Protective::First;
        },
    ];
    let mut digests = changes.map(|change| {
        let mut disk = everything();
        change(&mut disk);
        // What is not named by a number need not be there.
        if let (None, Table::Gpt { hybrid, .. }) = (disk.partitions[0].number, &mut disk.table) {
            hybrid[0].partition = 1;
        }
        digest(&disk)
    });
    digests.sort_unstable();
    assert!(digests.windows(2).all(|pair| pair[0] != pair[1]), "two changes have the same digest");
}
