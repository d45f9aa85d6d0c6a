//! Runs maintainer scripts and dpkg in the root that is being configured.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;

use sandbox::emulate::{self, Records};
use sandbox::{Exit, Files, Mount, Root, Sandbox, Standard, Stream, User};

/// What of the output is kept to be shown with a failure.
const TAIL: usize = 64 << 10;
/// Lines that a failure shows.
const TAIL_LINES: usize = 20;

/// A maintainer script or a program that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The package, if it is known.
    pub package: Option<String>,
    /// The script's or the program's name.
    pub script: String,
    /// How it ended, as in `exit code 1`.
    pub status: String,
    /// The last lines that it wrote.
    pub output: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.package {
            Some(package) => {
                write!(f, "`{}` of the package `{package}` failed with {}", self.script, self.status)
            }
            None => write!(f, "`{}` failed with {}", self.script, self.status),
        }
    }
}

/// Runs commands in one root, one after another.
pub(super) struct Scripts<'a> {
    /// The mounted root.
    pub(super) root: &'a Path,
    /// Our own executable.
    pub(super) init: &'a Path,
    /// The environment of all commands.
    pub(super) environment: Vec<(String, String)>,
    /// Owners, devices and attributes that were asked for.
    pub(super) records: &'a mut Records,
    /// Where all output goes.
    pub(super) log: &'a mut (dyn Write + Send),
}

/// The environment that debootstrap and dpkg agree on for scripts that nobody answers.
pub(super) fn environment(epoch: i64) -> Vec<(String, String)> {
    [
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("DEBCONF_NOWARNINGS", "yes"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DPKG_ROOT", ""),
        ("HOME", "/root"),
        ("LC_ALL", "C.UTF-8"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        // Byte code that Python writes by itself has the time of its source in it, which is that of a checkout.
        ("PYTHONDONTWRITEBYTECODE", "1"),
        // What packages have it compile is then checked against the source's hash instead.
        ("SOURCE_DATE_EPOCH", &epoch.to_string()),
        ("TZ", "UTC"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

impl Scripts<'_> {
    /// Runs `arguments` with `more` in its environment and `input` to read; returns how it ended and the last
    /// part of what it wrote.
    pub(super) fn run(
        &mut self,
        arguments: &[&str],
        more: &[(&str, &str)],
        input: Option<&File>,
    ) -> Result<(Exit, String), sandbox::Error> {
        let mut environment = self.environment.clone();
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut sandbox = Sandbox::new(Root::Directory(self.root.to_owned()), arguments);
        sandbox.mounts = vec![Mount::proc(), Mount::dev(&[])];
        sandbox.user = User::Root;
        sandbox.environment = environment;

        let set_up =
            |source| sandbox::Error::SetUp { doing: "make a pipe for the output".to_owned(), source };
        let (reader, writer) = io::pipe().map_err(set_up)?;
        let (init, records, log) = (self.init, &mut *self.records, &mut *self.log);
        let (ended, tail) = std::thread::scope(|scope| {
            let copying = scope.spawn(|| copy_output(reader, log));
            let stdin = input.map_or(Stream::Null, |input| Stream::File(input.as_fd()));
            let output = Stream::File(writer.as_fd());
            let standard = Standard::Streams { stdin, stdout: output, stderr: output };
            let ended = emulate::run(&sandbox, &Files { standard, inherited: Vec::new() }, init, records);
            // Now that nothing is left of the sandbox, ours is the last end that keeps the pipe open.
            drop(writer);
            (ended, copying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        Ok((ended?.exit, tail))
    }

    /// Runs `arguments` as [`Scripts::run`] does; `None` if it succeeded.
    pub(super) fn attempt(
        &mut self,
        arguments: &[&str],
        more: &[(&str, &str)],
        input: Option<&File>,
    ) -> Result<Option<Failure>, sandbox::Error> {
        let (exit, output) = self.run(arguments, more, input)?;
        Ok(failure(arguments[0], exit, &output))
    }
}

/// Returns the failure of a program that ended like this, unless it succeeded.
pub(super) fn failure(program: &str, exit: Exit, output: &str) -> Option<Failure> {
    let script = program.rsplit('/').next().unwrap_or_default().to_owned();
    let failure = Failure { package: None, script, status: status(exit), output: last_lines(output) };
    (exit != Exit::Code(0)).then_some(failure)
}

/// Returns a file in memory with `text`, ready to be read.
pub(super) fn input(text: &str) -> io::Result<File> {
    let mut file = tempfile_in_memory()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn tempfile_in_memory() -> io::Result<File> {
    Ok(rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

fn copy_output(mut pipe: impl Read, log: &mut (dyn Write + Send)) -> String {
    let mut tail = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                // Whoever no longer reads the log still wants the result.
                let _nobody_reads_it = log.write_all(&buffer[..n]);
                tail.extend_from_slice(&buffer[..n]);
                if tail.len() > 2 * TAIL {
                    tail.drain(..tail.len() - TAIL);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&tail).into_owned()
}

fn status(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::NotRun(errno) => io::Error::from_raw_os_error(errno).to_string(),
    }
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Finds in dpkg's `output` which script made it fail, and returns `failure`, which is about dpkg, as being
/// about that script.
pub(super) fn blame(failure: Failure, output: &str) -> Failure {
    let mut lines = output.lines().enumerate();
    let Some((line_idx, package)) = lines.find_map(|(line_idx, line)| {
        let package = line.strip_prefix("dpkg: error processing package ")?;
        Some((line_idx, package.split(' ').next().unwrap_or_default()))
    }) else {
        return failure;
    };
    let before: Vec<&str> = output.lines().take(line_idx).collect();
    // What the script wrote begins where dpkg announced it.
    let announcement = format!("Setting up {package} (");
    let own = before.iter().rposition(|line| line.starts_with(&announcement)).unwrap_or_default();
    let before = before[own.max(before.len().saturating_sub(TAIL_LINES))..].join("\n");
    let reason = lines.next().map(|(_, line)| line.trim()).unwrap_or_default();
    // `installed foo package post-installation script subprocess returned error exit status 1`
    let script = reason.contains("post-installation script").then_some("postinst");
    let status = reason.rsplit_once("exit status ").map(|(_, code)| format!("exit code {code}"));
    let by_signal = reason.split_once("was killed by signal ").map(|(_, signal)| format!("signal {signal}"));
    let package = Some(package.to_owned());
    match (script, status.or(by_signal)) {
        (Some(script), Some(status)) => {
            Failure { package, script: script.to_owned(), status, output: before }
        }
        // dependencies, for example: dpkg's own words say it best
        _ => Failure { package, output: format!("{before}\n{reason}").trim().to_owned(), ..failure },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, expected: &str) {
        let failure = Failure {
            package: None,
            script: "dpkg".to_owned(),
            status: "exit code 1".to_owned(),
            output: last_lines(output),
        };
        let blamed = blame(failure, output);
        assert_eq!(format!("{blamed}: {}", blamed.output.replace('\n', " / ")), expected);
    }

    #[test]
    fn dpkg_blames_a_script() {
        check(
            "Setting up a (1) ...\nSetting up foo (1.0) ...\nno such user\n\
             dpkg: error processing package foo (--configure):\n \
             installed foo package post-installation script subprocess returned error exit status 3\n\
             dpkg: too many errors, stopping\n",
            "`postinst` of the package `foo` failed with exit code 3: \
             Setting up foo (1.0) ... / no such user",
        );
    }

    #[test]
    fn dpkg_blames_a_dependency() {
        check(
            "dpkg: dependency problems prevent configuration of foo:\n foo depends on bar; however:\n\n\
             dpkg: error processing package foo (--configure):\n dependency problems - leaving unconfigured\n",
            "`dpkg` of the package `foo` failed with exit code 1: dpkg: dependency problems prevent configuration \
             of foo: /  foo depends on bar; however: /  / dependency problems - leaving unconfigured",
        );
    }

    #[test]
    fn dpkg_blames_nobody() {
        check(
            "a\ndpkg: status database area is locked\n",
            "`dpkg` failed with exit code 1: a / dpkg: status database area is locked",
        );
    }
}
