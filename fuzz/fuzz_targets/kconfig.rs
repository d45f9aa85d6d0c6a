//! The configuration of a kernel: a `.config` and files of Kconfig that source each other, parted by zeros.
#![no_main]

use std::collections::BTreeMap;
use std::fs;

use kconfig::{Kconfig, Values, diff};
use libfuzzer_sys::fuzz_target;

/// What the files are called.
const FILES: [&str; 3] = ["Kconfig", "sub", "more"];

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == 0);
    let values = Values::parse(&String::from_utf8_lossy(parts.next().unwrap_or_default()));
    assert!(diff(&values, &values).is_empty());
    let top = std::env::temp_dir().join(format!("bootwright-fuzz-{}.kconfig", std::process::id()));
    fs::create_dir_all(&top).expect("there is room");
    for file in FILES {
        fs::write(top.join(file), parts.next().unwrap_or_default()).expect("there is room");
    }
    let variables = BTreeMap::from([("ARCH".to_owned(), "x86".to_owned())]);
    let Ok(kconfig) = Kconfig::load(&top, FILES[0], &variables) else { return };
    let names: Vec<&str> = kconfig.symbols().map(|symbol| &symbol.name[..]).take(20).collect();
    for name in names {
        let _ = kconfig.explain(&values, name, "y");
        let _ = kconfig.explain(&values, name, "n");
    }
});
