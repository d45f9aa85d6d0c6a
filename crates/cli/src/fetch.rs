//! Downloads what the lock names, when something that runs needs it.

use std::collections::{BTreeMap, BTreeSet};

use cas::{Digest, Store as _};
use distro::mirror::Mirrors;
use engine::{Fate, Graph, Input, Known, Options, StepId};
use recipe::{Imported, Lock, LockedFile, LockedRelease, LockedSource, Name, Needs, Pin, Source};

use crate::archives::{mirrors, urls};
use crate::download::{Download, Downloader};
use crate::failure::Failure;
use crate::session::Session;
use crate::sources::{debian, git};
use crate::unpack;

/// Where what is pinned can be had.
pub(crate) struct Origins {
    lock: Lock,
    sets: BTreeSet<String>,
    sources: BTreeSet<String>,
    mirror_of_set: BTreeMap<String, Option<String>>,
}

impl Origins {
    /// Returns the origins of all pins that `needs` uses.
    pub(crate) fn of(needs: &Needs, lock: Lock) -> Origins {
        let mirror_of_set =
            needs.packages.iter().map(|(name, set)| (name.clone(), set.request.mirror.clone())).collect();
        let sets = needs.packages.keys().cloned().collect();
        let sources = needs.sources.keys().map(Name::to_string).collect();
        Origins { lock, sets, sources, mirror_of_set }
    }

    /// Returns each pin by the digest of its file, with the set that it is in.
    pub(crate) fn pins(&self) -> BTreeMap<Digest, (&str, &Pin)> {
        let sets = self.lock.packages.iter().filter(|(name, _)| self.sets.contains(*name));
        sets.flat_map(|(name, set)| {
            set.pins.iter().filter_map(|pin| Some((pin.digest()?, (name.as_str(), pin))))
        })
        .collect()
    }

    /// Returns each file of a source package by its digest, with the release that has it.
    fn source_files(&self) -> BTreeMap<Digest, (&LockedRelease, &LockedFile)> {
        debian::files(&self.lock, |name| self.sources.contains(name))
    }

    /// Returns the digests of everything that is pinned.
    fn digests(&self) -> BTreeSet<Digest> {
        self.pins().into_keys().chain(self.source_files().into_keys()).collect()
    }

    /// Returns the downloads of those of `digests` that are pinned.
    fn downloads(&self, session: &Session<'_>, digests: &BTreeSet<Digest>) -> Vec<Download> {
        let mut known: BTreeMap<Option<&str>, Mirrors> = BTreeMap::new();
        let mut downloads = Vec::new();
        for (digest, (set, pin)) in self.pins() {
            if !digests.contains(&digest) {
                continue;
            }
            let of_recipe = self.mirror_of_set[set].as_deref();
            let mirrors = known.entry(of_recipe).or_insert_with(|| mirrors(session.global, of_recipe));
            let release = self.lock.packages[set].releases.iter().find(|release| release.suite == pin.suite);
            let urls = release.map(|release| urls(mirrors, release, &pin.filename)).unwrap_or_default();
            let name = pin.filename.rsplit('/').next().unwrap_or(&pin.filename).to_owned();
            downloads.push(Download { name, digest, urls });
        }
        let mirrors = mirrors(session.global, None);
        for (digest, (release, file)) in self.source_files() {
            if digests.contains(&digest) {
                downloads.push(debian::download(&mirrors, digest, release, file));
            }
        }
        downloads
    }
}

/// Downloads what `steps` need that neither is in the store nor was used for a result that is remembered.
/// Those of `force` run in any case.
pub(crate) fn missing(
    session: &Session<'_>,
    graph: &Graph,
    origins: &Origins,
    steps: &[StepId],
    force: &BTreeSet<StepId>,
) -> Result<(), Failure> {
    // Much of what is pinned no step reads: all that a kernel's package depends on, for one.
    let read: BTreeSet<Digest> = graph
        .steps()
        .flat_map(|(_, step)| &step.inputs)
        .filter_map(|placement| match placement.input {
            Input::File { digest, .. } => Some(digest),
            _ => None,
        })
        .collect();
    let mut absent = BTreeSet::new();
    for digest in origins.digests().into_iter().filter(|digest| read.contains(digest)) {
        if !session.caches.store.noted().contains(&digest).map_err(Failure::machine)? {
            absent.insert(digest);
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    let cache = session.caches.action_cache();
    let history = session.state.history()?;
    let known = Known { store: &session.caches.store, cache: &cache, history: &history };
    let options = Options { force: force.clone(), ..Options::default() };
    let plan = engine::plan(graph, steps, &known, &options).map_err(Failure::machine)?;
    let mut needed = BTreeSet::new();
    for planned in plan.steps.iter().filter(|planned| matches!(planned.fate, Fate::Runs | Fate::MayRun)) {
        for placement in &graph.step(planned.step).inputs {
            if let Input::File { digest, .. } = placement.input
                && absent.contains(&digest)
            {
                needed.insert(digest);
            }
        }
    }
    fetch(session, origins, &needed)
}

/// Downloads every pinned file that is not in the store. Returns how many there were.
pub(crate) fn all(session: &Session<'_>, origins: &Origins) -> Result<usize, Failure> {
    let mut absent = BTreeSet::new();
    for digest in origins.digests() {
        if !session.caches.store.contains(&digest).map_err(Failure::machine)? {
            absent.insert(digest);
        }
    }
    fetch(session, origins, &absent)?;
    Ok(absent.len())
}

fn fetch(session: &Session<'_>, origins: &Origins, digests: &BTreeSet<Digest>) -> Result<(), Failure> {
    if digests.is_empty() {
        return Ok(());
    }
    if session.global.offline {
        return Err(Failure::machine(format!(
            "{} pinned files are not here, and --offline forbids to download them",
            digests.len()
        ))
        .help("run `bootwright fetch` where there is a network"));
    }
    Downloader::new(session)?.files(origins.downloads(session, digests))
}

/// Sources that were fetched.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// The sources, by name.
    pub(crate) sources: BTreeMap<Name, Imported>,
    /// When they were made, in seconds since 1970, as far as that is known.
    pub(crate) dates: BTreeMap<Name, i64>,
}

/// Returns the sources of `needs` that are locked, downloaded where they are not here, archives unpacked.
pub(crate) fn sources(session: &Session<'_>, needs: &Needs, lock: &Lock) -> Result<Fetched, Failure> {
    let mut fetched = Fetched::default();
    for (name, source) in &needs.sources {
        if let (Source::Git(_), Some(LockedSource::Git { git, rev, commit, submodules, tree })) =
            (&source.value, lock.sources.get(name.as_str()))
        {
            let locked = git::Locked { git, rev, commit, submodules: *submodules, tree: *tree };
            let date = git::fetch(session, name.as_str(), &locked)?;
            fetched.dates.insert(name.clone(), date);
            fetched.sources.insert(name.clone(), Imported::Tree(*tree));
            continue;
        }
        let (Source::Url(wanted), Some(LockedSource::Url { url, sha256, size })) =
            (&source.value, lock.sources.get(name.as_str()))
        else {
            continue;
        };
        let Some(digest) = Digest::from_hex(sha256, *size) else { continue };
        let get = || {
            if session.caches.store.contains(&digest).map_err(Failure::machine)? {
                return Ok(());
            }
            if session.global.offline {
                return Err(Failure::machine(format!(
                    "source `{name}` is not here, and --offline forbids to download it"
                ))
                .help("run `bootwright fetch` where there is a network"));
            }
            let download = Download { name: name.to_string(), digest, urls: vec![url.clone()] };
            Downloader::new(session)?.source(download)
        };
        let imported = match unpack::archive_suffix(url) {
            Some(suffix) if wanted.unpack => {
                let unpacked = unpack::archive(&session.caches.store, &digest, suffix, name.as_str(), get)?;
                fetched.dates.extend(unpacked.date.map(|date| (name.clone(), date)));
                Imported::Tree(unpacked.tree)
            }
            _ => {
                get()?;
                Imported::File { digest, executable: false }
            }
        };
        fetched.sources.insert(name.clone(), imported);
    }
    Ok(fetched)
}
