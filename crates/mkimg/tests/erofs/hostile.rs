//! Damaged images, which must be refused or read, and never more.

use mkimg::erofs::{Compression, Content, Digests, ROOT, ReadError, Reader};

use crate::support::sparse::Sparse;
use crate::support::{Tree, compressions, everything, mode, noise, options, read, text, words};

/// Looks at everything that an image has, whatever it says of its sizes.
fn examine(image: Vec<u8>) -> Result<(), ReadError> {
    let reader = Reader::open(image)?;
    drop(reader.resolve(b"/etc/nothing"));
    reader.walk(&mut |visit| {
        reader.xattrs(visit.inode)?;
        // A file of terabytes is one of zeros, and long.
        if matches!(visit.inode.content, Content::File) && visit.inode.size < 1 << 24 {
            reader.contents(visit.inode, &mut |_| Ok(()))?;
        }
        Ok(())
    })?;
    reader.dump(Digests::LeftOut, &mut std::io::sink())
}

/// Makes the checksum right again.
fn sealed(mut image: Vec<u8>) -> Vec<u8> {
    if let Some(block) = image.get_mut(1024..4096) {
        block[4..8].fill(0);
        let sum = !crc32c::crc32c(block);
        block[4..8].copy_from_slice(&sum.to_le_bytes());
    }
    image
}

/// A small tree with one of everything.
fn small(compression: Compression) -> Tree {
    let mut tree = Tree::new(options(compression));
    let etc = tree.directory(ROOT, "etc");
    let file = tree.file(etc, "file", words(90_000, 1));
    tree.xattrs(file, &[("user.large", &noise(200, 1)), ("user.small", b"x")]);
    let other = tree.file(etc, "other", [words(9000, 3), noise(9000, 2)].concat());
    tree.xattrs(other, &[("user.large", &noise(200, 1))]);
    tree.builder.link(ROOT, b"hard", other).unwrap();
    tree.file(ROOT, "tail", text(100, 3));
    tree.file(ROOT, "zeros", vec![0; 50_000]);
    tree.builder.symlink(ROOT, b"link", mode(0o777), b"etc/file").unwrap();
    tree.builder.block_device(ROOT, b"sda", mode(0o600), (8, 0)).unwrap();
    tree.builder.fifo(ROOT, b"pipe", mode(0o600)).unwrap();
    tree
}

/// Where the first inode can be, and where what is behind its own block begins.
fn metadata(image: &[u8]) -> usize {
    read(image.to_vec()).superblock().metadata as usize * 4096
}

#[test]
fn no_byte_of_metadata_makes_the_reader_panic() {
    for compression in compressions() {
        let image = small(compression).bytes();
        let data = 4096..metadata(&image);
        let (mut refused, mut tried) = (0, 0);
        for at in (1024..image.len()).filter(|at| {
            let is_filler = (1280..4096).contains(at);
            !is_filler && (!data.contains(at) || at % 50 == 0) && (image[*at] != 0 || at % 3 == 0)
        }) {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = image.clone();
                bytes[at] ^= change;
                tried += 1;
                refused += usize::from(examine(sealed(bytes)).is_err());
            }
        }
        // Owners, times, names, contents and unused fields can be anything.
        assert!(refused > 300, "{compression:?}: {refused} of {tried}");
    }
}

#[test]
fn no_damage_to_large_images_makes_the_reader_panic() {
    for compression in compressions() {
        let image = everything(options(compression)).bytes();
        for at in (4096..image.len()).step_by(997) {
            let mut bytes = image.clone();
            bytes[at] ^= 0x10;
            drop(examine(bytes));
        }
    }
}

#[track_caller]
fn check(image: &[u8], at: usize, value: &[u8], expected: &str) {
    let mut bytes = image.to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    let said = examine(sealed(bytes)).err().map_or("nothing".to_owned(), |error| error.to_string());
    assert_eq!(said, expected);
}

#[test]
fn superblocks() {
    let image = small(Compression::Lz4).bytes();
    let check = |at: usize, value: &[u8], expected: &str| check(&image, 1024 + at, value, expected);
    check(0, b"sqsh", "this is not an EROFS image: its superblock does not begin with the magic number");
    check(12, &[9], "this EROFS image is not supported: its blocks have 2^9 bytes");
    check(80, &[0x43], "this EROFS image is not supported: it needs the features 0x40");
    check(80, &[2], "this EROFS image is not supported: compressed data with zeros behind it");
    check(90, &[1], "this EROFS image is not supported: large blocks of directories, or several devices");
    check(36, &[0xff; 4], "the superblock: the file system is larger than the image");
    let place = metadata(&image) + 0xffff * 32;
    check(14, &[0xff; 2], &format!("could not read 32 bytes of the image at {place}"));
    let mut bytes = image.clone();
    bytes[1024 + 48] ^= 1;
    assert_eq!(examine(bytes).unwrap_err().to_string(), "the superblock: its checksum is wrong");
}

#[test]
fn inodes_and_listings() {
    let image = small(Compression::Lz4).bytes();
    let reader = read(image.clone());
    let start = metadata(&image);
    let place = |path: &str| start + reader.resolve(path.as_bytes()).unwrap().nid as usize * 32;
    let nid = |path: &str| reader.resolve(path.as_bytes()).unwrap().nid;
    let (root, etc, file) = (place("/"), place("/etc"), place("/etc/file"));
    let check = |at: usize, value: &[u8], expected: &str| check(&image, at, value, expected);
    check(root + 5, &[0x81], "the root: it is not a directory");
    check(
        file,
        &[0x0f],
        &format!("this EROFS image is not supported: inode {} has the format 0xf", nid("/etc/file")),
    );
    check(file + 5, &[0x91], &format!("inode {}: its type is unknown", nid("/etc/file")));
    check(
        place("/tail") + 5,
        &[0x11],
        &format!("inode {}: a name says that it has another type", nid("/tail")),
    );
    check(
        file + 5,
        &[0x11],
        &format!(
            "this EROFS image is not supported: inode {} is no file and compressed, or in chunks",
            nid("/etc/file")
        ),
    );
    // The listing is beside the inode: four entries, then `.`, `..`, `file` and `other`.
    let listing = etc + 64;
    let of_etc = |problem: &str| format!("inode {}: {problem}", nid("/etc"));
    check(listing + 8, &[13], &of_etc("the first name of a block is in an impossible place"));
    check(listing + 8 + 12, &[200], &of_etc("a name is in an impossible place"));
    check(listing + 48 + 3, b"zile", &of_etc("its names are not in order"));
    check(listing + 48 + 4, b"/", &of_etc("it has a name that no file can have"));
    check(listing, &[1], &of_etc("it does not name itself and its parent"));
    check(listing + 12, &[1], &of_etc("its parent is another directory"));
    // Attributes: a header, a shared one, then the others.
    let of_file = |problem: &str| format!("inode {}: {problem}", nid("/etc/file"));
    check(file + 64 + 4, &[200], &of_file("its attributes end early"));
    check(file + 64 + 12 + 4 + 1, &[9], &of_file("the prefix of a name is unknown"));
}

#[test]
fn images_that_end_early() {
    let image = small(Compression::None).bytes();
    for length in [0, 1023, 1024, 1100, 1200, 4095, 4096, image.len() - 4096] {
        assert!(examine(image[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn a_directory_that_says_that_it_is_large_is_not_read_ahead() {
    let mut image = small(Compression::None).bytes();
    let root = metadata(&image) + usize::try_from(read(image.clone()).root().unwrap().nid).unwrap() * 32;
    let behind = u32::try_from(image.len() / 4096).unwrap();
    // The long form, without anything beside it.
    image[root] = 1;
    image[root + 8..root + 16].copy_from_slice(&(64_u64 << 30).to_le_bytes());
    image[root + 16..root + 20].copy_from_slice(&behind.to_le_bytes());
    let reader = Reader::open(Sparse::new(image, 65 << 30)).unwrap();
    let nid = reader.root().unwrap().nid;
    assert_eq!(
        reader.walk(&mut |_| Ok(())).unwrap_err().to_string(),
        format!("inode {nid}: the first name of a block is in an impossible place")
    );
}

#[test]
fn directories_that_are_too_deep() {
    let tree = Tree::new(options(Compression::None)).too_deep();
    let said = examine(tree.bytes()).unwrap_err().to_string();
    assert!(said.ends_with(": what is in it lies too deep in directories"), "{said}");
}

#[test]
fn tables_that_files_cannot_have() {
    let mut image = small(Compression::None).bytes();
    let tail =
        metadata(&image) + usize::try_from(read(image.clone()).resolve(b"/tail").unwrap().nid).unwrap() * 32;
    // Chunks of one block, all in the first of the image.
    let size = image.len() as u64 * 2048;
    image[tail] = 9;
    image[tail + 8..tail + 16].copy_from_slice(&size.to_le_bytes());
    image[tail + 16..tail + 20].copy_from_slice(&[0; 4]);
    let nid = read(image.clone()).resolve(b"/tail").unwrap().nid;
    let source: std::sync::Arc<dyn layer::ReadAt> = std::sync::Arc::new(image);
    let error = mkimg::usage::measure(&source).unwrap_err().to_string();
    assert_eq!(error, format!("inode {nid}: files share the tables of their blocks"));
}

#[test]
fn an_extent_that_is_larger_compressed() {
    let mut tree = Tree::new(options(Compression::Lz4));
    tree.file(ROOT, "file", words(90_000, 1));
    let mut image = tree.bytes();
    let nid = read(image.clone()).resolve(b"/file").unwrap().nid;
    // Behind the inode and the head of its index, the second entry: how many blocks the first extent has.
    let at = metadata(&image) + usize::try_from(nid).unwrap() * 32 + 64 + 8;
    assert_eq!(image[at - 8..at], [0, 0, 0, 0, 7, 0, 0, 0]);
    let bits = if at.is_multiple_of(32) { 14 } else { 16 };
    let pack = u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    assert!(pack >> bits & 0x800 != 0 && pack >> bits & 0x7ff <= 4);
    let changed = pack & !(0xfff << bits) | 0x900 << bits;
    image[at..at + 4].copy_from_slice(&changed.to_le_bytes());
    let size = image.len() as u64 + (2 << 20);
    let reader = Reader::open(Sparse::new(image, size)).unwrap();
    let inode = reader.resolve(b"/file").unwrap();
    assert_eq!(
        reader.contents(&inode, &mut |_| Ok(())).unwrap_err().to_string(),
        format!("inode {}: an extent has an impossible number of blocks", inode.nid)
    );
}
