//! Several processes on one store: leases, collections, crashes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cas::{Digest, Directory, ImportMode, Keep, LocalStore, Node, Record, Reference, Store as _};
use support::{age, age_file, now, open};

/// Runs a child that opens the store at `root`, uses `used`, prints a line and waits for its end.
fn start_user(root: &Path, used: &Digest) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_uses_a_blob", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{}\n{used}", root.display()).unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("used")), "the child ended early");
    child
}

#[test]
#[ignore = "started by the other tests as a process of its own"]
fn child_uses_a_blob() {
    let mut lines = std::io::stdin().lines();
    let Some(Ok(root)) = lines.next() else { return };
    let digest: Digest = lines.next().unwrap().unwrap().parse().unwrap();
    let store = LocalStore::open(Path::new(&root)).unwrap();
    fs::write(store.scratch().join("leftover"), "x").unwrap();
    assert!(store.contains(&digest).unwrap());
    println!("used");
    assert!(lines.next().is_none());
    assert!(store.contains(&digest).unwrap());
}

#[test]
fn a_full_disk_is_recognised_and_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=2m none \"$1\" || exit 77; exec \"$2\" --exact child_fills_the_disk \
                  --ignored --nocapture --test-threads=1";
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(root.path())
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return println!("skipped: no `unshare` on this machine: {error}"),
    };
    // It may have ended before it read this.
    let _ = writeln!(child.stdin.take().unwrap(), "{}", root.path().display());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || text.contains("unshare:") {
        return println!("skipped: no file system can be mounted here: {text}");
    }
    assert!(output.status.success() && text.contains("filled"), "{text}");
}

#[test]
#[ignore = "started by another test where the disk is small"]
fn child_fills_the_disk() {
    let Some(Ok(root)) = std::io::stdin().lines().next() else { return };
    let store = LocalStore::open(&Path::new(&root).join("store")).unwrap();
    let mut number = 0_u8;
    let error = loop {
        match store.write(&[number; 100_000]) {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(number > 2 && error.is_storage_full(), "{error}");
    assert_eq!(fs::read_dir(store.scratch()).unwrap().count(), 0);
    for number in 0..number {
        store.verify(&Digest::of(&[number; 100_000])).unwrap();
    }
    assert!(!store.contains(&Digest::of(&[number; 100_000])).unwrap());
    println!("filled");
}

#[test]
fn a_collection_keeps_what_a_live_process_has_seen() {
    let root = tempfile::tempdir().unwrap();
    let (seen, unseen) = {
        let store = open(root.path());
        (store.write(b"seen").unwrap(), store.write(b"unseen").unwrap())
    };
    age(root.path(), 1);
    let mut child = start_user(root.path(), &seen);
    let freed = open(root.path()).gc(Keep::Bytes(0), now()).unwrap();
    assert_eq!((freed.n_blobs, freed.bytes), (1, 6));
    {
        let store = open(root.path());
        assert!(store.contains(&seen).unwrap());
        assert!(!store.contains(&unseen).unwrap());
    }
    // The child finds it again, and ends well.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    age(root.path(), 1);
    assert_eq!(open(root.path()).gc(Keep::Bytes(0), now()).unwrap().n_blobs, 1);
}

#[test]
fn the_lease_and_the_leftovers_of_a_killed_process_are_void() {
    let root = tempfile::tempdir().unwrap();
    let digest = open(root.path()).write(b"seen").unwrap();
    let mut child = start_user(root.path(), &digest);
    let scratch = root.path().join("scratch");
    let leftovers = || {
        let directories = fs::read_dir(&scratch).unwrap();
        directories.filter(|entry| entry.as_ref().unwrap().path().join("leftover").exists()).count()
    };
    assert_eq!(leftovers(), 1);
    drop(open(root.path()));
    assert_eq!(leftovers(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let store = open(root.path());
    assert_eq!(leftovers(), 0);
    age(root.path(), 1);
    assert_eq!(store.gc(Keep::Bytes(0), now()).unwrap().n_blobs, 1);
    drop(store);
    assert_eq!(fs::read_dir(root.path().join("leases")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
}

/// Writes a directory with one file of `size` bytes and a record that relies on it.
fn write_result(store: &LocalStore, name: u8, size: usize) -> Digest {
    let file = Node::File { digest: store.write(&vec![name; size]).unwrap(), executable: false };
    let directory = Directory { entries: [("out".to_owned(), file)].into() };
    let tree = store.write(&directory.encode()).unwrap();
    let key = Digest::of(&[name]);
    let record = Record { references: vec![Reference::Tree(tree)], payload: vec![name] };
    store.put_record("actions", &key, &record).unwrap();
    key
}

#[test]
fn what_was_used_least_recently_goes_first_and_roots_stay() {
    let root = tempfile::tempdir().unwrap();
    let (old, rooted, middle, new);
    {
        let store = open(root.path());
        rooted = write_result(&store, 0, 1000);
        store.set_root("project", &[Reference::Record { kind: "actions".to_owned(), key: rooted }]).unwrap();
        old = write_result(&store, 1, 1000);
        age(root.path(), 10);
        middle = write_result(&store, 2, 1000);
    }
    let record_path = |key: &Digest| {
        let hex = key.hex();
        root.path().join("records/actions").join(&hex[..2]).join(&hex[2..])
    };
    {
        let store = open(root.path());
        age_file(&record_path(&middle), 20);
        new = write_result(&store, 3, 1000);
    }
    // Only records say when results were used: the blobs are all older.
    let times = [(rooted, 5), (old, 10), (middle, 20), (new, 30)];
    age(root.path(), 1);
    for (key, day) in times {
        age_file(&record_path(&key), day);
    }
    let present = |store: &LocalStore| {
        [rooted, old, middle, new].map(|key| {
            fs::exists(record_path(&key)).unwrap() && {
                let _ = store;
                true
            }
        })
    };
    let store = open(root.path());
    assert_eq!(store.roots().unwrap()[0].name, "project");
    let freed = store.gc(Keep::Bytes(3500), now()).unwrap();
    assert_eq!((freed.n_records, freed.n_blobs), (1, 2));
    assert_eq!(present(&store), [true, false, true, true]);
    let freed = store.gc(Keep::Age(Duration::from_secs(975 * 86_400)), now()).unwrap();
    assert_eq!((freed.n_records, freed.n_blobs), (1, 2));
    assert_eq!(present(&store), [true, false, false, true]);
    let freed = store.gc(Keep::Bytes(0), now()).unwrap();
    assert_eq!(freed.n_records, 1);
    assert_eq!(store.record("actions", &rooted).unwrap().unwrap().payload, [0]);
    store.remove_root("project").unwrap();
    drop(store);
    age(root.path(), 1);
    let store = open(root.path());
    assert_eq!(store.gc(Keep::Bytes(0), now()).unwrap().n_blobs, 2);
    assert_eq!(fs::read_dir(root.path().join("trash")).unwrap().count(), 0);
}

#[test]
fn a_collection_does_not_count_as_use() {
    let root = tempfile::tempdir().unwrap();
    write_result(&open(root.path()), 1, 10);
    age(root.path(), 10);
    let store = open(root.path());
    store.gc(Keep::Bytes(1 << 20), now()).unwrap();
    for directory in ["blobs", "records/actions"] {
        for shard in fs::read_dir(root.path().join(directory)).unwrap() {
            for file in fs::read_dir(shard.unwrap().path()).unwrap() {
                assert_eq!(file.unwrap().metadata().unwrap().atime(), 10 * 86_400);
            }
        }
    }
}

#[test]
fn checkouts_go_with_their_trees() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "x").unwrap();
    let path = root.path().join("store");
    let store = open(&path);
    let tree = store.import_tree(&source, ImportMode::Copy).unwrap().digest;
    let checkout = store.shared_checkout(&tree).unwrap();
    assert_eq!(store.gc(Keep::Bytes(0), now()).unwrap().n_checkouts, 0);
    drop(store);
    age(&path, 1);
    let freed = open(&path).gc(Keep::Bytes(0), now()).unwrap();
    assert_eq!((freed.n_checkouts, freed.n_blobs), (1, 2));
    assert!(!checkout.exists());
    assert_eq!(fs::read_dir(path.join("trees")).unwrap().count(), 0);
}

#[test]
fn what_a_killed_collector_was_about_to_delete_is_put_back() {
    let root = tempfile::tempdir().unwrap();
    let digest = open(root.path()).write(b"x").unwrap();
    let hex = digest.hex();
    let name = format!("blobs/{}/{}", &hex[..2], &hex[2..]);
    fs::rename(root.path().join(&name), root.path().join("trash").join(name.replace('/', "!"))).unwrap();
    assert!(open(root.path()).contains(&digest).unwrap());
}

#[test]
fn collections_and_builds_at_once_lose_nothing() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    drop(open(path));
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for round in 0..10_u32 {
                        let store = open(root.path());
                        let blobs: Vec<_> =
                            (0..40_u32).map(|number| (number % 20 + round).to_le_bytes()).collect();
                        let digests: Vec<_> = blobs.iter().map(|blob| store.write(blob).unwrap()).collect();
                        let seen: Vec<_> = (0..40_u32)
                            .map(|number| Digest::of(&number.to_le_bytes()))
                            .filter(|digest| store.contains(digest).unwrap())
                            .collect();
                        for digest in digests.iter().chain(&seen) {
                            store.read(digest).unwrap();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            while builders.iter().any(|builder| !builder.is_finished()) {
                open(path).gc(Keep::Bytes(0), now()).unwrap();
            }
        });
    });
}

#[test]
fn after_the_machine_died_only_whole_things_are_believed() {
    let root = tempfile::tempdir().unwrap();
    let (good, torn);
    {
        let store = open(root.path());
        good = write_result(&store, 1, 100);
        torn = write_result(&store, 2, 100);
    }
    // As a journal leaves it: the name is there, the size is there, the data is not.
    let hex = Digest::of(&[2; 100]).hex();
    let path = root.path().join("blobs").join(&hex[..2]).join(&hex[2..]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, [0; 100]).unwrap();
    let synced = fs::read_to_string(root.path().join("synced")).unwrap();
    let (_, stamp) = synced.split_once(' ').unwrap();
    fs::write(root.path().join("synced"), format!("another-boot {stamp}")).unwrap();

    let store = open(root.path());
    assert!(store.record("actions", &good).unwrap().is_some());
    assert_eq!(store.record("actions", &torn).unwrap(), None);
    assert!(!path.exists());
    assert!(!fs::read_to_string(root.path().join("synced")).unwrap().contains("another-boot"));
}

#[test]
fn what_was_synchronised_before_the_machine_died_is_not_read_again() {
    let root = tempfile::tempdir().unwrap();
    let path = {
        let store = open(root.path());
        let hex = store.write(b"damaged on purpose").unwrap().hex();
        root.path().join("blobs").join(&hex[..2]).join(&hex[2..])
    };
    fs::remove_file(&path).unwrap();
    fs::write(&path, "DAMAGED on purpose").unwrap();
    // As late as a note must be for that, and a note of the future says nothing.
    std::thread::sleep(Duration::from_millis(4100));
    let later = fs::metadata(&path).unwrap().ctime() + 3;
    fs::write(root.path().join("synced"), format!("another-boot {later} 0\n")).unwrap();
    drop(open(root.path()));
    assert!(path.exists());
}

#[test]
fn a_damaged_record_is_none() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let key = write_result(&store, 1, 10);
    let hex = key.hex();
    let path = root.path().join("records/actions").join(&hex[..2]).join(&hex[2..]);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(store.record("actions", &key).unwrap(), None);
    write_result(&store, 1, 10);
    assert!(store.record("actions", &key).unwrap().is_some());
    store.remove_record("actions", &key).unwrap();
    assert_eq!(store.record("actions", &key).unwrap(), None);
}

#[test]
fn what_a_collector_looks_at_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let digest = store.write(b"looked at").unwrap();
    let hex = digest.hex();
    let blob = root.path().join("blobs").join(&hex[..2]).join(&hex[2..]);
    let trash = root.path().join("trash").join(format!("blobs!{}!{}", &hex[..2], &hex[2..]));
    let lock = fs::File::create(root.path().join("gc.lock")).unwrap();
    lock.lock().unwrap();
    fs::rename(&blob, &trash).unwrap();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| store.read(&digest).unwrap());
        let linking = scope.spawn(|| store.checkout_file(&digest, false, &root.path().join("file")).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!reading.is_finished() && !linking.is_finished());
        fs::rename(&trash, &blob).unwrap();
        assert_eq!(reading.join().unwrap(), b"looked at");
        linking.join().unwrap();
    });
    // One that was killed puts nothing back.
    fs::rename(&blob, &trash).unwrap();
    lock.unlock().unwrap();
    assert_eq!(store.read(&digest).unwrap(), b"looked at");
    assert!(blob.exists() && !trash.exists());
}
