//! From a distribution to pinned packages, without any I/O of its own.
//!
//! The caller drives: [`Resolver::next_fetches`] says what is needed, the caller gets it from somewhere (a
//! network, a cache) and gives it to [`Resolver::feed`], until nothing more is needed. Then
//! [`Resolver::finish`] gives the [`Catalog`], from which any number of requests are resolved to pins. A query
//! for sources goes the same way, to [`Resolver::finish_sources`].

mod pin;
mod source;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};

use crate::depends::DependsError;
use crate::digest::Sha256;
use crate::mirror::{Archive, Distribution, Mirrors, Suite};
use crate::packages::{Index, PackagesError, Part, SourceIndex, Universe};
use crate::release::{self, Asked, Freshness, IndexFile, Keyring, Release, ReleaseError, SignatureError};
use crate::solve::{self, Request, Solution, SolveError};
use crate::timestamp::Timestamp;

pub use pin::{Pin, PinError};
pub use source::{SourceCatalog, SourceError, SourceFile, SourcePin};
pub use unpack::UnpackError;

/// Changes when [`Resolver::compact`] writes something else than before.
const COMPACT_FORMAT: u32 = 1;

/// Ten times what the largest suite has.
const MAX_RELEASE_SIZE: u64 = 32 << 20;

/// Which indexes to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The release.
    pub distribution: Distribution,
    /// The architecture of the system to be made, in Debian's name for it.
    pub native: String,
    /// Architectures of which single packages are wanted.
    pub foreign: BTreeSet<String>,
    /// The suites to choose from; none means those that make up the release.
    pub suites: Vec<String>,
    /// `main` and whatever else is needed.
    pub components: Vec<String>,
    /// Whether stale indexes are refused.
    pub freshness: Freshness,
    /// The dates of releases that were used before, by archive and suite; much older ones are refused as stale.
    pub known: BTreeMap<(Archive, String), Timestamp>,
    /// What the indexes are of.
    pub indexes: Indexes,
}

/// What is looked for in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexes {
    /// Packages that can be installed.
    Packages,
    /// Their sources.
    Sources,
}

impl Indexes {
    fn as_str(self) -> &'static str {
        match self {
            Indexes::Packages => "packages",
            Indexes::Sources => "sources",
        }
    }
}

impl Query {
    /// The component `main` of `distribution` for `native`, no older than it may be.
    pub fn new(distribution: Distribution, native: &str) -> Query {
        Query {
            distribution,
            native: native.to_owned(),
            foreign: BTreeSet::new(),
            suites: Vec::new(),
            components: vec!["main".to_owned()],
            freshness: Freshness::Required,
            known: BTreeMap::new(),
            indexes: Indexes::Packages,
        }
    }

    /// The sources of the component `main` of `distribution`, no older than they may be.
    pub fn sources(distribution: Distribution) -> Query {
        Query { indexes: Indexes::Sources, ..Query::new(distribution, "") }
    }

    /// Adds the architectures that packages of `request` are wanted for.
    pub fn for_request(mut self, request: &Request) -> Query {
        let named = request.wanted.iter().filter_map(|wanted| wanted.architecture.clone());
        self.foreign
            .extend(named.filter(|architecture| *architecture != self.native && architecture != "all"));
        self
    }
}

/// Names a [`Fetch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(usize);

/// Something that a [`Resolver`] needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// To be given back with the bytes.
    pub id: FetchId,
    /// For messages, such as `InRelease of bookworm`.
    pub what: String,
    /// Where it may be; to be tried in this order, also when [`Resolver::feed`] refuses what one had.
    pub urls: Vec<String>,
    /// What it must be, where that is known before.
    pub sha256: Option<Sha256>,
    /// More than this need not be read.
    pub max_size: u64,
    /// Under what to keep [`Resolver::compact`]; anything with the same key has the same content.
    pub cache_key: Option<String>,
}

/// Why what was fetched is not used. The fetch stays open: another mirror may have something better.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A release that nobody known signed.
    #[error("the release of `{suite}` cannot be trusted")]
    Signature {
        /// Of which suite.
        suite: String,
        /// Why.
        #[source]
        source: SignatureError,
    },
    /// A release that is not what was asked for.
    #[error("the release of `{suite}` cannot be used")]
    Release {
        /// Of which suite.
        suite: String,
        /// Why.
        #[source]
        source: ReleaseError,
    },
    /// An index that the release does not list.
    #[error("the release of `{suite}` lists no packages of `{component}` for {architecture}")]
    NoIndex {
        /// Of which suite.
        suite: String,
        /// Of which component.
        component: String,
        /// For which architecture.
        architecture: String,
    },
    /// An index of sources that the release does not list.
    #[error("the release of `{suite}` lists no sources of `{component}`")]
    NoSources {
        /// Of which suite.
        suite: String,
        /// Of which component.
        component: String,
    },
    /// Another content than the release says.
    #[error(
        "{what} is {found} ({found_size} bytes), the signed release says {expected} ({expected_size} bytes)"
    )]
    Altered {
        /// The index.
        what: String,
        /// What it is.
        found: Sha256,
        /// What it is.
        found_size: u64,
        /// What it must be.
        expected: Sha256,
        /// What it must be.
        expected_size: u64,
    },
    /// It cannot be decompressed.
    #[error("could not unpack {what}")]
    Unpack {
        /// The index.
        what: String,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// It is no index.
    #[error("could not read {what}")]
    Packages {
        /// The index.
        what: String,
        /// Why.
        #[source]
        source: PackagesError,
    },
}

impl FeedError {
    /// What the reader can do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            FeedError::Signature { source, .. } => source.help(),
            FeedError::Release { source, .. } => source.help(),
            FeedError::Altered { .. } => {
                Some("the mirror is being updated, or something altered the file on its way")
            }
            _ => None,
        }
    }
}

/// Why there are no pins.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Not everything that is needed was fed.
    #[error("{what} is missing")]
    Incomplete {
        /// The first thing that is missing.
        what: String,
    },
    /// A package whose field `Provides` cannot be read.
    #[error("could not read what package `{package}` provides")]
    Provides {
        /// Its name.
        package: String,
        /// Why.
        #[source]
        source: DependsError,
    },
    /// There is no solution.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// A package of the solution cannot be pinned.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// Reads the indexes of a [`Query`].
#[derive(Debug)]
pub struct Resolver {
    query: Query,
    suites: Vec<Suite>,
    mirrors: Mirrors,
    keyring: Keyring,
    now: Timestamp,
    needs: Vec<Need>,
    n_announced: usize,
    releases: Vec<Option<ReleasePin>>,
    /// Of each suite, as far as its release was read.
    priorities: Vec<i32>,
}

#[derive(Debug)]
struct Need {
    suite_idx: usize,
    kind: NeedKind,
}

#[derive(Debug)]
enum NeedKind {
    Release { is_fed: bool },
    Index { file: IndexFile, read: Option<Read> },
}

/// An index that was read.
#[derive(Debug)]
enum Read {
    Packages(Index),
    Sources(SourceIndex),
}

/// A verified release, as the lock keeps it: says from when the pins are, and which snapshots have them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasePin {
    /// Such as `bookworm-security`.
    pub suite: String,
    /// Which archive it is in.
    pub archive: Archive,
    /// When it was made.
    pub date: Timestamp,
    /// Of the signed `InRelease`.
    pub sha256: Sha256,
}

impl Resolver {
    /// Begins at time `now`, by which validity is judged.
    pub fn new(query: Query, mirrors: Mirrors, keyring: Keyring, now: Timestamp) -> Resolver {
        let suites = match query.suites.as_slice() {
            [] => query.distribution.suites(),
            named => named.iter().map(|name| query.distribution.suite(name)).collect(),
        };
        let needs = (0..suites.len())
            .map(|suite_idx| Need { suite_idx, kind: NeedKind::Release { is_fed: false } })
            .collect();
        let (releases, priorities) = (vec![None; suites.len()], vec![0; suites.len()]);
        Resolver { query, suites, mirrors, keyring, now, needs, n_announced: 0, releases, priorities }
    }

    /// What is needed and was not yet returned here; they do not depend on one another.
    ///
    /// Nothing more is needed when this returns nothing and all that it returned before was fed.
    pub fn next_fetches(&mut self) -> Vec<Fetch> {
        let fetches = (self.n_announced..self.needs.len()).map(|idx| self.fetch(FetchId(idx))).collect();
        self.n_announced = self.needs.len();
        fetches
    }

    /// Verifies and reads what was fetched for `id`.
    pub fn feed(&mut self, id: FetchId, bytes: &[u8]) -> Result<(), FeedError> {
        let suite_idx = self.needs[id.0].suite_idx;
        match &self.needs[id.0].kind {
            NeedKind::Release { .. } => {
                let (release, priority, wanted) = self.read_release(suite_idx, bytes)?;
                (self.releases[suite_idx], self.priorities[suite_idx]) = (Some(release), priority);
                self.needs.extend(wanted);
                self.needs[id.0].kind = NeedKind::Release { is_fed: true };
            }
            NeedKind::Index { file, .. } => {
                let read = self.read_index(id, file, bytes)?;
                self.set_index(id, read);
            }
        }
        Ok(())
    }

    /// What to keep under the `cache_key` of `id`, once it was fed, for [`Resolver::feed_compact`] to read later
    /// in a tenth of the time that the original takes.
    pub fn compact(&self, id: FetchId) -> Option<Vec<u8>> {
        match &self.needs[id.0].kind {
            NeedKind::Index { read: Some(Read::Packages(index)), .. } => unpack::seal(&index.compact()),
            NeedKind::Index { read: Some(Read::Sources(index)), .. } => unpack::seal(&index.compact()),
            _ => None,
        }
    }

    /// Takes what [`Resolver::compact`] made, kept under the right key, in the place of the original. Fails when it
    /// is damaged.
    pub fn feed_compact(&mut self, id: FetchId, bytes: &[u8]) -> Result<(), FeedError> {
        const MAX_COMPACT_SIZE: u64 = 1 << 30;
        let what = self.describe(id);
        let text = unpack::open(bytes, MAX_COMPACT_SIZE)
            .map_err(|source| FeedError::Unpack { what: what.clone(), source })?;
        let read = self.parse_index(text).map_err(|source| FeedError::Packages { what, source })?;
        self.set_index(id, read);
        Ok(())
    }

    /// Merges everything. Fails when something was not fed.
    pub fn finish(self) -> Result<Catalog, ResolveError> {
        self.check_fed()?;
        let parts = self
            .needs
            .into_iter()
            .filter_map(|need| match need.kind {
                NeedKind::Index { read: Some(Read::Packages(index)), .. } => {
                    let suite = self.suites[need.suite_idx].name.clone();
                    Some(Part { index, suite, priority: self.priorities[need.suite_idx] })
                }
                _ => None,
            })
            .collect();
        let universe = Universe::new(&self.query.native, parts)
            .map_err(|(package, source)| ResolveError::Provides { package, source })?;
        Ok(Catalog { universe, releases: self.releases.into_iter().flatten().collect() })
    }

    /// Returns the sources of a query for them. Fails when something was not fed.
    pub fn finish_sources(self) -> Result<SourceCatalog, ResolveError> {
        self.check_fed()?;
        let releases = self.releases;
        let parts = self.needs.into_iter().filter_map(|need| match need.kind {
            NeedKind::Index { read: Some(Read::Sources(index)), .. } => {
                Some((index, releases[need.suite_idx].clone()?, self.priorities[need.suite_idx]))
            }
            _ => None,
        });
        Ok(SourceCatalog::new(&self.query.distribution, parts.collect()))
    }

    fn check_fed(&self) -> Result<(), ResolveError> {
        let missing = self.needs.iter().position(|need| {
            matches!(&need.kind, NeedKind::Release { is_fed: false } | NeedKind::Index { read: None, .. })
        });
        match missing {
            Some(idx) => Err(ResolveError::Incomplete { what: self.describe(FetchId(idx)) }),
            None => Ok(()),
        }
    }

    fn set_index(&mut self, id: FetchId, index: Read) {
        if let NeedKind::Index { read, .. } = &mut self.needs[id.0].kind {
            *read = Some(index);
        }
    }

    fn parse_index(&self, text: String) -> Result<Read, PackagesError> {
        match self.query.indexes {
            Indexes::Packages => Index::parse(text).map(Read::Packages),
            Indexes::Sources => SourceIndex::parse(text).map(Read::Sources),
        }
    }

    fn fetch(&self, id: FetchId) -> Fetch {
        let need = &self.needs[id.0];
        let suite = &self.suites[need.suite_idx];
        let urls = |path: &str| self.mirrors.urls(suite.archive, &format!("dists/{}/{path}", suite.name));
        let what = self.describe(id);
        match &need.kind {
            NeedKind::Release { .. } => Fetch {
                id,
                what,
                urls: urls("InRelease"),
                sha256: None,
                max_size: MAX_RELEASE_SIZE,
                cache_key: None,
            },
            NeedKind::Index { file, .. } => {
                let by_hash = file.by_hash.iter().flat_map(|path| urls(path));
                Fetch {
                    id,
                    what,
                    urls: by_hash.chain(urls(&file.path)).collect(),
                    sha256: Some(file.sha256),
                    max_size: file.size,
                    cache_key: Some(format!(
                        "{}-{COMPACT_FORMAT}-{}",
                        self.query.indexes.as_str(),
                        file.sha256
                    )),
                }
            }
        }
    }

    fn describe(&self, id: FetchId) -> String {
        let need = &self.needs[id.0];
        let suite = &self.suites[need.suite_idx].name;
        match &need.kind {
            NeedKind::Release { .. } => format!("InRelease of {suite}"),
            NeedKind::Index { file, .. } => format!("{} of {suite}", file.path),
        }
    }

    /// The verified release, the priority of its packages, and which indexes of it are needed.
    fn read_release(
        &self,
        suite_idx: usize,
        bytes: &[u8],
    ) -> Result<(ReleasePin, i32, Vec<Need>), FeedError> {
        let Suite { name: suite, archive } = self.suites[suite_idx].clone();
        let (text, _) = release::verify(bytes, &self.keyring, self.now)
            .map_err(|source| FeedError::Signature { suite: suite.clone(), source })?;
        let mut architectures = Vec::new();
        if self.query.indexes == Indexes::Packages {
            architectures.push(self.query.native.clone());
            architectures.extend(self.query.foreign.iter().cloned());
        }
        let known = self.query.known.get(&(archive, suite.clone())).copied();
        let components = self.query.components.clone();
        let asked = Asked { suite: suite.clone(), components, architectures, known };
        let release = Release::parse(&text)
            .and_then(|release| release.check(&asked, self.now, self.query.freshness).map(|()| release))
            .map_err(|source| FeedError::Release { suite: suite.clone(), source })?;
        let mut needs = Vec::new();
        let all = release.separate_all.then(|| "all".to_owned());
        for component in &asked.components {
            if self.query.indexes == Indexes::Sources {
                let file = release.sources(component).ok_or_else(|| FeedError::NoSources {
                    suite: suite.clone(),
                    component: component.clone(),
                })?;
                needs.push(Need { suite_idx, kind: NeedKind::Index { file, read: None } });
                continue;
            }
            for architecture in asked.architectures.iter().chain(&all) {
                let file = release.packages(component, architecture).ok_or_else(|| FeedError::NoIndex {
                    suite: suite.clone(),
                    component: component.clone(),
                    architecture: architecture.clone(),
                })?;
                needs.push(Need { suite_idx, kind: NeedKind::Index { file, read: None } });
            }
        }
        let pin = ReleasePin { suite, archive, date: release.date, sha256: Sha256::of(bytes) };
        Ok((pin, release.priority, needs))
    }

    fn read_index(&self, id: FetchId, file: &IndexFile, bytes: &[u8]) -> Result<Read, FeedError> {
        /// Where the release does not say: no index has a tenth of it.
        const MAX_UNPACKED_SIZE: u64 = 1 << 30;
        let what = || self.describe(id);
        let (found, found_size) = (Sha256::of(bytes), bytes.len() as u64);
        if found != file.sha256 || found_size != file.size {
            let (expected, expected_size) = (file.sha256, file.size);
            return Err(FeedError::Altered { what: what(), found, found_size, expected, expected_size });
        }
        let max_size = file.unpacked_size.unwrap_or(MAX_UNPACKED_SIZE);
        let text = unpack::unpack(bytes, &file.path, max_size)
            .map_err(|source| FeedError::Unpack { what: what(), source })?;
        self.parse_index(text).map_err(|source| FeedError::Packages { what: what(), source })
    }
}

/// The verified packages of a distribution.
#[derive(Debug)]
pub struct Catalog {
    universe: Universe,
    releases: Vec<ReleasePin>,
}

/// What a request became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// In an order in which they can be installed.
    pub pins: Vec<Pin>,
    /// The releases that the pins come from, or that were looked through for them.
    pub releases: Vec<ReleasePin>,
    /// Why each package is there, in the order of the pins.
    pub solution: Solution,
}

impl Catalog {
    /// Everything there is.
    pub fn universe(&self) -> &Universe {
        &self.universe
    }

    /// The releases, in the order of the distribution's suites.
    pub fn releases(&self) -> &[ReleasePin] {
        &self.releases
    }

    /// Chooses packages and pins them.
    pub fn resolve(&self, request: &Request) -> Result<Resolution, ResolveError> {
        let solution = solve::solve(&self.universe, request)?;
        let pins = solution
            .packages
            .iter()
            .map(|chosen| Pin::new(&self.universe.package(chosen.id), self.universe.suite(chosen.id)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Resolution { pins, releases: self.releases.clone(), solution })
    }
}

#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;
