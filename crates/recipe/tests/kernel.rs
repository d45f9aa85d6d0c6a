//! Kernels, device trees and what lies where: the steps that they become, and wrong input.

mod stand_ins;

use std::collections::BTreeMap;

use cas::Digest;
use recipe::{Goal, Imported, Lock, Lowered, Resolved, Reuse, Settings, Stack, lower, needs, parse};

const STACK: &str = r#"
[stack]
name = "guest"

[source.linux]
path = "linux"

[env.cross]
distro   = "debian:bookworm"
packages = ["gcc"]

[target.kernel]
kind    = "kernel"
source  = "linux"
env     = "cross"
arch    = "arm64"
patches = "patches"
config  = ["tinyconfig", "./guest.config", { SMP = true, NR_CPUS = 4, CMDLINE = "quiet", EXPERT = "n" }]
require = { VIRTIO_BLK = "y" }
modules = ["BTRFS_FS"]
forbid  = ["DEBUG_INFO"]

[target.initrd]
kind = "initramfs"
arch = "arm64"
init = "hello"

[target.initrd.modules]
kernel = "kernel"
names  = ["btrfs"]

[target.dtb]
kind    = "dtb"
machine = "guest"
delete  = ["/memory@40000000"]
labels  = { gic = "/intc@8000000" }
initrd  = { machine = "guest", region = "initrd" }
nodes   = { "/chosen" = { bootargs = "quiet", "kaslr-seed" = false, x = [1, "a", { phandle = "gic" }, { bytes = "00 ff" }, { u64 = [0x100000000] }] } }

[machine.guest]
arch           = "arm64"
env            = "cross"
virtualization = true

[machine.guest.regions]
ram    = { reserve = "512M", at = "0x48000000" }
kernel = { linux = "kernel", at = "0x48000000", inside = "ram", entry = true }
dtb    = { raw = "dtb", at = "0x47000000", max = "1M" }
initrd = { raw = "initrd", at = "0x54000000", inside = "ram" }
extra  = { raw = "initrd", inside = "ram", within = ["0x54000000", "0x58000000"], align = "4K" }

[test.boots]
machine = "guest"
expect  = ["hello"]
"#;

fn stack(text: &str) -> Stack {
    let (stack, problems) = parse(text, &Settings::default());
    stack.unwrap_or_else(|| panic!("{problems:?}"))
}

/// Lowers everything, with stand-ins for what would be locked and fetched.
fn lowered(text: &str) -> Lowered {
    let stack = stack(text);
    let goals: Vec<Goal> = stack.tests.keys().cloned().map(Goal::Test).collect();
    let needs = needs(&stack, &goals);
    let lock = Lock { packages: stand_ins::packages(&needs, "gcc"), ..Lock::default() };
    let tree = Imported::Tree(Digest::of(b"tree"));
    let file = Imported::File { digest: Digest::of(b"file"), executable: false };
    let paths =
        needs.paths.keys().map(|path| (path.clone(), if path.as_str() == "patches" { tree } else { file }));
    let sources = needs.sources.keys().map(|name| (name.clone(), tree));
    let resolved = Resolved {
        sources: sources.collect(),
        paths: paths.collect(),
        tools: stand_ins::tools(),
        ..Resolved::default()
    };
    lower(&stack, &lock, &resolved, &goals, Reuse::Nothing).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn a_kernel_is_four_steps_and_a_device_tree_two() {
    let lowered = lowered(STACK);
    let steps: Vec<String> = lowered
        .graph
        .steps()
        .map(|(_, step)| format!("{}: {}", step.label, step.arguments.join(" ")))
        .collect();
    for expected in [
        "kernel/patch: tools/kbuild patch in/patch.json",
        "kernel/config: tools/kbuild config in/config.json",
        "kernel/contract: tools/kbuild contract in/contract.json",
        "kernel: tools/kbuild build in/build.json",
        "dtb/machine: tools/runvm dumpdtb in/machine.json out/machine.dtb",
        "dtb: tools/mkimg in/spec.json",
        "initrd/modules: tools/mkimg in/spec.json",
        "map guest: tools/runvm map in/machine.json out",
        "test boots: tools/runvm boot in/boot.json out",
    ] {
        assert!(steps.iter().any(|step| step == expected), "{expected}\n{}", steps.join("\n"));
    }
    let blobs: Vec<String> =
        lowered.blobs.iter().map(|blob| String::from_utf8_lossy(blob).split_whitespace().collect()).collect();
    let has =
        |text: &str| assert!(blobs.iter().any(|blob| blob.contains(text)), "{text}\n{}", blobs.join("\n"));
    has(
        r##""lines":["CONFIG_CMDLINE=\"quiet\"","#CONFIG_EXPERTisnotset","CONFIG_NR_CPUS=4","CONFIG_SMP=y"]"##,
    );
    has(r#"{"symbol":"SMP","place":"bootwright.toml:18"}"#);
    has(r#""headers":false,"date":{"seconds":1577836800}"#);
    has(r#"{"symbol":"VIRTIO_BLK","value":"y","place":"bootwright.toml:19"}"#);
    has(r#"{"symbol":"BTRFS_FS","value":"m","place":"bootwright.toml:20"}"#);
    has(r#"{"symbol":"DEBUG_INFO","value":"n","place":"bootwright.toml:21"}"#);
    has(r#""ramdisk":{"file":"in/initrd","address":1409286144}"#);
    has(r#"{"kind":"delete-property","node":"/chosen","property":"kaslr-seed"}"#);
    has(r#"[{"u32":[1]},{"string":"a"},{"phandle":{"label":"gic"}},{"bytes":[0,255]},{"u64":[4294967296]}]"#);
    has(
        r#""name":"kernel","content":{"linux-image":"in/regions/kernel"},"place":{"at":"0x48000000"},"inside":"ram""#,
    );
    // What lies where is checked by a step that knows the lines, and booted by one that does not.
    has(
        r#""within":{"start":"0x54000000","end":"0x58000000"},"align":"0x00001000","declared":"bootwright.toml:50"}"#,
    );
    has(r#""within":{"start":"0x54000000","end":"0x58000000"},"align":"0x00001000"}"#);
}

#[test]
fn a_kernel_is_as_old_as_its_source() {
    let environment = |text: &str| {
        let lowered = lowered(text);
        let (_, step) = lowered.graph.steps().find(|(_, step)| step.label == "kernel").unwrap();
        step.environment.get("SOURCE_DATE_EPOCH").cloned()
    };
    assert_eq!(environment(STACK), None);
    let edit = &lowered(STACK).kernels["kernel"].edit;
    assert_eq!(edit.arguments.join(" "), "tools/kbuild edit in/edit.json");
}

#[test]
fn lines_that_move_compile_and_boot_nothing() {
    let inputs = |text: &str, label: &str| -> BTreeMap<String, usize> {
        let lowered = lowered(text);
        let step = lowered.graph.steps().find(|(_, step)| step.label == label).unwrap().1.clone();
        step.inputs.iter().map(|input| (format!("{:?}", input.input), 1)).collect()
    };
    let moved = STACK.replacen("[stack]", "\n\n[stack]", 1);
    for label in ["kernel", "test boots"] {
        assert_eq!(inputs(STACK, label), inputs(&moved, label), "{label}");
    }
    assert_ne!(inputs(STACK, "map guest"), inputs(&moved, "map guest"));
}

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(STACK.contains(from), "{from}");
    let (_, problems) = parse(&STACK.replacen(from, to, 1), &Settings::default());
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    for part in expected {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn wrong_kernels_trees_and_regions_are_refused() {
    check("VIRTIO_BLK = \"y\"", "CONFIG_VIRTIO_BLK = \"y\"", &["leave `CONFIG_` out: `VIRTIO_BLK`"]);
    check("\"tinyconfig\"", "\"tiny\"", &["`tiny` names no configuration", "`./my.config`"]);
    check("[\"DEBUG_INFO\"]", "[\"VIRTIO_BLK\"]", &["`VIRTIO_BLK` must be y and n at once"]);
    check("arch    = \"arm64\"\npatches", "arch    = \"amd64\"\npatches", &["modules of a kernel for amd64"]);
    check(
        "region = \"initrd\"",
        "region = \"initd\"",
        &["machine `guest` has no region `initd`", "did you mean `initrd`?"],
    );
    check(
        "at = \"0x54000000\", inside = \"ram\"",
        "at = \"0x54000000\", inside = \"rum\"",
        &["has no region `rum`", "did you mean `ram`?"],
    );
    check("max = \"1M\"", "max = \"one\"", &["`one` is neither an address nor a size"]);
    check(
        "max = \"1M\"",
        "within = [\"0x48000000\", \"0x47000000\"]",
        &["these are not a lower and a higher address"],
    );
    check("max = \"1M\"", "within = [\"0x48000000\"]", &["these are not a lower and a higher address"]);
    check("raw = \"dtb\", ", "raw = \"dtb\", elf = \"dtb\", ", &["`raw` and `elf` exclude each other"]);
    check("max = \"1M\"", "entry = true", &["the first processor cannot start in two regions"]);
    check("bytes = \"00 ff\"", "bytes = \"0\"", &["bytes are pairs of hexadecimal digits"]);
    check("\"/memory@40000000\"", "\"memory\"", &["`memory` is no path of a node"]);
    check(
        "machine = \"guest\"\ndelete",
        "machine = \"guest\"\nbase = \"dtb\"\ndelete",
        &["exclude each other"],
    );
}
