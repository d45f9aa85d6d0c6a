//! `Cargo.lock`: which crates a package is built with, and where each is from.

use serde::Deserialize;

/// What a `Cargo.lock` says of crates that are not of the source itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lockfile {
    /// The crates, in the file's order.
    pub crates: Vec<Crate>,
}

/// A crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is from.
    pub origin: Origin,
}

/// Where a crate is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a registry.
    Registry {
        /// Its index, as cargo writes it: `sparse+https://…/`; `None` is crates.io.
        registry: Option<String>,
        /// The SHA-256 of the archive, in hexadecimal digits.
        checksum: String,
    },
    /// From a git repository.
    Git(GitOrigin),
}

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitOrigin {
    /// The address of the repository.
    pub url: String,
    /// What the manifest asks for.
    pub reference: GitReference,
    /// The commit that it was: 40 hexadecimal digits.
    pub commit: String,
}

/// What a manifest asks a repository for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitReference {
    /// Its usual branch.
    Default,
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
    /// A commit, or another name of one.
    Rev(String),
}

impl GitReference {
    /// Returns it as configurations of cargo say it; the usual branch is not said.
    pub(super) fn as_config(&self) -> Option<(&'static str, &str)> {
        match self {
            GitReference::Default => None,
            GitReference::Branch(name) => Some(("branch", name)),
            GitReference::Tag(name) => Some(("tag", name)),
            GitReference::Rev(name) => Some(("rev", name)),
        }
    }
}

impl Origin {
    /// Returns what tells this place from all others, as configurations of cargo call it.
    pub(super) fn key(&self) -> String {
        match self {
            Origin::Registry { registry: None, .. } => super::CRATES_IO.to_owned(),
            Origin::Registry { registry: Some(registry), .. } => registry.clone(),
            Origin::Git(git) => match git.reference.as_config() {
                None => format!("git+{}", git.url),
                Some((word, name)) => format!("git+{}?{word}={name}", git.url),
            },
        }
    }
}

/// Why a `Cargo.lock` does not say what crates there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockfileError {
    /// It is no TOML, or not of that form.
    #[error("it is not of the form that cargo writes: {0}")]
    Form(String),
    /// It has another version than this reads.
    #[error("it has version {0}, and this program reads up to {NEWEST}")]
    Version(i64),
    /// A crate of a registry has no checksum.
    #[error("`{0}` has no checksum")]
    NoChecksum(String),
    /// A crate is from a place that is none of these.
    #[error("`{package}` comes from `{from}`, which is neither a sparse registry nor a git repository")]
    Unknown {
        /// The crate.
        package: String,
        /// Where it is from.
        from: String,
    },
    /// A name, version, checksum or commit cannot be one.
    #[error("`{0}` cannot be {1}")]
    Invalid(String, &'static str),
}

/// The newest version of the format: that of cargo 1.78 and after.
const NEWEST: i64 = 4;
/// How many bytes a name or a version may have: what a directory's may.
const MAX_WORD: usize = 255;
/// What cargo calls crates.io, by the protocol with which its index is read.
const OF_CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

#[derive(Deserialize)]
struct Text {
    version: Option<i64>,
    #[serde(default)]
    package: Vec<PackageText>,
    metadata: Option<toml::Table>,
}

#[derive(Deserialize)]
struct PackageText {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// Reads the text of a `Cargo.lock` of any version.
///
/// Fails when it is none, is of a newer version, or names a crate that cannot be had by its checksum or commit.
pub fn parse(text: &str) -> Result<Lockfile, LockfileError> {
    let text: Text = toml::from_str(text).map_err(|error| LockfileError::Form(error.message().to_owned()))?;
    if let Some(version) = text.version.filter(|version| !(1..=NEWEST).contains(version)) {
        return Err(LockfileError::Version(version));
    }
    let mut crates = Vec::new();
    for package in text.package {
        // What has no source is the source's own.
        let Some(from) = package.source else { continue };
        // These become names of directories and parts of addresses, perhaps of many parts.
        let is_word = |text: &str, more: &[u8]| {
            text.len() <= MAX_WORD
                && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !is_word(&package.name, b"-_") {
            return Err(invalid(&package.name, "the name of a crate"));
        }
        if !is_word(&package.version, b".+-") {
            return Err(invalid(&package.version, "a version"));
        }
        let origin = if let Some(address) = from.strip_prefix("git+") {
            Origin::Git(git(address)?)
        } else if let Some(registry) = registry(&from) {
            // Version 1 has the checksums at the end.
            let key = format!("checksum {} {} ({from})", package.name, package.version);
            let at_the_end = || text.metadata.as_ref()?.get(&key)?.as_str().map(str::to_owned);
            let checksum = package.checksum.or_else(at_the_end);
            let checksum = checksum.ok_or_else(|| LockfileError::NoChecksum(package.name.clone()))?;
            if checksum.len() != 64 || !checksum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(invalid(&checksum, "a SHA-256"));
            }
            Origin::Registry { registry, checksum: checksum.to_ascii_lowercase() }
        } else {
            return Err(LockfileError::Unknown {
                package: package.name,
                from: from.escape_debug().to_string(),
            });
        };
        crates.push(Crate { name: package.name, version: package.version, origin });
    }
    Ok(Lockfile { crates })
}

fn invalid(text: &str, what: &'static str) -> LockfileError {
    LockfileError::Invalid(text.escape_debug().to_string(), what)
}

/// Returns which registry a source is: `Some(None)` is crates.io.
fn registry(from: &str) -> Option<Option<String>> {
    if OF_CRATES_IO.contains(&from) {
        return Some(None);
    }
    let address = from.strip_prefix("sparse+")?;
    let is_address = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    (is_address && address.ends_with('/') && !address.contains(char::is_control))
        .then(|| Some(from.to_owned()))
}

/// Reads `URL?branch=NAME#COMMIT`.
fn git(address: &str) -> Result<GitOrigin, LockfileError> {
    let (address, commit) = address.rsplit_once('#').unwrap_or((address, ""));
    if commit.len() != 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(invalid(commit, "a commit"));
    }
    let (url, query) = address.split_once('?').unwrap_or((address, ""));
    let reference = match query.split_once('=') {
        None => GitReference::Default,
        Some((word, name)) => {
            let name = decoded(name).ok_or_else(|| invalid(query, "the name of a commit"))?;
            match word {
                "branch" => GitReference::Branch(name),
                "tag" => GitReference::Tag(name),
                "rev" => GitReference::Rev(name),
                _ => return Err(invalid(query, "the name of a commit")),
            }
        }
    };
    Ok(GitOrigin { url: url.to_owned(), reference, commit: commit.to_ascii_lowercase() })
}

/// Returns the text that was percent-encoded (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            b'+' => b' ',
            byte => byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}
