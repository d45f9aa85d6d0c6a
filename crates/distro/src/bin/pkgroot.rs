//! `pkgroot unpack PACKAGE` and `pkgroot configure SPEC`: packages become layers, and a root that works.
//!
//! Both write below `out` in the working directory, and nowhere else but into scratch space.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use distro::deb;

const USAGE: &str = "usage: pkgroot unpack PACKAGE | pkgroot configure SPEC";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match &arguments[..] {
        [command, package] if command == "unpack" => unpack(Path::new(package)),
        _ => {
            report(USAGE);
            ExitCode::from(2)
        }
    }
}

fn unpack(package: &Path) -> ExitCode {
    match deb::unpack(package, Path::new("out/layer.tar")) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&error);
            ExitCode::from(if error.is_machine() { 3 } else { 1 })
        }
    }
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
