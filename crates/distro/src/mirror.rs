//! Where an archive can be had: suites of a distribution, mirrors of its archives, URLs.
//!
//! A mirror need not be trusted: what it serves is verified. So the worst that a wrong choice costs is time.

use crate::deb822;
use crate::timestamp::Timestamp;

/// One of Debian's two archives, which have mirrors of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Archive {
    /// Releases and their updates.
    Debian,
    /// Security fixes.
    DebianSecurity,
}

impl Archive {
    /// The name, which is also the last directory of its usual URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Archive::Debian => "debian",
            Archive::DebianSecurity => "debian-security",
        }
    }
}

/// A suite and the archive it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Such as `bookworm-updates`.
    pub name: String,
    /// Where its `dists` directory is.
    pub archive: Archive,
}

/// A release of Debian: `debian:bookworm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    codename: String,
}

/// Why a text does not name a distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DistributionError {
    /// Not `debian:` and a code name.
    #[error("`{0}` is no distribution: expected `debian:` and a code name, such as `debian:bookworm`")]
    Form(String),
    /// A name whose meaning changes with time.
    #[error("`debian:{0}` means another release every two years: name the release by its code name")]
    Moving(String),
}

impl std::str::FromStr for Distribution {
    type Err = DistributionError;

    fn from_str(text: &str) -> Result<Self, DistributionError> {
        let codename = text.strip_prefix("debian:").filter(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
        match codename {
            None => Err(DistributionError::Form(text.to_owned())),
            Some(moving @ ("stable" | "oldstable" | "oldoldstable" | "testing")) => {
                Err(DistributionError::Moving(moving.to_owned()))
            }
            Some(codename) => Ok(Distribution { codename: codename.to_owned() }),
        }
    }
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "debian:{}", self.codename)
    }
}

impl Distribution {
    /// Such as `bookworm`.
    pub fn codename(&self) -> &str {
        &self.codename
    }

    /// The suite of that name, in the archive that has it.
    pub fn suite(&self, name: &str) -> Suite {
        let archive = if name.ends_with("-security") { Archive::DebianSecurity } else { Archive::Debian };
        Suite { name: name.to_owned(), archive }
    }

    /// The suites that make up the release: itself, its updates and its security fixes.
    pub fn suites(&self) -> Vec<Suite> {
        let suite = |suffix: &str| self.suite(&format!("{}{suffix}", self.codename));
        match self.codename.as_str() {
            // These are never released, so nothing is added to them.
            "sid" | "unstable" | "experimental" => vec![suite("")],
            _ => vec![suite(""), suite("-updates"), suite("-security")],
        }
    }
}

/// What Debian itself tells everybody to use when nothing else is known.
const DEFAULT_HOST: &str = "http://deb.debian.org";
/// Debian's archive of every past state.
const SNAPSHOT: &str = "https://snapshot.debian.org/archive";

/// Base URLs of both archives, those to try first at the front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    debian: Vec<String>,
    security: Vec<String>,
    snapshots: Vec<String>,
}

impl Default for Mirrors {
    fn default() -> Self {
        Mirrors {
            debian: vec![format!("{DEFAULT_HOST}/debian")],
            security: vec![format!("{DEFAULT_HOST}/debian-security")],
            snapshots: vec![SNAPSHOT.to_owned()],
        }
    }
}

impl Mirrors {
    /// Only the mirrors given; none of them is added to by default ones.
    pub fn only(debian: Vec<String>, security: Vec<String>, snapshots: Vec<String>) -> Self {
        let trimmed =
            |urls: Vec<String>| urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        Mirrors { debian: trimmed(debian), security: trimmed(security), snapshots: trimmed(snapshots) }
    }

    /// Tries the mirrors of this machine's apt before those already here.
    pub fn prefer_apt(&mut self, sources: &[AptSource]) {
        let of = |archive| {
            let sources = sources.iter().filter(move |source| source.archive() == Some(archive));
            sources
                .flat_map(|source| &source.uris)
                .filter(|uri| is_http(uri))
                .map(|uri| uri.trim_end_matches('/'))
        };
        prefer(&mut self.debian, of(Archive::Debian));
        prefer(&mut self.security, of(Archive::DebianSecurity));
    }

    /// Tries the mirror `base` of the main archive before all others, and beside one called `…/debian` also
    /// `…/debian-security`, as mirrors usually have it.
    pub fn prefer_url(&mut self, base: &str) {
        let base = base.trim_end_matches('/');
        prefer(&mut self.debian, [base].into_iter());
        if base.ends_with("/debian") {
            prefer(&mut self.security, [format!("{base}-security").as_str()].into_iter());
        }
    }

    /// Looks for what has left the mirrors in the archive of snapshots at `base`, and in no other. Below it, a state
    /// is at `debian/DATE` or `debian-security/DATE`, with dates as in `20260711T101637Z`.
    pub fn use_snapshots(&mut self, base: &str) {
        self.snapshots = vec![base.trim_end_matches('/').to_owned()];
    }

    /// The URLs at which `path` of an archive may be found, in the order in which to try them.
    pub fn urls(&self, archive: Archive, path: &str) -> Vec<String> {
        let bases = match archive {
            Archive::Debian => &self.debian,
            Archive::DebianSecurity => &self.security,
        };
        bases.iter().map(|base| format!("{base}/{}", escape(path))).collect()
    }

    /// The URLs at which `path` may still be found after it left an archive whose state of `date` had it.
    pub fn snapshot_urls(&self, archive: Archive, date: Timestamp, path: &str) -> Vec<String> {
        // A snapshot is taken some hours after the state it shows, and one asked for by date is the last before.
        const LATER: u64 = 12 * 3600;
        let dates = [date.plus(LATER), date];
        self.snapshots
            .iter()
            .flat_map(|base| {
                dates.map(|date| format!("{base}/{}/{}/{}", archive.as_str(), date.compact(), escape(path)))
            })
            .collect()
    }
}

/// Puts `urls` at the front, each once.
fn prefer<'a>(known: &mut Vec<String>, urls: impl Iterator<Item = &'a str>) {
    let mut all: Vec<String> = Vec::new();
    for url in urls.map(str::to_owned).chain(std::mem::take(known)) {
        if !all.contains(&url) {
            all.push(url);
        }
    }
    *known = all;
}

fn is_http(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

/// Escapes what may be in the path of a package but not everywhere in a URL.
fn escape(path: &str) -> String {
    path.replace('%', "%25").replace('+', "%2b").replace('~', "%7e").replace(' ', "%20").replace('#', "%23")
}

/// One entry of apt's configuration of sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AptSource {
    /// `deb`, `deb-src`.
    pub types: Vec<String>,
    /// Base URLs.
    pub uris: Vec<String>,
    /// Suites.
    pub suites: Vec<String>,
    /// Components.
    pub components: Vec<String>,
    /// The keyring the source is verified with, or the key itself.
    pub signed_by: Option<String>,
    /// Whether it is switched on.
    pub enabled: bool,
}

impl AptSource {
    /// The archive of Debian this is a mirror of; none if it seems to be something else.
    ///
    /// Told by suites, components and keyring, since a mirror may have any URL.
    pub fn archive(&self) -> Option<Archive> {
        let mut archives = self.suites.iter().map(|suite| archive_of_suite(suite));
        let first = archives.next()??;
        let is_debian = self.enabled
            && self.types.iter().any(|kind| kind == "deb")
            && self.components.iter().any(|component| component == "main")
            && self.signed_by.as_ref().is_none_or(|keyring| keyring.contains("debian-archive"))
            && archives.all(|archive| archive == Some(first));
        is_debian.then_some(first)
    }
}

fn archive_of_suite(suite: &str) -> Option<Archive> {
    const NAMES: [&str; 14] = [
        "buster",
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
        "sid",
        "unstable",
        "experimental",
        "testing",
        "stable",
        "oldstable",
        "oldoldstable",
        "rc-buggy",
    ];
    let (base, archive) = match suite.strip_suffix("-security").or_else(|| suite.strip_suffix("/updates")) {
        Some(base) => (base, Archive::DebianSecurity),
        None => (suite, Archive::Debian),
    };
    let base = ["-updates", "-proposed-updates", "-backports", "-backports-sloppy"]
        .iter()
        .find_map(|suffix| base.strip_suffix(suffix))
        .unwrap_or(base);
    NAMES.contains(&base).then_some(archive)
}

/// Reads a `.list` file: `deb [signed-by=…] http://… bookworm main`.
///
/// Lines that cannot be read are skipped: they are apt's to complain about, and only a mirror is sought here.
pub fn parse_sources_list(text: &str) -> Vec<AptSource> {
    text.lines().filter_map(parse_one_line).collect()
}

fn parse_one_line(line: &str) -> Option<AptSource> {
    let line = line.split('#').next()?.trim_ascii();
    let (kind, rest) = line.split_once([' ', '\t'])?;
    let rest = rest.trim_ascii_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_ascii_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    Some(AptSource {
        types: vec![kind.to_owned()],
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: signed_by.map(str::to_owned),
        enabled: true,
    })
}

/// Reads a `.sources` file. A file that cannot be read has no sources, see [`parse_sources_list`].
pub fn parse_sources(text: &str) -> Vec<AptSource> {
    let words = |value: Option<&str>| -> Vec<String> {
        // Comments may stand between the lines of a value.
        let lines = value.map(|value| deb822::lines(value).collect::<Vec<_>>().join(" "));
        lines.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
    };
    let paragraphs = deb822::paragraphs(text).unwrap_or_default();
    paragraphs
        .iter()
        .map(|paragraph| AptSource {
            types: words(paragraph.get("Types")),
            uris: words(paragraph.get("URIs")),
            suites: words(paragraph.get("Suites")),
            components: words(paragraph.get("Components")),
            signed_by: paragraph.get("Signed-By").map(str::to_owned),
            enabled: paragraph
                .get("Enabled")
                .is_none_or(|value| !matches!(value, "no" | "false" | "off" | "0")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: &str = "Types: deb\n# http://old.example/x\nURIs: http://mirror.example/debian/\n\
        Suites: bookworm bookworm-updates\nComponents: main\n\
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
        Types: deb deb-src\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n\n\
        Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n\n\
        Types: deb\nURIs: http://node.example/x\nSuites: nodistro\nComponents: main\nSigned-By: /usr/share/keyrings/node.gpg\n";

    const LIST: &str = "# comment\ndeb http://one.example/debian/ bookworm main contrib # more\n\
        deb-src http://source.example/debian bookworm main\n\
        deb [arch=amd64 signed-by=/usr/share/keyrings/pi.gpg] http://pi.example/debian bookworm main\n\
        deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] file:/srv/debian bookworm main\n\
        deb https://two.example/debian-security bookworm-security main\ndeb\ndeb [x\n";

    #[track_caller]
    fn check(sources: &[AptSource], archive: Archive, expected: &[&str]) {
        let mut mirrors =
            Mirrors::only(vec!["http://last/debian".into()], vec!["http://last/security/".into()], vec![]);
        mirrors.prefer_apt(sources);
        assert_eq!(mirrors.urls(archive, "p"), expected);
    }

    #[test]
    fn mirrors_of_apt_come_first() {
        let sources = parse_sources(SOURCES);
        check(&sources, Archive::Debian, &["http://mirror.example/debian/p", "http://last/debian/p"]);
        check(
            &sources,
            Archive::DebianSecurity,
            &["http://mirror.example/security/p", "http://last/security/p"],
        );
    }

    #[test]
    fn one_line_sources() {
        let sources = parse_sources_list(LIST);
        assert_eq!(sources.len(), 5);
        check(&sources, Archive::Debian, &["http://one.example/debian/p", "http://last/debian/p"]);
        check(
            &sources,
            Archive::DebianSecurity,
            &["https://two.example/debian-security/p", "http://last/security/p"],
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_has_no_sources() {
        assert_eq!(parse_sources("no colon"), []);
        assert_eq!(parse_sources(LIST), []);
    }

    #[test]
    fn a_mirror_given_comes_before_all() {
        let mut mirrors = Mirrors::default();
        mirrors.prefer_url("http://here.example/debian/");
        assert_eq!(mirrors.urls(Archive::Debian, "p")[0], "http://here.example/debian/p");
        assert_eq!(mirrors.urls(Archive::DebianSecurity, "p")[0], "http://here.example/debian-security/p");
        mirrors.prefer_url("http://other.example/x");
        assert_eq!(mirrors.urls(Archive::DebianSecurity, "p").len(), 2);
    }

    #[test]
    fn snapshots_are_asked_for_by_date() {
        let mirrors = Mirrors::only(vec![], vec![], vec!["http://snap.example/archive/".into()]);
        let date = "2026-07-11T10:16:37Z".parse().unwrap();
        assert_eq!(
            mirrors.snapshot_urls(Archive::Debian, date, "pool/b/bash_5.2+b7~x.deb"),
            [
                "http://snap.example/archive/debian/20260711T221637Z/pool/b/bash_5.2%2bb7%7ex.deb",
                "http://snap.example/archive/debian/20260711T101637Z/pool/b/bash_5.2%2bb7%7ex.deb",
            ]
        );
        let mut mirrors = Mirrors::default();
        mirrors.use_snapshots("http://own.example/");
        let urls = mirrors.snapshot_urls(Archive::DebianSecurity, date, "p");
        assert_eq!(urls.len(), 2);
        assert_eq!(urls[1], "http://own.example/debian-security/20260711T101637Z/p");
    }

    #[test]
    fn distributions() {
        let suites = |text: &str| match text.parse::<Distribution>() {
            Ok(distribution) => {
                let names = distribution.suites().into_iter().map(|suite| suite.name);
                names.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(suites("debian:bookworm"), "bookworm bookworm-updates bookworm-security");
        assert_eq!(suites("debian:sid"), "sid");
        assert!(suites("debian:stable").contains("every two years"));
        for text in ["", "debian", "debian:", "ubuntu:noble", "debian:../x", "bookworm"] {
            assert!(suites(text).contains("expected `debian:`"), "{text}");
        }
    }
}
