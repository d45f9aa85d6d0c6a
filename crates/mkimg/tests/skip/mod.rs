//! What a test does that has no foreign tool to ask.

/// Says that a check by the tool `name` is left out. Under `CI=1` that is a failure.
#[allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "CI is told by the environment; a skipped test says why"
)]
pub(crate) fn skip(name: &str) {
    let why = format!("there is no `{name}`; `cargo xtask ci` brings one from a locked environment");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "1"), "under CI=1 this has to run: {why}");
    eprintln!("skipped: {why}");
}
