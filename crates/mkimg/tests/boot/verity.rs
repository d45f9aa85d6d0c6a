//! Hash trees: their bytes, `veritysetup`, damage.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use mkimg::verity::{ReadError, dump, verify};
use mkimg::{Error, read_spec, run};

use crate::support::scratch;
use crate::tool::tool;

const SALT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// An image with data, zeros and a part that is like another.
fn image(size: usize) -> Vec<u8> {
    (0..size).map(|at| if at % 20_000 < 9000 { 0 } else { (at % 251) as u8 }).collect()
}

fn make(directory: &Path, image: &[u8], more: &str) -> Result<Vec<String>, Error> {
    fs::write(directory.join("image"), image).unwrap();
    let spec = format!(
        r#"{{"kind":"verity","input":"image","output":"tree","root_hash_output":"root","salt":"{SALT}",
        "uuid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11"{more}}}"#
    );
    fs::write(directory.join("spec.json"), spec).unwrap();
    run(&read_spec(&directory.join("spec.json"))?, directory)
}

fn root(directory: &Path) -> Vec<u8> {
    let text = fs::read_to_string(directory.join("root")).unwrap();
    let text = text.trim_end();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn check(directory: &Path, image: &str, offset: u64) -> Result<(), ReadError> {
    let open = |name| File::open(directory.join(name)).unwrap();
    verify(&open(image), &open("tree"), offset, &root(directory))
}

#[test]
fn a_tree_is_always_the_same() {
    let directory = scratch();
    let notes = make(directory.path(), &image(3 << 20), "").unwrap();
    let root = "3c00f980e6d005cc2450b9e6a89f0aca6d243543d3c69829e9800d5a043f2164";
    assert_eq!(notes, [format!("tree has a hash tree of 32768 bytes, root {root}")]);
    check(directory.path(), "image", 0).unwrap();
    let text = dump(&File::open(directory.path().join("tree")).unwrap(), 0).unwrap();
    assert_eq!(
        text,
        format!(
            "hash tree of 768 blocks of 4096 bytes, sha256 with salt `{SALT}`\n\
             uuid 6f0f2b0a6c0e4c2b9d0e0d6f4d0c1a11\nblocks of 4096 bytes from 0x1000\n"
        )
    );
}

/// All the ways in which levels come out: none, one that is full, one block more, several.
#[test]
fn veritysetup_accepts_trees_of_all_shapes() {
    let sizes = [4096, 128 * 4096, 129 * 4096, 128 * 128 * 4096 + 4096];
    let more = [
        "",
        r#","hash":"sha512""#,
        r#","data_block_size":512,"hash_block_size":1024"#,
        r#","hash":"sha512","hash_block_size":512"#,
    ];
    for (idx, (size, more)) in sizes.into_iter().flat_map(|size| more.map(|more| (size, more))).enumerate() {
        // One large image is enough.
        if size > 10 << 20 && !more.is_empty() {
            continue;
        }
        let directory = scratch();
        let at = directory.path();
        let appended = idx % 2 == 1;
        let size = if appended { size - 100 } else { size };
        make(at, &image(size), &format!(r#"{more},"appended":{appended}"#)).unwrap();
        let offset =
            if appended { size.next_multiple_of(if more.contains("512,") { 512 } else { 4096 }) } else { 0 };
        let data = if appended { "tree" } else { "image" };
        check(at, data, offset as u64).unwrap();
        if appended {
            let copy = fs::read(at.join("tree")).unwrap();
            assert_eq!(copy[..size], image(size));
        }
        let path = |name: &str| at.join(name).to_str().unwrap().to_owned();
        let root = fs::read_to_string(at.join("root")).unwrap();
        let offset = format!("--hash-offset={offset}");
        let arguments = ["verify", &path(data), &path("tree"), root.trim_end(), &offset];
        let Some((code, text)) = tool("veritysetup", &arguments) else { continue };
        assert_eq!(code, 0, "{size} {more}: {text}");
    }
}

#[test]
fn veritysetup_makes_the_same_tree() {
    let directory = scratch();
    let at = directory.path();
    make(at, &image(1 << 20), "").unwrap();
    let path = |name: &str| at.join(name).to_str().unwrap().to_owned();
    let salt = format!("--salt={SALT}");
    let uuid = "--uuid=6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11";
    let made = tool("veritysetup", &["format", &path("image"), &path("theirs"), &salt, uuid]);
    let Some((code, text)) = made else { return };
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(fs::read_to_string(at.join("root")).unwrap().trim_end()), "{text}");
    assert_eq!(fs::read(at.join("theirs")).unwrap(), fs::read(at.join("tree")).unwrap());
}

#[test]
fn every_damage_is_found() {
    let directory = scratch();
    let at = directory.path();
    make(at, &image(1 << 20), "").unwrap();
    let damage = |name: &str, offset: u64| {
        let file = File::options().read(true).write(true).open(at.join(name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    };
    let tree_size = fs::metadata(at.join("tree")).unwrap().len();
    let places =
        [("image", 0), ("image", (1 << 20) - 1), ("tree", 4096), ("tree", tree_size - 1), ("tree", 300)];
    for (name, offset) in places {
        damage(name, offset);
        assert!(check(at, "image", 0).is_err(), "{name} {offset}");
        damage(name, offset);
    }
    check(at, "image", 0).unwrap();
    fs::write(at.join("root"), "00").unwrap();
    assert!(matches!(check(at, "image", 0), Err(ReadError::Root)));
    // No superblock makes the reader panic or run forever.
    make(at, &image(5 * 4096), "").unwrap();
    let good = fs::read(at.join("tree")).unwrap();
    for byte in 0..512 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[byte] = value;
            fs::write(at.join("tree"), &bad).unwrap();
            let _ = check(at, "image", 0);
        }
    }
    for length in [0, 511, 4096, 5000] {
        fs::write(at.join("tree"), &good[..length]).unwrap();
        assert!(check(at, "image", 0).is_err(), "{length}");
    }
}

#[track_caller]
fn refused(size: usize, more: &str, expected: &str) {
    let directory = scratch();
    let error = make(directory.path(), &image(size), more).unwrap_err();
    let cause = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
    assert!(format!("{error}: {cause}").contains(expected), "{error}: {cause}");
}

#[test]
fn images_and_numbers_that_cannot_be() {
    refused(0, "", "it is empty");
    refused(5000, "", "it has 5000 bytes, which is no multiple of its blocks of 4096");
    refused(4096, r#","data_block_size":1000"#, "a block cannot have 1000 bytes");
    refused(4096, r#","hash_block_size":256"#, "a block cannot have 256 bytes");
    refused(4096, r#","data_block_size":0"#, "a block cannot have 0 bytes");
}
