//! Chores of the project: `cargo xtask tidy`, `cargo xtask ci`, `cargo xtask bench NAME`, `cargo xtask torture`,
//! `cargo xtask fuzz`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "chores talk to whoever runs them")]

mod bench;
mod docs;
mod fuzz;
mod reference;
mod tidy;
mod torture;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask tidy       check the rules that no compiler checks
       cargo xtask reference  write the pages of the docs that are made from the code
       cargo xtask bench [NAME…] [--runs N] [--json FILE] [--no-build]
                              measure our programs beside their peers
       cargo xtask torture [NAME…] [--rounds N] [--seconds N] [--seed N]
                                   [--program FILE] [--scratch DIR]
                              kill builds, cut the power, fill disks, break archives
       cargo xtask fuzz [TARGET…] [--seconds N] [--jobs N]
                              give readers what nobody would write
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
        ["torture", words @ ..] => torture::run(&root(), words),
        ["fuzz", words @ ..] => fuzz::run(&root(), words),
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
        // The fuzz targets are no part of the workspace: nothing else here looks at them.
        && cargo(&["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"])
        && cargo(&["fetch", "--locked", "--manifest-path", "fuzz/Cargo.toml"])
        && cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
        // With the same choice of packages as the tests, so that nothing is compiled twice.
        && cargo(&["test", "--locked", "--workspace", "--no-run"])
        && tools()
        && test()
        && torture::run(&root(), &["--program", &bootwright().to_string_lossy()])
}

/// Returns where cargo puts `bootwright` when it builds for the profile that this program was built for.
fn bootwright() -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name("bootwright")
}

/// The project that has the foreign tools which tests ask.
const TOOLS: &str = "crates/cli/tests/projects/tools";

/// Builds the foreign tools, of the packages that there are today: pins of an earlier run may be gone.
fn tools() -> bool {
    let lock = root().join(TOOLS).join("bootwright.lock");
    match std::fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            eprintln!("could not remove {}: {error}", lock.display());
            false
        }
        _ => run(Command::new(bootwright()).args(["build", "-C", TOOLS])),
    }
}

/// Runs all tests under `CI=1`, with the foreign tools in front of this machine's own: none may be missing.
#[allow(clippy::disallowed_methods, reason = "a chore passes its environment on, with one directory more")]
fn test() -> bool {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let tools = root().join(TOOLS).join("out/tools/bin");
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&own)));
    let Ok(path) = path else {
        eprintln!("the checkout is at a path with `:` in it, which PATH cannot have");
        return false;
    };
    run(Command::new("cargo").args(["test", "--locked", "--workspace"]).env("PATH", path).env("CI", "1"))
}

fn cargo(arguments: &[&str]) -> bool {
    run(Command::new("cargo").args(arguments))
}

fn run(command: &mut Command) -> bool {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let program = command.get_program().to_string_lossy().into_owned();
    eprintln!("+ {program} {}", words.join(" "));
    match command.current_dir(root()).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("could not start {program}: {error}");
            false
        }
    }
}
