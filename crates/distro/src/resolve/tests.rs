//! A small archive, signed here, from its `InRelease` to pins.

use std::collections::BTreeMap;
use std::io::Write;

use super::*;
use crate::release::test_key::{CREATED, TestKey};
use crate::solve::{Base, Recommends, Relations};

/// What a mirror serves, by URL.
struct Site {
    files: BTreeMap<String, Vec<u8>>,
    key: TestKey,
}

pub(super) const NOW: Timestamp = Timestamp(CREATED as u64 + 200_000);

fn package(name: &str, version: &str, more: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}Filename: pool/{name}_{version}.deb\n\
         Size: 3\nSHA256: {}\n\n",
        Sha256::of(format!("{name} {version}").as_bytes())
    )
}

impl Site {
    fn new() -> Site {
        let mut site = Site { files: BTreeMap::new(), key: TestKey::new(7) };
        let base = package("base", "1", "Essential: yes\nDepends: libc (>= 2)\n");
        site.add(
            "debian",
            "test",
            &format!("{base}{}{}", package("libc", "2", ""), package("tool", "1", "Depends: libc\n")),
        );
        site.add("debian", "test-updates", "");
        site.add("debian-security", "test-security", &package("libc", "2+sec", ""));
        site
    }

    fn add(&mut self, archive: &str, suite: &str, packages: &str) {
        self.add_saying("", archive, suite, packages);
    }

    /// Adds a suite whose release says `more`.
    fn add_saying(&mut self, more: &str, archive: &str, suite: &str, packages: &str) {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(packages.as_bytes()).unwrap();
        let xz = xz.finish().unwrap();
        let release = format!(
            "{more}Suite: {suite}\nCodename: {suite}\nDate: Thu, 01 Jan 2026 12:00:00 UTC\n\
             Valid-Until: Thu, 08 Jan 2026 12:00:00 UTC\nAcquire-By-Hash: yes\nArchitectures: amd64\n\
             Components: main\nSHA256:\n {} {} main/binary-amd64/Packages\n {} {} main/binary-amd64/Packages.xz\n",
            Sha256::of(packages.as_bytes()),
            packages.len(),
            Sha256::of(&xz),
            xz.len()
        );
        let base = format!("http://m/{archive}/dists/{suite}");
        let in_release = self.key.in_release(&release, CREATED + 50_000);
        self.files.insert(format!("{base}/InRelease"), in_release.into_bytes());
        self.files.insert(format!("{base}/main/binary-amd64/by-hash/SHA256/{}", Sha256::of(&xz)), xz);
    }

    fn resolver(&self) -> Resolver {
        let query = Query::new("debian:test".parse().unwrap(), "amd64");
        let mirrors = Mirrors::only(
            vec!["http://m/debian".into()],
            vec!["http://m/debian-security".into()],
            vec!["http://s".into()],
        );
        let keyring = Keyring::parse(self.key.public().as_bytes()).unwrap();
        Resolver::new(query, mirrors, keyring, NOW)
    }

    /// Feeds everything; the first refusal ends it.
    fn drive(&self, resolver: &mut Resolver) -> Result<Vec<Fetch>, FeedError> {
        let mut done = Vec::new();
        loop {
            let fetches = resolver.next_fetches();
            if fetches.is_empty() {
                return Ok(done);
            }
            for fetch in fetches {
                let bytes = fetch.urls.iter().find_map(|url| self.files.get(url)).unwrap();
                resolver.feed(fetch.id, bytes)?;
                done.push(fetch);
            }
        }
    }

    fn alter(&mut self, url_part: &str, alter: impl Fn(&mut Vec<u8>)) {
        let (_, bytes) = self.files.iter_mut().find(|(url, _)| url.contains(url_part)).unwrap();
        alter(bytes);
    }
}

fn request(wanted: &str) -> Request {
    Request {
        requester: "test".into(),
        wanted: vec![wanted.parse().unwrap()],
        base: Base::Essential,
        recommends: Recommends::Ignore,
        relations: Relations::Follow,
    }
}

pub(super) fn render(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", render(source)),
        None => error.to_string(),
    }
}

#[test]
fn an_archive_becomes_pins() {
    let site = Site::new();
    let mut resolver = site.resolver();
    let fetches = site.drive(&mut resolver).unwrap();
    assert_eq!(fetches[0].what, "InRelease of test");
    assert_eq!(fetches[3].what, "main/binary-amd64/Packages.xz of test");
    assert_eq!(fetches[3].urls[1], "http://m/debian/dists/test/main/binary-amd64/Packages.xz");
    let catalog = resolver.finish().unwrap();
    let resolution = catalog.resolve(&request("tool")).unwrap();
    let pins: Vec<String> = resolution
        .pins
        .iter()
        .map(|pin| format!("{}={} {}", pin.name(), pin.version(), pin.suite()))
        .collect();
    assert_eq!(pins, ["libc=2+sec test-security", "base=1 test", "tool=1 test"]);
    let libc = &resolution.pins[0];
    assert_eq!(libc.sha256(), Sha256::of(b"libc 2+sec"));
    let release = resolution.releases.iter().find(|release| release.suite == libc.suite()).unwrap();
    let mirrors = site.resolver().mirrors;
    assert_eq!(
        libc.urls(&mirrors, release),
        [
            "http://m/debian-security/pool/libc_2%2bsec.deb",
            "http://s/debian-security/20260102T000000Z/pool/libc_2%2bsec.deb",
            "http://s/debian-security/20260101T120000Z/pool/libc_2%2bsec.deb",
        ]
    );
    assert!(resolution.pins[1].essential());
}

#[test]
fn suites_that_are_not_automatic_give_what_is_asked_for_by_version() {
    let mut site = Site::new();
    let backports = [
        package("tool", "2~bpo", "Depends: libc (>= 3)\n"),
        package("libc", "3~bpo", ""),
        package("libc", "3", ""),
        package("libc", "2", ""),
        package("base", "2", "Essential: yes\n"),
        package("extra", "1", ""),
    ];
    let both = "NotAutomatic: yes\nButAutomaticUpgrades: yes\n";
    site.add_saying(both, "debian", "test-backports", &backports.concat());
    site.add_saying("NotAutomatic: yes\n", "debian", "wild", &package("extra", "2", ""));
    let query = Query {
        suites: ["wild", "test-backports", "test", "test-security"].map(str::to_owned).into(),
        ..site.resolver().query
    };
    let mirrors = site.resolver().mirrors;
    let keyring = Keyring::parse(site.key.public().as_bytes()).unwrap();
    let mut resolver = Resolver::new(query, mirrors, keyring, NOW);
    site.drive(&mut resolver).unwrap();
    let catalog = resolver.finish().unwrap();
    let resolve = |wanted: &str| -> Vec<String> {
        let pins = catalog.resolve(&request(wanted)).unwrap().pins;
        pins.iter().map(|pin| format!("{}={} {}", pin.name(), pin.version(), pin.suite())).collect()
    };
    assert_eq!(resolve("tool"), ["libc=2+sec test-security", "base=1 test", "tool=1 test"]);
    assert_eq!(resolve("tool=2~bpo"), ["libc=3 test-backports", "base=1 test", "tool=2~bpo test-backports"]);
    assert_eq!(resolve("extra")[2], "extra=1 test-backports");
    assert_eq!(resolve("extra=2")[2], "extra=2 wild");
    // It is in two suites and yet is one package, which the preferred one has.
    let versions: Vec<&str> =
        catalog.universe().named("libc").map(|id| catalog.universe().package(id).version()).collect();
    assert_eq!(versions, ["2+sec", "2", "3", "3~bpo"]);
}

#[test]
fn the_compact_form_gives_the_same() {
    let site = Site::new();
    let mut resolver = site.resolver();
    let fetches = site.drive(&mut resolver).unwrap();
    let mut again = site.resolver();
    for fetch in again.next_fetches() {
        again.feed(fetch.id, &site.files[&fetch.urls[0]]).unwrap();
    }
    for fetch in again.next_fetches() {
        let before = fetches.iter().find(|before| before.cache_key == fetch.cache_key).unwrap();
        again.feed_compact(fetch.id, &resolver.compact(before.id).unwrap()).unwrap();
    }
    let first = resolver.finish().unwrap().resolve(&request("tool")).unwrap();
    assert_eq!(again.finish().unwrap().resolve(&request("tool")).unwrap(), first);
}

#[test]
fn what_was_not_fed_is_missed() {
    let site = Site::new();
    let mut resolver = site.resolver();
    assert_eq!(site.resolver().finish().unwrap_err().to_string(), "InRelease of test is missing");
    for fetch in resolver.next_fetches() {
        resolver.feed(fetch.id, &site.files[&fetch.urls[0]]).unwrap();
    }
    assert_eq!(
        resolver.finish().unwrap_err().to_string(),
        "main/binary-amd64/Packages.xz of test is missing"
    );
}

#[track_caller]
fn check_refused(url_part: &str, alter: impl Fn(&mut Vec<u8>), expected: &str) {
    let mut site = Site::new();
    let good = Site::new();
    site.alter(url_part, alter);
    let mut resolver = site.resolver();
    let error = site.drive(&mut resolver).unwrap_err();
    assert!(render(&error).contains(expected), "{}", render(&error));
    // Another mirror has the right file: what was refused did no harm.
    for fetch in (0..resolver.needs.len()).map(|idx| resolver.fetch(FetchId(idx))).collect::<Vec<_>>() {
        resolver.feed(fetch.id, &good.files[&fetch.urls[0]]).unwrap();
    }
}

#[test]
fn altered_and_replaced_files_are_refused() {
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    check_refused("security/InRelease", flip, "the release of `test-security` cannot be trusted: ");
    check_refused("test/main/binary-amd64/by-hash", flip, "main/binary-amd64/Packages.xz of test is ");
    check_refused("test/main/binary-amd64/by-hash", |bytes| bytes.push(0), "the signed release says");
    check_refused("test/main/binary-amd64/by-hash", |bytes| bytes.truncate(20), "the signed release says");
    check_refused("test/InRelease", |bytes| *bytes = b"<html>login</html>".to_vec(), "not a signed message");
    let other = Site::new().files["http://m/debian/dists/test/InRelease"].clone();
    check_refused(
        "test-updates/InRelease",
        |bytes| *bytes = other.clone(),
        "the release of `test-updates` cannot be used: asked for `test-updates`, the mirror has `test`",
    );
}

#[test]
fn an_old_release_is_refused_unless_dates_are_ignored() {
    let site = Site::new();
    let late = Timestamp(NOW.0 + 30 * 86_400);
    let mut resolver = Resolver { now: late, ..site.resolver() };
    let error = site.drive(&mut resolver).unwrap_err();
    assert!(render(&error).contains("was valid until 2026-01-08T12:00:00Z"), "{}", render(&error));
    assert!(error.help().unwrap().contains("security fixes may be missing"));
    let known = [((Archive::Debian, "test".to_owned()), late)].into();
    let query = Query { known, ..site.resolver().query };
    let error = site.drive(&mut Resolver { query, ..site.resolver() }).unwrap_err();
    assert!(
        render(&error).contains("`test` is dated 2026-01-01T12:00:00Z, and one of"),
        "{}",
        render(&error)
    );
    assert!(error.help().unwrap().contains("--ignore-dates"));
    let query = Query { freshness: Freshness::IgnoreDates, ..site.resolver().query };
    let mut resolver = Resolver { now: late, query, ..site.resolver() };
    site.drive(&mut resolver).unwrap();
}

#[test]
fn an_index_that_unpacks_to_more_than_the_release_says_is_refused() {
    let mut site = Site::new();
    let big = "Package: x\n".repeat(100);
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(big.as_bytes()).unwrap();
    let xz = xz.finish().unwrap();
    let release = format!(
        "Codename: test\nDate: Thu, 01 Jan 2026 12:00:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n \
         {0} 7 main/binary-amd64/Packages\n {0} {1} main/binary-amd64/Packages.xz\n",
        Sha256::of(&xz),
        xz.len()
    );
    let in_release = site.key.in_release(&release, CREATED + 50_000).into_bytes();
    site.alter("test/InRelease", |bytes| *bytes = in_release.clone());
    site.files.insert("http://m/debian/dists/test/main/binary-amd64/Packages.xz".into(), xz);
    let error = site.drive(&mut site.resolver()).unwrap_err();
    assert_eq!(
        render(&error),
        "could not unpack main/binary-amd64/Packages.xz of test: it unpacks to more than 7 bytes"
    );
}

#[test]
fn foreign_architectures_come_from_the_request() {
    let request = request("tool:arm64");
    let query = Query::new("debian:test".parse().unwrap(), "amd64").for_request(&request);
    assert_eq!(query.foreign.into_iter().collect::<Vec<_>>(), ["arm64"]);
}
