//! Debian's package indexes, and the relations in them.
#![no_main]

use distro::depends;
use distro::packages::Index;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(index) = Index::parse(text.to_owned()) else { return };
    assert_eq!(index.packages().count(), index.len());
    for package in index.packages() {
        for field in [package.pre_depends(), package.depends(), package.conflicts(), package.provides()] {
            for relation in depends::parse(field).into_iter().flatten().flatten() {
                let _ = relation.applies_to(package.architecture());
            }
        }
    }
    let compact = Index::parse(index.compact()).expect("our own text is an index");
    assert_eq!(compact.len(), index.len());
});
