//! Kernel modules in a layer, and the lists beside them: collected with all that they need, or refused.
#![no_main]

use std::sync::Arc;

use layer::{Layer, Tree};
use libfuzzer_sys::fuzz_target;
use mkimg::modules::collect;
use mkimg::spec::ModulesSpec;

fuzz_target!(|bytes: &[u8]| {
    let layer = Layer::new("fuzz", Arc::new(fuzz::with_tar_checksums(bytes)));
    let Ok(tree) = Tree::merge(vec![layer]) else { return };
    for name in ["ext4", "crypto-a"] {
        let spec = ModulesSpec { names: vec![name.to_owned()], ..ModulesSpec::default() };
        if let Ok(builder) = collect(&tree, &spec, 1) {
            let packed = builder.write(Vec::new()).expect("what was collected makes a layer");
            assert!(Tree::merge(vec![Layer::new("packed", Arc::new(packed))]).is_ok());
        }
    }
});
