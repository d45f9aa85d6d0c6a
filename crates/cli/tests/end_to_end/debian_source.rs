//! Sources of Debian packages: locked, fetched, put together, patched and built from.

use crate::harness::{Project, unique};

/// A command that needs no package beside the essential ones. `hello` has a patch, `quilt` format, a signature.
fn recipe(source: &str) -> String {
    format!(
        "[stack]\nname = \"x\"\n[source.hello]\ndebian-source = \"{source}\"\n[env.e]\ndistro = \"debian:bookworm\"\n\
         [target.checked]\nkind = \"command\"\nenv = \"e\"\nsources = [\"hello\"]\noutputs = [\"said\"]\nrun = '''\n\
         cd src/hello\n# {}\ntest -x configure && test -x debian/rules && test ! -x README\n\
         test \"$(cat .pc/applied-patches)\" = \"$(grep -v '^#' debian/patches/series)\"\n\
         head -n 1 debian/changelog > $OUT/said\n'''\n",
        unique()
    )
}

#[test]
fn a_command_builds_from_a_source_package() {
    let project = Project::new(&recipe("hello"));
    let locked = project.succeed(&["lock", "--json"]);
    let locked: serde_json::Value = serde_json::from_str(&locked.stdout).unwrap();
    assert_eq!(locked["sources"], 1, "{locked}");
    let lock = project.read("bootwright.lock");
    assert!(lock.contains("debian-source = \"hello\""), "{lock}");
    assert!(lock.contains("{ filename = \"pool/main/h/hello/hello_2.10-"), "{lock}");

    project.succeed(&["fetch"]);
    project.succeed(&["build", "--locked", "--offline"]);
    assert!(
        project.read("out/checked/said").starts_with("hello (2.10-"),
        "{}",
        project.read("out/checked/said")
    );

    let plan = project.succeed(&["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let steps = plan["plan"]["steps"].as_array().unwrap();
    let source = steps.iter().find(|step| step["label"].as_str().unwrap().starts_with("source hello 2.10-"));
    assert_eq!(source.unwrap()["fate"], "remembered", "{plan}");
}

#[test]
fn what_cannot_be_locked_gets_help() {
    let check = |source: &str, expected: &[&str]| {
        Project::new(&recipe(source)).fail(&["lock"], 2, expected);
    };
    check("libc6", &["has no source package `libc6`", "`libc6` is built by source `glibc`"]);
    check("bussybox", &["has no source package `bussybox`", "did you mean `busybox`?"]);
    check("hello=99", &["has no version 99 of the source package `hello`", "it has 2.10-"]);
    check("hello:arm64", &["a source package is of no architecture", "bootwright.toml:4"]);
}

#[test]
fn a_file_that_is_not_the_pinned_one_is_not_used() {
    let project = Project::new(&recipe("hello"));
    project.succeed(&["lock"]);
    let lock = project.read("bootwright.lock");
    let start = lock.find("hello_2.10.orig.tar.gz\"").unwrap();
    let sha256 = lock[start..].find("sha256 = \"").unwrap() + start + 10;
    project
        .write("bootwright.lock", &format!("{}{}{}", &lock[..sha256], "0".repeat(64), &lock[sha256 + 64..]));
    project.fail(&["build", "--locked"], 3, &["could not fetch hello_2.10.orig.tar.gz"]);
}
