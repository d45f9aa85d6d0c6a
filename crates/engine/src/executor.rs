//! What the engine asks of the world.

use std::sync::atomic::AtomicBool;

use cas::{Digest, Node, StoreError};

use crate::{ActionResult, Command, Requirements};

/// Remembers results by the digest of the action.
pub trait ActionCache: Send + Sync {
    /// Returns what is remembered, or `None`. What it returns refers only to blobs that the store has.
    fn get(&self, action: &Digest) -> Result<Option<ActionResult>, CacheError>;

    /// Remembers `result`. Everything it refers to must be in the store by then.
    fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), CacheError>;

    /// Returns the action that a step comes to, with its result, if [`ActionCache::learn`] was told of both
    /// and what the result refers to is still in the store.
    ///
    /// A shortcut is the digest of a step and of what it reads, before that is put together: a build in which
    /// nothing has to run need not know what the action is made of. A cache need not have any.
    fn recall(&self, _shortcut: &Digest) -> Option<(Digest, ActionResult)> {
        None
    }

    /// Takes note of what a shortcut leads to: an action, and its result, which is remembered.
    fn learn(&self, _shortcut: &Digest, _action: &Digest, _result: &ActionResult) {}
}

/// The action cache could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing}")]
pub struct CacheError {
    /// What was being done to what.
    pub doing: String,
    /// What the store or system said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Runs actions. Called from several threads at once; blocks until the action ended.
pub trait Executor: Send + Sync {
    /// Runs the action and returns its result, also when the command failed or was killed at its timeout.
    ///
    /// Fails when there was nothing to run it in or no room for its outputs. An input that is not in the store
    /// should be told as [`StoreError::Missing`]: then what made it is run again. Returns
    /// [`ExecutorError::Cancelled`] soon after `cancel` becomes true, with nothing of it left running.
    fn execute(&self, request: &Request<'_>, cancel: &AtomicBool) -> Result<Execution, ExecutorError>;
}

/// One action to run.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The step's label.
    pub label: &'a str,
    /// The digest of the action; it, its command and its input root are in the store.
    pub action: Digest,
    /// The command.
    pub command: &'a Command,
    /// The digest of the root `Directory` of the merged input tree. The working directory and in it the
    /// output directory, empty, are always part of it.
    pub input_root: Digest,
    /// The same input tree before it was merged, so that whole trees can be staged once and shared. What
    /// [`crate::Placement`] says of whiteouts is left to do. The working and the output directory are here
    /// only if a placement brings them.
    pub placed: &'a [Placed],
    /// What the step needs.
    pub requirements: &'a Requirements,
}

/// One resolved placement: see [`crate::Placement`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where, relative to the input root; empty for the root itself.
    pub path: String,
    /// What.
    pub node: Node,
}

/// An action that ran.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Its result.
    pub result: ActionResult,
    /// Where its sandbox was kept, when the command failed and the executor keeps those.
    pub kept: Option<String>,
}

/// Why an action could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The build was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// The machine cannot do it.
    #[error("could not {doing}")]
    Machine {
        /// What was being done to what.
        doing: String,
        /// What the reader can do about it, if anything.
        help: Option<String>,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<StoreError> for ExecutorError {
    /// A store that gave up makes it [`ExecutorError::Cancelled`].
    fn from(error: StoreError) -> ExecutorError {
        if error.is_cancelled() { ExecutorError::Cancelled } else { ExecutorError::Store(error) }
    }
}
