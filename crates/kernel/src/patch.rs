//! Applies a series of patches, touching only what they change of the source.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use layer::EntryPath;
use quilt::{Options, Patch, Series, SeriesError, Tree};

use crate::Error;
use crate::spec::PatchSpec;

/// How the name of an empty file begins that says that another one is gone, as in layers of OCI.
const WHITEOUT: &[u8] = b".wh.";

/// Applies the series. What the patched source has beyond the source is left in `tree` of the directory `out`: files
/// that patches name, as they are now, and for each that is gone an empty one named `.wh.NAME`. Says of each patch that
/// it comes next to `announce`.
///
/// A tree of Linux has 80,000 files, of which a series changes some.
pub fn patch(spec: &PatchSpec, out: &Path, announce: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let (tree, scratch) = (out.join("tree"), out.join("scratch"));
    for directory in [&tree, &scratch] {
        fs::create_dir(directory).map_err(Error::io("make", directory))?;
    }
    let list = spec.patches.join("series");
    let text = fs::read(&list).map_err(Error::io("read", &list))?;
    let series = Series::parse(&text).map_err(SeriesError::from)?;
    let mut named = BTreeSet::new();
    let read = |name: &EntryPath| {
        let text = fs::read(join(&spec.patches, name))?;
        let entry = series.entries.iter().find(|entry| entry.name == *name);
        // One that cannot be understood is reported by whoever applies it.
        if let Some(patch) = entry.and_then(|entry| Patch::parse(&text, entry.strip).ok()) {
            for path in patch.files.iter().flat_map(|file| [&file.old, &file.new]).flatten() {
                if named.insert(path.clone()) {
                    bring(&spec.source, &tree, path)?;
                }
            }
        }
        Ok(text)
    };
    let options = Options { fuzz: spec.fuzz, remove_empty: true };
    let patched = Tree::new(&tree, &scratch);
    patched.apply_series(&series, options, None, read, |name| announce(&format!("patch {name}")))?;
    fs::remove_dir_all(&scratch).map_err(Error::io("remove", &scratch))?;
    for path in &named {
        if exists(&join(&spec.source, path)) && !exists(&join(&tree, path)) {
            let name = [WHITEOUT, path.file_name()].concat();
            let whiteout = join(&tree, path).with_file_name(OsStr::from_bytes(&name));
            let parent = whiteout.parent().unwrap_or(&tree);
            fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
            fs::write(&whiteout, "").map_err(Error::io("write", &whiteout))?;
        }
    }
    Ok(())
}

/// Copies what the source has at `path` into the tree, where patches may change it.
fn bring(source: &Path, tree: &Path, path: &EntryPath) -> io::Result<()> {
    let (from, to) = (join(source, path), join(tree, path));
    let found = match fs::symlink_metadata(&from) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        found => found?,
    };
    fs::create_dir_all(to.parent().unwrap_or(tree))?;
    if found.is_symlink() {
        return symlink(fs::read_link(&from)?, &to);
    }
    if found.is_file() {
        fs::copy(&from, &to)?;
        // What the store lends is write-protected.
        fs::set_permissions(&to, Permissions::from_mode(0o644 | found.permissions().mode() & 0o111))?;
    }
    Ok(())
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn join(directory: &Path, path: &EntryPath) -> PathBuf {
    directory.join(OsStr::from_bytes(path.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a source, patches by name, and what must come of them: `path=content`, sorted.
    #[track_caller]
    fn check(source: &[(&str, &str)], patches: &[(&str, &str)], expected: Result<&[&str], &str>) {
        check_with_fuzz(0, source, patches, expected);
    }

    #[track_caller]
    fn check_with_fuzz(
        fuzz: usize,
        source: &[(&str, &str)],
        patches: &[(&str, &str)],
        expected: Result<&[&str], &str>,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let write = |directory: &str, files: &[(&str, &str)]| {
            for (path, content) in files {
                let path = scratch.path().join(directory).join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
            }
        };
        write("source", source);
        write("patches", patches);
        let series: String = patches.iter().map(|(name, _)| format!("{name}\n")).collect();
        write("patches", &[("series", &series)]);
        let out = scratch.path().join("out");
        fs::create_dir(&out).unwrap();
        let spec = PatchSpec {
            source: scratch.path().join("source"),
            patches: scratch.path().join("patches"),
            fuzz,
        };
        let result = patch(&spec, &out, &mut |_| ());
        match (result, expected) {
            (Ok(()), Ok(expected)) => {
                let mut found = Vec::new();
                list(&out.join("tree"), "", &mut found);
                found.sort();
                assert_eq!(found, expected);
            }
            (Err(error), Err(expected)) => {
                let mut text = error.to_string();
                let mut cause = std::error::Error::source(&error);
                while let Some(error) = cause {
                    text = format!("{text}: {error}");
                    cause = error.source();
                }
                assert!(text.contains(expected), "{text}");
            }
            (result, _) => panic!("{result:?}"),
        }
    }

    fn list(directory: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => list(&entry.path(), &format!("{name}/"), found),
                false => found.push(format!("{name}={}", fs::read_to_string(entry.path()).unwrap())),
            }
        }
    }

    const CHANGE: &str = "--- a/mm/slab.c\n+++ b/mm/slab.c\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n";

    #[test]
    fn only_what_patches_name_is_left() {
        let source = [("mm/slab.c", "one\ntwo\n"), ("mm/slub.c", "other\n"), ("Makefile", "all:\n")];
        check(&source, &[("a.patch", CHANGE)], Ok(&["mm/slab.c=one\n2\n"]));
        let removes = "--- a/mm/slub.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-other\n";
        let adds = "--- /dev/null\n+++ b/new/file.c\n@@ -0,0 +1 @@\n+new\n";
        let expected = ["mm/.wh.slub.c=", "mm/slab.c=one\n2\n", "new/file.c=new\n"];
        check(&source, &[("a.patch", CHANGE), ("b/b.patch", removes), ("c.patch", adds)], Ok(&expected));
    }

    #[test]
    fn later_patches_see_what_earlier_ones_did() {
        let again = "--- a/mm/slab.c\n+++ b/mm/slab.c\n@@ -1,2 +1,2 @@\n one\n-2\n+zwei\n";
        let source = [("mm/slab.c", "one\ntwo\n")];
        check(&source, &[("a.patch", CHANGE), ("b.patch", again)], Ok(&["mm/slab.c=one\nzwei\n"]));
    }

    #[test]
    fn what_does_not_apply_is_named_with_its_hunk() {
        check(&[("mm/slab.c", "one\nthree\n")], &[("a.patch", CHANGE)], Err("hunk 1 for `mm/slab.c`"));
        check(
            &[("mm/slab.c", "one\nthree\n")],
            &[("a.patch", CHANGE)],
            Err("  the hunk:\n     one\n    -two\n    +2\n  the file, from line 1:\n     one\n     three"),
        );
        check(&[], &[("a.patch", CHANGE)], Err("changes `mm/slab.c`, which does not exist"));
        let evil = "--- a/../../evil\n+++ b/../../evil\n@@ -1 +1 @@\n-a\n+b\n";
        check(&[("x", "a\n")], &[("a.patch", evil)], Err("outside of the directory"));
    }

    #[test]
    fn fuzz_is_for_who_asks_for_it() {
        let source = [("f", "1\n2\nthree\nx\n5\n6\n7\n")];
        let change = "--- a/f\n+++ b/f\n@@ -1,7 +1,7 @@\n one\n 2\n three\n-x\n+y\n 5\n 6\n 7\n";
        check(&source, &[("a.patch", change)], Err("hunk 1 for `f`"));
        check_with_fuzz(1, &source, &[("a.patch", change)], Ok(&["f=1\n2\nthree\ny\n5\n6\n7\n"]));
    }
}
