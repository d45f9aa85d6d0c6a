//! Times: seven bytes in records and fields, seventeen in descriptors. They are UTC here.

use crate::tree::{Timestamp, civil, days};

/// The first second of 1900 and the last of 2155, in seconds since 1970.
const FIRST: i64 = -2_208_988_800;
const LAST: i64 = 5_869_583_999;

/// Year, month, day, hour, minute and second.
fn fields(seconds: i64) -> [i64; 6] {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    [year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60]
}

/// Returns a time as records have it (ECMA-119 9.1.5), or the nearest that they have.
pub(super) fn short(time: Timestamp) -> [u8; 7] {
    let [year, month, day, hour, minute, second] = fields(time.seconds().clamp(FIRST, LAST));
    // The range of years was clamped, and all others are small.
    [year - 1900, month, day, hour, minute, second, 0].map(|field| field as u8)
}

/// Reads a time of a record. Returns nothing if it is none; all zeros are the time that nobody knows.
pub(super) fn decode_short(bytes: &[u8; 7]) -> Option<i64> {
    if *bytes == [0; 7] {
        return Some(0);
    }
    let [year, month, day, hour, minute, second, offset] = *bytes;
    let is_time = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    let offset = i64::from(offset.cast_signed()) * 15 * 60;
    let days = days(1900 + i64::from(year), month.into(), day.into());
    let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    (is_time && second < 62).then_some(seconds - offset)
}

/// Returns a time as descriptors have it (ECMA-119 8.4.26.1): sixteen digits, the last two of them hundredths of a
/// second, and the offset from UTC.
pub(super) fn long(time: Timestamp) -> [u8; 17] {
    let [year, month, day, hour, minute, second] = fields(time.seconds());
    let hundredths = time.nanoseconds() / 10_000_000;
    let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{hundredths:02}");
    let mut bytes = [0; 17];
    // Years from 1901 to 2310 have four digits.
    bytes[..16].copy_from_slice(text.as_bytes());
    bytes
}

/// The time of a descriptor that says nothing.
pub(super) const UNSPECIFIED: [u8; 17] = *b"0000000000000000\0";

/// Says whether sixteen digits are a time that a descriptor can have.
pub(super) fn is_long(digits: &[u8; 16]) -> bool {
    let number = |range: std::ops::Range<usize>| {
        digits[range].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit.wrapping_sub(b'0')))
    };
    digits.iter().all(u8::is_ascii_digit)
        && (1..=9999).contains(&number(0..4))
        && (1..=12).contains(&number(4..6))
        && (1..=31).contains(&number(6..8))
        && number(8..10) < 24
        && number(10..12) < 60
        && number(12..14) < 60
}

/// Returns what people read of a descriptor's time.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..16]).into_owned();
    if !text.is_ascii() || text.starts_with("0000") || text.len() != 16 {
        return "never".to_owned();
    }
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}T{}:{}:{}.{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14),
        part(14, 16)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        let time = Timestamp::new(seconds, 0).unwrap();
        assert_eq!(shown(&long(time)), expected);
        if seconds <= LAST {
            assert_eq!(decode_short(&short(time)), Some(seconds));
        }
    }

    #[test]
    fn times_of_the_calendar() {
        check(0, "1970-01-01T00:00:00.00");
        check(-1, "1969-12-31T23:59:59.00");
        check(Timestamp::MIN_SECONDS, "1901-12-13T20:45:52.00");
        check(951_868_799, "2000-02-29T23:59:59.00");
        check(LAST, "2155-12-31T23:59:59.00");
        check(Timestamp::MAX_SECONDS, "2310-04-04T16:10:39.00");
    }

    #[test]
    fn what_is_no_time() {
        assert_eq!(decode_short(&[0; 7]), Some(0));
        assert_eq!(decode_short(&[70, 1, 1, 0, 0, 0, 4]), Some(-3600));
        for bad in [[70, 13, 1, 0, 0, 0, 0], [70, 1, 0, 0, 0, 0, 0], [70, 1, 1, 24, 0, 0, 0]] {
            assert_eq!(decode_short(&bad), None, "{bad:?}");
        }
        assert!(
            is_long(b"2023111422132000") && !is_long(b"2023131422132000") && !is_long(b"202311142213200x")
        );
    }
}
