//! Damaged disks: none makes the reader panic or run forever, and what contradicts itself is refused, even when the
//! checksums have been made right again.

use mkimg::disk::{Disk, Partition, PartitionSize, ReadError, Reader, Size};

use crate::support::{Contents, bytes, fixed, gpt, guid, partition};

/// A small disk, so that much can be tried.
fn image() -> Vec<u8> {
    let small = PartitionSize::Fixed(20_000);
    let partitions = vec![partition("a", small).with(3000), partition("b", PartitionSize::Grow)];
    bytes(&Disk { size: Size::Fixed(128 << 10), align: 512, partitions, ..gpt() })
}

/// CRC-32, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// Makes the checksums of both tables right.
fn seal(image: &mut [u8]) {
    let last = image.len() - 512;
    for (header, entries) in [(512, 1024), (last, last - 32 * 512)] {
        let sum = crc(&image[entries..entries + 128 * 128]);
        image[header + 88..header + 92].copy_from_slice(&sum.to_le_bytes());
        image[header + 16..header + 20].fill(0);
        let sum = crc(&image[header..header + 92]);
        image[header + 16..header + 20].copy_from_slice(&sum.to_le_bytes());
    }
}

fn examine(image: Vec<u8>) -> Result<(), ReadError> {
    Reader::open(image)?.dump().map(drop)
}

#[test]
fn every_byte_of_the_tables_is_protected() {
    let good = image();
    let last = good.len() - 512;
    // Headers, and the entries that are used and some that are not.
    let of_entries = |start: usize| start..start + 4 * 128;
    let places =
        (512..512 + 92).chain(of_entries(1024)).chain(last..last + 92).chain(of_entries(last - 32 * 512));
    for at in places {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert!(examine(bad).is_err(), "byte {at:#x}");
    }
}

#[test]
fn no_byte_of_the_tables_makes_the_reader_panic() {
    let good = image();
    let (mut refused, mut tried) = (0, 0);
    for at in (446..512).chain(512..512 + 92).chain(1024..1024 + 256) {
        for value in [0x01, 0x80, 0xff] {
            // In both tables alike, where the other has the same.
            let mut bad = good.clone();
            bad[at] ^= value;
            if at >= 1024 {
                let copy = good.len() - 33 * 512 + (at - 1024);
                bad[copy] ^= value;
            }
            seal(&mut bad);
            tried += 1;
            refused += usize::from(examine(bad).is_err());
        }
    }
    // Names, types and attributes can be anything.
    assert!(refused * 4 > tried && refused < tried, "{refused} of {tried}");
}

/// Puts values at places of the first table, with right checksums, and checks what is said.
#[track_caller]
fn check(values: &[(usize, &[u8])], expected: &str) {
    let mut bad = image();
    for (at, value) in values {
        bad[*at..at + value.len()].copy_from_slice(value);
    }
    seal(&mut bad);
    assert_eq!(examine(bad).unwrap_err().to_string(), expected);
}

#[test]
fn headers() {
    check(&[(510, &[0])], "this is not a disk with partitions: its first sector is none of a table");
    check(&[(512, b"x")], "the GPT: there is none where the MBR says so");
    check(&[(512 + 12, &[0xff; 4])], "the GPT: it has an impossible length");
    check(&[(512 + 12, &[20, 0])], "the GPT: it has an impossible length");
    check(&[(512 + 10, &[2])], "the GPT: it has a revision that is not known");
    check(&[(512 + 24, &[2])], "the GPT: it says that something is where it cannot be");
    check(&[(512 + 32, &[2])], "the copy of the GPT: it has no mark");
    check(&[(512 + 32, &[0xff; 7])], "the GPT: its copy is not on the disk");
    check(&[(512 + 32, &[1, 0, 0, 0])], "the GPT: its copy is not on the disk");
    check(&[(512 + 72, &[0xff; 8])], "the GPT: it says that something is where it cannot be");
    check(&[(512 + 80, &[0xff; 4])], "the GPT: its entries have no possible size");
    check(&[(512 + 84, &[0, 0])], "the GPT: its entries have no possible size");
    check(&[(512 + 84, &[129])], "the GPT: its entries have no possible size");
    check(&[(512 + 56, &[9])], "the copy of the GPT: it differs from the first");
    check(&[(1024, &[9])], "the copy of the GPT: it differs from the first");
    let mut bad = image();
    bad[512 + 40] ^= 1;
    assert_eq!(examine(bad).unwrap_err().to_string(), "the GPT: its checksum is wrong");
}

#[test]
fn entries() {
    // The same in both tables.
    let check = |at: usize, value: &[u8], expected: &str| {
        let copy = image().len() - 33 * 512;
        check(&[(1024 + at, value), (copy + at, value)], expected);
    };
    check(32, &[1, 0], "partition 1: it lies outside of the sectors for partitions");
    check(40, &[0xff; 8], "partition 1: it lies outside of the sectors for partitions");
    check(40, &[0, 0], "partition 1: it lies outside of the sectors for partitions");
    check(40, &[0x60], "partition 2: it overlaps partition 1");
    check(16, &guid(b'b').0, "partition 2: it has no GUID, or that of another");
    check(16, &[0; 16], "partition 1: it has no GUID, or that of another");
}

#[test]
fn old_tables() {
    check(&[(446, &[7])], "this is not a disk with partitions: its first sector is none of a table");
    check(&[(450, &[0])], "the MBR: nothing in it protects the GPT");
    check(&[(454, &[2])], "the MBR: its protective entry does not begin behind it");
    check(&[(458, &[9, 0, 0, 0])], "the MBR: its protective entry does not cover the disk");
    check(&[(466, &[0x0c])], "the MBR: it has an entry that is no partition of the GPT");
    // Without the other table it stands alone.
    let alone = |values: &[(usize, &[u8])]| {
        let mut bad = image();
        bad[446..1024].fill(0);
        bad[510..512].copy_from_slice(&[0x55, 0xaa]);
        for (at, value) in values {
            bad[*at..at + value.len()].copy_from_slice(value);
        }
        examine(bad).unwrap_err().to_string()
    };
    let record = [0, 0, 0, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0];
    assert_eq!(alone(&[]), "this is not a disk with partitions: its first sector is none of a table");
    assert_eq!(alone(&[(446, &record), (462, &record)]), "partition 2: it overlaps partition 1");
    assert_eq!(alone(&[(446, &record), (458, &[255; 4])]), "partition 1: it lies outside of the disk");
}

#[test]
fn truncated_disks() {
    let bytes = image();
    for length in [0, 511, 512, 600, 1024, 20_000, bytes.len() - 512, bytes.len() - 1] {
        assert!(examine(bytes[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn names_can_be_anything() {
    let partitions = vec![Partition { name: "\u{7}\"`".to_owned(), ..partition("a", fixed(1)) }];
    let text = Reader::open(bytes(&Disk { partitions, ..gpt() })).unwrap().dump().unwrap();
    assert!(text.contains(r"partition 1 `\u{7}\"), "{text}");
}
