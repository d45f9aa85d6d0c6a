//! Repositories in repositories.

use cas::{Digest, ImportMode};
use gix_hash::ObjectId;

use crate::repository::{FILE, MODULE, Repository, TREE};
use crate::server::{Server, status};
use crate::upload::Service;
use crate::world::{World, text};

/// A repository whose submodules are at these paths and addresses, all at the commit of `inner`.
fn outer(modules: &[(&str, &str, &str)], inner: ObjectId) -> (Repository, ObjectId) {
    let mut repository = Repository::default();
    let mut file = String::new();
    for (path, url, more) in modules {
        file.push_str(&format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n{more}"));
    }
    let file = repository.blob(file.as_bytes());
    let lib = repository.tree(&[(MODULE, b"inner", inner)]);
    let tree = repository.tree(&[(FILE, b".gitmodules", file), (TREE, b"lib", lib), (MODULE, b"top", inner)]);
    let commit = repository.commit(tree, &[]);
    repository.set("refs/heads/main", commit);
    (repository, commit)
}

/// What is at `path` of a tree, as text.
fn content(world: &World, tree: &Digest, path: &str) -> Option<String> {
    let directory = tempfile::tempdir_in(world.directory.path()).unwrap();
    let root = directory.path().join("out");
    world.store.checkout(tree, &root).unwrap();
    if root.join(path).is_dir() {
        return Some(format!("{} entries", std::fs::read_dir(root.join(path)).unwrap().count()));
    }
    std::fs::read_to_string(root.join(path)).ok()
}

#[test]
fn submodules_are_placed_where_they_belong() {
    let world = World::new();
    let (innermost, innermost_commit) = Repository::with_file(b"innermost");
    let (middle, middle_commit) =
        outer(&[("lib/inner", "../innermost.git", ""), ("top", "./../innermost.git", "")], innermost_commit);
    let modules = [("lib/inner", "../middle.git", ""), ("top", "../none.git", "\tupdate = none\n")];
    let (top, top_commit) = outer(&modules, middle_commit);
    let base = world.directory.path().join("group");
    let repositories = [("innermost.git", innermost), ("middle.git", middle), ("top.git", top)];
    for (name, repository) in &repositories {
        repository.write(&base.join(name));
    }
    let server = Server::start(move |seen| {
        let found = repositories.iter().find(|(name, _)| seen.target.starts_with(&format!("/group/{name}")));
        match found {
            Some((name, repository)) => Service::new(repository).answer(seen, &format!("/group/{name}")),
            None => status(404, &[]),
        }
    });
    let mut trees = Vec::new();
    for address in [base.join("top.git").display().to_string(), server.url("/group/top.git")] {
        let address = world.address(&address);
        let tree = world.checkout_with_submodules(&address, top_commit).unwrap();
        assert_eq!(content(&world, &tree, "lib/inner/top/file").as_deref(), Some("innermost"));
        assert_eq!(content(&world, &tree, "lib/inner/lib/inner/file").as_deref(), Some("innermost"));
        assert_eq!(content(&world, &tree, "top").as_deref(), Some("0 entries"));
        let without = world.checkout(&address, top_commit, "main").unwrap();
        assert_eq!(content(&world, &without, "lib/inner").as_deref(), Some("0 entries"));
        trees.push((tree, without));
    }
    assert_eq!(trees[0], trees[1]);
    // An empty directory is what an empty directory is.
    let empty = world.directory.path().join("empty");
    std::fs::create_dir_all(empty.join("lib/inner")).unwrap();
    std::fs::create_dir_all(empty.join("top")).unwrap();
    let file = content(&world, &trees[0].1, ".gitmodules").unwrap();
    std::fs::write(empty.join(".gitmodules"), file).unwrap();
    assert_eq!(world.store.import_tree(&empty, ImportMode::Copy).unwrap().digest, trees[0].1);
}

#[test]
fn submodules_that_cannot_be_had() {
    let world = World::new();
    let (inner, commit) = Repository::with_file(b"inner");
    inner.write(&world.directory.path().join("inner.git"));
    let (other, _) = Repository::with_file(b"other");
    other.write(&world.directory.path().join("other.git"));
    let secret = world.directory.path().join("inner.git").display().to_string();
    let check = |is_local: bool, url: &str, expected: &str| {
        let (top, top_commit) = outer(&[("lib/inner", url, "")], commit);
        let directory = tempfile::tempdir_in(world.directory.path()).unwrap();
        let address = if is_local {
            top.write(&directory.path().join("top.git"));
            directory.path().join("top.git").display().to_string()
        } else {
            world.serve(Service::new(&top))
        };
        let address = world.address(&address);
        let error = world.checkout_with_submodules(&address, top_commit).unwrap_err();
        let found = text(&error).replace(&world.directory.path().display().to_string(), "DIR");
        assert_eq!(found, expected.replace("COMMIT", &commit.to_string()));
    };
    let could_not = "could not fetch submodule `lib/inner`";
    check(
        false,
        "git@a.example:x/y.git",
        &format!("{could_not}: `git@a.example:x/y.git` is an SSH address, and SSH is not spoken here"),
    );
    // Whoever serves a repository must not make us read what is on this machine.
    for local in [secret.clone(), format!("file://{secret}")] {
        let shown = local.replace(&world.directory.path().display().to_string(), "DIR");
        check(false, &local, &format!("{could_not}: `{shown}` is no address of a git repository"));
    }
    check(false, "../../../x", &format!("{could_not}: `../../../x` is no address of a git repository"));
    check(
        true,
        &world.directory.path().join("other.git").display().to_string(),
        &format!("{could_not}: `DIR/other.git` does not have commit COMMIT"),
    );
    check(
        true,
        &world.directory.path().join("none.git").display().to_string(),
        &format!("{could_not}: there is no git repository at `DIR/none.git`: it does not exist"),
    );

    let (top, top_commit) = outer(&[("lib/else", &secret, "")], commit);
    top.write(&world.directory.path().join("top.git"));
    let address = world.address("./top.git");
    let error = world.checkout_with_submodules(&address, top_commit).unwrap_err();
    assert_eq!(
        text(&error),
        format!(
            "`lib/inner` of commit {top_commit} cannot be used: `.gitmodules` does not say where it comes from"
        )
    );

    let mut bad = Repository::default();
    let file = bad.blob(b"[submodule \"x\n");
    let tree = bad.tree(&[(FILE, b".gitmodules", file), (MODULE, b"x", commit)]);
    let bad_commit = bad.commit(tree, &[]);
    bad.write(&world.directory.path().join("bad.git"));
    let error = world.checkout_with_submodules(&world.address("./bad.git"), bad_commit).unwrap_err();
    assert!(text(&error).contains("its `.gitmodules` cannot be read"), "{}", text(&error));
}

#[test]
fn submodules_end_somewhere() {
    // A commit cannot contain itself, but others can go on for long.
    let world = World::new();
    let (_, mut commit) = Repository::with_file(b"inner");
    let base = world.directory.path().join("group");
    for idx in 0..20 {
        let url = format!("../{}.git", idx - 1);
        let (repository, next) =
            outer(&[("lib/inner", &url, ""), ("top", &url, "\tupdate = none\n")], commit);
        repository.write(&base.join(format!("{idx}.git")));
        commit = next;
    }
    let address = world.address(&base.join("19.git").display().to_string());
    let error = world.checkout_with_submodules(&address, commit).unwrap_err();
    assert!(text(&error).ends_with("it is a submodule of too many others"), "{}", text(&error));
}

#[test]
fn submodules_are_fetched_once_each() {
    // Two of each level in the next: 2^14 of the innermost.
    let world = World::new();
    let (innermost, mut commit) = Repository::with_file(b"inner");
    let base = world.directory.path().join("group");
    innermost.write(&base.join("0.git"));
    for level in 1..15 {
        let url = format!("../{}.git", level - 1);
        let (repository, next) = outer(&[("lib/inner", &url, ""), ("top", &url, "")], commit);
        repository.write(&base.join(format!("{level}.git")));
        commit = next;
    }
    let address = world.address(&base.join("14.git").display().to_string());
    assert!(world.checkout_with_submodules(&address, commit).is_ok());
}

#[test]
fn submodules_do_not_come_to_more_than_a_tree_may() {
    let world = World::new();
    let check = |names: &[&str], expected: &str| {
        let base = tempfile::tempdir_in(world.directory.path()).unwrap();
        let (innermost, mut commit) = Repository::with_file(b"inner");
        innermost.write(&base.path().join("0.git"));
        for level in 1..16 {
            let mut repository = Repository::default();
            let module = |name: &&str| {
                format!("[submodule \"{name}\"]\n\tpath = {name}\n\turl = ../{}.git\n", level - 1)
            };
            let file = repository.blob(names.iter().map(module).collect::<String>().as_bytes());
            let mut entries = vec![(FILE, &b".gitmodules"[..], file)];
            entries.extend(names.iter().map(|name| (MODULE, name.as_bytes(), commit)));
            let tree = repository.tree(&entries);
            commit = repository.commit(tree, &[]);
            repository.set("refs/heads/main", commit);
            repository.write(&base.path().join(format!("{level}.git")));
        }
        let address = world.address(&base.path().join("15.git").display().to_string());
        let error = world.checkout_with_submodules(&address, commit).unwrap_err();
        assert!(text(&error).ends_with(expected), "{}", text(&error));
    };
    check(&["a", "b", "c"], "with its submodules the tree has too many entries");
    check(&[&"a".repeat(200)], "with its submodules the directories of the tree lie too deep");
}
