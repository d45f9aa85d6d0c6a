//! What cannot be in a file system, and what is said about it.

use std::collections::BTreeMap;

use mkimg::squashfs::{BlockSize, Builder, Compression, Dictionary, Error, Metadata, Options, ROOT};

use crate::support::{mode, options};

fn builder() -> Builder {
    Builder::new(options(Compression::gzip(None).unwrap())).unwrap()
}

#[track_caller]
fn check<T, E: Into<Error>>(result: Result<T, E>, expected: &str) {
    let error: Error = result.err().expect("it is refused").into();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn names() {
    for name in ["", ".", "..", "a/b", "a\0"] {
        check(builder().fifo(ROOT, name.as_bytes(), mode(0o644)), &format!("`{name}` cannot be a file name"));
    }
    assert!(builder().fifo(ROOT, &[b'a'; 256], mode(0o644)).is_err());
    let mut twice = builder();
    let directory = twice.directory(ROOT, b"d", mode(0o755)).unwrap();
    twice.fifo(directory, b"a", mode(0o644)).unwrap();
    twice.socket(directory, b"a", mode(0o644)).unwrap();
    check(twice.seal(), "`/d/a` is declared twice");
}

#[test]
fn inodes() {
    check(builder().fifo(ROOT, b"a", mode(0o10000)), "`/a` cannot have mode 10000: the limit is 7777");
    check(
        builder().char_device(ROOT, b"a", mode(0o644), (4096, 0)),
        "`/a` cannot be device 4096:0: Linux has majors below 4096 and minors below 1048576",
    );
    check(
        builder().symlink(ROOT, b"a", mode(0o777), &[b'a'; 4096]),
        "the target of the symbolic link `/a` has 4096 bytes: it needs 1 to 4095, none of them NUL",
    );
    check(
        builder().file(ROOT, b"a", mode(0o644), u64::MAX),
        "`/a` is too large with 18446744073709551615 bytes: the limit is 8796093022208",
    );
    let mut linked = builder();
    let directory = linked.directory(ROOT, b"d", mode(0o755)).unwrap();
    check(linked.link(ROOT, b"e", directory), "the directory `/d` cannot have a second name, `/e`");
    let fifo = linked.fifo(directory, b"f", mode(0o644)).unwrap();
    check(linked.fifo(fifo, b"a", mode(0o644)), "`/d/f` is not a directory, so `a` cannot be in it");
}

#[test]
fn attributes() {
    let mut builder = builder();
    let node = builder.fifo(ROOT, b"a", mode(0o644)).unwrap();
    let mut set = |name: &str, length: usize| {
        builder.set_xattrs(node, &BTreeMap::from([(name.as_bytes().to_vec(), vec![0; length])]))
    };
    check(
        set("system.posix_acl_access", 4),
        "squashfs cannot store the extended attribute `system.posix_acl_access` of `/a`: only `user.`, `trusted.` and \
         `security.` ones",
    );
    assert!(set("user.", 1).is_err());
    check(
        set("user.a", 65537),
        "the extended attribute `user.a` of `/a` has 65537 bytes: the limit is 65536",
    );
    set("user.a", 65536).unwrap();
}

#[test]
fn owners() {
    let mut builder = builder();
    for id in 0..40_000 {
        let metadata = Metadata { uid: id * 2, gid: id * 2 + 1, ..mode(0o644) };
        builder.fifo(ROOT, id.to_string().as_bytes(), metadata).unwrap();
    }
    check(builder.seal(), "the files belong to 80000 users and groups: squashfs has room for 65535");
}

#[test]
fn what_compressors_do_not_have() {
    check(Compression::gzip(Some(13)), "gzip has no level 13: there are 1 to 12");
    check(Compression::zstd(Some(0)), "zstd has no level 0: there are 1 to 22");
    for size in [0, 4095, 5000, 2 << 20] {
        assert_eq!(BlockSize::from_bytes(size), None, "{size}");
    }
    let xz = |bytes| {
        let compression = Compression::Xz { filters: [].into(), dictionary: Dictionary::Bytes(bytes) };
        Builder::new(Options::new(compression, 0))
    };
    check(
        xz(40_000),
        "xz cannot have a dictionary of 40000 bytes: it needs 8192 to 131072, a power of two or three times one",
    );
    assert!(xz(4096).is_err() && xz(256 << 10).is_err());
    assert!(xz(96 << 10).is_ok() && xz(8192).is_ok());
}

#[test]
fn contents_that_do_not_come() {
    let mut builder = builder();
    let directory = builder.directory(ROOT, b"d", mode(0o755)).unwrap();
    builder.file(directory, b"f", mode(0o644), 100).unwrap();
    let image = builder.seal().unwrap();
    let read = |_, _, _: &mut [u8]| Err(std::io::ErrorKind::UnexpectedEof.into());
    check(image.write(&read, 2, &mut mkimg::MemorySink::default()), "could not read the contents of `/d/f`");
}
