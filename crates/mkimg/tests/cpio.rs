//! cpio archives: what they look like, that they stay the same, and that damage is noticed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod skip;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use layer::{Builder, Content, Declaration, EntryPath, Layer, Metadata, Tree};
use mkimg::cpio::{Archive, Reader, Selection};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use skip::skip;

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

fn owned(mode: u32, uid: u32, gid: u32) -> Metadata {
    Metadata { uid, gid, mtime: 99, ..Metadata::with_mode(mode) }
}

fn file(text: &str) -> Declaration {
    Declaration::File(Content::Bytes(text.into()))
}

fn everything() -> Builder {
    let mut builder = Builder::default();
    let mut declare = |name: &str, metadata, what| builder.declare(path(name), metadata, what).unwrap();
    declare("init", owned(0o755, 0, 0), file("#!/bin/sh\n"));
    declare("usr", owned(0o755, 0, 0), Declaration::Directory);
    declare("usr/bin", owned(0o755, 0, 0), Declaration::Directory);
    declare("usr/bin/busybox", owned(0o4755, 0, 0), file("busy"));
    declare("usr/bin/ls", owned(0, 0, 0), Declaration::HardLink(path("usr/bin/busybox")));
    declare("usr/bin/sh", owned(0, 0, 0), Declaration::HardLink(path("usr/bin/busybox")));
    declare("bin", owned(0o777, 0, 0), Declaration::Symlink(b"usr/bin".to_vec()));
    declare("dev/console", owned(0o600, 0, 5), Declaration::CharDevice(5, 1));
    declare("dev/vda", owned(0o660, 0, 6), Declaration::BlockDevice(254, 0));
    declare("run/pipe", owned(0o600, 1000, 1000), Declaration::Fifo);
    declare("empty", owned(0o644, 0, 0), file(""));
    builder
}

fn tree(builder: &Builder) -> Tree {
    Tree::merge(vec![Layer::new("layer", Arc::new(builder.write(Vec::new()).unwrap()))]).unwrap()
}

fn archive_of(builder: &Builder, include: &[&str], exclude: &[&str]) -> Result<Vec<u8>, mkimg::cpio::Error> {
    let own = |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let tree = tree(builder);
    let archive = Archive::plan(&tree, &Selection::new(&own(include), &own(exclude)), 1_700_000_000)?;
    let mut bytes = Vec::new();
    archive.write(&mut bytes)?;
    assert_eq!(bytes.len() as u64, archive.size());
    Ok(bytes)
}

fn archive(builder: &Builder) -> Vec<u8> {
    archive_of(builder, &[], &[]).unwrap()
}

fn dump(bytes: &[u8]) -> Result<String, mkimg::cpio::ReadError> {
    let mut reader = Reader::new(bytes);
    let mut text = String::new();
    loop {
        let mut content = Vec::new();
        match reader.next_record(&mut |_, bytes| content.extend_from_slice(bytes))? {
            None => return Ok(text),
            Some(record) if content.is_empty() => writeln!(text, "{record}").unwrap(),
            Some(record) => writeln!(text, "{record} \"{}\"", content.escape_ascii()).unwrap(),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

const TRAILER: &str = "?       0000 0:0 0 TRAILER!!! inode=0 links=1\n";

#[test]
fn everything_as_text() {
    let expected = r##"symlink 0777 0:0 1700000000 bin inode=1 links=1 size=7 "usr/bin"
dir     0755 0:0 1700000000 dev inode=2 links=2
char    0600 0:5 1700000000 dev/console inode=3 links=1 device=5:1
block   0660 0:6 1700000000 dev/vda inode=4 links=1 device=254:0
file    0644 0:0 1700000000 empty inode=5 links=1
file    0755 0:0 1700000000 init inode=6 links=1 size=10 "#!/bin/sh\n"
dir     0755 0:0 1700000000 run inode=7 links=2
fifo    0600 1000:1000 1700000000 run/pipe inode=8 links=1
dir     0755 0:0 1700000000 usr inode=9 links=2
dir     0755 0:0 1700000000 usr/bin inode=10 links=2
file    4755 0:0 1700000000 usr/bin/busybox inode=11 links=3
file    4755 0:0 1700000000 usr/bin/ls inode=11 links=3
file    4755 0:0 1700000000 usr/bin/sh inode=11 links=3 size=4 "busy"
"##;
    assert_eq!(dump(&archive(&everything())).unwrap(), expected.to_owned() + TRAILER);
}

#[test]
fn the_digest_never_changes() {
    assert_eq!(
        sha256(&archive(&everything())),
        "f6fd2f00206e7a7ff3f2f2a717380fb0d6a605212c9f2b0424b5fcf3d2281b4d"
    );
}

#[test]
fn gnu_cpio_lists_it() {
    let started = Command::new("cpio")
        .args(["--list", "--verbose", "--numeric-uid-gid"])
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut cpio) = started else {
        return skip("cpio");
    };
    cpio.stdin.take().unwrap().write_all(&archive(&everything())).unwrap();
    let output = cpio.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in ["bin -> usr/bin", "dev/console", "usr/bin/sh", "run/pipe"] {
        assert!(listing.contains(name), "no `{name}` in\n{listing}");
    }
}

#[test]
fn globs_choose_and_bring_what_is_above() {
    let lines = |include: &[&str], exclude: &[&str]| {
        dump(&archive_of(&everything(), include, exclude).unwrap()).unwrap()
    };
    assert_eq!(
        lines(&["usr/bin/s*", "dev"], &["**/vda"]),
        r#"dir     0755 0:0 1700000000 dev inode=1 links=2
char    0600 0:5 1700000000 dev/console inode=2 links=1 device=5:1
dir     0755 0:0 1700000000 usr inode=3 links=2
dir     0755 0:0 1700000000 usr/bin inode=4 links=2
file    4755 0:0 1700000000 usr/bin/sh inode=5 links=1 size=4 "busy"
"#
        .to_owned()
            + TRAILER
    );
    let error = archive_of(&everything(), &["init", "*.ko"], &[]).unwrap_err();
    assert_eq!(error.to_string(), "nothing in the layers matches `*.ko`");
}

#[test]
fn archives_follow_each_other() {
    let one = archive_of(&everything(), &["init"], &[]).unwrap();
    let both = [one.clone(), vec![0; 8], archive_of(&everything(), &["empty"], &[]).unwrap()].concat();
    let text = dump(&both).unwrap();
    assert_eq!(text.matches("TRAILER!!!").count(), 2);
    assert!(text.contains(" init ") && text.contains(" empty "));
}

#[test]
fn every_field_reaches_the_digest() {
    let with = |name: &str, metadata: Metadata, what: Declaration| {
        let mut builder = Builder::default();
        builder.declare(path(name), metadata, what).unwrap();
        sha256(&archive(&builder))
    };
    let digests = [
        with("f", owned(0o644, 0, 0), file("a")),
        with("g", owned(0o644, 0, 0), file("a")),
        with("f", owned(0o645, 0, 0), file("a")),
        with("f", owned(0o644, 1, 0), file("a")),
        with("f", owned(0o644, 0, 1), file("a")),
        with("f", owned(0o644, 0, 0), file("b")),
        with("f", owned(0o644, 0, 0), file("")),
        with("f", owned(0o644, 0, 0), Declaration::Directory),
        with("f", owned(0o644, 0, 0), Declaration::Fifo),
        with("f", owned(0o644, 0, 0), Declaration::Symlink(b"a".to_vec())),
        with("f", owned(0o644, 0, 0), Declaration::CharDevice(1, 2)),
        with("f", owned(0o644, 0, 0), Declaration::CharDevice(1, 3)),
        with("f", owned(0o644, 0, 0), Declaration::CharDevice(2, 2)),
        with("f", owned(0o644, 0, 0), Declaration::BlockDevice(1, 2)),
    ];
    assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len());
    let tree = tree(&everything());
    let of_epoch = |epoch| {
        let mut bytes = Vec::new();
        Archive::plan(&tree, &Selection::default(), epoch).unwrap().write(&mut bytes).unwrap();
        bytes
    };
    assert_ne!(of_epoch(1), of_epoch(2));
    assert!(Archive::plan(&tree, &Selection::default(), 1 << 32).is_err());
}

#[test]
fn damage_is_noticed_or_changes_what_is_read() {
    let bytes = archive(&everything());
    let text = dump(&bytes).unwrap();
    let end = bytes.windows(10).position(|window| window == b"TRAILER!!!").unwrap();
    for length in (0..end).step_by(7) {
        assert!(
            length == 0
                || dump(&bytes[..length]).is_err()
                || !dump(&bytes[..length]).unwrap().contains("TRAILER")
        );
    }
    for at in 0..end {
        let mut damaged = bytes.clone();
        damaged[at] = b'!';
        // The fields for the device that holds the file are of no interest.
        if let Ok(read) = dump(&damaged) {
            assert!(read != text || bytes[at] == b'!', "byte {at}");
        }
    }
}

#[test]
fn lies_are_refused() {
    let check = |at: usize, field: &str, expected: &str| {
        let mut bytes = archive_of(&everything(), &["init"], &[]).unwrap();
        bytes[at..at + field.len()].copy_from_slice(field.as_bytes());
        assert_eq!(dump(&bytes).unwrap_err().to_string(), expected);
    };
    check(0, "070702", "the archive has no valid entry at byte 0: the magic number is not 070701");
    check(6, "0000000g", "the archive has no valid entry at byte 0: a field is not hexadecimal");
    check(14, "00000000", "the archive has no valid entry at byte 0: the type of the file is unknown");
    check(14, "000041ed", "the archive has no valid entry at byte 0: something that is no file has contents");
    check(54, "ffffffff", "the archive is cut off at byte 512");
    check(
        94,
        "ffffffff",
        "the archive has no valid entry at byte 0: the name is empty or longer than 4096 bytes",
    );
    check(
        94,
        "00000003",
        "the archive has no valid entry at byte 0: the name does not end with its NUL byte",
    );
    check(
        102,
        "00000001",
        "the archive has no valid entry at byte 0: the format without checksums has a checksum",
    );
}

/// An entry of which every field can be a lie: type and permissions, name, what the header says of the contents'
/// size, and the contents.
fn record(mode: u32, name: &[u8], size: u32, content: &[u8]) -> Vec<u8> {
    record_with(&[], mode, name, size, content)
}

/// As [`record`], with other values for some of the thirteen fields of the header.
fn record_with(others: &[(usize, u32)], mode: u32, name: &[u8], size: u32, content: &[u8]) -> Vec<u8> {
    let mut fields = [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    for (field, value) in others {
        fields[*field] = *value;
    }
    let mut bytes = b"070701".to_vec();
    bytes.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
    bytes.extend_from_slice(&[name, b"\0"].concat());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

const FILE: u32 = 0o100_644;

#[test]
fn hostile_archives_are_refused() {
    let trailer = record(0, b"TRAILER!!!", 0, b"");
    let damaged = |at: usize, bytes: &[u8]| {
        let mut record = record(FILE, b"f", 1, b"x");
        record[at..at + bytes.len()].copy_from_slice(bytes);
        record
    };
    let no_entry = "the archive has no valid entry at byte 0: ";
    let refused = [
        ("the old binary format", [&[0xc7, 0x71][..], &[1; 200]].concat(), "the magic number"),
        ("the old text format", damaged(0, b"070707"), "the magic number"),
        ("checksums of contents", damaged(0, b"070702"), "the magic number"),
        ("a field with a sign", damaged(6, b"-0000001"), "not hexadecimal"),
        ("a field with blanks", damaged(6, b"       1"), "not hexadecimal"),
        ("a field with a prefix", damaged(6, b"0x000001"), "not hexadecimal"),
        ("a field that is not ASCII", damaged(6, &[0xff; 8]), "not hexadecimal"),
        ("a checksum", record_with(&[(12, 1)], FILE, b"f", 0, b""), "has a checksum"),
        ("no name", record_with(&[(11, 0)], FILE, b"f", 0, b""), "the name is empty or longer"),
        ("an empty name", record(FILE, b"", 0, b""), "the name does not end"),
        ("a name without end", record_with(&[(11, 4097)], FILE, b"f", 0, b""), "the name is empty or longer"),
        (
            "a name of all bytes",
            record_with(&[(11, u32::MAX)], FILE, b"f", 0, b""),
            "the name is empty or longer",
        ),
        ("a name that ends early", record(FILE, b"a\0/../b", 0, b""), "the name does not end"),
        ("a name without NUL", record_with(&[(11, 1)], FILE, b"f", 0, b""), "the name does not end"),
        ("padding with something in it", damaged(112 + 1, b"!"), "padding"),
        ("contents that are not there", record(FILE, b"f", u32::MAX, b"x"), "cut off"),
        ("contents of a directory", record(0o040_755, b"d", 4, b"abcd"), "contents"),
        ("contents of a device", record(0o060_600, b"d", 4, b"abcd"), "contents"),
        ("a socket", record(0o140_644, b"s", 0, b""), "type of the file"),
        ("no type", record(0o644, b"s", 0, b""), "type of the file"),
        ("cut off in a header", record(FILE, b"f", 0, b"")[..60].to_vec(), "cut off"),
        ("cut off in a name", record(FILE, &[b'n'; 100], 0, b"")[..150].to_vec(), "cut off"),
        ("rubbish between archives", [&trailer[..], b"\0\0\0\0rubb"].concat(), "cut off"),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, expected) in refused {
        match dump(&bytes).map_err(|error| error.to_string()) {
            Err(text) if text.contains(expected) => {}
            outcome => wrong.push(format!("{name}: {outcome:?} instead of `{no_entry}…{expected}`")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_names_are_only_names() {
    // The reader tells what is in an archive and writes nothing, so that none of these does harm; and no name
    // makes the terminal of whoever reads the list do things.
    let trailer = record(0, b"TRAILER!!!", 0, b"");
    for (name, bytes, expected) in [
        ("`..`", record(FILE, b"../../etc/passwd", 0, b""), " ../../etc/passwd "),
        ("an absolute path", record(FILE, b"/etc/passwd", 0, b""), " /etc/passwd "),
        ("a link to outside", record(0o120_777, b"l", 4, b"/etc"), "\"/etc\""),
        ("set-id bits", record(0o106_755, b"su", 0, b""), "6755"),
        ("a device", record_with(&[(9, 8)], 0o060_600, b"sda", 0, b""), "device=8:0"),
        ("an overlay's whiteout", record(0o020_000, b"passwd", 0, b""), "device=0:0"),
        ("escape sequences", record(FILE, b"\x1b]0;owned\x07", 0, b""), " \\x1b]0;owned\\x07 "),
        ("a line break", record(FILE, b"a\nfile 0755 /b", 0, b""), " a\\nfile 0755 /b "),
        (
            "as many links as there are numbers",
            record_with(&[(4, u32::MAX)], FILE, b"f", 0, b""),
            "links=4294967295",
        ),
        ("a trailer with contents", record(FILE, b"TRAILER!!!", 4, b"abcd"), "TRAILER!!!"),
        ("entries behind the trailer", [&trailer[..], &record(FILE, b"late", 0, b"")].concat(), " late "),
        (
            "the same name twice",
            [record(FILE, b"f", 0, b""), record(0o120_777, b"f", 1, b"/")].concat(),
            " f ",
        ),
        (
            "names that differ in case",
            [record(FILE, b"F", 0, b""), record(FILE, b"f", 0, b"")].concat(),
            " F ",
        ),
    ] {
        let text = dump(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(expected), "{name}: {text}");
    }
    let many: Vec<u8> =
        (0..100_000).flat_map(|idx| record(FILE, format!("{idx}").as_bytes(), 0, b"")).collect();
    assert_eq!(dump(&many).unwrap().lines().count(), 100_000);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn what_is_written_is_read_back(
        files in proptest::collection::btree_map(
            "[a-z]{1,3}(/[a-z]{1,40}){0,2}",
            (0_u32..=0o7777, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..50)),
            0..8,
        ),
    ) {
        let mut builder = Builder::default();
        for (name, (mode, uid, bytes)) in &files {
            let name = path(name);
            let is_blocked = builder.paths().any(|other| name.is_below(other) || other.is_below(&name));
            if !is_blocked {
                let content = Declaration::File(Content::Bytes(bytes.clone()));
                builder.declare(name, owned(*mode, *uid, 0), content).unwrap();
            }
        }
        let archive = archive(&builder);
        prop_assert_eq!(archive.len() % 512, 0);
        let mut reader = Reader::new(&archive[..]);
        let mut n_files = 0;
        loop {
            let mut content = Vec::new();
            let Some(record) = reader.next_record(&mut |_, part| content.extend_from_slice(part)).unwrap() else { break };
            if let Some((mode, uid, bytes)) = std::str::from_utf8(&record.name).ok().and_then(|name| files.get(name)) {
                prop_assert_eq!((record.mode & 0o7777, record.uid, &content), (*mode, *uid, bytes));
                n_files += 1;
            }
        }
        prop_assert_eq!(n_files, builder.paths().count());
    }

    #[test]
    fn rubbish_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), magic in any::<bool>()) {
        if magic && bytes.len() > 6 {
            bytes[..6].copy_from_slice(b"070701");
        }
        let _ = dump(&bytes);
    }
}
