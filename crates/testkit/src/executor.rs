//! An executor that does what the test says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use cas::{Digest, Store};
use engine::{ActionResult, Execution, Executor, ExecutorError, Request, Usage};

use crate::tree::make_tree;

/// Calls a function for every action, and remembers for which steps.
pub struct ScriptedExecutor<'a> {
    store: &'a dyn Store,
    script: Box<Script<'a>>,
    ran: Mutex<Vec<String>>,
}

type Script<'a> = dyn Fn(&Request<'_>) -> Result<Produced, ExecutorError> + Send + Sync + 'a;

/// What a scripted action leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Produced {
    exit_code: i32,
    files: BTreeMap<String, String>,
    log: String,
    usage: Usage,
    kept: Option<String>,
}

impl Produced {
    /// Adds an output, as in [`make_tree`].
    pub fn file(mut self, path: &str, content: impl Into<String>) -> Produced {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// Sets the exit code.
    pub fn exit_code(mut self, exit_code: i32) -> Produced {
        self.exit_code = exit_code;
        self
    }

    /// Sets the log.
    pub fn log(mut self, log: &str) -> Produced {
        self.log = log.to_owned();
        self
    }

    /// Sets what it cost.
    pub fn usage(mut self, usage: Usage) -> Produced {
        self.usage = usage;
        self
    }

    /// Says where the sandbox was kept.
    pub fn kept(mut self, kept: &str) -> Produced {
        self.kept = Some(kept.to_owned());
        self
    }
}

impl<'a> ScriptedExecutor<'a> {
    /// Returns an executor that asks `script` what each action produces, and writes that to `store`.
    pub fn new(
        store: &'a dyn Store,
        script: impl Fn(&Request<'_>) -> Result<Produced, ExecutorError> + Send + Sync + 'a,
    ) -> ScriptedExecutor<'a> {
        ScriptedExecutor { store, script: Box::new(script), ran: Mutex::default() }
    }

    /// Returns an executor for tests in which nothing may run.
    ///
    /// # Panics
    /// Its [`Executor::execute`] does.
    pub fn refusing(store: &'a dyn Store) -> ScriptedExecutor<'a> {
        ScriptedExecutor::new(store, |request| panic!("`{}` must not run", request.label))
    }

    /// Returns the labels of what ran since the last call, in the order of the starts.
    pub fn take_ran(&self) -> Vec<String> {
        std::mem::take(&mut self.ran.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Executor for ScriptedExecutor<'_> {
    fn execute(&self, request: &Request<'_>, cancel: &AtomicBool) -> Result<Execution, ExecutorError> {
        if cancel.load(Ordering::Relaxed) {
            return Err(ExecutorError::Cancelled);
        }
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(request.label.to_owned());
        let produced = (self.script)(request)?;
        let files: Vec<(&str, &str)> =
            produced.files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
        let output = make_tree(self.store, &files);
        let log = write(self.store, produced.log.as_bytes())?;
        let result = ActionResult { exit_code: produced.exit_code, output, log, usage: produced.usage };
        Ok(Execution { result, kept: produced.kept })
    }
}

fn write(store: &dyn Store, bytes: &[u8]) -> Result<Digest, ExecutorError> {
    Ok(store.write(bytes)?)
}
