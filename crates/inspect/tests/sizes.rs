//! What takes up images of every format: the parts come to the whole, and files take what they must.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use inspect::{FileKind, Limits, Object, Part, Sizes};
use tempfile::TempDir;

const GUID: &str = "6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10";
/// Of these bytes nothing can be left out.
const NOISE: usize = 300_000;

struct Images {
    directory: TempDir,
}

impl Images {
    fn new() -> Images {
        let images = Images { directory: tempfile::tempdir().unwrap() };
        fs::write(images.path("noise"), noise(NOISE)).unwrap();
        fs::write(images.path("short"), noise(5000)).unwrap();
        fs::write(images.path("same"), "all the same ".repeat(40_000)).unwrap();
        images
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, json: &str) {
        fs::write(self.path("spec.json"), json).unwrap();
        let spec = mkimg::read_spec(&self.path("spec.json")).unwrap();
        mkimg::run(&spec, self.directory.path()).unwrap();
    }

    /// Makes a layer of `(path, file)` pairs, and one link to the first.
    fn layer(&self, name: &str, files: &[(&str, &str)]) {
        let entries: Vec<String> = files
            .iter()
            .map(|(path, file)| format!(r#"{{"path":"{path}","type":"file","source":"{file}","mode":493}}"#))
            .collect();
        self.run(&format!(
            r#"{{"kind":"layer","output":"{name}.tar","epoch":1600000000,"entries":[{}]}}"#,
            entries.join(",")
        ));
    }

    fn image(&self, kind: &str, more: &str, layer: &str) -> PathBuf {
        let output = format!("{layer}.{kind}");
        self.run(&format!(
            r#"{{"kind":"{kind}","output":"{output}","epoch":1600000000,"layers":["{layer}.tar"]{more}}}"#
        ));
        self.path(&output)
    }

    fn sizes(&self, path: &std::path::Path) -> Sizes {
        Sizes::of(&Object::open(path, Limits::default()).unwrap()).unwrap()
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn kinds() -> Vec<(&'static str, String)> {
    vec![
        ("ext4", format!(r#","uuid":"{GUID}","hash_seed":"{GUID}""#)),
        ("squashfs", String::new()),
        ("erofs", format!(r#","uuid":"{GUID}","compression":"lz4hc""#)),
        ("fat", r#","volume_id":305419896"#.to_owned()),
        ("iso", r#","volume_id":"TEST""#.to_owned()),
        ("initramfs", r#","compression":"zstd""#.to_owned()),
        ("initramfs", String::new()),
    ]
}

fn stored(part: &Part, path: &str) -> u64 {
    part.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).stored
}

#[test]
fn parts_come_to_the_whole_in_every_format() {
    let images = Images::new();
    images.layer(
        "layer",
        &[("a/noise", "noise"), ("a/same", "same"), ("b/short", "short"), ("b/again", "noise")],
    );
    for (kind, more) in kinds() {
        let path = images.image(kind, &more, "layer");
        let sizes = images.sizes(&path);
        let [part] = &sizes.parts[..] else { panic!("{kind}") };
        let files: u64 = part.files.iter().map(|file| file.stored).sum();
        assert_eq!(files + part.metadata + part.free, fs::metadata(&path).unwrap().len(), "{kind}");
        assert_eq!(part.files.len(), 4, "{kind}");
        let contents: Vec<u64> = ["a/noise", "a/same", "b/short", "b/again"]
            .map(|path| part.files.iter().find(|file| file.path == path).unwrap().size)
            .into();
        assert_eq!(contents, [300_000, 520_000, 5000, 300_000], "{kind}");
    }
}

#[test]
fn files_take_what_their_format_gives_them() {
    let images = Images::new();
    images.layer("layer", &[("noise", "noise"), ("same", "same"), ("short", "short"), ("zagain", "noise")]);
    let part = |kind: &str| {
        let more = kinds().into_iter().find(|(known, _)| *known == kind).unwrap().1;
        images.sizes(&images.image(kind, &more, "layer")).parts.remove(0)
    };
    let ext4 = part("ext4");
    assert_eq!(
        [stored(&ext4, "noise"), stored(&ext4, "same"), stored(&ext4, "short")],
        [303_104, 520_192, 8192]
    );
    let iso = part("iso");
    assert_eq!([stored(&iso, "noise"), stored(&iso, "short")], [301_056, 6144]);
    let fat = part("fat");
    let cluster = 2048;
    assert_eq!(stored(&fat, "noise"), 300_000_u64.next_multiple_of(cluster));

    // Noise cannot be compressed, and what is the same nearly vanishes. The same contents are there once.
    for kind in ["squashfs", "erofs"] {
        let part = part(kind);
        let once = [stored(&part, "noise"), stored(&part, "zagain")];
        // What does not fill a block is beside the inode in EROFS, and so is there for each.
        let again = once[0].min(once[1]);
        assert!(if kind == "erofs" { again < 4096 } else { again == 0 }, "{kind}: {once:?}");
        let noise = once[0].max(once[1]);
        assert!((NOISE as u64..NOISE as u64 + 8192).contains(&noise), "{kind}: {noise}");
        assert!(stored(&part, "same") < 12_288, "{kind}: {}", stored(&part, "same"));
        assert!((5000..=8192).contains(&stored(&part, "short")), "{kind}: {}", stored(&part, "short"));
    }
}

/// What a file takes is what the image has less without it.
#[test]
fn an_image_without_a_file_is_smaller_by_what_it_takes() {
    let images = Images::new();
    images.layer("with", &[("noise", "noise"), ("same", "same"), ("short", "short")]);
    images.layer("without", &[("same", "same"), ("short", "short")]);
    for (kind, more) in kinds() {
        // The others have a size that leaves room; in what is compressed as a whole shares are all that can be said.
        let is_told = matches!(kind, "squashfs" | "erofs" | "iso") || kind == "initramfs" && more.is_empty();
        if !is_told {
            continue;
        }
        let (with, without) = (images.image(kind, &more, "with"), images.image(kind, &more, "without"));
        let less = fs::metadata(&with).unwrap().len() - fs::metadata(&without).unwrap().len();
        let taken = stored(&images.sizes(&with).parts[0], "noise");
        // Headers, names and padding come and go with it.
        assert!(less.abs_diff(taken) <= 8192, "{kind}: {less} and {taken}");
    }
}

#[test]
fn a_disk_has_parts_of_its_partitions() {
    let images = Images::new();
    images.layer("layer", &[("noise", "noise")]);
    images.image("squashfs", "", "layer");
    fs::write(images.path("damaged"), [b"hsqs".as_slice(), &[0xff; 8000]].concat()).unwrap();
    images.run(&format!(
        r#"{{"kind":"disk","output":"disk.raw","size":33554432,"format":{{"kind":"raw"}},
        "table":{{"kind":"gpt","guid":"{GUID}"}},"partitions":[
        {{"name":"ROOT","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":{{"bytes":8388608}},
        "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11","file":"layer.squashfs"}},
        {{"name":"BAD","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":{{"bytes":1048576}},
        "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a12","file":"damaged"}},
        {{"name":"EMPTY","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":"grow",
        "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a13"}}]}}"#
    ));
    let sizes = images.sizes(&images.path("disk.raw"));
    let [root, bad, empty] = &sizes.parts[..] else { panic!("{}", sizes.parts.len()) };
    assert_eq!((root.path.as_str(), root.size), ("ROOT", 8 << 20));
    assert_eq!(stored(root, "noise") + root.metadata + root.free, 8 << 20);
    assert!(bad.files.is_empty() && bad.problem.as_ref().is_some_and(|problem| problem.contains("BAD")));
    assert_eq!((empty.files.len(), empty.free, &empty.problem), (0, empty.size, &None));

    let mut below = images.sizes(&images.path("layer.squashfs"));
    below.retain_below(b"noi");
    assert!(below.parts[0].files.is_empty());
}

#[test]
fn packages_are_those_that_the_image_lists() {
    let images = Images::new();
    let entry = |path: &str, text: &str| format!(r#"{{"path":"{path}","type":"file","text":"{text}"}}"#);
    let entries = [
        entry("usr/bin/tool", "#!/bin/sh\\n"),
        entry("usr/lib/libtool.so.1", "x"),
        entry("etc/own", "of nobody\\n"),
        entry(
            "var/lib/dpkg/info/tool:amd64.list",
            "/.\\n/bin\\n/bin/tool\\n/usr/lib\\n/usr/lib/libtool.so.1\\n",
        ),
        entry("var/lib/dpkg/info/tool:amd64.postinst", "true\\n"),
        r#"{"path":"bin","type":"symlink","target":"usr/bin"}"#.to_owned(),
    ];
    images.run(&format!(
        r#"{{"kind":"layer","output":"layer.tar","epoch":1600000000,"entries":[{}]}}"#,
        entries.join(",")
    ));
    for (kind, more) in kinds() {
        // FAT has no links.
        if kind == "fat" {
            continue;
        }
        let sizes = images.sizes(&images.image(kind, &more, "layer"));
        let found: Vec<(&str, Option<&str>, FileKind)> = sizes.parts[0]
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.package.as_deref(), file.kind))
            .collect();
        for expected in [
            ("usr/bin/tool", Some("tool"), FileKind::Script),
            ("usr/lib/libtool.so.1", Some("tool"), FileKind::Library),
            ("etc/own", None, FileKind::Text),
            ("var/lib/dpkg/info/tool:amd64.postinst", Some("tool"), FileKind::Database),
        ] {
            assert!(found.contains(&expected), "{kind}: {found:?}");
        }
    }
}

#[test]
fn what_files_are_is_seen_from_their_beginning() {
    let images = Images::new();
    images.layer("layer", &[("same", "same")]);
    let (_, more) = kinds().into_iter().find(|(kind, _)| *kind == "erofs").unwrap();
    let limits = Limits { unpacked: 1000, ..Limits::default() };
    let object = Object::open(&images.image("erofs", &more, "layer"), limits).unwrap();
    let sizes = Sizes::of(&object).unwrap();
    let file = sizes.parts[0].files.iter().find(|file| file.path == "same").unwrap();
    assert_eq!((file.size, file.kind), (520_000, FileKind::Text));
}

#[test]
fn what_has_no_files_is_refused() {
    let refuse = |bytes: &[u8]| {
        let object = Object::of("x".to_owned(), Arc::new(bytes.to_vec()), 0, Limits::default()).unwrap();
        Sizes::of(&object).unwrap_err()
    };
    let text = refuse(b"hello\n");
    assert_eq!(text.to_string(), "`x` has no files that could be measured: it is text");
    assert!(text.help().unwrap().contains("live.raw:IMGA"));
    assert!(!text.is_machine());
    refuse(&[0; 5000]);
    refuse(&[]);
}

/// Whatever is wrong with an image, measuring it ends, and says so.
#[test]
fn damaged_images_are_told() {
    let images = Images::new();
    images.layer("layer", &[("noise", "noise"), ("same", "same"), ("short", "short")]);
    for (kind, more) in kinds() {
        let whole = fs::read(images.image(kind, &more, "layer")).unwrap();
        let mut state = 7_u64;
        for round in 0..60 {
            let mut bytes = whole.clone();
            if round % 4 == 0 {
                bytes.truncate(bytes.len() * (round + 1) / 64);
            }
            for _ in 0..=round % 5 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                // Most of what matters is at the beginning or at the end.
                let span = if state & 1 == 0 { bytes.len().min(8192) } else { bytes.len() };
                let at = (state >> 20) as usize % span.max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= (state >> 8) as u8;
                }
            }
            let source: inspect::Source = Arc::new(bytes);
            if let Ok(object) = Object::of("x".to_owned(), source, 0, Limits::default())
                && let Ok(sizes) = Sizes::of(&object)
            {
                assert!(sizes.parts.len() <= 200);
            }
        }
    }
}
