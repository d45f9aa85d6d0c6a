//! What a guest writes on its serial console, as text that can be searched.

/// How much text is kept to search in; a guest that floods its console must not fill our memory.
const WINDOW: usize = 256 * 1024;
/// How many lines a report of a failed boot shows.
const LAST_LINES: usize = 20;

/// The text of a console: escape sequences and carriage returns are dropped, bytes that are not UTF-8 are
/// replaced. Only the last 256 KiB are kept.
#[derive(Debug, Default)]
pub struct Console {
    text: String,
    searched: usize,
    pending: Vec<u8>,
    escape: Escape,
}

/// Where in an escape sequence (ECMA-48, 5.4 and 5.6) the input stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Started,
    ControlSequence,
    String,
    EndOfString,
}

impl Console {
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
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(text) => {
                    self.text.push_str(text);
                    self.pending.clear();
                    return;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    self.text.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
                    match error.error_len() {
                        Some(n_bad) => {
                            self.text.push(char::REPLACEMENT_CHARACTER);
                            self.pending.drain(..valid + n_bad);
                        }
                        // The rest of a character has not arrived yet.
                        None => {
                            self.pending.drain(..valid);
                            return;
                        }
                    }
                }
            }
        }
    }

    fn trim(&mut self) {
        if self.text.len() > 2 * WINDOW {
            let mut cut = self.text.len() - WINDOW;
            while !self.text.is_char_boundary(cut) {
                cut += 1;
            }
            self.text.drain(..cut);
            self.searched = self.searched.saturating_sub(cut);
        }
    }

    /// Returns whether `needle` stands after what was found before; if so, later searches start behind it.
    pub fn find(&mut self, needle: &str) -> bool {
        match self.text[self.searched..].find(needle) {
            Some(at) => {
                self.searched += at + needle.len();
                true
            }
            None => false,
        }
    }

    /// Returns whether `needle` stands anywhere in what is kept.
    pub fn contains(&self, needle: &str) -> bool {
        self.text.contains(needle)
    }

    /// Returns the last lines that are not empty, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .text
            .lines()
            .rev()
            .filter(|line| !line.trim().is_empty())
            .take(LAST_LINES)
            .map(|line| line.chars().take(200).collect())
            .collect();
        lines.reverse();
        lines
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
    fn a_search_goes_on_behind_the_last_find() {
        let mut console = console(&[b"one two one"]);
        assert!(console.find("two") && console.find("one") && !console.find("one"));
        assert!(console.contains("two"));
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
        assert!(console.find("end") && !console.contains("start"));
        assert_eq!(console.last_lines().last().map(String::as_str), Some("end"));
    }
}
