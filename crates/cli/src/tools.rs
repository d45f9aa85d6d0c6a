//! The embedded tools, as inputs of actions.

use std::collections::BTreeMap;

use cas::{Digest, Store, StoreError};

/// Each tool and its executable, linked statically.
const TOOLS: &[(&str, &[u8])] = &[
    ("kbuild", include_bytes!(concat!(env!("OUT_DIR"), "/kbuild"))),
    ("mkimg", include_bytes!(concat!(env!("OUT_DIR"), "/mkimg"))),
    ("pkgroot", include_bytes!(concat!(env!("OUT_DIR"), "/pkgroot"))),
    ("runvm", include_bytes!(concat!(env!("OUT_DIR"), "/runvm"))),
];

/// The digest of each tool, computed when `bootwright` was built.
const DIGESTS: &str = include_str!(concat!(env!("OUT_DIR"), "/digests"));

/// Returns the digest of each tool by name; afterwards all of them are in `store`.
pub(crate) fn provide(store: &dyn Store) -> Result<BTreeMap<String, Digest>, StoreError> {
    let mut digests = BTreeMap::new();
    for ((name, bytes), text) in TOOLS.iter().zip(DIGESTS.lines()) {
        let digest: Digest = text.parse().expect("build.rs wrote a digest a line, in the order of TOOLS");
        if !store.contains(&digest)? {
            store.write(bytes)?;
        }
        digests.insert((*name).to_owned(), digest);
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_digests_are_those_of_the_bytes() {
        let store = cas::MemoryStore::default();
        let digests = provide(&store).unwrap();
        for (name, bytes) in TOOLS {
            assert_eq!(digests[*name], Digest::of(bytes), "{name}");
        }
    }
}
