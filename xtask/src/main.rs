//! Chores of the project: `cargo xtask tidy`, `cargo xtask ci`, `cargo xtask bench NAME`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "chores talk to whoever runs them")]

mod bench;
mod reference;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask tidy       check the rules that no compiler checks
       cargo xtask reference  write the pages of the docs that are made from the code
       cargo xtask bench [NAME…] [--runs N] [--json FILE] [--no-build]
                              measure our programs beside their peers
       cargo xtask ci         everything that must hold before a change lands";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["tidy"] => tidy(),
        ["reference"] => match reference::write(&root()) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("{error}");
                false
            }
        },
        ["bench", words @ ..] => bench::run(&root(), words),
        ["ci"] => ci(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn tidy() -> bool {
    let problems = tidy::problems(&root());
    for problem in &problems {
        eprintln!("tidy: {problem}");
    }
    problems.is_empty()
}

fn ci() -> bool {
    cargo(&["fmt", "--all", "--check"])
        && cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
        && cargo(&["test", "--locked", "--workspace"])
}

fn cargo(arguments: &[&str]) -> bool {
    eprintln!("+ cargo {}", arguments.join(" "));
    match Command::new("cargo").args(arguments).current_dir(root()).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("could not start cargo: {error}");
            false
        }
    }
}
