//! Images of every format that we write, one in the other, looked into, taken out of, and compared.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::Path;

use inspect::{Aspect, Differences, Entry, Error, Found, Ignored, Limits, Object, diff, extract};
use tempfile::TempDir;

struct Images {
    directory: TempDir,
}

const GUID: &str = "6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10";

impl Images {
    fn new() -> Images {
        let images = Images { directory: tempfile::tempdir().unwrap() };
        images.layer("layer", "hello\n", 1_600_000_000);
        images
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, json: &str) {
        fs::write(self.path("spec.json"), json).unwrap();
        let spec = mkimg::read_spec(&self.path("spec.json")).unwrap();
        mkimg::run(&spec, self.directory.path()).unwrap();
    }

    /// Makes a layer with a file that says `text`.
    fn layer(&self, name: &str, text: &str, epoch: u64) {
        let text = text.escape_default();
        let large = "all the same ".repeat(40_000);
        self.run(&format!(
            r#"{{"kind":"layer","output":"{name}.tar","epoch":{epoch},"entries":[
            {{"path":"etc/os-release","type":"symlink","target":"../usr/lib/os-release"}},
            {{"path":"usr/lib/os-release","type":"file","text":"{text}","mode":420}},
            {{"path":"usr/lib/alias","type":"hard-link","target":"usr/lib/os-release"}},
            {{"path":"usr/lib/large","type":"file","text":"{large}","mode":384,"uid":5,"gid":6}},
            {{"path":"usr/loop","type":"symlink","target":"/usr/loop"}},
            {{"path":"dev/null","type":"char-device","major":1,"minor":3,"mode":438}},
            {{"path":"empty","type":"file","text":""}}]}}"#
        ));
    }

    /// Makes a file system of a layer.
    fn file_system(&self, kind: &str, layer: &str, output: &str) {
        let more = match kind {
            "squashfs" | "initramfs" => String::new(),
            "erofs" => format!(r#","uuid":"{GUID}","compression":"lz4hc""#),
            "fat" => r#","volume_id":305419896"#.to_owned(),
            "iso" => r#","volume_id":"TEST""#.to_owned(),
            _ => format!(r#","uuid":"{GUID}","hash_seed":"{GUID}""#),
        };
        let more = if kind == "initramfs" { r#","compression":"zstd""#.to_owned() } else { more };
        self.run(&format!(
            r#"{{"kind":"{kind}","output":"{output}","epoch":1600000000,"layers":["{layer}.tar"]{more}}}"#
        ));
    }

    /// Makes a disk with two partitions.
    fn disk(&self, one: &str, two: &str, output: &str, format: &str) {
        self.run(&format!(
            r#"{{"kind":"disk","output":"{output}","size":33554432,"format":{format},
            "table":{{"kind":"gpt","guid":"{GUID}"}},"partitions":[
            {{"name":"ROOT","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":{{"bytes":8388608}},
            "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11","file":"{one}"}},
            {{"name":"data/1","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":"grow",
            "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a12","file":"{two}"}}]}}"#
        ));
    }

    fn open(&self, name: &str) -> Object {
        Object::open(&self.path(name), Limits::default()).unwrap()
    }

    fn find(&self, name: &str, path: &str) -> Result<Found, Error> {
        self.open(name).find(path.as_bytes())
    }

    /// Returns the bytes of a file in an image.
    #[track_caller]
    fn read(&self, name: &str, path: &str) -> Vec<u8> {
        let Found::Object(object) = self.find(name, path).unwrap() else { panic!("{path} is no object") };
        let mut bytes = Vec::new();
        inspect::copy_to(&**object.source().unwrap(), &mut bytes).unwrap();
        bytes
    }
}

fn entries(object: &Object) -> Vec<Entry> {
    let mut entries = Vec::new();
    object
        .container()
        .unwrap()
        .walk(&mut |entry| {
            entries.push(entry);
            Ok(())
        })
        .unwrap();
    entries
}

#[test]
fn every_file_system_and_archive_has_what_is_in_the_layer() {
    let images = Images::new();
    for kind in ["ext4", "squashfs", "erofs", "iso", "initramfs"] {
        images.file_system(kind, "layer", kind);
    }
    fs::write(images.path("plain.tar.gz"), gzip(&fs::read(images.path("layer.tar")).unwrap())).unwrap();
    for name in ["ext4", "squashfs", "erofs", "iso", "initramfs", "layer.tar", "plain.tar.gz"] {
        assert_eq!(images.read(name, "etc/os-release"), b"hello\n", "{name}");
        assert_eq!(images.read(name, "/usr/lib/../lib/alias"), b"hello\n", "{name}");
        let large = images.read(name, "usr/lib/large");
        assert!(large == "all the same ".repeat(40_000).as_bytes(), "{name}");
        assert_eq!(images.read(name, "empty"), b"", "{name}");
        let Found::Other { entry, .. } = images.find(name, "dev/null").unwrap() else { panic!("{name}") };
        assert_eq!(entry.kind, inspect::EntryKind::CharDevice(1, 3), "{name}");
        let all = entries(&images.open(name));
        let large = all.iter().find(|entry| entry.path == b"usr/lib/large").unwrap();
        assert_eq!((large.mode, large.owner, large.size), (Some(0o600), Some((5, 6)), 520_000), "{name}");
        assert_eq!(large.mtime, Some(1_600_000_000), "{name}");

        let wrong = |path: &str| images.find(name, path).err().map(|error| error.to_string()).unwrap();
        assert!(wrong("usr/loop").ends_with("usr/loop`: more than 40 symbolic links follow each other"));
        assert!(wrong("etc/os-release/x").contains("has nothing in it that could be `x`: it is text"));
        let Err(error) = images.find(name, "usr/lib/os-releese") else { panic!("{name}") };
        assert_eq!(error.help().as_deref(), Some("did you mean `usr/lib/os-release`?"), "{name}");
    }
}

#[test]
fn fat_has_names_in_any_case() {
    let images = Images::new();
    images.run(
        r#"{"kind":"layer","output":"efi.tar","epoch":1600000000,"entries":[
        {"path":"EFI/BOOT/grub.cfg","type":"file","text":"boot\n"}]}"#,
    );
    images.file_system("fat", "efi", "fat");
    assert_eq!(images.read("fat", "efi/boot/GRUB.CFG"), b"boot\n");
    let all = entries(&images.open("fat"));
    assert_eq!(all.last().unwrap().mtime, Some(1_600_000_000));
}

#[test]
fn paths_go_through_disks_in_every_format() {
    let images = Images::new();
    images.file_system("squashfs", "layer", "squashfs");
    images.file_system("ext4", "layer", "ext4");
    let formats = [
        ("disk.raw", r#"{"kind":"raw"}"#.to_owned()),
        ("disk.qcow2", r#"{"kind":"qcow2","compression":"zlib"}"#.to_owned()),
        ("disk.vdi", format!(r#"{{"kind":"vdi","uuid":"{GUID}"}}"#)),
        (
            "disk.vmdk",
            format!(r#"{{"kind":"vmdk","variant":"stream-optimized","adapter":"buslogic","uuid":"{GUID}"}}"#),
        ),
        ("disk.vhd", format!(r#"{{"kind":"vhd","fixed":true,"uuid":"{GUID}","epoch":1600000000}}"#)),
        ("disk.vhdx", format!(r#"{{"kind":"vhdx","block_size":2097152,"uuid":"{GUID}"}}"#)),
        ("disk.tar.gz", r#"{"kind":"gcp","epoch":1600000000}"#.to_owned()),
        ("disk.hdd", format!(r#"{{"kind":"parallels","uuid":"{GUID}"}}"#)),
    ];
    for (name, format) in &formats {
        images.disk("squashfs", "ext4", name, format);
        for path in ["ROOT/etc/os-release", "root/usr/lib/alias", "1/etc/os-release", "2/etc/os-release"] {
            assert_eq!(images.read(name, path), b"hello\n", "{name}:{path}");
        }
        let object = images.open(name);
        assert_eq!(object.described().format.name(), "a disk", "{name}");
        assert_eq!(object.wrappers().len(), usize::from(*name != "disk.raw"), "{name}");
        let regions: Vec<&str> = object.described().regions.iter().map(|region| &region.name[..]).collect();
        assert_eq!(regions, ["MBR", "GPT", "ROOT", "2", "copy of the GPT"], "{name}");
        if *name != "disk.raw" && *name != "disk.tar.gz" {
            assert_eq!(compare(&images, "disk.raw", name).changes.len(), 1, "only what it is wrapped in");
        }
    }
    let Err(error) = images.find("disk.raw", "roto/etc") else { panic!() };
    assert_eq!(error.help().as_deref(), Some("did you mean `ROOT`?"));
}

#[test]
fn an_initramfs_has_all_its_archives() {
    let images = Images::new();
    images.run(r#"{"kind":"layer","output":"early.tar","epoch":1,"entries":[
        {"path":"kernel/microcode","type":"file","text":"odd"},{"path":"empty","type":"file","text":"not empty"}]}"#);
    images.run(
        r#"{"kind":"initramfs","output":"early","epoch":1,"layers":["early.tar"],"compression":"none"}"#,
    );
    images.run(
        r#"{"kind":"initramfs","output":"all","epoch":1,"layers":["layer.tar"],"compression":"gzip","prepend":["early"]}"#,
    );
    assert_eq!(images.read("all", "kernel/microcode"), b"odd");
    // The last archive holds, as with kernels.
    assert_eq!(images.read("all", "empty"), b"");
    assert_eq!(images.read("all", "etc/os-release"), b"hello\n");
}

#[track_caller]
fn compare(images: &Images, a: &str, b: &str) -> Differences {
    diff(&images.open(a), &images.open(b), Ignored::default()).unwrap()
}

#[test]
fn a_changed_file_is_named_wherever_it_is() {
    let images = Images::new();
    images.layer("other", "goodbye\n", 1_600_000_000);
    for (layer, suffix) in [("layer", "a"), ("other", "b")] {
        for kind in ["squashfs", "ext4"] {
            images.file_system(kind, layer, &format!("{kind}.{suffix}"));
        }
        let (one, two) = (format!("squashfs.{suffix}"), format!("ext4.{suffix}"));
        images.disk(&one, &two, &format!("disk.{suffix}"), r#"{"kind":"qcow2"}"#);
    }
    assert!(compare(&images, "disk.a", "disk.a").is_empty());
    let found = compare(&images, "disk.a", "disk.b");
    let lines = Aspect::Lines(vec!["hello".to_owned()], vec!["goodbye".to_owned()]);
    let named: Vec<&str> = found
        .changes
        .iter()
        .filter(|change| change.aspects.contains(&lines))
        .map(|change| &change.path[..])
        .collect();
    assert_eq!(
        named,
        ["ROOT/usr/lib/alias", "ROOT/usr/lib/os-release", "2/usr/lib/alias", "2/usr/lib/os-release"]
    );
    // Nothing else is said of files.
    let others =
        found.changes.iter().filter(|change| change.path.contains("large") || change.path.contains("etc"));
    assert_eq!(others.count(), 0, "{:?}", found.changes);
}

#[test]
fn what_is_damaged_inside_of_another_is_a_difference_of_its_own() {
    let images = Images::new();
    images.file_system("squashfs", "layer", "squashfs");
    images.file_system("ext4", "layer", "ext4");
    let mut bytes = fs::read(images.path("ext4")).unwrap();
    // The inode of the root, the second behind the bitmaps.
    bytes[5 * 4096 + 256 + 4] ^= 1;
    fs::write(images.path("damaged"), bytes).unwrap();
    images.layer("other", "goodbye\n", 1_600_000_000);
    images.file_system("squashfs", "other", "squashfs.b");
    images.disk("squashfs", "ext4", "disk.a", r#"{"kind":"raw"}"#);
    images.disk("squashfs.b", "damaged", "disk.b", r#"{"kind":"raw"}"#);
    let found = compare(&images, "disk.a", "disk.b");
    let of = |path: &str| found.changes.iter().find(|change| change.path == path).unwrap().aspects.clone();
    let [Aspect::Unknown(why)] = &of("2")[..] else { panic!("{:?}", of("2")) };
    assert!(why.contains("checksum"), "{why}");
    // The rest is compared all the same.
    assert!(matches!(of("ROOT/usr/lib/os-release")[..], [Aspect::Lines(..)]));
}

#[test]
fn what_many_have_in_common_is_one_cause() {
    let images = Images::new();
    images.layer("later", "hello\n", 1_600_000_001);
    let found = compare(&images, "layer.tar", "later.tar");
    let (groups, rest) = found.causes();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].aspect, Aspect::Time(1_600_000_000, 1_600_000_001));
    assert!(groups[0].paths.len() > 5 && rest.is_empty(), "{rest:?}");
    let ignored = Ignored { times: true, ..Ignored::default() };
    let found = diff(&images.open("layer.tar"), &images.open("later.tar"), ignored).unwrap();
    assert!(found.is_empty(), "{:?}", found.changes);
}

/// Makes a root file system with two packages, one of that version and with that file, as dpkg leaves it.
fn root(images: &Images, name: &str, version: &str, extra: &str) {
    let status = format!(
        "Package: tool\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: {version}\\n\\n\
         Package: other\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: 1\\n\\n"
    );
    let list = format!("/.\\n/bin\\n/bin/tool\\n/usr\\n/usr/share\\n/usr/share/{extra}\\n");
    images.run(&format!(
        r#"{{"kind":"layer","output":"{name}.tar","epoch":1600000000,"entries":[
        {{"path":"bin","type":"symlink","target":"usr/bin"}},
        {{"path":"usr/bin/tool","type":"file","text":"tool {version}"}},
        {{"path":"usr/bin/mine","type":"file","text":"of {name}"}},
        {{"path":"usr/share/{extra}","type":"file","text":"the same"}},
        {{"path":"var/lib/dpkg/status","type":"file","text":"{status}"}},
        {{"path":"var/lib/dpkg/info/tool.list","type":"file","text":"{list}"}},
        {{"path":"var/lib/dpkg/info/tool.md5sums","type":"file","text":"{version}"}},
        {{"path":"var/lib/dpkg/info/other.list","type":"file","text":"/.\n"}}]}}"#
    ));
    images.file_system("squashfs", name, name);
}

#[test]
fn what_another_version_of_a_package_brings_is_one_cause() {
    let images = Images::new();
    root(&images, "old", "1.0-1", "old-name");
    root(&images, "new", "1.0-2", "new-name");
    let found = compare(&images, "old", "new");
    let [package] = &found.packages[..] else { panic!("{:?}", found.packages) };
    assert_eq!(package.name, "tool");
    assert_eq!((package.before.as_deref(), package.after.as_deref()), (Some("1.0-1"), Some("1.0-2")));
    let mut paths = package.paths.clone();
    paths.sort();
    assert_eq!(
        paths,
        [
            "usr/bin/tool",
            "usr/share/new-name",
            "usr/share/old-name",
            "var/lib/dpkg/info/tool.list",
            "var/lib/dpkg/info/tool.md5sums",
            "var/lib/dpkg/status",
        ]
    );
    // What is nobody's is told as ever, and that the image takes as many bytes as it does.
    let (groups, rest) = found.causes();
    assert_eq!(groups, []);
    assert_eq!(rest.iter().map(|change| &change.path[..]).collect::<Vec<_>>(), ["usr/bin/mine", "."]);

    // One more package, and nothing else of it.
    root(&images, "older", "1.0-1", "old-name");
    assert!(compare(&images, "old", "older").packages.is_empty());
}

#[test]
fn what_is_only_in_one_and_other_owners_are_told() {
    let images = Images::new();
    let entry =
        |more: &str| format!(r#"{{"kind":"layer","output":"b.tar","epoch":1600000000,"entries":[{more}]}}"#);
    images.run(&entry(r#"{"path":"a","type":"file","text":"a","uid":7},{"path":"c","type":"directory"}"#));
    fs::rename(images.path("b.tar"), images.path("a.tar")).unwrap();
    images.run(&entry(
        r#"{"path":"a","type":"file","text":"a","mode":448},{"path":"b","type":"symlink","target":"a"}"#,
    ));
    let found = compare(&images, "a.tar", "b.tar");
    let told: Vec<(&str, &[Aspect])> =
        found.changes.iter().map(|change| (&change.path[..], &change.aspects[..])).collect();
    assert_eq!(
        told,
        [
            ("a", &[Aspect::Mode(0o644, 0o700), Aspect::Owner((7, 0), (0, 0))][..]),
            ("c", &[Aspect::Removed("directory")]),
            ("b", &[Aspect::Added("symlink")]),
        ]
    );
}

#[test]
fn a_directory_of_an_image_is_extracted_and_nothing_leads_out_of_it() {
    let images = Images::new();
    images.file_system("squashfs", "layer", "squashfs");
    let out = images.path("out");
    fs::create_dir(&out).unwrap();
    let object = images.open("squashfs");
    let done = extract(&**object.container().unwrap(), None, &out, false).unwrap();
    assert_eq!((done.files, done.left_out), (3, vec!["dev/null: character device".to_owned()]));
    assert_eq!(fs::read(out.join("etc/os-release")).unwrap(), b"hello\n");
    let [one, two] =
        ["usr/lib/alias", "usr/lib/os-release"].map(|name| fs::metadata(out.join(name)).unwrap());
    assert_eq!((one.ino(), one.mtime(), one.mode() & 0o7777), (two.ino(), 1_600_000_000, 0o644));

    // An archive whose link is a directory's place for a later file.
    let mut archive = tar::Builder::new(Vec::new());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    archive.append_link(&mut link, "out", images.path("elsewhere")).unwrap();
    let mut file = tar::Header::new_gnu();
    file.set_size(4);
    archive.append_data(&mut file, "out/file", &b"evil"[..]).unwrap();
    fs::write(images.path("evil.tar"), archive.into_inner().unwrap()).unwrap();
    let Err(error) = Object::open(&images.path("evil.tar"), Limits::default()) else {
        panic!("it was taken")
    };
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "`out/file` lies below `out`, which is not a directory");
}

#[test]
fn cpio_names_that_lead_out_are_refused() {
    let images = Images::new();
    let entry = |name: &str, mode: u32, content: &[u8]| {
        let mut bytes = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
            1,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0
        )
        .into_bytes();
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    for (name, expected) in
        [("../evil", "leads elsewhere"), ("a/../../evil", "leads elsewhere"), ("link/evil", "could not")]
    {
        let archive = [
            entry("link", 0o120_777, images.path("elsewhere").to_str().unwrap().as_bytes()),
            entry(name, 0o100_644, b"evil"),
            entry("TRAILER!!!", 0, b""),
        ]
        .concat();
        fs::write(images.path("evil"), archive).unwrap();
        let out = images.path("out");
        fs::create_dir_all(&out).unwrap();
        fs::create_dir_all(images.path("elsewhere")).unwrap();
        let object = images.open("evil");
        let Err(error) = extract(&**object.container().unwrap(), None, &out, false) else { panic!("{name}") };
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            !images.path("evil.txt").exists() && fs::read_dir(images.path("elsewhere")).unwrap().count() == 0
        );
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn what_is_damaged_or_unknown_is_told() {
    let images = Images::new();
    images.file_system("squashfs", "layer", "squashfs");
    let whole = fs::read(images.path("squashfs")).unwrap();
    fs::write(images.path("short"), &whole[..500]).unwrap();
    let Err(error) = Object::open(&images.path("short"), Limits::default()) else { panic!("it was taken") };
    assert!(error.to_string().ends_with("short` as a squashfs file system"), "{error}");

    let file = fs::File::create(images.path("luks")).unwrap();
    file.write_all_at(b"LUKS\xba\xbe", 0).unwrap();
    file.set_len(1 << 20).unwrap();
    let name = images.open("luks").described().format.name();
    assert!(name.starts_with("an encrypted volume (LUKS)"), "{name}");

    // Every byte of the front of each format, flipped: an answer or an error, and never a crash.
    images.file_system("ext4", "layer", "ext4");
    images.file_system("iso", "layer", "iso");
    images.file_system("erofs", "layer", "erofs");
    images.disk("squashfs", "ext4", "disk.qcow2", r#"{"kind":"qcow2"}"#);
    images.file_system("initramfs", "layer", "initramfs");
    for name in ["squashfs", "ext4", "erofs", "iso", "disk.qcow2", "initramfs", "layer.tar"] {
        let whole = fs::read(images.path(name)).unwrap();
        let step = (whole.len() / 150).max(1);
        for at in (0..whole.len().min(200)).chain((200..whole.len()).step_by(step)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            let limits = Limits { unpacked: 64 << 20, entries: 10_000, depth: 8, compared: 1 << 30 };
            let source: inspect::Source = std::sync::Arc::new(bytes);
            let Ok(object) = Object::of("damaged".to_owned(), source, 0, limits) else { continue };
            let Some(container) = object.container() else { continue };
            let mut found = Vec::new();
            let _ = container.walk(&mut |entry| {
                found.push(entry);
                Ok(())
            });
            for entry in found.iter().take(8) {
                let _ = object.enter(entry);
            }
        }
    }
}

#[test]
fn what_unpacks_to_itself_or_to_too_much_ends() {
    let images = Images::new();
    let mut bytes = b"seed".to_vec();
    for _ in 0..20 {
        bytes = gzip(&bytes);
    }
    fs::write(images.path("deep.gz"), &bytes).unwrap();
    let Err(error) = Object::open(&images.path("deep.gz"), Limits::default()) else { panic!("it was taken") };
    assert!(error.to_string().ends_with("is in more than 16 others"), "{error}");
    fs::write(images.path("bomb.gz"), gzip(&vec![0; 40 << 20])).unwrap();
    let limits = Limits { unpacked: 34 << 20, ..Limits::default() };
    let Err(error) = Object::open(&images.path("bomb.gz"), limits) else { panic!("it was taken") };
    assert!(error.to_string().ends_with("unpacks to more than 35651584 bytes"), "{error}");
}

#[test]
fn file_systems_have_no_more_entries_than_they_may() {
    let images = Images::new();
    for kind in ["ext4", "squashfs", "erofs", "iso", "fat"] {
        if kind == "fat" {
            let entry = |number| format!(r#"{{"path":"F{number}","type":"file","text":""}}"#);
            let entries: Vec<String> = (0..5).map(entry).collect();
            let entries = entries.join(",");
            images
                .run(&format!(r#"{{"kind":"layer","output":"layer.tar","epoch":0,"entries":[{entries}]}}"#));
        }
        images.file_system(kind, "layer", kind);
        let limits = Limits { entries: 3, ..Limits::default() };
        let object = Object::open(&images.path(kind), limits).unwrap();
        let mut n_seen = 0;
        let walked = object.container().unwrap().walk(&mut |_| {
            n_seen += 1;
            Ok(())
        });
        // FAT has no entry for its root, which is seen, too.
        assert_eq!(n_seen, if kind == "fat" { 4 } else { 3 }, "{kind}");
        assert!(walked.unwrap_err().to_string().ends_with("has more than 3 entries"), "{kind}");
    }
}

#[test]
fn what_is_unpacked_whole_has_one_budget() {
    let images = Images::new();
    images.file_system("erofs", "layer", "erofs");
    let object =
        Object::open(&images.path("erofs"), Limits { compared: 600_000, ..Limits::default() }).unwrap();
    let container = object.container().unwrap();
    let large = container.lookup(b"usr/lib/large").unwrap().unwrap();
    let all = || container.open(&large).map(|source| source.size().unwrap());
    assert_eq!(all().unwrap(), 520_000);
    assert!(
        all()
            .unwrap_err()
            .to_string()
            .ends_with("erofs` has files that unpack to more than 600000 bytes in all")
    );
    assert_eq!(container.start(&large, 12).unwrap(), b"all the same");
}

#[test]
fn a_disk_of_an_archive_is_not_written_beyond_the_limit() {
    let images = Images::new();
    for (byte, is_taken) in [(0, true), (1, false)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(12 << 20);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, "disk.raw", &vec![byte; 12 << 20][..]).unwrap();
        fs::write(images.path("disk.tar.gz"), gzip(&archive.into_inner().unwrap())).unwrap();
        let limits = Limits { unpacked: 8 << 20, ..Limits::default() };
        let opened = Object::open(&images.path("disk.tar.gz"), limits);
        let problem = opened.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(problem.contains("or with more than 8388608 in it"), !is_taken, "{problem}");
    }
}

#[test]
fn links_have_a_bounded_number_of_names() {
    let images = Images::new();
    fs::create_dir(images.path("links")).unwrap();
    fs::write(images.path("links/end"), "end").unwrap();
    for (name, target) in [("c", "end"), ("b", "c"), ("a", "b")] {
        symlink("./".repeat(2040) + target, images.path("links").join(name)).unwrap();
    }
    assert_eq!(images.read("links", "b"), b"end");
    let Err(error) = images.find("links", "a") else { panic!("it was followed") };
    assert!(error.to_string().ends_with("is reached by links of more than 4096 names"), "{error}");
}

#[test]
fn directories_are_compared_as_images_are() {
    let images = Images::new();
    for (name, text) in [("a", "one"), ("b", "two")] {
        let root = images.path(name);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("file"), text).unwrap();
        symlink("file", root.join("link")).unwrap();
        fs::copy(images.path("layer.tar"), root.join("layer.tar")).unwrap();
    }
    assert_eq!(images.read("a", "link"), b"one");
    assert_eq!(images.read("a", "layer.tar/etc/os-release"), b"hello\n");
    let ignored = Ignored { times: true, ..Ignored::default() };
    let found = diff(&images.open("a"), &images.open("b"), ignored).unwrap();
    assert_eq!(found.changes.len(), 1, "{:?}", found.changes);
    assert_eq!(found.changes[0].path, "file");
    let Err(error) = Object::open(Path::new("/no/such/image"), Limits::default()) else { panic!() };
    assert_eq!(error.to_string(), "could not open `/no/such/image`");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
