//! Small images that have more in them than anybody can go through: compared and extracted as far as the limits go.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use inspect::{Aspect, Differences, Error, Ignored, Limits, Object, Source, diff, extract};

/// Returns an archive with a file, and so many further names of it.
fn archive(contents: &[u8], n_links: usize) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut file = tar::Header::new_ustar();
    file.set_size(contents.len() as u64);
    file.set_mode(0o640);
    file.set_mtime(1000);
    archive.append_data(&mut file, "d/file", contents).unwrap();
    for idx in 0..n_links {
        let mut link = tar::Header::new_ustar();
        link.set_entry_type(tar::EntryType::Link);
        link.set_size(0);
        link.set_mode(0o644);
        archive.append_link(&mut link, format!("e/{idx}"), "d/file").unwrap();
    }
    archive.into_inner().unwrap()
}

/// Returns a program of so many sections, all of which have the same bytes.
fn program(contents: &[u8], n_sections: u16) -> Vec<u8> {
    let names = b"\0.s\0.names\0";
    let names_at = 64 + contents.len() as u64;
    let table_at = (names_at + names.len() as u64).next_multiple_of(8);
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".to_vec();
    for word in [0, 0, table_at] {
        bytes.extend(word.to_le_bytes());
    }
    for half in [0, 0, 64, 0, 0, 64, n_sections + 2, 1] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend_from_slice(contents);
    bytes.extend_from_slice(names);
    bytes.resize(table_at as usize, 0);
    let mut section = |name: u32, kind: u32, start: u64, size: u64| {
        bytes.extend([name.to_le_bytes(), kind.to_le_bytes()].concat());
        for word in [0, 0, start, size, 0, 1, 0] {
            bytes.extend(word.to_le_bytes());
        }
    };
    section(0, 0, 0, 0);
    section(4, 3, names_at, names.len() as u64);
    (0..n_sections).for_each(|_| section(1, 1, 64, contents.len() as u64));
    bytes
}

/// Returns a file system that has to unpack its file, of 4 MiB, to read it.
fn erofs(first: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let run = |spec: &str| {
        fs::write(path("spec.json"), spec).unwrap();
        mkimg::run(&mkimg::read_spec(&path("spec.json")).unwrap(), directory.path()).unwrap();
    };
    let text = format!("{first}\\n{}", "a line of 16 b.\\n".repeat((4 << 20) / 16));
    run(&format!(
        r#"{{"kind":"layer","output":"layer.tar","epoch":1,"entries":[{{"path":"file","type":"file","text":"{text}"}}]}}"#
    ));
    run(r#"{"kind":"erofs","output":"erofs","epoch":1,"layers":["layer.tar"],"compression":"lz4hc",
        "uuid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10"}"#);
    fs::read(path("erofs")).unwrap()
}

fn object(bytes: Vec<u8>, limits: Limits) -> Object {
    let source: Source = Arc::new(bytes);
    Object::of("image".to_owned(), source, 0, limits).unwrap()
}

fn compare(images: [Vec<u8>; 2], limits: Limits) -> Result<Differences, Error> {
    let [a, b] = images.map(|bytes| object(bytes, limits));
    diff(&a, &b, Ignored::default())
}

#[test]
fn many_names_of_many_names_are_too_many_entries() {
    let limits = Limits { entries: 1000, ..Limits::default() };
    let nested = |text: &[u8], depth: usize| (0..depth).fold(text.to_vec(), |inner, _| program(&inner, 20));
    let found = compare([nested(b"a", 2), nested(b"b", 2)], limits).unwrap();
    assert_eq!(found.n_compared, 21 + 20 * 21);
    let error = compare([nested(b"a", 12), nested(b"b", 12)], limits).unwrap_err();
    assert_eq!(error.to_string(), "`image` has more than 1000 entries, with those of what is in it");
}

#[test]
fn what_is_unpacked_counts_as_compared() {
    let packed = |last: u8| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        encoder.write_all(&[last]).unwrap();
        program(&encoder.finish().unwrap(), 200)
    };
    let limits = Limits { compared: 5 << 20, ..Limits::default() };
    let found = compare([packed(1), packed(2)], limits).unwrap();
    let too_much = |aspect: &Aspect| match aspect {
        Aspect::Unknown(why) => why.ends_with("more than 5242880 bytes to compare"),
        _ => false,
    };
    let n_unknown = found.changes.iter().filter(|change| change.aspects.iter().any(too_much)).count();
    assert!((190..200).contains(&n_unknown), "{n_unknown}: {:?}", found.changes);
}

#[test]
fn what_is_unpacked_to_be_read_counts_once() {
    // More than the file, and less than twice that.
    let limits = Limits { compared: 6 << 20, ..Limits::default() };
    let found = compare([erofs("one"), erofs("one")], limits).unwrap();
    assert!(found.is_empty(), "{:?}", found.changes);
    let found = compare([erofs("one"), erofs("two")], limits).unwrap();
    let [file] = &found.changes[..] else { panic!("{:?}", found.changes) };
    assert_eq!(file.aspects, [Aspect::Lines(vec!["one".to_owned()], vec!["two".to_owned()])]);
    let found = compare([erofs("one"), erofs("one")], Limits { compared: 4 << 20, ..limits }).unwrap();
    assert!(matches!(found.changes[0].aspects[..], [Aspect::Unknown(_)]), "{:?}", found.changes);
}

#[test]
fn hard_links_of_an_archive_are_hard_links() {
    let directory = tempfile::tempdir().unwrap();
    let object = self::object(archive(&[7; 1 << 20], 300), Limits::default());
    let container = &**object.container().unwrap();
    let done = extract(container, None, directory.path(), false).unwrap();
    assert_eq!((done.files, done.bytes), (1, 1 << 20));
    let file = fs::metadata(directory.path().join("d/file")).unwrap();
    assert_eq!((file.nlink(), file.mode() & 0o7777, file.mtime()), (301, 0o640, 1000));

    // One of another one.
    let mut chain = tar::Builder::new(Vec::new());
    let mut file = tar::Header::new_ustar();
    file.set_size(4);
    chain.append_data(&mut file, "first", &b"text"[..]).unwrap();
    for (link, target) in [("second", "first"), ("third", "second")] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        chain.append_link(&mut header, link, target).unwrap();
    }
    let chain = self::object(chain.into_inner().unwrap(), Limits::default());
    let container = &**chain.container().unwrap();
    let third = container.lookup(b"third").unwrap().unwrap();
    assert_eq!(container.open(&third).unwrap().size().unwrap(), 4);
    let directory = tempfile::tempdir().unwrap();
    let done = extract(container, None, directory.path(), false).unwrap();
    assert_eq!((done.files, done.bytes), (1, 4));
    assert_eq!(fs::metadata(directory.path().join("third")).unwrap().nlink(), 3);

    // The file itself is elsewhere.
    let container = &**object.container().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let top = container.lookup(b"e").unwrap();
    let done = extract(container, top.as_ref(), directory.path(), false).unwrap();
    assert_eq!((done.files, done.bytes), (1, 1 << 20));
    assert_eq!(fs::metadata(directory.path().join("299")).unwrap().nlink(), 300);
}
