//! Local sources: what is read again, and what is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::path::Path;

use cas::{Digest, Ignore, Imported, LocalStore, StatCache, Store as _};
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
        self.store.import_source(&self.path(""), &Ignore::new(["*.o", "out/"]), cache).unwrap()
    }

    fn cache(&self) -> StatCache {
        StatCache::at(&self.root.path().join("cache"))
    }
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
    std::thread::sleep(std::time::Duration::from_millis(3100));
    let mut cache = fixture.cache();
    let first = fixture.import(&mut cache);
    cache.save().unwrap();
    let metadata = |name: &str| fs::symlink_metadata(fixture.path(name)).unwrap();
    let cache = fixture.cache();
    assert_eq!(cache.get(&fixture.path("a"), &metadata("a")), Some(Digest::of(b"one")));
    assert_eq!(cache.get(&fixture.path("sub/b"), &metadata("sub/b")), Some(Digest::of(b"two")));

    // Unreadable to an ordinary user, and to root a different content: neither is noticed when only
    // attributes are looked at. Here the blob goes instead, and the file must be read again for it.
    let mut cache = fixture.cache();
    assert_eq!(fixture.import(&mut cache), first);
    let hex = Digest::of(b"one").hex();
    let blob = fixture.root.path().join("store/blobs").join(&hex[..2]).join(&hex[2..]);
    fs::remove_file(&blob).unwrap();
    assert_eq!(fixture.import(&mut cache), first);
    assert!(!blob.exists(), "the record of the whole tree was not believed");
    fixture.store.remove_record("sources", &first.digest).unwrap();
    assert_eq!(fixture.import(&mut cache), first);
    assert!(fixture.store.contains(&Digest::of(b"one")).unwrap());

    fixture.write("a", "uno");
    assert_eq!(cache.get(&fixture.path("a"), &metadata("a")), None);
    // Deleted files are forgotten.
    fs::remove_file(fixture.path("sub/b")).unwrap();
    let gone = metadata("a");
    fixture.import(&mut cache);
    cache.save().unwrap();
    assert_eq!(fixture.cache().get(&fixture.path("sub/b"), &gone), None);
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
    std::thread::sleep(std::time::Duration::from_millis(3100));
    let mut digests = vec![fixture.import(&mut fixture.cache()).digest];
    // Nothing is known of single files any more, and still nothing is read.
    let hex = Digest::of(b"two").hex();
    fs::remove_file(fixture.root.path().join("store/blobs").join(&hex[..2]).join(&hex[2..])).unwrap();
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
