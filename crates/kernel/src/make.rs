//! The kernel's `make`, with everything fixed that would differ from build to build.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;
use crate::date::as_date_prints;
use crate::spec::{Arch, CCACHE, Linux, OBJECTS, Toolchain};

/// Programs that every kernel needs, and Debian's packages that have them.
const PROGRAMS: &[(&str, &str)] =
    &[("make", "make"), ("flex", "flex"), ("bison", "bison"), ("bc", "bc"), ("perl", "perl")];

/// The kernel's Makefile in one tree, with its objects elsewhere.
pub(crate) struct Make<'a> {
    linux: &'a Linux,
    objects: PathBuf,
    ccache: bool,
    /// As what time everything is built, in seconds since 1970.
    date: i64,
}

impl<'a> Make<'a> {
    /// Checks that the source is Linux and that the environment has what compiles it.
    pub(crate) fn new(linux: &'a Linux) -> Result<Make<'a>, Error> {
        for missing in ["Kbuild", "Kconfig", "Makefile"] {
            if !linux.source.join(missing).is_file() {
                return Err(Error::NotLinux { missing });
            }
        }
        let compiler = format!("{}gcc", prefix(linux.arch));
        let compilers = match linux.toolchain {
            Toolchain::Gcc => vec![("gcc", "gcc"), (compiler.as_str(), linux.arch.compiler_package())],
            Toolchain::Clang => vec![("clang", "clang"), ("ld.lld", "lld"), ("llvm-objcopy", "llvm")],
        };
        let programs = PROGRAMS.iter().copied().chain(compilers);
        for (program, package) in programs {
            if !is_in_path(program) {
                return Err(Error::NoProgram { program: program.to_owned(), package });
            }
        }
        let objects = PathBuf::from(OBJECTS);
        std::fs::create_dir_all(&objects).map_err(Error::io("make", &objects))?;
        Ok(Make { linux, objects, ccache: false, date: 0 })
    }

    /// Returns it for building as of that time.
    pub(crate) fn at(self, date: i64) -> Make<'a> {
        Make { date, ..self }
    }

    /// Has `ccache` compile.
    pub(crate) fn with_ccache(mut self) -> Result<Make<'a>, Error> {
        if !is_in_path("ccache") {
            return Err(Error::NoProgram { program: "ccache".to_owned(), package: "ccache" });
        }
        self.ccache = true;
        Ok(self)
    }

    /// Returns the directory of everything that is made.
    pub(crate) fn objects(&self) -> &Path {
        &self.objects
    }

    /// Returns the path of something that is made.
    pub(crate) fn object(&self, name: &str) -> PathBuf {
        self.objects.join(name)
    }

    /// Returns the image that boot loaders take.
    pub(crate) fn image(&self) -> PathBuf {
        let arch = self.linux.arch;
        self.objects.join("arch").join(arch.directory()).join("boot").join(arch.image())
    }

    /// Makes targets, with these variables besides.
    pub(crate) fn run(&self, targets: &[&str], variables: &[(&str, &Path)]) -> Result<(), Error> {
        let mut command = self.command(targets);
        command.args(variables.iter().map(|(name, value)| format!("{name}={}", value.display())));
        command.stdin(Stdio::null());
        status(command, targets)
    }

    /// Makes targets of which nobody wants to read.
    pub(crate) fn run_quietly(&self, targets: &[&str]) -> Result<(), Error> {
        let mut command = self.command(targets);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        status(command, targets)
    }

    /// Makes a target that talks to who sits at this process's terminal.
    pub(crate) fn run_in_terminal(&self, target: &str) -> Result<(), Error> {
        let mut command = self.command(&[target]);
        command.arg("-s");
        status(command, &[target])
    }

    /// Sets what a command must know that runs `make` in the directory of the objects.
    pub(crate) fn environment(&self, command: &mut Command) {
        command.envs(self.settings());
        // Documentation/kbuild/reproducible-builds.rst: what else would be of this moment and this machine.
        command.env("SOURCE_DATE_EPOCH", self.date.to_string());
        command.env("KBUILD_BUILD_TIMESTAMP", as_date_prints(self.date)).env("KBUILD_BUILD_VERSION", "1");
        command.env("KBUILD_BUILD_USER", "bootwright").env("KBUILD_BUILD_HOST", "bootwright");
        // The compiler's files have the same time in every version.
        command.env("CCACHE_DIR", CCACHE).env("CCACHE_COMPILERCHECK", "content");
    }

    fn command(&self, targets: &[&str]) -> Command {
        let mut command = Command::new("make");
        command.arg("-C").arg(&self.linux.source).arg(format!("O={}", self.objects.display()));
        // Some trees set these in their Makefile, which only the command line overrides.
        command.args(self.settings().map(|(name, value)| format!("{name}={value}")));
        if self.ccache {
            let (compiler, host) = match self.linux.toolchain {
                Toolchain::Gcc => (format!("{}gcc", prefix(self.linux.arch)), "gcc"),
                Toolchain::Clang => ("clang".to_owned(), "clang"),
            };
            command.args([format!("CC=ccache {compiler}"), format!("HOSTCC=ccache {host}")]);
        }
        command.args(targets);
        self.environment(&mut command);
        command
    }

    fn settings(&self) -> [(&'static str, &'static str); 2] {
        let arch = self.linux.arch;
        let toolchain = match self.linux.toolchain {
            Toolchain::Gcc => ("CROSS_COMPILE", prefix(arch)),
            Toolchain::Clang => ("LLVM", "1"),
        };
        [("ARCH", arch.linux()), toolchain]
    }
}

fn status(mut command: Command, targets: &[&str]) -> Result<(), Error> {
    let status = command.status().map_err(Error::io("run", Path::new("make")))?;
    if status.success() {
        return Ok(());
    }
    let command = format!("make {}", targets.join(" "));
    Err(Error::Command { command, code: status.code().unwrap_or(255) })
}

/// The prefix of the compiler's programs: none where they are for the machine that runs them.
fn prefix(arch: Arch) -> &'static str {
    if Arch::of_this_program() == Some(arch) { "" } else { arch.tools_prefix() }
}

/// Says whether the environment has that program.
pub(crate) fn is_in_path(program: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the step's environment says where its programs are")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
