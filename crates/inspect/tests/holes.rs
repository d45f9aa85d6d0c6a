//! Images that are almost all holes: compared and extracted by what is in them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use inspect::{Aspect, Ignored, Limits, Object, diff, extract};

const GUID: &str = "6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a10";
const SIZE: u64 = 1 << 40;
/// Much less than these images have, and more than is in them.
const LIMITS: Limits = Limits { depth: 16, unpacked: 1 << 30, entries: 1000, compared: 64 << 20 };

fn run(directory: &Path, json: &str) {
    let spec = directory.join("spec.json");
    fs::write(&spec, json).unwrap();
    mkimg::run(&mkimg::read_spec(&spec).unwrap(), directory).unwrap();
}

/// Makes a disk of 1 TiB: nothing, and at the end a file that says `text`.
fn disk(directory: &Path, text: &str, output: &str, format: &str) {
    let uuid = if matches!(format, "raw" | "qcow2") { String::new() } else { format!(r#","uuid":"{GUID}""#) };
    fs::write(directory.join("text"), text).unwrap();
    run(
        directory,
        &format!(
            r#"{{"kind":"disk","output":"{output}","size":{SIZE},"format":{{"kind":"{format}"{uuid}}},
            "table":{{"kind":"gpt","guid":"{GUID}"}},"partitions":[
            {{"name":"void","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":{{"bytes":{void}}},
            "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a11"}},
            {{"name":"end","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":"grow",
            "guid":"6f0f2b0a-6c0e-4c2b-9d0e-0d6f4d0c1a12","file":"text"}}]}}"#,
            void = SIZE - (1 << 30)
        ),
    );
}

#[test]
fn a_terabyte_of_nothing_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    for format in ["raw", "qcow2", "vmdk", "vhdx", "vdi", "parallels"] {
        let names = [format!("one.{format}"), format!("other.{format}")];
        for (name, text) in names.iter().zip(["one", "another"]) {
            disk(directory.path(), text, name, format);
        }
        let [one, other] = names.map(|name| Object::open(&directory.path().join(name), LIMITS).unwrap());
        let found = diff(&one, &one, Ignored::default()).unwrap();
        assert!(found.is_empty(), "{format}: {:?}", found.changes);
        let found = diff(&one, &other, Ignored::default()).unwrap();
        let changed: Vec<_> =
            found.changes.iter().map(|change| (&change.path[..], &change.aspects)).collect();
        assert!(
            matches!(changed[..], [("end", aspects)] if matches!(aspects[..], [Aspect::Contents(..)])),
            "{format}: {changed:?}"
        );
    }
}

#[test]
fn what_is_a_hole_in_an_image_is_one_outside() {
    let directory = tempfile::tempdir().unwrap();
    disk(directory.path(), "there", "disk.qcow2", "qcow2");
    let out = directory.path().join("out");
    fs::create_dir(&out).unwrap();
    let object = Object::open(&directory.path().join("disk.qcow2"), LIMITS).unwrap();
    extract(&**object.container().unwrap(), None, &out, false).unwrap();
    let void = fs::metadata(out.join("void")).unwrap();
    assert_eq!((void.len(), void.blocks()), (SIZE - (1 << 30), 0));
    let end = fs::File::open(out.join("end")).unwrap();
    let mut text = [0; 6];
    end.read_exact_at(&mut text, 0).unwrap();
    assert_eq!(&text, b"there\0");
    assert!(end.metadata().unwrap().blocks() < 1 << 12);
}
