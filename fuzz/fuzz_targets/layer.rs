//! Layers: what is accepted is merged, and squashed to a layer again.
#![no_main]

use std::sync::Arc;

use layer::{Layer, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let layer = Layer::new("fuzz", Arc::new(bytes.to_vec()));
    if let Ok(tree) = Tree::merge(vec![layer]) {
        let _ = layer::write_layer(&tree, Vec::new());
    }
});
