//! The tools that own the formats accept what we write.

use crate::harness::Project;

#[test]
fn foreign_tools_accept_our_images() {
    let project = Project::copy_of("crates/cli/tests/projects/checkers");
    project.succeed(&["build"]);
    assert_eq!(
        project.read("out/ext4-accepted/stat"),
        "/etc/secret Type: regular Mode: 0640 User: 0 Group: 42 \n\
         /usr/bin/suid Type: regular Mode: 04755 User: 0 Group: 0 \n\
         /srv Type: directory Mode: 02775 User: 1000 Group: 1000 \n\
         /etc/long Type: symlink Mode: 0777 User: 0 Group: 0 \n\
         /empty Type: regular Mode: 0644 User: 0 Group: 0 \n\
         /overlaid/run Type: regular Mode: 0755 User: 0 Group: 0 \n"
    );
    let squashfs = project.read("out/squashfs-accepted/list");
    for expected in [
        "-rw-r----- 0/42 26 ",
        "-rwsr-xr-x 0/0 10 ",
        "drwxrwsr-x 1000/1000 3 ",
        "lrwxrwxrwx 0/0 85 ",
        "-rwxr-xr-x 0/0 24 ",
    ] {
        assert!(squashfs.lines().any(|line| line.starts_with(expected)), "no `{expected}` in {squashfs}");
    }
    let stat = project.read("out/squashfs-accepted/stat");
    for expected in [
        "Compression xz\n",
        "Filters selected: x86, arm\n",
        "Block size 1048576\n",
        "Number of fragments 0\n",
    ] {
        assert!(stat.contains(expected), "no `{expected}` in {stat}");
    }
    let erofs = [project.read("out/erofs-accepted/stat"), project.read("out/erofs-accepted/inodes")].concat();
    for expected in ["6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a12", "Size: 26", "Uid: 0", "Gid: 42", "Gid: 1000"] {
        assert!(erofs.contains(expected), "no `{expected}` in {erofs}");
    }
    let cpio = project.read("out/cpio-accepted/list");
    assert!(
        cpio.lines()
            .any(|line| line.starts_with("-rw-r-----   1 0        42 ") && line.ends_with(" etc/secret")),
        "{cpio}"
    );
    let has =
        |start: &str, end: &str| cpio.lines().any(|line| line.starts_with(start) && line.ends_with(end));
    assert!(has("crw-------   1 0        0          5,   1 ", " dev/console"), "{cpio}");
    assert!(has("brw-rw----   1 0        6        254,   0 ", " dev/vda"), "{cpio}");
    let tar = project.read("out/layer-accepted/list");
    assert!(
        tar.lines().any(|line| line.starts_with("drwxrwsr-x 1000/1000 ") && line.ends_with(" srv/")),
        "{tar}"
    );
    let list = project.read("out/fat-accepted/list");
    for path in ["::/EFI/BOOT/BOOTX64.EFI", "::/EFI/BOOT/grub.cfg", "::/EFI/BOOT/a rather long name.x"] {
        assert!(list.lines().any(|line| line == path), "{path}\n{list}");
    }
    let check = |file: &str, expected: &[&str]| {
        let text = project.read(&format!("out/iso-accepted/{file}"));
        for expected in expected {
            assert!(text.contains(expected), "no `{expected}` in {text}");
        }
    };
    check(
        "boot",
        &[
            "Volume Id    : CHECKED\n",
            "Publisher Id : Somebody\n",
            "El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4 ",
            "El Torito boot img :   2  UEFI  y   none  0x0000  0x00 ",
            "System area summary: MBR protective-msdos-label grub2-mbr",
            "GPT partname local :   1  EFI System\n",
        ],
    );
    check(
        "boot-mbr",
        &[
            "Volume Id    : INSTALL_MBR\n",
            "El Torito img path :   1  /boot/eltorito.img\n",
            "El Torito img path :   2  /boot/efi.img\n",
            "El Torito img opts :   1  boot-info-table grub2-boot-info\n",
            "System area summary: MBR grub2-mbr",
        ],
    );
    check("info", &["Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found"]);
    check(
        "list",
        &[
            "-rw-r-----    1 0        42             26 ",
            "-rwsr-xr-x    1 0        0              10 ",
            "drwxrwsr-x    1 1000     1000            0 ",
            "'/etc/short' -> 'motd'",
        ],
    );
    assert_eq!(project.read("out/live-accepted/table"), LIVE);
    assert_eq!(project.read("out/live-accepted/attributes"), "Attribute flags: 0102000000000000\n");
    assert_eq!(project.read("out/installer-accepted/mbr"), INSTALLER_MBR);
}

#[test]
fn qemu_accepts_our_virtual_disks() {
    let project = Project::copy_of("crates/cli/tests/projects/virtual-disks");
    project.succeed(&["build", "accepted", "live"]);
    let info = project.read("out/accepted/info");
    for expected in [
        "qcow2 virtual size: 527 MiB (552599552 bytes);cluster_size: 65536;compression type: zlib;",
        "vhd virtual size: 527 MiB (552599552 bytes);cluster_size: 2097152;",
        "others-qcow2 virtual size: 527 MiB (552599552 bytes);cluster_size: 131072;compression type: zstd;",
        "others-vhdx virtual size: 527 MiB (552599552 bytes);cluster_size: 33554432;",
        "changed.qcow2 virtual size: 527 MiB (552599552 bytes);cluster_size: 65536;backing file: live.raw",
    ] {
        assert!(info.lines().any(|line| line.starts_with(expected)), "no `{expected}` in {info}");
    }
    let others_vmdk = info.lines().find(|line| line.starts_with("others-vmdk ")).unwrap();
    assert!(others_vmdk.contains("create type: streamOptimized"), "{others_vmdk}");
    // All of one target is in one place, whichever step made it.
    let sums = project.read("out/live/SHA256SUMS");
    let names: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    assert_eq!(
        names,
        [
            "live.hdd/DiskDescriptor.xml",
            "live.hdd/live.0.{5fbaabe3-6958-40ff-92a7-860e329aab41}.hds",
            "live.img.tar.gz",
            "live.map.txt",
            "live.qcow2",
            "live.raw",
            "live.vdi",
            "live.vhd",
            "live.vhdx",
            "live.vmdk",
        ]
    );
}

#[test]
fn what_is_no_disk_is_not_converted() {
    let recipe = |from: &str| {
        format!(
            "[stack]\nname = \"s\"\n[target.t]\nkind = \"convert\"\nfile = \"input\"\n{from}formats = {{ qcow2 = {{}} }}\n"
        )
    };
    let project = Project::new(&recipe(""));
    project.write("input", "not a disk\n");
    project.fail(
        &["build"],
        1,
        &["is no disk that can be told by what it begins with", "say that it is `raw`"],
    );
    project.write("bootwright.toml", &recipe("from = \"vmdk\"\n"));
    project.fail(&["build"], 1, &["could not read the virtual disk", "it is not VMDK"]);
    project.write("bootwright.toml", &recipe("from = \"raw\"\n"));
    project.succeed(&["build"]);
    // A qcow2 of which only the beginning is there.
    let cut: Vec<u8> = std::fs::read(project.path().join("out/t/t.qcow2")).unwrap()[..70_000].to_vec();
    std::fs::write(project.path().join("input"), cut).unwrap();
    project.write("bootwright.toml", &recipe(""));
    project.fail(&["build"], 1, &["could not read the virtual disk", "it is cut off"]);
}

/// EVE's live disk as `sfdisk` sees it.
const LIVE: &str = "label: gpt
label-id: AD6871EE-31F9-4CF3-9E09-6F7A25C30050
unit: sectors
first-lba: 34
last-lba: 1226718
sector-size: 512

start=        2048, size=       73728, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=AD6871EE-31F9-4CF3-9E09-6F7A25C30051, name=\"EFI System\", attrs=\"LegacyBIOSBootable\"
start=      159744, size=     1048576, type=5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6, uuid=AD6871EE-31F9-4CF3-9E09-6F7A25C30052, name=\"IMGA\", attrs=\"GUID:49,56\"
start=      149504, size=       10240, type=13307E62-CD9C-4920-8F9B-91B45828B798, uuid=AD6871EE-31F9-4CF3-9E09-6F7A25C30054, name=\"CONFIG\"
start=       75776, size=       73728, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=AD6871EE-31F9-4CF3-9E09-6F7A25C30056, name=\"EFI System\"
";

/// The old table of an installer: bootable FAT32, two that Windows sees, and the one that protects the rest last.
const INSTALLER_MBR: &str = " 80 20 21 00 0c b6 32 04 00 08 00 00 00 20 01 00
 00 b6 33 04 07 d7 13 04 00 28 01 00 00 08 00 00
 00 02 3c 07 07 1c 10 0c 00 b8 01 00 00 40 01 00
 00 00 02 00 ee 20 20 00 01 00 00 00 ff 07 00 00
";
