//! What erofs-utils think of the images, and what the reader thinks of theirs.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use mkimg::erofs::{Compression, ROOT};

use crate::support::{
    Tree, clusters, compressions, content, dump, everything, mode, noise, options, read, scratch, text, tool,
    words,
};

/// What the packaged tools read: Zstandard came to them late.
fn readable() -> Vec<Compression> {
    compressions().into_iter().filter(|compression| compression.name() != "zstd").collect()
}

#[track_caller]
fn run(name: &str, arguments: &[&str]) -> Option<String> {
    let (code, said) = tool(name, arguments)?;
    assert_eq!(code, 0, "{name} {arguments:?}: {said}");
    Some(said)
}

#[test]
fn fsck_accepts_one_of_everything() {
    for compression in readable() {
        for size in [4096, 65536] {
            let directory = scratch();
            let path = directory.path().join("image");
            fs::write(&path, everything(clusters(compression, size)).bytes()).unwrap();
            // Without a directory it unpacks everything and keeps nothing.
            if run("fsck.erofs", &["--extract", path.to_str().unwrap()]).is_none() {
                return;
            }
        }
    }
}

#[test]
fn fsck_unpacks_what_was_declared() {
    for compression in readable() {
        let directory = scratch();
        let path = directory.path().join("image");
        let mut tree = Tree::new(clusters(compression, 8192));
        let deep = tree.directory(ROOT, "deep");
        let mut files = vec![("empty", vec![]), ("small", noise(100, 1)), ("block", noise(4096, 2))];
        files.push(("text", words(300_001, 3)));
        files.push(("mixed", [words(70_000, 4), noise(70_000, 5), words(3_000_000, 6)].concat()));
        if compression != Compression::None {
            // The packaged tool leaves holes of chunks out; kernels do not.
            files.push(("holes", [text(5000, 7), vec![0; 500_000], text(5000, 8)].concat()));
            files.push(("zeros", vec![0; 1_000_000]));
        }
        for (name, content) in &files {
            tree.file(deep, name, content.clone());
        }
        let many = tree.directory(ROOT, "many");
        for index in 0..1000 {
            tree.file(many, &format!("{index}"), index.to_string().into_bytes());
        }
        let long = b"../".repeat(1300);
        tree.builder.symlink(ROOT, b"link", mode(0o777), &long).unwrap();
        fs::write(&path, tree.bytes()).unwrap();
        let out = directory.path().join("out");
        let option = format!("--extract={}", out.display());
        if run("fsck.erofs", &[&option, path.to_str().unwrap()]).is_none() {
            return;
        }
        for (name, content) in files {
            assert!(fs::read(out.join("deep").join(name)).unwrap() == content, "{compression:?} {name}");
        }
        for index in 0..1000 {
            assert_eq!(fs::read_to_string(out.join(format!("many/{index}"))).unwrap(), index.to_string());
        }
        assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new(str::from_utf8(&long).unwrap()));
    }
}

#[test]
fn dump_sees_what_was_declared() {
    let directory = scratch();
    let path = directory.path().join("image");
    fs::write(&path, everything(options(Compression::Lz4)).bytes()).unwrap();
    let path = path.to_str().unwrap();
    let Some(said) = run("dump.erofs", &["-s", path]) else { return };
    let squeezed = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "Filesystem magic number: 0xE0F5E1E2",
        "Filesystem created: Tue Nov 14 22:13:20 2023",
        "Filesystem UUID: 30313233-3435-3637-3839-616263646566",
    ] {
        assert!(squeezed.contains(expected), "no `{expected}` in {said}");
    }
    let inode = |name: &str| run("dump.erofs", &[&format!("--path={name}"), path]).unwrap();
    let check = |name: &str, expected: &[&str]| {
        let said = inode(name);
        let squeezed = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in expected {
            assert!(squeezed.contains(expected), "no `{expected}` in {said}");
        }
    };
    check("/hard", &["Size: 26", "regular file", "Links: 2", "Access: 0644/rw-r--r--", "Layout: 2"]);
    check("/dev/nvme", &["block dev", "Uid: 70000", "Gid: 80000"]);
    check("/etc/text", &["Size: 200000", "Layout: 3"]);
    check("/attributed", &["Xattr size: "]);
}

#[test]
fn the_reader_takes_images_of_mkfs() {
    let directory = scratch();
    let root = directory.path().join("root");
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::write(root.join("deep/text"), words(700_000, 1)).unwrap();
    fs::write(root.join("deep/noise"), noise(70_001, 1)).unwrap();
    fs::write(root.join("deep/er/small"), b"small").unwrap();
    fs::hard_link(root.join("deep/er/small"), root.join("hard")).unwrap();
    symlink("deep/text", root.join("link")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.write_all_at(b"end", 1 << 20).unwrap();
    for index in 0..2000 {
        fs::write(root.join(format!("many-{index}")), index.to_string()).unwrap();
    }
    let image = directory.path().join("image");
    for arguments in [&[][..], &["-zlz4"], &["-zlz4hc,9"], &["-zlz4", "-C65536"], &["--chunksize=4096"]] {
        let paths = [image.to_str().unwrap(), root.to_str().unwrap()];
        if run("mkfs.erofs", &[arguments, &paths].concat()).is_none() {
            return;
        }
        let reader = read(fs::read(&image).unwrap());
        assert!(content(&reader, "deep/text") == words(700_000, 1), "{arguments:?}");
        assert!(content(&reader, "deep/noise") == noise(70_001, 1), "{arguments:?}");
        assert_eq!(content(&reader, "hard"), b"small");
        let mut end = content(&reader, "sparse");
        assert_eq!(end.split_off(1 << 20), b"end");
        assert!(end.iter().all(|byte| *byte == 0));
        assert_eq!(content(&reader, "many-1999"), b"1999");
        let text = dump(&reader);
        assert_eq!(text.lines().filter(|line| line.starts_with('/')).count(), 2009, "{text}");
        assert!(text.contains("\n/link symlink ") && text.contains(" -> deep/text"), "{text}");
    }
}
