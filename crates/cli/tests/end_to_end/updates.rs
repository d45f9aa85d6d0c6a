//! An edit after a build: blocks that are taken over, and images that are updated in place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cas::Digest;
use rustix::fs::{FlockOperation, fcntl_lock};

use crate::harness::{Project, check_failure, run};

/// A root of every kind of compression, disks in formats that compress, and one that is only updated.
const RECIPE: &str = r#"
[stack]
name    = "updated"
default = ["disk", "erofs", "gzip"]

[target.rootfs]
kind     = "rootfs"
overlays = ["tree"]

[target.root]
kind     = "filesystem"
type     = "squashfs"
rootfs   = "rootfs"
squashfs = { compression = "xz", bcj = ["x86"] }

[target.gzip]
kind     = "filesystem"
type     = "squashfs"
rootfs   = "rootfs"
squashfs = { fragments = "all", block-size = "16K" }

[target.erofs]
kind   = "filesystem"
type   = "erofs"
rootfs = "rootfs"
erofs  = { compression = "zstd" }

[target.hashed]
kind   = "verity"
image  = "erofs"
append = true

[target.disk]
kind = "disk"

[target.disk.formats]
qcow2 = { compression = "zlib" }
vmdk  = { variant = "stream-optimized" }
gcp   = true

[[target.disk.partitions]]
name   = "ROOT"
type   = "linux"
size   = "6M"
target = "root"

[[target.disk.partitions]]
name   = "HASHED"
type   = "linux"
size   = "6M"
target = "hashed"

[[target.disk.partitions]]
name = "persist"
type = "linux"
size = "1M"
"#;
/// Where `persist` is.
const PERSIST_AT: u64 = 13 << 20;

/// Text that no other seed gives, and that compresses.
fn words(seed: u32, length: usize) -> String {
    let mut state = seed;
    let mut words = String::with_capacity(length + 16);
    while words.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        words.push_str(&format!("{:x} ", state >> 19));
    }
    words.truncate(length);
    words
}

/// A project with files to compress, and a cache of its own.
fn project() -> (Project, PathBuf) {
    let project = Project::new(RECIPE);
    for number in 0..40 {
        project.write(&format!("tree/usr/share/{number}"), &words(number, 400 + number as usize * 3000));
    }
    project.write("tree/usr/lib/large", &words(1000, 2_500_000));
    project.write("tree/etc/removed", "gone soon\n");
    edit(&project, 1);
    let cache = project.path().join("cache");
    (project, cache)
}

/// Changes a file in the middle, and has another one come and go.
fn edit(project: &Project, number: u32) {
    project.write("tree/usr/lib/edited", &words(2000 + number, 50_000));
    let removed = project.path().join("tree/etc/removed");
    match number % 2 {
        0 => fs::remove_file(removed).unwrap_or_default(),
        _ => project.write("tree/etc/removed", "gone soon\n"),
    }
}

fn with_cache<'a>(cache: &'a Path, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--cache", cache.to_str().unwrap()], arguments].concat()
}

/// Returns the digests of everything that was built.
fn sums(project: &Project) -> BTreeMap<String, String> {
    let targets = ["disk", "erofs", "gzip"].map(|target| project.read(&format!("out/{target}/SHA256SUMS")));
    let lines = targets.concat();
    let pairs = lines.lines().filter_map(|line| line.split_once("  "));
    pairs.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect()
}

/// Returns the tables of blocks in a cache.
fn tables(cache: &Path) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let projects = list(&cache.join("projects"));
    projects
        .iter()
        .flat_map(|project| list(&project.join("earlier")))
        .flat_map(|place| list(&place))
        .collect()
}

#[test]
fn images_are_the_same_with_blocks_of_earlier_ones() {
    let (project, cache) = project();
    let build = |cache: &Path| {
        project.succeed(&with_cache(cache, &["build"]));
        sums(&project)
    };
    let first = build(&cache);
    // Two squashfs, an EROFS, a qcow2, a VMDK and an archive.
    assert_eq!(tables(&cache).len(), 6, "{:?}", tables(&cache));
    edit(&project, 2);
    let second = build(&cache);
    assert_ne!(first["disk.qcow2"], second["disk.qcow2"]);
    // A cache in which nothing was built before.
    let clean = project.path().join("clean");
    assert_eq!(build(&clean), second);

    // Tables and images that are no good.
    for (number, table) in tables(&cache).iter().enumerate() {
        let mut bytes = fs::read(table).unwrap();
        let middle = bytes.len() / 2;
        match number % 4 {
            0 => bytes.truncate(middle),
            1 => bytes[middle] ^= 1,
            2 => bytes = fs::read(&tables(&cache)[(number + 1) % 6]).unwrap(),
            _ => bytes.clear(),
        }
        fs::write(table, bytes).unwrap();
    }
    edit(&project, 4);
    let third = build(&cache);
    assert_eq!(build(&clean), third);

    // Two at once.
    edit(&project, 5);
    let both = [1, 2].map(|_| project.command(&with_cache(&cache, &["build"])).spawn().unwrap());
    both.into_iter().for_each(|mut build| assert!(build.wait().unwrap().success()));
    let fourth = sums(&project);
    assert_eq!(build(&clean), fourth);

    // What is collected is done again. The bundle of the last build is given up with it.
    assert!(!tables(&cache).is_empty());
    let told = project.succeed(&with_cache(&cache, &["gc", "--keep", "0", "--json"])).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["blocks"].as_u64().unwrap() > 0, "{told}");
    assert!(tables(&cache).is_empty());
    edit(&project, 6);
    let fifth = build(&cache);
    assert_eq!(build(&clean), fifth);
    project.succeed(&with_cache(&cache, &["verify", "disk"]));
}

/// Copies what was built to images that a machine runs.
fn deploy(project: &Project) {
    for name in ["disk.raw", "disk.qcow2"] {
        fs::copy(project.path().join("out/disk").join(name), project.path().join(name)).unwrap();
    }
}

fn poke(project: &Project, name: &str, offset: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(project.path().join(name)).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

/// Says whether two files have the same bytes in front of the partition that is the machine's.
fn same_in_front(project: &Project, one: &str, other: &str) -> bool {
    let read = |name: &str| {
        let mut bytes = Vec::new();
        let file = File::open(project.path().join(name)).unwrap();
        file.take(PERSIST_AT).read_to_end(&mut bytes).unwrap();
        bytes
    };
    read(one) == read(other)
}

#[test]
fn images_are_updated_in_place() {
    let (project, cache) = project();
    let succeed = |arguments: &[&str]| project.succeed(&with_cache(&cache, arguments));
    succeed(&["build", "disk"]);
    deploy(&project);
    poke(&project, "disk.raw", PERSIST_AT + 5000, b"what the machine wrote");
    edit(&project, 2);

    let told = succeed(&["update", "disk.raw", "--with", "disk", "--dry-run"]).stdout;
    assert!(told.contains("of `") && told.contains("would be written, in "), "{told}");
    let told = succeed(&["update", "disk.raw", "--with", "disk"]);
    assert!(told.stderr.contains("left alone: `persist`"), "{}", told.stderr);
    assert!(told.stdout.contains("written, in "), "{}", told.stdout);
    succeed(&["build", "disk"]);
    assert!(same_in_front(&project, "disk.raw", "out/disk/disk.raw"));
    let mut found = [0; 22];
    File::open(project.path().join("disk.raw"))
        .unwrap()
        .read_exact_at(&mut found, PERSIST_AT + 5000)
        .unwrap();
    assert_eq!(&found, b"what the machine wrote");
    let again = succeed(&["update", "disk.raw", "--with", "disk"]).stdout;
    assert!(again.contains("is what `disk` gives already"), "{again}");

    // A qcow2 becomes the same disk, and what was removed is gone.
    let json = succeed(&["update", "disk.qcow2", "--with", "disk", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["bytes"].as_u64().unwrap() > 0 && json["recovered"] == false, "{json}");
    // What is in it is the same; how it is wrapped is not.
    succeed(&["diff", "disk.qcow2:ROOT", "out/disk/disk.raw:ROOT"]);
    succeed(&["diff", "disk.qcow2", "out/disk/disk.qcow2"]);
    let edited = succeed(&["inspect", "disk.qcow2:ROOT/usr/lib/edited", "--raw"]).stdout;
    assert_eq!(edited, words(2002, 50_000));
    assert_ne!(project.run(&["inspect", "disk.qcow2:ROOT/etc/removed"]).code, Some(0));

    // A file system alone, of another size.
    fs::copy(project.path().join("out/disk/disk.raw"), project.path().join("kept.raw")).unwrap();
    succeed(&["build", "root"]);
    fs::copy(project.path().join("out/root/root.squashfs"), project.path().join("root.img")).unwrap();
    edit(&project, 3);
    succeed(&["update", "root.img", "--with", "root"]);
    succeed(&["build", "root", "disk"]);
    assert!(
        fs::read(project.path().join("root.img")).unwrap()
            == fs::read(project.path().join("out/root/root.squashfs")).unwrap()
    );

    // And the disk is what the last but one build made of it: that is known, too.
    edit(&project, 4);
    succeed(&["update", "kept.raw", "--with", "disk/disk.raw"]);
    succeed(&["build", "disk"]);
    assert!(same_in_front(&project, "kept.raw", "out/disk/disk.raw"));
}

#[test]
fn an_image_in_out_becomes_the_next_one_unless_somebody_has_it() {
    let (project, cache) = project();
    let disk = project.path().join("out/disk/disk.raw");
    let built = |number| {
        edit(&project, number);
        project.succeed(&with_cache(&cache, &["build", "disk"]));
        let sums = fs::read_to_string(disk.with_file_name("SHA256SUMS")).unwrap();
        let sum = format!("{}  disk.raw", Digest::of(&fs::read(&disk).unwrap()).hex());
        assert!(sums.lines().any(|line| line == sum), "{sums}");
        fs::metadata(&disk).unwrap().ino()
    };
    let first = built(1);
    // Some file systems have no leases, and then it is always a new file.
    let opened = File::options().read(true).write(true).open(&disk).unwrap();
    let has_leases = sandbox::lease::lease(&opened).is_ok_and(|is_alone| is_alone);
    drop(opened);
    let second = built(2);
    assert!(!has_leases || second == first);

    let mut held = File::open(&disk).unwrap();
    let before = fs::read(&disk).unwrap();
    assert_ne!(built(3), second);
    let mut bytes = Vec::new();
    held.read_to_end(&mut bytes).unwrap();
    assert!(bytes == before, "who had it open got another one");
}

#[test]
fn what_must_not_be_updated_is_refused() {
    let (project, cache) = project();
    let succeed = |arguments: &[&str]| project.succeed(&with_cache(&cache, arguments));
    let refused = |arguments: &[&str], code: i32, expected: &[&str]| {
        let before = fs::read(project.path().join("disk.raw")).unwrap();
        check_failure(&run(&mut project.command(&with_cache(&cache, arguments))), code, expected);
        assert!(fs::read(project.path().join("disk.raw")).unwrap() == before);
        assert!(!project.path().join(".disk.raw.update.new").exists());
    };
    succeed(&["build", "disk"]);
    deploy(&project);
    edit(&project, 2);
    let update = ["update", "disk.raw", "--with", "disk"];

    refused(&["update", "missing.raw", "--with", "disk"], 2, &["could not open `"]);
    refused(&["update", "disk.raw", "--with", "dsk"], 2, &["the project has no target `dsk`", "disk"]);
    refused(
        &["update", "disk.raw", "--with", "disk/x"],
        2,
        &["`disk` leaves no file `x`", "`disk/disk.raw`"],
    );
    refused(&["update", "tree", "--with", "disk"], 3, &["could not open `"]);

    // Somebody has it open, as QEMU does.
    let in_use = File::options().read(true).write(true).open(project.path().join("disk.raw")).unwrap();
    fcntl_lock(&in_use, FlockOperation::NonBlockingLockExclusive).unwrap();
    check_failure(
        &run(&mut project.command(&with_cache(&cache, &update))),
        1,
        &["disk.raw` is in use: a machine runs from it, or a tool has it open", "stop the machine first"],
    );
    drop(in_use);
    // Or as programs do that lock nothing.
    let in_use = File::open(project.path().join("disk.raw")).unwrap();
    let holder = format!("(process {}) has it open", std::process::id());
    refused(&update, 1, &["disk.raw` is in use: `", &holder, "stop the machine that runs from it"]);
    drop(in_use);

    // What somebody changed who is not the build.
    poke(&project, "disk.raw", (1 << 20) + 200_000, b"mine");
    refused(&update, 1, &["or was changed since: at 1248576, in `ROOT`", "--keep NAME", "--force"]);
    succeed(&["update", "disk.raw", "--with", "disk", "--force"]);
    succeed(&["build", "disk"]);
    assert!(same_in_front(&project, "disk.raw", "out/disk/disk.raw"));

    // Another layout.
    project.write("bootwright.toml", &RECIPE.replacen("\"6M\"", "\"7M\"", 1));
    refused(&update, 1, &["is laid out in another way", "`ROOT` has 6291456 bytes, and is to have 7340032"]);
    project.write("bootwright.toml", RECIPE);

    // Of a format that is not written in place.
    fs::copy(project.path().join("out/disk/disk.vmdk"), project.path().join("disk.vmdk")).unwrap();
    refused(
        &["update", "disk.vmdk", "--with", "disk"],
        1,
        &["only raw images and qcow2 are updated in place"],
    );

    // Of which nobody knows what it was.
    edit(&project, 3);
    let elsewhere = project.path().join("elsewhere");
    let ran = run(&mut project.command(&with_cache(&elsewhere, &update)));
    // The project is the same, and so is its history: it is the cache that knows nothing.
    check_failure(&ran, 1, &["nothing is known of what"]);
}

#[test]
fn an_update_that_is_killed_leaves_the_old_or_the_new_image() {
    let (project, cache) = project();
    let succeed = |arguments: &[&str]| project.succeed(&with_cache(&cache, arguments));
    succeed(&["build", "disk"]);
    deploy(&project);
    edit(&project, 2);
    succeed(&["build", "disk"]);
    let old = fs::read(project.path().join("disk.raw")).unwrap();
    let new = fs::read(project.path().join("out/disk/disk.raw")).unwrap();
    assert!(old != new);
    let journal = project.path().join(".disk.raw.update");
    let mut n_ended = 0;
    for round in 0..60 {
        // It is the same file: a journal is of one.
        poke(&project, "disk.raw", 0, &old);
        let mut update =
            project.command(&with_cache(&cache, &["update", "disk.raw", "--with", "disk"])).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(500 * round));
        update.kill().unwrap();
        n_ended += u32::from(update.wait().unwrap().success());
        let is_pending = journal.exists();
        let found = fs::read(project.path().join("disk.raw")).unwrap();
        if is_pending {
            project.fail(
                &["inspect", "disk.raw"],
                2,
                &["an update of `", "neither the old nor the new image"],
            );
            let told = succeed(&["update", "disk.raw", "--with", "disk"]).stderr;
            assert!(told.contains("finished the update of `"), "{told}");
        } else {
            assert!(found == old || found == new, "round {round}");
            succeed(&["update", "disk.raw", "--with", "disk"]);
        }
        assert!(fs::read(project.path().join("disk.raw")).unwrap() == new, "round {round}");
        assert!(!journal.exists());
    }
    assert!(n_ended < 60, "none was killed in the middle");
}
