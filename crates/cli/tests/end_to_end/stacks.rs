//! The systems of real users, built and booted.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::guest::{POWER_OFF_AT_EL2, SAY_LEVEL, elf, program};
use crate::harness::{Project, unique, workspace};

/// Compares the drawing of a map in a page with the map, or writes it there.
///
/// How long files are changes with the packages that they are made from, so only what the recipe decides must be the
/// same: the regions, where they start, and what is in them.
#[track_caller]
fn check_drawing(page: &str, drawing: &str) {
    let path = workspace().join(page);
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find("```text\n").unwrap() + "```text\n".len();
    let end = start + text[start..].find("```").unwrap();
    let decided = |drawing: &str| -> Vec<String> {
        let rows = drawing.lines().map(|line| line.split('│').map(str::trim).collect::<Vec<_>>());
        let regions = rows.filter(|row| row.len() > 5 && row[4] != "(free)");
        regions.map(|row| format!("{} {} {}", row[1], row[4], row[5])).collect()
    };
    if std::env::var_os("BOOTWRIGHT_BLESS").is_some() {
        fs::write(&path, format!("{}{drawing}{}", &text[..start], &text[end..])).unwrap();
    } else {
        assert_eq!(decided(&text[start..end]), decided(drawing), "run it with BOOTWRIGHT_BLESS=1");
    }
}

/// The same guest with a device tree that is made from nothing, in a machine that says no more than that one does.
const MADE: &str = r#"
[target.made]
kind   = "dtb"
root   = { model = "made", compatible = ["linux,dummy-virt"] }
memory = [{ at = "0x48000000", size = "512M" }]
cpus   = { count = 4, compatible = ["arm,cortex-a57", "arm,armv8"] }
psci   = "hvc"
gic-v3 = { distributor = { at = "0x08000000", size = "64K" }, redistributors = { at = "0x080a0000", size = "0xf60000" } }
timer  = true
pl011  = [{ at = "0x09000000", spi = 1 }]
chosen = { bootargs = "console=ttyAMA0 loglevel=8 nokaslr rdinit=/init", stdout-path = "/serial@9000000" }
initrd = { machine = "made", region = "initrd" }
virtio-mmio = [{ at = "0x0a000000", spi = 16, count = 32 }]

[machine.made]
arch   = "arm64"
env    = "vm"
cpus   = 4
memory = "1G"
accel  = "tcg"
disks  = [{ target = "disk", bus = "mmio" }]

[machine.made.regions]
dtb    = { raw = "made", at = "${DTB}" }
ram    = { reserve = "512M", at = "${KERNEL}" }
kernel = { linux = "kernel", at = "${KERNEL}", inside = "ram" }
initrd = { raw = "initrd", at = "0x54000000", inside = "ram" }
entry  = { raw = "entry", at = "0x40000000", entry = true }

[test.made]
machine = "made"
timeout = "3m"
expect  = ["Machine model: made", "4 CPUs online", "hello from the disk", "reboot: Power down"]
"#;

#[test]
fn an_arm64_guest_is_built_from_source_and_boots() {
    let project = Project::copy_of("stacks/guest-arm64");
    let ran = project.succeed(&["test"]);
    assert!(ran.stdout.contains("1 passed, 0 failed"), "{}\n{}", ran.stdout, ran.stderr);
    let again = project.succeed(&["test"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    check_drawing("stacks/guest-arm64/README.md", &project.succeed(&["inspect"]).stdout);

    // Lines of the fragment that change nothing of the configuration compile nothing.
    let fragment = project.read("kernel/guest.config");
    for comment in ["one", "two"] {
        project.write("kernel/guest.config", &format!("# {comment} {}\n{fragment}", unique()));
        let ran = project.succeed(&["test"]);
        assert!(ran.stderr.contains("kernel/config") && !ran.stderr.contains("] kernel "), "{}", ran.stderr);
    }
    let explained = project.succeed(&["explain", "kernel/config"]);
    assert!(explained.stdout.contains("in/fragments"), "{}", explained.stdout);

    // What the kernel drops is found before anything is compiled, with the reason.
    let recipe = project.read("bootwright.toml");
    project.write(
        "bootwright.toml",
        &recipe.replace("[target.kernel.require]\n", "[target.kernel.require]\nKVM = \"y\"\n"),
    );
    project.fail(
        &["build", "kernel"],
        1,
        &["KVM=y: depends on VIRTUALIZATION, which is n", "arch/arm64/kvm/Kconfig"],
    );

    // So is an initramfs that has no room where it is to lie.
    project.write("bootwright.toml", &recipe.replace("max = \"64M\"", "max = \"64K\""));
    project.fail(&["test"], 1, &["map guest", "`initrd` takes", "limit of 64 KiB", ": `initrd`"]);

    // A kernel that has outgrown its place is found as soon as it is built.
    let place = "at = \"${KERNEL}\", inside = \"ram\" }";
    project.write("bootwright.toml", &recipe.replace(place, &place.replace(" }", ", max = \"1M\" }")));
    project.fail(&["test"], 1, &["map guest", "`kernel` takes", "limit of 1 MiB"]);

    // A device tree of nothing but what the recipe lists.
    project.write("bootwright.toml", &format!("{recipe}{MADE}"));
    project.succeed(&["test", "made"]);

    // Under a hypervisor: what it finds where, and that it is started there, at EL2.
    project.write("bootwright.toml", &recipe);
    let hypervisor = program("started at EL", &[SAY_LEVEL, POWER_OFF_AT_EL2].concat());
    fs::write(project.path().join("hv.elf"), elf(0x4020_0000, &hypervisor)).unwrap();
    let shown = project.succeed(&["inspect", "--set", "HYPERVISOR=hv.elf"]).stdout;
    for (start, region) in [
        ("0x40200000", "hypervisor"),
        ("0x41000000", "heap"),
        ("0x47000000", "dtb"),
        ("0x48000000", "kernel"),
        ("0x54000000", "initrd"),
        ("0x58000000", "disk"),
    ] {
        let has = |line: &str| line.starts_with(&format!("│ {start} ")) && line.contains(region);
        assert!(shown.lines().any(has), "{region}\n{shown}");
    }
    let ran = project.succeed(&["run", "--set", "HYPERVISOR=hv.elf"]);
    assert!(ran.stdout.contains("started at EL2"), "{}", ran.stdout);
}

/// Its own repository is out of reach here, so with a small tree of the same shape.
#[test]
fn coconut_takes_a_tree_of_ones_own() {
    let project = Project::copy_of("stacks/coconut");
    let tree = Project::copy_of("examples/coconut");
    symlink(tree.path(), project.path().join("svsm")).unwrap();
    let planned = project.succeed(&["plan", "--set", "SVSM=local", "qemu"]).stdout;
    for step in
        ["qemu/svsm (vtpm):", "qemu/bldr:", "qemu/tdx-stage1:", "qemu/igvmbuilder:", "qemu/qemu.igvm:"]
    {
        assert!(planned.contains(step), "{step}\n{planned}");
    }
    let absent = ["plan", "--set", "SVSM=local", "--set", "QEMU=configs/nowhere.json", "qemu"];
    project.fail(&absent, 2, &["source `local` has no `configs/nowhere.json`"]);
}

#[test]
fn eve_images_boot_and_install_themselves() {
    let project = Project::copy_of("stacks/eve-images");
    let ran = project.succeed(&["test"]);
    assert!(ran.stdout.contains("10 passed, 0 failed"), "{}\n{}", ran.stdout, ran.stderr);
    let again = project.succeed(&["test"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    project.succeed(&["build"]);
    for file in [
        "live/live.raw",
        "live/live.qcow2",
        "live/live.vdi",
        "live/live.vmdk",
        "live/live.vhd",
        "live/live.vhdx",
        "live/live.hdd/DiskDescriptor.xml",
        "live/live.img.tar.gz",
        "installer/installer.raw",
        "installer-iso/installer-iso.iso",
        "netboot/netboot.tar",
    ] {
        assert!(project.path().join("out").join(file).is_file(), "{file}");
    }
    // Without a sandbox the network has the same files.
    let line = project.succeed(&["run", "network", "--dry-run"]).stdout;
    assert!(line.contains("/out/netboot,bootfile=ipxe.cfg -device virtio-net-pci"), "{line}");
}
