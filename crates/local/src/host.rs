//! Runs actions on this machine as it is, with its own programs: for trees whose users build them so.
//!
//! Nothing is kept from a command. That what it makes depends on its inputs alone is up to whoever describes it, who has to
//! put into its environment what else it depends on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use cas::{Digest, ImportMode, LocalStore, Node, Store as _, StoreError};
use engine::{
    ActionResult, Execution, Executor, ExecutorError, OUTPUT_DIRECTORY, PathChange, Request, Usage,
    WORKING_DIRECTORY, diff_trees,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::Jobserver;
use crate::executor::{INTERVAL, Run, disk, machine, make_directory};
use crate::outputs;

/// How a [`HostExecutor`] works.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The directories of this machine that stand for inputs, by the place of these in the input root: a command sees the
    /// directory itself, and may change it.
    pub places: BTreeMap<String, PathBuf>,
    /// The environment of every command, to which it adds its own.
    pub environment: Vec<(OsString, OsString)>,
    /// How many jobs all running commands together may run at once.
    pub n_jobs: NonZeroUsize,
}

/// Says what a directory of this machine holds now, as what stands for it in input roots was made.
pub type LookAgain<'s> = &'s (dyn Fn(&Path) -> Result<Digest, StoreError> + Sync);

/// Runs actions without a sandbox. A command starts in a directory of its own, with its inputs in place, and leaves what it
/// makes in `out` there. Its log begins with its command line.
///
/// Commands that run cargo are run one after the other: in a shared target directory cargo would have all but one wait, each
/// with a job that nobody else could have.
pub struct HostExecutor<'s> {
    store: &'s LocalStore,
    options: HostOptions,
    look_again: LookAgain<'s>,
    jobserver: Jobserver,
    makeflags: String,
    cargo: Mutex<()>,
}

impl<'s> HostExecutor<'s> {
    /// Returns an executor that takes inputs from `store` and puts outputs there. What was made while somebody edited one of
    /// the [`HostOptions::places`], which `look_again` tells, is a failure: nobody knows of which edit it is.
    ///
    /// Fails when there can be no jobserver.
    pub fn new(
        store: &'s LocalStore,
        options: HostOptions,
        look_again: LookAgain<'s>,
    ) -> Result<HostExecutor<'s>, ExecutorError> {
        let jobserver = Jobserver::new(options.n_jobs).map_err(|error| machine("make a jobserver", error))?;
        let makeflags = jobserver.hand_down().map_err(|error| machine("share a jobserver", error))?;
        Ok(HostExecutor { store, options, look_again, jobserver, makeflags, cargo: Mutex::new(()) })
    }

    /// Puts the inputs in place.
    fn stage(&self, request: &Request<'_>, root: &Path) -> Result<(), StoreError> {
        for placed in request.placed {
            let at = root.join(&placed.path);
            let made = at.parent().map_or(Ok(()), fs::create_dir_all);
            made.map_err(|source| StoreError::Io { doing: format!("make `{}`", at.display()), source })?;
            match (self.options.places.get(&placed.path), &placed.node) {
                (Some(place), _) => link(place, &at)?,
                (None, Node::File { digest, executable }) => {
                    self.store.checkout_file(digest, *executable, &at)?
                }
                (None, Node::Directory { digest }) => self.store.checkout(digest, &at)?,
                (None, Node::Symlink { target }) => link(Path::new(target), &at)?,
            }
        }
        Ok(())
    }

    /// Returns what was there when the action was put together and is not any more, or is another.
    fn edited(&self, request: &Request<'_>) -> Result<Option<String>, ExecutorError> {
        for placed in request.placed {
            let place = self.options.places.get(&placed.path);
            let (Some(place), Node::Directory { digest }) = (place, &placed.node) else { continue };
            let now = (self.look_again)(place)?;
            let changes = diff_trees(self.store, digest, &now);
            let changes = changes.map_err(|error| ExecutorError::Machine {
                doing: format!("see what changed in `{}`", place.display()),
                help: None,
                source: Box::new(error),
            })?;
            // What is new was made by the command itself, or is not what it read.
            let edited = changes.into_iter().find(|(_, change)| *change != PathChange::Added);
            if let Some((path, _)) = edited {
                return Ok(Some(place.join(path).display().to_string()));
            }
        }
        Ok(None)
    }

    fn spawn(&self, request: &Request<'_>, directory: &Path, log: &File) -> io::Result<Child> {
        let [program, arguments @ ..] = &request.command.arguments[..] else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        // A program of the action is one wherever that runs.
        let program = if program.contains('/') { directory.join(program) } else { program.into() };
        Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .envs(self.options.environment.iter().map(|(name, value)| (name, value)))
            .envs(request.command.environment.iter().map(|(name, value)| (name, value)))
            .env("MAKEFLAGS", &self.makeflags)
            .env_remove("CARGO_MAKEFLAGS")
            .env_remove("MFLAGS")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .process_group(0)
            .spawn()
    }
}

impl Executor for HostExecutor<'_> {
    #[allow(clippy::disallowed_methods, reason = "this measures how long a command has run")]
    fn execute(&self, request: &Request<'_>, cancel: &AtomicBool) -> Result<Execution, ExecutorError> {
        let is_cargo = request.command.arguments.iter().any(|argument| argument == "cargo");
        let _turn = is_cargo.then(|| self.cargo.lock().unwrap_or_else(PoisonError::into_inner));
        let token = self.jobserver.acquire(cancel).map_err(|error| machine("wait for a job token", error))?;
        let Some(_token) = token else { return Err(ExecutorError::Cancelled) };

        let run = Run::new(self.store.scratch())?;
        self.stage(request, run.path())?;
        let directory = run.path().join(WORKING_DIRECTORY);
        let out = directory.join(OUTPUT_DIRECTORY);
        for path in [&directory, &out] {
            make_directory(path, 0o755).map_err(|error| disk(format!("make `{}`", path.display()), error))?;
        }
        let log_path = run.path().join("log");
        let write_log = |error| disk(format!("write the log of `{}`", request.label), error);
        let mut log = File::options().append(true).create_new(true).open(&log_path).map_err(write_log)?;
        writeln!(log, "$ {}", shown(&request.command.arguments)).map_err(write_log)?;

        let start = Instant::now();
        let exit_code = match self.spawn(request, &directory, &log) {
            Ok(mut child) => code(supervise(&mut child, request.label, cancel)?),
            Err(error) => {
                let program = request.command.arguments.first().map_or("", String::as_str);
                writeln!(log, "could not execute `{program}`: {error}").map_err(write_log)?;
                127
            }
        };
        let wall = start.elapsed();
        let edited = if exit_code == 0 { self.edited(request)? } else { None };
        let exit_code = match edited {
            None => exit_code,
            Some(path) => {
                writeln!(log, "`{path}` was edited while this was built: build again").map_err(write_log)?;
                1
            }
        };
        let shown = out.display().to_string();
        let (exit_code, output) = match outputs::import(self.store, &out, &shown, ImportMode::Move)? {
            Ok(output) => (exit_code, output),
            Err(reason) => {
                writeln!(log, "{reason}").map_err(write_log)?;
                (exit_code.max(1), self.store.write(b"")?)
            }
        };
        drop(log);
        let Node::File { digest: log, .. } = self.store.put_file(&log_path, ImportMode::Move)? else {
            unreachable!("`put_file` returns files");
        };
        let usage = Usage { wall, ..Usage::default() };
        Ok(Execution { result: ActionResult { exit_code, output, log, usage }, kept: None })
    }
}

fn link(target: &Path, at: &Path) -> Result<(), StoreError> {
    std::os::unix::fs::symlink(target, at)
        .map_err(|source| StoreError::Io { doing: format!("make link `{}`", at.display()), source })
}

/// Waits until the command ended, or kills it with all that it started.
fn supervise(child: &mut Child, label: &str, cancel: &AtomicBool) -> Result<ExitStatus, ExecutorError> {
    let failed = |error: io::Error| machine(format!("wait for `{label}`"), error);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else { return child.wait().map_err(failed) };
    // Where there are no such descriptors, it is looked after often enough.
    let ended = pidfd_open(pid, PidfdFlags::empty()).ok();
    let patience = Timespec { tv_sec: 0, tv_nsec: i64::from(INTERVAL.subsec_nanos()) };
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        if cancel.load(Ordering::Relaxed) {
            // Nobody is left to be killed if it just ended.
            let _gone = kill_process_group(pid, Signal::KILL);
            child.wait().map_err(failed)?;
            return Err(ExecutorError::Cancelled);
        }
        match &ended {
            // Interrupted or not, what is to be done is the same.
            Some(ended) => _ = poll(&mut [PollFd::new(ended, PollFlags::IN)], Some(&patience)),
            None => std::thread::sleep(INTERVAL),
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Returns the command line as people would type it; of one that a script runs, that one.
fn shown(arguments: &[String]) -> String {
    let words = match arguments {
        [shell, flag, _, _, _, _, command @ ..] if shell == "sh" && flag == "-euc" && !command.is_empty() => {
            command
        }
        all => all,
    };
    let plain = |word: &&String| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=+./:,@%".contains(&byte))
    };
    let quoted = words.iter().map(|word| match Some(word).filter(plain) {
        Some(word) => word.clone(),
        None => format!("'{}'", word.replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}
