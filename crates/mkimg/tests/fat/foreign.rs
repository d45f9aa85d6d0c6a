//! The tools that own the format accept what we write, and choose as we do.

use mkimg::fat::{Kind, Options, ROOT, Reader, Size};

use crate::support::{MIB, Tree, everything, noise, options, scratch, tool};

/// Says what `fsck.fat` says unless it finds nothing to complain about.
#[track_caller]
fn fsck(path: &str) {
    if let Some((code, text)) = tool("fsck.fat", &["-n", "-V", path]) {
        assert_eq!(code, 0, "{text}");
        // It prints its version, then either complaints or one line of counts.
        assert_eq!(text.lines().count(), 2 + usize::from(text.contains("Starting check")) * 2, "{text}");
    }
}

#[test]
fn fsck_accepts_every_kind() {
    let directory = scratch();
    for kind in [Kind::Fat12, Kind::Fat16, Kind::Fat32] {
        let path = directory.path().join(format!("{kind:?}"));
        let sealed = everything(kind).seal().unwrap();
        assert_eq!(sealed.image.kind(), kind);
        sealed.save(&path);
        fsck(path.to_str().unwrap());
    }
}

#[test]
fn fsck_accepts_large_sectors_and_a_full_image() {
    let directory = scratch();
    let forms = [(4096, None), (512, Some(512)), (512, Some(65_536)), (2048, None)];
    for (index, (sector_size, cluster_size)) in forms.into_iter().enumerate() {
        let with = Options { sector_size, cluster_size, ..options(Size::Fit { slack: 0 }) };
        let mut tree = Tree::new(with);
        let inner = tree.directory(ROOT, "directory");
        tree.file(inner, "content of a file", noise(300_000, 3));
        let path = directory.path().join(index.to_string());
        tree.seal().unwrap().save(&path);
        fsck(path.to_str().unwrap());
    }
}

#[test]
fn mtools_reads_names_and_contents() {
    let directory = scratch();
    let path = directory.path().join("image");
    everything(Kind::Fat16).seal().unwrap().save(&path);
    let image = path.to_str().unwrap();
    let Some((code, text)) = tool("mdir", &["-b", "-i", image, "::/"]) else { return };
    assert_eq!(code, 0, "{text}");
    for name in ["::/EFI/", "::/LONGNA~1.TXT", "::/long name of a text, too.txt", "::/.hidden", "::/OLD"] {
        assert!(text.lines().any(|line| line == name), "{name}\n{text}");
    }
    let out = directory.path().join("out");
    for (name, expected) in [
        ("::/EFI/BOOT/BOOTX64.EFI", noise(70_000, 1)),
        ("::/long name of a text.txt", b"gets another alias".to_vec()),
        ("::/LONGNA~1.TXT", b"not an alias".to_vec()),
        ("::/many/file number 299", vec![43; 5]),
    ] {
        let (code, text) = tool("mcopy", &["-o", "-i", image, name, out.to_str().unwrap()]).unwrap();
        assert_eq!(code, 0, "{name}: {text}");
        assert_eq!(std::fs::read(&out).unwrap(), expected, "{name}");
    }
}

#[test]
fn mkfs_chooses_the_same_for_every_size() {
    let directory = scratch();
    for kibibytes in
        [100, 1024, 5120, 8192, 8300, 36_864, 131_072, 135_000, 262_144, 520_000, 524_288, 1 << 20]
    {
        let path = directory.path().join(kibibytes.to_string());
        let arguments = ["-C", path.to_str().unwrap(), &kibibytes.to_string()];
        let Some((code, text)) = tool("mkfs.fat", &arguments) else { return };
        assert_eq!(code, 0, "{text}");
        // Its empty images are read, too.
        let theirs = Reader::open(std::fs::File::open(&path).unwrap()).unwrap();
        theirs.check().unwrap();
        let theirs = theirs.boot().clone();
        let sealed = Tree::new(options(Size::Fixed(kibibytes << 10))).seal().unwrap();
        let cluster_size = u64::from(theirs.sectors_per_cluster * theirs.sector_size);
        assert_eq!(
            (sealed.image.kind(), sealed.image.cluster_size()),
            (theirs.kind, cluster_size),
            "{kibibytes}"
        );
        let mut ours = mkimg::CountingSink::default();
        sealed.write(&mut ours);
        assert_eq!(ours.data + ours.zeros, kibibytes << 10);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_mtools_wrote_is_read() {
    let directory = scratch();
    let path = directory.path().join("image");
    let image = path.to_str().unwrap();
    let file = directory.path().join("Some Long Name.text");
    std::fs::write(&file, noise(100_000, 9)).unwrap();
    let Some((code, text)) = tool("mkfs.fat", &["-n", "THEIRS", "-C", image, "8192"]) else { return };
    assert_eq!(code, 0, "{text}");
    for arguments in [
        &["mmd", "-i", image, "::/EFI", "::/EFI/boot"][..],
        &["mcopy", "-i", image, file.to_str().unwrap(), "::/EFI/boot/"],
        &["mcopy", "-i", image, file.to_str().unwrap(), "::/lower.txt"],
        &["mdel", "-i", image, "::/lower.txt"],
        &["mcopy", "-i", image, file.to_str().unwrap(), "::/SHORT.TXT"],
    ] {
        let (code, text) = tool(arguments[0], &arguments[1..]).unwrap();
        assert_eq!(code, 0, "{arguments:?}: {text}");
    }
    let reader = Reader::open(std::fs::read(&path).unwrap()).unwrap();
    let text = reader.dump().unwrap();
    let paths: Vec<&str> = text.lines().skip(3).filter_map(|line| line.split(" file ").next()).collect();
    assert_eq!(paths.len(), 4, "{text}");
    assert!(text.starts_with("fat12 `THEIRS`"), "{text}");
    assert!(text.contains("\n/EFI/boot/Some Long Name.text file SOMELO~1.TEX "), "{text}");
    assert_eq!(reader.boot().sectors, (8 * MIB / 512) as u32);
}
