//! What of a source its configuration depends on: a change in anything else need not have it configured again.
//!
//! These are Makefiles, Kconfig files, configurations, scripts, and whatever else is not known to be something to compile
//! or to read.

/// Directories of which everything counts: below these are the sources of programs that configuring needs, and scripts
/// that it calls.
pub const CONFIGURES_WHOLE: &[&str] = &["scripts", "tools/include"];
/// Directories of which nothing is ever read.
pub const CONFIGURES_NEVER: &[&str] = &["tools/perf", "tools/testing"];
/// What ends the names of files that are compiled, or read by people.
pub const CONFIGURES_WITHOUT: &[&str] =
    &["S", "c", "cc", "dts", "dtsi", "dtso", "gif", "h", "json", "rs", "rst", "s", "svg", "txt", "yaml"];
