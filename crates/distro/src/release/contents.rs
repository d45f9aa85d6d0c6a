//! What a `Release` file says, and whether it is what was asked for and may be used now.

use std::collections::BTreeMap;

use super::cleartext::CLOCK_TOLERANCE;
use crate::deb822::{self, Deb822Error};
use crate::digest::Sha256;
use crate::timestamp::Timestamp;

/// How much older a release may be than one that was used before, in seconds: as long as those of Debian's that say so are valid.
const MOST_BEHIND: u64 = 7 * 86_400;

/// The table of contents of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The suite, such as `oldstable-security`; moves with time.
    pub suite: String,
    /// The code name, such as `bookworm-security`; does not.
    pub codename: String,
    /// When it was made.
    pub date: Timestamp,
    /// Until when it may be used; point releases have no such limit.
    pub valid_until: Option<Timestamp>,
    /// Architectures, `all` among them.
    pub architectures: Vec<String>,
    /// Components, such as `main`.
    pub components: Vec<String>,
    /// Whether indexes can be had under their hash, where an update of the archive does not change them.
    pub by_hash: bool,
    /// Whether packages for all architectures are in a file of their own and only there.
    pub separate_all: bool,
    /// How much its packages are preferred to those of other suites where nothing else is said, as apt_preferences(5)
    /// has it: 500, or 100 or 1 for what is only taken when it is named, such as backports and experimental.
    pub priority: i32,
    files: BTreeMap<String, (Sha256, u64)>,
}

/// An index that a release vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Relative to the directory of the release.
    pub path: String,
    /// Under its hash, if the archive has that.
    pub by_hash: Option<String>,
    /// Of the file as it is fetched.
    pub sha256: Sha256,
    /// Of the file as it is fetched.
    pub size: u64,
    /// Of what it decompresses to, where the release says.
    pub unpacked_size: Option<u64>,
}

/// What a release is expected to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Suite or code name.
    pub suite: String,
    /// The components wanted.
    pub components: Vec<String>,
    /// The architectures wanted.
    pub architectures: Vec<String>,
    /// The date of a release of the suite that was used before; one that is much older is refused.
    pub known: Option<Timestamp>,
}

/// How old a release may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Within its `Valid-Until`, not from the future, and not more than a week older than one that is known: so far mirrors
    /// may be behind each other, and releases of stable have no `Valid-Until`.
    #[default]
    Required,
    /// However old, and whatever this machine's clock says. **What it risks:** somebody between this machine
    /// and the mirror can show a state from months ago, in which known security holes are not fixed yet, and
    /// its signature is good. Meant for snapshot archives, whose every state is an old one.
    IgnoreDates,
}

/// Why a release is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It is not a paragraph.
    #[error("could not read the release")]
    Syntax(#[from] Deb822Error),
    /// A field that is needed and not there, or cannot be read.
    #[error("the field `{field}` is missing or malformed")]
    Field {
        /// Its name.
        field: &'static str,
    },
    /// A line of the list of files that cannot be read.
    #[error("the list of files has the malformed line `{0}`")]
    File(String),
    /// Another suite than the one asked for.
    #[error("asked for `{asked}`, the mirror has `{codename}` (`{suite}`) there")]
    OtherSuite {
        /// What was asked for.
        asked: String,
        /// What it is.
        codename: String,
        /// What it is.
        suite: String,
    },
    /// A component or architecture the suite does not have.
    #[error("`{suite}` has no {what} `{asked}`, only {}", .known.join(", "))]
    Lacks {
        /// The suite asked for.
        suite: String,
        /// "component" or "architecture".
        what: &'static str,
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Its time is over.
    #[error("`{suite}` was valid until {valid_until}, it is {now}")]
    Expired {
        /// The suite asked for.
        suite: String,
        /// What the release says.
        valid_until: Timestamp,
        /// What the caller says.
        now: Timestamp,
    },
    /// A newer one was used before.
    #[error("`{suite}` is dated {date}, and one of {known} was used before")]
    Older {
        /// The suite asked for.
        suite: String,
        /// What the release says.
        date: Timestamp,
        /// What the caller says.
        known: Timestamp,
    },
    /// Its time has not come.
    #[error("`{suite}` is dated {date}, it is {now}")]
    FromTheFuture {
        /// The suite asked for.
        suite: String,
        /// What the release says.
        date: Timestamp,
        /// What the caller says.
        now: Timestamp,
    },
}

impl ReleaseError {
    /// What the reader can do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            ReleaseError::Expired { .. } | ReleaseError::Older { .. } => Some(
                "the mirror is stale or replays an old state; try another one. With `--ignore-dates` it is used nevertheless, \
                 and security fixes may be missing",
            ),
            ReleaseError::FromTheFuture { .. } => Some("check the clock of this machine"),
            ReleaseError::OtherSuite { .. } => Some("name a release by its code name"),
            _ => None,
        }
    }
}

impl Release {
    /// Reads the text that was signed.
    pub fn parse(text: &str) -> Result<Release, ReleaseError> {
        let paragraph = deb822::single(text)?;
        let field = |field: &'static str| paragraph.get(field).ok_or(ReleaseError::Field { field });
        let date = |name: &'static str, value: &str| {
            Timestamp::parse_release(value).map_err(|_| ReleaseError::Field { field: name })
        };
        let words = |value: &str| value.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let architectures = words(field("Architectures")?);
        let says_yes = |field| paragraph.get(field) == Some("yes");
        let all_is_elsewhere = |value: &str| value.split_ascii_whitespace().any(|word| word == "Packages");
        Ok(Release {
            suite: paragraph.get("Suite").unwrap_or_default().to_owned(),
            codename: field("Codename")?.to_owned(),
            date: date("Date", field("Date")?)?,
            valid_until: paragraph.get("Valid-Until").map(|value| date("Valid-Until", value)).transpose()?,
            components: words(field("Components")?),
            by_hash: says_yes("Acquire-By-Hash"),
            priority: match (says_yes("NotAutomatic"), says_yes("ButAutomaticUpgrades")) {
                (false, _) => 500,
                (true, true) => 100,
                (true, false) => 1,
            },
            separate_all: architectures.iter().any(|architecture| architecture == "all")
                && !paragraph.get("No-Support-for-Architecture-all").is_some_and(all_is_elsewhere),
            architectures,
            files: files(field("SHA256")?)?,
        })
    }

    /// Checks that this is what was asked for, and that it may be used at `now`.
    pub fn check(&self, asked: &Asked, now: Timestamp, freshness: Freshness) -> Result<(), ReleaseError> {
        let suite = || asked.suite.clone();
        if asked.suite != self.codename && asked.suite != self.suite {
            let (codename, suite) = (self.codename.clone(), self.suite.clone());
            return Err(ReleaseError::OtherSuite { asked: asked.suite.clone(), codename, suite });
        }
        for component in &asked.components {
            if !self.components.iter().any(|known| component_name(known) == component) {
                let known = self.components.iter().map(|known| component_name(known).to_owned()).collect();
                let asked = component.clone();
                return Err(ReleaseError::Lacks { suite: suite(), what: "component", asked, known });
            }
        }
        for architecture in &asked.architectures {
            if !self.architectures.contains(architecture) {
                let known = self.architectures.iter().filter(|known| *known != "all").cloned().collect();
                let asked = architecture.clone();
                return Err(ReleaseError::Lacks { suite: suite(), what: "architecture", asked, known });
            }
        }
        if freshness == Freshness::IgnoreDates {
            return Ok(());
        }
        if self.date > now.plus(CLOCK_TOLERANCE) {
            return Err(ReleaseError::FromTheFuture { suite: suite(), date: self.date, now });
        }
        if let Some(known) = asked.known.filter(|known| self.date.plus(MOST_BEHIND) < *known) {
            return Err(ReleaseError::Older { suite: suite(), date: self.date, known });
        }
        match self.valid_until {
            Some(valid_until) if now > valid_until => {
                Err(ReleaseError::Expired { suite: suite(), valid_until, now })
            }
            _ => Ok(()),
        }
    }

    /// The best compressed `Packages` file of a component and architecture; none if the release lists none.
    pub fn packages(&self, component: &str, architecture: &str) -> Option<IndexFile> {
        self.index(&format!("{component}/binary-{architecture}/"), "Packages")
    }

    /// The best compressed `Sources` file of a component; none if the release lists none.
    pub fn sources(&self, component: &str) -> Option<IndexFile> {
        self.index(&format!("{component}/source/"), "Sources")
    }

    fn index(&self, directory: &str, name: &str) -> Option<IndexFile> {
        let plain = format!("{directory}{name}");
        let unpacked_size = self.files.get(&plain).map(|(_, size)| *size);
        [".xz", ".zst", ".gz", ""].iter().find_map(|suffix| {
            let path = format!("{plain}{suffix}");
            let (sha256, size) = *self.files.get(&path)?;
            let by_hash = self.by_hash.then(|| format!("{directory}by-hash/SHA256/{sha256}"));
            Some(IndexFile { path, by_hash, sha256, size, unpacked_size })
        })
    }
}

/// Security archives call `main` `updates/main`, though its files are in `main`.
fn component_name(component: &str) -> &str {
    component.rsplit('/').next().unwrap_or(component)
}

fn files(value: &str) -> Result<BTreeMap<String, (Sha256, u64)>, ReleaseError> {
    deb822::lines(value)
        .map(|line| {
            let parse = || {
                let mut words = line.split_ascii_whitespace();
                let (sha256, size, path) = (words.next()?, words.next()?, words.next()?);
                let is_whole = words.next().is_none();
                is_whole.then_some((path.to_owned(), (sha256.parse().ok()?, size.parse().ok()?)))
            };
            parse().ok_or_else(|| ReleaseError::File(line.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Keyring, verify};
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: oldstable-security\nCodename: bookworm-security\n\
        Date: Wed, 18 Nov 2026 22:17:41 UTC\nValid-Until: Wed, 25 Nov 2026 22:17:41 UTC\nAcquire-By-Hash: yes\n\
        Architectures: amd64 arm64\nComponents: updates/main updates/contrib\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        7 main/binary-amd64/Packages\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        5 main/binary-amd64/Packages.gz\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        4 main/binary-amd64/Packages.xz\n";

    fn asked(suite: &str, component: &str, architecture: &str) -> Asked {
        Asked {
            suite: suite.into(),
            components: vec![component.into()],
            architectures: vec![architecture.into()],
            known: None,
        }
    }

    #[track_caller]
    fn check(text: &str, asked: &Asked, now: &str, freshness: Freshness, expected: &str) {
        let now = Timestamp::parse_release(now).unwrap();
        let result = Release::parse(text).and_then(|release| release.check(asked, now, freshness));
        assert_eq!(result.map_or_else(|error| error.to_string(), |()| "ok".into()), expected);
    }

    const NOW: &str = "Fri, 20 Nov 2026 00:00:00 UTC";
    const LATE: &str = "Thu, 26 Nov 2026 00:00:00 UTC";
    const EARLY: &str = "Wed, 18 Nov 2026 20:00:00 UTC";

    #[test]
    fn what_was_asked_for_is_accepted() {
        check(TEXT, &asked("bookworm-security", "main", "amd64"), NOW, Freshness::Required, "ok");
        check(TEXT, &asked("oldstable-security", "contrib", "arm64"), NOW, Freshness::Required, "ok");
    }

    #[test]
    fn another_suite_component_or_architecture_is_refused() {
        check(
            TEXT,
            &asked("bookworm", "main", "amd64"),
            NOW,
            Freshness::Required,
            "asked for `bookworm`, the mirror has `bookworm-security` (`oldstable-security`) there",
        );
        check(
            TEXT,
            &asked("bookworm-security", "man", "amd64"),
            NOW,
            Freshness::Required,
            "`bookworm-security` has no component `man`, only main, contrib",
        );
        check(
            TEXT,
            &asked("bookworm-security", "main", "x86_64"),
            NOW,
            Freshness::Required,
            "`bookworm-security` has no architecture `x86_64`, only amd64, arm64",
        );
    }

    #[test]
    fn dates_count_unless_told_otherwise() {
        let asked = asked("bookworm-security", "main", "amd64");
        check(
            TEXT,
            &asked,
            LATE,
            Freshness::Required,
            "`bookworm-security` was valid until 2026-11-25T22:17:41Z, it is 2026-11-26T00:00:00Z",
        );
        check(
            TEXT,
            &asked,
            EARLY,
            Freshness::Required,
            "`bookworm-security` is dated 2026-11-18T22:17:41Z, it is 2026-11-18T20:00:00Z",
        );
        let dated = Timestamp::parse_release("Wed, 18 Nov 2026 22:17:41 UTC").unwrap();
        for (known, expected) in [
            (dated, "ok"),
            (dated.plus(MOST_BEHIND), "ok"),
            (
                dated.plus(MOST_BEHIND + 1),
                "`bookworm-security` is dated 2026-11-18T22:17:41Z, and one of 2026-11-25T22:17:42Z was used before",
            ),
        ] {
            let asked = Asked { known: Some(known), ..asked.clone() };
            check(TEXT, &asked, NOW, Freshness::Required, expected);
            check(TEXT, &asked, NOW, Freshness::IgnoreDates, "ok");
        }
        check(TEXT, &asked, LATE, Freshness::IgnoreDates, "ok");
        check(TEXT, &asked, EARLY, Freshness::IgnoreDates, "ok");
    }

    #[test]
    fn malformed_releases_are_refused() {
        let asked = asked("bookworm-security", "main", "amd64");
        let check = |from: &str, to: &str, expected| {
            check(&TEXT.replace(from, to), &asked, NOW, Freshness::Required, expected)
        };
        check("Codename", "Cod", "the field `Codename` is missing or malformed");
        check("2026 22:17:41 UTC\nAcq", "2026\nAcq", "the field `Valid-Until` is missing or malformed");
        check("SHA256:", "MD5Sum:", "the field `SHA256` is missing or malformed");
        check(
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        7 ",
            "e3b0 7 ",
            "the list of files has the malformed line `e3b0 7 main/binary-amd64/Packages`",
        );
        check("Suite:", "\nSuite:", "could not read the release");
    }

    #[test]
    fn the_best_compressed_index_is_chosen() {
        let release = Release::parse(TEXT).unwrap();
        let file = release.packages("main", "amd64").unwrap();
        assert_eq!(
            (file.path.as_str(), file.size, file.unpacked_size),
            ("main/binary-amd64/Packages.xz", 4, Some(7))
        );
        assert_eq!(
            file.by_hash.as_deref(),
            Some(
                "main/binary-amd64/by-hash/SHA256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            )
        );
        assert_eq!(release.packages("main", "arm64"), None);
        assert_eq!(release.sources("main"), None);
    }

    #[test]
    fn what_is_not_automatic_is_preferred_less() {
        let priority = |more: &str| Release::parse(&format!("{more}{TEXT}")).unwrap().priority;
        assert_eq!(priority(""), 500);
        assert_eq!(priority("NotAutomatic: yes\n"), 1);
        assert_eq!(priority("NotAutomatic: yes\nButAutomaticUpgrades: yes\n"), 100);
        assert_eq!(priority("NotAutomatic: no\nButAutomaticUpgrades: yes\n"), 500);
    }

    /// As Debian's security archive served it on 2026-11-20.
    const REAL: &str = include_str!("testdata/bookworm-security.InRelease");

    #[test]
    fn a_real_release_is_verified_with_the_shipped_keys() {
        let now = Timestamp::parse_release(NOW).unwrap();
        let (text, signers) = verify(REAL.as_bytes(), &Keyring::debian(), now).unwrap();
        let fingerprints: Vec<&str> = signers.iter().map(|signer| signer.fingerprint.as_str()).collect();
        assert_eq!(
            fingerprints,
            ["ED541312A33F1128F10B1C6C54404762BBB6E853", "B0CAB9266E8C3929798B3EEEBDE6D2B9216EC7A8"]
        );
        let release = Release::parse(&text).unwrap();
        release.check(&asked("bookworm-security", "main", "arm64"), now, Freshness::Required).unwrap();
        assert_eq!(release.packages("main", "arm64").unwrap().unpacked_size, Some(2_519_056));
        assert!(release.by_hash && !release.separate_all);
        assert_eq!(release.sources("main").unwrap().path, "main/source/Sources.xz");
        // Keys that end in 2031 do not sign in 2036.
        let late = Timestamp::parse_release("Tue, 01 Jan 2036 00:00:00 UTC").unwrap();
        let error = verify(REAL.as_bytes(), &Keyring::debian(), late).unwrap_err();
        assert!(error.to_string().contains("is by a key that has expired"), "{error}");
    }
}
