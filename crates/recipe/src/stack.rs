//! What a project file says, as types: the stack itself, its knobs, sources and environments.
//!
//! Doc comments here are the reference that people read; defaults are given as they would be written.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::git::{GitAddress, GitRev};
use crate::reader::{Read, ReadFields, Reader, table, words};
use crate::scalar::{
    Arch, Distro, EnvRef, KnobName, Name, PackageName, ProjectPath, Sha256, TargetName, Url,
};
use crate::value::{Kind, Value};
use crate::{Machine, Spanned, Target, Test};

table! {
    /// A project: what is built from what, in which environments, and how it is booted and tested.
    ///
    /// In every string but names, `${KNOB}`, `${stack.name}` and `${stack.version}` are replaced; `$$` is one
    /// dollar sign, and a dollar sign before anything but `{` or `$` stays. A string that is nothing but
    /// `${KNOB}` may stand where the knob's own type is expected.
    ///
    /// `[stack]` and every source, environment, target, machine and test may have overlays: in
    /// `[target.kernel.when."ARCH=arm64"]` are keys that hold when the knob `ARCH` is `arm64`. Tables are
    /// merged, lists appended, anything else replaced, in the order in which the overlays are written.
    /// A condition is one or more comparisons joined by commas, all of which must hold: `KNOB=value`,
    /// `KNOB!=value`, `KNOB=one|other`.
    pub(crate) struct Recipe {
        /// Other files whose sections are added to this one's, relative to this file. Not outside the project.
        #[expect(dead_code, reason = "files are gathered before the sections are read; here it is for the schema")]
        include: Vec<Spanned<String>>,
        /// What the stack is called and what is built when nothing is named.
        stack: StackSection,
        /// Choices that whoever builds may make: with `--set KNOB=value` or by the environment variable.
        #[expect(dead_code, reason = "knobs are settled before the sections are read; here it is for the schema")]
        knob: BTreeMap<KnobName, Spanned<Knob>>,
        /// Where foreign files come from. Each is placed at `/build/src/NAME` of the steps that list it.
        source: BTreeMap<Name, Spanned<Source>>,
        /// The root file systems in which steps run: locked packages, nothing from this machine.
        env: BTreeMap<Name, Spanned<Environment>>,
        /// What is built.
        target: BTreeMap<Name, Spanned<Target>>,
        /// Virtual machines.
        machine: BTreeMap<Name, Spanned<Machine>>,
        /// What must happen when a machine boots.
        test: BTreeMap<Name, Spanned<Test>>,
    }
}

table! {
    /// What the stack is called and what is built when nothing is named.
    pub(crate) struct StackSection {
        /// The stack's name. UUIDs that are not given are derived from it.
        name: Spanned<Name>,
        /// The stack's own version, for `${stack.version}`.
        version: String = "0",
        /// The targets that `build` makes when none is named; none here means all.
        default: Vec<Spanned<TargetName>>,
        /// The time stamp, in seconds since 1970, of everything that the project makes: `SOURCE_DATE_EPOCH` of the
        /// steps, the times in images. What packages bring and their scripts make is as old as the packages. The
        /// default is the start of 2020.
        epoch: Spanned<i64> = 1577836800,
        /// The version of this file's format.
        format: Spanned<i64> = 1,
    }
}

words! {
    /// The type of a knob.
    pub enum KnobType("knob type") {
        /// Any text.
        String = "string",
        /// `true` or `false`.
        Bool = "bool",
        /// A whole number.
        Int = "int",
    }
}

/// The value of a knob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnobValue {
    /// Text.
    String(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
}

impl KnobValue {
    /// Returns its type.
    pub fn knob_type(&self) -> KnobType {
        match self {
            KnobValue::String(_) => KnobType::String,
            KnobValue::Bool(_) => KnobType::Bool,
            KnobValue::Int(_) => KnobType::Int,
        }
    }
}

impl std::fmt::Display for KnobValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KnobValue::String(text) => f.write_str(text),
            KnobValue::Bool(value) => write!(f, "{value}"),
            KnobValue::Int(number) => write!(f, "{number}"),
        }
    }
}

impl Read for KnobValue {
    fn read(value: &Value, reader: &mut Reader) -> Option<KnobValue> {
        match &value.kind {
            Kind::String(text) => Some(KnobValue::String(text.clone())),
            Kind::Boolean(boolean) => Some(KnobValue::Bool(*boolean)),
            Kind::Integer(number) => Some(KnobValue::Int(*number)),
            Kind::Knob { .. } | Kind::Other(_) | Kind::Array(_) | Kind::Table(_) => {
                reader.wrong_type(value, "a string, a boolean or an integer");
                None
            }
        }
    }
}

impl JsonSchema for KnobValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KnobValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "boolean", "integer"] })
    }
}

/// A choice that whoever builds may make. Written as its default alone, or as a table.
#[derive(Clone, Debug)]
pub struct Knob(pub KnobTable);

table! {
    /// A choice that whoever builds may make.
    pub struct KnobTable {
        /// Its value when nobody sets it. A knob without default must be set.
        default: Option<Spanned<KnobValue>>,
        /// Its type, where there is no default that shows it. `string` if neither is given.
        r#type: Option<Spanned<KnobType>>,
        /// The only values it may have; none listed means any of its type.
        values: Vec<Spanned<KnobValue>>,
        /// What it is for.
        description: Option<String>,
    }
}

impl Read for Knob {
    fn read(value: &Value, reader: &mut Reader) -> Option<Knob> {
        if value.as_table().is_some() {
            return KnobTable::read(value, reader).map(Knob);
        }
        let default = Spanned::<KnobValue>::read(value, reader)?;
        Some(Knob(KnobTable { default: Some(default), r#type: None, values: Vec::new(), description: None }))
    }
}

impl JsonSchema for Knob {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Knob".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<KnobValue>();
        let table = generator.subschema_for::<KnobTable>();
        json_schema!({ "anyOf": [value, table] })
    }
}

/// Where foreign files come from. Exactly one of `url`, `git`, `path` and `debian-source` says it.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file to download.
    Url(UrlSource),
    /// A commit of a git repository.
    Git(GitSource),
    /// A file or directory of the project.
    Path(PathSource),
    /// The source of a Debian package, with its patches applied.
    Debian(DebianSource),
}

table! {
    /// A file to download.
    pub struct UrlSource {
        /// Its address.
        url: Spanned<Url>,
        /// What it must hash to. Without it, `bootwright lock` pins what it finds.
        sha256: Option<Spanned<Sha256>>,
        /// Whether an archive (`.tar`, also compressed) is unpacked, without its single top directory.
        unpack: bool = true,
    }
}

table! {
    /// A commit of a git repository: its files as they are committed, without history.
    ///
    /// `bootwright lock` looks up which commit `rev` is, and pins it together with the digest of its files; only
    /// `bootwright lock --update` looks again. No filter runs and no line ending changes: of a file that `git lfs`
    /// keeps elsewhere there is the text that stands for it. No `git` has to be installed.
    pub struct GitSource {
        /// The address of the repository: `https://…`, `http://…`, `git://…`, `file:///…`, or a path that begins
        /// with `/`, `./` or `../` and is relative to the project's root. Not SSH.
        git: Spanned<GitAddress>,
        /// A tag, a branch, or all 40 digits of a commit. Where a tag and a branch have the same name, the tag is
        /// meant.
        rev: Spanned<GitRev>,
        /// Whether its submodules are fetched too, and theirs, each at the commit that its repository names.
        /// Without, there is an empty directory for each.
        submodules: bool = false,
    }
}

table! {
    /// A file or directory of the project. It is not locked: it is what is being worked on.
    pub struct PathSource {
        /// Where it lies, relative to the project's root.
        path: Spanned<ProjectPath>,
        /// What of a directory is left out, as in a `.gitignore` without negation: `["/target/", "*.o"]`. What version
        /// control keeps for itself always is.
        ignore: Vec<Spanned<String>>,
    }
}

table! {
    /// The source of a Debian package, with its patches applied: the tree that `dpkg-source -x` would leave.
    ///
    /// It is chosen from the signed indexes of the release, its updates and its security fixes, and all its files
    /// are pinned. The formats are `3.0 (quilt)`, `3.0 (native)` and `1.0`. A patch that does not apply exactly is
    /// an error.
    pub struct DebianSource {
        /// The name of the source package, if need be with its version: `busybox`, `busybox=1:1.35.0-4`. Without
        /// one it is the newest.
        debian_source: Spanned<PackageName>,
        /// The distribution; by default the one that all environments of the stack have.
        distro: Option<Spanned<Distro>>,
    }
}

const ORIGINS: [&str; 4] = ["url", "git", "path", "debian-source"];

impl Read for Source {
    fn read(value: &Value, reader: &mut Reader) -> Option<Source> {
        let table = reader.table(value)?;
        let Some(origin) = reader.exactly_one(&value.place, table, &ORIGINS) else {
            let all = [UrlSource::known(), GitSource::known(), PathSource::known(), DebianSource::known()];
            reader.known_keys(table, &all.concat());
            return None;
        };
        match origin.key.as_str() {
            "url" => UrlSource::read(value, reader).map(Source::Url),
            "git" => GitSource::read(value, reader).map(Source::Git),
            "path" => PathSource::read(value, reader).map(Source::Path),
            _ => DebianSource::read(value, reader).map(Source::Debian),
        }
    }
}

impl JsonSchema for Source {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // Each is written out here instead of referred to, because each also takes `when`.
        let variants = [
            UrlSource::json_schema(generator),
            GitSource::json_schema(generator),
            PathSource::json_schema(generator),
            DebianSource::json_schema(generator),
        ];
        json_schema!({ "oneOf": variants })
    }
}

table! {
    /// A root file system in which steps run: locked packages, nothing from this machine.
    ///
    /// Packages bring what they depend on. The maintainer scripts run once, without network.
    pub struct Environment {
        /// Another environment whose packages this one has too, and whose other keys hold unless given here.
        extends: Option<Spanned<EnvRef>>,
        /// The distribution: `debian:bookworm`. Required unless inherited.
        distro: Option<Spanned<Distro>>,
        /// The instruction set of its programs. The default is `amd64`.
        arch: Option<Spanned<Arch>>,
        /// The packages.
        packages: Vec<Spanned<PackageName>>,
        /// What is installed beside the packages and what they need. The default is `essential`.
        base: Option<Base>,
        /// Whether what packages recommend is installed too. The default is not to.
        recommends: Option<bool>,
        /// The archive to lock from, when it is not the distribution's own.
        mirror: Option<Spanned<Url>>,
        /// The suites, when not the release with its updates and security fixes.
        suites: Vec<Spanned<String>>,
        /// The components. The default is `main`.
        components: Vec<Spanned<String>>,
    }
}

words! {
    /// What is installed beside the packages that are asked for and what they need.
    pub enum Base("base") {
        /// Nothing.
        Nothing = "nothing" not "none",
        /// Packages that the distribution calls essential, on which all others rely.
        Essential = "essential",
        /// These, all that have the priority `required`, and apt: a system that can install more.
        Minbase = "minbase",
    }
}
