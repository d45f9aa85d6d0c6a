//! `init`: every template becomes a project that works.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Project, Ran, run, shared_cache};

/// A directory with nothing in it.
fn empty() -> Project {
    let project = Project::new("");
    fs::remove_file(project.path().join("bootwright.toml")).unwrap();
    project
}

/// Runs `bootwright` on the project `name` in `parent`.
fn on(parent: &Project, name: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootwright"));
    command.arg("-C").arg(parent.path().join(name)).args(arguments);
    run(command.env("BOOTWRIGHT_CACHE", shared_cache()).env("PROGRESS", "plain"))
}

#[test]
fn the_simplest_template_boots() {
    let parent = empty();
    let said = parent.succeed(&["init", "First"]).stdout;
    assert!(
        said.starts_with("`first` is made from `quickstart`: .gitignore, bootwright.schema.json,"),
        "{said}"
    );
    assert!(said.contains("\n  cd First\n  bootwright test "), "{said}");
    let project = fs::read_to_string(parent.path().join("First/bootwright.toml")).unwrap();
    assert!(project.starts_with("#:schema bootwright.schema.json\n"), "{project}");
    assert!(project.contains("\nname    = \"first\"\n") && !project.contains("examples/"), "{project}");
    let tested = on(&parent, "First", &["test"]);
    assert!(tested.stdout.ends_with("1 passed, 0 failed\n"), "{}\n{}", tested.stdout, tested.stderr);
}

#[test]
fn every_template_can_be_planned() {
    let parent = empty();
    let listed = parent.succeed(&["init", "--list", "--json"]).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let names: Vec<&str> = listed["templates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|template| template["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"quickstart") && names.contains(&"guest-arm64"), "{names:?}");
    for name in names {
        let made = parent.succeed(&["init", "--from", name, &format!("of-{name}"), "--json"]).stdout;
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        assert_eq!(made["name"], format!("of-{name}"));
        let planned = on(&parent, &format!("of-{name}"), &["plan"]);
        assert_eq!(planned.code, Some(0), "{name}\n{}\n{}", planned.stdout, planned.stderr);
        assert!(planned.stdout.contains(" steps would run"), "{}", planned.stdout);
        // What was locked is as valid as what was written.
        let checked = on(&parent, &format!("of-{name}"), &["lock", "--locked"]);
        assert_eq!(checked.code, Some(0), "{name}\n{}", checked.stderr);
    }
    let init = parent.path().join("of-guest-arm64/init");
    assert_eq!(fs::metadata(init).unwrap().permissions().mode() & 0o700, 0o700);
}

#[test]
fn nothing_is_overwritten() {
    let parent = empty();
    parent.write("mine/README", "mine\n");
    parent.fail(&["init", "mine"], 2, &["is not empty: there is `README`", "empty or not there"]);
    let left: Vec<PathBuf> =
        fs::read_dir(parent.path().join("mine")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [parent.path().join("mine/README")]);

    parent.fail(&["init", "--from", "guest-arm", "other"], 2, &["no template `guest-arm`", "`guest-arm64`?"]);
    assert!(!parent.path().join("other").exists());

    // A new repository has something in it already.
    parent.write("new/.git/HEAD", "ref: refs/heads/main\n");
    parent.succeed(&["init", "new"]);
    parent.fail(&["init", "new"], 2, &["is not empty"]);
}
