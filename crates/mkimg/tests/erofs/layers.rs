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
    let json = r#"{"kind":"erofs","output":"out/image","epoch":9,"layers":["layer.tar"],"compression":"zstd","level":1,
        "uuid":"00112233-4455-6677-8899-aabbccddeeff","label":"root","cluster_size":131072}"#;
    run(directory.path(), json).unwrap();
    let path = directory.path().join("out/image");
    assert_eq!(content(&read(fs::read(&path).unwrap()), "etc/alias"), b"hello\n");
    let mut text = Vec::new();
    mkimg::dump(&path, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let expected = "\
erofs, label \"root\", uuid 00112233445566778899aabbccddeeff, made 9.000000000; features 0x3, needed 0x3
7 inodes, 2 blocks, metadata from block 1, attributes from block 0, root 2
";
    assert!(text.starts_with(expected), "{text}");
    for expected in [
        "\n/etc/motd file 0640 0:42 inode ",
        " links 2 mtime 7.000000000 size 6 inline\n        user.a=\"b\"\n",
        " links 2 mtime 7.000000000 size 6 inline sha256=5891b5b522d5df08\n",
        "\n/old file 0644 0:0 inode ",
        " mtime -5.000000000 size 16 inline",
        " inline -> etc/motd\n",
        "\n/null char 0666 0:0 inode ",
        " device=1:3\n",
        "\n/pipe fifo 0644 ",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
}

#[track_caller]
fn check(keys: &str, expected: &str, help: Option<&str>) {
    let directory = scratch();
    run(directory.path(), LAYER).unwrap();
    let json = format!(
        r#"{{"kind":"erofs","output":"image","epoch":9,"uuid":"{0}{0}{0}{0}","layers":["layer.tar"],{keys}}}"#,
        "01234567"
    );
    let error = run(directory.path(), &json).unwrap_err();
    let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
    let text = format!("{error}{cause}").replace(&format!("{}/", directory.path().display()), "");
    assert_eq!((text.as_str(), error.help().as_deref()), (expected, help));
}

#[test]
fn options_that_cannot_be() {
    check(r#""level":3"#, "EROFS with lz4 has no `level`", None);
    check(r#""compression":"none","cluster_size":4096"#, "EROFS with none has no `cluster_size`", None);
    check(
        r#""compression":"lz4hc","level":13"#,
        "could not make the file system `image`: lz4hc has no level 13: there are 1 to 12",
        None,
    );
    check(
        r#""cluster_size":5000"#,
        "a cluster of EROFS cannot have 5000 bytes",
        Some("EROFS has clusters of 4096 to 1048576 bytes, each a power of two"),
    );
    check(
        r#""label":"a label of sixteen""#,
        "could not make the file system `image`: the label `a label of sixteen` cannot be that of EROFS: it has room for \
         15 bytes, none of them NUL",
        None,
    );
}
