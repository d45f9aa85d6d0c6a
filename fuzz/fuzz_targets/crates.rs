//! `Cargo.lock` and the manifests of crates: what is understood is written as TOML that is understood, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recipe::crates::{is_workspace, package, parse, registry, stand_alone, version_of_workspace};

fuzz_target!(|text: &str| {
    if let Ok(lock) = parse(text) {
        assert!(lock.config().parse::<toml::Table>().is_ok());
        for one in &lock.crates {
            assert!(!one.directory().contains(['/', '\0']));
            assert!(serde_json::from_str::<serde_json::Value>(&one.checksum_file()).is_ok());
        }
    }
    let _ = (package(text), is_workspace(text), version_of_workspace(text));
    if let Ok(whole) = stand_alone(text, text) {
        assert!(whole.parse::<toml::Table>().is_ok());
    }
    let _ = registry::index(None, Some(text));
    let _ = registry::archive(text.as_bytes(), "x", "1.0.0", "ab");
});
