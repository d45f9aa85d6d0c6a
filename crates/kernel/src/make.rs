//! The kernel's `make`, with everything fixed that would differ from build to build.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;
use crate::spec::{Arch, CCACHE, Linux, OBJECTS, Toolchain};

/// Programs that every kernel needs, and Debian's packages that have them.
const PROGRAMS: &[(&str, &str)] =
    &[("make", "make"), ("flex", "flex"), ("bison", "bison"), ("bc", "bc"), ("perl", "perl")];

/// The kernel's Makefile in one tree, with its objects elsewhere.
pub(crate) struct Make<'a> {
    linux: &'a Linux,
    objects: PathBuf,
    ccache: bool,
}

impl<'a> Make<'a> {
    /// Checks that the source is Linux and that the environment has what compiles it.
    pub(crate) fn new(linux: &'a Linux) -> Result<Make<'a>, Error> {
        for missing in ["Kbuild", "Kconfig", "Makefile"] {
            if !linux.source.join(missing).is_file() {
                return Err(Error::NotLinux { missing });
            }
        }
        let (host, cross) = match linux.toolchain {
            Toolchain::Gcc => {
                (("gcc", "gcc"), (format!("{}gcc", prefix(linux.arch)), linux.arch.compiler_package()))
            }
            Toolchain::Clang => (("clang", "clang"), ("ld.lld".to_owned(), "lld")),
        };
        let programs = PROGRAMS.iter().copied().chain([host]);
        let programs = programs.map(|(program, package)| (program.to_owned(), package)).chain([cross]);
        for (program, package) in programs {
            if !is_in_path(&program) {
                return Err(Error::NoProgram { program, package });
            }
        }
        let objects = PathBuf::from(OBJECTS);
        std::fs::create_dir_all(&objects).map_err(Error::io("make", &objects))?;
        Ok(Make { linux, objects, ccache: false })
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
        let arch = self.linux.arch;
        let mut arguments = vec![
            "-C".to_owned(),
            self.linux.source.display().to_string(),
            format!("O={}", self.objects.display()),
            format!("ARCH={}", arch.linux()),
        ];
        match self.linux.toolchain {
            Toolchain::Gcc => arguments.push(format!("CROSS_COMPILE={}", prefix(arch))),
            Toolchain::Clang => arguments.push("LLVM=1".to_owned()),
        }
        if self.ccache {
            let (cc, host) = match self.linux.toolchain {
                Toolchain::Gcc => (format!("{}gcc", prefix(arch)), "gcc"),
                Toolchain::Clang => ("clang".to_owned(), "clang"),
            };
            arguments.extend([format!("CC=ccache {cc}"), format!("HOSTCC=ccache {host}")]);
        }
        arguments.extend(variables.iter().map(|(name, value)| format!("{name}={}", value.display())));
        arguments.extend(targets.iter().map(|target| (*target).to_owned()));
        let mut command = Command::new("make");
        command.args(&arguments).stdin(Stdio::null());
        // Documentation/kbuild/reproducible-builds.rst: what else would be of this moment and this machine.
        command.env("KBUILD_BUILD_TIMESTAMP", timestamp()).env("KBUILD_BUILD_VERSION", "1");
        command.env("KBUILD_BUILD_USER", "bootwright").env("KBUILD_BUILD_HOST", "bootwright");
        // The compiler's files have the same time in every version.
        command.env("CCACHE_DIR", CCACHE).env("CCACHE_COMPILERCHECK", "content");
        let program = Path::new("make");
        let status = command.status().map_err(Error::io("run", program))?;
        if status.success() {
            return Ok(());
        }
        let command = format!("make {}", targets.join(" "));
        Err(Error::Make { command, code: status.code().unwrap_or(255) })
    }
}

/// The time that is compiled in, as `date` understands it: that of the project.
fn timestamp() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the step's environment says as what time everything is built"
    )]
    let epoch = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "0".to_owned());
    format!("@{epoch}")
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
