//! What cannot be in a file system, and what is said about it.

use std::collections::BTreeMap;

use mkimg::erofs::{Builder, ClusterSize, Compression, Error, Options, ROOT, Timestamp};

use crate::support::{mode, options};

fn builder() -> Builder {
    Builder::new(options(Compression::Lz4)).unwrap()
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
    check(
        builder().symlink(ROOT, b"a", mode(0o777), &[b'a'; 4096]),
        "the target of the symbolic link `/a` has 4096 bytes: it needs 1 to 4095, none of them NUL",
    );
    check(
        builder().file(ROOT, b"a", mode(0o644), u64::MAX),
        "`/a` is too large with 18446744073709551615 bytes: the limit is 17592186044416",
    );
}

#[test]
fn attributes() {
    let mut builder = builder();
    let node = builder.fifo(ROOT, b"a", mode(0o644)).unwrap();
    let mut set = |name: &str, length: usize| {
        builder.set_xattrs(node, &BTreeMap::from([(name.as_bytes().to_vec(), vec![0; length])]))
    };
    check(
        set("system.nfs4_acl", 4),
        "EROFS cannot store the extended attribute `system.nfs4_acl` of `/a`: only `user.`, `trusted.` and `security.` \
         ones and access control lists",
    );
    assert!(set("user.", 1).is_err());
    check(
        set("user.a", 65536),
        "the extended attribute `user.a` of `/a` has 65536 bytes: the limit is 65535",
    );
    set("user.a", 65535).unwrap();
    set("system.posix_acl_access", 28).unwrap();
    let many = (0..5).map(|number| (format!("user.{number}").into_bytes(), vec![0; 65_000])).collect();
    check(
        builder.set_xattrs(node, &many),
        "the extended attributes of `/a` have 325052 bytes: EROFS has room for 262148",
    );
}

#[test]
fn options_that_cannot_be() {
    check(Compression::lz4hc(Some(13)), "lz4hc has no level 13: there are 1 to 12");
    check(Compression::zstd(Some(0)), "zstd has no level 0: there are 1 to 22");
    for size in [0, 4095, 5000, 2048, 2 << 20] {
        assert_eq!(ClusterSize::from_bytes(size), None, "{size}");
    }
    check(
        Builder::new(Options { label: vec![b'a'; 16], ..options(Compression::Lz4) }),
        "the label `aaaaaaaaaaaaaaaa` cannot be that of EROFS: it has room for 15 bytes, none of them NUL",
    );
    check(
        Builder::new(Options { epoch: Timestamp::saturating(-1), ..options(Compression::Lz4) }),
        "a file system cannot have been made -1 seconds after 1970",
    );
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
