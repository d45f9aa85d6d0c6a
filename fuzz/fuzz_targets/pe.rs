//! Programs for firmware: their headers, their signatures, and what is made of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::pe::{NewSection, Pe, dump, with_sections};

fuzz_target!(|bytes: &[u8]| {
    let _ = dump(bytes);
    let Ok(pe) = Pe::parse(bytes) else { return };
    let added = NewSection { name: ".linux", contents: b"contents", is_code: true };
    if let Ok(made) = with_sections(&pe, &[".sbat"], &[added]) {
        let made = Pe::parse(&made).expect("what was made can be read");
        assert_eq!(made.section(".linux"), Some(&b"contents"[..]));
    }
});
