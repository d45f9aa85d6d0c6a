//! Archives of sources, honest ones and such as mean harm.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use testkit::{Flood, Verdict, hostile_tars, tar};

use super::*;
use crate::failure::Blame;

/// A store in a directory where nothing else may appear.
struct World {
    directory: tempfile::TempDir,
    store: LocalStore,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("x"), "untouched").unwrap();
        let store = LocalStore::open(&directory.path().join("store")).unwrap();
        World { directory, store }
    }

    fn unpack(&self, bytes: &[u8], suffix: &str) -> Result<Digest, Failure> {
        let digest = self.store.write(bytes).unwrap();
        archive(&self.store, &digest, suffix, "hostile", || Ok(())).map(|unpacked| unpacked.tree)
    }

    /// Checks that nothing was written but the store, and nothing left behind in that.
    #[track_caller]
    fn check_untouched(&self, what: &str) {
        let names = |path: &Path| {
            let mut names: Vec<_> =
                fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(self.directory.path()), ["store", "x"], "{what}");
        assert_eq!(fs::read_to_string(self.directory.path().join("x")).unwrap(), "untouched", "{what}");
        assert!(names(self.store.scratch()).is_empty(), "{what}");
        assert!(!Path::new("/tmp/bootwright-must-not-write-here").exists(), "{what}");
    }
}

fn text(failure: &Failure) -> String {
    let mut text = failure.error.as_ref().unwrap().to_string();
    let mut cause = failure.error.as_ref().unwrap().source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[test]
fn archives_are_known_by_their_names() {
    for (url, expected) in [
        ("https://x/linux-6.12.tar.xz", Some(".xz")),
        ("https://x/a.tgz?download=1", Some(".gz")),
        ("https://x/a.tar", Some("")),
        ("https://x/a.zip", None),
        ("https://x/tar.xz/a", None),
    ] {
        assert_eq!(archive_suffix(url), expected, "{url}");
    }
}

#[test]
fn an_archive_becomes_a_tree() {
    let world = World::new();
    let large = "x".repeat(3 << 20);
    let program = tar::Header { mode: 0o755, size: 2, ..tar::Header::new(b"top/bin/run", b'0') };
    let bytes = tar::archive(&[
        tar::directory("top/"),
        tar::directory("top/empty/"),
        program.with(b"#!"),
        tar::file("top/large", &large),
        tar::hard_link("top/same", "top/bin/run"),
        tar::symlink("top/link", "../elsewhere"),
    ]);
    let tree = world.unpack(&bytes, "").unwrap();
    let directory = world.store.read_directory(&tree).unwrap();
    let run = Node::File { digest: Digest::of(b"#!"), executable: true };
    assert_eq!(directory.entries.keys().collect::<Vec<_>>(), ["bin", "empty", "large", "link", "same"]);
    assert_eq!(directory.entries["same"], run);
    assert_eq!(directory.entries["link"], Node::Symlink { target: "../elsewhere".to_owned() });
    assert_eq!(
        directory.entries["large"],
        Node::File { digest: Digest::of(large.as_bytes()), executable: false }
    );
    let Node::Directory { digest: bin } = directory.entries["bin"] else { panic!("not a directory") };
    assert_eq!(world.store.read_directory(&bin).unwrap().entries["run"], run);
    world.store.verify(&Digest::of(large.as_bytes())).unwrap();
    world.check_untouched("an honest archive");

    // Two things at the top: neither is left out. And what is remembered is not got again.
    let two = tar::archive(&[tar::file("a/x", ""), tar::file("b", "")]);
    let tree = world.unpack(&two, "").unwrap();
    assert_eq!(world.store.read_directory(&tree).unwrap().entries.len(), 2);
    let never = || panic!("it is remembered");
    let again = archive(&world.store, &Digest::of(&two), "", "two", never).unwrap();
    assert_eq!((again.tree, again.date), (tree, Some(0)));
}

#[test]
fn an_archive_is_as_old_as_its_newest_file() {
    let world = World::new();
    // Of the formats' ways to tell a time, the one that says the most.
    let record =
        |record: &str| tar::Header { size: 20, ..tar::Header::new(b"pax", b'x') }.with(record.as_bytes());
    let bytes = tar::archive(&[
        record("20 mtime=1800000000\n"),
        tar::directory("top/"),
        record("20 mtime=1700000000\n"),
        tar::file("top/new", "x"),
        tar::file("top/old", "x"),
    ]);
    let digest = world.store.write(&bytes).unwrap();
    for _ in ["unpacked", "remembered"] {
        assert_eq!(archive(&world.store, &digest, "", "dated", || Ok(())).unwrap().date, Some(1_700_000_000));
    }
    let bytes = tar::archive(&[tar::directory("top/")]);
    let digest = world.store.write(&bytes).unwrap();
    for _ in ["unpacked", "remembered"] {
        assert_eq!(archive(&world.store, &digest, "", "empty", || Ok(())).unwrap().date, None);
    }
}

#[test]
fn every_hostile_archive_is_refused_or_harmless() {
    let world = World::new();
    let mut wrong = Vec::new();
    for hostile in hostile_tars() {
        let outcome = world.unpack(&hostile.bytes, "");
        match (hostile.verdict, &outcome) {
            (Verdict::Refused(why) | Verdict::OnlyLayers(_, why), Err(failure))
                if failure.blame == Blame::Project
                    && text(failure).starts_with("the archive of source `hostile` cannot be unpacked: ")
                    // Of devices, the first one is refused before it comes again.
                    && (text(failure).contains(why) || text(failure).contains("neither a file")) => {}
            (Verdict::Harmless(_), Ok(tree)) => {
                // Nor does anything appear when a step is to see it.
                world.store.checkout(tree, &world.store.scratch().join("checkout")).unwrap();
                cas::remove_tree(&world.store.scratch().join("checkout")).unwrap();
            }
            _ => wrong.push(format!("{}: {:?}", hostile.name, outcome.map_err(|failure| text(&failure)))),
        }
        world.check_untouched(hostile.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bombs_are_refused() {
    assert_eq!((most_unpacked(1000), most_unpacked(150 << 20)), (1 << 30, 15_000 << 20));
    let world = World::new();
    // As if a gigabyte were 16 megabytes.
    let unpack = |mut plain: Box<dyn Read>| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        std::io::copy(&mut plain, &mut encoder).unwrap();
        let digest = world.store.write(&encoder.finish().unwrap()).unwrap();
        text(&read_archive(&world.store, &digest, ".zst", 16 << 20).unwrap_err().of("bomb"))
    };
    let zeros = tar::Header { size: 2 << 30, ..tar::Header::new(b"zeros", b'0') }.block();
    let bombs: [(&str, Box<dyn Read>); 3] = [
        ("one huge file", Box::new(std::io::Cursor::new(zeros).chain(std::io::repeat(0).take(64 << 20)))),
        ("many empty files", Box::new(Flood::of_files(100_000))),
        ("headers of nothing", Box::new(Flood::of(tar::directory("./"), 100_000))),
    ];
    for (name, bomb) in bombs {
        let text = unpack(bomb);
        assert!(text.contains("more than 16777216 bytes come out of it"), "{name}: {text}");
        world.check_untouched(name);
    }
    // A window for which the decoder would need two gigabytes.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(31).unwrap();
    encoder.write_all(&vec![0; 1 << 20]).unwrap();
    assert!(world.unpack(&encoder.finish().unwrap(), ".zst").is_err());
    world.check_untouched("a large window");
}
