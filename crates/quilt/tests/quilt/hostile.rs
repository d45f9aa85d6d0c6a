//! Patches that would do harm.

use std::fs;

use quilt::{Patch, Series};

use crate::world::{STRICT, World, check, render};

#[track_caller]
fn check_refused(patch: &str, expected: &str) {
    let error = Patch::parse(patch.as_bytes(), 1).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    let outside = |name: &str, why: &str| {
        format!(
            "line 2: the patch changes a file outside of the directory: `{name}` is not a path inside the tree: {why}"
        )
    };
    let up = outside("../x", "it has a component `..`");
    check_refused("--- a/x\n+++ b/../x\n@@ -0,0 +1 @@\n+1\n", &up);
    check_refused(
        "--- a/x\n+++ b/\"/../x\n@@ -0,0 +1 @@\n+1\n",
        &outside("\"/../x", "it has a component `..`"),
    );
    check_refused("--- a/x\n+++ \"b/\\056./x\"\n@@ -0,0 +1 @@\n+1\n", &up);
    check_refused("--- a/x\n+++ /etc/passwd\n@@ -0,0 +1 @@\n+1\n", &outside("/etc/passwd", "it is absolute"));
    check_refused("--- a/../x\n+++ b/x\n@@ -0,0 +1 @@\n+1\n", &up.replace("line 2", "line 1"));
    check_refused("diff --git a/../x b/x\nnew mode 100755\n", &up.replace("line 2", "line 1"));
    check_refused("diff --git a/x b/../x\nrename from x\nrename to ../x\n", &up.replace("line 2", "line 1"));
}

#[test]
fn nothing_is_changed_through_links() {
    let world = World::new(&[("dir@", "/etc"), ("up@", "../outside"), ("deep/in@", "../dir")]);
    let outside = world.root().join("../outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), "1\n").unwrap();
    for (name, link) in [("dir/new", "dir"), ("up/f", "up"), ("up/new", "up"), ("deep/in/new", "deep/in")] {
        for patch in [
            format!("--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+2\n"),
            format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-1\n+2\n"),
            format!("--- a/{name}\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n"),
            format!("diff --git a/{name} b/y\nrename from {name}\nrename to y\n"),
            format!("diff --git a/{name} b/{name}\nold mode 100644\nnew mode 100755\n"),
        ] {
            let error = world.apply(&patch, STRICT).unwrap_err();
            let expected = format!("`{name}` lies behind the symbolic link `{link}`");
            assert_eq!(error.to_string(), expected, "{patch}");
        }
    }
    assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "1\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_link_that_the_patch_itself_makes_is_one_too() {
    let link = "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n\\ No newline at \
        end of file\n";
    check(
        &[],
        &format!("{link}--- /dev/null\n+++ b/l/new\n@@ -0,0 +1 @@\n+1\n"),
        "`l/new` lies behind the symbolic link `l`",
    );
}

#[test]
fn backups_do_not_go_through_links_either() {
    let world = World::new(&[("backup@", "/tmp"), ("f", "1\n")]);
    let error = world.apply_with_backups("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n").unwrap_err();
    assert_eq!(error.to_string(), "`backup/f` lies behind the symbolic link `backup`");
}

#[test]
fn a_file_with_another_name_elsewhere_keeps_its_text() {
    let world = World::new(&[("f", "1\n")]);
    fs::hard_link(world.root().join("f"), world.root().join("g")).unwrap();
    world.apply("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n", STRICT).unwrap();
    assert_eq!(world.draw(), "f \"2\\n\"\ng \"1\\n\"");
}

#[test]
fn a_series_reads_only_its_own_directory() {
    let error = Series::parse(b"../../etc/passwd\n").unwrap_err();
    assert!(render(&error).contains("`../../etc/passwd` is not a path inside the tree"), "{error}");
}

#[test]
fn numbers_that_are_too_large_are_no_harm() {
    check(&[("f", "1\n")], "--- a/f\n+++ b/f\n@@ -281474976710655,0 +1 @@\n+2\n", "f \"1\\n2\\n\"");
    check_refused(
        "--- a/f\n+++ b/f\n@@ -1,99999999999999999999 +1 @@\n+2\n",
        "line 3: expected `@@ -LINE,COUNT +LINE,COUNT @@`",
    );
    check_refused("--- a/f\n+++ b/f\n@@ -1,99999999 +1 @@\n-2\n", "line 4: the patch ends within a hunk");
}

#[test]
fn deep_files_are_changed_in_time() {
    let world = World::new(&[]);
    let name = "a/".repeat(800) + "f";
    let section = |old: usize| format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{old}\n+{}\n", old + 1);
    world.apply(&format!("--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+0\n"), STRICT).unwrap();
    // Looking at all above each directory above it would be a million look-ups of a path of 800 parts.
    world.apply(&(0..3).map(section).collect::<String>(), STRICT).unwrap();
    assert_eq!(fs::read_to_string(world.root().join(&name)).unwrap(), "3\n");
    let other = format!("{}b/g", "a/".repeat(600));
    world.apply(&format!("--- /dev/null\n+++ b/{other}\n@@ -0,0 +1 @@\n+0\n"), STRICT).unwrap();
    assert!(world.root().join(other).is_file());
    let below = format!("--- /dev/null\n+++ b/{name}/g\n@@ -0,0 +1 @@\n+0\n");
    let error = world.apply(&below, STRICT).unwrap_err();
    assert_eq!(error.to_string(), format!("`{name}/g` lies below `{name}`, which is not a directory"));
}

#[test]
fn a_file_that_is_changed_often_waits_once() {
    let world = World::new(&[("f", "0\n")]);
    let change = |old: usize| format!("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-{old}\n+{}\n", old + 1);
    let removed_and_made =
        "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-50\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+50\n";
    let patch = (0..50).map(change).chain(vec![removed_and_made.to_owned(); 20]).chain((50..60).map(change));
    world.apply(&patch.collect::<String>(), STRICT).unwrap();
    assert_eq!(world.draw(), "f \"60\\n\"");
    assert!(fs::read_dir(world.scratch()).unwrap().count() <= 1);
}
