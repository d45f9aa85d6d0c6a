//! Programs that cargo or make builds out of a source.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::reader::{FromText, Wrong, table};
use crate::scalar::{EnvRef, Name, OutputPath, ProjectPath, SourceRef, TargetRef, TimeSpan};

table! {
    /// Programs of a Rust package. Leaves each of them by its name.
    ///
    /// The crates are those of the source's `Cargo.lock`, which has to be there: they are fetched by their checksums
    /// and commits before anything runs, from the registry that this machine's cargo is configured for. Without that
    /// they come from crates.io. cargo runs without a network, and changes nothing of the lock.
    ///
    /// The environment needs `cargo` and a compiler. The source is at `/build/src/NAME` wherever its checkout is, so that
    /// what paths reach what is built are always the same.
    pub struct Cargo {
        /// The environment that has cargo.
        env: Spanned<EnvRef>,
        /// The source, which has the `Cargo.lock`. Not one of a Debian package.
        source: Spanned<SourceRef>,
        /// The manifest, relative to the source.
        manifest: Spanned<ProjectPath> = "Cargo.toml",
        /// Where the `Cargo.lock` is, if not beside the manifest: at the root of a workspace.
        lockfile: Option<Spanned<ProjectPath>>,
        /// The package, of a workspace with several.
        package: Option<Spanned<CargoWord>>,
        /// The programs, as `--bin` names them.
        bins: Vec<Spanned<CargoWord>>,
        /// What they are built for, as rustc names it: `x86_64-unknown-none`. Without it they are built for the
        /// environment itself.
        triple: Option<Spanned<CargoWord>>,
        /// Features.
        features: Vec<Spanned<String>>,
        /// Whether default features are built, too.
        default_features: bool = true,
        /// The profile.
        profile: Spanned<CargoWord> = "release",
        /// Crates of the standard library to compile too, where the environment has only their source: `["core", "alloc"]`.
        /// That is unstable in cargo, and `RUSTC_BOOTSTRAP` is set for it.
        build_std: Vec<Spanned<CargoWord>>,
        /// What `objcopy` makes of each program, in a step of its own: the format, as in `binary`, or a table.
        objcopy: Option<Spanned<Objcopy>>,
        /// What is read of other targets, by the name under `/build/in`: `{ firmware = "ovmf" }`.
        inputs: BTreeMap<Name, Spanned<TargetRef>>,
        /// Further environment variables.
        environment: BTreeMap<String, Spanned<String>>,
        /// How long it may take.
        timeout: Option<TimeSpan>,
    }
}

impl Cargo {
    /// Returns where the `Cargo.lock` is, relative to the source.
    pub fn lockfile(&self) -> String {
        match &self.lockfile {
            Some(path) => path.as_str().to_owned(),
            None => match self.manifest.as_str().rsplit_once('/') {
                Some((directory, _)) => format!("{directory}/Cargo.lock"),
                None => "Cargo.lock".to_owned(),
            },
        }
    }
}

table! {
    /// What `make` builds. Leaves the `files`.
    ///
    /// It starts at the root of the source, which is at `/build/src/NAME` wherever its checkout is. It shares the jobs of
    /// the whole build.
    pub struct Make {
        /// The environment that has `make`.
        env: Spanned<EnvRef>,
        /// The source.
        source: Spanned<SourceRef>,
        /// The directory of the makefile, relative to the source.
        directory: Spanned<ProjectPath> = ".",
        /// What `make` is asked for; its usual goal if nothing is listed.
        goals: Vec<Spanned<String>>,
        /// Variables on its command line, by name. What a makefile sets itself they overrule.
        variables: BTreeMap<String, Spanned<String>>,
        /// A `Cargo.lock` of the source, if cargo is run by the makefile: the crates that it names are fetched before.
        lockfile: Option<Spanned<ProjectPath>>,
        /// What is left, by the name it gets: `{ "stage2.bin" = "build/stage2/stage2.bin" }`. Paths are relative to
        /// `directory`; a directory is left whole.
        files: BTreeMap<OutputPath, Spanned<ProjectPath>>,
        /// What `objcopy` makes of each file, in a step of its own: the format, as in `binary`, or a table.
        objcopy: Option<Spanned<Objcopy>>,
        /// What is read of other targets, by the name under `/build/in`: `{ firmware = "ovmf" }`.
        inputs: BTreeMap<Name, Spanned<TargetRef>>,
        /// Further environment variables.
        environment: BTreeMap<String, Spanned<String>>,
        /// How long it may take.
        timeout: Option<TimeSpan>,
    }
}

/// A word of cargo's command line: the name of a package, program, profile or platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CargoWord(String);

impl CargoWord {
    /// Returns the word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for CargoWord {
    fn from_text(text: &str) -> Result<CargoWord, Wrong> {
        let is_word = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_word {
            return Ok(CargoWord(text.to_owned()));
        }
        let message = format!("`{}` is no name that cargo knows", text.escape_debug());
        Err(Wrong::new(message, "names have letters, digits, `-`, `_` and `.`"))
    }
}

impl JsonSchema for CargoWord {
    fn schema_name() -> Cow<'static, str> {
        "CargoName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The name of a package, program, profile or platform, as cargo knows it.",
            "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
        })
    }
}

/// What `objcopy` does.
#[derive(Clone, Debug)]
pub struct Objcopy {
    /// The format that it writes.
    pub format: Spanned<CargoWord>,
    /// Whether debugging symbols are left out.
    pub strip_debug: bool,
}

table! {
    /// What `objcopy` does.
    struct ObjcopyTable {
        /// The format that it writes: `binary`, `elf64-x86-64`.
        format: Spanned<CargoWord>,
        /// Whether debugging symbols are left out.
        strip_debug: bool = true,
    }
}

impl crate::reader::Read for Objcopy {
    fn read(value: &crate::value::Value, reader: &mut crate::reader::Reader) -> Option<Objcopy> {
        if value.as_str().is_some() {
            return Spanned::read(value, reader).map(|format| Objcopy { format, strip_debug: true });
        }
        if value.as_table().is_some() {
            let table = ObjcopyTable::read(value, reader)?;
            return Some(Objcopy { format: table.format, strip_debug: table.strip_debug });
        }
        reader.wrong_type(value, "a format, or a table");
        None
    }
}

impl JsonSchema for Objcopy {
    fn schema_name() -> Cow<'static, str> {
        "Objcopy".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (format, table) =
            (generator.subschema_for::<CargoWord>(), generator.subschema_for::<ObjcopyTable>());
        json_schema!({ "description": "The format that `objcopy` writes, or a table.", "anyOf": [format, table] })
    }
}
