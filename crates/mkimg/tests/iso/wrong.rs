//! Declarations that no image can hold, each with what is said about it.

use mkimg::CountingSink;
use mkimg::disk::Guid;
use mkimg::iso::{
    BootEntry, Builder, Error, Hybrid, HybridTable, MbrPatch, Node, Options, Platform, ROOT, Timestamp, Uuid,
};

use crate::support::{mode, options};

#[track_caller]
fn check<E: Into<Error>>(declare: impl FnOnce(&mut Builder) -> Result<(), E>, expected: &str) {
    let mut builder = Builder::new(options()).unwrap();
    let declared = declare(&mut builder).map_err(Into::into);
    let error = declared.and_then(|()| builder.seal().map(drop)).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn names_and_inodes() {
    let long = "x".repeat(256);
    check(
        |builder| builder.fifo(ROOT, long.as_bytes(), mode(0)).map(drop),
        &format!("`{long}` cannot be a file name"),
    );
    check(
        |builder| {
            builder.fifo(ROOT, b"twice", mode(0))?;
            builder.file(ROOT, b"twice", mode(0), 0).map(drop)
        },
        "`/twice` is declared twice",
    );
    check(
        |builder| builder.symlink(ROOT, b"f", mode(0), &[b'x'; 4096]).map(drop),
        "the target of the symbolic link `/f` has 4096 bytes: it needs 1 to 4095, none of them NUL",
    );
    check(
        |builder| builder.char_device(ROOT, b"f", mode(0), (0, 256)).map(drop),
        "`/f` cannot be device 0:256 on an ISO: with major 0, minors are below 256",
    );
    check(
        |builder| builder.file(ROOT, b"f", mode(0), 1 << 43).map(drop),
        "`/f` is too large with 8796093022208 bytes: the limit is 8796093020160",
    );
    check(
        |builder| builder.file(ROOT, b"f", mode(0), (1 << 43) - 2048).map(drop),
        "8796093698048 bytes are too large for an ISO: the limit is 8796093020160",
    );
}

#[test]
fn directories() {
    let mut builder = Builder::new(options()).unwrap();
    for index in 0..65_535 {
        builder.directory(ROOT, index.to_string().as_bytes(), mode(0o755)).unwrap();
    }
    let error = builder.seal().err().unwrap();
    assert_eq!(error.to_string(), "there are 65536 directories: an ISO has room for 65535");
}

#[test]
fn boot_images() {
    check(|builder| builder.boot(BootEntry::new(Platform::Bios, ROOT)), "the boot image `/` is not a file");
    let with = |size| {
        move |builder: &mut Builder, change: fn(&mut BootEntry)| {
            let file = builder.file(ROOT, b"loader", mode(0), size)?;
            let mut entry = BootEntry::new(Platform::Bios, file);
            change(&mut entry);
            builder.boot(entry)
        }
    };
    check(|builder| with(0)(builder, |_| {}), "the boot image `/loader` is empty");
    check(
        |builder| with(63)(builder, |entry| entry.info_table = true),
        "the boot image `/loader` has 63 bytes: the boot information table needs 64 of them",
    );
    check(
        |builder| with(2555)(builder, |entry| entry.grub2 = true),
        "the boot image `/loader` has 2555 bytes: GRUB's table needs 2556 of them",
    );
    check(
        |builder| {
            (0..33).try_for_each(|_| {
                builder.hidden(1).and_then(|node| builder.boot(BootEntry::new(Platform::Efi, node)))
            })
        },
        "there are 33 boot entries: the limit is 32",
    );
}

#[test]
fn options_of_file_systems() {
    let check = |change: &dyn Fn(&mut Options), expected: &str| {
        let mut options = options();
        change(&mut options);
        let error = Builder::new(options).and_then(|builder| builder.seal().map(drop)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        &|options| options.volume_id = String::new(),
        "`` cannot be the volume id: it has at most 32 bytes of printable ASCII, and one at least",
    );
    check(
        &|options| options.volume_id = "x".repeat(33),
        &format!(
            "`{}` cannot be the volume id: it has at most 32 bytes of printable ASCII, and one at least",
            "x".repeat(33)
        ),
    );
    check(
        &|options| options.labels.publisher = "grüße".to_owned(),
        "`grüße` cannot be the publisher: it has at most 128 bytes of printable ASCII",
    );
    let hybrid = |size, patch, table| Some(Hybrid { code: vec![1; size], patch, table });
    check(
        &|options| options.hybrid = hybrid(32_769, MbrPatch::None, HybridTable::None),
        "the boot code has 32769 bytes, and 32768 of them are free beside the file system",
    );
    check(
        &|options| options.hybrid = hybrid(513, MbrPatch::None, HybridTable::Gpt { guid: Guid([1; 16]) }),
        "the boot code has 513 bytes, and 512 of them are free beside a GUID partition table",
    );
    check(
        &|options| options.hybrid = hybrid(440, MbrPatch::Grub2, HybridTable::None),
        "the boot code is to be told where the boot image for BIOS is, and there is none",
    );
    assert_eq!(Uuid::parse("2024-13-01-00-00-00-00"), None);
    assert_eq!(Uuid::parse("20240101000000"), None);
    assert!(Timestamp::new(i64::MAX, 0).is_none());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut builder = Builder::new(options()).unwrap();
    builder.file(ROOT, b"file", mode(0), 5).unwrap();
    let mut contents = |_: Node, _: u64, _: &mut [u8]| Err(std::io::ErrorKind::UnexpectedEof.into());
    let error = builder.seal().unwrap().write(&mut contents, &mut CountingSink::default()).unwrap_err();
    assert_eq!(error.to_string(), "could not read the contents of `/file`");
}
