//! Projects in scratch directories, and `bootwright` run on them.

pub(crate) mod guest;
pub(crate) mod repository;
pub(crate) mod server;
pub(crate) mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// A project in a directory of its own.
pub(crate) struct Project {
    directory: tempfile::TempDir,
}

/// What a run of `bootwright` gave.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Project {
    /// Returns a project with this text.
    pub(crate) fn new(recipe: &str) -> Project {
        let project = Project { directory: tempfile::tempdir_in(scratch()).unwrap() };
        project.write("bootwright.toml", recipe);
        project
    }

    /// Returns a copy of the project at `path`, relative to the workspace. Its lock and results stay behind.
    pub(crate) fn copy_of(path: &str) -> Project {
        let project = Project { directory: tempfile::tempdir_in(scratch()).unwrap() };
        copy(&workspace().join(path), project.path());
        project
    }

    /// Returns its directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file of it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Reads a file of it.
    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.path().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Returns the command that runs `bootwright` on it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootwright"));
        command.arg("-C").arg(self.path()).args(arguments).env("BOOTWRIGHT_CACHE", shared_cache());
        command.env("PROGRESS", "plain").stdin(Stdio::null());
        command
    }

    /// Runs `bootwright` on it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// Runs `bootwright` on it, which must succeed.
    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// Runs `bootwright` on it, which must end with `code` and say each of `expected`.
    #[track_caller]
    pub(crate) fn fail(&self, arguments: &[&str], code: i32, expected: &[&str]) -> Ran {
        let ran = self.run(arguments);
        check_failure(&ran, code, expected);
        ran
    }
}

/// Checks the exit code and that standard error says each of `expected`.
#[track_caller]
pub(crate) fn check_failure(ran: &Ran, code: i32, expected: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    for text in expected {
        assert!(ran.stderr.contains(text), "not said: {text}\n{}", ran.stderr);
    }
    for never in ["panicked", "error: error:"] {
        assert!(!ran.stderr.contains(never), "{}", ran.stderr);
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Says why a test cannot run here. Under `CI=1` it has to.
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "1"), "under CI=1 this has to run: {why}");
}

/// Returns a word that no earlier run of the tests had: what contains it is in no cache yet.
pub(crate) fn unique() -> &'static str {
    static UNIQUE: OnceLock<String> = OnceLock::new();
    UNIQUE.get_or_init(|| {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        format!("{}-{}", since_1970.as_nanos(), std::process::id())
    })
}

/// Returns the top of the checkout.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Returns a directory for projects and caches.
pub(crate) fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Returns the cache that all tests share, also with earlier runs of them.
pub(crate) fn shared_cache() -> PathBuf {
    scratch().join("cache")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let target = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            if name != "out" {
                fs::create_dir_all(&target).unwrap();
                copy(&entry.path(), &target);
            }
        } else if name != "bootwright.lock" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
