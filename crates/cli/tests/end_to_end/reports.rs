//! `size`, budgets and reports of builds: what they say of images that were just built, and how a browser shows it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Project, unique};

/// Returns bytes that cannot be compressed, others for each word.
fn noise(word: &str, length: usize) -> Vec<u8> {
    let mut state = word.bytes().fold(1_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn write(project: &Project, path: &str, bytes: &[u8]) {
    let path = project.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A disk with a compressed root; `more` is said of that.
fn recipe(more: &str) -> String {
    format!(
        r##"
[stack]
name    = "measured"
default = ["disk"]

[target.root]
kind = "filesystem"
type = "squashfs"
{more}

[target.root.files]
"/usr/lib/big.so"     = {{ file = "big" }}
"/usr/lib/small.so"   = {{ file = "small" }}
"/usr/bin/tool"       = {{ content = "#!/bin/sh\n", mode = "0755" }}
"/usr/share/doc/tool" = "read me\n"
"/etc/motd"           = "hello\n"

[target.efi]
kind  = "filesystem"
type  = "fat"
size  = "1M"
files = {{ "/EFI/BOOT/grub.cfg" = "boot\n" }}

[target.disk]
kind       = "disk"
partitions = [{{ name = "efi", type = "esp", target = "efi" }}, {{ name = "ROOT", type = "linux", target = "root" }}]
formats    = {{ qcow2 = {{ compression = "zstd" }} }}
"##
    )
}

fn project(more: &str) -> Project {
    let project = Project::new(&recipe(more));
    write(&project, "big", &noise(unique(), 300_000));
    write(&project, "small", &noise("small", 20_000));
    project
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_file_that_grew_between_two_builds_is_named() {
    let project = project("");
    project.succeed(&["build", "root"]);
    let first = project.succeed(&["size", "root"]).stdout;
    assert!(first.contains("root: a squashfs file system, "), "{first}");
    assert!(!first.contains("since"), "{first}");
    write(&project, "big", &noise(unique(), 400_000));
    project.succeed(&["build", "root"]);
    let grown = project.succeed(&["size", "root"]).stdout;
    assert!(grown.contains("  +100 kB  /usr/lib/big.so (300 kB → 400 kB, layer files)\n"), "{grown}");
    assert!(grown.contains("libraries (2 files)  +100 kB"), "{grown}");
    let told = json(&project.succeed(&["size", "root", "--json"]).stdout);
    assert_eq!(told["growth"]["files"][0]["path"], "usr/lib/big.so");
    assert_eq!(told["growth"]["files"].as_array().unwrap().len(), 1);
    // What is used, and what is free, is the image.
    let rest: u64 = told["rest"].as_array().unwrap().iter().map(|rest| rest["bytes"].as_u64().unwrap()).sum();
    let files: u64 =
        told["files"].as_array().unwrap().iter().map(|file| file["bytes"].as_u64().unwrap()).sum();
    let size = fs::metadata(project.path().join("out/root/root.squashfs")).unwrap().len();
    assert_eq!((rest + files, told["size"].as_u64()), (size, Some(size)));

    // The same of a file, without a project, and of what is in a disk.
    fs::copy(project.path().join("out/root/root.squashfs"), project.path().join("old.squashfs")).unwrap();
    write(&project, "big", &noise(unique(), 100_000));
    project.succeed(&["build"]);
    let disk = "out/disk/disk.qcow2";
    let against = project.succeed(&["size", &format!("{disk}:ROOT"), "--against", "old.squashfs"]).stdout;
    assert!(against.contains("−300 kB  /usr/lib/big.so (400 kB → 100 kB)"), "{against}");
    let whole = project.succeed(&["size", disk, "--depth", "3"]).stdout;
    for text in ["a qcow2 disk, a disk, ", "  ROOT/\n", "    usr/\n", "      lib/\n", "[tables]", "  efi/\n"]
    {
        assert!(whole.contains(text), "`{text}` is not in\n{whole}");
    }
    let below = json(&project.succeed(&["size", &format!("{disk}:ROOT/usr/lib"), "--json"]).stdout);
    assert_eq!(below["files"].as_array().unwrap().len(), 2);
    // A target that is a disk knows the layers of what is on it.
    let target = json(&project.succeed(&["size", "disk", "--json"]).stdout);
    let big = target["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["path"] == "ROOT/usr/lib/big.so")
        .unwrap();
    assert_eq!(big["package"], "layer files");
}

#[test]
fn budgets_are_kept_or_the_build_fails_and_says_what_grew() {
    let budgets = "max-size = \"1M\"\nbudgets = { \"/usr/lib\" = \"350K\", \"/etc\" = \"1K\" }";
    let project = project(budgets);
    project.succeed(&["build"]);
    let again = project.succeed(&["build"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    write(&project, "big", &noise(unique(), 400_000));
    // A disk is not built with a part that is over its budget.
    let failed = project.fail(
        &["build", "disk"],
        1,
        &[
            "`root/budgets` failed",
            "`root` is over budget:",
            "`/usr/lib` has 410.2 KiB, 60.2 KiB more than its budget of 350.0 KiB",
            "390.6 KiB  /usr/lib/big.so",
            "what grew in `/usr/lib` since the last build:",
            "+100 kB  /usr/lib/big.so (300 kB → 400 kB, layer files)",
        ],
    );
    assert!(!failed.stderr.contains("what grew in `/etc`"), "{}", failed.stderr);
    // It can be looked into all the same.
    let told = project.succeed(&["size", "root"]).stdout;
    assert!(told.contains("+100 kB  /usr/lib/big.so"), "{told}");
    write(&project, "big", &noise(unique(), 1_100_000));
    project.fail(
        &["build", "root"],
        1,
        &["it has 1.1 MiB, ", "more than its budget of 1.0 MiB", "what grew in `root`"],
    );
    write(&project, "big", &noise("none", 1000));
    project.succeed(&["build"]);
}

#[test]
fn budgets_that_cannot_be_are_told() {
    let project = project("budgets = { \"/usr/libs\" = \"1M\" }");
    project.fail(
        &["build", "root"],
        1,
        &["`root` has no `/usr/libs`, which has a budget", "there is `/usr/lib`"],
    );
    project.write("bootwright.toml", &recipe("budgets = { \"/usr/lib\" = \"2M\" }\nmax-size = \"1M\""));
    project.fail(&["build", "root"], 2, &["`/usr/lib` may take more than `root` as a whole"]);
    project.write("bootwright.toml", &recipe("budgets = { \"usr/lib\" = \"2M\" }"));
    project.fail(&["build", "root"], 2, &["write it absolute: `/usr/lib`"]);
    project.write("bootwright.toml", &recipe("max-sise = \"1M\""));
    project.fail(&["build", "root"], 2, &["did you mean `max-size`?"]);
}

#[test]
fn root_file_systems_and_archives_have_budgets_too() {
    let recipe = |rootfs: &str, initrd: &str| {
        format!(
            r##"
[stack]
name    = "weighed"
default = ["initrd"]

[target.rootfs]
kind    = "rootfs"
files   = {{ "/usr/lib/data" = {{ file = "data" }} }}
{rootfs}

[target.initrd]
kind   = "initramfs"
layers = ["rootfs"]
init   = "#!/bin/sh\n"
{initrd}
"##
        )
    };
    let project = Project::new(&recipe("max-size = \"200K\"", "max-size = \"200K\""));
    write(&project, "data", &noise("data", 100_000));
    project.succeed(&["build"]);
    project.write("bootwright.toml", &recipe("budgets = { \"/usr\" = \"50K\" }", ""));
    project.fail(&["build"], 1, &["`rootfs` is over budget:", "`/usr` has 97.7 KiB, 47.7 KiB more"]);
    project.write("bootwright.toml", &recipe("", "budgets = { \"/usr/lib/data\" = \"64K\" }"));
    project.fail(&["build"], 1, &["`initrd` is over budget:", "`/usr/lib/data` has "]);
    let told = json(&project.succeed(&["size", "initrd", "--json"]).stdout);
    assert_eq!(told["packages"][0]["name"], "layer files");
    let rootfs = json(&project.succeed(&["size", "rootfs", "--json"]).stdout);
    assert_eq!(rootfs["files"][0]["bytes"], 100_000);
}

#[test]
fn packages_of_an_archive_are_told_by_its_layers() {
    let project = Project::new(
        r##"
[stack]
name = "packaged"

[target.initrd]
kind     = "initramfs"
distro   = "debian:bookworm"
packages = ["busybox-static"]
busybox  = ["sh"]
init     = "#!/bin/sh\n"
"##,
    );
    let told = json(&project.succeed(&["size", "initrd", "--json"]).stdout);
    assert_eq!(told["packages"][0]["name"], "busybox-static", "{}", told["packages"]);
    assert_eq!(told["types"][0]["name"], "ELF programs", "{}", told["types"]);
}

#[test]
fn what_has_no_size_is_told() {
    let project = project("");
    project.fail(&["size", "dosk"], 2, &["the project has no target `dosk`", "did you mean `disk`?"]);
    project.fail(&["size", "no/such.img"], 2, &["could not open", "name an image"]);
    project.write("text.txt", "hello\n");
    project.fail(
        &["size", "text.txt"],
        2,
        &["no files that could be measured: it is text", "name a file system"],
    );
    project.succeed(&["build", "root"]);
    let image = "out/root/root.squashfs";
    project.fail(&["size", &format!("{image}:etc/motd")], 2, &["it is text"]);
    let whole = fs::read(project.path().join(image)).unwrap();
    write(&project, "short.squashfs", &whole[..whole.len() / 2]);
    project.fail(&["size", "short.squashfs"], 2, &["could not read"]);
    project.fail(&["size", image, "--against", "text.txt"], 2, &["it is text"]);
    project.fail(
        &["size", image, "--html", "/proc/none/x.html"],
        3,
        &["could not write `/proc/none/x.html`"],
    );
}

#[test]
fn a_build_is_reported_with_reasons_logs_and_artifacts() {
    let project = project("");
    let page = project.path().join("one.html");
    let page = page.to_str().unwrap();
    // What other tests made is remembered, and would not run here.
    write(&project, "big", &noise(unique(), 305_000));
    project.succeed(&["build", "--report", page]);
    write(&project, "big", &noise(unique(), 310_000));
    project.succeed(&["build", "--report", page]);
    let first = fs::read_to_string(page).unwrap();
    // The same, afterwards.
    let again = project.path().join("two.html");
    project.succeed(&["report", again.to_str().unwrap()]);
    assert!(fs::read_to_string(&again).unwrap() == first);
    let told = json(&project.succeed(&["report", "--json"]).stdout)["build"].take();
    let steps = told["steps"].as_array().unwrap();
    let step =
        |label: &str| steps.iter().find(|step| step["label"] == label).unwrap_or_else(|| panic!("{label}"));
    assert_eq!(step("efi")["fate"], "remembered");
    assert_eq!(step("root")["fate"], "ran");
    let why = step("root")["why"].as_str().unwrap();
    assert!(
        why.starts_with("it changed\n  changed build/in/layers/") && why.contains("(from `root/files`)"),
        "{why}"
    );
    let disk = told["artifacts"].as_array().unwrap().iter().find(|file| file["path"] == "disk.raw").unwrap();
    assert!(project.read("out/disk/SHA256SUMS").contains(disk["sha256"].as_str().unwrap()));
    for text in
        ["Critical path", "on the critical path", "(from `root/files`)", disk["sha256"].as_str().unwrap()]
    {
        assert!(first.contains(text), "{text}");
    }

    // A build that fails is reported, with what was said.
    project.write("bootwright.toml", &recipe("budgets = { \"/usr/lib\" = \"1K\" }"));
    project.fail(&["build", "--report", page], 1, &["over budget"]);
    let failed = fs::read_to_string(page).unwrap();
    assert!(failed.contains("<details open><summary>Log</summary>"), "the log of what failed is open");
    assert!(failed.contains("`root` is over budget:") && failed.contains("failed with exit code 1"));
    // A project that is broken by now can be reported on.
    project.write("bootwright.toml", "nonsense");
    project.succeed(&["report", page]);
    assert!(fs::read_to_string(page).unwrap() == failed);

    let other = Project::new(&recipe(""));
    other.fail(&["report", page], 2, &["nothing was built here yet"]);
}

#[test]
fn pages_work_in_a_browser() {
    let project = project("");
    project.succeed(&["build", "root"]);
    write(&project, "big", &noise(unique(), 320_000));
    let browser = Project::copy_of("crates/cli/tests/projects/browser");
    let pages = browser.path().join("pages");
    fs::create_dir_all(&pages).unwrap();
    let page = |name: &str| Path::new(&pages).join(name);
    project.succeed(&["build", "--report", page("build.html").to_str().unwrap()]);
    fs::write(page("build.json"), project.succeed(&["report", "--json"]).stdout).unwrap();
    let html = page("size.html");
    let told = project.succeed(&["size", "disk", "--json", "--html", html.to_str().unwrap()]).stdout;
    fs::write(page("size.json"), told).unwrap();
    browser.succeed(&["build"]);
    let checked = browser.read("out/checked/checked.txt");
    assert!(checked.lines().count() > 50, "{checked}");
    for what in ["text can be read when dark", "Escape goes back to where one was", "a PDF is printed"] {
        assert!(checked.contains(what), "{checked}");
    }
    let pdf = fs::read(browser.path().join("out/checked/size.pdf")).unwrap();
    assert!(pdf.starts_with(b"%PDF-"));
}
