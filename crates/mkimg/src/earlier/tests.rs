//! Whatever is known of earlier runs, images are the same; and what is known is used.

use std::fmt::Write as _;
use std::fs;

use sha2::{Digest as _, Sha256};

use super::table::{Entry, Table};
use super::{DIRECTORY, Key, PROGRAM, checksum};
use crate::run;
use crate::spec::Spec;

/// A step of its own, with two layers to make images of.
struct Step {
    directory: tempfile::TempDir,
    program: u8,
}

/// What is written, by name, as the specification has it.
const FORMATS: [(&str, &str); 10] = [
    ("gzip", r#""kind": "squashfs", "compression": "gzip", "fragments": "all""#),
    ("lz4", r#""kind": "squashfs", "compression": "lz4hc", "block_size": 4096"#),
    ("xz", r#""kind": "squashfs", "compression": "xz", "bcj": ["x86", "arm"], "block_size": 16384"#),
    ("zstd", r#""kind": "squashfs", "compression": "zstd", "level": 3, "fragments": "none""#),
    ("erofs-lz4", r#""kind": "erofs", "compression": "lz4", "cluster_size": 4096, "uuid": "UUID""#),
    ("erofs-zstd", r#""kind": "erofs", "compression": "zstd", "uuid": "UUID""#),
    ("qcow2-zlib", r#""kind": "qcow2", "compression": "zlib""#),
    ("qcow2-zstd", r#""kind": "qcow2", "compression": "zstd""#),
    ("vmdk", r#""kind": "vmdk", "variant": "stream-optimized", "adapter": "ide", "uuid": "UUID""#),
    ("gcp", r#""kind": "gcp", "epoch": 0"#),
];

fn spec(format: &str) -> Spec {
    let format = format.replace("UUID", "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b03");
    let text = if format.contains("squashfs") || format.contains("erofs") {
        format!(
            r#"{{ {format}, "output": "out/image", "epoch": 0, "layers": ["in/base.tar", "in/top.tar"] }}"#
        )
    } else {
        let convert = r#""kind": "convert", "input": "in/disk", "from": "raw", "output": "out/image""#;
        format!(r#"{{ {convert}, "format": {{ {format} }} }}"#)
    };
    serde_json::from_str(&text).unwrap()
}

/// Bytes that compress to about a third.
fn words(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut words = Vec::with_capacity(length + 16);
    while words.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        words.extend_from_slice(format!("{:x} ", state >> 20).as_bytes());
    }
    words.truncate(length);
    words
}

/// Bytes that do not compress.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let blocks = (0..length as u32 / 32 + 1)
        .flat_map(|block| Sha256::digest([seed, block].map(u32::to_le_bytes).concat()));
    blocks.take(length).collect()
}

impl Step {
    fn new() -> Step {
        let step = Step { directory: tempfile::tempdir().unwrap(), program: 1 };
        let put = |path: &str, bytes: &[u8]| {
            let path = step.directory.path().join("base").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        for number in 0..60 {
            put(&format!("small/{number}"), &words(number, 50 + number as usize * 40));
        }
        put("a", &words(100, 300_000));
        put("noise", &noise(5, 140_000));
        put("twice/one", &words(101, 200_000));
        put("twice/other", &words(101, 200_000));
        put("zeros", &vec![0; 150_000]);
        put("z", &[words(102, 70_000), vec![0; 70_000], noise(6, 70_000), words(103, 3_000_000)].concat());
        step.layer("base");
        step.edit("first");
        step
    }

    /// Writes the layer and the disk that change.
    fn edit(&self, text: &str) {
        let top = self.directory.path().join("top/etc");
        fs::create_dir_all(&top).unwrap();
        fs::write(top.join("edited"), text).unwrap();
        self.layer("top");
        let mut disk =
            [words(200, 900_000), vec![0; 400_000], noise(7, 600_000), words(201, 1_500_000)].concat();
        disk[500_000..500_000 + text.len()].copy_from_slice(text.as_bytes());
        fs::write(self.directory.path().join("in/disk"), disk).unwrap();
    }

    fn layer(&self, name: &str) {
        let text =
            format!(r#"{{ "kind": "layer", "output": "in/{name}.tar", "epoch": 0, "trees": ["{name}"] }}"#);
        run(&serde_json::from_str(&text).unwrap(), self.directory.path()).unwrap();
    }

    /// Writes the image without anything that is known of others.
    fn clean(&self, format: &str) -> Vec<u8> {
        let _ = fs::remove_dir_all(self.directory.path().join(DIRECTORY));
        run(&spec(format), self.directory.path()).unwrap();
        fs::read(self.directory.path().join("out/image")).unwrap()
    }

    /// Writes the image, with tables and images of others, and returns it with what it leaves.
    fn reusing(&self, format: &str, earlier: &[(&[u8], &[u8])], is_identified: bool) -> (Vec<u8>, Vec<u8>) {
        let directory = self.directory.path().join(DIRECTORY);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("new")).unwrap();
        let mut inputs = format!("{} 1 {PROGRAM}\n", format!("{:02x}", self.program).repeat(32));
        for name in ["base.tar", "top.tar", "disk"].iter().filter(|_| is_identified) {
            let bytes = fs::read(self.directory.path().join("in").join(name)).unwrap();
            let hash = Sha256::digest(&bytes);
            hash.iter().for_each(|byte| write!(inputs, "{byte:02x}").unwrap());
            writeln!(inputs, " {} build/in/{name}", bytes.len()).unwrap();
        }
        fs::write(directory.join("inputs"), inputs).unwrap();
        for (number, (table, image)) in earlier.iter().enumerate() {
            let run = directory.join(number.to_string());
            fs::create_dir(&run).unwrap();
            fs::write(run.join("table"), table).unwrap();
            fs::write(run.join("image"), image).unwrap();
        }
        run(&spec(format), self.directory.path()).unwrap();
        assert_eq!(fs::read_to_string(directory.join("new/of")).unwrap(), "image");
        let image = fs::read(self.directory.path().join("out/image")).unwrap();
        (image, fs::read(directory.join("new/table")).unwrap())
    }
}

#[test]
fn images_are_the_same_whatever_is_known() {
    let step = Step::new();
    for (name, format) in FORMATS {
        step.edit("first");
        let first = step.clean(format);
        let (image, table) = step.reusing(format, &[], true);
        assert!(image == first, "{name}: nothing known");
        let (image, again) = step.reusing(format, &[(&table, &first)], true);
        assert!(image == first, "{name}: the same");
        assert!(again == table, "{name}: what is left for the next");
        step.edit("something else, which is longer");
        let second = step.clean(format);
        assert!(second != first, "{name}");
        for is_identified in [true, false] {
            let (image, after) = step.reusing(format, &[(&table, &first)], is_identified);
            assert!(image == second, "{name}: edited, {is_identified}");
            // Back again, of both.
            step.edit("first");
            let (image, _) = step.reusing(format, &[(&after, &second), (&table, &first)], is_identified);
            assert!(image == first, "{name}: back, {is_identified}");
            step.edit("something else, which is longer");
        }
    }
}

#[test]
fn what_is_known_is_used() {
    let mut step = Step::new();
    for (name, format) in FORMATS {
        let clean = step.clean(format);
        let (_, table) = step.reusing(format, &[], true);
        // Every block that is somewhere in the image is another one, and said to be right.
        let mut other = clean.clone();
        let table = reseal(&table, &mut other);
        for is_identified in [true, false] {
            let (image, _) = step.reusing(format, &[(&table, &other)], is_identified);
            assert!(image != clean, "{name}, {is_identified}");
        }
        // Another program knows nothing of it.
        step.program += 1;
        assert!(step.reusing(format, &[(&table, &other)], true).0 == clean, "{name}: another program");
    }
}

#[test]
fn what_is_damaged_is_made_anew() {
    let step = Step::new();
    let mut state = 7_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 4) as usize % below
    };
    for (name, format) in FORMATS {
        step.edit("first");
        let first = step.clean(format);
        let (_, table) = step.reusing(format, &[], true);
        step.edit("other");
        let expected = step.clean(format);
        for round in 0..8 {
            let (mut table, mut image) = (table.clone(), first.clone());
            match round {
                0 => table.truncate(random(table.len())),
                1 => image.truncate(random(image.len())),
                2 => image.clear(),
                3 => image = expected.clone(),
                4 => table = noise(3, table.len()),
                5 => {
                    let at = random(table.len());
                    table[at] ^= 1 << random(8);
                }
                _ => {
                    for _ in 0..400 {
                        let at = random(image.len());
                        image[at] ^= 1 << random(8);
                    }
                }
            }
            let found = step.reusing(format, &[(&table, &image)], round % 2 == 0).0;
            assert!(found == expected, "{name}, damage {round}");
        }
    }
}

#[test]
fn extents_that_cannot_be_are_made_anew() {
    let step = Step::new();
    for (name, format) in FORMATS.iter().filter(|(name, _)| name.starts_with("erofs")) {
        let clean = step.clean(format);
        let (_, table) = step.reusing(format, &[], true);
        let table = Table::decode(table).unwrap();
        let (entries, ranges) = table.all();
        // The first extent has another length, or another number of blocks.
        for at in [0, 4] {
            let changed = |note: &[u8]| {
                let mut note = note.to_vec();
                note.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
                note
            };
            let notes: Vec<Vec<u8>> = entries.iter().map(|(.., note)| changed(note)).collect();
            let entries = entries.iter().zip(&notes);
            let entries = entries.map(|((key, entry, _), note)| (*key, *entry, &note[..])).collect();
            let table = Table::encode(entries, ranges.clone()).unwrap();
            let (image, _) = step.reusing(format, &[(&table, &clean)], true);
            assert!(image == clean, "{name}, {at}");
        }
    }
}

/// Changes a byte of every block of the image, and returns the table that says that this is right.
fn reseal(table: &[u8], image: &mut [u8]) -> Vec<u8> {
    let table = Table::decode(table.to_vec()).unwrap();
    let (entries, ranges) = table.all();
    let entries: Vec<(Key, Entry, &[u8])> = entries
        .into_iter()
        .map(|(key, mut entry, note)| {
            let block = &mut image[entry.offset as usize..][..entry.length as usize];
            if let Some(byte) = block.last_mut() {
                *byte ^= 1;
            }
            entry.checksum = checksum(block);
            (key, entry, note)
        })
        .collect();
    Table::encode(entries, ranges).unwrap()
}

#[test]
fn a_table_says_what_it_was_told() {
    let key = |byte: u8| Key([byte; Key::LEN]);
    let entry = |offset| Entry { kind: 3, offset, length: 9, checksum: 77 };
    let told =
        vec![(key(9), entry(1), &b"note"[..]), (key(2), entry(2), &b""[..]), (key(2), entry(3), &b"no"[..])];
    let bytes = Table::encode(told, vec![(key(5), key(6)), (key(4), key(9))]).unwrap();
    let table = Table::decode(bytes.clone()).unwrap();
    assert_eq!(table.entry(&key(9)), Some((entry(1), &b"note"[..])));
    assert_eq!(table.entry(&key(2)), Some((entry(2), &b""[..])));
    assert_eq!(table.entry(&key(3)), None);
    assert_eq!([4, 5, 6].map(|byte| table.range(&key(byte))), [Some(key(9)), Some(key(6)), None]);
    for length in 0..bytes.len() {
        assert!(Table::decode(bytes[..length].to_vec()).is_none());
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        assert!(Table::decode(bytes).is_none(), "{at}");
    }
}
