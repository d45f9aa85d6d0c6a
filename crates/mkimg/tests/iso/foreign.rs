//! Tools that know the format see what was declared, and what they make is read.

use std::path::Path;

use mkimg::disk::Guid;
use mkimg::iso::{HybridTable, Options, Reader, View};

use crate::support::{everything, hybrid, options, scratch, tool};

fn save(path: &Path) {
    let table = HybridTable::Gpt { guid: Guid(*b"guid-of-the-disk") };
    let with = Options { hybrid: Some(hybrid(table)), ..options() };
    everything(with).seal().unwrap().save(path);
}

#[track_caller]
fn check(name: &str, arguments: &[&str], expected: &[&str]) {
    let Some((code, text)) = tool(name, arguments) else { return };
    assert_eq!(code, 0, "{text}");
    for expected in expected {
        assert!(text.contains(expected), "no `{expected}` in\n{text}");
    }
}

#[test]
fn xorriso_sees_what_was_declared() {
    let directory = scratch();
    let path = directory.path().join("image.iso");
    save(&path);
    let path = path.to_str().unwrap();
    check(
        "xorriso",
        &["-indev", path, "-pvd_info"],
        &["Volume Id    : TEST", "Publisher Id : Someone", "App Id       : a test"],
    );
    check(
        "xorriso",
        &["-indev", path, "-find", "/", "-exec", "lsdl", "--"],
        &["'/short' -> 'etc/passwd'", "'/etc/passwd'", "/level 11/deep'", "'/dev/pipe'"],
    );
    check(
        "xorriso",
        &["-indev", path, "-report_el_torito", "plain", "-report_system_area", "plain"],
        &[
            "El Torito boot img :   1  BIOS  y   none",
            "El Torito boot img :   2  UEFI  y   none",
            "grub2-mbr",
            "GPT partition name",
        ],
    );
}

#[test]
fn isoinfo_sees_both_trees() {
    let directory = scratch();
    let path = directory.path().join("image.iso");
    save(&path);
    let path = path.to_str().unwrap();
    check(
        "isoinfo",
        &["-d", "-i", path],
        &[
            "Volume id: TEST",
            "Joliet with UCS level 3 found",
            "Rock Ridge signatures",
            "El Torito VD version 1 found",
        ],
    );
    check("isoinfo", &["-l", "-R", "-i", path], &["short -> etc/passwd", "passwd", "console"]);
    check("isoinfo", &["-f", "-J", "-i", path], &["/etc/passwd", "/boot/eltorito.img"]);
    check("isoinfo", &["-f", "-i", path], &["/ETC/PASSWD.;1", "/BOOT/ELTORITO.IMG;1"]);
}

#[test]
fn bsdtar_and_sgdisk_accept_it() {
    let directory = scratch();
    let path = directory.path().join("image.iso");
    save(&path);
    let path = path.to_str().unwrap();
    check("bsdtar", &["-tvf", path], &["short -> etc/passwd", "deep", "console"]);
    check("bsdtar", &["-xOf", path, "etc/passwd"], &["root:x:0:0::/root:/bin/sh\n"]);
    check("sgdisk", &["-v", "-p", path], &["No problems found", "EFI System"]);
}

#[test]
fn what_xorriso_makes_is_read() {
    let directory = scratch();
    let source = directory.path().join("source");
    std::fs::create_dir_all(source.join("a/b/c/d/e/f/g/h/i/j")).unwrap();
    std::fs::write(source.join("a/b/c/d/e/f/g/h/i/j/deep"), b"deep").unwrap();
    std::fs::write(source.join("x".repeat(250)), b"long").unwrap();
    std::os::unix::fs::symlink("../".repeat(300), source.join("link")).unwrap();
    for options in [&["-R", "-J"][..], &["-R", "-J", "-disallow_deep_paths"], &["-J"]] {
        let image = directory.path().join("image.iso");
        let paths = ["-o", image.to_str().unwrap(), source.to_str().unwrap()];
        // The second is an option of the program, not of what it emulates.
        let native: &[&str] = if options.len() == 3 { &["-compliance", "deep_paths_off"] } else { &[] };
        let arguments: Vec<&str> = native
            .iter()
            .copied()
            .chain(["-as", "mkisofs"])
            .chain(options[..options.len().min(2)].iter().copied())
            .chain(paths)
            .collect();
        let Some((code, text)) = tool("xorriso", &arguments) else { return };
        assert_eq!(code, 0, "{text}");
        let reader = Reader::open(std::fs::File::open(&image).unwrap()).unwrap();
        reader.check().unwrap();
        let mut paths = Vec::new();
        reader
            .walk(View::RockRidge, &mut |visit| {
                paths.push(visit.path.to_vec());
                Ok(())
            })
            .unwrap();
        if reader.has(View::RockRidge) {
            let deep = b"/a/b/c/d/e/f/g/h/i/j/deep".to_vec();
            assert!(paths.contains(&deep), "{options:?}: {paths:?}");
            assert!(paths.iter().any(|path| path.len() == 251));
        }
        std::fs::remove_file(&image).unwrap();
    }
}
