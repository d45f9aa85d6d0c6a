//! Builds packages for tests, wrong ones included: nothing here checks anything.

use std::io::Write;

/// One entry of an archive; [`file`], [`directory`] and [`link`] make the usual ones.
#[derive(Clone, Debug)]
pub(crate) struct TarEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: u64,
    pub(crate) target: Vec<u8>,
    pub(crate) device: (u32, u32),
    pub(crate) content: Vec<u8>,
}

pub(crate) fn entry(name: &str, kind: u8, mode: u32) -> TarEntry {
    TarEntry {
        name: name.into(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: 1_000_000_000,
        target: Vec::new(),
        device: (0, 0),
        content: Vec::new(),
    }
}

pub(crate) fn file(name: &str, content: &str) -> TarEntry {
    TarEntry { content: content.into(), ..entry(name, b'0', 0o644) }
}

pub(crate) fn program(name: &str, content: &str) -> TarEntry {
    TarEntry { content: content.into(), ..entry(name, b'0', 0o755) }
}

pub(crate) fn directory(name: &str) -> TarEntry {
    entry(name, b'5', 0o755)
}

pub(crate) fn symlink(name: &str, target: &str) -> TarEntry {
    TarEntry { target: target.into(), ..entry(name, b'2', 0o777) }
}

pub(crate) fn hard_link(name: &str, target: &str) -> TarEntry {
    TarEntry { target: target.into(), ..entry(name, b'1', 0o644) }
}

/// Returns a ustar archive of `entries`, with GNU long names where they are needed.
pub(crate) fn tar(entries: &[TarEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        for (kind, long) in [(b'L', &entry.name), (b'K', &entry.target)] {
            if long.len() > 100 {
                let extension = TarEntry {
                    content: [long, &b"\0"[..]].concat(),
                    ..self::entry("././@LongLink", kind, 0)
                };
                push(&mut bytes, &extension);
            }
        }
        push(&mut bytes, entry);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn push(bytes: &mut Vec<u8>, entry: &TarEntry) {
    let mut header = [0; 512];
    let mut put = |at: usize, length: usize, value: &[u8]| {
        let value = &value[..value.len().min(length)];
        header[at..at + value.len()].copy_from_slice(value);
    };
    put(0, 100, &entry.name);
    put(100, 8, format!("{:07o}", entry.mode).as_bytes());
    put(108, 8, format!("{:07o}", entry.uid).as_bytes());
    put(116, 8, format!("{:07o}", entry.gid).as_bytes());
    put(124, 12, format!("{:011o}", entry.content.len()).as_bytes());
    put(136, 12, format!("{:011o}", entry.mtime).as_bytes());
    put(148, 8, b"        ");
    put(156, 1, &[entry.kind]);
    put(157, 100, &entry.target);
    put(257, 8, b"ustar  \0");
    put(265, 32, b"root");
    put(297, 32, b"root");
    put(329, 8, format!("{:07o}", entry.device.0).as_bytes());
    put(337, 8, format!("{:07o}", entry.device.1).as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    bytes.extend(header);
    bytes.extend(&entry.content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

/// Returns an `ar` archive.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes(),
        );
        bytes.extend(*content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Compresses as a member whose name ends with `suffix` would be.
pub(crate) fn compress(suffix: &str, plain: &[u8]) -> Vec<u8> {
    match suffix {
        "" => plain.to_vec(),
        ".gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        ".xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        ".zst" => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        ".bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        _ => panic!("no such compression: {suffix}"),
    }
}

/// Returns a package; `control` and `data` are the entries of its two archives.
pub(crate) fn deb(control: &[TarEntry], data: &[TarEntry]) -> Vec<u8> {
    deb_compressed("", control, data)
}

pub(crate) fn deb_compressed(suffix: &str, control: &[TarEntry], data: &[TarEntry]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        (&format!("control.tar{suffix}"), &compress(suffix, &tar(control))),
        (&format!("data.tar{suffix}"), &compress(suffix, &tar(data))),
    ])
}

/// Returns the control stanza of a small package.
pub(crate) fn control(name: &str, more: &str) -> TarEntry {
    file(
        "./control",
        &format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n{more}Description: test\n"
        ),
    )
}
