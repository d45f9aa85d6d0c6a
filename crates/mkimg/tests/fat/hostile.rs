//! Damaged images: none makes the reader panic or run forever, and what contradicts itself is refused.

use mkimg::fat::{Kind, ROOT, ReadError, Reader, Size};

use crate::support::{MIB, Tree, noise, options};

/// A small image with directories, long names and files of several clusters.
fn image(kind: Kind) -> Vec<u8> {
    let mut with = options(if kind == Kind::Fat12 { Size::Fixed(MIB) } else { Size::Fit { slack: 0 } });
    with.kind = Some(kind);
    let mut tree = Tree::new(with);
    let directory = tree.directory(ROOT, "directory");
    tree.file(directory, "a file with a long name", noise(10_000, 1));
    tree.file(directory, "SHORT", noise(3000, 2));
    tree.bytes()
}

fn examine(image: Vec<u8>) -> Result<(), ReadError> {
    let reader = Reader::open(image)?;
    let checked = reader.check();
    // Whatever the check says, nothing else may panic either.
    drop(reader.dump());
    drop(reader.label());
    let walked = reader.walk(&mut |visit| {
        let Some(data) = &visit.data else { return Ok(()) };
        let mut buffer = vec![0; usize::try_from(data.size().min(100_000)).unwrap()];
        drop(reader.read_data(data, data.size() - buffer.len() as u64, &mut buffer));
        reader.read_data(data, 0, &mut buffer)
    });
    drop(walked);
    checked
}

#[test]
fn no_byte_of_metadata_makes_the_reader_panic() {
    let good = image(Kind::Fat12);
    let (mut refused, mut tried) = (0, 0);
    // The boot sector, both tables, the root, and the directory behind it.
    let start_of_files = 512 * (1 + 2 * 2 + 32) + 2048;
    for at in (0..64).chain(510..560).chain((1024..start_of_files).step_by(7)) {
        for value in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= value;
            tried += 1;
            refused += usize::from(examine(bad).is_err());
        }
    }
    // Times, names, and what is not used can be anything.
    assert!(refused > 200 && refused < tried, "{refused} of {tried}");
}

/// Puts `value` at `at` and checks what is said about it.
#[track_caller]
fn check(kind: Kind, at: usize, value: &[u8], expected: &str) {
    let mut bytes = image(kind);
    bytes[at..at + value.len()].copy_from_slice(value);
    assert_eq!(examine(bytes).unwrap_err().to_string(), expected);
}

#[test]
fn boot_sectors() {
    let check = |at, value: &[u8], expected| check(Kind::Fat12, at, value, expected);
    check(510, &[0], "this is not a FAT file system: it has no boot sector");
    check(11, &[0, 3], "this is not a FAT file system: its sectors or clusters have no possible size");
    check(13, &[0], "this is not a FAT file system: its sectors or clusters have no possible size");
    check(16, &[9], "this is not a FAT file system: it has no possible tables");
    check(19, &[1, 9], "the boot sector: the file system is larger than the image");
    check(17, &[1, 0], "the boot sector: its root directory has no possible size");
    check(22, &[255, 255], "the boot sector: its parts are larger than the file system");
    check(22, &[1, 0], "the boot sector: its tables are too small for its clusters");
    check(22, &[0, 0], "the boot sector: its root directory has no possible size");
}

#[test]
fn tables_and_chains() {
    let check = |at, value: &[u8], expected| check(Kind::Fat12, at, value, expected);
    // The table begins with sector 1; entries 2 and 3 are in its bytes 3 to 5: the directory and the first file.
    check(512, &[0], "the table: it does not begin with its marks");
    check(512 + 300, &[1], "the table: its copies differ");
}

#[test]
fn chains_that_lead_astray() {
    // Both tables alike.
    let with = |entries: &[(usize, u16)]| {
        let mut bytes = image(Kind::Fat16);
        let sectors = usize::from(u16::from_le_bytes([bytes[22], bytes[23]]));
        let reserved = usize::from(u16::from_le_bytes([bytes[14], bytes[15]]));
        for table in [reserved, reserved + sectors] {
            for (cluster, value) in entries {
                let at = table * 512 + cluster * 2;
                bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
            }
        }
        examine(bytes).unwrap_err().to_string()
    };
    // Cluster 2 is the directory, the file with the short name follows, then the other.
    assert_eq!(with(&[(2, 2)]), "/directory: it has more than the 1024 clusters of its size, or goes round");
    assert_eq!(with(&[(3, 0)]), "/directory/SHORT: its cluster 3 is free");
    assert_eq!(with(&[(3, 0xfff7)]), "/directory/SHORT: its cluster 3 is bad");
    assert_eq!(with(&[(3, 0xffff)]), "/directory/SHORT: it has fewer clusters than its size needs");
    assert_eq!(with(&[(3, 60_000)]), "cluster 3: it leads to 60000, which is outside");
    assert_eq!(with(&[(3, 9)]), "/directory/a file with a long name: cluster 9 belongs to another file, too");
    assert_eq!(with(&[(200, 0xffff)]), "cluster 200: it belongs to no file");
}

#[test]
fn files_that_together_have_more_than_there_is() {
    let mut bytes = image(Kind::Fat16);
    let number = |bytes: &[u8], at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let table = number(&bytes, 14) * 512;
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    // From cluster 100 to 3100, and to there again.
    for cluster in 100_u16..3100 {
        put(table + usize::from(cluster) * 2, &(cluster + 1).to_le_bytes());
    }
    put(table + 3100 * 2, &[0xff, 0xff]);
    let entries = [&b"SHORT      "[..], b"AFILEW~1   "]
        .map(|name| bytes.windows(name.len()).position(|window| window == name).unwrap());
    for entry in entries {
        bytes[entry + 26..entry + 32].copy_from_slice(&[100, 0, 0, 0xc8, 0x5d, 0]);
    }
    let reader = Reader::open(bytes).unwrap();
    let mut found = Vec::new();
    let error = reader.walk(&mut |visit| {
        found.push(visit.path.clone());
        Ok(())
    });
    let expected =
        "/directory/a file with a long name: it and what comes before it have more clusters than there are";
    assert_eq!(error.unwrap_err().to_string(), expected);
    assert_eq!(found, ["/directory", "/directory/SHORT"]);
}

#[test]
fn paths_that_are_too_long() {
    let mut with = options(Size::Fit { slack: 0 });
    with.kind = Some(Kind::Fat12);
    let error = examine(Tree::new(with).too_deep().bytes()).unwrap_err().to_string();
    let expected =
        format!("{}: what is in it lies too deep in directories", format!("/{}", "a".repeat(250)).repeat(16));
    assert_eq!(error, expected);
}

#[test]
fn directories_that_contradict_themselves() {
    let good = image(Kind::Fat12);
    let find = |needle: &[u8]| good.windows(needle.len()).position(|window| window == needle).unwrap();
    let check = |at: usize, value: &[u8], expected: &str| {
        let mut bad = good.clone();
        bad[at..at + value.len()].copy_from_slice(value);
        assert_eq!(examine(bad).unwrap_err().to_string(), expected);
    };
    let own = find(b".          ");
    check(own + 26, &[9], "/directory: it does not begin with itself and the directory above");
    let alias = find(b"AFILEW~1   ");
    check(alias, b"B", "/directory: a long name does not belong to the short one");
    check(alias - 32 + 13, &[0x77], "/directory: a part of a long name is out of place");
    check(alias - 64, &[0xe5], "/directory: a part of a long name is out of place");
    check(alias, &[0xe5], "/directory: a part of a long name has no short one");
    let short = find(b"SHORT      ");
    check(short + 28, &[0, 0, 0, 0], "/directory/SHORT: it is empty and has clusters");
    check(short + 26, &[0xff, 0xff], "/directory/SHORT: it begins with cluster 65535, which is outside");
    check(
        short,
        b"AFILEW~1   ",
        "/directory: the name `a file with a long name` is no name, or is there twice",
    );
    // A file that becomes the directory that it is in.
    let mut bad = good.clone();
    bad[short + 11] = 0x10;
    bad[short + 26..short + 28].copy_from_slice(&[2, 0]);
    assert_eq!(
        examine(bad).unwrap_err().to_string(),
        "/directory/SHORT: cluster 2 belongs to another file, too"
    );
}

#[test]
fn what_fat32_has_besides() {
    let check = |at, value: &[u8], expected| check(Kind::Fat32, at, value, expected);
    check(44, &[0xff; 4], "the boot sector: its root directory is outside");
    check(50, &[200, 0], "the boot sector: its second sector or its copy is outside");
    check(6 * 512 + 3, b"x", "the boot sector: its copy differs");
    check(512, b"x", "the sector of what is free: its marks are missing");
    check(512 + 492, &[0xff, 0xff, 0xff, 0x0f], "the sector of what is free: it leads outside");
}

#[test]
fn truncated_images() {
    let bytes = image(Kind::Fat12);
    for length in [0, 100, 511, 512, 4096, bytes.len() - 1] {
        assert!(examine(bytes[..length].to_vec()).is_err(), "{length}");
    }
}
