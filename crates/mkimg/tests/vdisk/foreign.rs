//! QEMU accepts what we write and finds the disk in it, and we find it in what QEMU writes.

use std::fs::{self, File};
use std::path::Path;

use mkimg::SparseFile;
use mkimg::vdisk::{Reader, qcow2};

use crate::support::{Disk, Way, archive, disk, tool, ways};

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn save(path: &Path, way: &Way, disk: &Disk) {
    let file = File::create_new(path).unwrap();
    let mut sink = SparseFile::new(&file);
    way.write(&disk.contents(), 2, &mut sink).unwrap();
    sink.finish().unwrap();
}

/// Says what `qemu-img` says, unless it succeeds; and whether it is there.
#[track_caller]
fn qemu_img(arguments: &[&str]) -> Option<String> {
    let (code, text) = tool("qemu-img", arguments)?;
    assert_eq!(code, 0, "{arguments:?}: {text}");
    Some(text)
}

#[test]
fn qemu_finds_the_disk_in_every_format() {
    let directory = scratch();
    let disk = disk();
    let raw = directory.path().join("disk.raw");
    fs::write(&raw, &disk.bytes).unwrap();
    for (name, way) in ways() {
        let path = directory.path().join(name);
        save(&path, &way, &disk);
        let (raw, path, format) = (raw.to_str().unwrap(), path.to_str().unwrap(), way.qemu());
        let Some(said) = qemu_img(&["compare", "-f", "raw", "-F", format, raw, path]) else { return };
        assert!(said.contains("Images are identical."), "{name}: {said}");
        // It has nothing to check in a VHD.
        if format != "vpc" {
            let said = qemu_img(&["check", "-f", format, path]).unwrap();
            assert!(said.contains("No errors were found on the image."), "{name}: {said}");
        }
        // Nothing in front of a fixed VHD says what it is.
        let said = qemu_img(&["info", "-f", format, path]).unwrap();
        assert!(said.contains(&format!("file format: {format}")), "{name}: {said}");
    }
}

#[test]
fn what_qemu_wrote_is_read() {
    let directory = scratch();
    let disk = disk();
    let raw = directory.path().join("disk.raw");
    fs::write(&raw, &disk.bytes).unwrap();
    let variants: [(&str, &[&str]); 15] = [
        ("qcow2", &[]),
        ("qcow2", &["-c"]),
        ("qcow2", &["-c", "-o", "compression_type=zstd"]),
        ("qcow2", &["-o", "compat=0.10"]),
        ("qcow2", &["-o", "cluster_size=512"]),
        ("qcow2", &["-o", "preallocation=metadata"]),
        ("vdi", &[]),
        ("vdi", &["-o", "static=on"]),
        ("vmdk", &[]),
        ("vmdk", &["-o", "subformat=streamOptimized"]),
        ("vpc", &["-o", "force_size=on"]),
        ("vpc", &["-o", "subformat=fixed,force_size=on"]),
        ("vhdx", &[]),
        ("vhdx", &["-o", "subformat=fixed"]),
        ("parallels", &[]),
    ];
    for (format, options) in variants {
        let path = directory.path().join("theirs");
        let mut arguments = vec!["convert", "-f", "raw", "-O", format];
        arguments.extend(options);
        arguments.extend([raw.to_str().unwrap(), path.to_str().unwrap()]);
        if qemu_img(&arguments).is_none() {
            return;
        }
        let reader = Reader::open(File::open(&path).unwrap()).unwrap();
        let mut found = vec![1; usize::try_from(reader.size()).unwrap()];
        reader.read(0, &mut found).unwrap();
        assert!(found[..disk.bytes.len()] == disk.bytes[..], "{format} {options:?}");
        assert!(found[disk.bytes.len()..].iter().all(|byte| *byte == 0), "{format} {options:?}");
        reader.dump().unwrap();
        drop(reader);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn qemu_finds_a_disk_over_another() {
    let directory = scratch();
    let below = disk();
    let above = Disk { bytes: below.bytes.clone(), data: Vec::new() }.with(5 << 20, 100_000, true);
    // Where there was something is nothing now.
    let mut above = Disk { data: std::iter::once(0..above.bytes.len() as u64).collect(), ..above };
    above.bytes[31 << 20..32 << 20].fill(0);
    fs::write(directory.path().join("above.raw"), &above.bytes).unwrap();
    fs::write(directory.path().join("below.raw"), &below.bytes).unwrap();
    let options = qcow2::Options {
        backing: Some(qcow2::Backing { name: "below.raw".to_owned(), format: "raw".to_owned() }),
        ..qcow2::Options::default()
    };
    let path = directory.path().join("above.qcow2");
    let file = File::create_new(&path).unwrap();
    let mut sink = SparseFile::new(&file);
    qcow2::write(&above.contents(), Some(&below.contents()), &options, 2, &mut sink).unwrap();
    // No more than what differs, and tables.
    assert!(sink.finish().unwrap() < 1 << 20);
    let raw = directory.path().join("above.raw");
    let (raw, path) = (raw.to_str().unwrap(), path.to_str().unwrap());
    let Some(said) = qemu_img(&["compare", "-f", "raw", "-F", "qcow2", raw, path]) else { return };
    assert!(said.contains("Images are identical."), "{said}");
    qemu_img(&["check", "-f", "qcow2", path]).unwrap();
    assert!(qemu_img(&["info", path]).unwrap().contains("backing file: below.raw"));
}

#[test]
fn tar_unpacks_an_archive() {
    let directory = scratch();
    let disk = disk();
    let path = directory.path().join("disk.tar.gz");
    fs::write(&path, archive(&disk, 2)).unwrap();
    let (path, into) = (path.to_str().unwrap(), directory.path().to_str().unwrap());
    let Some((code, said)) = tool("tar", &["-C", into, "-xzSvf", path]) else { return };
    assert_eq!((code, said.as_str()), (0, "disk.raw\n"));
    let unpacked = File::open(directory.path().join("disk.raw")).unwrap();
    let metadata = unpacked.metadata().unwrap();
    assert_eq!(metadata.len(), 1 << 30);
    assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 < 20 << 20);
    let mut found = vec![0; disk.bytes.len()];
    std::os::unix::fs::FileExt::read_exact_at(&unpacked, &mut found, 0).unwrap();
    assert!(found == disk.bytes);
}
