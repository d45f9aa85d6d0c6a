//! Random trees, for formats that keep everything that Unix has.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mkimg::tree::{Builder, Metadata, Node, ROOT, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::noise;
use crate::support::shared::Tree;

/// What can be declared. `usize`s choose among what is there already.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
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

pub(crate) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    parent: usize,
    name: Vec<u8>,
    kind: Kind,
    metadata: Metadata,
    xattrs: Xattrs,
}

/// Adds a sparse file of a size, whose data is in these ranges.
pub(crate) type AddSparse<F> = fn(&mut Builder<F>, Node, &[u8], Metadata, u64, &[Range<u64>]) -> Node;

/// What differs between formats.
#[derive(Clone)]
pub(crate) struct Rules<F> {
    /// The longest target of a symbolic link.
    pub(crate) target: usize,
    /// The longest name.
    pub(crate) name: usize,
    /// What times can be.
    pub(crate) seconds: Range<i64>,
    pub(crate) has_nanoseconds: bool,
    /// What cannot be declared as it is always there.
    pub(crate) reserved: &'static [u8],
    /// Says that a file has data in these ranges only.
    pub(crate) sparse: AddSparse<F>,
    pub(crate) set_xattrs: fn(&mut Builder<F>, Node, &Xattrs),
}

fn name(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if matches!(byte, 0 | b'/') { b'_' } else { byte });
    prop_oneof![4 => vec(byte.clone(), 1..20), 1 => vec(byte, longest)]
        .prop_filter("the dots are taken", |name| !matches!(name.as_slice(), b"." | b".."))
}

fn kind(target: usize) -> impl Strategy<Value = Kind> {
    let around = |length: usize| length.saturating_sub(1)..=length + 1;
    let length = prop_oneof![0..=2usize, around(1024), around(4096), around(8192), 0..60_000usize];
    prop_oneof![
        6 => Just(Kind::Directory),
        // Few seeds, so that files are the same.
        8 => (length, 0..3u32, any::<bool>()).prop_map(|(length, seed, is_noise)| Kind::File { length, seed, is_noise }),
        2 => vec((0..20_000usize, 0..9000usize), 0..9).prop_map(|ranges| Kind::Sparse { ranges }),
        3 => prop_oneof![vec(1..=255u8, 1..100), vec(1..=255u8, target)].prop_map(|target| Kind::Symlink { target }),
        2 => (any::<bool>(), 1..4096u32, 0..1u32 << 20)
            .prop_map(|(is_block, major, minor)| Kind::Device { is_block, major, minor }),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
        3 => (any::<usize>(), prop_oneof![3 => Just(1), 1 => 1..2000usize]).prop_map(|(to, n_links)| Kind::Link { to, n_links }),
        1 => (0..3000usize).prop_map(|n_names| Kind::Crowd { n_names }),
    ]
}

fn metadata(seconds: Range<i64>, has_nanoseconds: bool) -> impl Strategy<Value = Metadata> {
    let nanoseconds = if has_nanoseconds { 0..1_000_000_000u32 } else { 0..1 };
    (0..=0o7777u16, any::<u32>(), any::<u32>(), seconds, nanoseconds).prop_map(
        |(mode, uid, gid, seconds, nanoseconds)| {
            let mtime = Timestamp::new(seconds, nanoseconds).unwrap();
            Metadata { mode, uid, gid, mtime }
        },
    )
}

fn xattrs() -> impl Strategy<Value = Xattrs> {
    let prefix = prop_oneof![Just("user."), Just("trusted."), Just("security.")];
    let name = (prefix, vec(1..=255u8, 1..40)).prop_map(|(prefix, rest)| [prefix.as_bytes(), &rest].concat());
    let value = prop_oneof![vec(any::<u8>(), 0..200), Just(vec![7; 20])];
    let some = proptest::collection::btree_map(name, value, 0..4);
    prop_oneof![3 => Just(Xattrs::new()), 1 => some]
}

/// Returns random declarations that the format takes.
pub(crate) fn declarations<F>(rules: &Rules<F>) -> impl Strategy<Value = Vec<Declaration>> + use<F> {
    let Rules { target, name: longest, has_nanoseconds, .. } = *rules;
    let metadata = metadata(rules.seconds.clone(), has_nanoseconds);
    let one = (any::<usize>(), name(longest), kind(target), metadata, xattrs());
    let one = one.prop_map(|(parent, name, kind, metadata, xattrs)| Declaration {
        parent,
        name,
        kind,
        metadata,
        xattrs,
    });
    vec(one, 0..60)
}

/// What should be at a path: the inode's identity, its kind, and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    pub(crate) identity: usize,
    pub(crate) metadata: Metadata,
    pub(crate) kind: &'static str,
    pub(crate) content: Vec<u8>,
    pub(crate) device: Option<(u32, u32)>,
    pub(crate) xattrs: Xattrs,
}

pub(crate) type Paths = BTreeMap<Vec<u8>, Expected>;

/// Text that compresses, but not to nothing.
fn text(length: usize, seed: u32) -> Vec<u8> {
    noise(length, seed).iter().map(|byte| b"etaoinshrdlu \n"[usize::from(*byte) % 14]).collect()
}

/// Declares everything that is possible and returns what should be there.
pub(crate) fn declare<F>(tree: &mut Tree<F>, rules: &Rules<F>, declarations: &[Declaration]) -> Paths {
    let mut directories: Vec<(Node, Vec<u8>)> = vec![(ROOT, Vec::new())];
    let mut others: Vec<(Node, Expected)> = Vec::new();
    let mut expected = Paths::new();
    for Declaration { parent, name, kind, metadata, xattrs } in declarations {
        let (parent, parent_path) = directories[parent % directories.len()].clone();
        let path = [&parent_path, b"/".as_slice(), name].concat();
        if expected.contains_key(&path) || path == rules.reserved {
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
                let (mut content, mut data) = (Vec::new(), Vec::new());
                for (gap, length) in ranges {
                    let start = content.len() + gap;
                    content.resize(start, 0);
                    content.extend(text(*length, 5));
                    data.push(start as u64..content.len() as u64);
                }
                let node = (rules.sparse)(builder, parent, name, *metadata, content.len() as u64, &data);
                tree.fill(node, content.clone());
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
                    let is_free = !expected.contains_key(&path) && path != rules.reserved;
                    if is_free && !matches!(&name[..], b"." | b"..") {
                        builder.link(parent, &name, *node).unwrap();
                        expected.insert(path, found.clone());
                    }
                }
                continue;
            }
        };
        found.identity = node.index();
        (rules.set_xattrs)(&mut tree.builder, node, xattrs);
        if found.kind != "directory" {
            others.push((node, found.clone()));
        }
        expected.insert(path.clone(), found);
        if let Kind::Crowd { n_names } = kind {
            for index in 0..*n_names {
                let name = format!("{index}");
                let member = tree.builder.fifo(node, name.as_bytes(), *metadata).unwrap();
                let found = Expected { identity: member.index(), xattrs: Xattrs::new(), ..empty("fifo") };
                expected.insert([&path, b"/".as_slice(), name.as_bytes()].concat(), found);
            }
        }
    }
    expected
}

/// Compares what was read with what should be there; identities need not be the same, but to agree.
pub(crate) fn check(found: &Paths, expected: Paths) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
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
    Ok(())
}
