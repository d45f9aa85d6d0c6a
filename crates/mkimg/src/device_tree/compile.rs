//! Compiles device tree source, as the Linux kernel's build does it: through the C preprocessor, then by `dtc`.
//!
//! Both are programs of the environment that the step runs in. Labels are kept, for overlays and for edits.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::Error;
use crate::files::{Directory, create_above};
use crate::spec::DeviceTreeSourcesSpec;

/// Compiles every source and returns what the programs complain about.
pub(crate) fn write(spec: &DeviceTreeSourcesSpec, directory: &Directory<'_>) -> Result<Vec<String>, Error> {
    let mut complaints = Vec::new();
    for source in &spec.sources {
        // As the kernel's build calls it (scripts/Makefile.lib, cmd_dtc); nothing of the environment's is included.
        let mut cpp = Command::new("cpp");
        cpp.args(["-nostdinc", "-undef", "-D__DTS__", "-x", "assembler-with-cpp"]);
        cpp.args(spec.includes.iter().flat_map(|directory| ["-I", directory]));
        cpp.arg(&source.source);
        let preprocessed = run(cpp, directory, &source.source, Vec::new(), &mut complaints)?;

        let output = directory.path(&source.output);
        create_above(&output).map_err(|error| Error::Write { path: output, source: error })?;
        let mut dtc = Command::new("dtc");
        dtc.args(["-@", "-I", "dts", "-O", "dtb", "-o", &source.output]);
        dtc.args(spec.includes.iter().flat_map(|directory| ["-i", directory]));
        dtc.arg("-");
        run(dtc, directory, &source.source, preprocessed, &mut complaints)?;
    }
    Ok(complaints)
}

/// Runs a program on `input` and returns what it prints.
fn run(
    mut command: Command,
    directory: &Directory<'_>,
    source: &str,
    input: Vec<u8>,
    complaints: &mut Vec<String>,
) -> Result<Vec<u8>, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    // The working directory itself if that is what paths are relative to.
    let current = directory.path("");
    if current != Path::new("") {
        command.current_dir(current);
    }
    let Output { status, stdout, stderr } = match output(&mut command, input) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NoProgram { program }),
        Err(error) => return Err(Error::Start { program, source: error }),
    };
    let said = String::from_utf8_lossy(&stderr);
    let said = said.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty());
    if !status.success() {
        return Err(Error::Compile { program, file: source.to_owned(), said: said.collect() });
    }
    complaints.extend(said);
    Ok(stdout)
}

fn output(command: &mut Command, input: Vec<u8>) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take();
    // On a thread of its own: the program may print before it has read everything.
    let writer = std::thread::spawn(move || {
        let Some(mut stdin) = stdin else { return };
        // Who ends before the end of its input says why by itself.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output();
    writer.join().map_err(|_| io::Error::other("a thread is gone"))?;
    output
}

/// Says which packages of Debian have a program that is missing.
pub(crate) fn help(program: &str) -> String {
    let package = if OsStr::new(program) == "dtc" { "device-tree-compiler" } else { program };
    format!("add the package `{package}` to the environment")
}
