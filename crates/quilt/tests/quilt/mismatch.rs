//! Patches that do not apply: what is said, and that nothing was changed.

use crate::world::check;

const CHANGE: &str = "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";

#[test]
fn the_hunk_and_what_the_file_has_are_shown() {
    check(
        &[("f", "a\nb\nc\nd\ne\nf\n"), ("g", "1\n")],
        &format!(
            "Comment.\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-1\n+2\n{CHANGE}@@ -4,3 +4,3 @@ somewhere\n d\n-\x1b[31mx\n+y\n f\n"
        ),
        "hunk 2 for `f`, line 14 of the patch, does not apply\n  the hunk:\n     d\n    -\\u{1b}[31mx\n    +y\n     f\n  \
         the file, from line 4:\n     d\n     e\n     f",
    );
}

#[test]
fn much_is_shortened() {
    let old: String = (0..40).map(|number| format!("-{number}\n")).collect();
    let long = "l".repeat(300);
    check(
        &[("f", &format!("{long}\n{}", "x\n".repeat(50)))],
        &format!("--- a/f\n+++ b/f\n@@ -1,40 +1 @@\n{old}+y\n"),
        &format!(
            "hunk 1 for `f`, line 3 of the patch, does not apply\n  the hunk:\n{}    … 17 more lines\n  the file, from \
             line 1:\n     {}\n{}    … 16 more lines",
            (0..24).map(|number| format!("    -{number}\n")).collect::<String>(),
            &long[..160],
            "     x\n".repeat(23)
        ),
    );
}

#[test]
fn a_patch_that_was_applied_before_is_recognised() {
    check(
        &[("f", "a\nB\nc\n")],
        CHANGE,
        "hunk 1 for `f`, line 3 of the patch, seems to be applied already\n  the hunk:\n     a\n    -b\n    +B\n     c\n  \
         the file, from line 1:\n     a\n     B\n     c",
    );
}

#[test]
fn a_file_that_ends_before_the_hunk() {
    check(
        &[("f", "x\n")],
        "--- a/f\n+++ b/f\n@@ -90,2 +90,2 @@\n a\n-b\n+c\n",
        "hunk 1 for `f`, line 3 of the patch, does not apply\n  the hunk:\n     a\n    -b\n    +c\n  the file, from line \
         2:\n    (it ends before)",
    );
}

#[test]
fn hunks_must_not_overlap() {
    check(
        &[("f", "a\nb\nc\n")],
        "--- a/f\n+++ b/f\n@@ -2 +2 @@\n-b\n+x\n@@ -1 +1 @@\n-a\n+y\n",
        "hunk 2 for `f`, line 6 of the patch, does not apply\n  the hunk:\n    -a\n    +y\n  the file, from line 1:\n     a",
    );
    check(
        &[("f", "a\nb\nc\n")],
        "--- a/f\n+++ b/f\n@@ -3 +3 @@\n-c\n+x\n@@ -1,0 +1 @@\n+y\n",
        "hunk 2 for `f`, line 6 of the patch, overlaps with the one before it\n  the hunk:\n    +y\n  the file, from line \
         2:\n     b",
    );
}

#[test]
fn files_that_are_not_there_or_should_not_be() {
    check(&[], CHANGE, "line 1 of the patch changes `f`, which does not exist");
    check(
        &[("d/f", "a\n")],
        &CHANGE.replace("a/f", "a/f/x"),
        "line 1 of the patch changes `f`, which does not exist",
    );
    check(
        &[("f", "1\n")],
        "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+1\n",
        "line 1 of the patch creates `f`, which exists",
    );
    check(
        &[],
        "\n--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n",
        "line 2 of the patch changes `f`, which does not exist",
    );
    check(
        &[("f", "1\n2\n")],
        "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n",
        "line 1 of the patch removes `f`, which has more in it than the patch knows",
    );
    check(&[("f/x", "")], CHANGE, "line 1 of the patch changes `f`, which is not a plain file");
    check(
        &[("f", "x")],
        "diff --git a/f b/f\nold mode 100644\nnew mode 120000\n",
        "line 1 of the patch changes `f`, which is not what the patch makes of it",
    );
    check(
        &[("f", "")],
        "--- /dev/null\n+++ b/f/g\n@@ -0,0 +1 @@\n+1\n",
        "`f/g` lies below `f`, which is not a directory",
    );
}
