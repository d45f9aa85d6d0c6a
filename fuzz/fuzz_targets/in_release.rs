//! Signed `Release` files: nothing that is no signature by a key of Debian is believed, and nothing panics.
#![no_main]

use std::sync::LazyLock;

use distro::release::{Keyring, Release, verify};
use distro::timestamp::Timestamp;
use libfuzzer_sys::fuzz_target;

static KEYRING: LazyLock<Keyring> = LazyLock::new(Keyring::debian);

fuzz_target!(|bytes: &[u8]| {
    let now = Timestamp::parse_release("Sun, 01 Nov 2026 00:00:00 UTC").expect("it is a date");
    let _ = Keyring::parse(bytes);
    if let Ok((text, signers)) = verify(bytes, &KEYRING, now) {
        assert!(!signers.is_empty());
        Release::parse(&text).expect("Debian signs only Release files");
    }
});
