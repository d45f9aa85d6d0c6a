//! What the tests of the store on a disk share.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cas::LocalStore;

pub(crate) fn open(root: &Path) -> LocalStore {
    LocalStore::open(root).unwrap()
}

/// Makes everything in the store look as if it had last been used on that day of 1970.
pub(crate) fn age(root: &Path, day: i64) {
    let mut pending = vec![root.join("blobs"), root.join("records"), root.join("trees")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let inside_checkout = entry.path().parent().unwrap().ends_with("trees");
            if entry.file_type().unwrap().is_dir() {
                if !inside_checkout {
                    pending.push(entry.path());
                }
                continue;
            }
            age_file(&entry.path(), day);
        }
    }
}

pub(crate) fn age_file(path: &Path, day: i64) {
    let time = rustix::fs::Timespec { tv_sec: day * 86_400, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1000 * 86_400)
}
