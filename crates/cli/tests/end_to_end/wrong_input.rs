//! Whatever is wrong with a project, the message says what, where, and what to do; nothing is half done.

use crate::harness::Project;

#[track_caller]
fn check(recipe: &str, arguments: &[&str], code: i32, expected: &[&str]) {
    Project::new(recipe).fail(arguments, code, expected);
}

const STACK: &str = "[stack]\nname = \"x\"\n";

#[test]
fn no_project() {
    let project = Project::new("");
    std::fs::remove_file(project.path().join("bootwright.toml")).unwrap();
    project.fail(&["build"], 2, &["there is no `bootwright.toml` in"]);
}

#[test]
fn all_problems_are_reported_at_once() {
    let recipe = format!(
        "{STACK}[target.disk]\nkind = \"filesystm\"\n[env.a]\ndistro = \"debian:bookworm\"\npackges = []\n"
    );
    check(
        &recipe,
        &["build"],
        2,
        &[
            "filesystem",
            "bootwright.toml:4:8",
            "packages",
            "bootwright.toml:7:1",
            "the project has 2 problems",
        ],
    );
}

#[test]
fn unknown_target_gets_a_suggestion() {
    let recipe = format!("{STACK}[target.disk]\nkind = \"rootfs\"\n[target.disk.files]\n\"/a\" = \"\"\n");
    check(&recipe, &["build", "dsik"], 2, &["no target `dsik`", "did you mean `disk`?"]);
    check(&recipe, &["test"], 2, &["the project has no test"]);
    check(&recipe, &["log", "disk"], 2, &["no step of `disk` has run here yet"]);
}

#[test]
fn packages_that_cannot_be_had() {
    let recipe = |packages: &str| {
        format!(
            "{STACK}[target.root]\nkind = \"rootfs\"\ndistro = \"debian:bookworm\"\npackages = [{packages}]\n"
        )
    };
    check(&recipe("\"bussybox-static\""), &["build"], 2, &["bussybox-static", "busybox-static"]);
    check(&recipe("\"bash=1.0\""), &["build"], 2, &["bash", "1.0"]);
    check(&recipe("\"systemd-sysv\", \"sysvinit-core\""), &["build"], 2, &["systemd-sysv", "sysvinit-core"]);
}

#[test]
fn locked_and_offline_are_kept() {
    let recipe = format!(
        "{STACK}[target.root]\nkind = \"rootfs\"\ndistro = \"debian:bookworm\"\npackages = [\"hello\"]\n"
    );
    check(&recipe, &["build", "--locked"], 2, &["are not locked", "run `bootwright lock`"]);
    check(&recipe, &["build", "--offline"], 2, &["--offline"]);
}

#[test]
fn a_damaged_lock_pins_nothing() {
    let recipe = format!("{STACK}[target.root]\nkind = \"rootfs\"\n[target.root.files]\n\"/a\" = \"\"\n");
    let project = Project::new(&recipe);
    project.write("bootwright.lock", "version = 1\nnonsense\n");
    project.fail(&["build"], 2, &["the lock is damaged", "bootwright.lock:2"]);
}

#[test]
fn a_missing_file_is_named_with_its_place() {
    let recipe = format!("{STACK}[target.root]\nkind = \"rootfs\"\noverlays = [\"nowhere\"]\n");
    check(&recipe, &["build"], 2, &["nowhere", "bootwright.toml:5"]);
    let recipe = format!(
        "{STACK}[source.code]\npath = \"code\"\n[env.small]\ndistro = \"debian:bookworm\"\n\
         [target.made]\nkind = \"command\"\nenv = \"small\"\nsources = [\"code\"]\nrun = \"true\"\n"
    );
    check(&recipe, &["build"], 2, &["there is no `code` in the project", "bootwright.toml:4"]);
}

#[test]
fn what_is_no_file_is_named_with_its_place() {
    let recipe = |section: &str| format!("{STACK}[target.root]\nkind = \"rootfs\"\n{section}\n");
    let project = Project::new(&recipe("[target.root.files]\n\"/a\" = { file = \"pipe\" }"));
    let pipe = |path: &str| {
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, project.path().join(path), kind, mode, 0).unwrap();
    };
    pipe("pipe");
    project.fail(&["build"], 2, &["pipe` is a named pipe", "bootwright.toml:6:17"]);
    project.write("overlay/file", "");
    pipe("overlay/pipe");
    project.write("bootwright.toml", &recipe("overlays = [\"overlay\"]"));
    project.fail(&["build"], 2, &["overlay/pipe` is a named pipe", "bootwright.toml:5:13"]);
}
