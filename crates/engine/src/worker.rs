//! The threads on which steps and merges run, and what they send back to the loop.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use cas::{Digest, Store, StoreError};

use crate::action::{ActionResult, Command, Usage};
use crate::executor::{ActionCache, CacheError, Execution, Executor, ExecutorError, Placed, Request};
use crate::graph::Requirements;
use crate::merge::{Part, merge};
use crate::select::Selection;
use crate::tree::{Blobs, TreeError, Trees};

/// Something to do on a thread.
pub(crate) struct Job<'g> {
    pub(crate) node: u32,
    pub(crate) action: Digest,
    /// The messages that describe the action: to be in the store before it runs.
    pub(crate) blobs: Blobs,
    pub(crate) placed: Vec<Placed>,
    pub(crate) work: Work<'g>,
}

pub(crate) enum Work<'g> {
    Step { label: &'g str, requirements: &'g Requirements, command: Command, input_root: Digest },
    Merge { selection: Option<&'g Selection> },
}

/// What became of a job.
pub(crate) struct Done {
    pub(crate) node: u32,
    pub(crate) end: JobEnd,
}

pub(crate) enum JobEnd {
    /// A command ended; when it succeeded its result is remembered.
    Executed(Execution),
    /// The merged tree is in the store and remembered.
    Merged(ActionResult),
    /// The machine could not do it.
    Failed(JobError),
    /// The thread panicked; the panic itself appears when the threads are joined.
    Panicked,
}

#[derive(Debug)]
pub(crate) enum JobError {
    Executor(ExecutorError),
    Cache(CacheError),
    Tree(TreeError),
}

impl JobError {
    /// Returns whether an input was missing that had been in the store once.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            JobError::Executor(ExecutorError::Store(StoreError::Missing { .. })) => true,
            JobError::Tree(error) => error.is_missing(),
            JobError::Executor(_) | JobError::Cache(_) => false,
        }
    }
}

/// The world as the threads see it.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) cache: &'a dyn ActionCache,
    pub(crate) executor: &'a dyn Executor,
    pub(crate) cancel: &'a AtomicBool,
}

/// Does jobs until there are no more.
pub(crate) fn work(bench: Bench<'_>, jobs: &Mutex<Receiver<Job<'_>>>, done: &Sender<Done>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let mut report = Report { done, node: job.node, end: JobEnd::Panicked };
        report.end = bench.perform(&job).unwrap_or_else(JobEnd::Failed);
    }
}

/// Sends what became of a job when it goes, so that the loop hears of it even if the thread panics.
struct Report<'a> {
    done: &'a Sender<Done>,
    node: u32,
    end: JobEnd,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, JobEnd::Panicked);
        // When nobody listens the loop has ended with an error, which is the one to report.
        let _ = self.done.send(Done { node: self.node, end });
    }
}

impl Bench<'_> {
    fn perform(&self, job: &Job<'_>) -> Result<JobEnd, JobError> {
        match &job.work {
            Work::Step { label, requirements, command, input_root } => {
                let store = |error| JobError::Executor(ExecutorError::Store(error));
                job.blobs.write_to(self.store).map_err(store)?;
                let request = Request {
                    label,
                    action: job.action,
                    command,
                    input_root: *input_root,
                    placed: &job.placed,
                    requirements,
                };
                let execution = self.executor.execute(&request, self.cancel).map_err(JobError::Executor)?;
                if execution.result.exit_code == 0 {
                    self.cache.put(&job.action, &execution.result).map_err(JobError::Cache)?;
                }
                Ok(JobEnd::Executed(execution))
            }
            Work::Merge { selection } => self.merge(job, *selection),
        }
    }

    fn merge(&self, job: &Job<'_>, selection: Option<&Selection>) -> Result<JobEnd, JobError> {
        let tree = |error: StoreError| JobError::Tree(error.into());
        let parts: Vec<Part<'_>> =
            job.placed.iter().map(|placed| Part { path: &placed.path, node: placed.node.clone() }).collect();
        let mut blobs = Blobs::default();
        let output =
            merge(&mut Trees::new(self.store), &parts, selection, &mut blobs).map_err(JobError::Tree)?;
        let log = blobs.push_empty();
        blobs.write_to(self.store).map_err(tree)?;
        job.blobs.write_to(self.store).map_err(tree)?;
        let result = ActionResult { exit_code: 0, output, log, usage: Usage::default() };
        self.cache.put(&job.action, &result).map_err(JobError::Cache)?;
        Ok(JobEnd::Merged(result))
    }
}
