//! Patches and series: understood or refused, and applied to a directory that they never leave.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use quilt::{Options, Patch, Series, Tree};

fuzz_target!(|bytes: &[u8]| {
    let _ = Series::parse(bytes);
    for strip in [0, 1] {
        let Ok(patch) = Patch::parse(bytes, strip) else { continue };
        if patch.files.len() > 8 {
            continue;
        }
        let top = std::env::temp_dir().join(format!("bootwright-fuzz-{}.patch", std::process::id()));
        let (root, scratch) = (top.join("root"), top.join("scratch"));
        let _left_by_a_crash = fs::remove_dir_all(&top);
        fs::create_dir_all(root.join("d")).expect("there is room");
        fs::create_dir(&scratch).expect("there is room");
        fs::write(root.join("f"), "1\n2\n3\n4\n5\n").expect("there is room");
        fs::write(root.join("d/g"), "a\nb").expect("there is room");
        std::os::unix::fs::symlink("/proc", root.join("l")).expect("there is room");
        let _ = Tree::new(&root, &scratch).apply(&patch, Options { fuzz: 1, remove_empty: true }, None);
        let n_entries = fs::read_dir(&top).expect("it was made above").count();
        assert_eq!(n_entries, 2, "something was written beside the directory");
        fs::remove_dir_all(&top).expect("it was made above");
    }
});
