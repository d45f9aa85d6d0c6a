//! Archives of other people: what is understood, and what harm is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fmt::Write as _;
use std::io::Read;
use std::process::Command;

use layer::{ForeignError, ForeignReader, Limits};
use proptest::prelude::*;

/// Reads everything and renders it.
fn read(archive: &[u8]) -> Result<String, ForeignError> {
    read_within(archive, Limits::default())
}

fn read_within(archive: &[u8], limits: Limits) -> Result<String, ForeignError> {
    let mut reader = ForeignReader::new(archive, limits);
    let mut text = String::new();
    let mut turn = false;
    while let Some((entry, mut content)) = reader.next_entry()? {
        writeln!(text, "{entry}").unwrap();
        turn = !turn;
        if turn {
            // Every other entry's contents stay unread, or are read in part.
            let _ = content.by_ref().take(700).read_to_end(&mut Vec::new());
        }
    }
    Ok(text)
}

/// A header with these fields and a right checksum, then contents with padding.
fn entry(name: &str, typeflag: u8, link: &str, content: &[u8]) -> Vec<u8> {
    raw(name.as_bytes(), typeflag, link.as_bytes(), content.len() as u64, content, b"ustar\x0000")
}

fn raw(name: &[u8], typeflag: u8, link: &[u8], size: u64, content: &[u8], magic: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0000000");
    block[116..123].copy_from_slice(b"0000000");
    if size < 1 << 33 {
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    } else {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..147].copy_from_slice(b"00000000000");
    block[156] = typeflag;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..257 + magic.len()].copy_from_slice(magic);
    seal(&mut block);
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut data = String::new();
    for (keyword, value) in records {
        let rest = keyword.len() + value.len() + 3;
        let length = (rest + 1..).find(|length| *length == rest + length.to_string().len()).unwrap();
        writeln!(data, "{length} {keyword}={value}").unwrap();
    }
    entry("PaxHeaders/x", b'x', "", data.as_bytes())
}

#[track_caller]
fn check(entries: &[Vec<u8>], expected: &str) {
    assert_eq!(read(&archive(entries)).unwrap().trim_end(), expected);
}

#[track_caller]
fn refused(entries: &[Vec<u8>], expected: &str) {
    let error = read(&archive(entries)).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        write!(text, ": {cause}").unwrap();
        source = cause.source();
    }
    assert_eq!(text, expected);
}

#[test]
fn names_are_tidied_and_the_root_is_left_out() {
    check(
        &[
            entry("./", b'5', "", b""),
            entry("./usr//bin/", b'5', "", b""),
            entry("./usr/bin/x", b'0', "", b"1"),
        ],
        "dir     0644 0:0 0 usr/bin\nfile    0644 0:0 0 usr/bin/x size=1",
    );
}

#[test]
fn old_archives_are_understood() {
    check(
        &[
            raw(b"d/", 0, b"", 0, b"", b""),
            raw(b"d/f", 0, b"", 3, b"abc", b""),
            // The size in a link's header is the file's.
            raw(b"d/g", b'1', b"d/f", 3, b"", b""),
        ],
        "dir     0644 0:0 0 d\nfile    0644 0:0 0 d/f size=3\nlink    0644 0:0 0 d/g = d/f",
    );
}

#[test]
fn gnu_names_are_understood() {
    let name = "n".repeat(60) + "/" + &"m".repeat(200);
    let gnu = |name: &str, typeflag, content: &str| {
        raw(name.as_bytes(), typeflag, b"", content.len() as u64, content.as_bytes(), b"ustar  \0")
    };
    let long = name.clone() + "\0";
    check(
        &[gnu("././@LongLink", b'L', &long), gnu("nnn", b'0', "x")],
        &format!("file    0644 0:0 0 {name} size=1"),
    );
    check(
        &[gnu("././@LongLink", b'K', &long), gnu("l", b'2', "")],
        &format!("symlink 0777 0:0 0 l -> {name}"),
    );
}

#[test]
fn the_tar_crate_writes_what_we_read() {
    let mut builder = tar::Builder::new(Vec::new());
    let name = "d/".repeat(80) + "file";
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o750);
    header.set_uid(3_000_000);
    header.set_mtime(1 << 34);
    header.set_size(5);
    builder.append_data(&mut header, &name, &b"hello"[..]).unwrap();
    let archive = builder.into_inner().unwrap();
    assert_eq!(
        read(&archive).unwrap().trim_end(),
        format!("file    0750 3000000:0 17179869184 {name} size=5")
    );
}

#[test]
fn extended_headers_are_understood() {
    check(
        &[
            pax(&[
                ("path", "long"),
                ("uid", "4000000000"),
                ("mtime", "-1.5"),
                ("SCHILY.xattr.user.a", "b=c\nd"),
                ("comment", "x"),
            ]),
            entry("short", b'0', "", b"abc"),
            entry("next", b'0', "", b""),
        ],
        "file    0644 4000000000:0 -2 long size=3\n        user.a=\"b=c\\nd\"\nfile    0644 0:0 0 next size=0",
    );
    check(
        &[pax(&[("size", "3")]), raw(b"f", b'0', b"", 0, b"abc", b"ustar\x0000"), entry("g", b'0', "", b"")],
        "file    0644 0:0 0 f size=3\nfile    0644 0:0 0 g size=0",
    );
    let global = |records: &[(&str, &str)]| {
        let mut blocks = pax(records);
        blocks[156] = b'g';
        seal(&mut blocks);
        blocks
    };
    check(
        &[global(&[("gid", "7"), ("comment", "c0ffee")]), entry("f", b'0', "", b"")],
        "file    0644 0:7 0 f size=0",
    );
}

#[test]
fn host_tar_archives_are_understood_in_every_format() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("d")).unwrap();
    std::fs::write(root.join("d/f"), "hello").unwrap();
    std::fs::hard_link(root.join("d/f"), root.join("d/g")).unwrap();
    std::os::unix::fs::symlink("f", root.join("d/s")).unwrap();
    std::fs::hard_link(root.join("d/s"), root.join("d/t")).unwrap();
    let long = "l".repeat(140);
    std::fs::write(root.join(&long), "long").unwrap();
    for format in ["gnu", "oldgnu", "pax", "posix"] {
        let command = Command::new("tar")
            .args(["--owner=0", "--group=0", "--mtime=@5", "--sort=name", "--mode=0755", "-c", "-C"])
            .arg(&root)
            .args(["-H", format, "."])
            .output();
        let Ok(output) = command else {
            eprintln!("skipped: this host has no `tar`");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            read(&output.stdout).unwrap(),
            format!(
                "dir     0755 0:0 5 d\nfile    0755 0:0 5 d/f size=5\nlink    0755 0:0 5 d/g = d/f\n\
                 symlink 0777 0:0 5 d/s -> f\nsymlink 0777 0:0 5 d/t -> f\nfile    0755 0:0 5 {long} size=4\n"
            ),
            "{format}"
        );
    }
}

#[test]
fn paths_out_of_the_tree_are_refused() {
    let outside = "the archive has a path that leaves the tree: ";
    let file = |name: &str| entry(name, b'0', "", b"");
    refused(
        &[file("/etc/passwd")],
        &format!("{outside}`/etc/passwd` is not a path inside the tree: it is absolute"),
    );
    refused(
        &[file("a/../../b")],
        &format!("{outside}`a/../../b` is not a path inside the tree: it has a component `..`"),
    );
    refused(
        &[pax(&[("path", "../x")]), file("innocent")],
        &format!("{outside}`../x` is not a path inside the tree: it has a component `..`"),
    );
    refused(
        &[entry("l", b'1', "../../etc/shadow", b"")],
        &format!("{outside}`../../etc/shadow` is not a path inside the tree: it has a component `..`"),
    );
    refused(
        &[entry("l", b'1', "/etc/shadow", b"")],
        &format!("{outside}`/etc/shadow` is not a path inside the tree: it is absolute"),
    );
}

#[test]
fn writing_through_a_link_is_refused() {
    refused(
        &[entry("d", b'2', "/etc", b""), entry("d/passwd", b'0', "", b"root")],
        "`d/passwd` lies below `d`, which is not a directory",
    );
    refused(&[entry("d/x", b'0', "", b""), entry("d", b'2', "/etc", b"")], "`d` is in the archive twice");
    refused(
        &[entry("s", b'2', "/etc", b""), entry("l", b'1', "s", b""), entry("l/passwd", b'0', "", b"root")],
        "`l/passwd` lies below `l`, which is not a directory",
    );
    refused(
        &[entry("p", b'6', "", b""), entry("l", b'1', "p", b"")],
        "the hard link `l` points to `p`, which is no file that comes before it in the archive",
    );
    refused(
        &[entry("l", b'1', "f", b""), entry("f", b'0', "", b"")],
        "the hard link `l` points to `f`, which is no file that comes before it in the archive",
    );
    refused(&[entry("f", b'0', "", b"1"), entry("./f", b'0', "", b"2")], "`f` is in the archive twice");
}

#[test]
fn further_names_of_a_symbolic_link_are_symbolic_links() {
    check(
        &[
            pax(&[("SCHILY.xattr.trusted.a", "b"), ("mtime", "7")]),
            entry("s", b'2', "x", b""),
            entry("t", b'1', "s", b""),
            entry("u", b'1', "t", b""),
        ],
        "symlink 0777 0:0 7 s -> x\n        trusted.a=\"b\"\nsymlink 0777 0:0 7 t -> x\n        trusted.a=\"b\"\n\
         symlink 0777 0:0 7 u -> x\n        trusted.a=\"b\"",
    );
    let limits = Limits { paths: 100, metadata_bytes: 10_000 };
    let links = (0..50).map(|idx| entry(&format!("l{idx}"), b'1', "s", b""));
    let long = pax(&[("linkpath", &"x".repeat(300))]);
    let many: Vec<_> = [long, entry("s", b'2', "", b"")].into_iter().chain(links).collect();
    let error = read_within(&archive(&many), limits).unwrap_err();
    assert_eq!(error.to_string(), "the archive has more than 10000 bytes of names and attributes");
}

#[test]
fn directories_may_come_again() {
    let again = |mode: &[u8; 7]| {
        let mut block = entry("./d/", b'5', "", b"");
        block[100..107].copy_from_slice(mode);
        seal(&mut block);
        block
    };
    check(
        &[again(b"0000755"), entry("d/f", b'0', "", b""), again(b"0000700")],
        "dir     0755 0:0 0 d\nfile    0644 0:0 0 d/f size=0\ndir     0700 0:0 0 d",
    );
    refused(&[again(b"0000755"), entry("d", b'0', "", b"")], "`d` is in the archive twice");
    refused(&[entry("d", b'2', "x", b""), again(b"0000755")], "`d` is in the archive twice");
    let limits = Limits { paths: 100, ..Limits::default() };
    let error = read_within(&archive(&vec![again(b"0000755"); 101]), limits).unwrap_err();
    assert_eq!(error.to_string(), "the archive has more than 100 paths");
}

#[test]
fn what_is_not_supported_is_said() {
    refused(&[entry("f", b'S', "", b"")], "`f` is a sparse file, which is not supported");
    refused(
        &[pax(&[("GNU.sparse.major", "1")]), entry("f", b'0', "", b"")],
        "`f` is a sparse file, which is not supported",
    );
    refused(&[entry("v", b'V', "", b"")], "`v` is a part of a multi-volume archive, which is not supported");
    refused(&[entry("q", b'?', "", b"")], "`q` is an entry of type `?`, which is not supported");
    refused(
        &[entry(".wh.x", b'0', "", b"")],
        "the archive has an entry that no file system can hold: \
         `.wh.x` cannot be stored: names that start with `.wh.` mean removed files",
    );
}

#[test]
fn lies_about_sizes_are_refused() {
    let huge = |size| raw(b"f", b'0', b"", size, b"", b"ustar\x0000");
    refused(&[huge(1 << 40)], "the archive is cut off at byte 1536");
    refused(&[huge(u64::MAX)], "`f` has a size that does not fit: 18446744073709551615");
    refused(
        &[pax(&[("size", "18446744073709551616")]), entry("f", b'0', "", b"")],
        "the archive has no valid entry at byte 1536: the extended header's `size` has no usable value",
    );
    refused(
        &[raw(b"x", b'x', b"", 1 << 40, b"", b"ustar\x0000")],
        "the archive has no valid entry at byte 512: an extended header of 1099511627776 bytes is too large",
    );
    refused(
        &[raw(b"x", b'L', b"", u64::MAX, b"", b"ustar  \0")],
        "the archive has no valid entry at byte 512: an extended header of 18446744073709551615 bytes is too large",
    );
    refused(&[entry("d", b'5', "", b"abc")], "`d` is not a file and yet has 3 bytes of contents");
    refused(
        &[entry("x", b'x', "", b"99 path=a\n"), entry("f", b'0', "", b"")],
        "the archive has no valid entry at byte 1024: the extended header is malformed at byte 0",
    );
    refused(&[pax(&[("path", "x")])], "the archive is cut off at byte 1536");
}

#[test]
fn contents_that_are_cut_off_are_an_error_for_who_reads_them() {
    let archive = entry("f", b'0', "", b"abc");
    let mut reader = ForeignReader::new(&archive[..514], Limits::default());
    let (_, mut content) = reader.next_entry().unwrap().unwrap();
    assert!(content.read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn memory_is_limited_whatever_the_archive_says() {
    let limits = Limits { paths: 100, metadata_bytes: 10_000 };
    let many: Vec<_> = (0..200).map(|idx| entry(&format!("f{idx}"), b'0', "", b"")).collect();
    let error = read_within(&archive(&many), limits).unwrap_err();
    assert_eq!(error.to_string(), "the archive has more than 100 paths");

    let deep = pax(&[("path", &("a/".repeat(150) + "f"))]);
    let error = read_within(&archive(&[deep, entry("f", b'0', "", b"")]), limits).unwrap_err();
    assert!(matches!(error, ForeignError::Limit { .. }));

    let fat: Vec<_> = (0..20)
        .flat_map(|idx| {
            [pax(&[("SCHILY.xattr.user.a", &"v".repeat(1000))]), entry(&format!("f{idx}"), b'0', "", b"")]
        })
        .collect();
    let error = read_within(&archive(&fat), limits).unwrap_err();
    assert_eq!(error.to_string(), "the archive has more than 10000 bytes of names and attributes");
}

#[test]
fn each_link_counts_the_attributes_of_its_file() {
    let limits = Limits { paths: 100, metadata_bytes: 10_000 };
    let of = |n_links: usize| {
        let attribute = pax(&[("SCHILY.xattr.user.a", &"v".repeat(1000))]);
        // Each is a link to the one before it, so that all of them are names of one file.
        let links = (1..=n_links).map(|idx| entry(&format!("f{idx}"), b'1', &format!("f{}", idx - 1), b""));
        let entries: Vec<_> = [attribute, entry("f0", b'0', "", b"")].into_iter().chain(links).collect();
        read_within(&archive(&entries), limits)
    };
    assert!(of(8).is_ok());
    let error = of(9).unwrap_err();
    assert_eq!(error.to_string(), "the archive has more than 10000 bytes of names and attributes");
}

#[test]
fn only_what_is_understood_of_global_records_is_kept() {
    let global = |records: &[(&str, &str)]| {
        let mut block = pax(records);
        block[156] = b'g';
        seal(&mut block);
        block
    };
    // Looking through all of these for each entry would take minutes.
    let keywords: Vec<String> = (0..50_000).map(|idx| format!("k{idx}")).collect();
    let mut records: Vec<(&str, &str)> = keywords.iter().map(|keyword| (&keyword[..], "")).collect();
    records.push(("mtime", "7"));
    let files = (0..10_000).map(|idx| entry(&format!("f{idx}"), b'0', "", b""));
    let entries: Vec<_> = std::iter::once(global(&records)).chain(files).collect();
    let text = read(&archive(&entries)).unwrap();
    assert_eq!(text.lines().next(), Some("file    0644 0:0 7 f0 size=0"));
    assert_eq!(text.lines().count(), 10_000);

    refused(
        &[global(&[("path", &"a/".repeat(3000))]), entry("f", b'0', "", b"")],
        "the archive has no valid entry at byte 6656: the extended header's `path` has no usable value",
    );
    refused(
        &[global(&[("GNU.sparse.major", "1")]), entry("f", b'0', "", b"")],
        "`f` is a sparse file, which is not supported",
    );
}

/// Produces an endless archive without holding it.
struct Endless {
    block: Vec<u8>,
    left: usize,
    number: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            self.number += 1;
            self.block[..10].copy_from_slice(format!("f{:09}", self.number).as_bytes());
            seal(&mut self.block);
            self.left = 512;
        }
        let n = buffer.len().min(self.left);
        buffer[..n].copy_from_slice(&self.block[512 - self.left..][..n]);
        self.left -= n;
        Ok(n)
    }
}

#[test]
fn an_archive_without_end_is_an_error() {
    // A tenth of the default limit, to be quick.
    let limits = Limits { paths: 100_000, ..Limits::default() };
    let mut reader =
        ForeignReader::new(Endless { block: entry("", b'0', "", b""), left: 0, number: 0 }, limits);
    let error = loop {
        match reader.next_entry() {
            Ok(next) => assert!(next.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "the archive has more than 100000 paths");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn damage_never_panics(
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        length in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = archive(&[
            entry("d/", b'5', "", b""),
            pax(&[("path", "d/long"), ("SCHILY.xattr.user.a", "b")]),
            entry("x", b'0', "", b"contents"),
            raw(b"././@LongLink", b'L', b"", 4, b"d/g\0", b"ustar  \0"),
            entry("y", b'1', "d/long", b""),
            entry("dev", b'3', "", b""),
        ]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let header = at / 512 * 512;
        if bytes[header + 257..].starts_with(b"ustar") {
            seal(&mut bytes[header..]);
        }
        let _ = read(&bytes);
        bytes.truncate(length.index(bytes.len()));
        let _ = read(&bytes);
    }
}
