//! Random trees, which have to come back as they were declared.

use std::collections::BTreeMap;

use mkimg::ext4::{BlockSize, Journal, Metadata, Node, ROOT, Reader, Size, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Tree, fsck, noise, options, scratch};

/// What can be declared. `usize`s choose among what is there already.
#[derive(Debug, Clone)]
enum Kind {
    Directory,
    File {
        length: usize,
    },
    Sparse {
        ranges: Vec<(u64, u64)>,
    },
    Symlink {
        target: Vec<u8>,
    },
    Device {
        is_block: bool,
        major: u32,
        minor: u32,
    },
    Fifo,
    Socket,
    Link {
        to: usize,
    },
    /// Many files in a directory.
    Crowd {
        n_files: usize,
    },
}

#[derive(Debug, Clone)]
struct Declaration {
    parent: usize,
    name: Vec<u8>,
    kind: Kind,
    metadata: Metadata,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if matches!(byte, 0 | b'/') { b'_' } else { byte });
    prop_oneof![4 => vec(byte.clone(), 1..20), 1 => vec(byte, 255)]
        .prop_filter("the dots are taken", |name| !matches!(name.as_slice(), b"." | b".."))
}

fn kind() -> impl Strategy<Value = Kind> {
    let around = |length: usize| length.saturating_sub(1)..=length + 1;
    let length = prop_oneof![0..=2usize, around(1024), around(4096), 0..60_000usize];
    prop_oneof![
        6 => Just(Kind::Directory),
        8 => length.prop_map(|length| Kind::File { length }),
        2 => vec((0..20_000u64, 0..9000u64), 0..9).prop_map(|ranges| Kind::Sparse { ranges }),
        3 => prop_oneof![vec(1..=255u8, 1..100), vec(1..=255u8, 1023)].prop_map(|target| Kind::Symlink { target }),
        2 => (any::<bool>(), 0..4096u32, 0..1u32 << 20)
            .prop_map(|(is_block, major, minor)| Kind::Device { is_block, major, minor }),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
        3 => any::<usize>().prop_map(|to| Kind::Link { to }),
        1 => (0..3000usize).prop_map(|n_files| Kind::Crowd { n_files }),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let time = (Timestamp::MIN_SECONDS..=Timestamp::MAX_SECONDS, 0..1_000_000_000u32);
    (0..=0o7777u16, any::<u32>(), any::<u32>(), time).prop_map(|(mode, uid, gid, (seconds, nanoseconds))| {
        Metadata { mode, uid, gid, mtime: Timestamp::new(seconds, nanoseconds).unwrap() }
    })
}

fn xattrs() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    let prefix = prop_oneof![Just("user."), Just("trusted."), Just("security.")];
    let name = (prefix, vec(1..=255u8, 1..40)).prop_map(|(prefix, rest)| [prefix.as_bytes(), &rest].concat());
    let some = proptest::collection::btree_map(name, vec(any::<u8>(), 0..200), 0..4);
    prop_oneof![3 => Just(BTreeMap::new()), 1 => some]
}

fn declaration() -> impl Strategy<Value = Declaration> {
    (any::<usize>(), name(), kind(), metadata(), xattrs()).prop_map(
        |(parent, name, kind, metadata, xattrs)| Declaration { parent, name, kind, metadata, xattrs },
    )
}

/// What should be at a path: the inode's identity, its kind, and what is in it.
#[derive(Debug, Clone, PartialEq)]
struct Expected {
    identity: usize,
    metadata: Metadata,
    kind: u16,
    content: Vec<u8>,
    device: Option<(u32, u32)>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Declares everything that is possible and returns what should be there.
fn declare(tree: &mut Tree, declarations: &[Declaration]) -> BTreeMap<Vec<u8>, Expected> {
    let mut directories: Vec<(Node, Vec<u8>)> = vec![(ROOT, Vec::new())];
    let mut others: Vec<(Node, Expected)> = Vec::new();
    let mut expected = BTreeMap::new();
    for Declaration { parent, name, kind, metadata, xattrs } in declarations {
        let (parent, parent_path) = directories[parent % directories.len()].clone();
        let path = [&parent_path, b"/".as_slice(), name].concat();
        if expected.contains_key(&path) || path == b"/lost+found" {
            continue;
        }
        let mut found = Expected {
            identity: 0,
            metadata: *metadata,
            kind: 0,
            content: vec![],
            device: None,
            xattrs: xattrs.clone(),
        };
        let builder = &mut tree.builder;
        let node = match kind {
            Kind::Directory | Kind::Crowd { .. } => {
                found.kind = 0x4000;
                let node = builder.directory(parent, name, *metadata).unwrap();
                directories.push((node, path.clone()));
                node
            }
            Kind::File { length } => {
                found.kind = 0x8000;
                found.content = noise(*length, *length as u32);
                tree.file_with(parent, name, *metadata, found.content.clone())
            }
            Kind::Sparse { ranges } => {
                found.kind = 0x8000;
                let mut data = Vec::new();
                for (gap, length) in ranges {
                    let start = found.content.len() + *gap as usize;
                    found.content.resize(start, 0);
                    found.content.extend(noise(*length as usize, 5));
                    data.push(start as u64..found.content.len() as u64);
                }
                tree.sparse_with(parent, name, *metadata, found.content.clone(), &data)
            }
            Kind::Symlink { target } => {
                found.kind = 0xa000;
                found.content.clone_from(target);
                builder.symlink(parent, name, *metadata, target).unwrap()
            }
            Kind::Device { is_block, major, minor } => {
                found.device = Some((*major, *minor));
                if *is_block {
                    found.kind = 0x6000;
                    builder.block_device(parent, name, *metadata, (*major, *minor)).unwrap()
                } else {
                    found.kind = 0x2000;
                    builder.char_device(parent, name, *metadata, (*major, *minor)).unwrap()
                }
            }
            Kind::Fifo => {
                found.kind = 0x1000;
                builder.fifo(parent, name, *metadata).unwrap()
            }
            Kind::Socket => {
                found.kind = 0xc000;
                builder.socket(parent, name, *metadata).unwrap()
            }
            Kind::Link { to } => {
                if !others.is_empty() {
                    let (node, found) = &others[to % others.len()];
                    builder.link(parent, name, *node).unwrap();
                    expected.insert(path, found.clone());
                }
                continue;
            }
        };
        found.identity = node.index();
        tree.builder.set_xattrs(node, xattrs).unwrap();
        if found.kind != 0x4000 {
            others.push((node, found.clone()));
        }
        expected.insert(path.clone(), found);
        if let Kind::Crowd { n_files } = kind {
            for index in 0..*n_files {
                let name = format!("{index}");
                let member = tree.builder.fifo(node, name.as_bytes(), *metadata).unwrap();
                let found = Expected {
                    identity: member.index(),
                    metadata: *metadata,
                    kind: 0x1000,
                    content: vec![],
                    device: None,
                    xattrs: BTreeMap::new(),
                };
                expected.insert([&path, b"/".as_slice(), name.as_bytes()].concat(), found);
            }
        }
    }
    expected
}

/// Reads what is there in the same form; identities are inode numbers.
fn collect(reader: &Reader<Vec<u8>>) -> BTreeMap<Vec<u8>, Expected> {
    let mut found = BTreeMap::new();
    reader
        .walk(&mut |visit| {
            let inode = visit.inode;
            let mut content = vec![];
            if inode.is_file() {
                content.resize(usize::try_from(inode.size).unwrap(), 0);
                reader.data(inode)?.read_exact_at(0, &mut content)?;
            } else if inode.is_symlink() {
                content = reader.symlink_target(inode)?;
            }
            let metadata =
                Metadata { mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid, mtime: inode.mtime };
            let xattrs = reader.xattrs(inode)?;
            let kind = inode.mode & 0xf000;
            let identity = inode.number as usize;
            let entry = Expected { identity, metadata, kind, content, device: inode.device(), xattrs };
            found.insert(visit.path.to_vec(), entry);
            Ok(())
        })
        .unwrap();
    found.remove(b"/".as_slice());
    found.remove(b"/lost+found".as_slice());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(
        declarations in vec(declaration(), 0..60),
        block_size in prop_oneof![Just(BlockSize::B1024), Just(BlockSize::B2048), Just(BlockSize::B4096)],
        slack in prop_oneof![Just(0), 0..20_000_000u64],
        has_journal in any::<bool>(),
    ) {
        let mut with = options(block_size, Size::Fit { slack });
        with.journal = if has_journal { Journal::Auto } else { Journal::None };
        let mut tree = Tree::new(with);
        let expected = declare(&mut tree, &declarations);
        let bytes = tree.bytes();
        let directory = scratch();
        let path = directory.path().join("image");
        std::fs::write(&path, &bytes).unwrap();
        fsck(&path);

        let reader = Reader::open(bytes).unwrap();
        reader.check().unwrap();
        let found = collect(&reader);
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        let mut identities = BTreeMap::new();
        for (path, expected) in expected {
            let found = &found[&path];
            // The same node has the same inode wherever it is.
            let inode = *identities.entry(expected.identity).or_insert(found.identity);
            prop_assert_eq!(found, &Expected { identity: inode, ..expected });
        }
        let n_nodes = identities.len();
        let inodes: std::collections::BTreeSet<usize> = identities.into_values().collect();
        prop_assert_eq!(inodes.len(), n_nodes);
    }
}
