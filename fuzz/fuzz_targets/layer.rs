//! Layers: what is accepted is merged, and squashed to a layer that is accepted again.
#![no_main]

use std::sync::Arc;

use layer::{Layer, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = fuzz::with_tar_checksums(bytes);
    let merge = |bytes| Tree::merge(vec![Layer::new("fuzz", Arc::new(bytes))]);
    if let Ok(tree) = merge(bytes) {
        for item in tree.items() {
            let _ = tree.resolve(item.path.as_bytes());
        }
        let squashed = layer::write_layer(&tree, Vec::new()).expect("a tree can be written");
        let again = merge(squashed.clone()).expect("our own layers can be read");
        assert_eq!(layer::write_layer(&again, Vec::new()).expect("a tree can be written"), squashed);
    }
});
