//! Runs the tests, and makes the worlds that they run in.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cas::{Digest, ImportMode, LocalStore, Node, Reference, Store as _};
use engine::{Command, Execution, Executor as _, ExecutorError, Placed, Request, Requirements};
use local::{KvmNote, LocalExecutor, Options};

/// A test: its name, and what panics when it fails.
pub(crate) type Test = (&'static str, fn());

/// The ordinary user as whom the tests are run again when we are root: nobody's, and not `nobody`.
const ORDINARY_USER: u32 = 54_322;

static SCRATCH: OnceLock<PathBuf> = OnceLock::new();

/// Runs those of `tests` that `arguments` ask for as libtest would, and returns whether all passed.
pub(crate) fn run(tests: &[Test], arguments: &[&str]) -> ExitCode {
    let scratch = arguments.iter().position(|argument| *argument == "--scratch");
    let again = scratch.is_some();
    let scratch = scratch.map_or(env!("CARGO_TARGET_TMPDIR"), |idx| arguments[idx + 1]);
    SCRATCH.set(PathBuf::from(scratch)).expect("the first to set it");
    if arguments.contains(&"--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> =
        arguments.iter().filter(|argument| !argument.starts_with('-') && **argument != scratch).collect();
    let chosen: Vec<_> = tests
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(**f)))
        .collect();
    println!("\nrunning {} tests as {}", chosen.len(), if again { "an ordinary user" } else { "us" });
    let mut failed = Vec::new();
    for (name, test) in chosen {
        let start = Instant::now();
        let passed = catch_unwind(test).is_ok();
        println!(
            "test {name} ... {} ({} ms)",
            if passed { "ok" } else { "FAILED" },
            start.elapsed().as_millis()
        );
        if !passed {
            failed.push(*name);
        }
    }
    drop(SHARED.lock().unwrap_or_else(PoisonError::into_inner).take());
    println!("\ntest result: {} failed {failed:?}", failed.len());
    let passed_again = again || !rustix::process::geteuid().is_root() || run_as_ordinary_user(&filters);
    if failed.is_empty() && passed_again { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_as_ordinary_user(filters: &[&&str]) -> bool {
    let scratch = scratch();
    std::os::unix::fs::chown(scratch.path(), Some(ORDINARY_USER), Some(ORDINARY_USER)).expect("we are root");
    // The program itself may be where others cannot reach it.
    let program = scratch.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).expect("a scratch directory has room");
    let status = Process::new(program)
        .args(filters)
        .arg("--scratch")
        .arg(scratch.path())
        .uid(ORDINARY_USER)
        .gid(ORDINARY_USER)
        .status();
    status.is_ok_and(|status| status.success())
}

pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("local-").tempdir_in(SCRATCH.get().expect("set before any test")).unwrap()
}

/// A store with an environment made of the host's programs, and a directory for what else a test needs.
pub(crate) struct World {
    // Dropped in this order.
    pub(crate) store: LocalStore,
    pub(crate) environment: Digest,
    pub(crate) scratch: tempfile::TempDir,
}

/// The store that the tests share, one after another: making one takes longer than most tests.
static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

struct Shared {
    directory: tempfile::TempDir,
    environment: Digest,
}

const PROGRAMS: &[&str] = &[
    "sh", "cat", "sleep", "head", "id", "mkdir", "rmdir", "mkfifo", "ln", "chmod", "ls", "env", "find",
    "grep", "sort", "make", "truncate",
];

impl World {
    pub(crate) fn new() -> World {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = shared.get_or_insert_with(|| {
            let directory = scratch();
            let store = LocalStore::open(&directory.path().join("store")).unwrap();
            let root = directory.path().join("environment");
            PROGRAMS.iter().for_each(|program| add_program(&root, program));
            let environment = store.import_tree(&root, ImportMode::Move).unwrap().digest;
            store.set_root("tests", &[Reference::Tree(environment)]).unwrap();
            Shared { directory, environment }
        });
        let store = LocalStore::open(&shared.directory.path().join("store")).unwrap();
        let scratch = tempfile::tempdir_in(shared.directory.path()).unwrap();
        World { store, environment: shared.environment, scratch }
    }

    /// Lets go of everything in the store, as a process does that ends, and opens it again.
    pub(crate) fn reopen(&mut self) {
        self.reopen_until(Arc::default());
    }

    /// Does the same with a store that gives up when `cancel` becomes true.
    pub(crate) fn reopen_until(&mut self, cancel: Arc<AtomicBool>) {
        let root = self.store.root().to_owned();
        self.store = LocalStore::open_until(&root, cancel).unwrap();
    }

    /// Says whether the host had a program, for tests that can go without.
    pub(crate) fn has(&self, program: &str) -> bool {
        let root = self.store.read_directory(&self.environment).unwrap();
        let Node::Directory { digest } = root.entries["bin"] else { panic!("no directory") };
        self.store.read_directory(&digest).unwrap().entries.contains_key(program)
    }

    pub(crate) fn executor(&self, n_jobs: usize) -> LocalExecutor<'_> {
        let options = Options {
            kept: Some(self.scratch.path().join("kept")),
            earlier: Some(self.scratch.path().join("earlier")),
            init: std::env::current_exe().unwrap(),
            failed: self.scratch.path().join("failed"),
            n_failed: 2,
            n_jobs: NonZeroUsize::new(n_jobs).unwrap(),
            variation: sandbox::Variation::default(),
            kvm_note: KvmNote::in_directory(&self.scratch.path().join("host")),
        };
        LocalExecutor::new(&self.store, options).unwrap()
    }

    pub(crate) fn tree(&self, files: &[(&str, &str)]) -> Node {
        Node::Directory { digest: testkit::make_tree(&self.store, files) }
    }

    /// Calls `found` with each file and link below `node`, which is at `path`.
    pub(crate) fn each_file(&self, node: &Node, path: &str, found: &mut dyn FnMut(&str, Node)) {
        let Node::Directory { digest } = node else { return found(path, node.clone()) };
        for (name, node) in &self.store.read_directory(digest).unwrap().entries {
            self.each_file(node, &format!("{path}/{name}"), found);
        }
    }

    /// What `path` in the output holds.
    pub(crate) fn read(&self, execution: &Execution, path: &str) -> String {
        let node = path.split('/').fold(Node::Directory { digest: execution.result.output }, |node, name| {
            let Node::Directory { digest } = node else { panic!("`{path}` is below no directory") };
            let directory = self.store.read_directory(&digest).unwrap();
            directory.entries.get(name).unwrap_or_else(|| panic!("no `{path}` in {directory:?}")).clone()
        });
        let Node::File { digest, .. } = node else { panic!("`{path}` is no file") };
        String::from_utf8(self.store.read(&digest).unwrap()).unwrap()
    }

    pub(crate) fn log(&self, execution: &Execution) -> String {
        String::from_utf8_lossy(&self.store.read(&execution.result.log).unwrap()).into_owned()
    }
}

/// A step to be changed before it is run.
pub(crate) struct Step {
    pub(crate) command: Command,
    pub(crate) placed: Vec<Placed>,
    pub(crate) input_root: Digest,
    pub(crate) requirements: Requirements,
}

impl Step {
    /// A step that runs a script with the host's programs.
    pub(crate) fn shell(world: &World, script: &str) -> Step {
        let arguments = ["sh", "-ec", script].map(str::to_owned).to_vec();
        let node = Node::Directory { digest: world.environment };
        Step {
            command: Command { arguments, environment: vec![], platform: vec![] },
            placed: vec![Placed { path: String::new(), node }],
            input_root: Digest::of(b"unknown"),
            requirements: Requirements::default(),
        }
    }

    pub(crate) fn place(mut self, path: &str, node: Node) -> Step {
        self.placed.push(Placed { path: path.to_owned(), node });
        self
    }

    pub(crate) fn root(mut self) -> Step {
        self.requirements.root = true;
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Step {
        self.requirements.timeout = Some(timeout);
        self
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            label: "step",
            action: Digest::of(b"action"),
            command: &self.command,
            input_root: self.input_root,
            placed: &self.placed,
            requirements: &self.requirements,
        }
    }

    pub(crate) fn try_run(&self, executor: &LocalExecutor<'_>) -> Result<Execution, ExecutorError> {
        executor.execute(&self.request(), &AtomicBool::new(false))
    }

    pub(crate) fn run(&self, executor: &LocalExecutor<'_>) -> Execution {
        self.try_run(executor).unwrap_or_else(|error| panic!("{error}: {error:?}"))
    }
}

/// Copies a program of the host and the libraries that it needs to the same places below `root`.
fn add_program(root: &Path, program: &str) {
    let found =
        ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].iter().map(|directory| Path::new(directory).join(program));
    let Some(path) = found.into_iter().find(|path| path.exists()) else { return };
    let listed = Process::new("ldd").arg(&path).output().expect("every host with glibc has `ldd`");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut files: BTreeSet<&str> = listed.split_whitespace().filter(|word| word.starts_with('/')).collect();
    let place = format!("/bin/{program}");
    files.insert(&place);
    for file in files {
        let source = if file == place { path.as_path() } else { Path::new(file) };
        let target = root.join(&file[1..]);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        if !target.exists() {
            fs::copy(source, &target).unwrap();
        }
    }
}

/// Returns the processes of this machine that have `marker` in their command line.
pub(crate) fn marked(marker: &str) -> Vec<String> {
    let is_marked = |entry: &fs::DirEntry| {
        let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).contains(marker)
    };
    let entries = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let pid = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let own = std::process::id().to_string();
    entries.filter(is_marked).map(pid).filter(|name| name.parse::<u32>().is_ok() && *name != own).collect()
}

/// Waits until `done`, but not for ever.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
