//! What a guest writes on its console, in pieces, and more of it than is kept.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm::console::Console;

fuzz_target!(|bytes: &[u8]| {
    let Some(([first, window], bytes)) = bytes.split_first_chunk() else { return };
    let (needle, text) = bytes.split_at(bytes.len().min(usize::from(first >> 4)));
    let needle = String::from_utf8_lossy(needle);
    // All that is kept is looked through after each piece.
    let text = &text[..text.len().min(1024)];
    let mut console = Console::keeping((*window).into());
    for piece in text.chunks(usize::from(first & 0xf) + 1) {
        console.push(piece);
        let _ = console.shows_now([&*needle, "login:"]);
        let _ = console.find(&needle);
        let _ = console.lines_around(&needle);
        assert!(console.last_lines().len() <= 20);
    }
});
