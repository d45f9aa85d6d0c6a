//! What a guest writes on its console, in pieces, and more of it than is kept.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm::console::Console;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let (needle, text) = bytes.split_at(bytes.len().min(usize::from(first >> 4)));
    let needle = String::from_utf8_lossy(needle);
    // All that is kept is looked through after each piece.
    let text = &text[..text.len().min(512)];
    let piece = usize::from(first & 0xf) + 1;
    let mut console = Console::default();
    let look = |console: &mut Console| {
        let _ = console.shows_now([&*needle, "login:"]);
        let _ = console.find(&needle);
        let _ = console.lines_around(&needle);
        assert!(console.last_lines().len() <= 20);
    };
    for piece in text.chunks(piece) {
        console.push(piece);
        look(&mut console);
    }
    if first & 0x1f == 0x1f {
        let much = text.repeat((300 << 10) / text.len().max(1));
        for _ in 0..3 {
            console.push(&much);
            look(&mut console);
        }
    }
});
