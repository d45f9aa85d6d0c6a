//! Steps with somebody at the keyboard: shells in their sandboxes, and commands that talk to a terminal.

use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cas::{Digest, ImportMode};
use engine::{ExecutorError, Request};
use rustix::termios::isatty;
use sandbox::{Ended, Files, Sandbox, Standard, Stream};

use crate::environment::environment_of;
use crate::executor::{INTERVAL, Run, machine, sandbox_error};
use crate::stage::{Staged, directories, stage};
use crate::streams::Streams;
use crate::{FailedSandbox, LocalExecutor};

/// What the user types and sees.
#[derive(Clone, Copy, Debug)]
pub struct Console<'a> {
    /// Standard input. When it is a terminal, the command gets one of its own, connected to this.
    pub input: BorrowedFd<'a>,
    /// Standard output.
    pub output: BorrowedFd<'a>,
    /// Standard error; with a terminal, what the command prints there goes to `output`.
    pub error: BorrowedFd<'a>,
    /// Whether we print lines on the same terminal meanwhile.
    pub is_shared: bool,
    /// A socket for the command, which finds it as file descriptor [`SOCKET`]. A socket stays in the network that it was made
    /// in, so it must be of a family that cannot be connected to anything else there.
    pub socket: Option<BorrowedFd<'a>>,
    /// When this becomes true, the command is killed and [`ExecutorError::Cancelled`] returned. Ctrl-C at a terminal
    /// does not do that: it goes to the command.
    pub cancel: &'a AtomicBool,
}

/// The file descriptor of a socket that a command is given.
pub const SOCKET: RawFd = 3;

/// What is run in a sandbox instead of the step's command.
#[derive(Clone, Copy, Debug)]
pub enum Interactive<'a> {
    /// The step's own command.
    Command,
    /// A shell: `bash` where the environment has it, else `sh`.
    Shell,
    /// These arguments.
    Other(&'a [String]),
}

impl LocalExecutor<'_> {
    /// Runs a command in a sandbox as the step of `request` would find it, and returns its exit code, that
    /// of a shell. What it writes is thrown away.
    ///
    /// `environment` adds to the step's, such as `TERM`. Fails as [`engine::Executor::execute`] does.
    pub fn enter(
        &self,
        request: &Request<'_>,
        what: Interactive<'_>,
        environment: &[(String, String)],
        console: Console<'_>,
    ) -> Result<i32, ExecutorError> {
        self.enter_run(&self.new_run()?, request, what, environment, console)
    }

    /// As [`LocalExecutor::enter`] with the step's own command, and returns what it left in its output directory, too.
    /// `Err` within is why that can be no tree.
    pub fn enter_for_output(
        &self,
        request: &Request<'_>,
        environment: &[(String, String)],
        console: Console<'_>,
    ) -> Result<(i32, Result<Digest, String>), ExecutorError> {
        let run = self.new_run()?;
        let code = self.enter_run(&run, request, Interactive::Command, environment, console)?;
        Ok((code, self.import_outputs(run.path(), ImportMode::Move)?))
    }

    fn enter_run(
        &self,
        run: &Run,
        request: &Request<'_>,
        what: Interactive<'_>,
        environment: &[(String, String)],
        console: Console<'_>,
    ) -> Result<i32, ExecutorError> {
        let staged = stage(self.store, &self.checkouts, request, run.path())?;
        let environment = environment_of(request.command, environment);
        let arguments = self.arguments(what, &request.command.arguments, &staged, run.path())?;
        let sandbox = self.describe(&staged, run.path(), request.requirements, arguments, environment)?;
        let ended = self.interact(request.label, &sandbox, console);
        self.take_kvm_note(run.path());
        ended
    }

    /// Runs a command in the kept sandbox of a failed step, where everything is as the step left it. What it
    /// writes stays there.
    pub fn enter_failed(
        &self,
        failed: &FailedSandbox,
        what: Interactive<'_>,
        environment: &[(String, String)],
        console: Console<'_>,
    ) -> Result<i32, ExecutorError> {
        let FailedSandbox { path, failed } = failed;
        let mut all = failed.environment.clone();
        all.extend(
            environment
                .iter()
                .filter(|(name, _)| !failed.environment.iter().any(|(n, _)| n == name))
                .cloned(),
        );
        // The kernel insists on an empty directory to work in.
        let work = path.join("work");
        cas::remove_tree(&work)?;
        let arguments = self.arguments(what, &failed.arguments, &failed.staged, path)?;
        let sandbox = self.describe(&failed.staged, path, &failed.requirements(), arguments, all)?;
        self.interact(&failed.label, &sandbox, console)
    }

    fn arguments(
        &self,
        what: Interactive<'_>,
        own: &[String],
        staged: &Staged,
        run: &Path,
    ) -> Result<Vec<String>, ExecutorError> {
        match what {
            Interactive::Command => return Ok(own.to_vec()),
            Interactive::Other(arguments) => return Ok(arguments.to_vec()),
            Interactive::Shell => {}
        }
        // What is bound are tools and what they read.
        let directories = match staged {
            Staged::Overlay(layers) => directories(self.store, layers, run)?,
            Staged::Bound(_) => Vec::new(),
        };
        for shell in ["bin/bash", "usr/bin/bash", "bin/sh", "usr/bin/sh"] {
            // A link may lead to a file that is only there inside.
            if directories.iter().any(|directory| directory.join(shell).symlink_metadata().is_ok()) {
                return Ok(vec![format!("/{shell}")]);
            }
        }
        Err(ExecutorError::Machine {
            doing: "find a shell in the sandbox".to_owned(),
            help: Some("its environment has neither `bash` nor `sh`; name a program that it has".to_owned()),
            source: Box::new(std::io::Error::from(std::io::ErrorKind::NotFound)),
        })
    }

    fn interact(&self, label: &str, sandbox: &Sandbox, console: Console<'_>) -> Result<i32, ExecutorError> {
        let terminal = isatty(console.input);
        let given = [console.input, console.output, console.error];
        let streams = if terminal { None } else { Some(Streams::new(given)) };
        let streams = streams.transpose().map_err(|error| machine("pass on standard streams", error))?;
        let standard = match &streams {
            None => Standard::Terminal,
            Some(streams) => {
                let [stdin, stdout, stderr] = streams.of(given).map(Stream::File);
                Standard::Streams { stdin, stdout, stderr }
            }
        };
        let inherited = console.socket.map(|socket| (SOCKET, socket)).into_iter().collect();
        let files = Files { standard, inherited };
        let ended = sandbox::spawn(sandbox, &files, &self.options.init).and_then(|mut child| {
            if terminal {
                let attach = match console.is_shared {
                    true => sandbox::terminal::attach_shared,
                    false => sandbox::terminal::attach,
                };
                return attach(&mut child, console.input, console.output, console.cancel);
            }
            loop {
                if let Some(ended) = child.wait_timeout(INTERVAL)? {
                    return Ok(ended);
                }
                if console.cancel.load(Ordering::Relaxed) {
                    child.kill();
                }
            }
        });
        if let Some(streams) = streams {
            streams.finish();
        }
        let Ended { exit, .. } = ended.map_err(|error| sandbox_error(label, error))?;
        if console.cancel.load(Ordering::Relaxed) { Err(ExecutorError::Cancelled) } else { Ok(exit.code()) }
    }
}
