//! Foreign tools that tests ask.

#[path = "../skip/mod.rs"]
mod skip;

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// Runs a foreign tool and returns its exit code and what it said, or nothing if there is none to run.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Option<(i32, String)> {
    // Those of the locked environment are on the PATH; the machine's own often are not.
    for directory in ["", "/usr/sbin", "/sbin", "/usr/local/sbin"] {
        let output = match Command::new(Path::new(directory).join(name)).args(arguments).output() {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => panic!("`{name}` does not run: {error}"),
        };
        let text = [output.stdout, output.stderr].concat();
        return Some((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned()));
    }
    skip::skip(name);
    None
}
