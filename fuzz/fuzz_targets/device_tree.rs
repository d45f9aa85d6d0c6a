//! Flattened device trees from anywhere: read, shown, and written again, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tree) = fdt::Tree::parse(bytes) else { return };
    let _ = tree.to_dts();
    let Ok(written) = tree.write() else { return };
    assert_eq!(fdt::Tree::parse(&written).ok(), Some(tree));
});
