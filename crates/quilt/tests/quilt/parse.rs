//! Texts that are no patches.

use quilt::Patch;

#[track_caller]
fn check(patch: &str, expected: &str) {
    let rendered = match Patch::parse(patch.as_bytes(), 1) {
        Ok(patch) => format!("{} files", patch.files.len()),
        Err(error) => error.to_string(),
    };
    assert_eq!(rendered, expected);
}

#[test]
fn what_would_be_lost_is_refused() {
    check("@@ -1 +1 @@\n-1\n+2\n", "line 1: the hunk belongs to no file");
    check("--- a/f\n\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n", "line 4: the hunk belongs to no file");
    check("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n\n@@ -9 +9 @@\n", "line 7: the hunk belongs to no file");
    check("--- a/f\n+++ b/f\n", "line 2: no hunk follows the header");
    check("--- a/f\n+++ b/f\ntext\n@@ -1 +1 @@\n", "line 2: no hunk follows the header");
    check(
        "*** a/f\n--- b/f\n***************\n*** 1 ****\n",
        "line 3: context diffs are not supported: make it a unified diff, as with `quilt refresh`",
    );
    check(
        "diff --git a/f b/f\nindex 12..34 100644\nGIT binary patch\nliteral 3\n",
        "line 3: binary patches of git are not supported, neither here nor by `patch`",
    );
}

#[test]
fn hunks_are_as_long_as_they_say() {
    let hunk = |header: &str, lines: &str| format!("--- a/f\n+++ b/f\n{header}\n{lines}");
    let line = |number: u32| {
        format!("line {number}: expected a line of the hunk, which begins with a space, `+` or `-`")
    };
    let header = "line 3: expected `@@ -LINE,COUNT +LINE,COUNT @@`";
    check(&hunk("@@ -1 +1 @@", "-1\n+2\n"), "1 files");
    check(&hunk("@@ -1 +1 @@", "-1\ntext\n"), &line(5));
    check(&hunk("@@ -1 +1 @@", "-1\n-2\n"), &line(5));
    check(&hunk("@@ -1,2 +1,2 @@", "-1\n\\ No newline\n+1\n"), &line(5));
    check(&hunk("@@ -1,9 +1,9 @@", "-1\n+1\n"), "line 5: the patch ends within a hunk");
    // The last line of a patch has to end, as GNU patch wants it.
    check(&hunk("@@ -1 +1 @@", "-1\n+2"), "line 5: the patch ends within a hunk");
    check(&hunk("@@ -1 +1 @@", " 1\n"), "line 3: the hunk changes nothing");
    check(&hunk("@@ -1 +1", "-1\n+2\n"), header);
    check(&hunk("@@ -x +1 @@", "-1\n+2\n"), header);
    check(&hunk("@@ -1 1 @@", "-1\n+2\n"), header);
    check(&hunk("@@ -0,0 +0,0 @@", ""), "line 3: the hunk changes nothing");
}

#[test]
fn names_must_be_there() {
    check(
        "--- f\n+++ g\n@@ -1 +1 @@\n-1\n+2\n",
        "line 1: the header names no file, once 1 leading directories are taken off",
    );
    check(
        "--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-1\n+2\n",
        "line 1: the header names no file, once 1 leading directories are taken off",
    );
    check(
        "diff --git a/with space b/with space\nrename from x\nrename to y\n",
        "line 1: the file to rename or copy cannot be told from the header",
    );
}

#[test]
fn texts_without_a_change_are_empty_patches() {
    check("", "0 files");
    check("just text\n--- \n+++ \n", "line 3: no hunk follows the header");
    check("diff --git a/f b/f\n", "0 files");
    check("--- a/f", "0 files");
}
