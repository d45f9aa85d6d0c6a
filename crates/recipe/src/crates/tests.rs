//! Crates of lock files, and manifests that stand alone.

use super::*;

const CHECKSUM_OF_CFG_IF: &str = "4e7648175b45a9a48536d676f68d918270699102aa8dab5496df06904c914600";
const LOCK: &str = r#"
version = 4

[[package]]
name = "m"
version = "0.1.0"

[[package]]
name = "a"
version = "0.3.0"
source = "git+https://a.example/x.git?branch=next%2F2#8c3f06d5169e0d9cd7569a021d9658ec40e5f974"

[[package]]
name = "b"
version = "1.0.0+deb"
source = "sparse+https://b.example/index/"
checksum = "4E7648175B45A9A48536D676F68D918270699102AA8DAB5496DF06904C914600"

[[package]]
name = "cfg-if"
version = "1.0.5"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "4e7648175b45a9a48536d676f68d918270699102aa8dab5496df06904c914600"
"#;

#[test]
fn crates_are_where_the_lock_says() {
    let lock = parse(LOCK).unwrap();
    let names: Vec<String> = lock.crates.iter().map(Crate::directory).collect();
    assert_eq!(names, ["a-0.3.0", "b-1.0.0+deb", "cfg-if-1.0.5"]);
    let checksum = CHECKSUM_OF_CFG_IF.to_owned();
    assert_eq!(lock.crates[2].origin, Origin::Registry { registry: None, checksum });
    assert_eq!(
        lock.crates[2].checksum_file(),
        format!("{{\"files\":{{}},\"package\":\"{CHECKSUM_OF_CFG_IF}\"}}\n")
    );
    assert_eq!(
        lock.config(),
        r#"[source."crates-io"]
replace-with = "locked-0"

[source.locked-0]
directory = "/build/crates/0"

[source."git+https://a.example/x.git?branch=next/2"]
git = "https://a.example/x.git"
branch = "next/2"
replace-with = "locked-1"

[source.locked-1]
directory = "/build/crates/1"

[source."sparse+https://b.example/index/"]
registry = "sparse+https://b.example/index/"
replace-with = "locked-2"

[source.locked-2]
directory = "/build/crates/2"

"#
    );
    let directories = lock.directories();
    let names =
        |directory: &str| directories[directory].iter().map(|of| of.name.as_str()).collect::<Vec<_>>();
    assert_eq!([names("0"), names("1"), names("2")], [["cfg-if"], ["a"], ["b"]]);
    let none = Lockfile::default();
    assert_eq!(none.directories()["0"], Vec::<&Crate>::new());
}

#[test]
fn old_locks_have_checksums_at_the_end() {
    let text = format!(
        r#"
[[package]]
name = "cfg-if"
version = "1.0.5"
source = "registry+https://github.com/rust-lang/crates.io-index"

[metadata]
"checksum cfg-if 1.0.5 (registry+https://github.com/rust-lang/crates.io-index)" = "{CHECKSUM_OF_CFG_IF}"
"#
    );
    let checksum = CHECKSUM_OF_CFG_IF.to_owned();
    assert_eq!(parse(&text).unwrap().crates[0].origin, Origin::Registry { registry: None, checksum });
}

#[test]
fn locks_that_cannot_be_followed_say_why() {
    let of = |fields: &str| format!("[[package]]\nname = \"x\"\nversion = \"1.0.0\"\n{fields}");
    let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    for (text, expected) in [
        ("version = ".to_owned(), "not of the form"),
        ("version = 9".to_owned(), "version 9"),
        (of(registry), "`x` has no checksum"),
        (of(&format!("{registry}checksum = \"12\"")), "`12` cannot be a SHA-256"),
        (of("source = \"registry+https://other.example/index\""), "neither a sparse registry nor a git"),
        (of("source = \"git+https://a.example/x\""), "`` cannot be a commit"),
        (
            of("source = \"git+https://a.example/x?branch=%f#8c3f06d5169e0d9cd7569a021d9658ec40e5f974\""),
            "cannot be",
        ),
        (
            "[[package]]\nname = \"../x\"\nversion = \"1\"\nsource = \"sparse+https://a/\"".to_owned(),
            "name of a crate",
        ),
        (
            "[[package]]\nname = \"x\"\nversion = \"1/2\"\nsource = \"sparse+https://a/\"".to_owned(),
            "a version",
        ),
        (
            format!(
                "[[package]]\nname = \"{}\"\nversion = \"1\"\nsource = \"sparse+https://a/\"",
                "x".repeat(256)
            ),
            "the name of a crate",
        ),
        (
            format!(
                "[[package]]\nname = \"x\"\nversion = \"{}\"\nsource = \"sparse+https://a/\"",
                "1".repeat(256)
            ),
            "a version",
        ),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn crates_of_as_many_places_are_sorted_once() {
    // Comparing each place with each crate would be 400 million comparisons.
    let of = |number: usize| Crate {
        name: format!("c{number}"),
        version: "1.0.0".to_owned(),
        origin: Origin::Registry {
            registry: Some(format!("sparse+https://r{number}.example/")),
            checksum: CHECKSUM_OF_CFG_IF.to_owned(),
        },
    };
    let lock = Lockfile { crates: (0..20_000).map(of).collect() };
    let directories = lock.directories();
    assert_eq!(directories.len(), 20_001);
    assert!(directories.values().map(Vec::len).filter(|n_crates| *n_crates == 1).count() == 20_000);
    assert!(lock.config().contains("directory = \"/build/crates/20000\""));
}

#[test]
fn what_many_targets_inherit_is_bounded() {
    let root = format!("[workspace.dependencies]\na = {{ version = \"{}\" }}\n", "1".repeat(1 << 20));
    let manifest = |n_targets: usize| {
        let target = |idx: usize| format!("[target.t{idx}.dependencies]\na.workspace = true\n");
        (0..n_targets).map(target).collect::<String>()
    };
    assert!(stand_alone(&manifest(3), &root).unwrap().len() > 3 << 20);
    assert_eq!(stand_alone(&manifest(500), &root).unwrap_err(), ManifestError::TooLarge);
}

#[test]
fn what_a_crate_inherits_is_written_out() {
    let root = r#"
[workspace]
members = ["a"]
[workspace.package]
version = "0.3.0"
edition = "2021"
[workspace.dependencies]
b = { path = "b", version = "0.3.0", features = ["one"], default-features = false }
cfg-if = "1"
[workspace.lints.rust]
unused = "allow"
"#;
    let manifest = r#"
[package]
name = "a"
version.workspace = true
edition = { workspace = true }
[dependencies]
b = { workspace = true, features = ["two"], optional = true }
[target.'cfg(unix)'.dependencies]
cfg-if.workspace = true
[lints]
workspace = true
"#;
    let alone: toml::Table = stand_alone(manifest, root).unwrap().parse().unwrap();
    let expected: toml::Table = r#"
[package]
name = "a"
version = "0.3.0"
edition = "2021"
[dependencies.b]
path = "b"
version = "0.3.0"
features = ["one", "two"]
default-features = false
optional = true
[target.'cfg(unix)'.dependencies.cfg-if]
version = "1"
[lints.rust]
unused = "allow"
"#
    .parse()
    .unwrap();
    assert_eq!(alone, expected);
    let found = package(manifest).unwrap().unwrap();
    assert_eq!(found, Package { name: "a".to_owned(), version: None, inherits: true });
    assert_eq!(package(root).unwrap(), None);
    let error = stand_alone(manifest, "[workspace]").unwrap_err();
    assert!(matches!(error, ManifestError::Absent(_)), "{error}");
    assert!(matches!(package("[package").unwrap_err(), ManifestError::Form(_)));
}
