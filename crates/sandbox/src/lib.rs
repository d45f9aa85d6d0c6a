//! Runs a command in a world of its own, as root or as an ordinary user, and leaves nothing behind.
//!
//! Every namespace and every unsafe line of the project is in this crate. What is put into a sandbox and
//! what becomes of its results is left to `local` (build steps) and `distro` (configuring packages).
//!
//! A program that spawns sandboxes calls [`init::run_if_requested`] before anything else in its `main`, and
//! passes its own executable to [`spawn`]: the sandbox is made by re-executing it. Three processes take
//! part besides the caller (see `init`):
//!
//! ```text
//! caller ── guard ── pid 1 ── the command
//!           waits,   makes    exec
//!           kills    the world, reaps
//! ```
//!
//! [`emulate`] lets a program that is user 0 of a single-user namespace do what only real root can:
//! `chown`, `mknod`, `setcap`. Those calls succeed and are recorded.

mod description;
pub mod emulate;
mod error;
mod filter;
pub mod init;
pub mod lease;
mod probe;
mod protocol;
mod ptrace;
mod remove;
mod spawn;
mod sys;
pub mod terminal;

pub use description::{
    HOSTNAME, Limit, Mount, Overlay, Resource, Root, Sandbox, Source, User, Variation, Writable,
};
pub use error::Error;
pub use init::overlay::mount_overlay;
pub use probe::{Capabilities, probe};
pub use remove::remove_tree;
pub use spawn::{Child, Ended, Exit, Files, Standard, Stream, Usage, spawn};
