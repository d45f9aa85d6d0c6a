//! IGVM files with the checksum of their headers made right: read, described, measured and signed, or refused. What was
//! read is written again, and is then the same.
#![no_main]

use std::sync::LazyLock;

use launch::id_block::{Identity, Key, sign};
use launch::{Directive, File, PlatformKind, ZeroPages, check_kvm, map, measure, unlike_igvmmeasure, write};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<Key> = LazyLock::new(|| {
    Key::parse(include_bytes!("../../crates/launch/tests/launch/id.pem"))
        .expect("the key of the tests is one")
});

/// Measuring more takes long, and shows nothing.
const MOST_PAGES: u64 = 1 << 10;

fuzz_target!(|bytes: &[u8]| {
    let bytes = fuzz::with_igvm_checksum(bytes);
    let Ok(file) = File::parse(&bytes) else { return };
    let ranges = map::ranges(&file, u32::MAX);
    assert!(
        ranges.iter().all(|range| range.pieces.iter().map(|piece| piece.size).sum::<u64>() == range.size)
    );
    let mut is_small = true;
    for platform in &file.platforms {
        let _ = check_kvm(&file, platform);
        let _ = unlike_igvmmeasure(&file, platform);
        is_small &= file.n_pages(platform) <= MOST_PAGES;
        if is_small {
            let _ = measure(&file, platform.kind, ZeroPages::Native);
        }
    }
    for directive in &file.directives {
        if let Directive::VpContext(context) = directive {
            let _ = context.registers(file.revision.architecture());
        }
    }
    if let Ok(written) = write(&file) {
        let again = File::parse(&written).expect("what was written can be read");
        assert_eq!(again.directives.len(), file.directives.len());
        assert!(write(&again).is_ok_and(|again| again == written));
    }
    if is_small && let Ok(signed) = sign(&bytes, ZeroPages::Normal, Identity::default(), &KEY, None) {
        let signed = File::parse(&signed).expect("what was signed can be read");
        assert_eq!(
            measure(&signed, PlatformKind::SevSnp, ZeroPages::Normal),
            measure(&file, PlatformKind::SevSnp, ZeroPages::Normal)
        );
    }
});
