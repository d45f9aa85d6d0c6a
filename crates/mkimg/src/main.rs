//! The tool `mkimg`: writes layers, initramfs archives and file systems as a specification says.
//!
//! A pure function of its arguments and input files, which writes only where it is told to. Exit codes: 0 done,
//! 1 the input is wrong, 2 usage, 3 this machine cannot.

#![allow(clippy::print_stderr, reason = "a tool reports its errors on standard error")]

use std::error::Error as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use mkimg::spec::{Spec, TreeSpec};
use mkimg::{Error, dump, read_spec, run};

const USAGE: &str = "\
usage: mkimg SPEC.json          make what the specification says
       mkimg tree LAYER.tar     write a layer as plain files into out/
       mkimg dump FILE          describe a layer, cpio archive, file system, disk or virtual disk";

fn main() -> ExitCode {
    let arguments: Vec<String> = match std::env::args_os().skip(1).map(|text| text.into_string()).collect() {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("error: the argument {text:?} is not UTF-8");
            return ExitCode::from(2);
        }
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    allow_many_files();
    let result: Result<Vec<String>, Error> = match arguments[..] {
        ["tree", layer] => {
            let (layer, output) = (layer.to_owned(), "out".to_owned());
            let spec = TreeSpec { layer, output, users: Vec::new(), below: Vec::new() };
            run(&Spec::Tree(spec), Path::new(""))
        }
        ["dump", path] => print_dump(path).map(|()| Vec::new()),
        [spec] if !spec.starts_with('-') && !["tree", "dump"].contains(&spec) => {
            read_spec(Path::new(spec)).and_then(|spec| run(&spec, Path::new("")))
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(notes) => {
            // Lines that begin so are shown to whoever had the step run.
            notes.iter().for_each(|note| eprintln!("note: {note}"));
            ExitCode::SUCCESS
        }
        Err(error) => report(&error),
    }
}

fn print_dump(path: &str) -> Result<(), Error> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = dump(Path::new(path), &mut out);
    // What came before the damage is worth seeing.
    out.flush().map_err(|source| Error::Write { path: "standard output".into(), source })?;
    result
}

fn report(error: &Error) -> ExitCode {
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

/// A root file system has hundreds of layers, all open at once, and the usual limit is 1024 files.
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If that is refused, opening the layer that is one too many says so.
    let _ = setrlimit(Resource::Nofile, limit);
}
