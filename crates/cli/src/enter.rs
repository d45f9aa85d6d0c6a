//! A step's sandbox, entered with this terminal.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::AtomicBool;

use cas::Digest;
use engine::{ExecutorError, Request, StepId};
use local::{Console, Interactive, LocalExecutor};

use crate::builder::executor_failure;
use crate::environment;
use crate::failure::{Blame, Failure};
use crate::prepared::Prepared;
use crate::session::Session;

impl Session<'_> {
    /// Builds what `step` reads, then runs `what` in its sandbox with this terminal. Returns the exit code.
    pub(crate) fn enter(
        &self,
        prepared: &Prepared,
        step: StepId,
        what: Interactive<'_>,
    ) -> Result<i32, Failure> {
        self.enter_with(prepared, step, what, None)
    }

    /// Does the same with a socket, which the command finds as [`local::SOCKET`].
    pub(crate) fn enter_with(
        &self,
        prepared: &Prepared,
        step: StepId,
        what: Interactive<'_>,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<i32, Failure> {
        self.at_terminal(prepared, step, |executor, request, console| {
            executor.enter(request, what, &environment::terminal(), Console { socket, ..console })
        })
    }

    /// Does the same while others print on the terminal.
    pub(crate) fn enter_beside(
        &self,
        prepared: &Prepared,
        step: StepId,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<i32, Failure> {
        self.at_terminal(prepared, step, |executor, request, console| {
            let console = Console { socket, is_shared: true, ..console };
            executor.enter(request, Interactive::Command, &environment::terminal(), console)
        })
    }

    /// Builds what `step` reads, then runs its command with this terminal. Returns the exit code and the tree that it
    /// left.
    pub(crate) fn enter_for_output(
        &self,
        prepared: &Prepared,
        step: StepId,
    ) -> Result<(i32, Digest), Failure> {
        let (code, output) = self.at_terminal(prepared, step, |executor, request, console| {
            executor.enter_for_output(request, &environment::terminal(), console)
        })?;
        Ok((code, output.map_err(|reason| Failure::new(Blame::Build, reason))?))
    }

    fn at_terminal<T>(
        &self,
        prepared: &Prepared,
        step: StepId,
        run: impl FnOnce(&LocalExecutor<'_>, &Request<'_>, Console<'_>) -> Result<T, ExecutorError>,
    ) -> Result<T, Failure> {
        let graph = &prepared.lowered.graph;
        let built = self.build(prepared, &graph.producers(step))?;
        let counts = built.outcome.counts();
        if counts.failed > 0 {
            return Err(Failure::told(Blame::Build));
        }
        let assembled = self.action(prepared, step)?;
        let request = assembled.request(graph.step(step));
        let executor = self.caches.executor(NonZeroUsize::MIN, None)?;
        self.ui.clear();
        with_console(&self.cancel, |console| run(&executor, &request, console)).map_err(executor_failure)
    }
}

/// Does `work` with this terminal, until `cancel` becomes true.
pub(crate) fn with_console<T>(cancel: &AtomicBool, work: impl FnOnce(Console<'_>) -> T) -> T {
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    work(Console {
        input: input.as_fd(),
        output: output.as_fd(),
        error: error.as_fd(),
        is_shared: false,
        socket: None,
        cancel,
    })
}
