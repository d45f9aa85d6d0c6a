//! Images of layers.

use std::fs;

use mkimg::spec::Spec;

use crate::support::{content, read, scratch};

fn run(directory: &std::path::Path, json: &str) -> Result<(), mkimg::Error> {
    let spec: Spec = serde_json::from_str(json).unwrap();
    mkimg::run(&spec, directory).map(drop)
}

const LAYER: &str = r#"{"kind":"layer","output":"layer.tar","epoch":7,"entries":[
    {"path":"etc/motd","type":"file","text":"hello\n","mode":416,"gid":42,"xattrs":{"user.a":"b"}},
    {"path":"etc/alias","type":"hard-link","target":"etc/motd"},
    {"path":"old","type":"file","text":"from before 1970","mtime":-5},
    {"path":"link","type":"symlink","target":"etc/motd"},
    {"path":"null","type":"char-device","major":1,"minor":3,"mode":438},
    {"path":"pipe","type":"fifo"}]}"#;

#[test]
fn an_image_of_a_layer() {
    let directory = scratch();
    run(directory.path(), LAYER).unwrap();
    let json = r#"{"kind":"squashfs","output":"out/image","epoch":9,"layers":["layer.tar"],"compression":"xz",
        "bcj":["x86"],"dictionary_size":8192,"block_size":65536,"fragments":"none","exportable":false}"#;
    run(directory.path(), json).unwrap();
    let path = directory.path().join("out/image");
    assert_eq!(content(&read(fs::read(&path).unwrap()), "etc/alias"), b"hello\n");
    let mut text = Vec::new();
    mkimg::dump(&path, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let expected = "\
squashfs 4.0, xz dictionary 8192 x86, blocks of 65536, made 9; flags no-fragments duplicates compressor-options
7 inodes, 0 blocks of fragments, 2 owners, 471 bytes
";
    assert!(text.starts_with(expected), "{text}");
    for expected in [
        "\n/etc/alias file 0640 0:42 inode 1 links 2 mtime 7 size 6 blocks 1 at 106, 6 bytes sha256=5891b5b522d5df08\n",
        "\n        user.a=\"b\"\n/etc/motd file 0640 0:42 inode 1 ",
        "\n/old file 0644 0:0 inode 4 links 1 mtime 0 size 16 ",
        "\n/link symlink 0777 0:0 inode 2 links 1 mtime 7 -> etc/motd\n",
        "\n/null char 0666 0:0 inode 3 links 1 mtime 7 device=1:3\n",
        "\n/pipe fifo 0644 ",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
}

#[track_caller]
fn check(keys: &str, expected: &str, help: Option<&str>) {
    let directory = scratch();
    run(directory.path(), LAYER).unwrap();
    let json = format!(r#"{{"kind":"squashfs","output":"image","epoch":9,"layers":["layer.tar"],{keys}}}"#);
    let error = run(directory.path(), &json).unwrap_err();
    let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
    let text = format!("{error}{cause}").replace(&format!("{}/", directory.path().display()), "");
    assert_eq!((text.as_str(), error.help().as_deref()), (expected, help));
}

#[test]
fn options_that_cannot_be() {
    check(r#""bcj":["x86"]"#, "squashfs with gzip has no `bcj`", None);
    check(r#""compression":"lz4","level":3"#, "squashfs with lz4 has no `level`", None);
    check(
        r#""level":13"#,
        "could not make the file system `image`: gzip has no level 13: there are 1 to 12",
        None,
    );
    check(
        r#""block_size":5000"#,
        "a block of squashfs cannot have 5000 bytes",
        Some("squashfs has blocks of 4096 to 1048576 bytes, each a power of two"),
    );
    check(
        r#""compression":"xz","bcj":["vax"]"#,
        "there is no filter `vax` for xz",
        Some("there are `x86`, `powerpc`, `ia64`, `arm`, `armthumb`, `sparc`, `arm64`, `riscv`"),
    );
}
