//! Power cuts: the store in every state that the death of the machine may leave it in.
//!
//! The only order that the store relies on is that of its synchronisations. So a cut may take, of everything
//! that was written after the last one that is noted, any part: a file may be gone, short, or full of zeros
//! while its name is there, whatever happened to those written before and after it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use cas::{
    Digest, Directory, Ignore, LocalStore, Node, Record, Reference, StatCache, Store as _, StoreError,
    Watcher,
};

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's MMIX constants; the upper half is the better one.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The results in a store, by key: what each one's file contains.
type Results = BTreeMap<Digest, Vec<u8>>;

/// Writes a result as a build does: a log, a file in a tree of two levels, and a record that relies on them.
fn write_result(store: &LocalStore, number: u64) -> (Digest, Vec<u8>) {
    let content = format!("content {number} ").repeat(1 + (number % 7) as usize * 100).into_bytes();
    let file = Node::File { digest: store.write(&content).unwrap(), executable: number.is_multiple_of(2) };
    let inner = Directory { entries: [("file".to_owned(), file)].into() };
    let inner = Node::Directory { digest: store.write(&inner.encode()).unwrap() };
    let root = store.write(&Directory { entries: [("out".to_owned(), inner)].into() }.encode()).unwrap();
    let log = store.write(format!("log {number}").as_bytes()).unwrap();
    let key = Digest::of(&number.to_le_bytes());
    let record =
        Record { references: vec![Reference::Tree(root), Reference::Blob(log)], payload: Vec::new() };
    store.put_record("actions", &key, &record).unwrap();
    (key, content)
}

fn tree_of(record: &Record) -> Digest {
    let Reference::Tree(tree) = record.references[0] else { panic!("a result is a tree") };
    tree
}

/// Checks that whatever the store believes of `results` is whole; returns how many of them it believes.
fn check(store: &LocalStore, results: &Results) -> usize {
    let mut n_believed = 0;
    for (key, content) in results {
        let Some(record) = store.record("actions", key).unwrap() else { continue };
        n_believed += 1;
        let tree = tree_of(&record);
        let root = store.read_directory(&tree).unwrap();
        let Node::Directory { digest: inner } = root.entries["out"] else { panic!("not a directory") };
        let Node::File { digest, .. } = store.read_directory(&inner).unwrap().entries["file"] else {
            panic!("not a file")
        };
        assert_eq!(store.read(&digest).unwrap(), *content);
        let Reference::Blob(log) = record.references[1] else { panic!("a log is a blob") };
        store.verify(&log).unwrap();
        let checkout = store.shared_checkout(&tree).unwrap();
        assert_eq!(fs::read(checkout.join("out/file")).unwrap(), *content);
    }
    n_believed
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// What was there when a synchronisation ended, and so stays: names, and the contents of inodes.
#[derive(Default)]
struct Durable {
    names: BTreeSet<PathBuf>,
    inodes: BTreeSet<u64>,
}

impl Durable {
    fn now(root: &Path) -> Durable {
        let names = stored_files(root);
        let inodes = names.iter().map(|path| fs::symlink_metadata(path).unwrap().ino()).collect();
        Durable { names: names.into_iter().collect(), inodes }
    }
}

fn stored_files(root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for name in ["blobs", "records", "trees"] {
        files(&root.join(name), &mut all);
    }
    all.sort();
    all
}

/// Cuts the power: takes any part of what is not durable, and starts the machine anew.
fn cut_power(root: &Path, durable: &Durable, numbers: &mut Numbers) {
    let note = fs::read_to_string(root.join("synced")).unwrap();
    let words: Vec<&str> = note.split_whitespace().collect();
    let since = (words[1].parse::<i64>().unwrap(), words[2].parse::<i64>().unwrap());
    // What a checkout shares with a blob is one file, which is damaged once.
    let mut damage = BTreeMap::new();
    for path in stored_files(root) {
        if !durable.names.contains(&path) && numbers.below(5) == 0 {
            fs::remove_file(&path).unwrap();
            continue;
        }
        let metadata = fs::symlink_metadata(&path).unwrap();
        if durable.inodes.contains(&metadata.ino()) {
            continue;
        }
        let how = *damage.entry(metadata.ino()).or_insert_with(|| numbers.below(6));
        let length = match how {
            1 => 0,
            2 => metadata.len() / 2,
            3 => metadata.len(),
            _ => continue,
        };
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(length as usize);
        if how == 3 {
            bytes.fill(0);
        }
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec {
                tv_sec: metadata.atime(),
                tv_nsec: metadata.atime_nsec() as _,
            },
            last_modification: rustix::fs::Timespec {
                tv_sec: metadata.mtime(),
                tv_nsec: metadata.mtime_nsec() as _,
            },
        };
        // As the same inode: modes and times are in the journal, contents are not.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(metadata.mode())).unwrap();
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty()).unwrap();
    }
    match numbers.below(8) {
        // The note itself is never synchronised: it may be gone, or one from before.
        0 => fs::remove_file(root.join("synced")).unwrap(),
        1 => fs::write(root.join("synced"), format!("another-boot {} 0\n", since.0 - 3600)).unwrap(),
        2 => fs::write(root.join("synced"), "").unwrap(),
        _ => fs::write(root.join("synced"), format!("another-boot {} {}\n", since.0, since.1)).unwrap(),
    }
}

#[test]
fn after_a_power_cut_what_is_believed_is_whole_and_what_was_synchronised_is_there() {
    for seed in 0..40 {
        let mut numbers = Numbers(seed);
        // In memory if possible: a real disk takes a while to synchronise, and writes out what others wrote.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (root, source) = (directory.path().join("store"), directory.path().join("source"));
        fs::create_dir(&source).unwrap();
        for number in 0..numbers.below(20) {
            fs::write(source.join(format!("file-{number}")), format!("source {number}")).unwrap();
        }
        let import = |store: &LocalStore| {
            let mut cache = StatCache::at(&directory.path().join("stats"));
            let tree = store
                .import_source(&source, &Ignore::default(), &mut cache, &Watcher::nobody())
                .unwrap()
                .digest;
            cache.save().unwrap();
            tree
        };
        let (mut kept, mut all) = (Results::new(), Results::new());
        let mut durable = Durable::default();
        let tree;
        {
            let store = LocalStore::open(&root).unwrap();
            tree = import(&store);
            for number in 0..2 + numbers.below(30) {
                all.extend([write_result(&store, number)]);
                if numbers.below(4) == 0 {
                    check(&store, &all);
                }
                if numbers.below(10) == 0 {
                    store.sync().unwrap();
                    durable = Durable::now(&root);
                    kept.clone_from(&all);
                }
            }
        }
        for _ in 0..3 {
            cut_power(&root, &durable, &mut numbers);
            let store = LocalStore::open(&root).unwrap();
            check(&store, &all);
            assert_eq!(check(&store, &kept), kept.len(), "seed {seed}: something durable was lost");
            // What is made anew is whole, and so is what was imported.
            assert_eq!(import(&store), tree);
            let checkout = store.shared_checkout(&tree).unwrap();
            assert_eq!(fs::read_dir(checkout).unwrap().count(), fs::read_dir(&source).unwrap().count());
            for number in 0..all.len() as u64 {
                if store.record("actions", &Digest::of(&number.to_le_bytes())).unwrap().is_none() {
                    write_result(&store, number);
                }
            }
            assert_eq!(check(&store, &all), all.len(), "seed {seed}");
            assert_eq!(store.scrub().unwrap().damaged, []);
        }
    }
}

/// Does `work` while every `syncfs` fails as on a disk that cannot be written.
fn without_syncfs<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
    let fails = SeccompAction::Errno(libc::EIO as u32);
    let rules = [(libc::SYS_syncfs, Vec::new())].into();
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, fails, std::env::consts::ARCH.try_into().unwrap());
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            apply_filter(&program).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn what_a_failed_synchronisation_lost_is_not_vouched_for_by_the_next() {
    let root = tempfile::tempdir().unwrap();
    let mut results = Results::new();
    let store = LocalStore::open(root.path()).unwrap();
    results.extend([write_result(&store, 1)]);
    store.sync().unwrap();
    // Clocks of different origin stamp files within two seconds of each other.
    let path_of =
        |digest: &Digest| root.path().join("blobs").join(&digest.hex()[..2]).join(&digest.hex()[2..]);
    let since = fs::read_to_string(root.path().join("synced")).unwrap();
    let (key, content) = write_result(&store, 3);
    let lost = path_of(&Digest::of(&content));
    results.insert(key, content);
    let error = without_syncfs(|| store.sync().unwrap_err());
    assert!(error.to_string().starts_with("could not synchronise `"), "{error}");
    // The system does not tell it again.
    let error = store.sync().unwrap_err();
    let StoreError::Io { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.to_string(), "the disk has lost what was written earlier");
    assert_eq!(fs::read_to_string(root.path().join("lost")).unwrap(), since);
    // Others may have been told in time, and note that theirs went well.
    let now = fs::metadata(root.path().join("clock")).unwrap().mtime();
    let boot = since.split_whitespace().next().unwrap();
    fs::write(root.path().join("synced"), format!("{boot} {} 0\n", now + 1)).unwrap();

    fs::remove_file(&lost).unwrap();
    fs::write(&lost, "").unwrap();
    let next = LocalStore::open(root.path()).unwrap();
    assert_eq!(check(&next, &results), 1);
    next.sync().unwrap();
    assert!(!root.path().join("lost").exists());
    store.sync().unwrap_err();
}

#[test]
fn a_clock_that_was_set_back_hides_nothing() {
    let root = tempfile::tempdir().unwrap();
    drop(LocalStore::open(root.path()).unwrap());
    let note = fs::read_to_string(root.path().join("synced")).unwrap();
    let boot = note.split_whitespace().next().unwrap().to_owned();
    let noted = |root: &Path| -> i64 {
        fs::read_to_string(root.join("synced")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // As after a synchronisation while the clock was a day ahead.
    let now = fs::metadata(root.path().join("clock")).unwrap().mtime();
    let ahead = now + 86_400;
    fs::write(root.path().join("synced"), format!("{boot} {ahead} 0\n")).unwrap();
    let store = LocalStore::open(root.path()).unwrap();
    assert!(noted(root.path()) < ahead, "what is written now would look older than the note");
    store.write(b"x").unwrap();
    fs::write(root.path().join("synced"), format!("{boot} {ahead} 0\n")).unwrap();
    store.sync().unwrap();
    assert!(noted(root.path()) < ahead, "nothing was synchronised");
}

#[test]
fn nothing_from_the_future_is_believed_after_the_machine_died() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::open(root.path()).unwrap();
    let node = Node::File { digest: store.write(b"right").unwrap(), executable: false };
    let directory = Directory { entries: [("file".to_owned(), node)].into() };
    let tree = store.write(&directory.encode()).unwrap();
    let file = store.shared_checkout(&tree).unwrap().join("file");
    store.sync().unwrap();
    drop(store);
    let used = root.path().join("trees").join(format!("{}.used", tree.hex()));
    let now = fs::metadata(root.path().join("clock")).unwrap().mtime();
    let ahead = std::time::UNIX_EPOCH + std::time::Duration::from_secs(now as u64 + 3600);
    fs::File::options().write(true).open(&used).unwrap().set_modified(ahead).unwrap();
    for noted in [now - 60, now + 7200] {
        // The file of the checkout and the blob's are one.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, "wrong").unwrap();
        fs::write(root.path().join("synced"), format!("of-another-run {noted} 0\n")).unwrap();
        let store = LocalStore::open(root.path()).unwrap();
        assert!(!file.exists(), "{noted}");
        assert!(!store.contains(&Digest::of(b"right")).unwrap(), "{noted}");
        store.write(b"right").unwrap();
        assert_eq!(fs::read(store.shared_checkout(&tree).unwrap().join("file")).unwrap(), b"right");
    }
}
