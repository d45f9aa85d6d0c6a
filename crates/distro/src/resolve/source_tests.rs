//! A small archive of sources, signed here, from its `InRelease` to pins.

use super::tests::{NOW, render};
use super::*;
use crate::release::test_key::{CREATED, TestKey};

/// Suites by name, each with the text of its `Sources`.
struct Archive(Vec<(&'static str, String)>);

fn source(name: &str, version: &str, binaries: &str) -> String {
    let files: String = [format!("{name}_{version}.tar.xz"), format!("{name}_{version}.dsc")]
        .iter()
        .map(|file| format!("\n {} 7 {file}", Sha256::of(file.as_bytes())))
        .collect();
    format!(
        "Package: {name}\nBinary: {binaries}\nVersion: {version}\nFiles:\n d41d 7 x\nChecksums-Sha256:{files}\n\
         Directory: pool/main/{name}\n\n"
    )
}

fn archive() -> Archive {
    let base = format!(
        "{}{}{}",
        source("glibc", "2.36-9", "libc6, libc6-dev,\n locales"),
        source("hello", "2.10", "hello"),
        source("hello", "2.9", "hello")
    );
    Archive(vec![
        ("test", base),
        ("test-updates", source("hello", "2.10", "hello")),
        ("test-security", source("glibc", "2.36-9+deb1", "libc6")),
    ])
}

impl Archive {
    fn catalog(&self) -> Result<SourceCatalog, FeedError> {
        self.catalog_of("")
    }

    /// Reads the archive when the release of the last suite says `more`.
    fn catalog_of(&self, more: &str) -> Result<SourceCatalog, FeedError> {
        let key = TestKey::new(9);
        let keyring = Keyring::parse(key.public().as_bytes()).unwrap();
        let query = Query::sources("debian:test".parse().unwrap());
        let mirrors = Mirrors::only(vec!["http://m/debian".into()], vec!["http://m/security".into()], vec![]);
        let mut resolver = Resolver::new(query, mirrors, keyring, NOW);
        let mut compact = Vec::new();
        for round in 0..2 {
            let fetches = resolver.next_fetches();
            assert_eq!(fetches.len(), 3);
            for (fetch, (suite, text)) in fetches.iter().zip(&self.0) {
                let more = if *suite == self.0[2].0 { more } else { "" };
                let release = format!(
                    "{more}Codename: {suite}\nDate: Thu, 01 Jan 2026 12:00:00 UTC\nArchitectures: amd64\nComponents: main\n\
                     Acquire-By-Hash: yes\nSHA256:\n {} {} main/source/Sources\n",
                    Sha256::of(text.as_bytes()),
                    text.len()
                );
                if round == 0 {
                    resolver.feed(fetch.id, key.in_release(&release, CREATED + 50_000).as_bytes())?;
                    continue;
                }
                let by_hash = format!("main/source/by-hash/SHA256/{}", Sha256::of(text.as_bytes()));
                assert!(fetch.urls[0].ends_with(&by_hash), "{:?}", fetch.urls);
                assert!(fetch.cache_key.as_ref().unwrap().starts_with("sources-"));
                resolver.feed(fetch.id, text.as_bytes())?;
                compact.push((fetch.id, resolver.compact(fetch.id).unwrap()));
            }
        }
        assert_eq!(resolver.next_fetches(), []);
        // What the cache has reads the same.
        for (id, bytes) in compact {
            resolver.feed_compact(id, &bytes)?;
        }
        Ok(resolver.finish_sources().unwrap())
    }
}

#[track_caller]
fn check(name: &str, version: Option<&str>, expected: &str) {
    let rendered = match archive().catalog().unwrap().resolve(name, version) {
        Ok(pin) => {
            let files: Vec<&str> = pin.files.iter().map(|file| file.filename.as_str()).collect();
            format!("{} {} of {}: {}", pin.name, pin.version, pin.release.suite, files.join(" "))
        }
        Err(error) => match error.help() {
            Some(help) => format!("{error}; {help}"),
            None => error.to_string(),
        },
    };
    assert_eq!(rendered, expected);
}

#[test]
fn the_newest_version_of_all_suites_is_chosen() {
    check(
        "glibc",
        None,
        "glibc 2.36-9+deb1 of test-security: pool/main/glibc/glibc_2.36-9+deb1.dsc \
         pool/main/glibc/glibc_2.36-9+deb1.tar.xz",
    );
    check(
        "hello",
        None,
        "hello 2.10 of test: pool/main/hello/hello_2.10.dsc pool/main/hello/hello_2.10.tar.xz",
    );
}

#[test]
fn a_version_can_be_named() {
    check(
        "glibc",
        Some("2.36-9"),
        "glibc 2.36-9 of test: pool/main/glibc/glibc_2.36-9.dsc pool/main/glibc/glibc_2.36-9.tar.xz",
    );
    check(
        "hello",
        Some("3"),
        "`debian:test` has no version 3 of the source package `hello`; it has 2.10, 2.9",
    );
}

#[test]
fn an_unknown_name_gets_help() {
    check("libc6", None, "`debian:test` has no source package `libc6`; `libc6` is built by source `glibc`");
    check("helo", None, "`debian:test` has no source package `helo`; did you mean `hello`?");
    check("entirely-different", None, "`debian:test` has no source package `entirely-different`");
}

#[test]
fn what_could_do_harm_is_not_pinned() {
    let check = |from: &str, to: &str, expected: &str| {
        let archive =
            Archive(archive().0.into_iter().map(|(suite, text)| (suite, text.replace(from, to))).collect());
        let error = archive.catalog().unwrap().resolve("hello", None).unwrap_err();
        assert_eq!(error.to_string(), format!("package `hello` cannot be pinned: its {expected}"));
    };
    check("pool/main/hello", "../hello", "file name is `../hello/hello_2.10.tar.xz`");
    check("hello_2.10.tar.xz", "../x.tar.xz", "file name is `pool/main/hello/../x.tar.xz`");
    check("hello_2.10.dsc", "hello_2.10.txt", "list of files is `one without a .dsc`");
    check(" 7 hello_2.10.dsc", " many hello_2.10.dsc", "size of a file is `many`");
    check("Version: 2.10", "Version: 2/10", "version is `2/10`");
}

#[test]
fn an_altered_index_is_refused() {
    let mut resolver = {
        let query = Query::sources("debian:test".parse().unwrap());
        let key = TestKey::new(9);
        let keyring = Keyring::parse(key.public().as_bytes()).unwrap();
        let mirrors = Mirrors::only(vec!["http://m/debian".into()], vec![], vec![]);
        let mut resolver = Resolver::new(query, mirrors, keyring, NOW);
        let fetches = resolver.next_fetches();
        let release = "Codename: test\nDate: Thu, 01 Jan 2026 12:00:00 UTC\nArchitectures: amd64\nComponents: main\n\
            SHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/source/Sources.xz\n";
        resolver.feed(fetches[0].id, key.in_release(release, CREATED + 50_000).as_bytes()).unwrap();
        let without = release.replace("main/source/Sources.xz", "main/x").replace("test", "test-updates");
        let error = resolver.feed(fetches[1].id, key.in_release(&without, CREATED + 50_000).as_bytes());
        assert_eq!(render(&error.unwrap_err()), "the release of `test-updates` lists no sources of `main`");
        resolver
    };
    let fetch = resolver.next_fetches().remove(0);
    assert_eq!(fetch.what, "main/source/Sources.xz of test");
    let error = render(&resolver.feed(fetch.id, b"x").unwrap_err());
    assert!(error.contains("the signed release says"), "{error}");
}

#[test]
fn what_is_not_automatic_is_taken_by_its_version_only() {
    let catalog = archive().catalog_of("NotAutomatic: yes\n").unwrap();
    assert_eq!(catalog.resolve("glibc", None).unwrap().version, "2.36-9");
    assert_eq!(catalog.resolve("glibc", Some("2.36-9+deb1")).unwrap().release.suite, "test-security");
}
