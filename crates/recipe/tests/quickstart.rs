//! The example that newcomers read first, as actions.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cas::Digest;
use engine::Input;
use recipe::{
    Goal, Lock, LockedSet, Lowered, Name, Pin, Resolved, Reuse, Settings, Stack, lower, needs, parse,
};

const RECIPE: &str = include_str!("../../../examples/quickstart/bootwright.toml");

fn stack() -> Stack {
    let (stack, problems) = parse(RECIPE, &Settings::default());
    let problems: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
    stack.unwrap_or_else(|| panic!("{}", problems.join("\n")))
}

fn pin(name: &str, version: &str) -> Pin {
    Pin {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        suite: "bookworm".to_owned(),
        filename: format!("pool/{name}.deb"),
        size: 1,
        sha256: Digest::of(name.as_bytes()).hex(),
        with: None,
    }
}

/// A package that was asked for.
fn wanted(name: &str, version: &str) -> Pin {
    Pin { with: Some(name.to_owned()), ..pin(name, version) }
}

/// A lock with a few of the packages.
fn lock(stack: &Stack, goals: &[Goal]) -> Lock {
    let packages: BTreeMap<&str, Vec<Pin>> = BTreeMap::from([
        ("env.vm", vec![pin("libc6", "2.36-9"), wanted("qemu-system-x86", "1:7.2")]),
        ("target.rootfs", vec![pin("libc6", "2.36-9"), wanted("hello", "2.10-3")]),
        ("target.initrd", vec![pin("busybox-static", "1:1.35.0-4")]),
        (
            "target.kernel",
            vec![
                pin("kmod", "30"),
                pin("linux-image-6.1.0-9-cloud-amd64", "6.1"),
                pin("linux-image-cloud-amd64", "6.1"),
            ],
        ),
    ]);
    let sets = needs(stack, goals).packages.into_iter().map(|(name, set)| {
        let pins = packages[name.as_str()].clone();
        (name, LockedSet { request: set.request.digest(), releases: Vec::new(), pins })
    });
    Lock { packages: sets.collect(), ..Lock::default() }
}

fn resolved() -> Resolved {
    let tools =
        ["kbuild", "mkimg", "pkgroot", "runvm"].map(|tool| (tool.to_owned(), Digest::of(tool.as_bytes())));
    Resolved { tools: tools.into(), ..Resolved::default() }
}

fn lowered(goals: &[Goal]) -> Lowered {
    lowered_of(&stack(), goals)
}

fn lowered_of(stack: &Stack, goals: &[Goal]) -> Lowered {
    lower(stack, &lock(stack, goals), &resolved(), goals, Reuse::Nothing)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Draws each step: label, command, and where its inputs come from.
fn draw(lowered: &Lowered) -> String {
    let mut text = String::new();
    let labels: Vec<&str> = lowered.graph.steps().map(|(_, step)| step.label.as_str()).collect();
    let mut ids = BTreeMap::new();
    for (idx, (id, _)) in lowered.graph.steps().enumerate() {
        ids.insert(id, labels[idx]);
    }
    for (_, step) in lowered.graph.steps() {
        let root = if step.requirements.root { " as root" } else { "" };
        writeln!(text, "{}:{root} {}", step.label, step.arguments.join(" ")).unwrap();
        for placement in &step.inputs {
            let origin = match &placement.input {
                Input::Tree(_) => "a tree".to_owned(),
                Input::File { digest, .. } => {
                    match lowered.blobs.iter().any(|blob| Digest::of(blob) == *digest) {
                        true => continue,
                        false => "a file".to_owned(),
                    }
                }
                Input::Output { step, path } => format!("{}: {path}", ids[step]),
                Input::Merged(_) => "a merged tree".to_owned(),
            };
            if !placement.path.starts_with("build/tools/") {
                writeln!(text, "  /{} = {origin}", placement.path).unwrap();
            }
        }
    }
    text
}

#[track_caller]
fn check_steps(lowered: &Lowered, expected: &str) {
    assert_eq!(draw(lowered).trim(), expected.trim());
}

#[test]
fn the_test_is_these_steps() {
    let stack = stack();
    let test = stack.tests.keys().next().unwrap().clone();
    check_steps(
        &lowered(&[Goal::Test(test)]),
        r#"
unpack libc6 2.36-9: tools/pkgroot unpack --tree in/libc6.deb
  /build/in/libc6.deb = a file
env.vm/configure: as root tools/pkgroot configure in/configure.json
  /build/in/layers/0000-libc6.tar = unpack libc6 2.36-9: layer.tar
  /build/in/root = a merged tree
unpack qemu-system-x86 1:7.2: tools/pkgroot unpack --tree in/qemu-system-x86.deb
  /build/in/qemu-system-x86.deb = a file
env.vm/configure qemu-system-x86: as root tools/pkgroot configure in/configure.json
  /build/in/layers/0000-libc6.tar = unpack libc6 2.36-9: layer.tar
  /build/in/layers/0001-configured.tar = env.vm/configure: layer.tar
  /build/in/layers/0002-qemu-system-x86.tar = unpack qemu-system-x86 1:7.2: layer.tar
  /build/in/root = a merged tree
env.vm/tree: tools/mkimg in/tree.json
  /build/in/below/0000-configured.tar = env.vm/configure: layer.tar
  /build/in/layer.tar = env.vm/configure qemu-system-x86: layer.tar
unpack linux-image-6.1.0-9-cloud-amd64 6.1: tools/pkgroot unpack in/linux-image-6.1.0-9-cloud-amd64.deb
  /build/in/linux-image-6.1.0-9-cloud-amd64.deb = a file
unpack linux-image-cloud-amd64 6.1: tools/pkgroot unpack in/linux-image-cloud-amd64.deb
  /build/in/linux-image-cloud-amd64.deb = a file
kernel: tools/mkimg in/spec.json
  /build/in/layers/0000-linux-image-6.1.0-9-cloud-amd64.tar = unpack linux-image-6.1.0-9-cloud-amd64 6.1: layer.tar
  /build/in/layers/0001-linux-image-cloud-amd64.tar = unpack linux-image-cloud-amd64 6.1: layer.tar
unpack busybox-static 1:1.35.0-4: tools/pkgroot unpack in/busybox-static.deb
  /build/in/busybox-static.deb = a file
initrd/modules: tools/mkimg in/spec.json
  /build/in/layers/0000-linux-image-6.1.0-9-cloud-amd64.tar = unpack linux-image-6.1.0-9-cloud-amd64 6.1: layer.tar
  /build/in/layers/0001-linux-image-cloud-amd64.tar = unpack linux-image-cloud-amd64 6.1: layer.tar
initrd/files: tools/mkimg in/spec.json
initrd: tools/mkimg in/spec.json
  /build/in/layers/0000-busybox-static.tar = unpack busybox-static 1:1.35.0-4: layer.tar
  /build/in/layers/0001-modules.tar = initrd/modules: layer.tar
  /build/in/layers/0002-files.tar = initrd/files: layer.tar
unpack hello 2.10-3: tools/pkgroot unpack --tree in/hello.deb
  /build/in/hello.deb = a file
rootfs/configure hello: as root tools/pkgroot configure in/configure.json
  /build/in/layers/0000-libc6.tar = unpack libc6 2.36-9: layer.tar
  /build/in/layers/0001-configured.tar = env.vm/configure: layer.tar
  /build/in/layers/0002-hello.tar = unpack hello 2.10-3: layer.tar
  /build/in/root = a merged tree
rootfs/files: tools/mkimg in/spec.json
disk: tools/mkimg in/spec.json
  /build/in/layers/0000-libc6.tar = unpack libc6 2.36-9: layer.tar
  /build/in/layers/0001-configured.tar = env.vm/configure: layer.tar
  /build/in/layers/0002-hello.tar = unpack hello 2.10-3: layer.tar
  /build/in/layers/0003-configured.tar = rootfs/configure hello: layer.tar
  /build/in/layers/0004-files.tar = rootfs/files: layer.tar
test boots: tools/runvm boot in/boot.json out
  / = a merged tree
  /build/in/kernel = kernel: vmlinuz
  /build/in/initrd = initrd: initramfs.img
  /build/in/disk0 = disk: disk.ext4
"#,
    );
}

#[test]
fn targets_are_found_by_their_main_file() {
    let stack = stack();
    let goals: Vec<Goal> = stack.targets.keys().cloned().map(Goal::Target).collect();
    let main: Vec<String> = lowered(&goals)
        .targets
        .iter()
        .map(|(name, output)| format!("{name}/{}", output.main.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(main, ["disk/disk.ext4", "initrd/initramfs.img", "kernel/vmlinuz", "rootfs/rootfs.tar"]);
}

#[test]
fn what_is_not_there_is_reported() {
    let (stack, _) = parse(
        "[stack]\nname = \"demo\"\n[target.r]\nkind = \"rootfs\"\noverlays = [\"skel\"]\nfiles = { \"/a\" = { file = \"a\" } }\n",
        &Settings::default(),
    );
    let stack = stack.unwrap();
    let goals: Vec<Goal> = stack.targets.keys().cloned().map(Goal::Target).collect();
    let problems = lower(&stack, &Lock::default(), &resolved(), &goals, Reuse::Nothing).unwrap_err();
    let problems: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(problems, ["there is no `a` in the project", "there is no `skel` in the project"]);
}

#[test]
fn pins_that_only_lead_to_the_kernel_are_not_fetched() {
    let stack = stack();
    let goals: Vec<Goal> = stack.targets.keys().cloned().map(Goal::Target).collect();
    let needs = needs(&stack, &goals);
    let set = &needs.packages["target.kernel"];
    assert!(set.uses(&pin("linux-image-6.1.0-9-cloud-amd64", "6.1")));
    assert!(!set.uses(&pin("kmod", "30")));
    assert!(needs.packages["target.rootfs"].uses(&pin("kmod", "30")));
}

#[test]
fn a_test_that_follows_another_has_its_disks() {
    let recipe = format!("{RECIPE}\n[test.again]\nmachine = \"vm\"\nafter = \"boots\"\n");
    let (stack, problems) = parse(&recipe, &Settings::default());
    assert!(problems.is_empty(), "{problems:?}");
    let stack = stack.unwrap();
    let again = stack.tests.keys().find(|name| name.as_str() == "again").unwrap().clone();
    let boots = stack.tests.keys().find(|name| name.as_str() == "boots").unwrap().clone();
    let of = |goal: Name| draw(&lowered_of(&stack, &[Goal::Test(goal)]));
    let text = of(again);
    let lines = [
        "disk0 over disk: tools/mkimg in/spec.json\n  /build/in/disk = disk: disk.ext4\n",
        "  /build/in/disks/disk0 = disk: disk.ext4\n  /build/in/overlays/disk0.qcow2 = disk0 over disk: over.qcow2\n",
        "  /build/in/disks/disk0 = disk: disk.ext4\n  /build/in/overlays/disk0.qcow2 = test boots: disks/disk0.qcow2\n",
    ];
    for lines in lines {
        assert!(text.contains(lines), "{lines}\n{text}");
    }
    // What the first one does is the same whether somebody wants the second one or not.
    let alone = of(boots);
    assert!(text.starts_with(alone.trim_end()), "{alone}\n{text}");
}

#[test]
fn nothing_is_pushed_into_the_guest_of_a_test() {
    let recipe =
        format!("{RECIPE}\n[machine.vm.push]\nfiles = {{ \"/etc/motd\" = {{ file = \"motd\" }} }}\n");
    let (pushed, problems) = parse(&recipe, &Settings::default());
    assert!(problems.is_empty(), "{problems:?}");
    let pushed = pushed.unwrap();
    let goals: Vec<Goal> = pushed.tests.keys().cloned().map(Goal::Test).collect();
    // No file of the project is here.
    let lowered = lowered_of(&pushed, &goals);
    assert_eq!(lowered.graph.steps().filter(|(_, step)| step.label == "test boots").count(), 1);
}
