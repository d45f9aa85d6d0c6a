//! Series of patches, with what quilt remembers about them.

use std::io;

use layer::EntryPath;
use quilt::{Record, Series, SeriesError};

use crate::world::{STRICT, World, render};

const FIRST: &str = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n";
const SECOND: &str = "--- f\n+++ f\n@@ -1 +1 @@\n-2\n+3\n";

fn apply(world: &World, series: &str, record: Option<Record<'_>>) -> Result<Vec<String>, SeriesError> {
    let series = Series::parse(series.as_bytes()).unwrap();
    let read = |name: &EntryPath| match name.as_str() {
        Some("first") => Ok(FIRST.into()),
        Some("sub/second") => Ok(SECOND.into()),
        Some("broken") => Ok(b"@@ -1 +1 @@\n".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let mut announced = Vec::new();
    let announce = |name: &EntryPath| announced.push(name.to_string());
    world.tree().apply_series(&series, STRICT, record, read, announce)?;
    Ok(announced)
}

#[test]
fn patches_are_applied_in_order() {
    let world = World::new(&[("f", "1\n")]);
    assert_eq!(apply(&world, "first\nsub/second -p0\n", None).unwrap(), ["first", "sub/second"]);
    assert_eq!(world.draw(), "f \"3\\n\"");
}

#[test]
fn quilt_could_go_on_from_there() {
    let world = World::new(&[("f", "1\n")]);
    let record = Record { patches: "debian/patches", series: "series" };
    apply(&world, "first\nsub/second -p0\n", Some(record)).unwrap();
    assert_eq!(
        world.draw(),
        ".pc/.quilt_patches \"debian/patches\\n\"\n.pc/.quilt_series \"series\\n\"\n.pc/.version \"2\\n\"\n\
         .pc/applied-patches \"first\\nsub/second\\n\"\n.pc/first/f \"1\\n\"\n.pc/sub/second/f \"2\\n\"\nf \"3\\n\""
    );
}

#[test]
fn what_does_not_apply_is_named() {
    let check = |series: &str, expected: &str| {
        let world = World::new(&[("f", "1\n")]);
        assert_eq!(render(&apply(&world, series, None).unwrap_err()), expected);
    };
    check(
        "sub/second -p0\n",
        "could not apply the patch `sub/second`: hunk 1 for `f`, line 3 of the patch, does not apply\n  the hunk:\n    \
         -2\n    +3\n  the file, from line 1:\n     1",
    );
    check("broken\n", "could not understand the patch `broken`: line 1: the hunk belongs to no file");
    check("none\n", "could not read the patch `none`: entity not found");
}
