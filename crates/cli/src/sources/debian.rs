//! Source packages of Debian: which files they are, and where these can be had.

use std::collections::BTreeMap;

use cas::Digest;
use distro::mirror::{DistributionError, Mirrors};
use distro::resolve::{Query, SourceCatalog, SourcePin};
use recipe::{DebianSource, Lock, LockedFile, LockedRelease, LockedSource};

use crate::archives::{self, Known, urls};
use crate::download::{Download, Downloader};
use crate::failure::Failure;
use crate::session::Session;

/// The sources of the distributions that were asked for, each read once.
pub(crate) struct Catalogs<'a> {
    session: &'a Session<'a>,
    downloader: &'a Downloader<'a>,
    known: Known,
    by_distro: BTreeMap<String, SourceCatalog>,
}

impl<'a> Catalogs<'a> {
    /// Returns no catalogs yet. They are not to be much older than those of releases that are `known`.
    pub(crate) fn new(
        session: &'a Session<'a>,
        downloader: &'a Downloader<'a>,
        known: Known,
    ) -> Catalogs<'a> {
        Catalogs { session, downloader, known, by_distro: BTreeMap::new() }
    }

    /// Returns what a source package is to be locked to: the newest version, or the one that is named.
    pub(crate) fn resolve(&mut self, wanted: &DebianSource) -> Result<LockedSource, Failure> {
        let distro = wanted.distro.as_ref().map(|distro| distro.to_string()).unwrap_or_default();
        let catalog = self.catalog(&distro)?;
        let asked = &wanted.debian_source;
        let pin = catalog.resolve(asked.name(), asked.version()).map_err(|error| {
            let help = error.help();
            let failure = Failure::project(error);
            match help {
                Some(help) => failure.help(help),
                None => failure,
            }
        })?;
        self.session.ui.note(&format!("locked source {} {}", pin.name, pin.version));
        Ok(locked(pin, asked.as_str(), distro))
    }

    fn catalog(&mut self, distro: &str) -> Result<&SourceCatalog, Failure> {
        if !self.by_distro.contains_key(distro) {
            let distribution = distro.parse().map_err(|error: DistributionError| Failure::project(error))?;
            let query = Query { known: self.known.clone(), ..Query::sources(distribution) };
            let resolver = archives::read(self.session, self.downloader, query, None)?;
            let catalog = resolver.finish_sources().map_err(Failure::project)?;
            self.by_distro.insert(distro.to_owned(), catalog);
        }
        Ok(&self.by_distro[distro])
    }
}

fn locked(pin: SourcePin, asked: &str, distro: String) -> LockedSource {
    let files = pin.files.into_iter().map(|file| LockedFile {
        filename: file.filename,
        size: file.size,
        sha256: file.sha256.to_string(),
    });
    LockedSource::Debian {
        debian_source: asked.to_owned(),
        distro,
        version: pin.version,
        release: LockedRelease {
            suite: pin.release.suite,
            archive: pin.release.archive.as_str().to_owned(),
            date: pin.release.date.compact(),
        },
        files: files.collect(),
    }
}

/// Returns the files of all source packages that are locked, by their digests, with the release that has them.
pub(crate) fn files(
    lock: &Lock,
    is_used: impl Fn(&str) -> bool,
) -> BTreeMap<Digest, (&LockedRelease, &LockedFile)> {
    let mut all = BTreeMap::new();
    for (name, source) in &lock.sources {
        if let LockedSource::Debian { release, files, .. } = source
            && is_used(name)
        {
            all.extend(files.iter().filter_map(|file| Some((file.digest()?, (release, file)))));
        }
    }
    all
}

/// Returns the download of a file of a source package.
pub(crate) fn download(
    mirrors: &Mirrors,
    digest: Digest,
    release: &LockedRelease,
    file: &LockedFile,
) -> Download {
    let urls = urls(mirrors, release, &file.filename);
    Download { name: file.name().to_owned(), digest, urls }
}
