//! Local sources: what is read again, and what is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::path::Path;

use cas::{Digest, Ignore, Imported, LocalStore, StatCache, Store as _, Watcher};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

struct Fixture {
    root: tempfile::TempDir,
    store: LocalStore,
}

impl Fixture {
    fn new() -> Fixture {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("source/sub")).unwrap();
        let store = LocalStore::open(&root.path().join("store")).unwrap();
        let fixture = Fixture { root, store };
        fixture.write("a", "one");
        fixture.write("sub/b", "two");
        fixture
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join("source").join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn import(&self, cache: &mut StatCache) -> Imported {
        self.store
            .import_source(&self.path(""), &Ignore::new(["*.o", "out/"]), cache, &Watcher::nobody())
            .unwrap()
    }

    /// Returns where the store keeps a content.
    fn blob(&self, content: &[u8]) -> std::path::PathBuf {
        let hex = Digest::of(content).hex();
        self.root.path().join("store/blobs").join(&hex[..2]).join(&hex[2..])
    }

    fn cache(&self) -> StatCache {
        StatCache::at(&self.root.path().join("cache"))
    }
}

/// Waits until nothing has just changed.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(3100));
}

fn set_modified(path: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
}

#[test]
fn an_edit_in_the_same_instant_is_seen() {
    let fixture = Fixture::new();
    let mut cache = fixture.cache();
    let before = fixture.import(&mut cache);
    // The same size and, restored by hand, the same modification time; the change time differs by less
    // than a clock tick.
    fixture.write("a", "uno");
    let after = fixture.import(&mut cache);
    assert_ne!(before.digest, after.digest);
    set_modified(&fixture.path("a"), 1_000_000_000);
    fixture.import(&mut cache);
    fixture.write("a", "one");
    set_modified(&fixture.path("a"), 1_000_000_000);
    assert_eq!(fixture.import(&mut cache).digest, before.digest);
}

#[test]
fn what_is_ignored_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.import(&mut fixture.cache());
    assert_eq!((before.n_files, before.n_bytes), (2, 6));
    fixture.write("sub/b.o", "object");
    fs::create_dir(fixture.path("out")).unwrap();
    fixture.write("out/result", "result");
    assert_eq!(fixture.import(&mut fixture.cache()), before);
    fs::remove_file(fixture.path("sub/b")).unwrap();
    assert_ne!(fixture.import(&mut fixture.cache()).digest, before.digest);
}

#[test]
fn a_settled_source_is_not_read_again_and_a_collected_one_is() {
    let fixture = Fixture::new();
    // The change time cannot be set: wait until the files have been quiet for long enough.
    settle();
    let mut cache = fixture.cache();
    let first = fixture.import(&mut cache);
    // Unreadable to an ordinary user, and to root a different content: neither is noticed when only
    // attributes are looked at. Here the blob goes instead, and the file must be read again for it.
    let blob = fixture.blob(b"one");
    fs::remove_file(&blob).unwrap();
    assert_eq!(fixture.import(&mut cache), first);
    assert!(!blob.exists(), "the record of the whole tree was not believed");
    fixture.store.remove_record("sources", &first.digest).unwrap();
    assert_eq!(fixture.import(&mut cache), first);
    assert!(fixture.store.contains(&Digest::of(b"one")).unwrap());
}

#[test]
fn only_directories_that_changed_are_read() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.path("deep/er/and/deeper")).unwrap();
    fixture.write("deep/er/and/deeper/c", "three");
    settle();
    fixture.import(&mut fixture.cache());
    // Whatever is read again comes back.
    let [top, beside, below] = [&b"one"[..], b"two", b"three"].map(|content| fixture.blob(content));
    for blob in [&top, &beside, &below] {
        fs::remove_file(blob).unwrap();
    }
    fixture.write("sub/new", "new");
    let edited = fixture.import(&mut fixture.cache());
    assert_eq!((edited.n_files, edited.n_bytes), (4, 14));
    assert_eq!([top.exists(), beside.exists(), below.exists()], [false, true, false]);
    // What had just changed is read once more, and nothing else is.
    fs::remove_file(&beside).unwrap();
    assert_eq!(fixture.import(&mut fixture.cache()), edited);
    assert_eq!([top.exists(), beside.exists(), below.exists()], [false, true, false]);

    fixture.write("deep/er/and/deeper/c", "trois");
    fs::remove_file(fixture.path("sub/new")).unwrap();
    fs::remove_file(fixture.path("sub/b")).unwrap();
    let edited = fixture.import(&mut fixture.cache());
    assert_eq!((edited.n_files, edited.n_bytes), (2, 8));
    // The same tree has the same digest, however it came about.
    let other = LocalStore::open(&fixture.root.path().join("other")).unwrap();
    let whole = other.import_tree(&fixture.path(""), cas::ImportMode::Copy).unwrap();
    assert_eq!(whole, edited);
}

#[test]
fn large_files_are_remembered_by_themselves() {
    let fixture = Fixture::new();
    let large = "large".repeat(300_000);
    fixture.write("sub/large", &large);
    settle();
    let mut cache = fixture.cache();
    fixture.import(&mut cache);
    cache.save().unwrap();
    let metadata = |name: &str| fs::symlink_metadata(fixture.path(name)).unwrap();
    let mut cache = fixture.cache();
    let found = cache.get(&fixture.path("sub/large"), &metadata("sub/large"));
    assert_eq!(found, Some(Digest::of(large.as_bytes())));
    assert_eq!(cache.get(&fixture.path("a"), &metadata("a")), None);
    // Its neighbour changed, and it is in the store or put there again.
    for n in 0..2 {
        fixture.write("sub/b", &format!("edited {n}"));
        fixture.import(&mut cache);
        assert!(fixture.store.contains(&Digest::of(large.as_bytes())).unwrap());
        fs::remove_file(fixture.blob(large.as_bytes())).unwrap();
    }
    // One that is gone is forgotten.
    let gone = metadata("sub/large");
    fs::remove_file(fixture.path("sub/large")).unwrap();
    fixture.import(&mut cache);
    cache.save().unwrap();
    assert_eq!(fixture.cache().get(&fixture.path("sub/large"), &gone), None);
}

#[test]
fn a_damaged_cache_is_an_empty_one() {
    let fixture = Fixture::new();
    for bytes in [&b""[..], b"short", &[0; 100]] {
        fs::write(fixture.root.path().join("cache"), bytes).unwrap();
        let mut cache = fixture.cache();
        fixture.import(&mut cache);
    }
}

#[test]
fn whatever_changes_of_a_settled_source_is_seen() {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink("a", fixture.path("link")).unwrap();
    settle();
    let mut digests = vec![fixture.import(&mut fixture.cache()).digest];
    // Nothing is known of single files any more, and still nothing is read.
    fs::remove_file(fixture.blob(b"two")).unwrap();
    assert_eq!(fixture.import(&mut fixture.cache()).digest, digests[0]);
    assert!(!fixture.store.contains(&Digest::of(b"two")).unwrap());

    let changes: [&dyn Fn(); 6] = [
        &|| fixture.write("sub/b", "owt"),
        &|| fixture.write("sub/new", ""),
        &|| fs::rename(fixture.path("sub/new"), fixture.path("sub/old")).unwrap(),
        &|| {
            fs::remove_file(fixture.path("link")).unwrap();
            std::os::unix::fs::symlink("b", fixture.path("link")).unwrap();
        },
        &|| fs::create_dir(fixture.path("sub/empty")).unwrap(),
        &|| rustix::fs::chmod(fixture.path("a"), rustix::fs::Mode::from_raw_mode(0o755)).unwrap(),
    ];
    for change in changes {
        change();
        let digest = fixture.import(&mut fixture.cache()).digest;
        assert!(!digests.contains(&digest), "change {}", digests.len());
        digests.push(digest);
    }
}
