//! Numbers as people read them.

use std::time::Duration;

/// Returns a number of bytes with a unit and three digits: `4.21 MB`.
pub fn bytes(n_bytes: u64) -> String {
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

/// Returns by how many bytes something grew or shrank: `+1.20 MB`, `−300 B`.
pub fn change(before: u64, after: u64) -> String {
    match after.checked_sub(before) {
        Some(0) => "±0 B".to_owned(),
        Some(more) => format!("+{}", bytes(more)),
        None => format!("−{}", bytes(before - after)),
    }
}

/// Returns a part of a whole in percent: `31 %`, `0.4 %`.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if part == 0 || percent >= 9.95 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// Returns a duration as `0.12 s`, `8.3 s` or `4 min 05 s`.
pub fn seconds(duration: Duration) -> String {
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
    fn changes_have_signs_and_parts_are_not_rounded_away() {
        assert_eq!([change(1, 1), change(0, 1200), change(1200, 200)], ["±0 B", "+1.20 kB", "−1.00 kB"]);
        assert_eq!(
            [percent(1, 3), percent(1, 250), percent(0, 7), percent(0, 0)],
            ["33 %", "0.4 %", "0 %", "0 %"]
        );
    }
}
