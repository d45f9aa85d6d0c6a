//! Actions and their results, as the Remote Execution API v2 names them.

use std::time::Duration;

use cas::Digest;

/// A command as it will be encoded: arguments, sorted environment, where it starts, what it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The environment, sorted by name, names unique.
    pub environment: Vec<(String, String)>,
    /// Platform properties, sorted by name: what of [`crate::Requirements`] can change the outputs.
    pub platform: Vec<(String, String)>,
}

/// What an action that ran left behind. A command that failed has a result too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionResult {
    /// The exit code of the command; 128 + the signal when one killed it.
    pub exit_code: i32,
    /// The digest of the root `Directory` of the output directory.
    pub output: Digest,
    /// What the command wrote to standard output and standard error, interleaved.
    pub log: Digest,
    /// What it cost.
    pub usage: Usage,
}

/// What running an action cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From start to end.
    pub wall: Duration,
    /// User and system time of all its processes.
    pub cpu: Duration,
    /// The peak of its resident memory in bytes, the largest process when the sum is not known.
    pub peak_memory: u64,
}
