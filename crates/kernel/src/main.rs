//! The tool `kbuild`: patches, configures, checks and builds Linux as a specification says.
//!
//! It writes below `out` in the working directory, and objects to `/tmp`. Exit codes: 0 done, 1 the input is wrong,
//! 2 usage, 3 this machine cannot.

#![allow(clippy::print_stderr, reason = "a tool reports its errors on standard error")]

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use kernel::{Error, build, check, configure, edit, patch};
use serde::de::DeserializeOwned;

const USAGE: &str = "\
usage: kbuild patch SPEC.json               apply a series of patches
       kbuild config SPEC.json              make a configuration
       kbuild edit SPEC.json [COMMAND...]   have a configuration changed, in menus by default
       kbuild contract SPEC.json            check a configuration
       kbuild build SPEC.json               compile a kernel";

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    let out = Path::new("out");
    let mut say = |line: &str| eprintln!("{line}");
    let result = match arguments[..] {
        ["patch", spec] => read(spec).and_then(|spec| patch(&spec, out, &mut say)),
        ["config", spec] => read(spec).and_then(|spec| configure(&spec, out, &mut say)),
        ["edit", spec, ..] => read(spec).and_then(|spec| edit(&spec, &words[2..], out)),
        ["contract", spec] => read(spec).and_then(|spec| check(&spec, out)),
        ["build", spec] => read(spec).and_then(|spec| build(&spec, out, &mut say)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
    if let Some(help) = error.help() {
        eprintln!("  help: {help}");
    }
    ExitCode::from(if error.is_machine() { 3 } else { 1 })
}

fn read<T: DeserializeOwned>(spec: &str) -> Result<T, Error> {
    let path = Path::new(spec);
    let text = fs::read_to_string(path).map_err(|source| Error::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| Error::Spec { path: path.to_owned(), source })
}
