//! Keys and certificates, as files of text or bytes.
#![no_main]

use launch::id_block::Key;
use libfuzzer_sys::fuzz_target;
use mkimg::sign::{Signer, parse_certificate};

const KEY: &[u8] = include_bytes!("../../crates/mkimg/tests/boot/db.key");
const CERTIFICATE: &[u8] = include_bytes!("../../crates/mkimg/tests/boot/db.crt");

fuzz_target!(|bytes: &[u8]| {
    let _ = Key::parse(bytes);
    let _ = parse_certificate(bytes);
    let _ = Signer::new(bytes, CERTIFICATE);
    let Ok(signer) = Signer::new(KEY, bytes) else { return };
    let _ = signer.certified_by([bytes]);
});
