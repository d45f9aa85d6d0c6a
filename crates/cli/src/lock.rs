//! `bootwright.lock`: read, completed where something is missing, written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::PoisonError;

use cas::Digest;
use distro::resolve::{Catalog, Query};
use distro::solve::{Base, Recommends, Relations, Request, Wanted, With};
use recipe::{Lock, LockedRelease, LockedSet, LockedSource, Needs, PackageRequest, Pin, Source};

use crate::archives::{self, Known};
use crate::download::Downloader;
use crate::failure::{Failure, io};
use crate::session::Session;
use crate::sources;
use crate::sources::debian::Catalogs;
use crate::workspace::tell;

/// Returns the lock, after what `needs` lists and it lacks was added; it is written then.
///
/// Fails under `--locked` when something is missing.
pub(crate) fn ensure(session: &Session<'_>, needs: &Needs) -> Result<Lock, Failure> {
    let lock = read(session)?;
    let problems = lock.check(needs);
    if problems.is_empty() {
        return Ok(lock);
    }
    if session.global.locked {
        return Err(tell(&problems, session.ui));
    }
    if session.global.offline {
        session.ui.problems(&problems);
        return Err(Failure::project("the lock is incomplete, and --offline forbids to complete it")
            .help("run `bootwright lock` without --offline"));
    }
    // Another process may have added something since then.
    let _locked = session.state.lock_lock(&session.cancel)?;
    let before = read(session)?;
    let mut lock = before.clone();
    if !lock.check(needs).is_empty() {
        add(session, needs, &before, &mut lock)?;
        write(session, &lock)?;
    }
    Ok(lock)
}

/// Resolves everything anew that `needs` lists, or with `keep` only what is missing. Returns whether the
/// lock was changed.
pub(crate) fn update(session: &Session<'_>, needs: &Needs, keep: bool) -> Result<(Lock, bool), Failure> {
    let _locked = session.state.lock_lock(&session.cancel)?;
    let before = read(session)?;
    let mut lock = if keep { before.clone() } else { Lock::default() };
    lock.prune(needs);
    if !lock.check(needs).is_empty() {
        add(session, needs, &before, &mut lock)?;
    }
    let changed = lock != before;
    if changed {
        if session.global.locked {
            return Err(Failure::project("the lock would change, and --locked forbids it"));
        }
        write(session, &lock)?;
    }
    Ok((lock, changed))
}

fn path(session: &Session<'_>) -> PathBuf {
    session.root.join(Lock::FILE_NAME)
}

fn read(session: &Session<'_>) -> Result<Lock, Failure> {
    let path = path(session);
    let text = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(io(format!("read `{}`", path.display()))(error)),
    };
    remember(session, text.as_deref().unwrap_or_default());
    match text {
        Some(text) => Lock::parse(&text).map_err(|problem| tell(&[*problem], session.ui)),
        None => Ok(Lock::default()),
    }
}

/// A project's lock as a session has read or written it last.
pub(crate) struct Seen {
    path: PathBuf,
    digest: Option<Digest>,
}

/// Returns the lock as the session has read or written it last.
pub(crate) fn seen(session: &Session<'_>) -> Seen {
    let digest = *session.lock_text.lock().unwrap_or_else(PoisonError::into_inner);
    Seen { path: path(session), digest }
}

impl Seen {
    /// Returns whether it is another one now: somebody else has edited it.
    pub(crate) fn is_edited(&self) -> bool {
        let text = fs::read(&self.path).unwrap_or_default();
        self.digest.is_some_and(|known| Digest::of(&text) != known)
    }
}

fn write(session: &Session<'_>, lock: &Lock) -> Result<(), Failure> {
    let (path, text) = (path(session), lock.to_text());
    cas::replace_file(&path, text.as_bytes()).map_err(io(format!("write `{}`", path.display())))?;
    remember(session, &text);
    Ok(())
}

/// Takes note of the lock as it is now.
fn remember(session: &Session<'_>, text: &str) {
    *session.lock_text.lock().unwrap_or_else(PoisonError::into_inner) = Some(Digest::of(text.as_bytes()));
}

/// Returns how old the releases are that `before` was made from, where packages come from `mirror` as they do now.
fn known(before: &Lock, needs: &Needs, mirror: Option<&str>) -> Known {
    let mut known = Known::new();
    for (name, set) in &before.packages {
        let Some(now) = needs.packages.get(name).map(|set| &set.request) else { continue };
        // Who names another mirror may want an older state: that of a snapshot.
        let is_same = now.mirror.as_deref() == mirror && (mirror.is_none() || set.request == now.digest());
        if is_same {
            set.releases.iter().for_each(|release| archives::know(&mut known, release));
        }
    }
    if mirror.is_none() {
        for source in before.sources.values() {
            let LockedSource::Debian { release, .. } = source else { continue };
            archives::know(&mut known, release);
        }
    }
    known
}

/// Adds what is missing or was locked for something else, from releases that are not much older than those of `before`.
fn add(session: &Session<'_>, needs: &Needs, before: &Lock, lock: &mut Lock) -> Result<(), Failure> {
    let mut groups: BTreeMap<String, Vec<(&String, &PackageRequest)>> = BTreeMap::new();
    for (name, set) in &needs.packages {
        let is_current = lock.packages.get(name).is_some_and(|locked| locked.request == set.request.digest());
        if !is_current {
            let PackageRequest { distro, release, arch, mirror, suites, components, .. } = &set.request;
            let archive = format!("{distro}:{release} {arch} {mirror:?} {suites:?} {components:?}");
            groups.entry(archive).or_default().push((name, &set.request));
        }
    }
    let downloader = Downloader::new(session)?;
    for sets in groups.into_values() {
        let requests: Vec<Request> =
            sets.iter().map(|(name, request)| to_request(name, request)).collect::<Result<_, _>>()?;
        let known = known(before, needs, sets[0].1.mirror.as_deref());
        let catalog = catalog(session, &downloader, sets[0].1, &requests, known)?;
        for ((name, request), wanted) in sets.iter().zip(&requests) {
            let resolution = catalog.resolve(wanted).map_err(Failure::project)?;
            let chosen = resolution.pins.iter().zip(&resolution.solution.packages);
            let pins: Vec<Pin> = chosen
                .map(|(pin, chosen)| {
                    let with = match chosen.with {
                        With::Essential => None,
                        With::Base => Some(request.base.to_owned()),
                        With::Wanted(idx) => Some(request.packages[idx].clone()),
                    };
                    to_pin(pin, with)
                })
                .collect();
            session.ui.note(&format!("locked {} packages for `{name}`", pins.len()));
            let used: BTreeSet<&str> = pins.iter().map(|pin| pin.suite.as_str()).collect();
            let releases =
                resolution.releases.iter().filter(|release| used.contains(release.suite.as_str())).map(
                    |release| LockedRelease {
                        suite: release.suite.clone(),
                        archive: release.archive.as_str().to_owned(),
                        date: release.date.compact(),
                    },
                );
            let set = LockedSet { request: request.digest(), releases: releases.collect(), pins };
            lock.packages.insert((*name).clone(), set);
        }
    }
    let mut catalogs = Catalogs::new(session, &downloader, known(before, needs, None));
    for (name, source) in &needs.sources {
        let locked = lock_source(&downloader, &mut catalogs, name.as_str(), &source.value, lock)?;
        let Some(locked) = locked else { continue };
        lock.sources.insert(name.as_str().to_owned(), locked);
    }
    Ok(())
}

fn to_request(name: &str, request: &PackageRequest) -> Result<Request, Failure> {
    let wanted = request.packages.iter().map(|package| package.parse::<Wanted>());
    Ok(Request {
        requester: name.to_owned(),
        wanted: wanted.collect::<Result<_, _>>().map_err(Failure::project)?,
        base: match request.base {
            "essential" => Base::Essential,
            "minbase" => Base::Minbase,
            _ => Base::Nothing,
        },
        recommends: if request.recommends { Recommends::Follow } else { Recommends::Ignore },
        relations: if request.relations { Relations::Follow } else { Relations::Ignore },
    })
}

fn to_pin(pin: &distro::resolve::Pin, with: Option<String>) -> Pin {
    Pin {
        name: pin.name().to_owned(),
        version: pin.version().to_owned(),
        arch: pin.architecture().to_owned(),
        suite: pin.suite().to_owned(),
        filename: pin.filename().to_owned(),
        size: pin.size(),
        sha256: pin.sha256().to_string(),
        with,
    }
}

/// Reads the indexes of one archive, as far as possible from the cache.
fn catalog(
    session: &Session<'_>,
    downloader: &Downloader<'_>,
    request: &PackageRequest,
    requests: &[Request],
    known: Known,
) -> Result<Catalog, Failure> {
    let distribution = format!("{}:{}", request.distro, request.release)
        .parse()
        .map_err(|error: distro::mirror::DistributionError| Failure::project(error))?;
    let mut query = Query { known, ..Query::new(distribution, &request.arch) };
    if !request.components.is_empty() {
        query.components = request.components.clone();
    }
    if !request.suites.is_empty() {
        query.suites = request.suites.clone();
    }
    for request in requests {
        query = query.for_request(request);
    }
    archives::read(session, downloader, query, request.mirror.as_deref())?.finish().map_err(Failure::project)
}

/// Returns what a source is to be locked to, or `None` when it is locked already or is not locked at all.
fn lock_source(
    downloader: &Downloader<'_>,
    catalogs: &mut Catalogs<'_>,
    name: &str,
    source: &Source,
    lock: &Lock,
) -> Result<Option<LockedSource>, Failure> {
    let locked = lock.sources.get(name);
    if locked.is_some_and(|locked| locked.answers(source)) {
        return Ok(None);
    }
    match source {
        Source::Path(_) => Ok(None),
        Source::Url(wanted) => {
            let sha256 = wanted.sha256.as_ref().map(|sha256| sha256.as_str());
            let digest = downloader.pin(name, wanted.url.as_str(), sha256)?;
            let (url, sha256, size) = (wanted.url.as_str().to_owned(), digest.hex(), digest.size());
            Ok(Some(LockedSource::Url { url, sha256, size }))
        }
        Source::Git(wanted) => sources::git::lock(downloader, name, wanted).map(Some),
        Source::Debian(wanted) => catalogs.resolve(wanted).map(Some),
    }
}
