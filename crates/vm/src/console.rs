//! What a guest writes on its serial console, as text that can be searched.

/// How much text is kept to search in; a guest that floods its console must not fill our memory.
const WINDOW: usize = 256 * 1024;
/// How many lines a report of a failed boot shows.
const LAST_LINES: usize = 20;
/// How many of these stand before the line that a report is about.
const LINES_BEFORE: usize = 3;
/// How much of a line a report shows.
const LINE_LEN: usize = 200;

/// The text of a console: escape sequences and carriage returns are dropped, bytes that are not UTF-8 are
/// replaced. Only the last of it is kept: 256 KiB, unless told otherwise.
#[derive(Debug)]
pub struct Console {
    text: String,
    /// How many bytes of it are kept at least, when there are more than twice as many.
    window: usize,
    /// What was found before ends here.
    searched: usize,
    /// What [`Console::find`] last did not find, and how far it looked: most guests write byte by byte.
    missed: (String, usize),
    /// How far [`Console::shows_now`] looked.
    watched: usize,
    pending: Vec<u8>,
    escape: Escape,
}

/// Where in an escape sequence (ECMA-48, 5.4 and 5.6) the input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Started,
    ControlSequence,
    String,
    EndOfString,
}

impl Default for Console {
    fn default() -> Self {
        Console::keeping(WINDOW)
    }
}

impl Console {
    /// Returns a console on which nothing was written, and of which the last `window` bytes are kept, and at most twice as
    /// many between two pieces.
    pub fn keeping(window: usize) -> Console {
        Console {
            text: String::new(),
            window,
            searched: 0,
            missed: (String::new(), 0),
            watched: 0,
            pending: Vec::new(),
            escape: Escape::None,
        }
    }

    /// Takes what the guest wrote.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.escape = match (self.escape, byte) {
                (Escape::None | Escape::Started, 0x1b) => Escape::Started,
                (Escape::None, _) => {
                    if byte == b'\n' || byte == b'\t' || byte >= 0x20 {
                        self.pending.push(byte);
                    }
                    Escape::None
                }
                (Escape::Started, b'[') => Escape::ControlSequence,
                (Escape::Started, b']' | b'P' | b'^' | b'_' | b'X') => Escape::String,
                (Escape::Started, 0x20..=0x2f) => Escape::Started,
                (Escape::Started, _) => Escape::None,
                (Escape::ControlSequence, 0x40..=0x7e) => Escape::None,
                (Escape::ControlSequence, 0x1b) => Escape::Started,
                (Escape::ControlSequence, _) => Escape::ControlSequence,
                (Escape::String, 0x07) => Escape::None,
                (Escape::String, 0x1b) => Escape::EndOfString,
                (Escape::String, _) => Escape::String,
                (Escape::EndOfString, _) => Escape::None,
            };
        }
        self.decode();
        self.trim();
    }

    fn decode(&mut self) {
        let mut done = 0;
        loop {
            match std::str::from_utf8(&self.pending[done..]) {
                Ok(text) => {
                    self.text.push_str(text);
                    self.pending.clear();
                    return;
                }
                Err(error) => {
                    let valid = done + error.valid_up_to();
                    self.text.push_str(&String::from_utf8_lossy(&self.pending[done..valid]));
                    let Some(n_bad) = error.error_len() else {
                        // The rest of a character has not arrived yet.
                        self.pending.drain(..valid);
                        return;
                    };
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    done = valid + n_bad;
                }
            }
        }
    }

    fn trim(&mut self) {
        if self.text.len() > 2 * self.window {
            let mut cut = self.text.len() - self.window;
            while !self.text.is_char_boundary(cut) {
                cut += 1;
            }
            self.text.drain(..cut);
            for position in [&mut self.searched, &mut self.missed.1, &mut self.watched] {
                *position = position.saturating_sub(cut);
            }
        }
    }

    /// Returns whether `needle` stands after what was found before; if so, later searches start behind it.
    pub fn find(&mut self, needle: &str) -> bool {
        let start = if self.missed.0 == needle { self.before(self.missed.1, needle) } else { 0 };
        let start = start.max(self.searched);
        match self.text[start..].find(needle) {
            Some(at) => {
                self.searched = start + at + needle.len();
                true
            }
            None => {
                self.missed.1 = self.text.len();
                if self.missed.0 != needle {
                    needle.clone_into(&mut self.missed.0);
                }
                false
            }
        }
    }

    /// Returns the first of the texts that stands in what was written since this was asked last, or reaches
    /// into that.
    pub fn shows_now<'n>(&mut self, needles: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        let watched = std::mem::replace(&mut self.watched, self.text.len());
        needles.into_iter().find(|needle| self.text[self.before(watched, needle)..].contains(*needle))
    }

    /// Returns where a text begins at the earliest that ends behind `position`.
    fn before(&self, position: usize, needle: &str) -> usize {
        let mut start = position.saturating_sub(needle.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        start
    }

    /// Returns the last lines that are not empty, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.lines().rev().take(LAST_LINES).collect();
        lines.reverse();
        lines
    }

    /// Returns the lines around the last that shows `needle`, oldest first: some before, more after it.
    pub fn lines_around(&self, needle: &str) -> Vec<String> {
        let Some(at) = self.text.rfind(needle) else { return self.last_lines() };
        let line = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let before = self.text[..line].lines().rev().filter(|line| !line.trim().is_empty());
        let n_before = before.take(LINES_BEFORE).count();
        let all: Vec<String> = self.lines().collect();
        let n_after = self.text[line..].lines().filter(|line| !line.trim().is_empty()).count();
        let first = all.len().saturating_sub(n_after + n_before);
        all.into_iter().skip(first).take(LAST_LINES).collect()
    }

    /// Returns the lines that are not empty, as far as a report shows them.
    fn lines(&self) -> impl DoubleEndedIterator<Item = String> {
        let lines = self.text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| line.chars().take(LINE_LEN).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(chunks: &[&[u8]]) -> Console {
        let mut console = Console::default();
        for chunk in chunks {
            console.push(chunk);
        }
        console
    }

    #[test]
    fn colours_and_returns_do_not_hide_text() {
        let mut console = console(&[b"\x1b[1;32mWel\x1b[0mcome\r\r\n", b"\x1b]0;title\x07to \x1bcus"]);
        assert!(console.find("Welcome\nto us"));
    }

    #[test]
    fn what_is_no_text_is_replaced_in_whatever_pieces_it_comes() {
        let bytes = b"a\xff\xfe\xc3\xa9b\xe2\x82\n\xf0\x9f\x99\x82\x80c\xe2\x82";
        let whole = console(&[bytes]);
        assert_eq!(whole.text, "a\u{fffd}\u{fffd}\u{e9}b\u{fffd}\n\u{1f642}\u{fffd}c");
        for length in 1..bytes.len() {
            let pieces: Vec<&[u8]> = bytes.chunks(length).collect();
            assert_eq!(console(&pieces).text, whole.text, "{length}");
        }
    }

    #[test]
    fn a_search_goes_on_behind_the_last_find() {
        let mut console = console(&[b"one two one"]);
        assert!(console.find("two") && console.find("one") && !console.find("one"));
        assert!(!console.find("three"));
        console.push(b"\nth");
        assert!(!console.find("three"));
        console.push(b"ree one");
        assert!(console.find("three") && console.find("one"));
    }

    #[test]
    fn what_is_watched_for_is_seen_once_and_across_pieces() {
        let mut console = console(&[b"Kernel pa"]);
        let texts = ["Oops", "Kernel panic"];
        assert_eq!(console.shows_now(texts), None);
        console.push("nic é".as_bytes());
        assert_eq!(console.shows_now(texts), Some("Kernel panic"));
        console.push(b"more");
        assert_eq!(console.shows_now(texts), None);
        assert_eq!(console.shows_now(["é"]), None);
    }

    #[test]
    fn a_report_shows_what_a_panic_says_and_not_only_the_end_of_its_trace() {
        let mut text: String = (0..30).map(|number| format!("line {number}\n\n")).collect();
        text += "[1.0] Kernel panic - not syncing: no init\n";
        text.extend((0..30).map(|number| format!("trace {number}\n")));
        let console = console(&[text.as_bytes()]);
        let shown = console.lines_around("Kernel panic");
        assert_eq!(shown.len(), LAST_LINES);
        let start = ["line 27", "line 28", "line 29", "[1.0] Kernel panic - not syncing: no init", "trace 0"];
        assert_eq!(shown[..5], start);
        assert_eq!(console.lines_around("line 0")[0], "line 0");
        assert_eq!(console.lines_around("not there"), console.last_lines());
    }

    #[test]
    fn a_character_may_arrive_in_two_pieces() {
        let mut console = console(&[b"caf\xc3", b"\xa9 \xff!"]);
        assert!(console.find("café \u{fffd}!"));
    }

    #[test]
    fn a_flood_keeps_the_end_and_the_search_position() {
        let mut console = Console::default();
        console.push(b"start");
        assert!(console.find("start"));
        for _ in 0..100 {
            console.push(&vec![b'x'; 64 * 1024]);
        }
        console.push(b"\nend");
        assert!(console.text.len() <= 2 * WINDOW + 64 * 1024);
        assert!(console.find("end") && console.shows_now(["start"]).is_none());
        assert_eq!(console.missed.0, "");
        assert_eq!(console.last_lines().last().map(String::as_str), Some("end"));
    }
}
