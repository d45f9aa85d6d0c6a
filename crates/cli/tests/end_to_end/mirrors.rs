//! Packages that have left the mirrors, and servers that have something else than what is pinned.

use std::fs;

use crate::harness::server::Server;
use crate::harness::{Project, Ran, check_failure, run, scratch, shared_cache};

/// One package, which nothing but the extraction of a file needs.
const RECIPE: &str = "[stack]\nname = \"x\"\n[target.hello]\nkind = \"extract\"\ndistro = \"debian:bookworm\"\n\
                      packages = [\"hello\"]\nfiles = { hello = \"/usr/bin/hello\" }\n";
/// A name that no mirror has.
const GONE: &str = "pool/main/h/hello/hello_0.1-gone_amd64.deb";

/// A project whose lock pins a package that left the mirrors, and the bytes of that package.
struct Left {
    project: Project,
    deb: Vec<u8>,
    /// When the archive that had it was made.
    date: String,
}

impl Left {
    fn new() -> Left {
        let project = Project::new(RECIPE);
        project.succeed(&["fetch"]);
        let lock = project.read("bootwright.lock");
        let word = |key: &str| {
            let rest = &lock[lock.find(&format!("{key} = \"")).unwrap() + key.len() + 4..];
            rest[..rest.find('"').unwrap()].to_owned()
        };
        let sha256 = word("sha256");
        let blob = shared_cache().join("store/blobs").join(&sha256[..2]).join(&sha256[2..]);
        let left = Left { deb: fs::read(blob).unwrap(), date: word("date"), project };
        left.project.write("bootwright.lock", &lock.replace(&word("filename"), GONE));
        left
    }

    /// Builds with nothing in the cache and `server` as mirror and as archive of snapshots.
    fn build(&self, server: &Server) -> Ran {
        let cache = tempfile::tempdir_in(scratch()).unwrap();
        let mut command = self.project.command(&["build"]);
        command.env("BOOTWRIGHT_CACHE", cache.path()).env("no_proxy", "127.0.0.1");
        command.args(["--mirror", &server.url("/debian"), "--snapshots", &server.url("/archive/")]);
        run(&mut command)
    }

    fn snapshot(&self) -> String {
        format!("/archive/debian/{}/{GONE}", self.date)
    }
}

#[test]
fn what_left_the_mirrors_comes_from_a_snapshot() {
    let left = Left::new();
    let server = Server::new([(left.snapshot(), left.deb.clone())]);
    let built = left.build(&server);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let asked = server.asked();
    // The mirror is asked first, and of snapshots the one taken after the archive was made.
    assert_eq!(asked[0], format!("/debian/{GONE}"));
    assert!(asked[1].starts_with("/archive/debian/2"), "{asked:?}");
    assert_eq!(asked.last(), Some(&left.snapshot()));
    let hello = fs::metadata(left.project.path().join("out/hello/hello")).unwrap();
    assert!(hello.len() > 10_000);
}

#[test]
fn what_is_nowhere_fails_with_advice() {
    let left = Left::new();
    let server = Server::new([]);
    let failed = left.build(&server);
    check_failure(
        &failed,
        3,
        &["could not fetch hello_0.1-gone_amd64.deb", "--snapshots", "bootwright lock --update"],
    );
    assert!(!left.project.path().join("out/hello/hello").exists());
}

#[test]
fn an_altered_or_truncated_package_is_not_taken() {
    let left = Left::new();
    let mut altered = left.deb.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    let truncated = left.deb[..middle].to_vec();
    for (body, expected) in [(altered, "SHA-256"), (truncated, "bytes instead of")] {
        let server = Server::new([(left.snapshot(), body)]);
        check_failure(&left.build(&server), 3, &["could not fetch hello_0.1-gone_amd64.deb", expected]);
        assert!(!left.project.path().join("out/hello/hello").exists());
    }
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let server = Server::new([("/there.txt".to_owned(), b"there".to_vec())]);
    let recipe = |file: &str| {
        format!(
            "[stack]\nname = \"x\"\n[source.text]\nurl = \"{}\"\n[env.small]\ndistro = \"debian:bookworm\"\n\
             [target.copy]\nkind = \"command\"\nenv = \"small\"\nsources = [\"text\"]\nrun = \"cp src/text $OUT/text\"\n",
            server.url(file)
        )
    };
    let lock = |project: &Project| run(project.command(&["lock"]).env("no_proxy", "127.0.0.1"));
    let missing = Project::new(&recipe("/missing.txt"));
    check_failure(&lock(&missing), 3, &["could not fetch text", "/missing.txt` does not exist"]);
    assert!(!missing.path().join("bootwright.lock").exists());
    let there = Project::new(&recipe("/there.txt"));
    let locked = lock(&there);
    assert_eq!(locked.code, Some(0), "{}", locked.stderr);
    assert!(there.read("bootwright.lock").contains("/there.txt"));
}
