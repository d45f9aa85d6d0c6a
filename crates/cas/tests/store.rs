//! One suite that every store passes, and what the one on disk promises beyond it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use cas::{Digest, Directory, FIXED_MTIME, ImportMode, LocalStore, MemoryStore, Node, Store, StoreError};

fn check_store(store: &dyn Store) {
    let empty = store.write(b"").unwrap();
    assert!(store.contains(&empty).unwrap() && store.read(&empty).unwrap().is_empty());
    for bytes in [&b"x"[..], &[7; 100_000]] {
        let digest = Digest::of(bytes);
        assert!(!store.contains(&digest).unwrap());
        assert!(
            matches!(store.read(&digest), Err(StoreError::Missing { digest: missing }) if missing == digest)
        );
        assert_eq!(store.write(bytes).unwrap(), digest);
        assert_eq!(store.write(bytes).unwrap(), digest);
        assert!(store.contains(&digest).unwrap());
        assert_eq!(store.read(&digest).unwrap(), bytes);
        for size in [digest.size() + 1, i64::MAX as u64] {
            let other_size = Digest::from_parts(*digest.hash(), size);
            assert!(!store.contains(&other_size).unwrap());
            assert!(matches!(store.read(&other_size), Err(StoreError::Missing { .. })));
        }
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..200_u32 {
                    let digest = store.write(&number.to_le_bytes()).unwrap();
                    assert_eq!(store.read(&digest).unwrap(), number.to_le_bytes());
                }
            });
        }
    });
}

fn open(root: &Path) -> LocalStore {
    LocalStore::open(root).unwrap()
}

#[test]
fn every_store_keeps_the_contract() {
    check_store(&MemoryStore::default());
    let root = tempfile::tempdir().unwrap();
    check_store(&open(root.path()));
}

#[test]
fn the_empty_blob_is_always_there() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let empty = Digest::of(b"");
    assert!(store.contains(&empty).unwrap());
    store.checkout_file(&empty, true, &root.path().join("file")).unwrap();
    store.checkout(&empty, &root.path().join("directory")).unwrap();
    assert_eq!(fs::read_dir(root.path().join("directory")).unwrap().count(), 0);
}

#[test]
fn a_store_opened_again_has_what_was_written() {
    let root = tempfile::tempdir().unwrap();
    let digest = open(root.path()).write(b"kept").unwrap();
    assert_eq!(open(root.path()).read(&digest).unwrap(), b"kept");
    assert!(root.path().join("CACHEDIR.TAG").exists());
}

/// The tree that the tests below import.
fn make_tree(directory: &Path) {
    fs::create_dir_all(directory.join("bin/empty")).unwrap();
    fs::write(directory.join("bin/tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(directory.join("bin/tool"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(directory.join("readme"), "#!/bin/sh\n").unwrap();
    for number in 0..50 {
        fs::write(directory.join(format!("file-{number}")), format!("{number}")).unwrap();
    }
    symlink("../readme", directory.join("bin/link")).unwrap();
    symlink("/nowhere", directory.join("dangling")).unwrap();
}

#[test]
fn a_tree_is_imported_and_checked_out_alike_in_every_mode() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let mut digests = Vec::new();
    for mode in [ImportMode::Copy, ImportMode::Link, ImportMode::Move] {
        let source = root.path().join(format!("{mode:?}"));
        make_tree(&source);
        let imported = store.import_tree(&source, mode).unwrap();
        assert_eq!((imported.n_files, imported.n_bytes), (52, 110));
        assert_eq!(source.join("readme").exists(), mode != ImportMode::Move);
        digests.push(imported.digest);
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]));

    let checkout = root.path().join("checkout");
    store.checkout(&digests[0], &checkout).unwrap();
    let attributes = |path: &str| {
        let metadata = fs::symlink_metadata(checkout.join(path)).unwrap();
        assert_eq!(metadata.mtime(), FIXED_MTIME, "{path}");
        metadata.mode() & 0o7777
    };
    assert_eq!(attributes("bin"), 0o755);
    assert_eq!(attributes("bin/empty"), 0o755);
    assert_eq!(attributes("bin/tool"), 0o555);
    assert_eq!(attributes("readme"), 0o444);
    attributes("dangling");
    assert_eq!(fs::read_link(checkout.join("bin/link")).unwrap(), Path::new("../readme"));
    assert_eq!(fs::read_to_string(checkout.join("file-49")).unwrap(), "49");
    assert_eq!(store.import_tree(&checkout, ImportMode::Copy).unwrap().digest, digests[0]);
    assert!(fs::metadata(checkout.join("readme")).unwrap().nlink() > 1);
}

#[test]
fn directories_may_be_nested_but_not_without_end() {
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = open(&root.path().join("store"));
    let import = |n_levels: usize| {
        let source = root.path().join(n_levels.to_string());
        fs::create_dir_all(source.join("d/".repeat(n_levels))).unwrap();
        let imported = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(1 << 20);
            thread
                .spawn_scoped(scope, || store.import_tree(&source, ImportMode::Move))
                .unwrap()
                .join()
                .unwrap()
        });
        // With a descriptor for each level, dropping `root` might not come to the end of it.
        cas::remove_tree(&source).unwrap();
        imported
    };
    assert_eq!(import(1024).unwrap().n_files, 0);
    let Err(StoreError::Io { source, .. }) = import(1025) else { panic!("it was imported") };
    assert_eq!(source.kind(), std::io::ErrorKind::InvalidFilename);
    assert_eq!(source.to_string(), "directories are nested more than 1024 levels deep");
}

#[test]
fn both_modes_of_one_content_are_separate_files() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let digest = store.write(b"both").unwrap();
    store.checkout_file(&digest, true, &root.path().join("run")).unwrap();
    store.checkout_file(&digest, false, &root.path().join("read")).unwrap();
    let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("run"), mode("read")), (0o555, 0o444));

    // Only the executable one is left: the blob is still here, and the other one is made again.
    let hex = digest.hex();
    fs::remove_file(root.path().join("store/blobs").join(&hex[..2]).join(&hex[2..])).unwrap();
    assert!(store.contains(&digest).unwrap());
    store.checkout_file(&digest, false, &root.path().join("again")).unwrap();
    assert_eq!(mode("again"), 0o444);
}

#[test]
fn a_file_with_too_many_links_is_copied() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let digest = store.write(b"linked").unwrap();
    let blob = root.path().join("first");
    store.checkout_file(&digest, false, &blob).unwrap();
    let full = (0..70_000).any(|number| fs::hard_link(&blob, root.path().join(format!("{number}"))).is_err());
    let copy = root.path().join("copy");
    store.checkout_file(&digest, false, &copy).unwrap();
    assert_eq!(fs::read(&copy).unwrap(), b"linked");
    let metadata = fs::metadata(&copy).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o444, FIXED_MTIME));
    assert_eq!(metadata.nlink() == 1, full);
}

#[test]
fn equal_files_of_a_checkout_are_files_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let source = root.path().join("source");
    for (name, content) in [("a", "same"), ("b", "same"), ("c/d", "same"), ("e", ""), ("c/f", "")] {
        fs::create_dir_all(source.join(name).parent().unwrap()).unwrap();
        fs::write(source.join(name), content).unwrap();
    }
    let tree = store.import_tree(&source, ImportMode::Copy).unwrap().digest;
    let mut inodes = Vec::new();
    for checkout in ["first", "second"] {
        let checkout = root.path().join(checkout);
        store.checkout(&tree, &checkout).unwrap();
        for name in ["a", "b", "c/d", "e", "c/f"] {
            let metadata = fs::metadata(checkout.join(name)).unwrap();
            assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o444, FIXED_MTIME), "{name}");
            inodes.push(metadata.ino());
        }
        assert_eq!(store.import_tree(&checkout, ImportMode::Copy).unwrap().digest, tree);
    }
    // One of them is the blob itself, in both.
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes.len(), 9);
}

#[test]
fn a_moved_file_that_has_other_names_is_not_shared_with_them() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    fs::write(root.path().join("one"), "shared").unwrap();
    fs::hard_link(root.path().join("one"), root.path().join("two")).unwrap();
    let Node::File { digest, .. } = store.put_file(&root.path().join("one"), ImportMode::Move).unwrap()
    else {
        panic!("not a file")
    };
    assert!(!root.path().join("one").exists());
    fs::write(root.path().join("two"), "edited").unwrap();
    store.verify(&digest).unwrap();
}

#[test]
fn what_a_tree_cannot_hold_is_named() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let source = root.path().join("source");
    fs::create_dir(&source).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(source.join("socket")).unwrap();
    let error = store.import_tree(&source, ImportMode::Copy).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` is a socket, which a tree cannot hold", source.join("socket").display())
    );
    fs::remove_file(source.join("socket")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        source.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let error = store.import_tree(&source, ImportMode::Move).unwrap_err();
    assert!(error.to_string().ends_with("is a named pipe, which a tree cannot hold"), "{error}");
    fs::remove_file(source.join("pipe")).unwrap();
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    fs::write(source.join(name), "").unwrap();
    let error = store.import_tree(&source, ImportMode::Copy).unwrap_err();
    assert!(matches!(error, StoreError::NotUtf8 { .. }), "{error}");
}

#[test]
fn large_and_growing_files_are_copied_as_they_are_hashed() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    for size in [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20] {
        let content: Vec<u8> = (0..size).map(|idx: usize| (idx % 251) as u8).collect();
        let path = root.path().join("file");
        fs::write(&path, &content).unwrap();
        let Node::File { digest, executable } = store.put_file(&path, ImportMode::Copy).unwrap() else {
            panic!("not a file")
        };
        assert_eq!((digest, executable), (Digest::of(&content), false));
        store.verify(&digest).unwrap();
    }
}

#[test]
fn holes_stay_holes_on_the_way_in_and_out() {
    use std::os::unix::fs::FileExt as _;
    const MIB: u64 = 1 << 20;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("disk.raw");
    // Holes first, in the middle, and last; and a file that is nothing else.
    for (places, size) in [(&[3, 9][..], 32 * MIB), (&[0, 15][..], 16 * MIB), (&[][..], 8 * MIB)] {
        let disk = fs::File::create(&path).unwrap();
        disk.set_len(size).unwrap();
        for place in places {
            disk.write_all_at(&[7; 5000], place * MIB + 100).unwrap();
        }
        let bytes = fs::read(&path).unwrap();
        for mode in [ImportMode::Copy, ImportMode::Link] {
            let directory = tempfile::tempdir_in(root.path()).unwrap();
            let store = open(directory.path());
            let node = store.put_file(&path, mode).unwrap();
            let Node::File { digest, .. } = &node else { panic!("a file is a file") };
            assert_eq!(*digest, Digest::of(&bytes));
            let out = directory.path().join("out");
            store.export(&node, &out).unwrap();
            assert!(fs::read(&out).unwrap() == bytes, "{places:?} {mode:?}");
            let blob = fs::read_dir(directory.path().join("blobs")).unwrap().next().unwrap().unwrap();
            for metadata in [fs::metadata(&out).unwrap(), blob.metadata().unwrap()] {
                assert!(metadata.blocks() * 512 <= MIB, "{places:?} {mode:?} {} blocks", metadata.blocks());
            }
        }
        // It is sealed when it has been linked.
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn damage_is_found_and_repaired_by_writing_again() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let digest = store.write(b"precious").unwrap();
    let hex = digest.hex();
    let path = root.path().join("blobs").join(&hex[..2]).join(&hex[2..]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precxous").unwrap();
    let found = Digest::of(b"precxous");
    assert!(matches!(store.verify(&digest), Err(StoreError::Damaged { found: f, .. }) if f == found));
    assert!(matches!(store.read(&digest), Err(StoreError::Damaged { .. })));
    assert_eq!(store.scrub().unwrap().damaged, [digest]);
    assert!(!store.contains(&digest).unwrap());
    // One that the machine's death has cut short counts as absent.
    fs::write(&path, "prec").unwrap();
    assert!(!store.contains(&digest).unwrap());
    store.write(b"precious").unwrap();
    store.verify(&digest).unwrap();
}

#[test]
fn a_shared_checkout_is_made_once_by_however_many_want_it() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source");
    make_tree(&source);
    let tree =
        open(root.path().join("store").as_path()).import_tree(&source, ImportMode::Copy).unwrap().digest;
    let inodes: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    // A store of its own is to the others what another process is.
                    let store = open(&root.path().join("store"));
                    let path = store.shared_checkout(&tree).unwrap();
                    assert_eq!(fs::read_to_string(path.join("file-7")).unwrap(), "7");
                    fs::metadata(path).unwrap().ino()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(inodes.iter().all(|inode| *inode == inodes[0]));
}

#[test]
fn a_checkout_of_a_tree_that_is_not_whole_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let missing = Digest::of(b"missing");
    let mut directory = Directory::default();
    directory.entries.insert("file".to_owned(), Node::File { digest: missing, executable: false });
    let tree = store.write(&directory.encode()).unwrap();
    let error = store.shared_checkout(&tree).unwrap_err();
    assert!(matches!(error, StoreError::Missing { digest } if digest == missing), "{error}");
    assert_eq!(fs::read_dir(store.scratch()).unwrap().count(), 0);
    assert!(!root.path().join("trees").join(tree.hex()).exists());
    let blob = store.write(b"no directory").unwrap();
    assert!(matches!(store.shared_checkout(&blob), Err(StoreError::NotADirectory { .. })));
}

#[test]
fn exports_are_writable_and_replace_what_was_there() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let source = root.path().join("source");
    make_tree(&source);
    let tree = Node::Directory { digest: store.import_tree(&source, ImportMode::Copy).unwrap().digest };
    let file = Node::File { digest: store.write(b"file").unwrap(), executable: true };
    let link = Node::Symlink { target: "elsewhere".to_owned() };
    let out = root.path().join("out");
    for node in [&tree, &file, &link, &tree, &tree, &link, &file, &file] {
        store.export(node, &out).unwrap();
        let metadata = fs::symlink_metadata(&out).unwrap();
        match node {
            Node::File { .. } => {
                assert_eq!(metadata.mode() & 0o7777, 0o755);
                fs::File::options().append(true).open(&out).unwrap();
            }
            Node::Symlink { .. } => assert!(metadata.is_symlink()),
            Node::Directory { .. } => {
                let mode = |name: &str| fs::metadata(out.join(name)).unwrap().mode() & 0o7777;
                assert_eq!((mode("."), mode("bin/tool"), mode("readme")), (0o755, 0o755, 0o644));
            }
        }
    }
    let mut text = String::new();
    fs::File::open(&out).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "file");
    // Nothing but the store, the source and the export.
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
}

#[test]
fn an_export_that_was_killed_leaves_nothing_for_good() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let out = root.path().join("out");
    fs::create_dir_all(out.join(".export-killed/closed")).unwrap();
    fs::set_permissions(out.join(".export-killed/closed"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::write(out.join(".export-too"), "half").unwrap();
    let file = Node::File { digest: store.write(b"file").unwrap(), executable: false };
    store.export(&file, &out.join("file")).unwrap();
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    // Killed after the new one was in place, so that there is nothing left to write.
    fs::create_dir(out.join(".export-exchanged")).unwrap();
    let mut cache = cas::StatCache::at(&root.path().join("cache"));
    assert!(!store.update_export(&file, &out.join("file"), &mut cache).unwrap());
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn what_is_damaged_is_not_exported() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let digest = store.write(b"precious").unwrap();
    let hex = digest.hex();
    let path = root.path().join("store/blobs").join(&hex[..2]).join(&hex[2..]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precxous").unwrap();
    let file = Node::File { digest, executable: false };
    let inner = Directory { entries: [("file".to_owned(), file.clone())].into() };
    let tree = Node::Directory { digest: store.write(&inner.encode()).unwrap() };
    fs::write(root.path().join("out"), "before").unwrap();
    for node in [file, tree] {
        let error = store.export(&node, &root.path().join("out")).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { digest: found, .. } if found == digest), "{error}");
        assert_eq!(fs::read_to_string(root.path().join("out")).unwrap(), "before");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}

#[test]
fn an_export_that_is_there_already_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store"));
    let source = root.path().join("source");
    make_tree(&source);
    let tree = Node::Directory { digest: store.import_tree(&source, ImportMode::Copy).unwrap().digest };
    let mut cache = cas::StatCache::at(&root.path().join("cache"));
    let out = root.path().join("out");
    assert!(store.update_export(&tree, &out, &mut cache).unwrap());
    assert!(!store.update_export(&tree, &out, &mut cache).unwrap());
    fs::write(out.join("readme"), "#!/bin/sg\n").unwrap();
    assert!(store.update_export(&tree, &out, &mut cache).unwrap());
    fs::write(out.join("extra"), "").unwrap();
    assert!(store.update_export(&tree, &out, &mut cache).unwrap());
    assert!(!out.join("extra").exists());
    fs::set_permissions(out.join("readme"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(store.update_export(&tree, &out, &mut cache).unwrap());
    assert!(!store.update_export(&tree, &out, &mut cache).unwrap());
}

/// Makes a directory with an image in it: `words`, half a megabyte of each, a hole between them, and what `edit` does.
fn make_image(made: &Path, words: [u8; 2], edit: impl FnOnce(&fs::File)) {
    fs::create_dir_all(made.join("in")).unwrap();
    let file = fs::File::create(made.join("in/image")).unwrap();
    file.write_all_at(&[words[0]; 512 << 10], 0).unwrap();
    file.write_all_at(&[words[1]; 512 << 10], 1 << 20).unwrap();
    edit(&file);
}

/// Exports what was made, and returns the number of the image's inode.
fn export_image(store: &LocalStore, made: &Path, out: &Path) -> u64 {
    let expected = fs::read(made.join("in/image")).unwrap();
    let blocks = fs::metadata(made.join("in/image")).unwrap().blocks();
    let tree = store.import_tree(made, ImportMode::Move).unwrap().digest;
    store.export(&Node::Directory { digest: tree }, out).unwrap();
    assert!(fs::read(out.join("in/image")).unwrap() == expected);
    let metadata = fs::metadata(out.join("in/image")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o644, 1));
    assert!(metadata.blocks() <= blocks + 8, "{} for {blocks}", metadata.blocks());
    metadata.ino()
}

#[test]
fn an_exported_image_becomes_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("store")).renewing_exports(|_| true);
    let (out, made) = (root.path().join("out"), root.path().join("made"));
    make_image(&made, [1, 2], |_| ());
    let number = export_image(&store, &made, &out);
    let export = |words, edit: &dyn Fn(&fs::File)| {
        make_image(&made, words, edit);
        assert_eq!(export_image(&store, &made, &out), number, "it was written anew");
    };
    export([1, 3], &|_| ());
    export([4, 3], &|_| ());
    // Somebody wrote where there is a hole, or there is none any more.
    let written = fs::File::options().write(true).open(out.join("in/image")).unwrap();
    written.write_all_at(&[9; 5000], 700 << 10).unwrap();
    drop(written);
    export([5, 3], &|_| ());
    export([5, 3], &|file| file.write_all_at(&[6; 5000], 700 << 10).unwrap());
    // It grows, with a hole at the end, and shrinks.
    export([5, 3], &|file| file.set_len(3 << 20).unwrap());
    export([5, 3], &|file| file.set_len((1 << 20) + 1).unwrap());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
}

#[test]
fn images_that_others_have_are_left_to_them() {
    let root = tempfile::tempdir().unwrap();
    let (out, made) = (root.path().join("out"), root.path().join("made"));
    let exported = out.join("in/image");
    let export = |store: &LocalStore, word| {
        make_image(&made, [word; 2], |_| ());
        export_image(store, &made, &out)
    };

    // Whoever has it open keeps it.
    let store = open(&root.path().join("store"));
    let number = export(&store, 1);
    let mut held = fs::File::open(&exported).unwrap();
    let before = fs::read(&exported).unwrap();
    assert_ne!(export(&store, 2), number);
    let mut bytes = Vec::new();
    held.read_to_end(&mut bytes).unwrap();
    assert!(bytes == before);

    // So does whoever has another name for it.
    let store = store.renewing_exports(|_| true);
    let elsewhere = root.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("in")).unwrap();
    fs::hard_link(&exported, elsewhere.join("image")).unwrap();
    let before = fs::read(&exported).unwrap();
    export(&store, 3);
    assert!(fs::read(elsewhere.join("image")).unwrap() == before);

    // What a link leads to is no part of the export, be it the image, a directory or all of it.
    fs::remove_file(&exported).unwrap();
    symlink(elsewhere.join("image"), &exported).unwrap();
    export(&store, 4);
    fs::remove_dir_all(out.join("in")).unwrap();
    symlink(&elsewhere, out.join("in")).unwrap();
    export(&store, 5);
    fs::rename(elsewhere.join("image"), elsewhere.join("in/image")).unwrap();
    fs::remove_dir_all(&out).unwrap();
    symlink(&elsewhere, &out).unwrap();
    export(&store, 6);
    assert!(fs::read(elsewhere.join("in/image")).unwrap() == before);
}
