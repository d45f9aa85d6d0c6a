//! Numbers as people read them.

use std::borrow::Cow;
use std::time::Duration;

/// Returns a number of bytes with a unit and three digits: `4.21 MB`.
pub(crate) fn bytes(n_bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if n_bytes < 1000 {
        return format!("{n_bytes} B");
    }
    let mut value = n_bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Returns the first of several names, and how many more there are.
pub(crate) fn some(names: &[String], most: usize) -> String {
    let named = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => named,
        n_more => format!("{named} and {n_more} more"),
    }
}

/// Returns a duration as `0.12 s`, `8.3 s` or `4 min 05 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 {
        format!("{seconds:.2} s")
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits() {
        for (n_bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (12_345_678, "12.3 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(bytes(n_bytes), expected);
        }
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
    fn durations_grow_coarser() {
        for (milliseconds, expected) in [
            (0, "0.00 s"),
            (123, "0.12 s"),
            (8_300, "8.3 s"),
            (59_960, "1 min 00 s"),
            (245_000, "4 min 05 s"),
        ] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), expected);
        }
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
