//! What cargo and make build, with the crates that a `Cargo.lock` names.

use std::fs;
use std::path::Path;
use std::process::Command;

use cas::Digest;

use crate::harness::repository::Repository;
use crate::harness::server::Server;
use crate::harness::{Project, check_failure, run, scratch};

const EXAMPLE: &str = "examples/coconut";

#[test]
fn a_program_is_built_with_the_crates_of_its_lock() {
    let project = Project::copy_of(EXAMPLE);
    // What is left of an earlier build of the tree is not part of it.
    project.write("target/x", "x");
    let built = project.succeed(&["build", "loader", "made"]);
    let of = |path: &str| fs::read(project.path().join(path)).unwrap();
    let loader = of("out/loader/bldr");
    assert!(!loader.starts_with(b"\x7fELF"), "`objcopy` made no flat file: {}", built.stderr);
    assert!(String::from_utf8_lossy(&loader).contains("loads the kernel, loudly"), "{}", built.stderr);
    assert!(String::from_utf8_lossy(&of("out/made/svsm")).contains("features vtpm release 1"));
    let again = project.succeed(&["build", "loader", "made", "--offline", "--locked"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    // Neither does another place of the checkout make another kernel, nor what was built in it.
    let elsewhere = Project::copy_of(EXAMPLE);
    let elsewhere_built = elsewhere.succeed(&["build", "loader"]);
    assert!(elsewhere_built.stderr.contains("nothing to do"), "{}", elsewhere_built.stderr);

    project
        .write("bootwright.toml", &project.read("bootwright.toml").replace("made/svsm\"]", "made/svms\"]"));
    project.fail(&["build", "made"], 1, &["`made` failed", "No rule to make target 'made/svms'"]);
    project
        .write("bootwright.toml", &project.read("bootwright.toml").replace("made/svms\"]", "made/init\"]"));
    project.fail(&["build", "made"], 1, &["error: it left no `made/svsm`"]);
}

/// A project of one program that is built with one crate.
struct Program {
    project: Project,
    cargo_home: tempfile::TempDir,
}

const RECIPE: &str = r#"
[stack]
name = "program"

[source.program]
path = "program"

[env.rust]
distro   = "debian:bookworm"
packages = ["rustc-web", "cargo-web", "rust-web-src", "libstd-rust-web-dev", "lld-19", "gcc", "libc6-dev", "make", "sed", "grep"]

[target.program]
kind   = "cargo"
env    = "rust"
source = "program"
bins   = ["program"]

[target.output]
kind    = "command"
env     = "rust"
inputs  = { program = "program" }
run     = "in/program > $OUT/text"
outputs = ["text"]
"#;

impl Program {
    /// A program that prints what a function of the crate returns, which comes from `dependency` and is locked as `locked`.
    fn new(dependency: &str, locked: &str) -> Program {
        let project = Project::new(RECIPE);
        let manifest = format!(
            "[package]\nname = \"program\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ngreeting = {dependency}\n"
        );
        project.write("program/Cargo.toml", &manifest);
        project.write("program/src/main.rs", "fn main() { println!(\"{}\", greeting::greeting()) }\n");
        let lock = format!(
            "version = 3\n\n{locked}\n[[package]]\nname = \"program\"\nversion = \"0.1.0\"\ndependencies = [\n \"greeting\",\n]\n"
        );
        project.write("program/Cargo.lock", &lock);
        Program { project, cargo_home: tempfile::tempdir_in(scratch()).unwrap() }
    }

    /// The command, with `server` as what stands for crates.io.
    fn command(&self, server: &Server, arguments: &[&str]) -> Command {
        let configuration = format!(
            "[source.crates-io]\nreplace-with = \"mirror\"\n[source.mirror]\nregistry = \"sparse+{}\"\n",
            server.url("/index/")
        );
        fs::write(self.cargo_home.path().join("config.toml"), configuration).unwrap();
        let mut command = self.project.command(arguments);
        command.env("CARGO_HOME", self.cargo_home.path()).env("no_proxy", "127.0.0.1");
        command
    }
}

/// Returns a crate as a registry has it: the library says `text`.
fn archive(text: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let manifest = "[package]\nname = \"greeting\"\nversion = \"1.2.3\"\nedition = \"2021\"\n";
    let library = format!("pub fn greeting() -> &'static str {{ {text:?} }}\n");
    for (path, text) in [("Cargo.toml", manifest), ("src/lib.rs", &library)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("greeting-1.2.3/{path}"), text.as_bytes()).unwrap();
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &tar.into_inner().unwrap()).unwrap();
    packed.finish().unwrap()
}

fn locked(archive: &[u8]) -> String {
    let checksum = Digest::of(archive).hex();
    format!(
        "[[package]]\nname = \"greeting\"\nversion = \"1.2.3\"\n\
         source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{checksum}\"\n"
    )
}

#[test]
fn crates_come_from_the_registry_that_cargo_is_configured_for() {
    let text = format!("hello from {}", crate::harness::unique());
    let archive = archive(&text);
    let program = Program::new("\"1.2\"", &locked(&archive));
    let config =
        |server: &Server| format!("{{ \"dl\": \"{}\" }}", server.url("/crates/{crate}-{version}.crate"));
    // Where it is, is known only when it listens.
    let first = Server::new([("/crates/greeting-1.2.3.crate".to_owned(), archive.clone())]);
    let index = Server::new([("/index/config.json".to_owned(), config(&first).into_bytes())]);

    // Its packages are there; the crate is not.
    run(&mut program.command(&index, &["lock"]));
    let offline = run(&mut program.command(&index, &["build", "output", "--offline"]));
    check_failure(&offline, 3, &["1 crates of `program/Cargo.lock` are not here", "bootwright fetch"]);
    let built = run(&mut program.command(&index, &["build", "output"]));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert_eq!(program.project.read("out/output/text"), format!("{text}\n"));
    assert_eq!(first.asked(), ["/crates/greeting-1.2.3.crate"]);
    let again = run(&mut program.command(&index, &["build", "output", "--offline", "--locked"]));
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert_eq!((first.asked().len(), index.asked().len()), (1, 1));
}

#[test]
fn what_registries_have_wrong_is_refused() {
    let text = format!("not there: {}", crate::harness::unique());
    let archive = archive(&text);
    let program = Program::new("\"1.2\"", &locked(&archive));
    let empty = Server::new([]);
    let ran = run(&mut program.command(&empty, &["build"]));
    check_failure(&ran, 3, &["could not fetch the configuration of the registry `http://127.0.0.1"]);
    let odd = Server::new([("/index/config.json".to_owned(), b"{}".to_vec())]);
    check_failure(&run(&mut program.command(&odd, &["build"])), 3, &["does not say where crates are"]);

    let other = self::archive("something else");
    let crates = Server::new([("/c/greeting/1.2.3/download".to_owned(), other)]);
    let config = format!("{{ \"dl\": \"{}\" }}", crates.url("/c"));
    let index = Server::new([("/index/config.json".to_owned(), config.into_bytes())]);
    let ran = run(&mut program.command(&index, &["build"]));
    check_failure(&ran, 3, &["could not fetch greeting-1.2.3", "another file than `Cargo.lock` names"]);
    let gone = format!("{{ \"dl\": \"{}\" }}", crates.url("/gone"));
    let index = Server::new([("/index/config.json".to_owned(), gone.into_bytes())]);
    let ran = run(&mut program.command(&index, &["build"]));
    check_failure(&ran, 3, &["could not fetch greeting-1.2.3", "the registry has no such crate"]);

    // What is no archive, under the right checksum.
    let program = Program::new("\"1.2\"", &locked(text.as_bytes()));
    let crates = Server::new([("/c/greeting/1.2.3/download".to_owned(), text.into_bytes())]);
    let config = format!("{{ \"dl\": \"{}\" }}", crates.url("/c"));
    let index = Server::new([("/index/config.json".to_owned(), config.into_bytes())]);
    let ran = run(&mut program.command(&index, &["build"]));
    check_failure(&ran, 2, &["the archive of source `greeting-1.2.3` cannot be unpacked"]);

    program.project.write("program/Cargo.lock", "version = 9\n");
    check_failure(
        &run(&mut program.command(&index, &["build"])),
        2,
        &["`program/Cargo.lock` does not say which crates there are: it has version 9", "bootwright.toml:"],
    );
}

#[test]
fn crates_come_from_repositories() {
    let text = format!("hello from a commit, {}", crate::harness::unique());
    let place = tempfile::tempdir_in(scratch()).unwrap();
    let repository = Repository::create(place.path());
    let library = format!("pub fn greeting() -> &'static str {{ words::WORDS[{}] }}\n", 0);
    let words = format!("pub const WORDS: [&str; 1] = [{text:?}];\n");
    let commit = repository.commit_files(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = [\"deep/*\"]\n[workspace.package]\nversion = \"2.0.0\"\nedition = \"2021\"\n\
             [workspace.dependencies]\nwords = { path = \"deep/words\" }\n",
        ),
        (
            "deep/greeting/Cargo.toml",
            "[package]\nname = \"greeting\"\nversion.workspace = true\nedition.workspace = true\n\
             [dependencies]\nwords.workspace = true\n",
        ),
        ("deep/greeting/src/lib.rs", &library),
        ("deep/words/Cargo.toml", "[package]\nname = \"words\"\nversion = \"0.4.0\"\nedition = \"2021\"\n"),
        ("deep/words/src/lib.rs", &words),
        // Repositories have manifests that are not meant for anybody.
        ("tests/broken/Cargo.toml", "[package\n"),
    ]);
    repository.set("refs/heads/main", commit);
    let url = format!("file://{}", place.path().display());
    let locked = |commit: &str| {
        format!(
            "[[package]]\nname = \"greeting\"\nversion = \"2.0.0\"\nsource = \"git+{url}#{commit}\"\n\
             dependencies = [\n \"words\",\n]\n\n\
             [[package]]\nname = \"words\"\nversion = \"0.4.0\"\nsource = \"git+{url}#{commit}\"\n"
        )
    };
    let program = Program::new(&format!("{{ git = {url:?} }}"), &locked(&commit.to_string()));
    let built = program.project.succeed(&["build", "output"]);
    assert_eq!(program.project.read("out/output/text"), format!("{text}\n"), "{}", built.stderr);

    let absent = Program::new("\"1\"", &locked(&commit.to_string()).replace("0.4.0", "0.5.0"));
    absent.project.fail(&["plan"], 2, &["has no crate `words-0.5.0` at", "cargo update"]);
    let gone = Program::new("\"1\"", &locked(&"0".repeat(40)));
    gone.project.fail(&["plan"], 2, &["could not fetch source `greeting`"]);
    assert!(Path::new(place.path()).exists());
}
