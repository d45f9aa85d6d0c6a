//! Sandboxes from inside and outside, as root and as an ordinary user.
//!
//! This program is its own init, and what is run in the sandboxes (`--inside`), so it has no libtest
//! harness: [`harness`] runs the tests one after another, and again as ordinary users when we are root.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test, without the harness that clippy knows tests by"
)]

mod attempts;
mod emulation;
mod escapes;
mod harness;
mod lifetime;
mod variation;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::init::run_if_requested();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--inside", what, ref rest @ ..] => attempts::run(what, rest),
        ["--configure", ref rest @ ..] => emulation::configure(rest),
        ["--holder", scratch, marker] => lifetime::hold(scratch, marker),
        _ => {
            let tests =
                [escapes::TESTS, lifetime::TESTS, world::TESTS, emulation::TESTS, variation::TESTS].concat();
            harness::run(&tests, &words)
        }
    }
}
