//! What patches do, decided as GNU patch decides it.

use quilt::Options;

use crate::world::{STRICT, World, check, check_with};

const NUMBERS: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

#[test]
fn lines_change_where_they_are() {
    check(
        &[("f", NUMBERS)],
        "--- a/f\n+++ b/f\n@@ -1,3 +1,4 @@\n 1\n+1.5\n 2\n 3\n@@ -6,4 +7,3 @@ context\n 6\n 7\n-8\n 9\n",
        "f \"1\\n1.5\\n2\\n3\\n4\\n5\\n6\\n7\\n9\\n\"",
    );
}

#[test]
fn hunks_may_have_moved_together() {
    let moved = format!("a\nb\nc\n{NUMBERS}");
    check(
        &[("f", &moved)],
        "--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n 2\n-3\n+x\n 4\n@@ -7,3 +7,3 @@\n 7\n-8\n+y\n 9\n",
        "f \"a\\nb\\nc\\n1\\n2\\nx\\n4\\n5\\n6\\n7\\ny\\n9\\n\"",
    );
}

#[test]
fn of_several_places_the_nearest_is_meant_and_of_two_the_later() {
    let patch = |line: u32| format!("--- a/f\n+++ b/f\n@@ -{line},3 +{line},3 @@\n o\n-x\n+y\n o\n");
    let text = "o\nx\no\n-\n-\n-\no\nx\no\n";
    check(&[("f", text)], &patch(3), "f \"o\\ny\\no\\n-\\n-\\n-\\no\\nx\\no\\n\"");
    check(&[("f", text)], &patch(4), "f \"o\\nx\\no\\n-\\n-\\n-\\no\\ny\\no\\n\"");
    check(&[("f", text)], &patch(900), "f \"o\\nx\\no\\n-\\n-\\n-\\no\\ny\\no\\n\"");
}

#[test]
fn less_context_on_one_side_means_an_end_of_the_file() {
    // Two lines after the change, none before: only the beginning of the file will do.
    let first = "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n+new\n 1\n 2\n";
    check(&[("f", "1\n2\n1\n2\n")], first, "f \"new\\n1\\n2\\n1\\n2\\n\"");
    check(
        &[("f", "0\n1\n2\n")],
        first,
        "hunk 1 for `f`, line 3 of the patch, does not apply\n  the hunk:\n    +new\n     1\n     2\n  the file, from \
         line 1:\n     0\n     1",
    );
    let last = "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n 1\n 2\n+new\n";
    check(&[("f", "1\n2\n1\n2\n")], last, "f \"1\\n2\\n1\\n2\\nnew\\n\"");
}

#[test]
fn fuzz_is_permitted_only_on_request() {
    let (files, patch) = (
        [("f", "a\nb\nc\nd\ne\nf\ng\n")],
        "--- a/f\n+++ b/f\n@@ -1,7 +1,7 @@\n A\n b\n c\n-d\n+D\n e\n f\n G\n",
    );
    let refused = "hunk 1 for `f`, line 3 of the patch, does not apply\n  the hunk:\n     A\n     b\n     c\n    -d\n    \
        +D\n     e\n     f\n     G\n  the file, from line 1:\n     a\n     b\n     c\n     d\n     e\n     f\n     g";
    check(&files, patch, refused);
    check_with(Options { fuzz: 1, ..STRICT }, &files, patch, "f \"a\\nb\\nc\\nD\\ne\\nf\\ng\\n\"");
    // The lines that change must always be there.
    let other = [("f", "a\nb\nc\nx\ne\nf\ng\n")];
    check_with(Options { fuzz: 9, ..STRICT }, &other, patch, &refused.replace("     d\n", "     x\n"));
}

#[test]
fn files_come_and_go() {
    check(
        &[("old/only", "1\n"), ("stays/f", "x\n"), ("stays/gone", "y\n")],
        "--- /dev/null\n+++ b/new/dir/f\n@@ -0,0 +1,2 @@\n+one\n+two\n--- a/old/only\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n\
         --- a/stays/gone\n+++ b/stays/gone\t1970-01-01 00:00:00.000000000 +0000\n@@ -1 +0,0 @@\n-y\n",
        "new/dir/f \"one\\ntwo\\n\"\nstays/f \"x\\n\"",
    );
}

#[test]
fn what_becomes_empty_is_removed_if_the_patch_says_so_or_if_asked_for() {
    let (files, patch) = ([("f", "1\n"), ("g", "")], "--- a/f\n+++ b/f\n@@ -1 +0,0 @@\n-1\n");
    check(&files, patch, "g \"\"");
    check_with(Options::default(), &files, patch, "f \"\"\ng \"\"");
    check_with(Options::default(), &files, &patch.replace("b/f", "/dev/null"), "g \"\"");
}

#[test]
fn line_feeds_at_the_end() {
    let none = "\\ No newline at end of file\n";
    check(
        &[("f", "a\nb")],
        &format!("--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n{none}+c\n{none}"),
        "f \"a\\nc\"",
    );
    check(
        &[("f", "a\nb")],
        &format!("--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n a\n-b\n{none}+b\n+c\n"),
        "f \"a\\nb\\nc\\n\"",
    );
    check(&[("f", "a\nb\n")], &format!("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n-a\n-b\n+a\n{none}"), "f \"a\"");
    // Without context nothing says that the last line has to stay as it is.
    check(&[("f", "a\nb")], "--- a/f\n+++ b/f\n@@ -2,0 +3 @@\n+c\n", "f \"a\\nb\\nc\\n\"");
    check(&[("f", "a\nb")], "--- a/f\n+++ b/f\n@@ -900,0 +3 @@\n+c\n", "f \"a\\nb\\nc\\n\"");
}

#[test]
fn carriage_returns_are_text_unless_the_header_has_them_too() {
    let patch = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n";
    check(&[("f", "a\r\nb\r\n")], patch, "f \"a\\r\\nc\\r\\n\"");
    check(&[("f", "a\nb\n")], &patch.replace("f\n", "f\r\n"), "f \"a\\nc\\n\"");
}

#[test]
fn comments_and_what_mail_programs_add_are_skipped() {
    check(
        &[("f", "a\n\nb\n\n")],
        "From: someone\nSubject: --- not a header\n---\n f | 2 +-\n\nIndex: f\n====\n--- a/f\t2020\n+++ b/f\t2020\n@@ -1,4 \
         +1,4 @@ x\n a\n\n-b\n+c\n\n-- \n2.39.2\n",
        "f \"a\\n\\nc\\n\\n\"",
    );
    // An empty line of context at the end of a patch that was cut off.
    check(&[("f", "a\n\n")], "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+b\n", "f \"b\\n\\n\"");
    check(&[("f", "a\n\n")], "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+b\n ", "f \"b\\n\\n\"");
    check(&[("f", "a\n")], "nothing here\n", "f \"a\\n\"");
}

#[test]
fn the_file_that_exists_is_meant() {
    let patch = |old: &str, new: &str| format!("--- {old}\n+++ {new}\n@@ -1 +1 @@\n-a\n+b\n");
    check(&[("f", "a\n")], &patch("a/f.orig", "b/f"), "f \"b\\n\"");
    check(&[("f", "a\n")], &patch("f.orig", "b/f"), "f \"b\\n\"");
    check(&[("f", "a\n")], &patch("a/f", "/dev/null"), "f \"b\\n\"");
    // Of two that exist the one with fewer directories, then the one with the shorter name.
    check(&[("f", "a\n"), ("d/f", "a\n")], &patch("a/d/f", "b/f"), "d/f \"a\\n\"\nf \"b\\n\"");
    check(&[("f", "a\n"), ("f.orig", "a\n")], &patch("a/f.orig", "b/f"), "f \"b\\n\"\nf.orig \"a\\n\"");
    check(
        &[("have/x", "")],
        "--- a/no/new/f\n+++ b/have/new/f\n@@ -0,0 +1 @@\n+1\n",
        "have/new/f \"1\\n\"\nhave/x \"\"",
    );
}

#[test]
fn one_file_may_be_changed_more_than_once() {
    let hunk = |from: &str, to: &str| format!("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-{from}\n+{to}\n");
    check(&[("f*", "1\n")], &(hunk("1", "2") + &hunk("2", "3")), "f* \"3\\n\"");
    check(
        &[],
        &(String::from("--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+1\n") + &hunk("1", "2")),
        "f \"2\\n\"",
    );
}

#[test]
fn modes_stay_unless_git_says_otherwise() {
    let change = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n";
    check(&[("f*", "1\n")], change, "f* \"2\\n\"");
    let git = |headers: &str| format!("diff --git a/f b/f\n{headers}");
    check(&[("f", "1\n")], &git("old mode 100644\nnew mode 100755\n"), "f* \"1\\n\"");
    check(&[("f*", "1\n")], &git(&format!("old mode 100755\nnew mode 100644\n{change}")), "f \"2\\n\"");
    check(&[("f*", "1\n")], &git(&format!("index 12..34 100644\n{change}")), "f* \"2\\n\"");
    let new = "new file mode 100755\nindex 0000000..1234567\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+1\n";
    check(&[], &git(new), "f* \"1\\n\"");
}

#[test]
fn files_are_renamed_and_copied() {
    let transfer = |what: &str, from: &str, to: &str| {
        format!("diff --git a/{from} b/{to}\nsimilarity index 90%\n{what} from {from}\n{what} to {to}\n")
    };
    let change = "--- a/d/f\n+++ b/g\n@@ -1 +1 @@\n-1\n+2\n";
    check(&[("d/f*", "1\n")], &transfer("rename", "d/f", "g"), "g* \"1\\n\"");
    check(&[("d/f", "1\n")], &(transfer("rename", "d/f", "g") + change), "g \"2\\n\"");
    check(&[("d/f", "1\n")], &(transfer("copy", "d/f", "g") + change), "d/f \"1\\n\"\ng \"2\\n\"");
    // Two files change places: both are meant as they were.
    check(
        &[("f", "1\n"), ("g", "2\n")],
        &(transfer("rename", "f", "g") + &transfer("rename", "g", "f")),
        "f \"2\\n\"\ng \"1\\n\"",
    );
    // Patches of git one after the other: what the first changed is renamed with the change.
    check(
        &[("f", "1\n")],
        &(String::from("diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n")
            + &transfer("rename", "f", "g")),
        "g \"2\\n\"",
    );
}

#[test]
fn links_are_made_changed_and_removed_by_git_headers_only() {
    let none = "\\ No newline at end of file\n";
    check(
        &[],
        &format!(
            "diff --git a/l b/l\nnew file mode 120000\nindex 0000000..1234567\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n\
             +some/where\n{none}"
        ),
        "l@ some/where",
    );
    check(
        &[("l@", "x")],
        &format!(
            "diff --git a/l b/l\nindex 123..456 120000\n--- a/l\n+++ b/l\n@@ -1 +1 @@\n-x\n{none}+y\n{none}"
        ),
        "l@ y",
    );
    check(
        &[("l@", "x"), ("f", "")],
        &format!(
            "diff --git a/l b/l\ndeleted file mode 120000\n--- a/l\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n{none}"
        ),
        "f \"\"",
    );
    check(
        &[("l@", "f"), ("f", "1\n")],
        "--- a/l\n+++ b/l\n@@ -1 +1 @@\n-1\n+2\n",
        "line 1 of the patch changes `l`, which is not a plain file",
    );
    check(
        &[("f", "x")],
        &format!(
            "diff --git a/f b/f\nindex 123..456 120000\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n{none}+y\n{none}"
        ),
        "line 1 of the patch changes `f`, which is not a symbolic link",
    );
}

#[test]
fn a_difference_of_binary_files_is_a_comment() {
    check(
        &[("f", "1\n"), ("b", "\0")],
        "diff --git a/b b/b\nindex 123..456 100644\nBinary files a/b and b/b differ\ndiff --git a/f b/f\n--- a/f\n+++ \
         b/f\n@@ -1 +1 @@\n-1\n+2\n",
        "b \"\\0\"\nf \"2\\n\"",
    );
}

#[test]
fn what_was_there_before_is_kept_on_request() {
    let world = World::new(&[("d/f*", "1\n"), ("gone", "x\n"), ("binary", "b")]);
    let patch = "--- a/d/f\n+++ b/d/f\n@@ -1 +1 @@\n-1\n+2\n--- a/d/f\n+++ b/d/f\n@@ -1 +1 @@\n-2\n+3\n--- a/gone\n+++ \
        /dev/null\n@@ -1 +0,0 @@\n-x\n--- /dev/null\n+++ b/e/new\n@@ -0,0 +1 @@\n+n\ndiff --git a/binary b/binary\nindex \
        12..34 100644\nBinary files differ\n";
    world.apply_with_backups(patch).unwrap();
    assert_eq!(
        world.draw(),
        "backup/binary \"b\"\nbackup/d/f* \"1\\n\"\nbackup/e/new \"\"\nbackup/gone \"x\\n\"\nbinary \"b\"\nd/f* \"3\\n\"\n\
         e/new \"n\\n\""
    );
}
