//! What is written as one string: names, sizes, paths, architectures.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::reader::{FromText, Read, Reader, Wrong, words};
use crate::suggest;
use crate::value::Value;

words! {
    /// An instruction set, by the name that Debian gives it.
    pub enum Arch("architecture") {
        /// 64-bit x86.
        Amd64 = "amd64" not "x86_64" not "x86-64" not "x64",
        /// 64-bit ARM.
        Arm64 = "arm64" not "aarch64",
        /// 64-bit RISC-V.
        Riscv64 = "riscv64",
    }
}

/// Gives a type that is written as a string a name and a pattern in the JSON Schema.
macro_rules! string_schema {
    ($type:ty, $name:literal, $description:literal, $pattern:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $description, "pattern": $pattern })
            }
        }
    };
}

/// The name of a source, environment, target, machine or test: lower-case letters, digits, `.`, `_` and
/// `-`, starting with a letter or digit, at most 64 of them. It becomes a directory's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

string_schema!(
    Name,
    "Name",
    "A name: lower-case letters, digits, `.`, `_` and `-`.",
    "^[a-z0-9][a-z0-9._-]{0,63}$"
);

impl Name {
    /// Returns the name that `text` is; `None` if it can be none.
    pub fn new(text: &str) -> Option<Name> {
        Name::from_text(text).ok()
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromText for Name {
    fn from_text(text: &str) -> Result<Name, Wrong> {
        let starts_well =
            text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
        let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if starts_well && fits && text.len() <= 64 {
            return Ok(Name(text.to_owned()));
        }
        let help =
            "a name has lower-case letters, digits, `.`, `_` and `-`, and starts with a letter or digit";
        Err(Wrong::new(format!("invalid name `{}`", text.escape_debug()), help))
    }
}

/// The name of a knob: an environment variable in capitals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnobName(pub(crate) String);

string_schema!(KnobName, "KnobName", "A knob's name: capitals, digits and `_`.", "^[A-Z][A-Z0-9_]*$");

impl std::borrow::Borrow<str> for KnobName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromText for KnobName {
    fn from_text(text: &str) -> Result<KnobName, Wrong> {
        let fits = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if fits && text.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Ok(KnobName(text.to_owned()));
        }
        let help = "a knob is named like an environment variable: `ARCH`, `WITH_TESTS`";
        Err(Wrong::new(format!("invalid knob name `{}`", text.escape_debug()), help))
    }
}

/// Declares references to entries of a section. Reading one notes it, so that it is known to lead somewhere
/// even when what it stands in has other mistakes.
macro_rules! references {
    ($($(#[$meta:meta])* $name:ident to $section:literal,)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(Name);

        impl std::ops::Deref for $name {
            type Target = Name;

            fn deref(&self) -> &Name {
                &self.0
            }
        }

        impl Read for $name {
            fn read(value: &Value, reader: &mut Reader) -> Option<$name> {
                let name = Name::read(value, reader)?;
                reader.note_reference($section, &name, &value.place);
                Some($name(name))
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                generator.subschema_for::<Name>()
            }
        }
    )*};
}

references! {
    /// The name of an environment that there is.
    EnvRef to "env",
    /// The name of a source that there is.
    SourceRef to "source",
    /// The name of a target that there is.
    TargetName to "target",
    /// The name of a machine that there is.
    MachineRef to "machine",
    /// The name of a test that there is.
    TestRef to "test",
}

/// A target, or one of the files that a target leaves: `kernel`, `kernel/config`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetRef {
    /// The target.
    pub target: Name,
    /// A file or directory of its output; none means the target's main file, or all that it leaves.
    pub path: Option<String>,
}

string_schema!(
    TargetRef,
    "TargetRef",
    "A target, or one of its files: `kernel`, `kernel/config`.",
    "^[^/]+(/.+)?$"
);

impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}/{path}", self.target),
            None => write!(f, "{}", self.target),
        }
    }
}

impl TargetRef {
    fn from_text(text: &str) -> Result<TargetRef, Wrong> {
        let (target, path) = match text.split_once('/') {
            Some((target, path)) => (target, Some(relative(path)?)),
            None => (text, None),
        };
        Ok(TargetRef { target: Name::from_text(target)?, path })
    }
}

impl Read for TargetRef {
    fn read(value: &Value, reader: &mut Reader) -> Option<TargetRef> {
        let text = String::read(value, reader)?;
        match TargetRef::from_text(&text) {
            Ok(reference) => {
                reader.note_reference("target", &reference.target, &value.place);
                Some(reference)
            }
            Err(wrong) => {
                reader.report_wrong(wrong, &value.place);
                None
            }
        }
    }
}

/// A file or directory of the project, relative to its root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProjectPath(String);

string_schema!(ProjectPath, "ProjectPath", "A path in the project, relative to its root.", "^[^/]");

impl ProjectPath {
    /// Returns the path: relative, normalised, with slashes; `.` for the project itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for ProjectPath {
    fn from_text(text: &str) -> Result<ProjectPath, Wrong> {
        if text == "." || text == "./" {
            return Ok(ProjectPath(".".to_owned()));
        }
        relative(text).map(ProjectPath)
    }
}

/// A file or directory that a target leaves, relative to its output directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputPath(String);

string_schema!(OutputPath, "OutputPath", "A path in the target's output directory.", "^[^/]");

impl OutputPath {
    /// Returns the path: relative, normalised, with slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for OutputPath {
    fn from_text(text: &str) -> Result<OutputPath, Wrong> {
        relative(text).map(OutputPath)
    }
}

/// Returns the relative path without empty parts and `.`, or why it is none that stays inside.
fn relative(text: &str) -> Result<String, Wrong> {
    let wrong = |help: &str| Wrong::new(format!("invalid path `{}`", text.escape_debug()), help);
    if text.starts_with('/') {
        return Err(wrong("write it relative, without a leading slash"));
    }
    if text.contains(['\0', '\n']) {
        return Err(wrong("a path has neither a NUL nor a line break"));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(wrong("a path cannot lead out with `..`"));
    }
    if parts.is_empty() {
        return Err(wrong("a path names something"));
    }
    Ok(parts.join("/"))
}

/// A path in the file system of a guest: absolute, normalised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestPath(String);

string_schema!(GuestPath, "GuestPath", "An absolute path in the root file system being made.", "^/.");

impl GuestPath {
    /// Returns the path without its leading slash, as layers name it.
    pub fn in_layer(&self) -> &str {
        &self.0[1..]
    }

    /// Returns the absolute path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for GuestPath {
    fn from_text(text: &str) -> Result<GuestPath, Wrong> {
        let Some(rest) = text.strip_prefix('/') else {
            let message = format!("invalid path `{}`", text.escape_debug());
            return Err(Wrong::new(message, format!("write it absolute: `/{}`", text.escape_debug())));
        };
        relative(rest).map(|path| GuestPath(format!("/{path}"))).map_err(|wrong| Wrong {
            message: format!("invalid path `{}`", text.escape_debug()),
            help: wrong.help,
        })
    }
}

/// A number of bytes, written with a binary unit: `64K`, `512M`, `2G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

string_schema!(Size, "Size", "A size with a binary unit: `64K`, `512M`, `2G`, `1T`.", "^[0-9]+[KMGT](iB)?$");

impl Size {
    /// Returns the number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromText for Size {
    fn from_text(text: &str) -> Result<Size, Wrong> {
        let number = text.strip_suffix("iB").unwrap_or(text);
        let bytes = [('K', 10), ('M', 20), ('G', 30), ('T', 40)].into_iter().find_map(|(unit, shift)| {
            let digits = number.strip_suffix(unit)?;
            let count: u64 =
                digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
            count.checked_mul(1 << shift)
        });
        bytes.map(Size).ok_or_else(|| {
            let message = format!("`{}` is not a size", text.escape_debug());
            Wrong::new(message, "write a whole number and a unit, as in `64K`, `512M` or `2G`")
        })
    }
}

/// A time span in whole seconds, minutes or hours: `30s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(Duration);

string_schema!(TimeSpan, "TimeSpan", "A time span: `30s`, `5m`, `1h`.", "^[0-9]+[smh]$");

impl TimeSpan {
    /// Returns the time span.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromText for TimeSpan {
    fn from_text(text: &str) -> Result<TimeSpan, Wrong> {
        let seconds = [('s', 1), ('m', 60), ('h', 3600)].into_iter().find_map(|(unit, factor)| {
            let digits = text.strip_suffix(unit)?;
            let count: u64 =
                digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
            count.checked_mul(factor)
        });
        seconds.map(|seconds| TimeSpan(Duration::from_secs(seconds))).ok_or_else(|| {
            let message = format!("`{}` is not a time span", text.escape_debug());
            Wrong::new(message, "write a whole number and a unit, as in `30s`, `5m` or `1h`")
        })
    }
}

/// A distribution and its release: `debian:bookworm`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distro {
    /// The distribution.
    pub name: String,
    /// The code name of its release.
    pub release: String,
}

string_schema!(Distro, "Distro", "A distribution and its release: `debian:bookworm`.", "^debian:[a-z0-9-]+$");

/// The distributions that can be resolved.
const DISTROS: [&str; 1] = ["debian"];

impl fmt::Display for Distro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.release)
    }
}

impl FromText for Distro {
    fn from_text(text: &str) -> Result<Distro, Wrong> {
        let (name, release) = text.split_once(':').unwrap_or((text, ""));
        if !DISTROS.contains(&name) {
            let help = suggest::help(name, "distributions", DISTROS);
            return Err(Wrong::new(format!("unknown distribution `{}`", name.escape_debug()), help));
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if release.is_empty() || !release.bytes().all(plain) {
            let message = format!("`{}` does not name a release", text.escape_debug());
            return Err(Wrong::new(message, format!("write the code name too, as in `{name}:bookworm`")));
        }
        Ok(Distro { name: name.to_owned(), release: release.to_owned() })
    }
}

/// A package: its name, if need be with an architecture or a version: `hello:arm64`, `hello=2.10-3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageName(String);

string_schema!(
    PackageName,
    "PackageName",
    "The name of a package, if need be with an architecture or a version: `hello`, `hello:arm64`, `hello=2.10-3`.",
    "^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=.+)?$"
);

impl PackageName {
    /// Returns it as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name alone.
    pub fn name(&self) -> &str {
        self.0.split([':', '=']).next().unwrap_or_default()
    }

    /// Returns the architecture, if there is one.
    pub fn architecture(&self) -> Option<&str> {
        let before_version = self.0.split('=').next().unwrap_or_default();
        before_version.split_once(':').map(|(_, architecture)| architecture)
    }

    /// Returns the version, if there is one.
    pub fn version(&self) -> Option<&str> {
        self.0.split_once('=').map(|(_, version)| version)
    }
}

impl FromText for PackageName {
    fn from_text(text: &str) -> Result<PackageName, Wrong> {
        let (rest, version) = text.split_once('=').unwrap_or((text, "0"));
        let (name, architecture) = rest.split_once(':').unwrap_or((rest, "any"));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        // Debian policy 5.6.1: at least two characters, lower case, starting with an alphanumeric one.
        let is_name = name.len() > 1
            && name.bytes().all(|byte| plain(byte) || b"+.-".contains(&byte))
            && !name.starts_with(['+', '.', '-']);
        let is_architecture =
            !architecture.is_empty() && architecture.bytes().all(|byte| plain(byte) || byte == b'-');
        let is_version = version.starts_with(|first: char| first.is_ascii_digit())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-:~".contains(&byte));
        if is_name && is_architecture && is_version {
            return Ok(PackageName(text.to_owned()));
        }
        let message = format!("invalid package name `{}`", text.escape_debug());
        Err(Wrong::new(
            message,
            "write `name`, or with an architecture or version `name:arm64`, `name=1.2-3`",
        ))
    }
}

/// An address to fetch from: `https://…` or `http://…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url(String);

string_schema!(Url, "Url", "An address: `https://…`.", "^https?://.");

impl Url {
    /// Returns the address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for Url {
    fn from_text(text: &str) -> Result<Url, Wrong> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match rest {
            Some(rest)
                if !rest.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control()) =>
            {
                Ok(Url(text.to_owned()))
            }
            _ => Err(Wrong::new(
                format!("`{}` is not an address to fetch from", text.escape_debug()),
                "write `https://…`; what lies in the project is a `path`",
            )),
        }
    }
}

/// A SHA-256 as 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha256(String);

string_schema!(Sha256, "Sha256", "A SHA-256: 64 lower-case hex digits.", "^[0-9a-f]{64}$");

impl Sha256 {
    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for Sha256 {
    fn from_text(text: &str) -> Result<Sha256, Wrong> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if text.len() == 64 && digits {
            return Ok(Sha256(text.to_owned()));
        }
        let message = format!("`{}` is not a SHA-256", text.escape_debug());
        Err(Wrong::new(message, "write 64 lower-case hex digits, as `sha256sum` prints them"))
    }
}

/// The permission bits of a file, in octal: `0644`, `4755`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(u32);

string_schema!(Mode, "Mode", "Permission bits in octal: `0644`.", "^[0-7]{3,4}$");

impl Mode {
    /// Returns the bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromText for Mode {
    fn from_text(text: &str) -> Result<Mode, Wrong> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(text, 8) {
            Ok(bits) if octal => Ok(Mode(bits)),
            _ => Err(Wrong::new(
                format!("`{}` is not a file mode", text.escape_debug()),
                "write three or four octal digits in quotes, as in `\"0644\"`",
            )),
        }
    }
}

/// A UUID in its usual text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uuid(uuid::Uuid);

string_schema!(
    Uuid,
    "Uuid",
    "A UUID: `ad6871ee-31f9-4cf3-9e09-6f7a25c30050`.",
    "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
);

impl Uuid {
    /// Returns the UUID that always belongs to `what` of the stack: version 5, by name.
    pub(crate) fn derived(stack: &str, what: &str) -> Uuid {
        // The namespace is our own: the version-5 UUID of the project's name among DNS names.
        let namespace = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, b"bootwright");
        Uuid(uuid::Uuid::new_v5(&namespace, format!("{stack}/{what}").as_bytes()))
    }

    /// Returns the first 32 bits, for what has a number of that size in place of a UUID.
    pub(crate) fn short(&self) -> u32 {
        self.0.as_fields().0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromText for Uuid {
    fn from_text(text: &str) -> Result<Uuid, Wrong> {
        // The crate also reads braces, URNs and undashed digits, which would give one UUID many spellings.
        if text.len() == 36
            && let Ok(uuid) = uuid::Uuid::try_parse(text)
        {
            return Ok(Uuid(uuid));
        }
        let message = format!("`{}` is not a UUID", text.escape_debug());
        Err(Wrong::new(message, "write it as in `ad6871ee-31f9-4cf3-9e09-6f7a25c30050`"))
    }
}
