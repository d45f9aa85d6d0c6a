//! The sources of a distribution, and a source package as the lock keeps it.

use std::cmp::Ordering;

use crate::digest::Sha256;
use crate::mirror::Distribution;
use crate::packages::{self, Source, SourceIndex};
use crate::resolve::{PinError, ReleasePin, pin};
use crate::version;

/// The verified sources of a distribution.
#[derive(Debug)]
pub struct SourceCatalog {
    distribution: String,
    /// The indexes with their releases and the priorities of these.
    parts: Vec<(SourceIndex, ReleasePin, i32)>,
}

/// Names the files of a source package by content, and says where they may be had.
///
/// Whoever has a pin has a checked one: names and paths can be used in file names and URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePin {
    /// The source package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The release that has it.
    pub release: ReleasePin,
    /// Its files, the `.dsc` first.
    pub files: Vec<SourceFile>,
}

/// A file of a source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it lies, relative to the archive's base.
    pub filename: String,
    /// Its size.
    pub size: u64,
    /// Its content.
    pub sha256: Sha256,
}

/// Why a source package cannot be pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is none of that name.
    #[error("`{distribution}` has no source package `{name}`")]
    Unknown {
        /// The distribution.
        distribution: String,
        /// What was asked for.
        name: String,
        /// The source packages that build a package of that name.
        builders: Vec<String>,
        /// Source packages whose names are like it.
        similar: Vec<String>,
    },
    /// There is one, in other versions.
    #[error("`{distribution}` has no version {version} of the source package `{name}`")]
    Version {
        /// The distribution.
        distribution: String,
        /// The source package.
        name: String,
        /// What was asked for.
        version: String,
        /// What there is, the newest first.
        known: Vec<String>,
    },
    /// There is one, and it is not as it must be.
    #[error(transparent)]
    Pin(#[from] PinError),
}

impl SourceError {
    /// What the reader can do about it.
    pub fn help(&self) -> Option<String> {
        let quoted =
            |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
        match self {
            SourceError::Unknown { name, builders, .. } if !builders.is_empty() => {
                Some(format!("`{name}` is built by source {}", quoted(builders)))
            }
            SourceError::Unknown { similar, .. } if !similar.is_empty() => {
                Some(format!("did you mean {}?", quoted(similar)))
            }
            SourceError::Version { known, .. } => Some(format!("it has {}", known.join(", "))),
            SourceError::Unknown { .. } | SourceError::Pin(_) => None,
        }
    }
}

impl SourceCatalog {
    pub(super) fn new(
        distribution: &Distribution,
        parts: Vec<(SourceIndex, ReleasePin, i32)>,
    ) -> SourceCatalog {
        SourceCatalog { distribution: distribution.to_string(), parts }
    }

    /// Pins the newest version of the source package `name`, or the one that is given. Without a version, only the
    /// suites of the highest priority that have the package count. Of the same version in several suites, the suite
    /// that comes first has it.
    pub fn resolve(&self, name: &str, version: Option<&str>) -> Result<SourcePin, SourceError> {
        let mut found: Vec<(Source<'_>, &ReleasePin, i32)> =
            self.all().filter(|(source, ..)| source.name() == name).collect();
        found.sort_by(|(left, ..), (right, ..)| version::compare(right.version(), left.version()));
        // Of several that are greatest, `max_by_key` takes the last.
        let Some((preferred, release, _)) = found.iter().rev().max_by_key(|(.., priority)| *priority) else {
            return Err(self.unknown(name));
        };
        let Some(version) = version else {
            return Ok(pin(preferred, release)?);
        };
        let wanted = |(source, ..): &&(Source<'_>, _, _)| {
            version::compare(source.version(), version) == Ordering::Equal
        };
        match found.iter().find(wanted) {
            Some((source, release, _)) => Ok(pin(source, release)?),
            None => {
                let mut known: Vec<String> =
                    found.iter().map(|(source, ..)| source.version().to_owned()).collect();
                known.dedup();
                let (distribution, name) = (self.distribution.clone(), name.to_owned());
                Err(SourceError::Version { distribution, name, version: version.to_owned(), known })
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = (Source<'_>, &ReleasePin, i32)> {
        self.parts.iter().flat_map(|(index, release, priority)| {
            index.sources().map(move |source| (source, release, *priority))
        })
    }

    fn unknown(&self, name: &str) -> SourceError {
        let builds = |source: &Source<'_>| source.binaries().any(|binary| binary == name);
        let mut builders: Vec<String> = self
            .all()
            .filter(|(source, ..)| builds(source))
            .map(|(source, ..)| source.name().to_owned())
            .collect();
        builders.sort_unstable();
        builders.dedup();
        let similar = packages::nearest(name, self.all().map(|(source, ..)| source.name()));
        SourceError::Unknown {
            distribution: self.distribution.clone(),
            name: name.to_owned(),
            builders,
            similar: similar.into_iter().map(str::to_owned).collect(),
        }
    }
}

fn pin(source: &Source<'_>, release: &ReleasePin) -> Result<SourcePin, PinError> {
    let wrong = |field: &'static str, value: &str| PinError {
        package: source.name().to_owned(),
        field,
        value: value.to_owned(),
    };
    if version::check(source.version()).is_err() {
        return Err(wrong("version", source.version()));
    }
    let mut files = Vec::new();
    for (sha256, size, name) in source.files() {
        let filename = format!("{}/{name}", source.directory());
        if name.contains('/') || !pin::is_safe_path(&filename) {
            return Err(wrong("file name", &filename));
        }
        let sha256 = sha256.parse().map_err(|_| wrong("SHA256", sha256))?;
        let size = size.parse().map_err(|_| wrong("size of a file", size))?;
        files.push(SourceFile { filename, size, sha256 });
    }
    let is_dsc = |file: &SourceFile| file.filename.ends_with(".dsc");
    if files.iter().filter(|file| is_dsc(file)).count() != 1 {
        return Err(wrong("list of files", "one without a .dsc"));
    }
    files.sort_by(|left, right| (!is_dsc(left), &left.filename).cmp(&(!is_dsc(right), &right.filename)));
    Ok(SourcePin {
        name: source.name().to_owned(),
        version: source.version().to_owned(),
        release: release.clone(),
        files,
    })
}
