//! Damaged images, which must be refused or read, and never more.

use mkimg::squashfs::{Compression, Content, Digests, Options, ROOT, ReadError, Reader};

use crate::plain::with_plain_metadata;
use crate::support::{Tree, compressions, everything, noise, options, read, text};

/// Looks at everything that an image has, whatever it says of its sizes.
fn examine(image: Vec<u8>) -> Result<(), ReadError> {
    let reader = Reader::open(image)?;
    drop(reader.resolve(b"/etc/nothing"));
    reader.walk(&mut |visit| {
        reader.xattrs(visit.inode)?;
        if let Ok(mut file) = reader.file(visit.inode) {
            let mut buffer = vec![0; usize::try_from(file.size().min(100_000)).unwrap()];
            file.read_exact_at(0, &mut buffer)?;
            // A file of terabytes is one of zeros, and long.
            if file.size() < 1 << 30 {
                file.read_exact_at(file.size() - buffer.len() as u64, &mut buffer)?;
            }
        }
        Ok(())
    })?;
    reader.dump(Digests::LeftOut, &mut std::io::sink())
}

/// A small tree with one of everything whose metadata fits a block for each table.
fn small() -> Tree {
    let mut tree = Tree::new(Options { ..options(Compression::Lz4 { high: false }) });
    let etc = tree.directory(ROOT, "etc");
    let file = tree.file(etc, "file", text(9000, 1));
    tree.xattrs(file, &[("user.large", &noise(200, 1)), ("user.small", b"x")]);
    let other = tree.file(etc, "other", noise(5000, 2));
    tree.xattrs(other, &[("user.large", &noise(200, 1))]);
    tree.builder.link(ROOT, b"hard", other).unwrap();
    tree.file(ROOT, "tail", text(100, 3));
    tree.builder.symlink(ROOT, b"link", crate::support::mode(0o777), b"etc/file").unwrap();
    tree.builder.block_device(ROOT, b"sda", crate::support::mode(0o600), (8, 0)).unwrap();
    tree.builder.fifo(ROOT, b"pipe", crate::support::mode(0o600)).unwrap();
    tree
}

/// An image whose metadata blocks are not compressed, so that each byte of them can be changed.
struct Plain {
    bytes: Vec<u8>,
    /// Where the tables of inodes and of directories are, behind the sizes of their blocks.
    inodes: usize,
    directories: usize,
}

impl Plain {
    fn new() -> Plain {
        let unpack = |stored: &[u8]| lz4::block::decompress(stored, Some(8192)).unwrap();
        let bytes = with_plain_metadata(&small().bytes(), &unpack);
        examine(bytes.clone()).unwrap();
        let superblock = read(bytes.clone()).superblock().clone();
        let table = |start: u64| usize::try_from(start).unwrap() + 2;
        let (inodes, directories) = (table(superblock.inode_table), table(superblock.directory_table));
        Plain { bytes, inodes, directories }
    }

    /// Says what is said when `value` is at `at`.
    fn said(&self, at: usize, value: &[u8]) -> String {
        let mut bytes = self.bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        examine(bytes).err().map_or("nothing".to_owned(), |error| error.to_string())
    }
}

#[test]
fn no_byte_of_metadata_makes_the_reader_panic() {
    let plain = Plain::new();
    let data = 96..plain.inodes - 2;
    let (mut refused, mut tried) = (0, 0);
    for at in (0..plain.bytes.len()).filter(|at| !data.contains(at) || at % 50 == 0) {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = plain.bytes.clone();
            bytes[at] ^= change;
            tried += 1;
            refused += usize::from(examine(bytes).is_err());
        }
    }
    // Owners, times, names and unused fields can be anything.
    assert!(refused * 3 > tried, "{refused} of {tried}");
}

#[test]
fn no_damage_to_compressed_images_makes_the_reader_panic() {
    for compression in compressions() {
        let image = everything(options(compression)).bytes();
        let superblock = read(image.clone()).superblock().clone();
        let start = usize::try_from(superblock.inode_table).unwrap();
        for at in (0..96).chain((start..image.len()).step_by(97)) {
            let mut bytes = image.clone();
            bytes[at] ^= 0x10;
            drop(examine(bytes));
        }
    }
}

#[test]
fn superblocks() {
    let plain = Plain::new();
    let check = |at, value: &[u8], expected: &str| assert_eq!(plain.said(at, value), expected);
    check(0, b"sqsh", "this is not a squashfs image: it does not begin with `hsqs`");
    check(28, &[3, 0], "this squashfs image is not supported: version 3.0");
    check(12, &[0, 8], "the superblock: it has an impossible block size");
    check(22, &[13], "the superblock: it has an impossible block size");
    check(40, &[0xff; 4], "the superblock: the file system is larger than the image");
    check(64, &[0xff; 8], "the superblock: a table is outside of the file system");
    check(4, &[0; 4], "the superblock: it has no inodes or no owners");
    check(20, &[3], "this squashfs image is not supported: compressor 3 is not supported");
    check(98, &[2], "this squashfs image is not supported: there is no version 2 of lz4 blocks");
    check(96, &[0x41], "the compressor's options: they are too long");
    check(4, &[1, 0, 0, 0], "the inode at 0x110: its number is more than there are inodes");
    check(32, &[255, 255], "the table of inodes: something is behind the end of its block");
    check(80, &[0xff; 8], "the superblock: it has blocks of fragments and no table of them");
}

#[test]
fn inodes_and_listings() {
    let plain = Plain::new();
    let check = |at, value: &[u8], expected: &str| assert_eq!(plain.said(at, value), expected);
    // The first inode is the file `etc/file`, in the long form: it has attributes.
    check(plain.inodes, &[15], "the inode at 0x0: its type is unknown");
    check(plain.inodes + 4, &[9], "the inode at 0x0: its owner is not in the table");
    check(plain.inodes + 12, &[7], "inode 7: a name says that it has another number or type");
    check(plain.inodes + 24, &[0xff; 8], "inode 1: a block is shorter or longer than it should be");
    check(plain.inodes + 44, &[7, 0, 0, 0], "inode 1: its end is in no block of fragments");
    check(plain.inodes + 52, &[9], "the table of attributes: an inode has attributes that are not in it");
    check(plain.inodes + 56, &[255, 255, 0], "the block at 106: it has an impossible size");
    // The first listing is that of `etc`: a header, then `file` and `other`.
    check(plain.directories, &[0, 1], "inode 7: a run has more than 256 names");
    check(plain.directories, &[5], "inode 7: it ends in the middle");
    check(plain.directories + 12, &[1], "the inode at 0x1: its type is unknown");
    check(plain.directories + 20, b"zile", "inode 7: its names are not in order");
    check(plain.directories + 21, b"/", "inode 7: it has a name that no file can have");
}

#[test]
fn images_that_end_early() {
    let image = small().bytes();
    for length in [0, 95, 96, 200, 2000, image.len() - 4096] {
        assert!(examine(image[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn what_directories_or_files_share() {
    let plain = Plain::new();
    let walked = |bytes: Vec<u8>| read(bytes).walk(&mut |_| Ok(())).unwrap_err().to_string();
    let reader = read(plain.bytes.clone());
    // The short form of `etc`, whose listing becomes that of the root.
    let number = reader.resolve(b"/etc").unwrap().number.to_le_bytes();
    let etc = (plain.inodes..plain.directories)
        .find(|at| plain.bytes[*at..].starts_with(&[1, 0]) && plain.bytes[at + 12..].starts_with(&number))
        .unwrap();
    let Content::Directory { listing: (start, place, size), .. } = reader.root().unwrap().content else {
        panic!("the root is a directory")
    };
    let mut bytes = plain.bytes.clone();
    bytes[etc + 16..etc + 20].copy_from_slice(&start.to_le_bytes());
    bytes[etc + 24..etc + 26].copy_from_slice(&u16::try_from(size).unwrap().to_le_bytes());
    bytes[etc + 26..etc + 28].copy_from_slice(&place.to_le_bytes());
    assert_eq!(walked(bytes), "inode 7: directories share their listings");
    // A listing that is in a block that is not one.
    let mut bytes = plain.bytes.clone();
    bytes[etc + 16] = 1;
    assert_eq!(walked(bytes), "inode 7: its listing begins in no block of their table");
    let mut bytes = plain.bytes.clone();
    bytes[plain.directories - 2..plain.directories].copy_from_slice(&[0, 0x80]);
    let at = plain.directories - 2;
    assert_eq!(walked(bytes), format!("the metadata block at {at}: it is empty"));
    // The first file has so many blocks that the list of them goes on in other inodes.
    let mut bytes = plain.bytes.clone();
    bytes[plain.inodes + 24..plain.inodes + 32].copy_from_slice(&(100_u64 * 4096).to_le_bytes());
    assert_eq!(walked(bytes), "inode 2: files share the list of their blocks");
}

#[test]
fn directories_that_are_too_deep() {
    let tree = Tree::new(options(Compression::Lz4 { high: false })).too_deep();
    let said = examine(tree.bytes()).unwrap_err().to_string();
    assert!(said.ends_with(": what is in it lies too deep in directories"), "{said}");
}

#[test]
fn attributes_that_are_too_many() {
    let mut tree = Tree::new(options(Compression::Lz4 { high: false }));
    let file = tree.file(ROOT, "file", Vec::new());
    let names: Vec<String> = (0..12_000).map(|number| format!("user.{number}")).collect();
    tree.xattrs(file, &names.iter().map(|name| (&name[..], &b""[..])).collect::<Vec<_>>());
    let said = examine(tree.bytes()).unwrap_err().to_string();
    assert_eq!(said, "the table of attributes: an inode has too many attributes");
}
