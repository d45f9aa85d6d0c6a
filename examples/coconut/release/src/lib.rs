//! Of which commit the kernel is: the module is written by whoever builds it.
#![no_std]

mod git_version;

pub use git_version::GIT_VERSION;
