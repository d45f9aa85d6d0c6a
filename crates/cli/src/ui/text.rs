//! Numbers, times and names as people read them.

use std::borrow::Cow;
use std::time::Duration;

pub(crate) use report::{bytes, seconds};

/// Returns the first of several names, and how many more there are.
pub(crate) fn some(names: &[String], most: usize) -> String {
    let named = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => named,
        n_more => format!("{named} and {n_more} more"),
    }
}

/// Returns how long something will take: what is known of it, and how many steps nothing is known of.
pub(crate) fn time_left(known: Duration, unknown: u32) -> String {
    let about = format!("about {}", seconds(known));
    match (known.is_zero(), unknown) {
        (_, 0) => about,
        (true, 1) => "a step that never ran".to_owned(),
        (true, _) => format!("{unknown} steps that never ran"),
        (false, _) => format!("{about} and {unknown} that never ran"),
    }
}

/// Returns a time as `2024-02-29T23:59:59Z`.
pub(crate) fn date(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = mkimg::tree::civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Returns the text with control characters written out: names in archives, and what steps print, may hold such
/// as would make the terminal do things.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let escaped =
        text.chars().map(|c| if is_control(c) { c.escape_default().to_string() } else { c.to_string() });
    Cow::Owned(escaped.collect())
}

/// Returns the start of a line that may be of any length, which says if there is more.
pub(crate) fn start_of(line: &str) -> Cow<'_, str> {
    const LONGEST: usize = 2000;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{} … ({} bytes)", &line[..end], line.len())),
        None => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_the_start_is_shown() {
        let long = "ä".repeat(2001);
        assert_eq!(start_of(&long[2..]), long[2..]);
        assert_eq!(start_of(&long), format!("{} … (4002 bytes)", "ä".repeat(2000)));
    }

    #[test]
    fn what_is_not_known_is_not_called_nothing() {
        let left = |known, unknown| time_left(Duration::from_secs(known), unknown);
        assert_eq!(left(4, 0), "about 4.0 s");
        assert_eq!(left(0, 1), "a step that never ran");
        assert_eq!(left(0, 9), "9 steps that never ran");
        assert_eq!(left(4, 2), "about 4.0 s and 2 that never ran");
    }

    #[test]
    fn nothing_that_is_printed_moves_the_cursor() {
        assert_eq!(printable("a line\n\tand another"), "a line\n\tand another");
        assert_eq!(
            printable("\u{1b}[2J\u{1b}]0;owned\u{7}\r\u{9b}m"),
            "\\u{1b}[2J\\u{1b}]0;owned\\u{7}\\r\\u{9b}m"
        );
    }
}
