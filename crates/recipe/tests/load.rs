//! Reading a project from files.

use std::fs;
use std::os::unix::fs::symlink;

use recipe::{Settings, load};

#[test]
fn included_files_are_read_beside_the_main_file_and_never_outside() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.toml"), "[env.secret]\ndistro = \"debian:bookworm\"\n").unwrap();
    let project = tempfile::tempdir().unwrap();
    let path = project.path().join("bootwright.toml");
    fs::create_dir(project.path().join("parts")).unwrap();
    fs::write(project.path().join("parts/env.toml"), "[env.tools]\ndistro = \"debian:bookworm\"\n").unwrap();
    symlink(outside.path(), project.path().join("link")).unwrap();

    fs::write(&path, "include = [\"parts/env.toml\"]\n[stack]\nname = \"demo\"\n").unwrap();
    let (stack, problems) = load(&path, &Settings::default()).unwrap();
    assert!(problems.is_empty());
    assert!(stack.unwrap().environments.contains_key("tools"));

    fs::write(&path, "include = [\"link/secret.toml\"]\n[stack]\nname = \"demo\"\n").unwrap();
    let (stack, problems) = load(&path, &Settings::default()).unwrap();
    assert!(stack.is_none());
    assert_eq!(
        problems[0].message,
        "could not read `link/secret.toml`: a symbolic link leads out of the project"
    );
}

#[test]
fn a_main_file_that_is_not_there_is_named() {
    let project = tempfile::tempdir().unwrap();
    let path = project.path().join("bootwright.toml");
    let error = load(&path, &Settings::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("could not read recipe `{}`", path.display()));
}
