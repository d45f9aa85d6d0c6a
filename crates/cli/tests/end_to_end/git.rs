//! Sources from git repositories, which are made here: no `git` is needed, and no network for them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::repository::Repository;
use crate::harness::{Project, check_failure, run, scratch, unique};

fn recipe(rev: &str) -> String {
    format!(
        "[stack]\nname = \"git\"\n[source.x]\ngit = \"./x.git\"\nrev = \"{rev}\"\n\
         [env.small]\ndistro = \"debian:bookworm\"\npackages = []\n\
         [target.made]\nkind = \"command\"\nenv = \"small\"\nsources = [\"x\"]\nrun = \"src/x/run > $OUT/made\"\n"
    )
}

/// The command with a cache in which no source is.
fn with_own_cache(project: &Project, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    command.env("BOOTWRIGHT_CACHE", cache);
    command
}

#[test]
fn a_commit_is_built_from_and_stays_what_it_was() {
    let project = Project::new(&recipe("v1"));
    let directory = project.path().join("x.git");
    let repository = Repository::create(&directory);
    let first = repository.commit(&format!("#!/bin/sh\necho one {}\n", unique()));
    repository.set("refs/heads/main", first);
    repository.set("refs/tags/v1", first);
    project.succeed(&["build"]);
    assert_eq!(project.read("out/made/made"), format!("one {}\n", unique()));
    let lock = project.read("bootwright.lock");
    assert!(lock.contains(&format!("commit = \"{first}\"")), "{lock}");

    // It is remembered: the repository is not looked at again.
    fs::rename(&directory, project.path().join("away.git")).unwrap();
    project.succeed(&["build", "--offline", "--locked"]);
    let n_sources = project.succeed(&["lock"]);
    assert!(n_sources.stdout.starts_with("up to date"), "{}", n_sources.stdout);
    fs::rename(project.path().join("away.git"), &directory).unwrap();

    // The tag moves. Nothing changes, until somebody wants it to.
    let second = repository.commit(&format!("#!/bin/sh\necho two {}\n", unique()));
    repository.set("refs/tags/v1", second);
    project.succeed(&["build", "--locked"]);
    assert_eq!(project.read("bootwright.lock"), lock);
    project.fail(&["lock", "--update", "--locked"], 2, &["the lock would change"]);
    repository.forget(first);
    let cache = tempfile::tempdir_in(scratch()).unwrap();
    let ran = run(&mut with_own_cache(&project, cache.path(), &["build", "--locked"]));
    check_failure(
        &ran,
        2,
        &[
            "could not fetch source `x`",
            &format!("does not have commit {first}: `v1` is {second} now"),
            "bootwright lock --update",
        ],
    );
    project.succeed(&["lock", "--update"]);
    project.succeed(&["build", "--locked"]);
    assert_eq!(project.read("out/made/made"), format!("two {}\n", unique()));
}

#[test]
fn other_content_under_the_same_name_is_refused() {
    let project = Project::new(&recipe("v1"));
    let directory = project.path().join("x.git");
    let repository = Repository::create(&directory);
    repository.set("refs/tags/v1", repository.commit("#!/bin/sh\necho same\n"));
    project.succeed(&["lock"]);
    // As if SHA-1 were broken: the lock has another tree for that commit.
    let lock = project.read("bootwright.lock");
    let tree = lock.lines().find(|line| line.starts_with("tree = ")).unwrap();
    let other =
        format!("tree = \"{}/{}\"", "0".repeat(64), tree.trim_end_matches('"').rsplit('/').next().unwrap());
    project.write("bootwright.lock", &lock.replace(tree, &other));
    project.fail(
        &["fetch"],
        2,
        &["has the content", "instead of 000", "these are not the files that were locked"],
    );
}

#[test]
fn what_is_wrong_with_a_source_is_said_with_its_place() {
    let project = Project::new(&recipe("v1"));
    project.fail(&["lock"], 2, &["there is no git repository at `./x.git`", "bootwright.toml:4"]);
    let directory = project.path().join("x.git");
    let repository = Repository::create(&directory);
    let commit = repository.commit("#!/bin/sh\n");
    repository.set("refs/tags/v1.0", commit);
    project.fail(&["lock"], 2, &["has no tag or branch `v1`", "did you mean `v1.0`?", "bootwright.toml:5"]);
    let hex = commit.to_string();
    project.write("bootwright.toml", &recipe(&hex[..12]));
    project.fail(&["lock"], 2, &["as a commit it is incomplete", &format!("write all of it: `{hex}`")]);
    project.write("bootwright.toml", &recipe("v1.0").replace("./x.git", "git@a.example:x"));
    project.fail(&["lock"], 2, &["does not speak SSH", "bootwright.toml:4"]);
    project.write("bootwright.toml", &recipe("v1.0").replace("./x.git", "http://127.0.0.1:9/x"));
    project.fail(
        &["lock"],
        3,
        &["could not fetch source `x`", "check the address, the network and the proxy"],
    );
    project.fail(&["lock", "--offline"], 3, &["no connection may be opened"]);
}
