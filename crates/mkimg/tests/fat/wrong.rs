//! What FAT cannot have, and sizes that do not suit.

use mkimg::fat::{Builder, Chs, Kind, Options, ROOT, Size};

use crate::support::{MIB, Tree, aged, options};

#[track_caller]
fn check(tree: Tree, expected: &str) {
    assert_eq!(tree.seal().err().unwrap().to_string(), expected);
}

#[test]
fn everything_that_fat_has_not_is_listed() {
    let mut tree = Tree::new(options(Size::Fixed(MIB)));
    let etc = tree.directory(ROOT, "etc");
    tree.builder.symlink(etc, b"localtime", aged(0), b"UTC").unwrap();
    tree.builder.char_device(ROOT, b"null", aged(0), (1, 3)).unwrap();
    for name in ["Readme", "README", "a:b", "dot.", "good"] {
        tree.file(etc, name, Vec::new());
    }
    tree.builder.file(etc, b"\xff", aged(0), 0).unwrap();
    tree.builder.file(ROOT, b"huge", aged(0), 1 << 32).unwrap();
    tree.builder.file(ROOT, "ä".repeat(256).as_bytes(), aged(0), 0).unwrap();
    let long = "ä".repeat(256);
    check(
        tree,
        &format!(
            "9 paths cannot be in a FAT file system\n  `/etc/Readme`: to FAT its name is the same as that of \
             `/etc/README`\n  `/etc/a:b`: FAT has no `:` in names\n  `/etc/dot.`: its name ends with a space or a dot\n  \
             `/etc/localtime`: FAT has no symbolic links\n  `/etc/\u{fffd}`: its name is not UTF-8\n  `/huge`: it has \
             4294967296 bytes: the limit is 4294967295\n  `/null`: FAT has no devices\n  `/{long}`: its name has 256 \
             UTF-16 units: the limit is 255"
        )
        .replace("9 paths", "8 paths"),
    );
    let mut tree = Tree::new(options(Size::Fixed(MIB)));
    for number in 0..30 {
        tree.file(ROOT, &format!("a{number}?"), Vec::new());
    }
    let text = tree.seal().err().unwrap().to_string();
    assert!(text.starts_with("30 paths ") && text.ends_with("`?` in names\n  … and 10 more"), "{text}");
}

#[test]
fn contents_that_do_not_fit() {
    let mut tree = Tree::new(options(Size::Fixed(MIB)));
    tree.file(ROOT, "large", vec![1; 2 << 20]);
    tree.file(ROOT, "small", vec![1; 10]);
    check(
        tree,
        "the contents do not fit into 1048576 bytes: 1071104 bytes more are needed; the largest files: `/large` with \
         2097152, `/small` with 10",
    );
    let mut tree = Tree::new(options(Size::Fixed(MIB)));
    let directory = tree.directory(ROOT, "crowd");
    for number in 0..22_000 {
        tree.file(directory, &format!("a name of two parts {number}"), Vec::new());
    }
    check(tree, "the names in `/crowd` need 66002 entries of a directory: the limit is 65536");
}

#[test]
fn sizes_that_do_not_suit() {
    let with = |kind, size| Options { kind, ..options(Size::Fixed(size)) };
    let empty = |options| Tree::new(options);
    check(empty(with(None, 100)), "100 bytes are too small for a FAT file system");
    check(empty(with(Some(Kind::Fat32), MIB)), "1048576 bytes are too small for FAT32");
    check(empty(with(Some(Kind::Fat12), 1 << 30)), "1073741824 bytes are too large for FAT12");
    check(empty(with(None, 1 << 50)), "1125899906842624 bytes are too large for a FAT file system");
    let mut tree = empty(Options { kind: Some(Kind::Fat12), ..options(Size::Fit { slack: 0 }) });
    tree.builder.file(ROOT, b"large", aged(0), 1 << 30).unwrap();
    check(tree, "no size suits FAT12 with these contents");
}

#[test]
fn options_that_cannot_be() {
    let check = |change: fn(&mut Options), expected: &str| {
        let mut options = options(Size::Fixed(MIB));
        change(&mut options);
        assert_eq!(Builder::new(options).err().unwrap().to_string(), expected);
    };
    check(
        |options| options.sector_size = 500,
        "a sector cannot have 500 bytes: it has 512, 1024, 2048 or 4096",
    );
    check(
        |options| options.cluster_size = Some(1000),
        "a cluster cannot have 1000 bytes: it has a power of two, 512 to 65536",
    );
    check(
        |options| (options.sector_size, options.cluster_size) = (4096, Some(2048)),
        "a cluster cannot have 2048 bytes: it has a power of two, 4096 to 65536",
    );
    for label in ["", "twelve chars", "small", " A", "A.B"] {
        let mut options = options(Size::Fixed(MIB));
        options.label = Some(label.to_owned());
        assert!(Builder::new(options).err().unwrap().to_string().contains("cannot be a label"), "{label}");
    }
    check(
        |options| options.chs = Some(Chs { heads: 0, sectors: 63 }),
        "0 heads with 63 sectors per track are no geometry",
    );
}
