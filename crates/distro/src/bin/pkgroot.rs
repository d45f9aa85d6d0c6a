//! `pkgroot unpack PACKAGE`, `pkgroot source DSC` and `pkgroot configure SPEC`: packages become layers, source
//! packages trees, and layers a root that works.
//!
//! All write below `out` in the working directory: `unpack` the package's layer, and with `--tree` also its files as
//! plain ones. What they need on the way, `configure` keeps in `/tmp`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use distro::configure::{self, ConfigureError, Places, Spec, SpecError};
use distro::{deb, source};
use layer::PlainError;

const USAGE: &str =
    "usage: pkgroot unpack [--tree] PACKAGE\n       pkgroot source DSC\n       pkgroot configure SPEC";

/// The layer that `unpack` makes.
const LAYER: &str = "out/layer.tar";

/// Where the build's scratch space is: on a real file system, as an overlay needs it.
const SCRATCH: &str = "/tmp";

fn main() -> ExitCode {
    // The sandboxes of maintainer scripts are made by executing this program again.
    sandbox::init::run_if_requested();
    // Modes of what is made reach the layers, and a remote executor may have another mask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match &arguments[..] {
        [command, package] if command == "unpack" && package != "--tree" => unpack(Path::new(package)),
        [command, option, package] if command == "unpack" && option == "--tree" => {
            unpack_with_tree(Path::new(package))
        }
        [command, dsc] if command == "source" => unpack_source(Path::new(dsc)),
        [command, spec] if command == "configure" => configure(Path::new(spec)),
        _ => {
            report(USAGE);
            ExitCode::from(2)
        }
    }
}

fn unpack(package: &Path) -> ExitCode {
    match deb::unpack(package, Path::new(LAYER)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&error);
            ExitCode::from(if error.is_machine() { 3 } else { 1 })
        }
    }
}

fn unpack_with_tree(package: &Path) -> ExitCode {
    let unpacked = unpack(package);
    if unpacked != ExitCode::SUCCESS {
        return unpacked;
    }
    let written = layer::Layer::open(Path::new(LAYER))
        .map_err(|source| PlainError::Write { path: PathBuf::from(LAYER), source })
        .and_then(|layer| layer::write_plain(&layer, Path::new("out/tree")));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&error);
            ExitCode::from(if matches!(error, PlainError::NotUtf8 { .. }) { 1 } else { 3 })
        }
    }
}

fn unpack_source(dsc: &Path) -> ExitCode {
    // Beside the tree, so that files are moved and not copied.
    let scratch = Path::new("out/scratch");
    match source::unpack(dsc, Path::new("out/tree"), scratch, &mut |line| report(line)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&error);
            ExitCode::from(if error.is_machine() { 3 } else { 1 })
        }
    }
}

fn configure(spec: &Path) -> ExitCode {
    let spec = match Spec::load(spec) {
        Ok(spec) => spec,
        Err(error) => {
            report_error(&error);
            return ExitCode::from(if matches!(error, SpecError::Read { .. }) { 3 } else { 1 });
        }
    };
    let scratch = Path::new(SCRATCH).join(format!("pkgroot-{}", std::process::id()));
    let result = configure_in(&spec, &scratch);
    if scratch.exists() {
        // What is left of it goes with the sandbox that we run in.
        let _not_ours_to_report = fs::remove_dir(&scratch);
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&error);
            if let ConfigureError::Script(failure) = &error {
                failure.output.lines().for_each(|line| report(&format!("  | {line}")));
            }
            if let Some(help) = error.help() {
                report(&format!("  help: {help}"));
            }
            ExitCode::from(if error.is_machine() { 3 } else { 1 })
        }
    }
}

fn configure_in(spec: &Spec, scratch: &Path) -> Result<(), ConfigureError> {
    let place_error = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| ConfigureError::Place { doing, path, source }
    };
    fs::create_dir(scratch).map_err(place_error("make", scratch))?;
    let itself = Path::new("/proc/self/exe");
    let init = std::env::current_exe().map_err(place_error("find", itself))?;
    let places = Places { scratch: scratch.to_owned(), out: PathBuf::from("out"), init };
    configure::configure(spec, &places, &mut std::io::stderr())
}

fn report_error(error: &dyn Error) {
    report(&format!("error: {error}"));
    let mut source = error.source();
    while let Some(error) = source {
        report(&format!("  caused by: {error}"));
        source = error.source();
    }
}

#[allow(clippy::print_stderr, reason = "what a tool says to its user, it says here")]
fn report(line: &str) {
    eprintln!("{line}");
}
