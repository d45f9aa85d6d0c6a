//! The canonical form: what it looks like, that it stays the same, and that nothing else is accepted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use layer::{
    Builder, Content, Declaration, Entry, EntryPath, Kind, Layer, Metadata, ReadError, Reader, Tree,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

fn metadata(mode: u32, uid: u32, mtime: i64) -> Metadata {
    Metadata { uid, gid: uid, mtime, ..Metadata::with_mode(mode) }
}

fn file(text: &str) -> Declaration {
    Declaration::File(Content::Bytes(text.into()))
}

/// One of everything, declared out of order.
fn everything() -> Builder {
    let mut builder = Builder::default();
    let mut declare = |name: &str, metadata, what| builder.declare(path(name), metadata, what).unwrap();
    declare("usr/bin/tool", metadata(0o4755, 0, 1_700_000_000), file("#!/bin/sh\n"));
    declare("usr", metadata(0o755, 0, 1_700_000_000), Declaration::Directory);
    declare("usr/bin", metadata(0o755, 0, 1_700_000_000), Declaration::Directory);
    declare("usr/bin/alias", metadata(0, 0, 0), Declaration::HardLink(path("usr/bin/tool")));
    declare("usr-local", metadata(0o644, 0, 0), file(""));
    declare("bin", metadata(0o777, 0, 0), Declaration::Symlink(b"usr/bin".to_vec()));
    declare("dev/null", metadata(0o666, 0, 0), Declaration::CharDevice(1, 3));
    declare("dev/vda", metadata(0o660, 6, 0), Declaration::BlockDevice(254, 1_048_575));
    declare("run/pipe", metadata(0o600, 4_000_000_000, -5), Declaration::Fifo);
    declare("etc/old", Metadata::default(), Declaration::Whiteout);
    declare("caf\u{e9}\n", metadata(0o600, 1000, 1 << 40), file(&"x".repeat(512)));
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(250));
    declare(&long, metadata(0o644, 0, 0), file("long"));
    declare("long-link", metadata(0o777, 0, 0), Declaration::Symlink(vec![b't'; 300]));
    let mut capable = metadata(0o755, 0, 7);
    capable.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2, b'\n', b'=', 0xff]);
    capable.xattrs.insert(b"user.note".to_vec(), b"".to_vec());
    declare("usr/bin/ping", capable, file("ping"));
    builder.declare_opaque(path("var/cache"));
    builder
}

fn bytes(builder: &Builder) -> Vec<u8> {
    builder.write(Vec::new()).unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, ReadError> {
    let bytes = bytes.to_vec();
    Reader::new(&bytes)?.map(|located| located.map(|located| located.entry)).collect()
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for entry in read(bytes).unwrap() {
        writeln!(text, "{entry}").unwrap();
    }
    text
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn everything_as_text() {
    let expected = format!(
        r#"symlink 0777 0:0 0 bin -> usr/bin
file    0600 1000:1000 1099511627776 caf\xc3\xa9\n size=512
file    0644 0:0 0 {}/{} size=4
char    0666 0:0 0 dev/null device=1:3
block   0660 6:6 0 dev/vda device=254:1048575
removed 0000 0:0 0 etc/old
symlink 0777 0:0 0 long-link -> {}
fifo    0600 4000000000:4000000000 -5 run/pipe
dir     0755 0:0 1700000000 usr
file    0644 0:0 0 usr-local size=0
dir     0755 0:0 1700000000 usr/bin
file    4755 0:0 1700000000 usr/bin/alias size=10
file    0755 0:0 7 usr/bin/ping size=4
        security.capability="\x01\x00\x00\x02\n=\xff"
        user.note=""
link    4755 0:0 1700000000 usr/bin/tool = usr/bin/alias
opaque  0000 0:0 0 var/cache
"#,
        "d".repeat(120),
        "f".repeat(250),
        "t".repeat(300)
    );
    assert_eq!(dump(&bytes(&everything())), expected);
}

#[test]
fn the_digest_never_changes() {
    assert_eq!(
        sha256(&bytes(&everything())),
        "73d40750a763d387080dc3b1f1915930445c102475aefd9eaeaa3b2b5c757c5b"
    );
}

#[test]
fn an_empty_layer_is_its_end() {
    let empty = bytes(&Builder::default());
    assert_eq!(empty, vec![0; 1024]);
    assert_eq!(read(&empty).unwrap(), []);
}

/// The `tar` crate was written by other people.
#[test]
fn the_tar_crate_reads_the_same() {
    let layer = bytes(&everything());
    let mut archive = tar::Archive::new(&layer[..]);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.path_bytes().into_owned();
        names.push(name.strip_suffix(b"/").unwrap_or(&name).to_vec());
    }
    let stored: Vec<_> = read(&layer).unwrap().iter().map(|entry| entry.stored_path().unwrap()).collect();
    assert_eq!(names, stored.iter().map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>());
}

#[test]
fn gnu_tar_lists_it_without_a_complaint() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("layer.tar");
    std::fs::write(&archive, bytes(&everything())).unwrap();
    let command = Command::new("tar")
        .args(["--numeric-owner", "--utc", "-tvf"])
        .arg(&archive)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output();
    let Ok(output) = command else {
        eprintln!("skipped: this host has no `tar`");
        return;
    };
    let (listing, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    let listing: String =
        listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect();
    for line in [
        "-rwsr-xr-x 0/0 10 2023-11-14 22:13 usr/bin/alias",
        "hrwsr-xr-x 0/0 0 2023-11-14 22:13 usr/bin/tool link to usr/bin/alias",
        "crw-rw-rw- 0/0 1,3 1970-01-01 00:00 dev/null",
        "prw------- 4000000000/4000000000 0 1969-12-31 23:59 run/pipe",
    ] {
        assert!(listing.contains(line), "no `{line}` in\n{listing}");
    }
}

#[test]
fn every_field_reaches_the_digest() {
    let base = |change: &dyn Fn(&mut Metadata)| {
        let mut builder = Builder::default();
        let mut metadata = metadata(0o644, 0, 0);
        change(&mut metadata);
        builder.declare(path("f"), metadata, file("contents")).unwrap();
        builder
    };
    let plain = |name: &str, what: Declaration| {
        let mut builder = Builder::default();
        builder.declare(path(name), metadata(0o644, 0, 0), what).unwrap();
        builder
    };
    let mut opaque = Builder::default();
    opaque.declare_opaque(path("f"));
    let mut removed = Builder::default();
    removed.declare(path("f"), Metadata::default(), Declaration::Whiteout).unwrap();
    let xattr = |name: &'static [u8], value: &'static [u8]| {
        base(&move |m| {
            m.xattrs.insert(name.to_vec(), value.to_vec());
        })
    };
    let layers = [
        base(&|_| {}),
        base(&|m| m.mode = 0o645),
        base(&|m| m.mode = 0o4644),
        base(&|m| m.uid = 1),
        base(&|m| m.gid = 1),
        base(&|m| m.uid = 1 << 21),
        base(&|m| m.mtime = 1),
        base(&|m| m.mtime = -1),
        xattr(b"user.a", b""),
        xattr(b"user.a", b"1"),
        xattr(b"user.b", b"1"),
        plain("f", file("contentz")),
        plain("f", file("content")),
        plain("g", file("contents")),
        plain("f", Declaration::Directory),
        plain("f", Declaration::Fifo),
        plain("f", Declaration::Symlink(b"a".to_vec())),
        plain("f", Declaration::Symlink(b"b".to_vec())),
        plain("f", Declaration::CharDevice(1, 3)),
        plain("f", Declaration::CharDevice(1, 4)),
        plain("f", Declaration::CharDevice(2, 3)),
        plain("f", Declaration::BlockDevice(1, 3)),
        opaque,
        removed,
    ];
    let digests: std::collections::BTreeSet<String> =
        layers.iter().map(|builder| sha256(&bytes(builder))).collect();
    assert_eq!(digests.len(), layers.len());
}

#[test]
fn a_layer_that_is_cut_off_is_refused() {
    let layer = bytes(&everything());
    for length in (0..layer.len()).step_by(64).chain([layer.len() - 1]) {
        assert!(read(&layer[..length]).is_err(), "{length}");
    }
    let longer = [&layer[..], &[0; 512]].concat();
    assert!(matches!(read(&longer), Err(ReadError::NotCanonical { .. })));
}

#[test]
fn no_byte_of_a_header_can_change_unnoticed() {
    let layer = bytes(&everything());
    let whole: Vec<_> = {
        let layer = layer.clone();
        Reader::new(&layer).unwrap().map(|located| located.unwrap()).collect()
    };
    let original = read(&layer).unwrap();
    let is_content = |at: u64| {
        whole.iter().any(|located| (located.offset..located.offset + located.entry.size()).contains(&at))
    };
    for at in 0..layer.len() {
        for flip in [1, 0x80] {
            let mut damaged = layer.clone();
            damaged[at] ^= flip;
            match read(&damaged) {
                Ok(entries) if is_content(at as u64) => assert_eq!(entries, original),
                // Extended headers have no checksum; a change in a value makes another layer.
                Ok(entries) => assert_ne!(entries, original, "byte {at}"),
                Err(error) => assert!(!is_content(at as u64), "byte {at}: {error}"),
            }
        }
    }
}

/// Damage that keeps the checksum right gets past the first check, and must not get past the others.
#[test]
fn a_damaged_header_with_a_right_checksum_is_refused() {
    let layer = bytes(&everything());
    let mut header = 0;
    for located in Reader::new(&layer.clone()).unwrap() {
        let located = located.unwrap();
        // Links and kinds whose numbers are checked elsewhere would make other, equally valid layers.
        for (at, value) in [
            (100, b'1'),
            (124, 0xff),
            (136, b' '),
            (156, b'S'),
            (257, b'U'),
            (263, b' '),
            (265, b'r'),
            (297, b'r'),
            (345, b'p'),
            (500, 1),
        ] {
            let mut damaged = layer.clone();
            damaged[header + at] = value;
            let block = &mut damaged[header..header + 512];
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            if damaged != layer {
                assert!(read(&damaged).is_err(), "byte {at} of the header at {header}");
            }
        }
        header = (located.offset + located.entry.size()).next_multiple_of(512) as usize;
    }
}

#[test]
fn wrong_order_and_wrong_links_are_refused() {
    let entry = |name: &str, kind| Entry { path: path(name), metadata: Metadata::default(), kind };
    let check = |entries: &[Entry], expected: &str| {
        let mut writer = layer::Writer::new(Vec::new());
        let error = entries.iter().find_map(|entry| writer.append(entry).err()).unwrap();
        assert_eq!(error.to_string(), expected);
    };
    let empty = Kind::File { size: 0 };
    let link = |target: &str| Kind::HardLink { target: path(target) };
    check(
        &[entry("b", empty.clone()), entry("a", empty.clone())],
        "`a` comes after `b`: the paths of a layer ascend",
    );
    check(
        &[entry("a", empty.clone()), entry("a", Kind::Directory)],
        "`a` comes after `a`: the paths of a layer ascend",
    );
    check(
        &[entry("a", empty.clone()), entry("a-b", Kind::Directory), entry("a/b", empty.clone())],
        "`a/b` lies below `a`, which is not a directory",
    );
    check(
        &[entry("a", link("b")), entry("b", empty.clone())],
        "the hard link `a` points to `b`, which is no file that comes before it in the layer",
    );
    check(
        &[entry("a", empty.clone()), entry("b", link("a")), entry("c", link("b"))],
        "the hard link `c` points to `b`, which is no file that comes before it in the layer",
    );
    let mut other = entry("b", link("a"));
    other.metadata.uid = 1;
    check(&[entry("a", empty), other], "the hard link `b` has other metadata than its target `a`");
}

#[test]
fn contents_must_have_the_declared_size() {
    let check = |size, content: &str, expected: &str| {
        let entry = Entry { path: path("f"), metadata: Metadata::default(), kind: Kind::File { size } };
        let error = layer::Writer::new(Vec::new()).append_file(&entry, content.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(4, "abc", "the contents of `f` are not 4 bytes as declared, but 3");
    check(2, "abc", "the contents of `f` are not 2 bytes as declared, but at least 3");
}

#[test]
fn declarations_that_make_no_layer_are_refused() {
    let mut builder = Builder::default();
    builder.declare(path("a"), Metadata::default(), Declaration::HardLink(path("b"))).unwrap();
    builder.declare(path("b"), Metadata::default(), Declaration::HardLink(path("a"))).unwrap();
    assert!(matches!(builder.write(Vec::new()), Err(layer::BuildError::LinkTarget { .. })));
    assert!(matches!(
        builder.declare(path("a"), Metadata::default(), Declaration::Fifo),
        Err(layer::BuildError::Duplicate { .. })
    ));
}

#[test]
fn a_chain_of_links_is_followed_once() {
    // Following it from each of its links would be 200 million look-ups.
    let n_links = 20_000;
    let mut builder = Builder::default();
    builder.declare(path("f00000"), Metadata::with_mode(0o644), file("x")).unwrap();
    for idx in 1..=n_links {
        let target = path(&format!("f{:05}", if idx == n_links { 0 } else { idx + 1 }));
        builder
            .declare(path(&format!("f{idx:05}")), Metadata::default(), Declaration::HardLink(target))
            .unwrap();
    }
    let entries = read(&bytes(&builder)).unwrap();
    assert_eq!(entries[0].kind, Kind::File { size: 1 });
    assert_eq!(entries.len(), n_links + 1);
    let links = &entries[1..];
    assert!(links.iter().all(|link| link.kind == Kind::HardLink { target: path("f00000") }));
    assert!(links.iter().all(|link| link.metadata.mode == 0o644));
}

fn any_path() -> impl Strategy<Value = EntryPath> {
    // Few names and the bytes around `/`, so that paths meet and the order matters.
    let name =
        prop_oneof![Just("a".to_owned()), Just("a-".to_owned()), Just("a0".to_owned()), "[ -.0-~]{1,110}"];
    proptest::collection::vec(name, 1..4)
        .prop_filter_map("a path", |names| EntryPath::new(names.join("/")).ok())
        .prop_filter("no whiteout", |path| !path.components().any(|name| name.starts_with(b".wh.")))
}

prop_compose! {
    fn any_metadata()(
        mode in 0_u32..=0o7777,
        uid in prop_oneof![Just(0), any::<u32>()],
        gid in prop_oneof![Just(0), any::<u32>()],
        mtime in prop_oneof![0_i64..=2_000_000_000, any::<i64>()],
        xattrs in proptest::collection::btree_map(
            "[a-z.]{1,20}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..90),
            0..3,
        ),
    ) -> Metadata {
        Metadata { mode, uid, gid, mtime, xattrs }
    }
}

fn any_declaration() -> impl Strategy<Value = Declaration> {
    prop_oneof![
        Just(Declaration::Directory),
        proptest::collection::vec(any::<u8>(), 0..1100)
            .prop_map(|bytes| Declaration::File(Content::Bytes(bytes))),
        "[!-~]{1,130}".prop_map(|target| Declaration::Symlink(target.into_bytes())),
        (0_u32..4096, 0_u32..1 << 20).prop_map(|(major, minor)| Declaration::CharDevice(major, minor)),
        Just(Declaration::Fifo),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// What is declared is read back, and squashing it gives the same bytes.
    #[test]
    fn declared_read_and_squashed(
        declared in proptest::collection::btree_map(any_path(), (any_metadata(), any_declaration()), 0..12),
        links in proptest::collection::vec((any_path(), any::<proptest::sample::Index>()), 0..3),
    ) {
        let mut builder = Builder::default();
        for (path, (metadata, what)) in &declared {
            let blocked = path.ancestors().any(|above| {
                declared.get(above).is_some_and(|(_, what)| !matches!(what, Declaration::Directory))
            });
            if !blocked {
                builder.declare(path.clone(), metadata.clone(), what.clone()).unwrap();
            }
        }
        let files: Vec<EntryPath> = builder.paths().filter(|path| {
            matches!(builder.get(path), Some((_, Declaration::File(_))))
        }).cloned().collect();
        for (path, which) in links {
            let clash = builder.paths().any(|other| path.is_below(other) || other.is_below(&path) || *other == path);
            if !files.is_empty() && !clash {
                let target = files[which.index(files.len())].clone();
                builder.declare(path, Metadata::default(), Declaration::HardLink(target)).unwrap();
            }
        }
        builder.declare_parents(&Metadata::with_mode(0o755));

        let layer = bytes(&builder);
        let entries = read(&layer).unwrap();
        prop_assert!(entries.iter().map(|entry| &entry.path).eq(builder.paths()));
        for entry in &entries {
            let (metadata, what) = builder.get(&entry.path).unwrap();
            match what {
                Declaration::HardLink(_) => {}
                Declaration::Symlink(_) => prop_assert_eq!(entry.metadata.mtime, metadata.mtime),
                _ => prop_assert_eq!(&entry.metadata, metadata),
            }
        }
        let tree = Tree::merge(vec![Layer::new("layer", Arc::new(layer.clone()))]).unwrap();
        prop_assert!(layer::write_layer(&tree, Vec::new()).unwrap() == layer);
    }

    #[test]
    fn rubbish_is_refused_quietly(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(read(&bytes).is_err());
    }
}
