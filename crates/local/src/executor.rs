//! Runs actions in sandboxes on this machine.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cas::{Digest, ImportMode, LocalStore, Node, Store as _, StoreError};
use engine::{ActionResult, Execution, Executor, ExecutorError, Request, Requirements, Usage};
use sandbox::{
    Child, Ended, Exit, Files, Mount, Overlay, Root, Sandbox, Standard, Stream, User, Variation, Writable,
};

use crate::Jobserver;
use crate::earlier;
use crate::environment::{environment_of, output_directory, working_directory};
use crate::failed::Failed;
use crate::kept::{Lent, lend};
use crate::kvm::{KvmNote, NOTE_IN_STEP};
use crate::log::{HEAD, LogWriter, TAIL};
use crate::near::Checkouts;
use crate::outputs;
use crate::stage::{Staged, directories, mount, stage};

/// How a [`LocalExecutor`] works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that becomes the init of sandboxes: one that calls [`sandbox::init::run_if_requested`]
    /// first thing, so usually our own.
    pub init: PathBuf,
    /// Where the sandboxes of failed steps are kept; on the file system of the store.
    pub failed: PathBuf,
    /// How many of them are kept: the last ones.
    pub n_failed: usize,
    /// How many jobs all running steps together may run at once.
    pub n_jobs: NonZeroUsize,
    /// What is not as in the sandboxes of other executors.
    pub variation: Variation,
    /// Where steps keep the directories that they find as their last run left them. Without it these are empty.
    pub kept: Option<PathBuf>,
    /// Where it is remembered what steps can take over of their last outputs. Without it they make all of it anew.
    pub earlier: Option<PathBuf>,
    /// What is known of KVM on this machine. Without it every step finds out anew.
    pub kvm_note: Option<KvmNote>,
}

/// Runs actions in sandboxes on this machine, with inputs from a store on its disk.
///
/// A step sees its input root as `/`, writable, with what it writes thrown away except `/build/out`. What is put
/// into a root without an environment can only be read. It
/// runs as user 1000, or as root of its own user namespace when it asks for that; its environment is its
/// own and [`crate::ENVIRONMENT`]. It has no network. When it ends, everything that it started is killed;
/// so it is when this process ends, in whatever way.
pub struct LocalExecutor<'s> {
    pub(crate) store: &'s LocalStore,
    pub(crate) options: Options,
    jobserver: Jobserver,
    pub(crate) checkouts: Checkouts,
}

/// What makes guests fast.
const KVM: &str = "/dev/kvm";
/// The copy of the note on KVM in the directory of a run.
const KVM_NOTE: &str = "kvm";
/// What programs print when the system tells them that the disk is full (strerror(3), in the locale of steps).
const NO_SPACE: &str = "No space left on device";

/// How often a running step is looked after.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

impl<'s> LocalExecutor<'s> {
    /// Returns an executor that takes inputs from `store` and puts outputs there.
    ///
    /// Fails when the directory for failed sandboxes cannot be made.
    pub fn new(store: &'s LocalStore, options: Options) -> Result<LocalExecutor<'s>, ExecutorError> {
        fs::create_dir_all(&options.failed)
            .map_err(|error| machine(format!("make `{}`", options.failed.display()), error))?;
        let jobserver = Jobserver::new(options.n_jobs).map_err(|error| machine("make a jobserver", error))?;
        Ok(LocalExecutor { store, options, jobserver, checkouts: Checkouts::default() })
    }

    /// Makes the directory of a run in a sandbox. Whoever drops it removes it.
    pub(crate) fn new_run(&self) -> Result<Run, ExecutorError> {
        let run = Run::new(self.store.scratch())?;
        // The step's own user is another one to the directory that it did not make.
        for (name, mode) in [("out", 0o755), ("tmp", 0o1777)] {
            let path = run.path().join(name);
            make_directory(&path, mode).map_err(|error| disk(format!("make `{}`", path.display()), error))?;
        }
        Ok(run)
    }

    /// Describes the sandbox of a run whose inputs are staged, and makes what it needs to be mounted.
    pub(crate) fn describe(
        &self,
        staged: &Staged,
        run: &Path,
        requirements: &Requirements,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
    ) -> Result<Sandbox, ExecutorError> {
        let mut mounts = Vec::new();
        let root = match staged {
            Staged::Overlay(layers) => {
                let writable = Writable { upper: run.join("upper"), work: run.join("work") };
                for path in [&writable.upper, &writable.work] {
                    make_directory(path, 0o755)
                        .map_err(|error| disk(format!("make `{}`", path.display()), error))?;
                }
                let lowers = directories(self.store, layers, run)?;
                Root::Overlay(Overlay { lowers, writable: Some(writable) })
            }
            Staged::Bound(bound) => {
                for (at, bound) in bound {
                    mounts.push(mount(self.store, at, bound)?);
                }
                Root::Memory
            }
        };
        let mut sandbox = Sandbox::new(root, arguments);
        // One that we may not open is shown, too: then the step can say so.
        let has_kvm = requirements.kvm && Path::new(KVM).exists();
        mounts.extend([
            Mount::proc(),
            Mount::dev(if has_kvm { &[KVM] } else { &[] }),
            Mount::read_write(run.join("tmp"), "/tmp"),
            Mount::read_write(run.join("out"), output_directory()),
        ]);
        if let (true, Some(note)) = (requirements.kvm, &self.options.kvm_note) {
            let place = run.join(KVM_NOTE);
            note.lend(&place).map_err(|error| disk(format!("write `{}`", place.display()), error))?;
            mounts.push(Mount::read_write(place, NOTE_IN_STEP));
        }
        sandbox.mounts = mounts;
        sandbox.user = if requirements.root { User::Root } else { User::Build };
        sandbox.environment = environment;
        sandbox.directory = working_directory();
        sandbox.variation = self.options.variation.clone();
        Ok(sandbox)
    }

    /// Takes over what the step of a run found out about KVM, if it was asked to.
    pub(crate) fn take_kvm_note(&self, run: &Path) {
        let place = run.join(KVM_NOTE);
        if let Some(note) = &self.options.kvm_note
            && place.exists()
        {
            // Without the note the next step only takes longer.
            let _lost = note.take_back(&place);
        }
    }

    /// Runs the command of a staged run and returns how it ended, with a last line for the log.
    fn run_command(
        &self,
        request: &Request<'_>,
        sandbox: &Sandbox,
        log: &mut LogWriter,
        cancel: &AtomicBool,
    ) -> Result<(Ended, String), ExecutorError> {
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (reader, writer) =
            pipe.map_err(|error| machine("make a pipe for a log", io::Error::from(error)))?;
        let stream = Stream::File(writer.as_fd());
        let standard = Standard::Streams { stdin: Stream::Null, stdout: stream, stderr: stream };
        let files = Files { standard, inherited: self.jobserver.files() };
        let child = sandbox::spawn(sandbox, &files, &self.options.init);
        drop(writer);
        let mut child = child.map_err(|error| sandbox_error(request.label, error))?;
        thread::scope(|scope| {
            let copier = scope.spawn(|| log.copy(reader));
            let supervised = supervise(&mut child, request, cancel);
            // Dead or not, it must not write any more, or the copier would wait for it.
            drop(child);
            let copied = copier.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let ended = supervised?;
            copied.map_err(|error| machine(format!("read what `{}` printed", request.label), error))?;
            Ok(ended)
        })
    }

    /// Fails when the disk is full: then a command's failure says nothing about the command. Somebody may have
    /// made some room since; so with `is_told`, which is that the command complained, little room is none.
    fn refuse_full_disk(&self, label: &str, is_told: bool) -> Result<(), ExecutorError> {
        /// Less than this and nothing can be done any more.
        const LEAST: u64 = 1 << 20;
        /// Less than this and somebody who complains is to be believed.
        const LITTLE: u64 = 1 << 30;
        let least = if is_told { LITTLE } else { LEAST };
        let scratch = self.store.scratch();
        let doing = || format!("run `{label}` with its files in `{}`", scratch.display());
        let found = rustix::fs::statvfs(scratch).map_err(|error| disk(doing(), error.into()))?;
        // File systems without a table of inodes say that they have none.
        let full = found.f_bavail * found.f_frsize < least || found.f_files > 0 && found.f_favail == 0;
        if full { Err(disk(doing(), io::Error::from(io::ErrorKind::StorageFull))) } else { Ok(()) }
    }

    /// Takes over what the command left in its output directory, as [`outputs::import`] does.
    pub(crate) fn import_outputs(
        &self,
        run: &Path,
        mode: ImportMode,
    ) -> Result<Result<Digest, String>, ExecutorError> {
        outputs::import(self.store, &run.join("out"), &output_directory(), mode)
    }
}

impl Executor for LocalExecutor<'_> {
    fn execute(&self, request: &Request<'_>, cancel: &AtomicBool) -> Result<Execution, ExecutorError> {
        let token = self.jobserver.acquire(cancel).map_err(|error| machine("wait for a job token", error))?;
        let Some(_token) = token else { return Err(ExecutorError::Cancelled) };
        let run = self.new_run()?;
        let staged = stage(self.store, &self.checkouts, request, run.path())?;
        let makeflags = ("MAKEFLAGS".to_owned(), self.jobserver.makeflags());
        let environment = environment_of(request.command, &[makeflags]);
        let arguments = request.command.arguments.clone();
        let mut sandbox = self.describe(&staged, run.path(), request.requirements, arguments, environment)?;
        let lent = match &self.options.kept {
            Some(directory) => lend(directory, &request.requirements.kept, cancel)?,
            None => Vec::new(),
        };
        sandbox.mounts.extend(lent.iter().map(Lent::mount));
        let earlier = self.options.earlier.as_ref();
        let earlier = earlier.and_then(|place| earlier::lend(self.store, place, request, run.path()));
        let earlier = earlier.map(|(earlier, mounts)| {
            sandbox.mounts.extend(mounts);
            earlier
        });

        let log_path = run.path().join("log");
        let write_log = |error| disk(format!("write the log of `{}`", request.label), error);
        let log_file = File::options().read(true).write(true).create_new(true).open(&log_path);
        let mut log = LogWriter::new(log_file.map_err(write_log)?, HEAD, TAIL);
        let n_kills = oom_kills();
        let (ended, mut message) = self.run_command(request, &sandbox, &mut log, cancel)?;
        self.take_kvm_note(run.path());

        let mut exit_code = ended.exit.code();
        if exit_code != 0 {
            let is_told = log.ends_about(NO_SPACE).map_err(write_log)?;
            self.refuse_full_disk(request.label, is_told)?;
            if oom_kills() > n_kills && message.is_empty() {
                message = OUT_OF_MEMORY.to_owned();
            }
        }
        let keep = |exit_code| exit_code != 0 && self.options.n_failed > 0;
        // What is kept to be entered must not share files with the store.
        let mode = |exit_code| if keep(exit_code) { ImportMode::Copy } else { ImportMode::Move };
        let output = match self.import_outputs(run.path(), mode(exit_code)) {
            Ok(Ok(output)) => output,
            Ok(Err(reason)) => {
                if exit_code == 0 {
                    exit_code = 1;
                    message = reason;
                }
                self.store.write(b"")?
            }
            // That it failed is what there is to say. What it left may be closed to everybody.
            Err(ExecutorError::Store(_)) if exit_code != 0 => self.store.write(b"")?,
            Err(error) => return Err(error),
        };
        if let Some(earlier) = earlier.filter(|_| exit_code == 0) {
            earlier.keep(self.store, &output);
        }
        log.finish(&message).map_err(write_log)?;
        let Node::File { digest: log, .. } = self.store.put_file(&log_path, mode(exit_code))? else {
            unreachable!("`put_file` returns files");
        };
        let usage =
            Usage { wall: ended.usage.wall, cpu: ended.usage.cpu, peak_memory: ended.usage.peak_memory };
        let kept = if keep(exit_code) {
            let failed = Failed::new(request, exit_code, staged, &sandbox.environment);
            Some(self.keep_failed(run, &failed)?.display().to_string())
        } else {
            None
        };
        Ok(Execution { result: ActionResult { exit_code, output, log, usage }, kept })
    }
}

/// Makes the directory unless it is there, with the mode `mode` whatever the umask is.
pub(crate) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Ok(rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(mode))?),
    }
}

/// Waits until the command ended, or until it must be killed.
#[allow(clippy::disallowed_methods, reason = "this measures how long a step has run, for its timeout")]
fn supervise(
    child: &mut Child,
    request: &Request<'_>,
    cancel: &AtomicBool,
) -> Result<(Ended, String), ExecutorError> {
    let start = Instant::now();
    let mut message = String::new();
    loop {
        let ended = child.wait_timeout(INTERVAL).map_err(|error| sandbox_error(request.label, error))?;
        if cancel.load(Ordering::Relaxed) {
            return Err(ExecutorError::Cancelled);
        }
        if let Some(ended) = ended {
            if let Exit::NotRun(errno) = ended.exit {
                let program = request.command.arguments.first().map_or("", String::as_str);
                message = format!("could not execute `{program}`: {}", io::Error::from_raw_os_error(errno));
            }
            return Ok((ended, message));
        }
        if let Some(timeout) = request.requirements.timeout
            && message.is_empty()
            && start.elapsed() >= timeout
        {
            message = format!("killed after its timeout of {timeout:?}");
            child.kill();
        }
    }
}

/// The last line of the log of a step that failed when memory ran out. It need not have been one of its processes
/// that was killed, so it is only told that some were.
const OUT_OF_MEMORY: &str = "the machine ran out of memory and killed processes: run fewer steps at once (-j), or give it more memory";

/// Returns how many processes the machine has killed for lack of memory since it was started; 0 where it does not
/// tell.
fn oom_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}

/// The directory of a run: `lower`, `upper` and `work` of its overlay, `out`, `tmp` and `log`.
pub(crate) struct Run {
    path: Option<PathBuf>,
}

impl Run {
    /// Makes a directory in `scratch`.
    pub(crate) fn new(scratch: &Path) -> Result<Run, ExecutorError> {
        // A step may leave a program in it that is setuid to us, and which others must not find.
        let mut closed = tempfile::Builder::new();
        closed.prefix("run-").permissions(fs::Permissions::from_mode(0o700));
        let made = closed.tempdir_in(scratch);
        let made =
            made.map_err(|error| disk(format!("make a directory in `{}`", scratch.display()), error))?;
        Ok(Run { path: Some(made.keep()) })
    }

    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Returns the directory, which then stays.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.path.take().unwrap_or_default()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What is left is removed with the store's scratch directory.
            let _ = cas::remove_tree(path);
        }
    }
}

pub(crate) fn machine(doing: impl Into<String>, error: io::Error) -> ExecutorError {
    ExecutorError::Machine { doing: doing.into(), help: None, source: Box::new(error) }
}

/// As the store's errors are, so that a full disk is recognised.
pub(crate) fn disk(doing: String, source: io::Error) -> ExecutorError {
    ExecutorError::Store(StoreError::Io { doing, source })
}

pub(crate) fn sandbox_error(label: &str, error: sandbox::Error) -> ExecutorError {
    let help = error.help().map(str::to_owned);
    ExecutorError::Machine { doing: format!("run `{label}` in a sandbox"), help, source: Box::new(error) }
}
