//! What squashfs-tools think of the images, and what the reader thinks of theirs.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};

use mkimg::squashfs::{Compression, Fragments, Options};

use crate::support::{compressions, content, dump, everything, options, read, scratch, text, tool};

/// What `unsquashfs` lists of one of everything, but for the files in `/many`. It takes the number of device 259:300
/// apart as if minor numbers had eight bits; kernels do not.
const LISTED: &str = "\
drwxr-xr-x 0/0 2023-11-14 22:13
drwxr-xr-x 0/0 2023-11-14 22:13 /attributed
lrwxrwxrwx 0/0 7 2023-11-14 22:13 /attributed-link -> nowhere
drwxr-xr-x 0/0 2023-11-14 22:13 /bin
-rw-r--r-- 0/0 54000 2023-11-14 22:13 /bin/code
-rw-r--r-- 0/0 21 2023-11-14 22:13 /bin/first
-rw-r--r-- 0/0 3000 2023-11-14 22:13 /bin/ping
-rw-r--r-- 0/0 21 2023-11-14 22:13 /bin/second
drwxr-xr-x 0/0 2023-11-14 22:13 /dev
crw--w---- 70000/80000 5, 1 2023-11-14 22:13 /dev/console
srw-rw-rw- 0/0 0 2023-11-14 22:13 /dev/log
brw--w---- 70000/80000 4355, 44 2023-11-14 22:13 /dev/nvme
prw------- 0/0 0 2023-11-14 22:13 /dev/pipe
";

#[test]
fn unsquashfs_sees_what_was_declared() {
    for compression in compressions() {
        for fragments in [Fragments::None, Fragments::Small, Fragments::All] {
            let directory = scratch();
            let with = Options { fragments, ..options(compression.clone()) };
            let bytes = everything(with).bytes();
            fs::write(directory.path().join("image"), &bytes).unwrap();
            let Some(said) = tool("unsquashfs", directory.path(), &["-lln", "image"]) else { return };
            let said = String::from_utf8_lossy(&said).into_owned();
            let squeeze = |line: &str| {
                line.replace("squashfs-root", "").split_whitespace().collect::<Vec<_>>().join(" ")
            };
            let lines: Vec<String> = said.lines().map(squeeze).collect();
            for expected in LISTED.lines() {
                let expected = squeeze(expected);
                // The size of directories is that of their listings.
                let is_it = |line: &String| {
                    let words: Vec<&str> = line.split(' ').collect();
                    *line == expected
                        || line.starts_with('d') && [&words[..2], &words[3..]].concat().join(" ") == expected
                };
                assert!(lines.iter().any(is_it), "{compression:?}: no `{expected}` in {said}");
            }
            let reader = read(bytes);
            for path in [
                "etc/text",
                "etc/same",
                "etc/one",
                "etc/empty",
                "holes",
                "hole",
                "bin/code",
                "many/file number 999",
            ] {
                let said = tool("unsquashfs", directory.path(), &["-cat", "image", path]).unwrap();
                assert!(said == content(&reader, path), "{compression:?} {path}");
            }
        }
    }
}

#[test]
fn unsquashfs_agrees_about_the_superblock() {
    let directory = scratch();
    let said = |compression: Compression| {
        fs::write(directory.path().join("image"), everything(options(compression)).bytes()).unwrap();
        let said = tool("unsquashfs", directory.path(), &["-stat", "image"])?;
        Some(String::from_utf8_lossy(&said).into_owned())
    };
    let Some(gzip) = said(Compression::gzip(Some(12)).unwrap()) else { return };
    for expected in [
        "Found a valid SQUASHFS 4:0 superblock on image.\n",
        "Creation or last append time Tue Nov 14 22:13:20 2023\n",
        "Compression gzip\n",
        "Block size 4096\n",
        "Filesystem is exportable via NFS\n",
        "Duplicates are removed\n",
        "Number of ids 3\n",
        "Number of xattr ids 5\n",
    ] {
        assert!(gzip.contains(expected), "no `{expected}` in {gzip}");
    }
    assert!(said(Compression::Lz4 { high: true }).unwrap().contains("High Compression option specified"));
    let filters = [mkimg::squashfs::Bcj::X86, mkimg::squashfs::Bcj::Arm, mkimg::squashfs::Bcj::ArmThumb];
    assert!(said(Compression::xz(filters)).unwrap().contains("Filters selected: x86, arm, armthumb\n"));
    assert!(said(Compression::zstd(Some(19)).unwrap()).unwrap().contains("compression-level 19\n"));
}

#[test]
fn the_reader_takes_images_of_mksquashfs() {
    let directory = scratch();
    let root = directory.path().join("root");
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::write(root.join("deep/text"), text(700_000, 1)).unwrap();
    fs::write(root.join("deep/er/small"), b"small").unwrap();
    fs::hard_link(root.join("deep/er/small"), root.join("hard")).unwrap();
    symlink("deep/text", root.join("link")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.write_all_at(b"end", 1 << 20).unwrap();
    for index in 0..2000 {
        fs::write(root.join(format!("many-{index}")), index.to_string()).unwrap();
    }
    for (name, more) in [
        ("gzip", &["-Xcompression-level", "1"][..]),
        ("lz4", &["-Xhc"]),
        ("xz", &["-Xbcj", "x86", "-always-use-fragments"]),
        ("zstd", &["-noI", "-noF"]),
    ] {
        let arguments =
            [&["root", "image", "-noappend", "-quiet", "-no-progress", "-comp", name], more].concat();
        if tool("mksquashfs", directory.path(), &arguments).is_none() {
            return;
        }
        let reader = read(fs::read(directory.path().join("image")).unwrap());
        assert_eq!(content(&reader, "deep/text"), text(700_000, 1), "{name}");
        assert_eq!(content(&reader, "hard"), b"small");
        let mut end = content(&reader, "sparse");
        assert_eq!(end.split_off(1 << 20), b"end");
        assert!(end.iter().all(|byte| *byte == 0));
        assert_eq!(content(&reader, "many-1999"), b"1999");
        let text = dump(&reader);
        assert_eq!(text.lines().filter(|line| line.starts_with('/')).count(), 2008, "{text}");
        assert!(text.contains("\n/link symlink ") && text.contains(" -> deep/text"), "{text}");
    }
}
