//! Commits from repositories of this machine and of servers, good ones and others.

#![allow(clippy::disallowed_methods, reason = "that nothing takes long is shown by the clock only")]
#![allow(clippy::unwrap_used, reason = "what a helper of a test cannot have, the test cannot do without")]

#[path = "git/hostile.rs"]
mod hostile;
#[path = "git/repository.rs"]
mod repository;
#[path = "fetch/server.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod server;
#[path = "git/servers.rs"]
mod servers;
#[path = "git/submodules.rs"]
mod submodules;
#[path = "git/upload.rs"]
mod upload;
#[path = "git/world.rs"]
mod world;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::thread;

use cas::{Digest, ImportMode, LocalStore};
use gix_hash::ObjectId;
use local::fetch::git::{CheckedOut, Checkout};
use repository::{FILE, LINK, PROGRAM, Repository, TREE};
use upload::{Policy, Service};
use world::{World, text};

/// A repository with all that a tree may have.
fn everything() -> (Repository, ObjectId) {
    let mut repository = Repository::default();
    let (text, empty) = (repository.blob(b"text\r\nwith $Id$ and \xff\n"), repository.blob(b""));
    let pointer = repository.blob(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    let attributes = repository.blob(b"* text=auto eol=crlf ident\n*.bin filter=lfs\n");
    let (inside, outside) = (repository.blob(b"../run"), repository.blob(b"/etc/passwd"));
    let inner = repository.tree(&[(FILE, b"empty", empty), (LINK, b"link", inside), (LINK, b"out", outside)]);
    let tree = repository.tree(&[
        (FILE, b".gitattributes", attributes),
        (FILE, b"large.bin", pointer),
        (PROGRAM, b"run", text),
        ("100664", b"old", text),
        (TREE, b"sub", inner),
        (TREE, "sub-\u{fc}".as_bytes(), inner),
    ]);
    let commit = repository.commit(tree, &[]);
    repository.set("refs/heads/main", commit);
    (repository, commit)
}

/// Makes what `everything` has, and returns the digest that the store gives it.
fn everything_imported(directory: &Path, store: &LocalStore) -> Digest {
    let root = directory.join("expected");
    fs::create_dir(&root).unwrap();
    let text = b"text\r\nwith $Id$ and \xff\n";
    fs::write(root.join(".gitattributes"), "* text=auto eol=crlf ident\n*.bin filter=lfs\n").unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    fs::write(root.join("large.bin"), pointer).unwrap();
    fs::write(root.join("old"), text).unwrap();
    fs::write(root.join("run"), text).unwrap();
    fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["sub", "sub-\u{fc}"] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("empty"), "").unwrap();
        symlink("../run", root.join(name).join("link")).unwrap();
        symlink("/etc/passwd", root.join(name).join("out")).unwrap();
    }
    store.import_tree(&root, ImportMode::Copy).unwrap().digest
}

#[test]
fn every_way_gives_the_tree_as_it_is_committed() {
    let world = World::new();
    let (repository, commit) = everything();
    let expected = everything_imported(world.directory.path(), &world.store);
    let bare = world.directory.path().join("x.git");
    repository.write(&bare);
    let mut addresses = vec![bare.display().to_string(), format!("file://{}", bare.display())];
    addresses.push("./x.git".to_owned());
    for version in [0, 2] {
        let service = Service { version, ..Service::new(&repository) };
        addresses.push(format!("git://127.0.0.1:{}/x.git", service.clone().daemon()));
        addresses.push(world.serve(service));
    }
    for address in &addresses {
        // A store of its own, so that nothing is there already.
        let other = World::new();
        let address = world.address(address);
        assert_eq!(world.fetcher().resolve_rev(&address, "main").unwrap().to_string(), commit.to_string());
        let id = commit.to_string().parse().unwrap();
        let wanted =
            Checkout { address: &address, commit: id, rev: "main", submodules: false, offline: false };
        let CheckedOut { tree, date } = other.fetcher().checkout(&wanted, &other.store, &|_| ()).unwrap();
        assert_eq!((tree, date), (expected, repository::DATE), "{address}");
        let directory = other.directory.path().join("out");
        other.store.checkout(&tree, &directory).unwrap();
        assert_eq!(fs::read(directory.join("run")).unwrap(), b"text\r\nwith $Id$ and \xff\n");
        assert!(fs::metadata(directory.join("run")).unwrap().permissions().mode() & 0o100 != 0);
        assert_eq!(other.scratch(), Vec::<String>::new(), "{address}");
    }
}

#[test]
fn names_of_commits() {
    let (mut repository, first) = Repository::with_file(b"one");
    let tree = repository.tree(&[]);
    let second = repository.commit(tree, &[first]);
    let (tag, of_tree) = (repository.tag(first), repository.tag(tree));
    let tag_of_tag = repository.tag(tag);
    for (name, id) in [
        ("refs/heads/main", second),
        ("refs/heads/both", second),
        ("refs/tags/both", tag),
        ("refs/tags/twice", tag_of_tag),
        ("refs/tags/light", first),
        ("refs/tags/of-tree", of_tree),
        ("refs/heads/release/1.x", first),
        ("refs/pull/1/head", second),
    ] {
        repository.set(name, id);
    }
    let world = World::new();
    let bare = world.directory.path().join("x.git");
    repository.write(&bare);
    let old = Service { version: 0, ..Service::new(&repository) };
    for address in [bare.display().to_string(), world.serve(old), world.serve(Service::new(&repository))] {
        let address = world.address(&address);
        let check = |rev: &str, expected: &str| {
            let found = match world.fetcher().resolve_rev(&address, rev) {
                Ok(commit) => commit.to_string(),
                Err(error) => text(&error).replace(&address.to_string(), "REPO"),
            };
            assert_eq!(found, expected, "{rev} of {address}");
        };
        let (first, second) = (first.to_string(), second.to_string());
        check("main", &second);
        check("HEAD", &second);
        check("both", &first);
        check("heads/both", &second);
        check("refs/heads/both", &second);
        check("twice", &first);
        check("light", &first);
        check("release/1.x", &first);
        check("refs/pull/1/head", &second);
        check(&first, &first);
        check("mian", "`REPO` has no tag or branch `mian`");
        let short = &first[..10];
        check(short, &format!("`{short}` is no tag or branch of `REPO`, and as a commit it is incomplete"));
        let error = world.fetcher().resolve_rev(&address, short).unwrap_err();
        assert!(matches!(error, local::fetch::git::GitError::Abbreviated { candidate: Some(_), .. }));

        // Only a server that is asked for it says what a tag of a directory is.
        let of_tree = match world.fetcher().resolve_rev(&address, "of-tree") {
            Ok(commit) => world.checkout_id(&address, commit, "of-tree").unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(
            text(&of_tree).replace(&address.to_string(), "REPO"),
            "`of-tree` of `REPO` is a tree, not a commit"
        );
    }
}

#[test]
fn what_a_server_keeps_to_itself_is_found_by_what_it_shows() {
    let (mut repository, first) = Repository::with_file(b"one");
    let blob = repository.blob(b"two");
    let tree = repository.tree(&[(FILE, b"file", blob)]);
    let second = repository.commit(tree, &[first]);
    let tag = repository.tag(first);
    repository.set("refs/heads/main", second);
    for version in [0, 2] {
        let service = Service { version, policy: Policy::Tips, ..Service::new(&repository) };
        let world = World::new();
        let address = world.address(&world.serve(service.clone()));
        // What was `main` is in its history now.
        let one = world.checkout(&address, first, "main").unwrap();
        // An annotated tag stands for it, and is what can be asked for.
        let mut tagged = service.clone();
        tagged.repository.set("refs/tags/v1", tag);
        tagged.repository.references.remove("refs/heads/main");
        let address = world.address(&world.serve(tagged));
        assert_eq!(world.checkout(&address, first, "v1").unwrap(), one);
        // The branch that it was on is gone, and another one has it.
        let mut elsewhere = service.clone();
        let orphan = elsewhere.repository.commit(tree, &[]);
        elsewhere.repository.set("refs/heads/main", orphan);
        elsewhere.repository.set("refs/heads/other", second);
        let address = world.address(&world.serve(elsewhere));
        assert_eq!(world.checkout(&address, first, "main").unwrap(), one);
    }
}

#[test]
fn what_was_moved_away_is_missed() {
    let (mut repository, first) = Repository::with_file(b"one");
    repository.set("refs/tags/v1", first);
    let (mut moved, second) = Repository::with_file(b"two");
    moved.set("refs/tags/v1", second);
    let world = World::new();
    let bare = world.directory.path().join("x.git");
    moved.write(&bare);
    for address in [
        bare.display().to_string(),
        world.serve(Service::new(&moved)),
        world.serve(Service { version: 0, policy: Policy::Tips, ..Service::new(&moved) }),
    ] {
        let address = world.address(&address);
        let check = |rev: &str, now: &str| {
            let error = world.checkout(&address, first, rev).unwrap_err();
            let expected = format!("`{address}` does not have commit {first}{now}");
            assert_eq!(text(&error), expected);
        };
        check("v1", &format!(": `v1` is {second} now"));
        check("v2", "");
        check(&first.to_string(), "");
    }
}

#[test]
fn repositories_of_this_machine_in_all_their_shapes() {
    let world = World::new();
    let (repository, commit) = everything();
    let expected = everything_imported(world.directory.path(), &world.store);
    let path = |name: &str| world.directory.path().join(name);
    let check = |name: &str, expected: Result<Digest, &str>| {
        let address = world.address(&path(name).display().to_string());
        let found = world
            .fetcher()
            .resolve_rev(&address, "main")
            .and_then(|commit| world.checkout_id(&address, commit, "main"))
            .map_err(|error| text(&error).replace(&address.to_string(), "REPO"));
        assert_eq!(found, expected.map_err(str::to_owned), "{name}");
    };
    repository.write(&path("bare.git"));
    // With files beside it.
    repository.write(&path("files/.git"));
    check("files", Ok(expected));
    // A further work tree, which has a `HEAD` of its own.
    fs::create_dir_all(path("bare.git/worktrees/more")).unwrap();
    fs::write(path("bare.git/worktrees/more/commondir"), "../..\n").unwrap();
    fs::write(path("bare.git/worktrees/more/HEAD"), format!("{commit}\n")).unwrap();
    fs::create_dir(path("more")).unwrap();
    let pointer = format!("gitdir: {}\n", path("bare.git/worktrees/more").display());
    fs::write(path("more/.git"), pointer).unwrap();
    check("more", Ok(expected));
    // Its references in one file, its objects with somebody else.
    fs::create_dir_all(path("packed.git/objects/info")).unwrap();
    fs::write(path("packed.git/HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(
        path("packed.git/packed-refs"),
        format!("# pack-refs with: peeled\n{commit} refs/heads/main\n"),
    )
    .unwrap();
    let alternates = format!("{}\n", path("bare.git/objects").display());
    fs::write(path("packed.git/objects/info/alternates"), alternates).unwrap();
    check("packed.git", Ok(expected));

    check("nowhere", Err("there is no git repository at `REPO`: it does not exist"));
    fs::create_dir(path("empty")).unwrap();
    check("empty", Err("there is no git repository at `REPO`: the directory has no `.git` and is none"));
    fs::write(path("file"), "").unwrap();
    check("file", Err("there is no git repository at `REPO`: it is no directory"));
    fs::create_dir(path("broken")).unwrap();
    fs::write(path("broken/.git"), "gitdir: ../nowhere\n").unwrap();
    check("broken", Err("there is no git repository at `REPO`: its `.git` is incomplete"));
    for (name, extension, reason) in [
        ("sha256", "objectFormat = sha256", "names its objects by SHA-256"),
        ("reftable", "refStorage = reftable", "keeps its references in a `reftable`"),
    ] {
        repository.write(&path(name));
        fs::write(path(name).join("config"), format!("[extensions]\n\t{extension}\n")).unwrap();
        check(name, Err(&format!("the repository `REPO` {reason}, which is not supported")));
    }
}

#[test]
fn damaged_objects_are_noticed() {
    let world = World::new();
    let (repository, commit) = everything();
    let bare = world.directory.path().join("x.git");
    repository.write(&bare);
    let address = world.address(&bare.display().to_string());
    let (mut other, _) = Repository::with_file(b"other");
    let other_blob = other.blob(b"other");
    other.write(&world.directory.path().join("other.git"));
    let loose = |directory: &Path, id: &ObjectId| {
        let hex = id.to_string();
        directory.join("objects").join(&hex[..2]).join(&hex[2..])
    };
    for id in repository.objects.keys() {
        let path = loose(&bare, id);
        let good = fs::read(&path).unwrap();
        // Another object, a part of it, nothing, none.
        let whole = fs::read(loose(&world.directory.path().join("other.git"), &other_blob)).unwrap();
        for bytes in [Some(whole), Some(good[..good.len() / 2].to_vec()), Some(Vec::new()), None] {
            fs::remove_file(&path).unwrap();
            if let Some(bytes) = &bytes {
                fs::write(&path, bytes).unwrap();
            }
            let error = world.checkout(&address, commit, "main").unwrap_err();
            let is_gone = text(&error).contains("does not have commit");
            assert!(is_gone || text(&error).contains("cannot be used"), "{}", text(&error));
        }
        let _ = fs::remove_file(&path);
        fs::write(&path, good).unwrap();
    }
    world.checkout(&address, commit, "main").unwrap();
}

#[test]
fn several_at_once_and_again() {
    let (repository, commit) = everything();
    let world = World::new();
    let address = world.address(&world.serve(Service::new(&repository)));
    let expected = world.checkout(&address, commit, "main").unwrap();
    let fresh = World::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // As another process would have it.
                let store = LocalStore::open(&fresh.directory.path().join("store")).unwrap();
                let found = fresh.checkout_into(&store, &address, commit, "main").unwrap();
                assert_eq!(found, expected);
            });
        }
    });
    fresh.store.checkout(&expected, &fresh.directory.path().join("out")).unwrap();
}
