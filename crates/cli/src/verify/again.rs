//! An executor that runs what ran before under other circumstances, and keeps what differs.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use cas::{Digest, Store as _};
use engine::{ActionCache as _, Execution, Executor, ExecutorError, Request, Requirements};
use local::{LocalActionCache, LocalExecutor};
use sandbox::Variation;
use serde::Serialize;

use super::aspect::Aspect;
use super::detail::{self, FileDifference};
use crate::failure::Failure;
use crate::workspace::Caches;

/// For how many steps it is found out what they depend on: each of them runs seven times more for that.
const SEARCHED: usize = 10;
/// How many of the last lines of a log are kept.
const LAST_LINES: usize = 10;

/// A step whose bytes are not always the same.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// Its label.
    pub(crate) step: String,
    /// What was different.
    pub(crate) how: How,
    /// What it depends on; `None` when that was not searched for.
    pub(crate) cause: Option<Cause>,
}

/// In what a run differs from the one that is remembered.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    /// It left other files.
    Files {
        /// The first of them.
        files: Vec<FileDifference>,
        /// How many more there are.
        more: usize,
    },
    /// It failed.
    Failed {
        /// How.
        exit_code: i32,
        /// What it said last.
        log: String,
    },
}

/// What a step depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    /// It differs with nothing changed: random numbers, addresses, process numbers, the time to the second.
    Itself,
    /// It differs when only this does: any of these.
    Aspects(Vec<Aspect>),
    /// It differs only when several things do.
    Several,
}

/// Runs actions again that are remembered, and returns what is remembered: so everything else finds the inputs
/// that it had, and every step is looked at for itself.
pub(crate) struct Again<'a> {
    caches: &'a Caches,
    remembered: LocalActionCache<'a>,
    executor: LocalExecutor<'a>,
    n_jobs: NonZeroUsize,
    findings: Mutex<Vec<Finding>>,
}

impl<'a> Again<'a> {
    /// Returns an executor for `n_jobs` at once.
    pub(crate) fn new(caches: &'a Caches, n_jobs: NonZeroUsize) -> Result<Again<'a>, Failure> {
        let mut variation = Variation::default();
        for aspect in Aspect::ALL {
            aspect.vary(&mut variation);
        }
        // Makefiles see another number of jobs.
        let n_jobs = n_jobs.saturating_add(1);
        let executor = caches.varied_executor(n_jobs, variation)?;
        let remembered = caches.action_cache();
        Ok(Again { caches, remembered, executor, n_jobs, findings: Mutex::new(Vec::new()) })
    }

    /// Returns what was found, in the order in which it was.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn how(&self, output: &Digest, execution: &Execution) -> Result<Option<How>, ExecutorError> {
        let store = &self.caches.store;
        let result = &execution.result;
        if result.exit_code != 0 {
            let log = store.read(&result.log)?;
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let log = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            return Ok(Some(How::Failed { exit_code: result.exit_code, log }));
        }
        if result.output == *output {
            return Ok(None);
        }
        let (files, more) = detail::differences(store, output, &result.output)
            .map_err(|error| machine("compare the files of two runs", error))?;
        Ok(Some(How::Files { files, more }))
    }

    /// Finds out what a step depends on by changing one thing after the other.
    fn search(
        &self,
        request: &Request<'_>,
        output: &Digest,
        cancel: &AtomicBool,
    ) -> Result<Cause, ExecutorError> {
        let differs = |variation: Variation| {
            let executor = self
                .caches
                .varied_executor(self.n_jobs, variation)
                .map_err(|failure| machine("make an executor", Told(failure)))?;
            let result = executor.execute(request, cancel)?.result;
            Ok::<_, ExecutorError>(result.exit_code != 0 || result.output != *output)
        };
        if differs(Variation::default())? {
            return Ok(Cause::Itself);
        }
        let mut found = Vec::new();
        for aspect in Aspect::ALL {
            let mut variation = Variation::default();
            aspect.vary(&mut variation);
            if differs(variation)? {
                found.push(aspect);
            }
        }
        Ok(if found.is_empty() { Cause::Several } else { Cause::Aspects(found) })
    }
}

impl Executor for Again<'_> {
    fn execute(&self, request: &Request<'_>, cancel: &AtomicBool) -> Result<Execution, ExecutorError> {
        let remembered = self
            .remembered
            .get(&request.action)
            .map_err(|error| machine("look up what is remembered", error))?;
        let Some(remembered) = remembered else {
            return Err(machine("find the result to compare with", Forgotten));
        };
        // With traced system calls it takes longer. Nothing was kept, so that whoever keeps something is found out.
        let requirements = Requirements { timeout: None, kept: Vec::new(), ..request.requirements.clone() };
        let request = Request { requirements: &requirements, ..*request };
        let execution = self.executor.execute(&request, cancel)?;
        if let Some(how) = self.how(&remembered.output, &execution)? {
            let step = request.label.to_owned();
            let place = {
                let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
                // It may run once more, after the machine failed while the cause was searched.
                let before = findings.iter().position(|finding| finding.step == step);
                let finding = Finding { step, how, cause: None };
                if let Some(place) = before {
                    findings[place] = finding;
                    place
                } else {
                    findings.push(finding);
                    findings.len() - 1
                }
            };
            if place < SEARCHED {
                let cause = self.search(&request, &remembered.output, cancel)?;
                let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
                findings[place].cause = Some(cause);
            }
        }
        Ok(Execution { result: remembered, kept: None })
    }
}

/// The result was collected between the build and its verification.
#[derive(Debug, thiserror::Error)]
#[error("it is not remembered any more")]
struct Forgotten;

/// A failure as the source of another error.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.error.as_ref().map(ToString::to_string).unwrap_or_default())]
struct Told(Failure);

fn machine(doing: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ExecutorError {
    ExecutorError::Machine { doing: doing.to_owned(), help: None, source: source.into() }
}
