//! Kernels that are built: what their configuration is made of, and what must hold of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::reader::{FromText, Read, Reader, Wrong, table, words};
use crate::scalar::{Arch, EnvRef, ProjectPath, SourceRef, TimeSpan};
use crate::value::{Kind, Value};
use crate::{Problem, Spanned};

table! {
    /// A kernel, built from its source. Leaves the image, which is `bzImage` on amd64 and else `Image`, `vmlinux`,
    /// `System.map`, `config`, `defconfig`, which says only what is not the default, the layer `modules.tar` and, if
    /// they are asked for, `dtbs` and `headers`.
    ///
    /// The configuration is put together in the order of `config` and completed by the kernel itself
    /// (`olddefconfig`), which silently drops what it cannot have. `require`, `modules` and `forbid` are checked after
    /// that: who is not heard is told which dependency is not met.
    ///
    /// The environment needs a compiler and `make`, `flex`, `bison`, `bc` and `perl`; with modules `kmod`; for amd64 also
    /// `libelf-dev` and `xz-utils`, or what else its image is compressed with. The same source, configuration and
    /// environment give the same bytes.
    ///
    /// The kernel says that it was built when its source was made: at the time of the git commit, of the newest file of
    /// the archive, of the newest entry of the Debian package's changelog; from a `path`, at the stack's `epoch`.
    pub struct Kernel {
        /// The source: a tree of Linux.
        source: Spanned<SourceRef>,
        /// The environment that has the compiler.
        env: Spanned<EnvRef>,
        /// The instruction set that it is for, which need not be that of the environment.
        arch: Spanned<Arch> = "amd64",
        /// Who compiles.
        toolchain: Toolchain = "gcc",
        /// A directory of the project with a file `series` and the patches that it lists. They are applied in that
        /// order, as quilt does it.
        patches: Option<Spanned<ProjectPath>>,
        /// How many lines at either end of a hunk's context need not be there.
        fuzz: u32 = 0,
        /// What the configuration is made of, in order. Of what several say, the last one counts.
        config: Vec<Spanned<ConfigPart>>,
        /// What must hold of the configuration: `{ VIRTIO_BLK = "y" }`.
        require: BTreeMap<Symbol, Spanned<SymbolValue>>,
        /// Symbols that must be modules.
        modules: Vec<Spanned<Symbol>>,
        /// Symbols that must not be set.
        forbid: Vec<Spanned<Symbol>>,
        /// Whether device trees are built.
        dtbs: bool = false,
        /// Whether the headers are left with which C libraries and programs are compiled for this kernel, below
        /// `headers/include`. They are those of `make headers_install`, not what modules outside of the kernel's tree
        /// are built with.
        headers: bool = false,
        /// How long compiling may take.
        timeout: Option<TimeSpan>,
    }
}

impl Kernel {
    /// Returns the last file among what the configuration is made of.
    pub fn last_fragment(&self) -> Option<&ProjectPath> {
        self.config.iter().rev().find_map(|part| match &part.value {
            ConfigPart::Fragment(path) => Some(path),
            _ => None,
        })
    }

    /// Returns the instruction set as the tool that builds it knows it.
    pub(crate) fn built_for(&self) -> ::kernel::spec::Arch {
        match self.arch.value {
            Arch::Amd64 => ::kernel::spec::Arch::Amd64,
            Arch::Arm64 => ::kernel::spec::Arch::Arm64,
            Arch::Riscv64 => ::kernel::spec::Arch::Riscv64,
        }
    }
}

words! {
    /// Who compiles.
    pub enum Toolchain("toolchain") {
        /// GCC and the GNU binutils.
        Gcc = "gcc",
        /// Clang and LLVM's tools.
        Clang = "clang" not "llvm",
    }
}

/// A part of a configuration.
#[derive(Clone, Debug)]
pub enum ConfigPart {
    /// A configuration that the source has: `defconfig`, `kvm_guest.config`.
    Target(String),
    /// A file of the project, which has lines as a `.config` has them.
    Fragment(ProjectPath),
    /// Symbols with their values.
    Symbols(BTreeMap<Symbol, Spanned<SymbolValue>>),
}

impl Read for ConfigPart {
    fn read(value: &Value, reader: &mut Reader) -> Option<ConfigPart> {
        if value.as_table().is_some() {
            return BTreeMap::read(value, reader).map(ConfigPart::Symbols);
        }
        let Some(text) = value.as_str() else {
            reader.wrong_type(value, "the name of a configuration, a file or a table of symbols");
            return None;
        };
        if text.contains('/') {
            return reader.text(text, &value.place).map(ConfigPart::Fragment);
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if text.ends_with("config") && text.bytes().all(is_name) && !text.starts_with('-') {
            return Some(ConfigPart::Target(text.to_owned()));
        }
        let message = format!("`{}` names no configuration", text.escape_debug());
        reader.problems.push(Problem::at(&value.place, message).help(
            "write `defconfig` or another one of the source, a file of the project as in `./my.config`, or symbols as \
             in `{ VIRTIO = \"y\" }`",
        ));
        None
    }
}

impl JsonSchema for ConfigPart {
    fn schema_name() -> Cow<'static, str> {
        "ConfigPart".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<SymbolValue>();
        json_schema!({
            "description": "A configuration that the source has, as `defconfig`; a file of the project, with a slash, as `./my.config`; or a table of symbols.",
            "anyOf": [{ "type": "string" }, { "type": "object", "additionalProperties": value }],
        })
    }
}

/// A symbol of a configuration, without `CONFIG_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol(String);

impl Symbol {
    /// Returns its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for Symbol {
    fn from_text(text: &str) -> Result<Symbol, Wrong> {
        if let Some(name) = text.strip_prefix("CONFIG_") {
            return Err(Wrong::new(
                format!("`{}`", text.escape_debug()),
                format!("leave `CONFIG_` out: `{name}`"),
            ));
        }
        let is_name =
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let message = format!("invalid symbol `{}`", text.escape_debug());
            return Err(Wrong::new(message, "a symbol of a kernel's configuration is like `VIRTIO_BLK`"));
        }
        Ok(Symbol(text.to_owned()))
    }
}

impl JsonSchema for Symbol {
    fn schema_name() -> Cow<'static, str> {
        "Symbol".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_]+$",
            "description": "A symbol of a kernel's configuration, without `CONFIG_`.",
        })
    }
}

/// What a symbol is, as a `.config` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolValue(String);

impl SymbolValue {
    /// Returns `y`, `m`, `n`, a number, or a string in quotes.
    pub fn as_config(&self) -> &str {
        &self.0
    }
}

impl Read for SymbolValue {
    fn read(value: &Value, reader: &mut Reader) -> Option<SymbolValue> {
        let kind = if let Kind::Knob { value, .. } = &value.kind { value } else { &value.kind };
        match kind {
            Kind::Boolean(true) => Some(SymbolValue("y".to_owned())),
            Kind::Boolean(false) => Some(SymbolValue("n".to_owned())),
            Kind::Integer(number) => Some(SymbolValue(number.to_string())),
            Kind::String(text) => {
                let is_hex = text.strip_prefix("0x").is_some_and(|digits| {
                    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
                });
                if matches!(text.as_str(), "y" | "m" | "n") || is_hex {
                    return Some(SymbolValue(text.clone()));
                }
                if text.contains('\n') {
                    reader.problems.push(Problem::at(&value.place, "a symbol's value is one line"));
                    return None;
                }
                // scripts/kconfig/symbol.c, sym_escape_string_value.
                Some(SymbolValue(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))))
            }
            _ => {
                reader.wrong_type(value, "`y`, `m`, `n`, a number or a string");
                None
            }
        }
    }
}

impl JsonSchema for SymbolValue {
    fn schema_name() -> Cow<'static, str> {
        "SymbolValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer", "boolean"],
            "description": "`y`, `m`, `n`, a number, or the text of a string.",
        })
    }
}
