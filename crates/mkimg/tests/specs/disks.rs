//! Disks in the formats of hypervisors, converted, blank, and over others.

use std::fs;
use std::os::unix::fs::FileExt as _;

use super::{Build, render};

#[test]
fn a_disk_in_a_format_is_the_disk() {
    let build = Build::new();
    let uuid = "6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10";
    build.write("in/root", &"not empty\n".repeat(30_000));
    let disk = |output: &str, format: &str| {
        format!(
            r#"{{"kind":"disk","output":"{output}","size":8388608,"format":{format},
            "table":{{"kind":"gpt","guid":"{uuid}"}},"blobs":[{{"name":"core","file":"in/root","at":17408}}],
            "partitions":[{{"name":"root","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","at":1048576,
            "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11","size":"grow","file":"in/root"}}]}}"#
        )
    };
    build.run(&disk("out/disk.raw", r#"{"kind":"raw"}"#)).unwrap();
    let raw = fs::read(build.path().join("out/disk.raw")).unwrap();
    let formats = [
        ("disk.qcow2", r#"{"kind":"qcow2","compression":"zstd","cluster_size":4096}"#.to_owned()),
        ("disk.vdi", format!(r#"{{"kind":"vdi","uuid":"{uuid}"}}"#)),
        (
            "disk.vmdk",
            format!(r#"{{"kind":"vmdk","variant":"stream-optimized","adapter":"buslogic","uuid":"{uuid}"}}"#),
        ),
        ("disk.vhd", format!(r#"{{"kind":"vhd","fixed":true,"uuid":"{uuid}","epoch":1600000000}}"#)),
        ("disk.vhdx", format!(r#"{{"kind":"vhdx","block_size":2097152,"uuid":"{uuid}"}}"#)),
        ("disk.tar.gz", r#"{"kind":"gcp","epoch":1600000000}"#.to_owned()),
        ("disk.hdd", format!(r#"{{"kind":"parallels","uuid":"{uuid}"}}"#)),
    ];
    for (name, format) in &formats {
        // From the plan, and from the disk that was written.
        build.run(&disk(&format!("out/{name}"), format)).unwrap();
        let input = r#""input":"out/disk.raw""#;
        build
            .run(&format!(r#"{{"kind":"convert",{input},"output":"again/{name}","format":{format}}}"#))
            .unwrap();
        let data = "disk.0.{5fbaabe3-6958-40ff-92a7-860e329aab41}.hds";
        let name = if *name == "disk.hdd" { &format!("disk.hdd/{data}") } else { *name };
        let [first, again] = ["out", "again"].map(|of| fs::read(build.path().join(of).join(name)).unwrap());
        assert!(first == again, "{name}");
        if name != "disk.tar.gz" {
            let dump = build.dump(&format!("out/{name}"));
            assert!(dump.contains(&format!("\ngpt {uuid} 16384 sectors of 512")), "{dump}");
        }
        // And back.
        let convert = r#"{"kind":"convert","output":"out/back","format":{"kind":"raw"},"input":"#;
        build.run(&format!(r#"{convert}"out/{name}"}}"#)).unwrap();
        let back = fs::read(build.path().join("out/back")).unwrap();
        assert!(back[..raw.len()] == raw && back[raw.len()..].iter().all(|byte| *byte == 0), "{name}");
    }
}

#[test]
fn a_disk_over_another_has_what_differs() {
    let build = Build::new();
    for (name, text) in [("below", "one"), ("disk", "two")] {
        let file = fs::File::create_new(build.path().join("in").join(name)).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(&[7; 1 << 20], 8 << 20).unwrap();
        file.write_all_at(text.as_bytes(), 32 << 20).unwrap();
        file.write_all_at(&[0x55, 0xaa], 510).unwrap();
    }
    let spec = r#"{"kind":"convert","input":"in/disk","output":"out/disk","format":{"kind":"qcow2",
        "backing":{"file":"in/below","name":"below.raw"}}}"#;
    build.run(spec).unwrap();
    // A header, two tables, one cluster, and two for counts.
    assert_eq!(fs::metadata(build.path().join("out/disk")).unwrap().len(), 6 << 16);
    let again = r#"{"kind":"convert","input":"out/disk","output":"out/raw","format":{"kind":"raw"}}"#;
    let error = build.run(again).unwrap_err();
    assert!(render(&error).ends_with(
        "out/disk`: it is what differs from `below.raw`, which is not given; give the other disk, or make one of both with `qemu-img convert`"
    ), "{}", render(&error));
}

#[test]
fn what_is_no_disk_is_not_converted() {
    let build = Build::new();
    let convert = |more: &str| {
        format!(
            r#"{{"kind":"convert","input":"in/text","output":"out/disk",{more}"format":{{"kind":"qcow2"}}}}"#
        )
    };
    build.write("in/text", "not a disk\n");
    let error = render(&build.run(&convert("")).unwrap_err());
    assert!(
        error.ends_with(
            "in/text` is no disk that can be told by what it begins with; if it is to be taken as it is, say that it is `raw`"
        ),
        "{error}"
    );
    let error = render(&build.run(&convert(r#""from":"vhdx","#)).unwrap_err());
    assert!(error.ends_with("in/text`: it is not VHDX"), "{error}");
    let error = render(&build.run(&convert(r#""from":"gcp","#)).unwrap_err());
    assert!(error.contains("could not unpack the disk in `"), "{error}");
    build.run(&convert(r#""from":"raw","#)).unwrap();
    build.write("in/text", "");
    let error = render(&build.run(&convert(r#""from":"raw","#)).unwrap_err());
    assert!(
        error.contains("could not make the qcow2 disk") && error.ends_with("the disk has no bytes"),
        "{error}"
    );
    let spec = r#"{"kind":"disk","output":"out/d","size":8388608,"sector_size":4096,"format":{"kind":"vhd",
        "uuid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10","epoch":0},
        "table":{"kind":"gpt","guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10"}}"#;
    assert_eq!(
        render(&build.run(spec).unwrap_err()),
        "a VHD disk cannot have sectors of 4096 bytes; `raw`, `qcow2`, `vhdx` and `gcp` can"
    );
}

#[test]
fn a_disk_to_write_on_takes_no_room() {
    let build = Build::new();
    build.run(r#"{"kind":"blank","output":"out/blank.qcow2","size":4294967296}"#).unwrap();
    let below = fs::File::create_new(build.path().join("in/below")).unwrap();
    below.set_len(64 << 20).unwrap();
    below.write_all_at(&[7; 1 << 20], 8 << 20).unwrap();
    let over = r#"{"kind":"over","output":"out/over.qcow2","below":"in/below","format":"raw","name":"/build/in/disks/a"}"#;
    build.run(over).unwrap();
    for (name, size) in [("blank", 4_u64 << 30), ("over", 64 << 20)] {
        let image = fs::read(build.path().join(format!("out/{name}.qcow2"))).unwrap();
        assert!(image.len() <= 5 << 16, "{name}: {}", image.len());
        assert_eq!(image[24..32], size.to_be_bytes(), "{name}");
    }
    assert!(build.dump("out/blank.qcow2").contains("4294967296 bytes in clusters of 65536"));
    // It is nothing without what is below.
    let error = render(&mkimg::dump(&build.path().join("out/over.qcow2"), &mut Vec::new()).unwrap_err());
    assert!(error.contains("it is what differs from `/build/in/disks/a`"), "{error}");
    let error = render(&build.run(&over.replace("in/below", "in/none")).unwrap_err());
    assert!(error.contains("could not read `") && error.contains("in/none"), "{error}");
}

#[test]
fn a_disk_on_which_grub_would_not_find_itself_is_refused() {
    let build = Build::new();
    // What boot.img and core.img have in them that others look at: the sector of the core is 1, and that of its rest 35.
    let (mut boot, mut core) = (vec![0; 512], vec![0; 2048]);
    boot[..3].copy_from_slice(&[0xeb, 0x63, 0x90]);
    boot[0x5a..0x5e].copy_from_slice(&[0, 0x80, 1, 0]);
    boot[0x180..0x186].copy_from_slice(b"GRUB \0");
    core[500] = 35;
    core[508..512].copy_from_slice(&[3, 0, 0x20, 8]);
    fs::write(build.path().join("in/boot"), &boot).unwrap();
    fs::write(build.path().join("in/core"), core).unwrap();
    let uuid = "6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10";
    let head = format!(
        r#"{{"kind":"disk","output":"out/disk","size":8388608,"table":{{"kind":"gpt","guid":"{uuid}"}},
        "boot_code":{{"file":"in/boot"}}"#
    );
    let blob = |at: u64| format!(r#"{head},"blobs":[{{"name":"core","file":"in/core","at":{at}}}]}}"#);
    let partition = format!(
        r#"{head},"partitions":[{{"name":"grub","type":"21686148-6449-6e6f-744e-656564454649","at":17408,"align":512,
        "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11","size":"min","file":"in/core"}}]}}"#
    );
    let error = build.run(&blob(17_408)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the boot code is GRUB's, which looks for its core in sector 1, where none begins"
    );
    assert!(error.help().is_some_and(|help| help.contains("`at = \"0x4400\"`")), "{:?}", error.help());

    boot[0x5c] = 34;
    fs::write(build.path().join("in/boot"), &boot).unwrap();
    build.run(&blob(17_408)).unwrap();
    build.run(&partition).unwrap();
    let disk = fs::read(build.path().join("out/disk")).unwrap();
    assert_eq!((disk[0x5c], disk[34 * 512 + 500]), (34, 35));
    boot[0x5c] = 40;
    fs::write(build.path().join("in/boot"), &boot).unwrap();
    let error = build.run(&blob(40 * 512)).unwrap_err();
    assert_eq!(error.to_string(), "GRUB's core begins in sector 40, and looks for its rest in sector 35");
}
