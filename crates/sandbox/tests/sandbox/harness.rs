//! Runs the tests, and describes the sandboxes that they run in.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use sandbox::{
    Child, Ended, Error, Files, Mount, Overlay, Root, Sandbox, Standard, Stream, User, Writable, remove_tree,
    spawn,
};

/// A test: its name, and what panics when it fails.
pub(crate) type Test = (&'static str, fn());

/// The ordinary users as whom the tests are run again when we are root: one that nobody is, and `nobody`, who
/// stands for everybody that has no number in a user namespace.
const ORDINARY_USERS: [u32; 2] = [54_321, 65_534];

/// Where the program itself is in a sandbox.
pub(crate) const PROGRAM: &str = "/build/tools/program";

static SCRATCH: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();

/// Runs those of `tests` that `arguments` ask for as libtest would, and returns whether all passed.
pub(crate) fn run(tests: &[Test], arguments: &[&str]) -> ExitCode {
    let mut filters = Vec::new();
    let mut scratch = None;
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        match argument {
            "--scratch" => scratch = rest.next().map(PathBuf::from),
            "--list" => {
                tests.iter().for_each(|(name, _)| println!("{name}: test"));
                return ExitCode::SUCCESS;
            }
            "--test-threads" | "--skip" | "--color" | "--format" | "-Z" => _ = rest.next(),
            _ if argument.starts_with('-') => {}
            filter => filters.push(filter),
        }
    }
    let again = scratch.is_some();
    let scratch = scratch.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    SCRATCH.set(scratch).expect("the first to set it");

    let chosen: Vec<_> = tests
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(f)))
        .collect();
    println!("\nrunning {} tests as user {}", chosen.len(), rustix::process::geteuid().as_raw());
    let mut failed = Vec::new();
    for (name, test) in chosen {
        let start = Instant::now();
        let passed = catch_unwind(test).is_ok();
        let took = start.elapsed().as_millis();
        println!("test {name} ... {} ({took} ms)", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(*name);
        }
    }
    println!("\ntest result: {} failed {failed:?}", failed.len());
    let is_root = rustix::process::geteuid().is_root();
    let passed_again = again || !is_root || ORDINARY_USERS.iter().all(|&user| run_as(user, &filters));
    if failed.is_empty() && passed_again { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_as(user: u32, filters: &[&str]) -> bool {
    let scratch = scratch();
    std::os::unix::fs::chown(scratch.path(), Some(user), Some(user)).expect("we are root");
    // The program itself may be where others cannot reach it.
    let program = scratch.path().join("program");
    fs::copy(this_program(), &program).expect("a scratch directory has room");
    Command::new(program)
        .arg("--scratch")
        .arg(scratch.path())
        .args(filters)
        .uid(user)
        .gid(user)
        .status()
        .is_ok_and(|status| status.success())
}

/// A new directory that is removed with all its content when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a directory in it.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_tree(&self.0).unwrap();
    }
}

pub(crate) fn scratch() -> Scratch {
    let base = SCRATCH.get().expect("set before any test runs");
    // Closed to others, as whoever makes sandboxes is told to have it.
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    Scratch(tempfile::Builder::new().prefix("sandbox-").permissions(closed).tempdir_in(base).unwrap().keep())
}

pub(crate) fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// The host's own programs and libraries, read-only, as long as it has them in the usual places. Also makes
/// the links in `tree` by which a host with a merged `/usr` finds them.
pub(crate) fn userland(tree: &Path) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for path in ["/usr", "/bin", "/lib", "/lib64"] {
        match fs::read_link(path) {
            Ok(target) => std::os::unix::fs::symlink(target, tree.join(&path[1..])).unwrap(),
            Err(_) if Path::new(path).is_dir() => mounts.push(Mount::read_only(path, path)),
            Err(_) => {}
        }
    }
    mounts.push(Mount::read_only(this_program(), PROGRAM));
    mounts
}

/// A sandbox on an overlay in which the host's programs work.
pub(crate) struct World {
    pub(crate) scratch: Scratch,
    pub(crate) sandbox: Sandbox,
}

impl World {
    pub(crate) fn new(user: User, arguments: &[&str]) -> Self {
        let scratch = scratch();
        let lower = scratch.directory("lower");
        fs::create_dir_all(lower.join("etc")).unwrap();
        fs::write(lower.join("etc/lower"), "from below\n").unwrap();
        let writable = Writable { upper: scratch.directory("upper"), work: scratch.directory("work") };
        let mounts = userland(&lower);
        let overlay = Overlay { lowers: vec![lower], writable: Some(writable) };
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut sandbox = Sandbox::new(Root::Overlay(overlay), arguments);
        sandbox.mounts.extend(mounts);
        sandbox.mounts.push(Mount::tmpfs("/tmp"));
        sandbox.environment = vec![("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())];
        sandbox.directory = "/build".to_owned();
        sandbox.user = user;
        Self { scratch, sandbox }
    }

    pub(crate) fn shell(user: User, script: &str) -> Self {
        Self::new(user, &["sh", "-c", script])
    }

    fn output(&self) -> PathBuf {
        self.scratch.path().join("output")
    }

    pub(crate) fn spawn(&self) -> Result<Child, Error> {
        let output = fs::File::create(self.output()).unwrap();
        let stream = Stream::File(output.as_fd());
        let standard = Standard::Streams { stdin: Stream::Null, stdout: stream, stderr: stream };
        spawn(&self.sandbox, &Files { standard, ..Files::default() }, &this_program())
    }

    /// Runs the command to its end; returns how it ended and what it printed.
    pub(crate) fn run(&self) -> (Ended, String) {
        let ended = self.spawn().and_then(|mut child| child.wait()).unwrap();
        (ended, self.printed())
    }

    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.output()).unwrap()
    }
}

/// Runs `script` as `user` and checks the exit code and what it printed.
#[track_caller]
pub(crate) fn check(user: User, script: &str, code: i32, printed: &str) {
    let (ended, output) = World::shell(user, script).run();
    assert_eq!((ended.exit.code(), output.as_str()), (code, printed), "{script}");
}

/// Returns the processes of this machine that have `marker` in their command line.
pub(crate) fn marked(marker: &str) -> Vec<String> {
    let is_marked = |entry: &fs::DirEntry| {
        let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).contains(marker)
    };
    let entries = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let pid = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.filter(is_marked).map(pid).filter(|name| name.parse::<u32>().is_ok()).collect()
}

/// A word for [`marked`] that no other process has in its command line.
pub(crate) fn marker() -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("9{:07}{count:03}", std::process::id())
}
