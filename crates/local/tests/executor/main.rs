//! Steps in sandboxes on this machine, as root and as an ordinary user.
//!
//! This program is its own init, so it has no libtest harness: [`harness`] runs the tests one after another,
//! and once more as an ordinary user when we are root. What steps run is taken from the host.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test, without the harness that clippy knows tests by"
)]

mod bench;
mod builds;
mod contracts;
mod earlier;
mod failures;
mod harness;
mod inputs;
mod jobs;

use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::init::run_if_requested();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--hold", scratch, marker] => failures::hold(scratch, marker),
        ["--fill", scratch] => failures::fill(scratch),
        ["--measure", scratch] => bench::measure(scratch),
        _ => harness::run(
            &[contracts::TESTS, inputs::TESTS, failures::TESTS, jobs::TESTS, builds::TESTS, earlier::TESTS]
                .concat(),
            &words,
        ),
    }
}
