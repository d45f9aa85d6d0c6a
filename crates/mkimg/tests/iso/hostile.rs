//! Damaged images: none makes the reader panic or run forever, and what contradicts itself is refused.

use mkimg::iso::{Content, Extent, ROOT, ReadError, Reader, View};

use crate::support::sparse::Sparse;
use crate::support::{Tree, everything, mode, noise, options};

/// A small image with a directory, a long link and a name of two fields.
fn image() -> Vec<u8> {
    let mut tree = Tree::new(options());
    let directory = tree.directory(ROOT, "directory");
    tree.file(directory, "file", noise(5000, 1));
    tree.builder.symlink(directory, b"link", mode(0o777), &b"../".repeat(300)).unwrap();
    tree.file(ROOT, &"x".repeat(253), noise(10, 2));
    tree.bytes()
}

fn examine(image: Vec<u8>) -> Result<(), ReadError> {
    let reader = Reader::open(image)?;
    let checked = reader.check();
    // Whatever the check says, nothing else may panic either.
    drop(reader.dump());
    drop(reader.volume_id());
    for view in [View::RockRidge, View::Plain, View::Joliet] {
        drop(reader.walk(view, &mut |visit| match &visit.entry.content {
            Content::File(extents) => {
                let size: u64 = extents.iter().map(|extent| u64::from(extent.size)).sum();
                let mut buffer = vec![0; size.min(100_000) as usize];
                reader.read_data(extents, size - buffer.len() as u64, &mut buffer)
            }
            _ => Ok(()),
        }));
    }
    checked
}

#[test]
fn no_byte_of_metadata_makes_the_reader_panic() {
    let good = image();
    examine(good.clone()).unwrap();
    let (mut refused, mut tried) = (0, 0);
    // Everything from the descriptors on that is not zero or a space.
    let places = (16 * 2048..good.len()).filter(|at| !matches!(good[*at], 0 | b' '));
    for at in places.step_by(3) {
        for value in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= value;
            tried += 1;
            refused += usize::from(examine(bad).is_err());
        }
    }
    // Names, owners and contents can be anything.
    assert!(refused > 200 && refused < tried, "{refused} of {tried}");
}

#[test]
fn truncated_images() {
    let good = image();
    for length in [0, 100, 32_768, 17 * 2048, 18 * 2048, good.len() - 10_000, good.len() - 2048] {
        assert!(examine(good[..length].to_vec()).is_err(), "{length}");
    }
}

/// Changes the image and checks what is said about it.
#[track_caller]
fn check(change: impl FnOnce(&mut Vec<u8>), expected: &str) {
    let mut bytes = image();
    change(&mut bytes);
    assert_eq!(examine(bytes).unwrap_err().to_string(), expected);
}

fn both(value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// Returns where the record of an identifier begins in the first tree.
fn record(bytes: &[u8], identifier: &[u8]) -> usize {
    let found = bytes.windows(identifier.len()).position(|window| window == identifier).unwrap();
    found - 33
}

#[test]
fn descriptors() {
    let primary = 16 * 2048;
    check(
        |bytes| bytes[primary + 1] = b'X',
        "this is not an ISO 9660 file system: there is no primary volume descriptor at 32768",
    );
    check(
        |bytes| bytes[primary + 80..primary + 88].copy_from_slice(&both(1 << 20)),
        "the volume descriptor: the file system is larger than the image",
    );
    check(
        |bytes| bytes[primary + 80] ^= 1,
        "the primary volume descriptor: the two forms of a number differ",
    );
    check(
        |bytes| bytes[primary + 128..primary + 132].copy_from_slice(&[0, 4, 4, 0]),
        "this ISO 9660 file system has blocks of 1024 bytes, which is not supported",
    );
    check(
        |bytes| bytes[primary + 156 + 25] = 0,
        "the primary volume descriptor: its root is not a directory",
    );
    check(
        |bytes| bytes[primary + 158..primary + 166].copy_from_slice(&both(1 << 20)),
        "the root directory: it is outside of the image",
    );
    check(|bytes| bytes[primary + 140] += 1, "the path table: its two forms differ");
}

#[test]
fn records() {
    let file = |bytes: &[u8]| record(bytes, b"FILE.;1");
    let directory = |bytes: &[u8]| record(bytes, b"DIRECTORY");
    check(
        |bytes| {
            let at = file(bytes);
            bytes[at + 2..at + 10].copy_from_slice(&both(1 << 20));
        },
        "/directory: it is outside of the image",
    );
    check(
        |bytes| {
            let at = file(bytes);
            bytes[at] = 20;
        },
        "/directory: a record has an impossible length",
    );
    check(
        |bytes| {
            let at = file(bytes);
            bytes[at + 26] = 1;
        },
        "/directory: a file is interleaved",
    );
    check(
        |bytes| {
            let at = file(bytes);
            bytes[at + 25] = 0x80;
        },
        "/directory: a file goes on in a record of another name",
    );
    // The path table has the name first, so the record is the last one that is found.
    let last = |bytes: &[u8], identifier: &[u8]| {
        bytes
            .windows(identifier.len())
            .enumerate()
            .filter(|(_, window)| *window == identifier)
            .nth(2)
            .unwrap()
            .0
            - 33
    };
    let _ = directory;
    check(
        |bytes| {
            let at = last(bytes, b"DIRECTORY");
            let root = u32::from_le_bytes(bytes[16 * 2048 + 158..16 * 2048 + 162].try_into().unwrap());
            bytes[at + 2..at + 10].copy_from_slice(&both(root));
        },
        "/directory: the directory has two names",
    );
    check(
        |bytes| {
            let at = last(bytes, b"DIRECTORY");
            bytes[at + 10..at + 18].copy_from_slice(&both(100));
        },
        "/directory: the directory's size is not that of its sectors",
    );
}

#[test]
fn fields() {
    // The first place where the fields of the link go on.
    let find = |bytes: &[u8], signature: &[u8]| {
        bytes.windows(signature.len()).position(|window| window == signature).unwrap()
    };
    check(
        |bytes| {
            let at = find(bytes, b"CE\x1c\x01");
            bytes[at + 4..at + 12].copy_from_slice(&both(1 << 20));
        },
        "/: it is outside of the image",
    );
    check(
        |bytes| {
            let at = find(bytes, b"CE\x1c\x01");
            bytes[at + 20..at + 28].copy_from_slice(&both(4096));
        },
        "/: its Rock Ridge fields go on in an impossible place",
    );
    check(
        |bytes| {
            let at = find(bytes, b"TF\x1a\x01");
            bytes[at + 2] = 3;
        },
        "the root directory: a Rock Ridge field has an impossible length",
    );
    check(
        |bytes| {
            let at = find(bytes, b"PX\x2c\x01");
            bytes[at + 4] ^= 1;
        },
        "the root directory: the two forms of a number in a Rock Ridge field differ",
    );
}

#[test]
fn catalogs() {
    let mut bytes = everything(options()).bytes();
    let catalog =
        u32::from_le_bytes(bytes[17 * 2048 + 71..17 * 2048 + 75].try_into().unwrap()) as usize * 2048;
    bytes[catalog + 4] ^= 1;
    assert_eq!(examine(bytes.clone()).unwrap_err().to_string(), "the boot catalog: its checksum is wrong");
    bytes[catalog] = 7;
    assert_eq!(examine(bytes).unwrap_err().to_string(), "the boot catalog: it does not begin with its mark");
}

#[test]
fn reading_beyond_the_end_is_an_error() {
    let reader = Reader::open(image()).unwrap();
    let extents = [Extent { sector: 16, size: 100 }];
    assert!(reader.read_data(&extents, 0, &mut [0; 100]).is_ok());
    assert!(reader.read_data(&extents, 1, &mut [0; 100]).is_err());
    assert!(reader.read_data(&extents, u64::MAX, &mut [0; 1]).is_err());
    assert!(reader.read_data(&[], 0, &mut []).is_ok());
}

/// An image whose root directory is behind everything else, and how many bytes it says that it has.
fn with_root_behind(size: u32) -> Vec<u8> {
    let mut bytes = image();
    let root = u32::from_le_bytes(bytes[16 * 2048 + 158..][..4].try_into().unwrap()) as usize * 2048;
    let sector = u32::try_from(bytes.len() / 2048).unwrap();
    bytes.extend_from_within(root..root + 2048);
    for record in [16 * 2048 + 156, sector as usize * 2048] {
        bytes[record + 2..record + 10].copy_from_slice(&both(sector));
        bytes[record + 10..record + 18].copy_from_slice(&both(size));
    }
    bytes
}

#[test]
fn what_says_that_it_is_large_is_not_read_ahead() {
    let reader = Reader::open(Sparse::new(with_root_behind(0xffff_f800), 1 << 40)).unwrap();
    let walked = reader.walk(View::Plain, &mut |_| Ok(()));
    assert_eq!(walked.unwrap_err().to_string(), "/: many of the directory's sectors have no records");

    let mut bytes = image();
    bytes[16 * 2048 + 132..16 * 2048 + 140].copy_from_slice(&both(u32::MAX));
    let reader = Reader::open(Sparse::new(bytes, 1 << 40)).unwrap();
    let checked = reader.check().unwrap_err().to_string();
    assert_eq!(checked, "the path table: it has other directories than the tree");
}

#[test]
fn directories_that_are_too_deep() {
    let tree = Tree::new(options()).too_deep();
    let said = examine(tree.bytes()).unwrap_err().to_string();
    assert!(said.ends_with(": what is in it lies too deep in directories"), "{said}");
}

#[test]
fn a_file_that_has_the_image_twice() {
    let mut bytes = image();
    let at = record(&bytes, b"FILE.;1");
    let length = usize::from(bytes[at]);
    // All of the image, and once more in front of that.
    let sector = at / 2048 * 2048;
    let mut end = sector;
    while bytes[end] > 0 {
        end += usize::from(bytes[end]);
    }
    let size = u32::try_from(bytes.len()).unwrap();
    bytes[at + 2..at + 10].copy_from_slice(&both(0));
    bytes[at + 10..at + 18].copy_from_slice(&both(size));
    let mut again = bytes[at..at + length].to_vec();
    again[25] |= 0x80;
    assert!(end + length <= sector + 2048);
    bytes.copy_within(at..end, at + length);
    bytes[at..at + length].copy_from_slice(&again);
    assert_eq!(examine(bytes).unwrap_err().to_string(), "/directory: a file is larger than the image");
}
