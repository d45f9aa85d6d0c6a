//! Archives of packages: where they are, the best places first, and their indexes.

use std::collections::BTreeMap;
use std::fs;

use distro::mirror::{Archive, Mirrors};
use distro::release::{Freshness, Keyring};
use distro::resolve::{FeedError, Fetch, Query, Resolver};
use distro::timestamp::Timestamp;
use recipe::LockedRelease;

use crate::args::Global;
use crate::download::Downloader;
use crate::environment;
use crate::failure::{Blame, Failure, io};
use crate::session::Session;

/// Returns the mirrors, those to try first at the front: named on the command line, named by the recipe, this
/// machine's own, the distribution's own.
pub(crate) fn mirrors(global: &Global, of_recipe: Option<&str>) -> Mirrors {
    let mut mirrors = Mirrors::default();
    if let Some(snapshots) = &global.snapshots {
        mirrors.use_snapshots(snapshots);
    }
    let sources: Vec<_> = environment::apt_configuration()
        .iter()
        .flat_map(|(path, text)| match path.extension() {
            Some(extension) if extension == "sources" => distro::mirror::parse_sources(text),
            _ => distro::mirror::parse_sources_list(text),
        })
        .collect();
    mirrors.prefer_apt(&sources);
    for url in [of_recipe, global.mirror.as_deref()].into_iter().flatten() {
        mirrors.prefer_url(url);
    }
    mirrors
}

fn archive(release: &LockedRelease) -> Archive {
    match release.archive.as_str() {
        "debian-security" => Archive::DebianSecurity,
        _ => Archive::Debian,
    }
}

/// Returns where a file of a release may be had, the best first.
pub(crate) fn urls(mirrors: &Mirrors, release: &LockedRelease, filename: &str) -> Vec<String> {
    let archive = archive(release);
    let mut urls = mirrors.urls(archive, filename);
    if let Ok(date) = Timestamp::parse_compact(&release.date) {
        urls.extend(mirrors.snapshot_urls(archive, date, filename));
    }
    urls
}

/// The dates of the releases that a lock was made from, by archive and suite.
pub(crate) type Known = BTreeMap<(Archive, String), Timestamp>;

/// Takes note of a release that something is locked to.
pub(crate) fn know(known: &mut Known, release: &LockedRelease) {
    let Ok(date) = Timestamp::parse_compact(&release.date) else { return };
    let latest = known.entry((archive(release), release.suite.clone())).or_insert(date);
    *latest = date.max(*latest);
}

/// Reads the indexes that `query` asks for, as far as possible from the cache. Everything was fed then.
pub(crate) fn read(
    session: &Session<'_>,
    downloader: &Downloader<'_>,
    mut query: Query,
    mirror: Option<&str>,
) -> Result<Resolver, Failure> {
    query.freshness = if session.global.ignore_dates { Freshness::IgnoreDates } else { Freshness::Required };
    let mirrors = mirrors(session.global, mirror);
    let now = Timestamp(environment::now().as_secs());
    let mut resolver = Resolver::new(query, mirrors, Keyring::debian(), now);
    let indexes = session.caches.indexes();
    fs::create_dir_all(&indexes).map_err(io(format!("make `{}`", indexes.display())))?;
    loop {
        let fetches = resolver.next_fetches();
        if fetches.is_empty() {
            break;
        }
        let mut wanted = Vec::new();
        for fetch in fetches {
            let cached = fetch.cache_key.as_ref().map(|key| indexes.join(key));
            let is_fed = cached.as_ref().and_then(|path| fs::read(path).ok()).is_some_and(|bytes| {
                // One that is damaged is downloaded again and replaced.
                resolver.feed_compact(fetch.id, &bytes).is_ok()
            });
            if !is_fed {
                wanted.push((fetch, cached));
            }
        }
        let texts = downloader.texts(wanted.iter().map(|(fetch, _)| fetch));
        for ((fetch, cached), first) in wanted.iter().zip(texts) {
            feed(&mut resolver, downloader, fetch, first)?;
            if let (Some(path), Some(compact)) = (cached, resolver.compact(fetch.id)) {
                cas::replace_file(path, &compact).map_err(io(format!("write `{}`", path.display())))?;
            }
        }
    }
    Ok(resolver)
}

/// Gives what the first mirror had to the resolver; if it is refused, what the others have.
fn feed(
    resolver: &mut Resolver,
    downloader: &Downloader<'_>,
    fetch: &Fetch,
    first: Result<Vec<u8>, Failure>,
) -> Result<(), Failure> {
    let refused = |error: FeedError| {
        let help = error.help();
        let failure = Failure::new(Blame::Machine, error);
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    };
    let mut failure = match first {
        Ok(bytes) => match resolver.feed(fetch.id, &bytes) {
            Ok(()) => return Ok(()),
            Err(error) => refused(error),
        },
        Err(failure) => failure,
    };
    for url in fetch.urls.iter().skip(1) {
        // What a mirror had and was refused says more than what another one does not have.
        let Ok(bytes) = downloader.text(&fetch.what, std::slice::from_ref(url), fetch.max_size) else {
            continue;
        };
        match resolver.feed(fetch.id, &bytes) {
            Ok(()) => return Ok(()),
            Err(error) => failure = refused(error),
        }
    }
    Err(failure)
}
