//! How long the store takes for a tree of 20,000 small files: `cargo bench -p cas`.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on should panic")]
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use cas::{Ignore, ImportMode, LocalStore, Node, StatCache, Watcher};

fn main() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let source = root.path().join("source");
    make_tree(&source);
    let store = LocalStore::open(&root.path().join("store")).unwrap();
    let path = |name: &str| root.path().join(name);
    let tree =
        measure("import 20,000 files by copy", || store.import_tree(&source, ImportMode::Copy).unwrap())
            .digest;
    measure("import them again", || store.import_tree(&source, ImportMode::Copy).unwrap());
    measure("synchronise", || store.sync().unwrap());
    measure("check out by link", || store.checkout(&tree, &path("checkout")).unwrap());
    measure("shared checkout, first", || store.shared_checkout(&tree).unwrap());
    measure("shared checkout, again", || store.shared_checkout(&tree).unwrap());
    measure("export", || store.export(&Node::Directory { digest: tree }, &path("export")).unwrap());
    let mut cache = StatCache::at(&path("cache"));
    let ignore = Ignore::new([".git/", "*.o"]);
    std::thread::sleep(std::time::Duration::from_secs(4));
    measure("import a source", || {
        store.import_source(&source, &ignore, &mut cache, &Watcher::nobody()).unwrap()
    });
    measure("save the stat cache", || cache.save().unwrap());
    let mut cache = StatCache::at(&path("cache"));
    measure("import the unchanged source", || {
        store.import_source(&source, &ignore, &mut cache, &Watcher::nobody()).unwrap()
    });
    measure("import the source by moving", || store.import_tree(&path("export"), ImportMode::Move).unwrap());
    drop(store);
    let fresh = path("fresh");
    let store = LocalStore::open(&fresh).unwrap();
    measure("move 20,000 new files in", || store.import_tree(&source, ImportMode::Move).unwrap());
    drop(store);
    let store = measure("open", || LocalStore::open(&fresh).unwrap());
    measure("collect nothing", || store.gc(cas::Keep::Bytes(u64::MAX), std::time::UNIX_EPOCH).unwrap());
    measure("collect everything", || store.gc(cas::Keep::Bytes(0), std::time::UNIX_EPOCH).unwrap());
}

fn make_tree(source: &Path) {
    for directory in 0..500 {
        let path = source.join(format!("{}/{directory}", directory % 20));
        fs::create_dir_all(&path).unwrap();
        for file in 0..40 {
            fs::write(path.join(format!("{file}")), format!("{directory} {file} ").repeat(500)).unwrap();
        }
    }
}

fn measure<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what:30} {:8.1} ms", start.elapsed().as_secs_f64() * 1e3);
    result
}
