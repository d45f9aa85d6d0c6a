//! Specifications carried out in a directory, and what comes out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "specs/disks.rs"]
mod disks;
#[path = "specs/layered.rs"]
mod layered;
mod skip;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use mkimg::{Error, dump, read_spec, run};
use skip::skip;
use tempfile::TempDir;

struct Build {
    directory: TempDir,
}

impl Build {
    fn new() -> Build {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("in")).unwrap();
        Build { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, json: &str) -> Result<Vec<String>, Error> {
        self.write("in/spec.json", json);
        run(&read_spec(&self.path().join("in/spec.json"))?, self.path())
    }

    /// Makes `in/<name>.tar` of these entries.
    fn layer(&self, name: &str, entries: &str) {
        self.run(&format!(r#"{{"kind":"layer","output":"in/{name}.tar","epoch":7,"entries":[{entries}]}}"#))
            .unwrap();
    }

    fn dump(&self, name: &str) -> String {
        let mut text = Vec::new();
        dump(&self.path().join(name), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}

/// Renders an error with its causes and its help.
fn render(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    error.help().map_or(text.clone(), |help| format!("{text}; {help}"))
}

const BASE: &str = r#"
    {"path":"bin","type":"symlink","target":"usr/bin"},
    {"path":"root","type":"directory","mode":448},
    {"path":"usr/bin/tool","type":"file","text":"tool\n","mode":493},
    {"path":"usr/bin/alias","type":"hard-link","target":"usr/bin/tool"},
    {"path":"dev/null","type":"char-device","major":1,"minor":3,"mode":438},
    {"path":"etc/passwd","type":"file","text":"root:x:0:0:root:/root:/bin/sh\n"},
    {"path":"etc/group","type":"file","text":"root:x:0:\nshadow:x:42:\n"},
    {"path":"etc/shadow","type":"file","text":"root:*:1:0:99999:7:::\n","mode":416,"gid":42}"#;

#[test]
fn a_layer_of_layers_trees_entries_and_accounts() {
    let build = Build::new();
    build.layer("base", BASE);
    build.write("in/tree/root/.profile", "export A=1\n");
    build.write("in/tree/opt/run", "#!/bin/sh\n");
    fs::set_permissions(build.path().join("in/tree/opt/run"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(build.path().join("in/tree/srv/empty")).unwrap();
    std::os::unix::fs::symlink("run", build.path().join("in/tree/opt/link")).unwrap();
    build
        .run(
            r#"{"kind":"layer","output":"out/rootfs.tar","epoch":9,"layers":["in/base.tar"],"trees":["in/tree"],
            "entries":[{"path":"etc/hostname","type":"file","text":"guest\n","mtime":-3,
            "xattrs":{"user.a":"b"}},{"path":"dev/null","type":"removed"}],
            "accounts":{"groups":[{"name":"guests","gid":50}],
            "users":[{"name":"eve","uid":1000,"home":"/home/eve","shell":"/bin/sh","groups":["guests"]}]}}"#,
        )
        .unwrap();
    assert_eq!(
        build
            .dump("out/rootfs.tar")
            .lines()
            .map(|line| line.split(" sha256=").next().unwrap())
            .collect::<Vec<_>>(),
        [
            "symlink 0777 0:0 7 bin -> usr/bin",
            "dir     0755 0:0 0 dev",
            "dir     0755 0:0 0 etc",
            "file    0644 0:0 9 etc/group size=51",
            "file    0644 0:0 -3 etc/hostname size=6",
            "        user.a=\"b\"",
            "file    0644 0:0 9 etc/passwd size=65",
            "file    0640 0:42 9 etc/shadow size=42",
            "dir     0755 0:0 0 opt",
            "symlink 0777 0:0 9 opt/link -> run",
            "file    0755 0:0 9 opt/run size=10",
            "dir     0700 0:0 7 root",
            "file    0644 0:0 9 root/.profile size=11",
            "dir     0755 0:0 0 srv",
            "dir     0755 0:0 9 srv/empty",
            "dir     0755 0:0 0 usr",
            "dir     0755 0:0 0 usr/bin",
            "file    0755 0:0 7 usr/bin/alias size=5",
            "link    0755 0:0 7 usr/bin/tool = usr/bin/alias",
        ]
    );
    assert_eq!(fs::read_dir(build.path().join("out")).unwrap().count(), 1);
}

#[test]
fn accounts_are_added_to_the_files_below() {
    let build = Build::new();
    build.layer("base", BASE);
    let spec = |users: &str| {
        format!(
            r#"{{"kind":"layer","output":"out/layer.tar","epoch":9,
            "accounts":{{"below":["in/base.tar"],"users":[{users}]}}}}"#
        )
    };
    build.run(&spec(r#"{"name":"eve","uid":1000,"home":"/","shell":"/bin/sh","password":""}"#)).unwrap();
    assert_eq!(build.dump("out/layer.tar").lines().count(), 3);
    let error = build
        .run(&spec(r#"{"name":"eve","uid":1,"home":"/","shell":"/bin/sh","groups":["shdow"]}"#))
        .unwrap_err();
    assert_eq!(
        render(&error),
        "could not add users and groups: user `eve` cannot be in the group `shdow`, which does not exist; \
         did you mean `shadow`?"
    );
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let build = Build::new();
    build.layer("base", BASE);
    build.layer("top", r#"{"path":"bin/extra","type":"file","text":""}"#);
    let error =
        build.run(r#"{"kind":"extract","layers":["in/base.tar","in/top.tar"],"files":[]}"#).unwrap_err();
    let text = render(&error).replace(&*build.path().to_string_lossy(), "");
    assert_eq!(
        text,
        "could not merge the layers: `bin/extra` of layer `/in/top.tar` lies below `bin`, which is a symbolic \
         link in a layer below; a layer that wants a directory there must say so"
    );
}

#[test]
fn a_layer_becomes_plain_files() {
    let build = Build::new();
    build.layer("base", &format!(r#"{BASE},{{"path":"old/file","type":"removed"}}"#));
    build.run(r#"{"kind":"tree","layer":"in/base.tar","output":"out"}"#).unwrap();
    let out = build.path().join("out");
    assert_eq!(fs::read_to_string(out.join("usr/bin/tool")).unwrap(), "tool\n");
    assert_eq!(fs::read_link(out.join("bin")).unwrap(), Path::new("usr/bin"));
    let ids = ["tool", "alias"].map(|name| fs::metadata(out.join("usr/bin").join(name)).unwrap().ino());
    assert_eq!(ids[0], ids[1]);
    assert_ne!(fs::metadata(out.join("usr/bin/tool")).unwrap().mode() & 0o100, 0);
    assert_eq!(fs::metadata(out.join("etc/passwd")).unwrap().mode() & 0o111, 0);
    assert_eq!(fs::read(out.join("old/.wh.file")).unwrap(), b"");
    assert!(out.join("root").is_dir() && !out.join("dev/null").exists());
}

#[test]
fn plain_files_can_name_users_that_the_layer_does_not_know() {
    let build = Build::new();
    let user =
        |name: &str, uid: u32| format!(r#"{{"name":"{name}","uid":{uid},"home":"/tmp","shell":"/bin/sh"}}"#);
    let mut number = 0;
    let mut accounts = |entries: &str, users: &[String]| {
        number += 1;
        build.layer("named", entries);
        let users = users.join(",");
        let spec =
            format!(r#"{{"kind":"tree","layer":"in/named.tar","output":"out{number}","users":[{users}]}}"#);
        build.run(&spec).unwrap();
        let etc = build.path().join(format!("out{number}/etc"));
        ["passwd", "group"].map(|name| fs::read_to_string(etc.join(name)).unwrap_or_default())
    };
    let [passwd, group] = accounts(BASE, &[user("build", 1000), user("root", 7), user("other", 0)]);
    assert_eq!(passwd, "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000::/tmp:/bin/sh\n");
    assert_eq!(group, "root:x:0:\nshadow:x:42:\nbuild:x:1000:\n");
    // The number of its group is somebody else's.
    let [passwd, _] = accounts(BASE, &[user("build", 42)]);
    assert_eq!(passwd, "root:x:0:0:root:/root:/bin/sh\n");
    let none = [String::new(), String::new()];
    assert_eq!(accounts(r#"{"path":"usr","type":"directory"}"#, &[user("build", 1000)]), none);
    // Another name of the same file stays as it is.
    let linked = r#"{"path":"etc/group","type":"file","text":"a:x:1:\n"},{"path":"etc/passwd","type":"hard-link","target":"etc/group"}"#;
    let [passwd, group] = accounts(linked, &[user("build", 1000)]);
    assert_eq!(
        (passwd.as_str(), group.as_str()),
        ("a:x:1:\nbuild:x:1000:1000::/tmp:/bin/sh\n", "a:x:1:\nbuild:x:1000:\n")
    );
}

#[test]
fn account_files_are_also_found_below() {
    let build = Build::new();
    build.layer("base", BASE);
    build.layer("middle", r#"{"path":"etc/group","type":"file","text":"a:x:1:\n"}"#);
    build.layer("top", r#"{"path":"usr/file","type":"file","text":"1"}"#);
    let user = r#"{"name":"build","uid":1000,"home":"/tmp","shell":"/bin/sh"}"#;
    let spec = |users: &str, output: &str| {
        format!(
            r#"{{"kind":"tree","layer":"in/top.tar","output":"{output}","users":[{users}],"below":["in/base.tar","in/middle.tar"]}}"#
        )
    };
    build.run(&spec(user, "out")).unwrap();
    let read = |name: &str| fs::read_to_string(build.path().join("out").join(name)).unwrap();
    assert_eq!(read("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000::/tmp:/bin/sh\n");
    assert_eq!(read("etc/group"), "a:x:1:\nbuild:x:1000:\n");
    assert_eq!(read("usr/file"), "1");
    build.run(&spec("", "plain")).unwrap();
    assert!(!build.path().join("plain/etc").exists());
}

#[test]
fn files_are_extracted_through_links_and_globs() {
    let build = Build::new();
    build.layer(
        "kernel",
        r#"{"path":"boot/vmlinuz-6.1","type":"file","text":"kernel"},{"path":"boot/config-6.1","type":"file","text":"c"},
        {"path":"vmlinuz","type":"symlink","target":"/boot/vmlinuz-6.1"},{"path":"boot/config-5","type":"file","text":""}"#,
    );
    let extract = |path: &str, output: &str| {
        build.run(&format!(
            r#"{{"kind":"extract","layers":["in/kernel.tar"],"files":[{{"path":"{path}","output":"out/{output}"}}]}}"#
        ))
    };
    extract("boot/vmlinu*-*", "vmlinuz").unwrap();
    extract("/vmlinuz", "linked").unwrap();
    assert_eq!(fs::read_to_string(build.path().join("out/vmlinuz")).unwrap(), "kernel");
    assert_eq!(fs::read_to_string(build.path().join("out/linked")).unwrap(), "kernel");
    assert_eq!(
        render(&extract("boot/config-*", "x").unwrap_err()),
        "could not extract `boot/config-*`: several files match: `boot/config-5`, `boot/config-6.1`; \
         write a longer part of the name that is wanted"
    );
    assert_eq!(
        render(&extract("boot/vmlinux-6.1", "x").unwrap_err()),
        "could not extract `boot/vmlinux-6.1`: nothing in the layers matches; there is `boot/vmlinuz-6.1`"
    );
    assert_eq!(
        render(&extract("boot", "x").unwrap_err()),
        "could not extract `boot`: `boot` is not a regular file"
    );
}

#[test]
fn an_initramfs_in_every_compression_is_the_same_archive() {
    let build = Build::new();
    build.layer("base", BASE);
    let dumps = ["none", "gzip", "zstd", "xz", "lz4"].map(|compression| {
        build
            .run(&format!(
                r#"{{"kind":"initramfs","output":"out/i.{compression}","epoch":9,"layers":["in/base.tar"],
                "compression":"{compression}","exclude":["root"]}}"#
            ))
            .unwrap();
        build.dump(&format!("out/i.{compression}"))
    });
    assert!(
        dumps[0].contains("file    0755 0:0 9 usr/bin/tool inode=10 links=2 size=5 sha256="),
        "{}",
        dumps[0]
    );
    assert!(dumps.iter().all(|dump| *dump == dumps[0]));
    assert!(!dumps[0].contains(" root "));
}

#[test]
fn an_initramfs_can_follow_another_archive() {
    let build = Build::new();
    build.layer("microcode", r#"{"path":"kernel/x86/microcode.bin","type":"file","text":"odd"}"#);
    build.layer("base", BASE);
    let initramfs = |output: &str, layer: &str, more: &str| {
        build
            .run(&format!(
                r#"{{"kind":"initramfs","output":"{output}","epoch":9,"layers":["in/{layer}.tar"]{more}}}"#
            ))
            .unwrap();
    };
    initramfs("in/microcode.cpio", "microcode", "");
    initramfs("out/both.cpio", "base", r#","prepend":["in/microcode.cpio"]"#);
    let dump = build.dump("out/both.cpio");
    assert!(dump.contains("kernel/x86/microcode.bin") && dump.contains("usr/bin/tool"));
    assert_eq!(dump.matches("TRAILER!!!").count(), 2);
}

#[test]
fn an_ext4_image_has_what_the_layers_have() {
    let build = Build::new();
    build.layer("base", BASE);
    build
        .run(
            r#"{"kind":"ext4","output":"out/disk.ext4","epoch":9,"layers":["in/base.tar"],"label":"root",
            "uuid":"00112233-4455-6677-8899-aabbccddeeff","hash_seed":"ffeeddcc-bbaa-9988-7766-554433221100"}"#,
        )
        .unwrap();
    let dump = build.dump("out/disk.ext4");
    assert!(dump.contains("usr/bin/tool"), "{dump}");
    let checked = Command::new("e2fsck").args(["-fn"]).arg(build.path().join("out/disk.ext4")).output();
    match checked {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(_) => skip("e2fsck"),
    }
}

#[test]
fn a_fat_image_has_what_the_layers_have() {
    let build = Build::new();
    build.layer("base", BASE);
    let fat = |layers: &str| {
        format!(
            r#"{{"kind":"fat","output":"out/esp.fat","epoch":9,"layers":[{layers}],"label":"ESP","volume_id":1,"slack":0}}"#
        )
    };
    let error = build.run(&fat(r#""in/base.tar""#)).unwrap_err();
    assert_eq!(
        render(&error).split_once("out/esp.fat").unwrap().1,
        "`: 2 paths cannot be in a FAT file system\n  `/bin`: FAT has no symbolic links\n  `/dev/null`: FAT has no \
         devices; take them out, or take a file system of another type"
    );
    let removed = r#"{"path":"bin","type":"removed"},{"path":"dev/null","type":"removed"}"#;
    build.layer("plain", removed);
    build.write("in/spec.json", &fat(r#""in/base.tar","in/plain.tar""#));
    let spec = read_spec(&build.path().join("in/spec.json")).unwrap();
    let notes = run(&spec, build.path()).unwrap();
    assert_eq!(notes, ["FAT keeps no owners, modes, attributes or hard links: 4 of 10 paths have such"]);
    let dump = build.dump("out/esp.fat");
    assert!(dump.starts_with("fat12 `ESP` id 0000-0001, boot sector says `ESP        `\n"), "{dump}");
    for name in ["alias", "tool"] {
        let expected = format!("/usr/bin/{name} file {} 1980-01-01T00:00:00 size 5 ", name.to_uppercase());
        assert!(dump.contains(&expected), "{expected}\n{dump}");
    }
}

#[test]
fn an_iso_has_what_the_layers_have() {
    let build = Build::new();
    build.layer(
        "root",
        r#"{"path":"boot/loader","type":"file","text":"LOADER"},{"path":"a","type":"symlink","target":"boot"},
           {"path":"ping","type":"file","text":"x","xattrs":{"user.a":"b"}}"#,
    );
    build.write("in/efi", "an image of UEFI");
    build.write("in/code", "boot code");
    let iso = |boot: &str, hybrid: &str| {
        let json = format!(
            r#"{{"kind":"iso","output":"out/iso","epoch":7,"layers":["in/root.tar"],"volume_id":"VOLUME","boot":[{boot}],
                "hybrid":{{{hybrid}}}}}"#
        );
        build.run(&json)
    };
    let efi = r#"{"platform":"efi","image":{"file":"in/efi"}}"#;
    let bios = r#"{"platform":"bios","image":{"path":"/boot/loader"}}"#;
    let gpt = r#""code":"in/code","table":{"gpt":{"guid":"00112233-4455-6677-8899-aabbccddeeff"}}"#;
    let notes = iso(&format!("{bios},{efi}"), gpt).unwrap();
    assert_eq!(notes, ["an ISO keeps no extended attributes: 1 of 4 paths have such"]);
    let text = build.dump("out/iso");
    for expected in
        ["iso9660 `VOLUME`", "boot bios at ", "boot efi at ", "/a 0777 0:0 ", "partition 1 `EFI System`"]
    {
        assert!(text.contains(expected), "no `{expected}` in {text}");
    }
    let failed = |boot: &str, hybrid: &str| render(&iso(boot, hybrid).unwrap_err());
    let path = build.path().join("out/iso");
    let path = path.display();
    assert_eq!(
        failed(&bios.replace("loader", "nothing"), ""),
        format!(
            "could not make the file system `{path}`: the boot image `/boot/nothing` is not in the layers"
        )
    );
    assert!(failed(&efi.replace("in/efi", "in/none"), "").contains("in/none"));
    assert!(failed(efi, r#""table":{"gpt":{"guid":"no"}}"#).contains("no"));
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let build = Build::new();
    build
        .layer("root", r#"{"path":"a","type":"file","text":"a"},{"path":"A","type":"symlink","target":"a"}"#);
    let uuids = r#""uuid":"00112233445566778899aabbccddeeff","hash_seed":"00112233445566778899aabbccddeeff""#;
    let image = r#""output":"out/image","epoch":7,"layers":["in/root.tar"]"#;
    for json in [
        format!(r#"{{"kind":"ext4",{image},{uuids},"size":4096}}"#),
        format!(r#"{{"kind":"fat",{image},"volume_id":1}}"#),
        format!(r#"{{"kind":"squashfs",{image},"compression":"xz","dictionary_size":1000}}"#),
        format!(r#"{{"kind":"initramfs",{image},"include":["nothing"],"compression":"none"}}"#),
    ] {
        build.run(&json).unwrap_err();
        assert!(!build.path().join("out/image").exists(), "{json}");
    }
}

#[test]
fn a_disk_has_what_the_files_have() {
    let build = Build::new();
    let boot = fs::File::create_new(build.path().join("in/boot")).unwrap();
    boot.set_len(512).unwrap();
    boot.write_all_at(b"code", 0).unwrap();
    boot.write_all_at(b"what is here is left out", 450).unwrap();
    let sparse = fs::File::create_new(build.path().join("in/root")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 32 << 20).unwrap();
    let disk = |size: &str| {
        format!(
            r#"{{"kind":"disk","output":"out/disk","map_output":"out/map","size":17179869184,
            "table":{{"kind":"gpt","guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10"}},
            "boot_code":{{"file":"in/boot"}},"blobs":[{{"name":"core","file":"in/boot","at":17408}}],
            "partitions":[{{"name":"root","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","number":2,
            "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11","attributes":[2,60],"size":{size},"file":"in/root"}}]}}"#
        )
    };
    build.run(&disk(r#""min""#)).unwrap();
    let metadata = fs::metadata(build.path().join("out/disk")).unwrap();
    assert_eq!(metadata.len(), 16 << 30);
    assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks", metadata.blocks());
    let map = fs::read_to_string(build.path().join("out/map")).unwrap();
    assert!(map.contains("│ 2 │ root      │ `in/root` "), "{map}");
    let dump = build.dump("out/disk");
    let lines: Vec<&str> = dump.lines().map(|line| line.split(" sha256").next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "gpt 6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10 33554432 sectors of 512, 34-33554398 for partitions, 128 entries",
            "boot code",
            "mbr entry 1: type ee 1-33554431",
            "partition 2 `root`: type 0fc63daf-8483-4772-8e79-3d69d8477de4 (linux) guid \
             6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11 2048-133119 attributes 2,60",
            "gap 34-2047:",
        ]
    );
    let error = build.run(&disk(r#"{"bytes":1048576}"#)).unwrap_err();
    assert!(
        error.to_string().starts_with(
            "the disk has a problem\n- partition 2 `root` has 1 MiB, and `in/root` has 64 MiB: 63 MiB are missing\n"
        ),
        "{error}"
    );
}

#[test]
fn a_specification_that_is_wrong_is_an_error() {
    let build = Build::new();
    let error = build.run(r#"{"kind":"tree","layer":"in/nowhere.tar","output":"out"}"#).unwrap_err();
    assert!(render(&error).contains("in/nowhere.tar`: No such file"), "{}", render(&error));
    assert!(!error.is_machine());
    let error = build.run(r#"{"kind":"tree""#).unwrap_err();
    assert!(render(&error).starts_with("could not understand the specification"), "{}", render(&error));
    build.write("in/l.tar", "not a layer");
    let error = build.run(r#"{"kind":"tree","layer":"in/l.tar","output":"out"}"#).unwrap_err();
    assert!(render(&error).ends_with("the layer is cut off at byte 11"), "{}", render(&error));
}

#[test]
fn the_tool_has_exit_codes() {
    let build = Build::new();
    build.layer("base", BASE);
    let mkimg = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mkimg"))
            .args(arguments)
            .current_dir(build.path())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(mkimg(&["tree", "in/base.tar"]).0, Some(0));
    assert!(build.path().join("out/usr/bin/tool").exists());
    let (code, text, _) = mkimg(&["dump", "in/base.tar"]);
    assert!(code == Some(0) && text.contains("usr/bin/tool"));
    let (code, _, errors) = mkimg(&[]);
    assert!(code == Some(2) && errors.starts_with("usage: mkimg"));
    let (code, _, errors) = mkimg(&["in/nothing.json"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        "error: could not read `in/nothing.json`\n  caused by: No such file or directory (os error 2)\n"
    );
}

#[test]
fn what_no_kernel_unpacks_does_not_come_in_front() {
    let build = Build::new();
    build.layer("base", BASE);
    build.write("in/front", "rubbish");
    let initramfs = |name: &str| {
        build.run(&format!(
            r#"{{"kind":"initramfs","output":"out/i","epoch":9,"layers":["in/base.tar"],"prepend":["in/{name}"]}}"#
        ))
    };
    let text = render(&initramfs("front").unwrap_err());
    assert!(
        text.contains("cannot come before an archive: it is none that a kernel unpacks; it begins"),
        "{text}"
    );
    build.write("in/odd", "070701\n");
    let notes = initramfs("odd").unwrap();
    let size = fs::metadata(build.path().join("out/i")).unwrap().len();
    let expected =
        format!("i has {size} bytes: an archive of {}, not compressed, behind 8 of other archives", size - 8);
    assert_eq!(notes, [expected]);
}
