//! Points in time as archives write them.

use serde::de::Error as _;

/// Seconds since 1970 in UTC; written as `2026-07-11T10:16:37Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// A text that is no date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no date")]
pub struct TimestampError(String);

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Timestamp {
    /// Reads `Sat, 11 Jul 2026 10:16:37 UTC`, the form of `Release` files (RFC 2822 with UTC as the only zone).
    pub fn parse_release(text: &str) -> Result<Timestamp, TimestampError> {
        let parse = || {
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            let [_, day, month, year, time, "UTC" | "GMT" | "Z" | "+0000"] = words[..] else { return None };
            let month = MONTHS.iter().position(|&name| name == month)?;
            from_parts(year.parse().ok()?, u64::try_from(month).ok()? + 1, day.parse().ok()?, time)
        };
        parse().ok_or_else(|| TimestampError(text.to_owned()))
    }

    /// `20260711T101637Z`, the form of snapshot archives.
    pub fn compact(self) -> String {
        let text = self.to_string();
        text.chars().filter(|c| !matches!(c, '-' | ':')).collect()
    }

    /// Reads the form that [`Timestamp::compact`] writes.
    pub fn parse_compact(text: &str) -> Result<Timestamp, TimestampError> {
        let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
        let spelt_out = format!(
            "{}-{}-{}T{}:{}:{}Z",
            part(0..4),
            part(4..6),
            part(6..8),
            part(9..11),
            part(11..13),
            part(13..15)
        );
        let timestamp = spelt_out.parse::<Timestamp>().ok().filter(|timestamp| timestamp.compact() == text);
        timestamp.ok_or_else(|| TimestampError(text.to_owned()))
    }

    /// This many seconds later.
    pub fn plus(self, seconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds))
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let parse = || {
            let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
            let parts: Vec<&str> = date.split('-').collect();
            let [year, month, day] = parts[..] else { return None };
            from_parts(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?, time)
        };
        parse().ok_or_else(|| TimestampError(text.to_owned()))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        // 400 years are 146,097 days; the rest is counted out.
        let mut year = 1970 + days / 146_097 * 400;
        days %= 146_097;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn from_parts(year: u64, month: u64, day: u64, time: &str) -> Option<Timestamp> {
    let parts: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = parts[..] else { return None };
    let exists = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !exists {
        return None;
    }
    let days: u64 = (1970..year).map(days_of_year).sum::<u64>()
        + (1..month).map(|month| days_of_month(year, month)).sum::<u64>()
        + (day - 1);
    Some(Timestamp(days * 86_400 + hour * 3600 + minute * 60 + second))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compact_form_is_read_back() {
        let timestamp = Timestamp(1_783_764_997);
        assert_eq!(Timestamp::parse_compact(&timestamp.compact()), Ok(timestamp));
        for wrong in ["", "20260711", "20260711T101637", "20260711x101637Z", "2026071\u{e9}T101637Z"] {
            assert!(Timestamp::parse_compact(wrong).is_err(), "{wrong}");
        }
    }
    use proptest::prelude::*;

    #[test]
    fn release_dates() {
        let date = Timestamp::parse_release("Sat, 11 Jul 2026 10:16:37 UTC").unwrap();
        assert_eq!(
            (date.to_string().as_str(), date.compact().as_str()),
            ("2026-07-11T10:16:37Z", "20260711T101637Z")
        );
        assert_eq!(Timestamp::parse_release("Thu,  1 Jan 1970 00:00:00 +0000"), Ok(Timestamp(0)));
        assert_eq!(Timestamp(951_782_400).to_string(), "2000-02-29T00:00:00Z");
        for text in [
            "",
            "Sat, 11 Jul 2026 10:16:37",
            "Sat, 31 Jun 2026 10:16:37 UTC",
            "Sat, 1 Jul 2026 24:00:00 UTC",
            "Sat, 29 Feb 2100 10:16:37 UTC",
            "Sat, 1 Jul 2026 10:16:37 CEST",
            "x, -1 Jul 2026 10:16:37 UTC",
        ] {
            assert!(Timestamp::parse_release(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_as_it_was_written(seconds in 0..253_402_300_800_u64) {
            let text = Timestamp(seconds).to_string();
            prop_assert_eq!(text.parse(), Ok(Timestamp(seconds)));
        }
    }
}
