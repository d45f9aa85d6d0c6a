//! What stands in for what would be locked, and for our tools.

use std::collections::BTreeMap;

use cas::Digest;
use recipe::{LockedSet, Needs, Pin};

/// Returns a lock of all package sets, each of the package `name` alone.
pub(crate) fn packages(needs: &Needs, name: &str) -> BTreeMap<String, LockedSet> {
    let pin = Pin {
        name: name.to_owned(),
        version: "1".into(),
        arch: "amd64".into(),
        suite: "bookworm".into(),
        filename: format!("{name}.deb"),
        size: 1,
        sha256: "a".repeat(64),
        with: None,
    };
    let sets = needs.packages.iter().map(|(name, set)| {
        let pins = vec![pin.clone()];
        (name.clone(), LockedSet { request: set.request.digest(), releases: Vec::new(), pins })
    });
    sets.collect()
}

/// Returns the digests of our tools.
pub(crate) fn tools() -> BTreeMap<String, Digest> {
    let tools = ["kbuild", "mkimg", "pkgroot", "runvm"];
    tools.map(|tool| (tool.to_owned(), Digest::of(tool.as_bytes()))).into()
}
