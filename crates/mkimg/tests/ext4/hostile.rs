//! Damaged images: every byte of metadata is protected, and none makes the reader panic or run forever, even when the
//! checksums have been made right again.

use mkimg::ext4::{BlockSize, Options, ROOT, ReadError, Reader, Size};

use crate::support::sparse::Sparse;
use crate::support::{MIB, Tree, noise, options, read};

/// A part of the image that has a checksum, and what it depends on.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Superblock,
    Descriptor { group: u32 },
    Inode { number: u32 },
    Leaf { inode: u32 },
    IndexRoot { inode: u32 },
    Extents { inode: u32 },
    Xattrs { block: u64 },
    BlockBitmap,
    InodeBitmap,
}

#[derive(Debug, Clone, Copy)]
struct Structure {
    kind: Kind,
    offset: usize,
    length: usize,
}

/// A small image with one of everything that has a checksum, and where that is.
struct Target {
    bytes: Vec<u8>,
    structures: Vec<Structure>,
    inodes_per_group: usize,
}

const BLOCK: usize = 1024;

impl Target {
    fn new() -> Target {
        let with = Options {
            growth: mkimg::ext4::Growth::UpTo(1 << 30),
            ..options(BlockSize::B1024, Size::Fixed(MIB))
        };
        let mut tree = Tree::new(with);
        let directory = tree.directory(ROOT, "directory");
        for index in 0..40 {
            tree.file(directory, &format!("a name that is rather long, with a number: {index}"), vec![]);
        }
        let file = tree.file(ROOT, "file", noise(5000, 3));
        tree.xattrs(file, &[("user.large", &[5; 300]), ("user.small", b"x")]);
        let holes: Vec<_> = (0..9).map(|index| index * 4096..index * 4096 + 1000).collect();
        tree.sparse(ROOT, "sparse", vec![7; 40_000], &holes);
        tree.builder.symlink(ROOT, b"long", crate::support::mode(0o777), &[b'x'; 100]).unwrap();
        let bytes = tree.bytes();

        let reader = read(bytes.clone());
        let block_at = |block: u64| usize::try_from(block).unwrap() * BLOCK;
        let mut structures = vec![Structure { kind: Kind::Superblock, offset: 1024, length: 1024 }];
        let group = reader.groups()[0];
        structures.push(Structure { kind: Kind::Descriptor { group: 0 }, offset: 2048, length: 64 });
        structures.push(Structure {
            kind: Kind::BlockBitmap,
            offset: block_at(group.block_bitmap),
            length: BLOCK,
        });
        let inodes_per_group = reader.superblock().inodes_per_group as usize;
        let offset = block_at(group.inode_bitmap);
        structures.push(Structure { kind: Kind::InodeBitmap, offset, length: inodes_per_group / 8 });
        let mut numbers = vec![];
        let mut keep = |visit: &mkimg::ext4::Visit<'_>| {
            numbers.push(visit.inode.number);
            Ok(())
        };
        reader.walk(&mut keep).unwrap();
        for number in numbers.into_iter().filter(|number| *number < 20) {
            let offset = block_at(group.inode_table) + (number as usize - 1) * 256;
            structures.push(Structure { kind: Kind::Inode { number }, offset, length: 256 });
            let inode = reader.inode(number).unwrap();
            if inode.xattr_block != 0 {
                let kind = Kind::Xattrs { block: inode.xattr_block };
                structures.push(Structure { kind, offset: block_at(inode.xattr_block), length: BLOCK });
            }
            if !inode.is_file() && !inode.is_directory() {
                continue;
            }
            let data = reader.data(&inode).unwrap();
            if data.extents().len() > 4 {
                // The only block of the tree is the one that the root's only entry leads to.
                let leaf = u32::from_le_bytes(inode.block[16..20].try_into().unwrap());
                let kind = Kind::Extents { inode: number };
                structures.push(Structure { kind, offset: block_at(leaf.into()), length: BLOCK });
            }
            for extent in data.extents().iter().filter(|_| inode.is_directory()) {
                for index in 0..extent.length {
                    let is_root = inode.flags & 0x1000 != 0 && extent.logical + index == 0;
                    let kind = if is_root {
                        Kind::IndexRoot { inode: number }
                    } else {
                        Kind::Leaf { inode: number }
                    };
                    let offset = block_at(extent.physical + u64::from(index));
                    structures.push(Structure { kind, offset, length: BLOCK });
                }
            }
        }
        Target { bytes, structures, inodes_per_group }
    }

    fn structure(&self, is_it: impl Fn(&Kind) -> bool) -> Structure {
        *self.structures.iter().find(|structure| is_it(&structure.kind)).unwrap()
    }

    /// Makes the checksum of `structure` right again.
    fn seal(&self, image: &mut [u8], structure: Structure) {
        let seed = crc(!0, &image[1024 + 0x68..1024 + 0x78]);
        let owner = |inode: u32| crc(crc(seed, &inode.to_le_bytes()), &[0; 4]);
        let start = structure.offset;
        let bytes = image[start..start + structure.length].to_vec();
        let mut put =
            |at: usize, value: &[u8]| image[start + at..start + at + value.len()].copy_from_slice(value);
        match structure.kind {
            Kind::Superblock => put(0x3fc, &crc(!0, &bytes[..0x3fc]).to_le_bytes()),
            Kind::Descriptor { group } => {
                let sum = crc(crc(crc(seed, &group.to_le_bytes()), &bytes[..0x1e]), &[0; 2]);
                put(0x1e, &crc(sum, &bytes[0x20..]).to_le_bytes()[..2]);
            }
            Kind::Inode { number } => {
                let mut cleared = bytes;
                cleared[0x7c..0x7e].fill(0);
                let is_wide = u16::from_le_bytes([cleared[0x80], cleared[0x81]]) >= 4;
                if is_wide {
                    cleared[0x82..0x84].fill(0);
                }
                let generation = cleared[0x64..0x68].to_vec();
                let sum = crc(crc(crc(seed, &number.to_le_bytes()), &generation), &cleared).to_le_bytes();
                put(0x7c, &sum[..2]);
                if is_wide {
                    put(0x82, &sum[2..]);
                }
            }
            Kind::Leaf { inode } => put(BLOCK - 4, &crc(owner(inode), &bytes[..BLOCK - 12]).to_le_bytes()),
            Kind::IndexRoot { inode } => {
                let [limit, count] =
                    [0x20, 0x22].map(|at| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])));
                let tail = 0x20 + limit * 8;
                if count <= limit && tail + 8 <= BLOCK {
                    let sum = crc(crc(owner(inode), &bytes[..0x20 + count * 8]), &bytes[tail..tail + 4]);
                    put(tail + 4, &crc(sum, &[0; 4]).to_le_bytes());
                }
            }
            Kind::Extents { inode } => {
                let at = 12 + usize::from(u16::from_le_bytes([bytes[4], bytes[5]])) * 12;
                if at + 4 <= BLOCK {
                    put(at, &crc(owner(inode), &bytes[..at]).to_le_bytes());
                }
            }
            Kind::Xattrs { block } => {
                let sum = crc(crc(crc(seed, &block.to_le_bytes()), &bytes[..0x10]), &[0; 4]);
                put(0x10, &crc(sum, &bytes[0x14..]).to_le_bytes());
            }
            Kind::BlockBitmap | Kind::InodeBitmap => {
                let sum = match structure.kind {
                    Kind::BlockBitmap => crc(seed, &bytes),
                    _ => crc(seed, &bytes[..self.inodes_per_group / 8]),
                };
                let at = if matches!(structure.kind, Kind::BlockBitmap) { 0x18 } else { 0x1a };
                let sum = sum.to_le_bytes();
                image[2048 + at..2048 + at + 2].copy_from_slice(&sum[..2]);
                image[2048 + at + 0x20..2048 + at + 0x22].copy_from_slice(&sum[2..]);
                self.seal(image, self.structure(|kind| matches!(kind, Kind::Descriptor { .. })));
            }
        }
    }
}

/// CRC-32C, bit by bit.
fn crc(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

fn examine(image: Vec<u8>) -> Result<(), ReadError> {
    let reader = Reader::open(image)?;
    let checked = reader.check();
    // Whatever the check says, nothing else may panic either.
    drop(reader.dump());
    drop(reader.resolve(b"/directory/nothing"));
    let walked = reader.walk(&mut |visit| {
        drop(reader.xattrs(visit.inode));
        drop(reader.symlink_target(visit.inode));
        let data = reader.data(visit.inode)?;
        let mut buffer = vec![0; usize::try_from(data.size().min(100_000)).unwrap()];
        drop(data.read_exact_at(data.size() - buffer.len() as u64, &mut buffer));
        data.read_exact_at(0, &mut buffer)
    });
    drop(walked);
    checked
}

#[test]
fn every_byte_of_metadata_is_protected() {
    let target = Target::new();
    for structure in &target.structures {
        for at in (0..structure.length).step_by(5) {
            let mut image = target.bytes.clone();
            image[structure.offset + at] ^= 0x40;
            let unused = matches!(structure.kind, Kind::IndexRoot { .. }) && at >= 0x38
                || matches!(structure.kind, Kind::Extents { .. }) && at >= 1024 - 4;
            let result = Reader::open(image).and_then(|reader| reader.check());
            assert!(result.is_err() || unused, "{structure:?} byte {at:#x}");
        }
    }
}

#[test]
fn no_byte_of_metadata_makes_the_reader_panic() {
    let target = Target::new();
    let mut refused = 0;
    let mut tried = 0;
    for structure in &target.structures {
        for at in (0..structure.length).step_by(7) {
            for value in [0x01, 0xff] {
                let mut image = target.bytes.clone();
                image[structure.offset + at] ^= value;
                target.seal(&mut image, *structure);
                tried += 1;
                refused += usize::from(examine(image).is_err());
            }
        }
    }
    // Owners, times, names and unused bytes can be anything.
    assert!(refused * 10 > tried, "{refused} of {tried}");
}

/// Puts `value` at `at` of a structure, with the right checksum, and checks what is said about it.
#[track_caller]
fn check(is_it: impl Fn(&Kind) -> bool, at: usize, value: &[u8], expected: &str) {
    let target = Target::new();
    let structure = target.structure(is_it);
    let mut image = target.bytes.clone();
    image[structure.offset + at..structure.offset + at + value.len()].copy_from_slice(value);
    target.seal(&mut image, structure);
    assert_eq!(examine(image).unwrap_err().to_string(), expected);
}

#[test]
fn superblocks() {
    let check =
        |at, value: &[u8], expected| check(|kind| matches!(kind, Kind::Superblock), at, value, expected);
    check(0x38, &[0], "this is not an ext4 image: there is no superblock at 1024");
    check(0x18, &[6], "this ext4 image has blocks of 2^16 bytes, which is not supported");
    check(0x60, &[0x42 | 0x10, 2], "this ext4 image has the feature `meta_bg`, which is not supported");
    check(0x4, &[0, 5], "the superblock: the file system is larger than the image");
    check(0x150, &[255; 4], "the superblock: it has an impossible number of blocks");
    check(0x28, &[0; 4], "the superblock: its groups have an impossible number of inodes");
    check(0x20, &[0; 4], "the superblock: its groups have an impossible number of blocks");
    check(0x3a, &[2], "the superblock: the file system was not unmounted cleanly");
    check(0xc, &[9], "the superblock: its free blocks or inodes are not those of the groups");
    check(0xce, &[6], "inode 7: it does not own the reserved group descriptors");
}

#[test]
fn groups() {
    let check = |at, value: &[u8], expected| {
        check(|kind| matches!(kind, Kind::Descriptor { .. }), at, value, expected)
    };
    check(0x8, &[255; 4], "group 0: its bitmaps or its table are outside");
    check(0x10, &[9], "the inode bitmap of group 0: the number of directories is wrong");
    check(0x1c, &[255, 255], "inode 1: it was never used");
}

#[test]
fn inodes() {
    let root = |kind: &Kind| matches!(kind, Kind::Inode { number: 2 });
    check(root, 0x0, &[0xa4, 0x81], "inode 2: the root is not a directory");
    check(root, 0x1a, &[7], "inode 2: it has 4 names and says 7");
    check(root, 0x4, &[0, 8], "inode 2: the directory's size is not that of its blocks");
    check(root, 0x1c, &[4], "inode 2: it does not take the space that it says");
    check(root, 0x28, &[0], "inode 2: a node of its extent tree has no header");
    check(root, 0x2e, &[9], "inode 2: a node of its extent tree has the wrong depth");
    check(root, 0x2a, &[200], "inode 2: a node of its extent tree has too many entries");
    check(root, 0x38, &[0; 2], "inode 2: its extents are empty, overlap or are out of order");
    check(root, 0x3c, &[255; 4], "inode 2: an extent is outside of the file system");
}

#[test]
fn trees_that_lead_back() {
    let target = Target::new();
    let sparse = target.structure(|kind| matches!(kind, Kind::Extents { .. }));
    // An extent block that says that it is an index, whose first child is itself.
    let block = u32::try_from(sparse.offset / BLOCK).unwrap().to_le_bytes();
    let mut image = target.bytes.clone();
    image[sparse.offset + 6] = 1;
    image[sparse.offset + 16..sparse.offset + 20].copy_from_slice(&block);
    target.seal(&mut image, sparse);
    assert!(
        examine(image).unwrap_err().to_string().ends_with("a node of its extent tree has the wrong depth")
    );

    // An index whose second leaf is its first one again, or its root.
    let root = target.structure(|kind| matches!(kind, Kind::IndexRoot { .. }));
    for (leaf, expected) in [
        (1, "a name is in the wrong block of the index"),
        (0, "its index leads outside or twice to one block"),
    ] {
        let mut image = target.bytes.clone();
        image[root.offset + 0x2c] = leaf;
        target.seal(&mut image, root);
        let said = examine(image).unwrap_err().to_string();
        assert!(said.ends_with(expected), "{said}");
    }

    // A directory that is in itself.
    let leaf = target.structure(|kind| matches!(kind, Kind::Leaf { inode: 2 }));
    let mut image = target.bytes.clone();
    let entry =
        (24..BLOCK).step_by(4).find(|at| image[leaf.offset + at + 8..].starts_with(b"directory")).unwrap();
    image[leaf.offset + entry..leaf.offset + entry + 4].copy_from_slice(&2u32.to_le_bytes());
    target.seal(&mut image, leaf);
    assert_eq!(examine(image).unwrap_err().to_string(), "inode 2: the directory has two names");
}

#[test]
fn truncated_images() {
    let bytes = Target::new().bytes;
    for length in [0, 1000, 1024, 2047, 2048, 4096, bytes.len() - 1] {
        assert!(examine(bytes[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn one_block_in_two_places_of_a_directory() {
    let target = Target::new();
    let index = target.structure(|kind| matches!(kind, Kind::IndexRoot { .. }));
    let Kind::IndexRoot { inode: number } = index.kind else { panic!("it is an index") };
    let inode = target.structure(|kind| matches!(kind, Kind::Inode { number: found } if *found == number));
    let mut image = target.bytes.clone();
    let extents = inode.offset + 0x28;
    let length = image[extents + 16];
    assert!(image[extents + 2] == 1 && length > 2);
    // One extent is the first block, and another, from the second block of the directory on, all but the last one.
    image[extents + 2] = 2;
    image.copy_within(extents + 12..extents + 24, extents + 24);
    image[extents + 16] = 1;
    image[extents + 24] = 1;
    image[extents + 28] = length - 1;
    target.seal(&mut image, inode);
    assert_eq!(
        examine(image).unwrap_err().to_string(),
        format!("inode {number}: it has a block twice, or one of another directory")
    );
}

#[test]
fn directories_that_are_too_deep() {
    let tree = Tree::new(options(BlockSize::B1024, Size::Fixed(MIB))).too_deep();
    let said = examine(tree.bytes()).unwrap_err().to_string();
    assert!(said.ends_with(": what is in it lies too deep in directories"), "{said}");
}

#[test]
fn an_extent_tree_is_read_once() {
    let image = Target::new().bytes;
    let size = image.len() as u64;
    let source = std::sync::Arc::new(Sparse::new(image.clone(), size));
    let reader = Reader::open(std::sync::Arc::clone(&source)).unwrap();
    let mapped = reader.mapped(&reader.resolve(b"/sparse").unwrap()).unwrap();
    let before = source.n_read();
    let (mut at, mut contents) = (0, vec![0; mapped.size() as usize]);
    while at < mapped.size() {
        let end = mapped.size().min(at + 500);
        reader.read_data(&mapped, at, &mut contents[at as usize..end as usize]).unwrap();
        at = reader.next_data(&mapped, end);
    }
    // Whole blocks of data, and nothing else.
    assert!(source.n_read() - before <= mapped.size());
    let other = read(image);
    let data = other.data(&other.resolve(b"/sparse").unwrap()).unwrap();
    let mut expected = vec![0; contents.len()];
    data.read_exact_at(0, &mut expected).unwrap();
    assert!(contents == expected && contents.contains(&7));
}
