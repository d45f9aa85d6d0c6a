//! Seccomp filters: which system calls a command may make, and which are answered for it.
//!
//! `bpf` assembles programs from rules, `policy` holds the sandbox's rules, `emulation` those of root
//! emulation, `variation` those of a sandbox that is not like others. Written by hand instead of taken from a crate because an emulation needs three answers in
//! one program (an error, success, "ask the listener") and a look at single bits of arguments.

mod bpf;
mod emulation;
mod policy;
mod variation;

pub(crate) use emulation::emulation;
pub(crate) use policy::policy;
pub(crate) use variation::variation;
