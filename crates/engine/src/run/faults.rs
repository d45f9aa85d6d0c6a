//! What the loop does when something is not as it should be.

use std::collections::BTreeSet;

use cas::{Digest, StoreError};

use super::{Build, Status};
use crate::events::EventKind;
use crate::executor::ExecutorError;
use crate::graph::StepId;
use crate::key::InputError;
use crate::needs::producers;
use crate::outcome::{NodeName, RunError, StepOutcome};
use crate::tree::TreeError;
use crate::worker::JobError;

impl Build<'_, '_> {
    pub(super) fn unready(&mut self, node: u32, problem: InputError) {
        // Of a merge that cannot be, the first step that needs it tells why.
        let Some(step) = self.first_step(node) else { return };
        let label = self.label(step);
        self.emit(EventKind::Unready { label, problem: problem.to_string() });
        self.outcomes[step.0 as usize] = Some(StepOutcome::Unready { problem });
        self.give_up(step.0, step);
        if node != step.0 {
            self.give_up(node, step);
        }
    }

    fn first_step(&self, node: u32) -> Option<StepId> {
        let mut node = node;
        loop {
            match self.needs.step(node) {
                Some(step) => return Some(step),
                None => node = *self.needs.dependents(node).first()?,
            }
        }
    }

    /// Records that `node` has no output and that nothing can be made that reads it.
    pub(super) fn give_up(&mut self, node: u32, because: StepId) {
        self.has_failed = true;
        let mut gone = vec![node];
        while let Some(node) = gone.pop() {
            self.status[node as usize] = Status::Gone;
            if let Some(estimates) = &mut self.estimates {
                estimates.finish(node, &self.needs);
            }
            let mut skipped = Vec::new();
            for &dependent in self.needs.dependents(node) {
                if self.status[dependent as usize] == Status::Waiting {
                    self.status[dependent as usize] = Status::Gone;
                    skipped.push(dependent);
                }
            }
            for dependent in skipped {
                self.skip(dependent, because);
                gone.push(dependent);
            }
        }
    }

    pub(super) fn skip(&mut self, node: u32, because: StepId) {
        let Some(step) = self.needs.step(node) else { return };
        let (label, reason) = (self.label(step), self.label(because));
        self.emit(EventKind::Skipped { label, because: reason });
        self.outcomes[step.0 as usize] = Some(StepOutcome::Skipped { because });
    }

    pub(super) fn retry(&mut self, node: u32, action: Digest, error: JobError) {
        let attempts = self.attempts.entry(node).or_insert(0);
        *attempts += 1;
        // What somebody has to do something about will not have changed in the meantime.
        let is_final = matches!(
            error,
            JobError::Executor(ExecutorError::Cancelled | ExecutorError::Machine { help: Some(_), .. })
        );
        if is_final || *attempts > self.options.retries || self.is_stopping() {
            return self.stop(node, error);
        }
        if let Some(step) = self.needs.step(node) {
            let label = self.label(step);
            self.emit(EventKind::Retried { label, error: chain(&error) });
        }
        self.enqueue(node, action);
    }

    /// Has made again what `node` reads and what turned out to be incomplete although it was remembered,
    /// and first what that is made of, if that is incomplete too. Stops the build with `error` when `node`
    /// reads no such thing.
    pub(super) fn revive_producers(&mut self, node: u32, error: JobError) {
        self.keys.trees.forget();
        let mut unchecked = vec![node];
        while let Some(reader) = unchecked.pop() {
            let mut n_awaited = 0;
            let mut seen = BTreeSet::new();
            for producer in producers(self.graph, reader) {
                if !seen.insert(producer) {
                    continue;
                }
                if let Some(waiting) = self.revived.get_mut(&producer) {
                    // Made again once and lost again is the machine's fault.
                    if self.status[producer as usize] != Status::Known {
                        waiting.push(reader);
                        n_awaited += 1;
                    }
                    continue;
                }
                let Some(output) = self.outputs.get(producer) else { continue };
                match self.keys.trees.is_complete(&output) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => return self.stop(node, JobError::Tree(error)),
                }
                n_awaited += 1;
                self.revived.insert(producer, vec![reader]);
                let label = self.needs.step(producer).map(|step| self.label(step));
                self.emit(EventKind::Lost { label });
                unchecked.push(producer);
            }
            if n_awaited == 0 && reader == node {
                return self.stop(node, error);
            }
            self.status[reader as usize] = Status::Waiting;
            self.n_awaited[reader as usize] = n_awaited;
            if n_awaited == 0 {
                self.ready.push_back(reader);
            }
        }
    }

    /// Ends the build with an error, once what is running has ended. The first error is the one to report.
    pub(super) fn stop(&mut self, node: u32, error: JobError) {
        let Some(step) = self.first_step(node) else { return };
        let node = match self.needs.step(node) {
            Some(step) => NodeName::of_step(self.graph, step),
            None => NodeName::of_merge_for(self.graph, step),
        };
        self.error.get_or_insert(match error {
            JobError::Executor(source) => RunError::Execute { node, source },
            JobError::Cache(source) => RunError::Cache { node, source },
            JobError::Tree(source) => RunError::Inputs { node, source },
        });
    }
}

pub(super) fn missing_again(error: &JobError) -> JobError {
    match error {
        JobError::Executor(ExecutorError::Store(StoreError::Missing { digest }))
        | JobError::Tree(TreeError::Store(StoreError::Missing { digest })) => {
            JobError::Tree(TreeError::Store(StoreError::Missing { digest: *digest }))
        }
        _ => unreachable!("only missing blobs are revived"),
    }
}

/// Returns the error and its causes in one line.
fn chain(error: &JobError) -> String {
    let mut cause: Option<&dyn std::error::Error> = Some(match error {
        JobError::Executor(error) => error,
        JobError::Cache(error) => error,
        JobError::Tree(error) => error,
    });
    let mut text = String::new();
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
