//! `bootwright.lock`: what every package and foreign source must be, byte for byte.
//!
//! Its text is canonical: the same pins are always the same bytes, one line each, so that a difference in
//! version control shows what changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use cas::Digest;
use serde::Deserialize;
use toml_writer::{ToTomlValue as _, TomlStringBuilder};

use crate::needs::Needs;
use crate::stack::Source;
use crate::{Place, Problem, SourceFile};

/// Everything that is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The package sets, by the name that [`Needs`] gives them.
    pub packages: BTreeMap<String, LockedSet>,
    /// The sources, by name.
    pub sources: BTreeMap<String, LockedSource>,
}

/// The packages that answered one request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSet {
    /// The digest of the request that was answered: [`crate::PackageRequest::digest`].
    pub request: String,
    /// The state of the archive that answered it.
    #[serde(default)]
    pub releases: Vec<LockedRelease>,
    /// The packages, in an order in which they can be installed: first those of the base, then what the first of the
    /// packages that were asked for needs besides, with itself, and so on.
    #[serde(default)]
    pub pins: Vec<Pin>,
}

/// One suite of an archive as it was when packages were chosen from it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRelease {
    /// The suite, as in `bookworm-security`.
    pub suite: String,
    /// The archive below which the paths of its pins are, without the host: `debian-security`. It is what
    /// a mirror or a snapshot of the archive puts its own address before.
    pub archive: String,
    /// When the archive made it, as in `20250111T101500Z`: the name of the snapshot that has its packages.
    pub date: String,
}

/// A package: which, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub arch: String,
    /// The suite that has it: one of the releases of the set.
    pub suite: String,
    /// Its path in the archive.
    pub filename: String,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of the package file.
    #[serde(deserialize_with = "sha256")]
    pub sha256: String,
    /// With what it came: a package that was asked for, or the base by its name. Nothing if an essential package
    /// needs it.
    #[serde(default, rename = "for")]
    pub with: Option<String>,
}

impl Pin {
    /// Returns the digest of the package file.
    pub fn digest(&self) -> Option<Digest> {
        Digest::from_hex(&self.sha256, self.size)
    }
}

/// What a source must be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "not a locked `url`, `git` or `debian-source` with all that pins it"
)]
pub enum LockedSource {
    /// A file that was downloaded.
    Url {
        /// Its address.
        url: String,
        /// Its SHA-256.
        #[serde(deserialize_with = "sha256")]
        sha256: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A commit.
    Git {
        /// The address of the repository.
        git: String,
        /// What was asked for.
        rev: String,
        /// The commit that it was.
        #[serde(deserialize_with = "commit")]
        commit: String,
        /// Whether its submodules are part of the tree.
        #[serde(default)]
        submodules: bool,
        /// The digest of the tree of its files, so that nothing rests on git's own names, which are SHA-1.
        #[serde(deserialize_with = "digest")]
        tree: Digest,
    },
    /// A source package.
    Debian {
        /// The source package.
        #[serde(rename = "debian-source")]
        debian_source: String,
        /// The distribution it is from, as in `debian:bookworm`.
        distro: String,
        /// Its version.
        version: String,
        /// The archive and state that had it.
        release: LockedRelease,
        /// Its files, the `.dsc` first.
        #[serde(deserialize_with = "files")]
        files: Vec<LockedFile>,
    },
}

impl LockedSource {
    /// Returns whether this is what `source` was locked to, as it is written now. A source package names its
    /// distribution.
    pub fn answers(&self, source: &Source) -> bool {
        match (source, self) {
            (Source::Url(wanted), LockedSource::Url { url, sha256, .. }) => {
                wanted.url.as_str() == url
                    && wanted.sha256.as_ref().is_none_or(|wanted| wanted.as_str() == sha256)
            }
            (Source::Git(wanted), LockedSource::Git { git, rev, submodules, .. }) => {
                wanted.git.as_str() == git && wanted.rev.as_str() == rev && wanted.submodules == *submodules
            }
            (Source::Debian(wanted), LockedSource::Debian { debian_source, distro, .. }) => {
                wanted.debian_source.as_str() == debian_source
                    && wanted.distro.as_ref().is_none_or(|wanted| wanted.to_string() == *distro)
            }
            (Source::Path(_) | Source::Url(_) | Source::Git(_) | Source::Debian(_), _) => false,
        }
    }
}

/// A file of a source package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// Its path in the archive.
    #[serde(deserialize_with = "file_path")]
    pub filename: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    #[serde(deserialize_with = "sha256")]
    pub sha256: String,
}

impl LockedFile {
    /// Returns the digest of the file.
    pub fn digest(&self) -> Option<Digest> {
        Digest::from_hex(&self.sha256, self.size)
    }

    /// Returns its name, without the directories.
    pub fn name(&self) -> &str {
        self.filename.rsplit('/').next().unwrap_or(&self.filename)
    }
}

/// The last part of it becomes the name of a file that a step reads.
fn file_path<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_path = text.split('/').all(|name| !matches!(name, "" | "." | ".."))
        && !text.contains(|character: char| character.is_control());
    if is_path {
        return Ok(text);
    }
    Err(serde::de::Error::custom(format!("`{}` is not the path of a file", text.escape_debug())))
}

fn sha256<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Digest::from_hex(&text, 0) {
        Some(_) => Ok(text),
        None => Err(serde::de::Error::custom(format!("`{text}` is not a SHA-256"))),
    }
}

fn files<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<LockedFile>, D::Error> {
    let files = Vec::deserialize(deserializer)?;
    if files.is_empty() { Err(serde::de::Error::custom("it has no files")) } else { Ok(files) }
}

fn commit<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_commit = text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_commit { Ok(text) } else { Err(serde::de::Error::custom(format!("`{text}` is not a commit"))) }
}

fn digest<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// The name of the file, beside the project's main file.
pub(crate) const FILE_NAME: &str = "bootwright.lock";
const VERSION: i64 = 1;
const RELOCK: &str = "run `bootwright lock`";

#[derive(Deserialize)]
struct Version {
    version: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(rename = "version")]
    _version: i64,
    #[serde(default)]
    packages: BTreeMap<String, LockedSet>,
    #[serde(default)]
    source: BTreeMap<String, LockedSource>,
}

impl Lock {
    /// The name of the file, beside the project's main file.
    pub const FILE_NAME: &str = FILE_NAME;

    /// Reads the text of a lock. A lock that is damaged or of another version pins nothing: it is a problem.
    pub fn parse(text: &str) -> Result<Lock, Box<Problem>> {
        let file = Arc::new(SourceFile { name: FILE_NAME.to_owned(), text: text.to_owned() });
        let damaged = |error: toml::de::Error| {
            let place = Place::new(&file, error.span().unwrap_or(0..0));
            Problem::at(&place, format!("the lock is damaged: {}", error.message()))
                .help("restore it from version control, or delete it and run `bootwright lock`")
        };
        // The version is looked at alone first: what else another one has, is not known.
        let version: Version = toml::from_str(text).map_err(damaged)?;
        if version.version != Some(VERSION) {
            let found =
                version.version.map_or("no version".to_owned(), |version| format!("version {version}"));
            let message = format!("the lock has {found}, and this program reads version {VERSION}");
            return Err(Box::new(Problem::at(&Place::new(&file, 0..0), message).help(RELOCK)));
        }
        let lock: Text = toml::from_str(text).map_err(damaged)?;
        Ok(Lock { packages: lock.packages, sources: lock.source })
    }

    /// Returns its canonical text, which [`Lock::parse`] reads back to the same.
    pub fn to_text(&self) -> String {
        let mut text =
            format!("# Written by `bootwright lock`; belongs into version control.\nversion = {VERSION}\n");
        for (name, set) in &self.packages {
            push(&mut text, &format!("\n[packages.{}]", quoted(name)));
            push(&mut text, &format!("request = {}", quoted(&set.request)));
            push_list(&mut text, "releases", set.releases.iter().map(release));
            push_list(&mut text, "pins", set.pins.iter().map(pin));
        }
        for (name, source) in &self.sources {
            push(&mut text, &format!("\n[source.{}]", quoted(name)));
            match source {
                LockedSource::Url { url, sha256, size } => {
                    push(&mut text, &format!("url = {}", quoted(url)));
                    push(&mut text, &format!("sha256 = {}", quoted(sha256)));
                    push(&mut text, &format!("size = {size}"));
                }
                LockedSource::Git { git, rev, commit, submodules, tree } => {
                    push(&mut text, &format!("git = {}", quoted(git)));
                    push(&mut text, &format!("rev = {}", quoted(rev)));
                    push(&mut text, &format!("commit = {}", quoted(commit)));
                    if *submodules {
                        push(&mut text, "submodules = true");
                    }
                    push(&mut text, &format!("tree = {}", quoted(&tree.to_string())));
                }
                LockedSource::Debian { debian_source, distro, version, release: from, files } => {
                    push(&mut text, &format!("debian-source = {}", quoted(debian_source)));
                    push(&mut text, &format!("distro = {}", quoted(distro)));
                    push(&mut text, &format!("version = {}", quoted(version)));
                    push(&mut text, &format!("release = {}", release(from)));
                    push_list(
                        &mut text,
                        "files",
                        files.iter().map(|file| {
                            let LockedFile { filename, size, sha256 } = file;
                            format!(
                                "{{ filename = {}, size = {size}, sha256 = {} }}",
                                quoted(filename),
                                quoted(sha256)
                            )
                        }),
                    );
                }
            }
        }
        text
    }

    /// Returns what is missing from the lock or was locked for something else.
    pub fn check(&self, needs: &Needs) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |place, message: String| problems.push(Problem::at(place, message).help(RELOCK));
        for (name, set) in &needs.packages {
            match self.packages.get(name) {
                None => report(&set.place, format!("the packages of `{name}` are not locked")),
                Some(locked) if locked.request != set.request.digest() => {
                    report(&set.place, format!("what `{name}` asks for has changed since it was locked"));
                }
                Some(_) => {}
            }
        }
        for (name, source) in &needs.sources {
            match (&source.value, self.sources.get(name.as_str())) {
                // What is being worked on is not locked.
                (Source::Path(_), _) => {}
                (_, None) => report(&source.place, format!("source `{name}` is not locked")),
                (source_now, Some(locked)) if !locked.answers(source_now) => {
                    report(&source.place, format!("source `{name}` has changed since it was locked"));
                }
                (_, Some(_)) => {}
            }
        }
        problems
    }

    /// Removes what the stack does not ask for any more. `needs` must be those of the whole stack.
    pub fn prune(&mut self, needs: &Needs) {
        self.packages.retain(|name, _| needs.packages.contains_key(name));
        // What is being worked on is not locked, and may have been something else before.
        let is_locked = |name: &str| {
            needs.sources.get(name).is_some_and(|source| !matches!(source.value, Source::Path(_)))
        };
        self.sources.retain(|name, _| is_locked(name));
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn push_list(text: &mut String, key: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() == 0 {
        return;
    }
    push(text, &format!("{key} = ["));
    for line in lines {
        push(text, &format!("  {line},"));
    }
    push(text, "]");
}

fn release(release: &LockedRelease) -> String {
    let LockedRelease { suite, archive, date } = release;
    format!("{{ suite = {}, archive = {}, date = {} }}", quoted(suite), quoted(archive), quoted(date))
}

fn pin(pin: &Pin) -> String {
    let Pin { name, version, arch, suite, filename, size, sha256, with } = pin;
    let mut line = String::new();
    for (key, value) in
        [("name", name), ("version", version), ("arch", arch), ("suite", suite), ("filename", filename)]
    {
        write!(line, "{key} = {}, ", quoted(value)).expect("writing to a string cannot fail");
    }
    write!(line, "size = {size}, sha256 = {}", quoted(sha256)).expect("writing to a string cannot fail");
    if let Some(with) = with {
        write!(line, ", for = {}", quoted(with)).expect("writing to a string cannot fail");
    }
    format!("{{ {line} }}")
}

/// Returns a TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    TomlStringBuilder::new(text).as_basic().to_toml_value()
}
