//! Declarations that no image can hold, each with what is said about it.

use std::collections::BTreeMap;

use mkimg::ext4::{BlockSize, Builder, Error, Journal, Node, ROOT, Size, Timestamp};
use mkimg::{CountingSink, MemorySink};

use crate::support::{MIB, mode, options};

fn builder() -> Builder {
    Builder::new(options(BlockSize::B1024, Size::Fixed(4 * MIB))).unwrap()
}

#[track_caller]
fn check<E: Into<Error>>(declare: impl FnOnce(&mut Builder) -> Result<(), E>, expected: &str) {
    let mut builder = builder();
    let declared = declare(&mut builder).map_err(Into::into);
    let error = declared.and_then(|()| builder.seal().map(drop)).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

fn directory(builder: &mut Builder, name: &str) -> Node {
    builder.directory(ROOT, name.as_bytes(), mode(0o755)).unwrap()
}

#[test]
fn names() {
    for name in ["", ".", "..", "a/b", "a\0"] {
        check(
            |builder| builder.fifo(ROOT, name.as_bytes(), mode(0)).map(drop),
            &format!("`{name}` cannot be a file name"),
        );
    }
    let long = "x".repeat(256);
    check(
        |builder| builder.fifo(ROOT, long.as_bytes(), mode(0)).map(drop),
        &format!("`{long}` cannot be a file name"),
    );
    check(
        |builder| {
            let directory = directory(builder, "usr");
            builder.fifo(directory, b"twice", mode(0))?;
            builder.file(directory, b"twice", mode(0), 0).map(drop)
        },
        "`/usr/twice` is declared twice",
    );
    check(
        |builder| builder.fifo(ROOT, b"lost+found", mode(0)).map(drop),
        "`/lost+found` must be a directory",
    );
    check(
        |builder| {
            let file = builder.fifo(ROOT, b"pipe", mode(0))?;
            builder.fifo(file, b"below", mode(0)).map(drop)
        },
        "`/pipe` is not a directory, so `below` cannot be in it",
    );
    check(
        |builder| {
            let usr = directory(builder, "usr");
            builder.link(usr, b"loop", usr)
        },
        "the directory `/usr` cannot have a second name, `/usr/loop`",
    );
}

#[test]
fn inodes() {
    check(
        |builder| builder.fifo(ROOT, b"f", mode(0o10000)).map(drop),
        "`/f` cannot have mode 10000: the limit is 7777",
    );
    check(
        |builder| builder.file(ROOT, b"f", mode(0), 1 << 42).map(drop),
        "`/f` is too large with 4398046511104 bytes: the limit is 4398046510080",
    );
    check(
        |builder| builder.char_device(ROOT, b"f", mode(0), (4096, 0)).map(drop),
        "`/f` cannot be device 4096:0: Linux has majors below 4096 and minors below 1048576",
    );
    check(
        |builder| builder.symlink(ROOT, b"f", mode(0), &[b'x'; 1024]).map(drop),
        "the target of the symbolic link `/f` has 1024 bytes: it needs 1 to 1023, none of them NUL",
    );
    for ranges in [&[(5, 4)][..], &[(0, 9), (8, 10)], &[(0, 11)]] {
        let data: Vec<_> = ranges.iter().map(|(start, end)| *start..*end).collect();
        check(
            |builder| builder.sparse_file(ROOT, b"f", mode(0), 10, &data).map(drop),
            "the ranges of data of `/f` overlap, are not in order or pass its end",
        );
    }
}

#[test]
fn attributes() {
    let with = |name: &str, value: Vec<u8>| {
        let xattrs = BTreeMap::from([(name.as_bytes().to_vec(), value)]);
        move |builder: &mut Builder| builder.set_xattrs(ROOT, &xattrs)
    };
    check(with("com.example", vec![]), "ext4 cannot store the extended attribute `com.example` of `/`");
    check(
        with("system.posix_acl_access", vec![1]),
        "the extended attribute `system.posix_acl_access` of `/` is not a POSIX ACL",
    );
    check(
        with("user.large", vec![0; 1000]),
        "the extended attributes of `/` do not fit into a block: `user.large` with 1000 bytes is one too many",
    );
}

#[test]
fn options_of_file_systems() {
    let check = |change: &dyn Fn(&mut mkimg::ext4::Options), expected: &str| {
        let mut options = options(BlockSize::B1024, Size::Fixed(4 * MIB));
        change(&mut options);
        let error = Builder::new(options).and_then(|builder| builder.seal().map(drop)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        &|options| options.label = vec![b'x'; 17],
        "the label `xxxxxxxxxxxxxxxxx` has more than 16 bytes or a NUL byte",
    );
    check(
        &|options| options.reserved_percent = 51,
        "51 % of reserved blocks are too many: the limit is 50 %",
    );
    check(
        &|options| options.epoch = Timestamp::new(-1, 0).unwrap(),
        "the file system cannot have been made -1 seconds after 1970",
    );
    check(
        &|options| options.journal = Journal::Blocks(9),
        "a journal cannot have 9 blocks: it needs 1024 to 10240000",
    );
    check(
        &|options| options.size = Size::Fixed(1 << 50),
        "1125899906842624 bytes are too large for blocks of 1024 bytes: the limit is 824633720832",
    );
    check(
        &|options| options.inodes = mkimg::ext4::Inodes::Count(10),
        "11 inodes are needed and there can be only 10",
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut builder = builder();
    builder.file(ROOT, b"file", mode(0), 5).unwrap();
    let mut contents = |_: Node, _: u64, _: &mut [u8]| Err(std::io::ErrorKind::UnexpectedEof.into());
    let error = builder.seal().unwrap().write(&mut contents, &mut CountingSink::default()).unwrap_err();
    assert_eq!(error.to_string(), "could not read the contents of `/file`");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_sink_that_is_full_is_an_error() {
    struct Full;
    impl mkimg::Sink for Full {
        fn data(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn zeros(&mut self, _: u64, _: u64) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = builder().seal().unwrap().write(&mut |_, _, _| Ok(()), &mut Full).unwrap_err();
    assert_eq!(error.to_string(), "could not write the image");
}

#[test]
fn lost_and_found_can_be_declared_and_used() {
    let mut builder = builder();
    let directory = builder.directory(ROOT, b"lost+found", mode(0o750)).unwrap();
    builder.fifo(directory, b"found", mode(0o600)).unwrap();
    let mut sink = MemorySink::default();
    builder.seal().unwrap().write(&mut |_, _, _| Ok(()), &mut sink).unwrap();
    let reader = crate::support::read(sink.into_bytes());
    assert_eq!(reader.resolve(b"/lost+found").unwrap().number, 11);
    assert_eq!(reader.resolve(b"/lost+found").unwrap().mode & 0o7777, 0o750);
    reader.resolve(b"/lost+found/found").unwrap();
}
