//! `inspect`, `extract` and `diff`: images that were just built, as people look at them.

use std::fs;

use crate::harness::Project;

/// A disk in two formats, with a file that says `greeting` in a compressed file system.
fn recipe(greeting: &str) -> String {
    format!(
        r#"
[stack]
name = "looked-into"

[target.root]
kind     = "filesystem"
type     = "squashfs"
files    = {{ "/etc/motd" = "{greeting}\n", "/usr/share/doc/a" = "a\n", "/usr/share/doc/b" = "b\n" }}

[target.efi]
kind  = "filesystem"
type  = "fat"
size  = "1M"
files = {{ "/EFI/BOOT/grub.cfg" = "boot\n" }}

[target.disk]
kind       = "disk"
partitions = [{{ name = "efi", type = "esp", target = "efi" }}, {{ name = "ROOT", type = "linux", target = "root" }}]
formats    = {{ qcow2 = {{ compression = "zstd" }} }}
"#
    )
}

#[test]
fn an_image_is_looked_into_taken_out_of_and_compared() {
    let project = Project::new(&recipe("hello"));
    project.succeed(&["build", "disk"]);
    let qcow2 = "out/disk/disk.qcow2";
    let told = project.succeed(&["inspect", qcow2]).stdout;
    for line in [
        "a qcow2 disk, ",
        "a disk, ",
        "    table        GPT\n",
        "  efi  number 1  type esp",
        "  ROOT  number 2",
    ] {
        assert!(told.contains(line), "`{line}` is not in\n{told}");
    }
    // A file, through a disk, a table of partitions and a file system.
    assert_eq!(project.succeed(&["inspect", &format!("{qcow2}:root/etc/motd")]).stdout, "hello\n");
    assert_eq!(
        project.succeed(&["inspect", &format!("{qcow2}:efi/efi/boot/grub.cfg"), "--raw"]).stdout,
        "boot\n"
    );
    let listed = project.succeed(&["inspect", "-r", &format!("{qcow2}:ROOT/usr")]).stdout;
    let paths: Vec<&str> = listed.lines().filter_map(|line| line.split("  ").last()).collect();
    assert_eq!(paths, ["usr/share/", "usr/share/doc/", "usr/share/doc/a", "usr/share/doc/b"]);
    let json = project.succeed(&["inspect", "--json", "out/disk/disk.raw"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["entries"][1]["path"], "ROOT");
    assert_eq!(json["layers"][0]["facts"]["table"], "GPT");

    project.succeed(&["extract", &format!("{qcow2}:ROOT/usr/share"), "taken"]);
    assert_eq!(project.read("taken/doc/b"), "b\n");
    project.fail(&["extract", qcow2, "taken"], 2, &["taken` is not empty"]);

    // What they are wrapped in is all that differs.
    let same = project.run(&["diff", "out/disk/disk.raw", qcow2]);
    assert_eq!((same.code, same.stdout.as_str()), (Some(1), ".: wrapped in:  → a qcow2 disk\n"));
    fs::rename(project.path().join("out/disk"), project.path().join("old")).unwrap();
    project.write("bootwright.toml", &recipe("goodbye"));
    project.succeed(&["build", "disk"]);
    let found = project.run(&["diff", "old/disk.qcow2", qcow2]);
    assert_eq!(found.code, Some(1), "{}", found.stdout);
    let expected = "ROOT/etc/motd: 1 lines → 1 lines\n    - hello\n    + goodbye\n";
    assert!(found.stdout.starts_with(expected), "{}", found.stdout);
    let same = project.run(&["diff", &format!("{qcow2}:efi"), "old/disk.raw:1"]);
    assert_eq!((same.code, same.stdout.as_str()), (Some(0), "no differences\n"));
}

#[test]
fn what_is_no_image_is_told() {
    let project = Project::new(&recipe("hello"));
    project.succeed(&["build", "disk"]);
    let disk = "out/disk/disk.raw";
    project.fail(&["inspect", "no/such.img"], 2, &["could not open", "no/such.img", "name an image"]);
    project.fail(&["inspect", &format!("{disk}:roto/etc")], 2, &["has no `roto`", "did you mean `ROOT`?"]);
    project.fail(
        &["inspect", &format!("{disk}:ROOT/etc/motd/x")],
        2,
        &["nothing in it that could be `x`: it is text"],
    );
    let whole = fs::read(project.path().join("out/disk/disk.qcow2")).unwrap();
    fs::write(project.path().join("short.qcow2"), &whole[..whole.len() / 3]).unwrap();
    project.fail(&["inspect", "short.qcow2:ROOT/etc/motd"], 2, &["could not read"]);
    project.fail(&["diff", disk, "short.qcow2"], 2, &["could not read"]);
    project.fail(&["diff", disk, "nothing"], 2, &["could not open"]);
}
