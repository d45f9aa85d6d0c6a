//! What `kbuild` is asked to do, as plain data. Relative paths are relative to the working directory.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An instruction set, by Debian's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Arch {
    /// Returns what `ARCH` is for the kernel's Makefile.
    pub fn linux(self) -> &'static str {
        match self {
            Arch::Amd64 => "x86_64",
            Arch::Arm64 => "arm64",
            Arch::Riscv64 => "riscv",
        }
    }

    /// Returns the name of its directory in the kernel's `arch`.
    pub fn directory(self) -> &'static str {
        match self {
            Arch::Amd64 => "x86",
            Arch::Arm64 => "arm64",
            Arch::Riscv64 => "riscv",
        }
    }

    /// Returns the name of the image that boot loaders take.
    pub fn image(self) -> &'static str {
        match self {
            Arch::Amd64 => "bzImage",
            Arch::Arm64 | Arch::Riscv64 => "Image",
        }
    }

    /// Returns the prefix of the programs that compile for it, as in `aarch64-linux-gnu-`.
    pub fn tools_prefix(self) -> &'static str {
        match self {
            Arch::Amd64 => "x86_64-linux-gnu-",
            Arch::Arm64 => "aarch64-linux-gnu-",
            Arch::Riscv64 => "riscv64-linux-gnu-",
        }
    }

    /// Returns the name of Debian's package with the compiler for it.
    pub fn compiler_package(self) -> &'static str {
        match self {
            Arch::Amd64 => "gcc-x86-64-linux-gnu",
            Arch::Arm64 => "gcc-aarch64-linux-gnu",
            Arch::Riscv64 => "gcc-riscv64-linux-gnu",
        }
    }

    /// Returns what the programs of this process are for; nothing if no kernel can be built for it.
    pub fn of_this_program() -> Option<Arch> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Arch::Amd64),
            "aarch64" => Some(Arch::Arm64),
            "riscv64" => Some(Arch::Riscv64),
            _ => None,
        }
    }
}

/// Who compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Toolchain {
    /// GCC and the GNU binutils.
    Gcc,
    /// Clang and LLVM's tools (`LLVM=1`).
    Clang,
}

/// The tree and for what it is compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linux {
    /// The source, which is only read.
    pub source: PathBuf,
    /// The instruction set.
    pub arch: Arch,
    /// Who compiles.
    pub toolchain: Toolchain,
}

/// `kbuild patch`: leaves in `out/tree` what laid over the source is the patched source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchSpec {
    /// The source, which is only read.
    pub source: PathBuf,
    /// A directory with a file `series` and the patches that it lists.
    pub patches: PathBuf,
    /// How many lines at either end of a hunk's context need not be there.
    pub fuzz: usize,
}

/// `kbuild config`: leaves `out/config` and `out/defconfig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigSpec {
    /// The kernel.
    pub linux: Linux,
    /// What the configuration is made of, in order.
    pub parts: Vec<Part>,
}

/// A part of a configuration. Of what several say, the last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Part {
    /// A target of the kernel's Makefile that makes a configuration or adds to one: `defconfig`, `kvm_guest.config`.
    Target(String),
    /// A file of lines as a configuration has them.
    Fragment(PathBuf),
    /// Such lines.
    Lines(Vec<String>),
}

/// `kbuild edit`: leaves `out/config`, what somebody made of a configuration, and `out/changes`, the lines that lead
/// there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditSpec {
    /// The kernel.
    pub linux: Linux,
    /// The directory with `config`, as `kbuild config` left it.
    pub config: PathBuf,
}

/// `kbuild contract`: fails unless a configuration keeps the rules; leaves an empty `out/kept`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractSpec {
    /// The kernel.
    pub linux: Linux,
    /// The configuration.
    pub config: PathBuf,
    /// What must hold.
    pub rules: Vec<Rule>,
    /// The symbols that the recipe sets, which have to exist.
    pub named: Vec<Named>,
}

/// A symbol that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The symbol, without `CONFIG_`.
    pub symbol: String,
    /// Where it is said, for people.
    pub place: String,
}

/// Something that must hold of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The symbol, without `CONFIG_`.
    pub symbol: String,
    /// Its value as a configuration has it: `y`, `m`, `n`, a number, a string in quotes.
    pub value: String,
    /// Where it is said, for people.
    pub place: String,
}

/// `kbuild build`: leaves the image, `vmlinux`, `System.map`, `config`, `defconfig`, `modules.tar`, `dtbs`
/// and `headers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildSpec {
    /// The kernel.
    pub linux: Linux,
    /// The directory with `config` and `defconfig`, as `kbuild config` left it.
    pub config: PathBuf,
    /// Whether device trees are built.
    pub dtbs: bool,
    /// Whether the headers for programs are left.
    pub headers: bool,
    /// As what time everything is built.
    pub date: Date,
    /// What is used again of the last build, if anything may be.
    pub kept: Option<Kept>,
}

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Date {
    /// In seconds since 1970.
    Seconds(i64),
    /// That of the newest entry of the source's `debian/changelog`.
    Changelog,
}

/// What a build finds of the last one: the objects, where they are always put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// What the objects depend on beside the source and the configuration, such as the compiler. Objects that were
    /// made for anything else are not used.
    pub made_for: String,
    /// Whether `ccache` compiles, with its files in [`CCACHE`].
    pub ccache: bool,
}

/// Where objects go: on a disk, and at the same place in every sandbox.
pub const OBJECTS: &str = "/tmp/linux";
/// Where `ccache` finds its files.
pub const CCACHE: &str = "/tmp/ccache";
