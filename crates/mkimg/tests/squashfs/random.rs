//! Random trees, which have to come back as they were declared.

use std::collections::{BTreeMap, BTreeSet};

use mkimg::squashfs::{BlockSize, Content, Fragments, Metadata, Node, Options, ROOT, Reader};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{EPOCH, Tree, compressions, noise, scratch, text, tool};

/// What can be declared. `usize`s choose among what is there already.
#[derive(Debug, Clone)]
enum Kind {
    Directory,
    File {
        length: usize,
        seed: u32,
        is_noise: bool,
    },
    /// Gaps of zeros and text.
    Sparse {
        ranges: Vec<(usize, usize)>,
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
        n_links: usize,
    },
    /// Many names in a directory.
    Crowd {
        n_names: usize,
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
    let length = prop_oneof![0..=2usize, around(4096), around(8192), 0..60_000usize];
    prop_oneof![
        6 => Just(Kind::Directory),
        // Few seeds, so that files are the same.
        8 => (length, 0..3u32, any::<bool>()).prop_map(|(length, seed, is_noise)| Kind::File { length, seed, is_noise }),
        2 => vec((0..20_000usize, 0..9000usize), 0..9).prop_map(|ranges| Kind::Sparse { ranges }),
        3 => prop_oneof![vec(1..=255u8, 1..100), vec(1..=255u8, 4095)].prop_map(|target| Kind::Symlink { target }),
        2 => (any::<bool>(), 0..4096u32, 0..1u32 << 20)
            .prop_map(|(is_block, major, minor)| Kind::Device { is_block, major, minor }),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
        3 => (any::<usize>(), prop_oneof![3 => Just(1), 1 => 1..2000usize]).prop_map(|(to, n_links)| Kind::Link { to, n_links }),
        1 => (0..3000usize).prop_map(|n_names| Kind::Crowd { n_names }),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    (0..=0o7777u16, any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(mode, uid, gid, mtime)| Metadata {
        mode,
        uid,
        gid,
        mtime,
    })
}

fn xattrs() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    let prefix = prop_oneof![Just("user."), Just("trusted."), Just("security.")];
    let name = (prefix, vec(1..=255u8, 1..40)).prop_map(|(prefix, rest)| [prefix.as_bytes(), &rest].concat());
    let value = prop_oneof![vec(any::<u8>(), 0..300), Just(vec![7; 20]), Just(vec![8; 9000])];
    let some = proptest::collection::btree_map(name, value, 0..4);
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
    kind: &'static str,
    content: Vec<u8>,
    device: Option<(u32, u32)>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

type Paths = BTreeMap<Vec<u8>, Expected>;

/// Declares everything that is possible and returns what should be there.
fn declare(tree: &mut Tree, declarations: &[Declaration]) -> Paths {
    let mut directories: Vec<(Node, Vec<u8>)> = vec![(ROOT, Vec::new())];
    let mut others: Vec<(Node, Expected)> = Vec::new();
    let mut expected = Paths::new();
    for Declaration { parent, name, kind, metadata, xattrs } in declarations {
        let (parent, parent_path) = directories[parent % directories.len()].clone();
        let path = [&parent_path, b"/".as_slice(), name].concat();
        if expected.contains_key(&path) {
            continue;
        }
        let empty = |kind| Expected {
            identity: 0,
            metadata: *metadata,
            kind,
            content: vec![],
            device: None,
            xattrs: xattrs.clone(),
        };
        let builder = &mut tree.builder;
        let (node, mut found) = match kind {
            Kind::Directory | Kind::Crowd { .. } => {
                let node = builder.directory(parent, name, *metadata).unwrap();
                directories.push((node, path.clone()));
                (node, empty("directory"))
            }
            Kind::File { length, seed, is_noise } => {
                let content = if *is_noise { noise(*length, *seed) } else { text(*length, *seed) };
                let node = tree.file_with(parent, name, *metadata, content.clone());
                (node, Expected { content, ..empty("file") })
            }
            Kind::Sparse { ranges } => {
                let mut content = Vec::new();
                for (gap, length) in ranges {
                    content.resize(content.len() + gap, 0);
                    content.extend(text(*length, 5));
                }
                let node = tree.file_with(parent, name, *metadata, content.clone());
                (node, Expected { content, ..empty("file") })
            }
            Kind::Symlink { target } => {
                let node = builder.symlink(parent, name, *metadata, target).unwrap();
                (node, Expected { content: target.clone(), ..empty("symlink") })
            }
            Kind::Device { is_block, major, minor } => {
                let device = (*major, *minor);
                let (node, kind) = if *is_block {
                    (builder.block_device(parent, name, *metadata, device).unwrap(), "block")
                } else {
                    (builder.char_device(parent, name, *metadata, device).unwrap(), "char")
                };
                (node, Expected { device: Some(device), ..empty(kind) })
            }
            Kind::Fifo => (builder.fifo(parent, name, *metadata).unwrap(), empty("fifo")),
            Kind::Socket => (builder.socket(parent, name, *metadata).unwrap(), empty("socket")),
            Kind::Link { to, n_links } => {
                let Some((node, found)) = others.get(to % others.len().max(1)) else { continue };
                for index in 0..*n_links {
                    let number = if index == 0 { String::new() } else { format!("+{index}") };
                    let name = [&name[..name.len().min(200)], number.as_bytes()].concat();
                    let path = [&parent_path, b"/".as_slice(), &name].concat();
                    if !expected.contains_key(&path) && !matches!(&name[..], b"." | b"..") {
                        builder.link(parent, &name, *node).unwrap();
                        expected.insert(path, found.clone());
                    }
                }
                continue;
            }
        };
        found.identity = node.index();
        tree.builder.set_xattrs(node, xattrs).unwrap();
        if found.kind != "directory" {
            others.push((node, found.clone()));
        }
        expected.insert(path.clone(), found);
        if let Kind::Crowd { n_names } = kind {
            for index in 0..*n_names {
                let name = format!("{index}");
                let member = tree.builder.fifo(node, name.as_bytes(), *metadata).unwrap();
                let found = Expected { identity: member.index(), xattrs: BTreeMap::new(), ..empty("fifo") };
                expected.insert([&path, b"/".as_slice(), name.as_bytes()].concat(), found);
            }
        }
    }
    expected
}

/// Reads what is there in the same form; identities are inode numbers.
fn collect(reader: &Reader<Vec<u8>>) -> Paths {
    let mut found = Paths::new();
    reader
        .walk(&mut |visit| {
            let inode = visit.inode;
            let (mut content, mut device) = (vec![], None);
            let kind = match &inode.content {
                Content::Directory { .. } => "directory",
                Content::File { size, .. } => {
                    content.resize(usize::try_from(*size).unwrap(), 0);
                    reader.file(inode)?.read_exact_at(0, &mut content)?;
                    "file"
                }
                Content::Symlink { target } => {
                    content.clone_from(target);
                    "symlink"
                }
                Content::BlockDevice(major, minor) => {
                    device = Some((*major, *minor));
                    "block"
                }
                Content::CharDevice(major, minor) => {
                    device = Some((*major, *minor));
                    "char"
                }
                Content::Fifo => "fifo",
                Content::Socket => "socket",
            };
            let metadata = Metadata { mode: inode.mode, uid: inode.uid, gid: inode.gid, mtime: inode.mtime };
            let xattrs = reader.xattrs(inode)?;
            let identity = inode.number as usize;
            found.insert(visit.path.to_vec(), Expected { identity, metadata, kind, content, device, xattrs });
            Ok(())
        })
        .unwrap();
    found.remove(b"/".as_slice());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(
        declarations in vec(declaration(), 0..60),
        compression in proptest::sample::select(compressions().to_vec()),
        block_size in proptest::sample::select(vec![4096_u32, 16384, 131_072]),
        fragments in proptest::sample::select(vec![Fragments::None, Fragments::Small, Fragments::All]),
        exportable in any::<bool>(),
        n_threads in 1..4usize,
    ) {
        let block_size = BlockSize::from_bytes(block_size).unwrap();
        let with = Options { block_size, fragments, exportable, ..Options::new(compression, EPOCH) };
        let mut tree = Tree::new(with);
        let expected = declare(&mut tree, &declarations);
        let bytes = tree.bytes_on(n_threads);
        let directory = scratch();
        std::fs::write(directory.path().join("image"), &bytes).unwrap();
        // Names have every byte, lines included, so what it lists is only counted.
        let listed = tool("unsquashfs", directory.path(), &["-lln", "image"]);

        let found = collect(&Reader::open(bytes).unwrap());
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        if let Some(listed) = listed {
            let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
            let in_names: usize = expected.iter().map(|(path, expected)| {
                1 + lines(path) + if expected.kind == "symlink" { lines(&expected.content) } else { 0 }
            }).sum();
            prop_assert_eq!(lines(&listed), in_names + 1);
        }
        let mut identities = BTreeMap::new();
        for (path, expected) in expected {
            let found = &found[&path];
            // The same node has the same inode wherever it is.
            let inode = *identities.entry(expected.identity).or_insert(found.identity);
            prop_assert_eq!(found, &Expected { identity: inode, ..expected });
        }
        let n_nodes = identities.len();
        let inodes: BTreeSet<usize> = identities.into_values().collect();
        prop_assert_eq!(inodes.len(), n_nodes);
    }
}
