//! Why a kernel could not be patched, configured or built.

use std::io;
use std::path::{Path, PathBuf};

use kconfig::LoadError;
use layer::BuildError;
use quilt::SeriesError;

/// Why a kernel could not be patched, configured or built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The patches do not apply.
    #[error("could not patch the source")]
    Series(#[from] SeriesError),
    /// A program that is needed is not in the environment.
    #[error("there is no `{program}` in the environment, which building this kernel needs")]
    NoProgram {
        /// The program.
        program: String,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// Something is not in the environment that programs are compiled with.
    #[error("there is no `{header}` in the environment, with which programs of the kernel are compiled")]
    NoHeader {
        /// The file.
        header: &'static str,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// The source does not say how old it is.
    #[error("`{path}` does not say when the source was made")]
    NoDate {
        /// The file that should.
        path: PathBuf,
    },
    /// No such target of the kernel's Makefile.
    #[error("the source has no configuration `{target}` for `{arch}`")]
    NoTarget {
        /// What was asked for.
        target: String,
        /// `ARCH` of the kernel.
        arch: &'static str,
        /// The likeliest of those that it has.
        known: Vec<String>,
    },
    /// The source is something else.
    #[error("the source is not a tree of Linux: it has no `{missing}`")]
    NotLinux {
        /// What it should have.
        missing: &'static str,
    },
    /// `make`, or who edits a configuration, said no; what was printed is in the log.
    #[error("`{command}` failed with exit code {code}")]
    Command {
        /// The command.
        command: String,
        /// Its exit code.
        code: i32,
    },
    /// The configuration is not what was asked for.
    #[error("the configuration is not what was asked for:\n{}", .0.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    Contract(Vec<String>),
    /// The Kconfig files cannot be understood.
    #[error("could not read the kernel's Kconfig files")]
    Kconfig(#[from] LoadError),
    /// The modules do not make a layer.
    #[error("could not write the modules as a layer")]
    Layer(#[from] BuildError),
    /// A file that cannot be used as a specification.
    #[error("`{path}` is not what kbuild reads")]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Something on the disk.
    #[error("could not {doing} `{path}`")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { doing, path, source }
    }

    /// Says whether this machine is to blame and not the input.
    pub fn is_machine(&self) -> bool {
        match self {
            Error::Series(error) => error.is_machine(),
            Error::Io { source, .. } => source.kind() != io::ErrorKind::NotFound,
            Error::Layer(_) => true,
            _ => false,
        }
    }

    /// Returns what the reader can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::NoProgram { package, .. } | Error::NoHeader { package, .. } => {
                Some(format!("add the package `{package}` to the environment of the kernel"))
            }
            Error::NoTarget { known, target, .. } if !known.is_empty() => Some(format!(
                "did you mean {}? A file of the project is written with a slash, as in `./{}`",
                list(known),
                target
            )),
            Error::NoTarget { target, .. } => {
                Some(format!("a file of the project is written with a slash, as in `./{target}`"))
            }
            Error::NotLinux { .. } => {
                Some("if the tree lies deeper in it, name that directory as the source".to_owned())
            }
            Error::Contract(_) => {
                Some("set what is missing in `config` too, or do not ask for it".to_owned())
            }
            _ => None,
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}
