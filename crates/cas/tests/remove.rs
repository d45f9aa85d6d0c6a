//! Removing what others left, who may have tried to make that impossible.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use cas::{LocalStore, remove_tree};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

/// Nests directories deeper than any path can say.
fn make_deep(path: &Path, n_levels: usize, mode: u32) {
    fs::create_dir(path).unwrap();
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut here = openat(CWD, path, flags, Mode::empty()).unwrap();
    for _ in 0..n_levels {
        rustix::fs::openat(&here, "file", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR)
            .unwrap();
        // What was made last is listed first, where tests run in memory.
        mkdirat(&here, "deep", Mode::RWXU).unwrap();
        let below = openat(&here, "deep", flags, Mode::empty()).unwrap();
        rustix::fs::fchmod(&here, Mode::from_raw_mode(mode)).unwrap();
        here = below;
    }
}

#[test]
fn trees_deeper_than_any_path_are_removed() {
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for (n_levels, mode) in [(1, 0o700), (64, 0o700), (65, 0o000), (130, 0o500), (5_000, 0o700)] {
        let path = scratch.path().join("tree");
        make_deep(&path, n_levels, mode);
        // A name that the removal itself would give.
        if mode == 0o700 {
            fs::create_dir(path.join("moved-1")).unwrap();
            fs::write(path.join("moved-1/file"), "").unwrap();
            fs::write(path.join("moved-2"), "").unwrap();
        }
        // As on a thread with little stack.
        std::thread::scope(|scope| {
            let removed =
                std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, || remove_tree(&path));
            removed.unwrap().join().unwrap().unwrap();
        });
        assert!(!path.exists(), "{n_levels} {mode:o}");
    }
}

/// As somebody whom modes do stop.
#[test]
fn what_may_be_read_but_not_searched_is_removed_at_once() {
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let path = scratch.path().join("tree");
    let remove = || {
        if rustix::process::geteuid().is_root() {
            // Of this thread only.
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(54_322)).unwrap();
        }
        for (n_levels, mode) in [(1, 0o600), (40, 0o600), (40, 0o400), (40, 0o444), (130, 0o600), (130, 0o0)]
        {
            make_deep(&path, n_levels, mode);
            remove_tree(&path).unwrap();
            assert!(!path.exists(), "{n_levels} {mode:o}");
            // Only the deepest one.
            make_deep(&path, n_levels, 0o700);
            let deepest = (0..n_levels).fold(path.clone(), |path, _| path.join("deep"));
            fs::set_permissions(deepest, fs::Permissions::from_mode(mode)).unwrap();
            remove_tree(&path).unwrap();
            assert!(!path.exists(), "{n_levels} {mode:o}");
        }
    };
    std::thread::scope(|scope| scope.spawn(remove).join().unwrap());
}

#[test]
fn links_are_not_followed_and_files_keep_their_modes() {
    let scratch = tempfile::tempdir().unwrap();
    let (kept, tree) = (scratch.path().join("kept"), scratch.path().join("tree"));
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("file"), "x").unwrap();
    fs::set_permissions(kept.join("file"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::create_dir_all(tree.join("closed")).unwrap();
    symlink(&kept, tree.join("closed/link")).unwrap();
    fs::hard_link(kept.join("file"), tree.join("closed/file")).unwrap();
    fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    remove_tree(&tree).unwrap();
    assert_eq!(fs::metadata(kept.join("file")).unwrap().mode() & 0o7777, 0o444);

    symlink(&kept, &tree).unwrap();
    remove_tree(&tree).unwrap();
    assert!(kept.join("file").exists() && !tree.is_symlink());
    remove_tree(&tree).unwrap();
}

#[test]
fn a_store_opens_whatever_a_killed_process_left() {
    let root = tempfile::tempdir().unwrap();
    drop(LocalStore::open(root.path()).unwrap());
    // As after a kill in the middle of a step that nests directories, and there is no lease for it.
    make_deep(&root.path().join("scratch/dead"), 3000, 0o700);
    let store = LocalStore::open(root.path()).unwrap();
    assert!(!root.path().join("scratch/dead").exists());
    // And its own scratch directory goes, too.
    make_deep(&store.scratch().join("run"), 3000, 0o500);
    drop(store);
    assert_eq!(fs::read_dir(root.path().join("scratch")).unwrap().count(), 0);
}
