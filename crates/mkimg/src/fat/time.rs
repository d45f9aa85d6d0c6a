//! Times as FAT has them: of a calendar, in steps of two seconds, from 1980 on. They are UTC here.

use std::fmt;

use crate::tree::{civil, days};

/// A date and a time of day ("Date and Time Formats").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DosTime {
    /// Year since 1980, month and day, in 7, 4 and 5 bits.
    pub date: u16,
    /// Hour, minute and half the seconds, in 5, 6 and 5 bits.
    pub time: u16,
    /// Hundredths of a second to add, up to 199: the time of creation has them.
    pub hundredths: u8,
}

/// The start of 1980 and the last second of 2107, in seconds since 1970.
const FIRST: i64 = 315_532_800;
const LAST: i64 = 4_354_819_199;

impl DosTime {
    /// Returns the time `seconds` after 1970, or the nearest that there is.
    pub fn from_unix(seconds: i64) -> DosTime {
        let seconds = seconds.clamp(FIRST, LAST);
        let (year, month, day) = civil(seconds / 86_400);
        let of_day = seconds % 86_400;
        // The range of years was clamped, and all others are small.
        DosTime {
            date: ((year - 1980) << 9 | month << 5 | day) as u16,
            time: ((of_day / 3600) << 11 | (of_day / 60 % 60) << 5 | (of_day % 60 / 2)) as u16,
            hundredths: if of_day % 2 == 1 { 100 } else { 0 },
        }
    }

    /// Returns how many seconds after 1970 it is. A day or an hour that the calendar has not is one of those after.
    pub fn to_unix(self) -> i64 {
        let (year, month, day) = (i64::from(self.date >> 9) + 1980, self.date >> 5 & 15, self.date & 31);
        let of_day = i64::from(self.time >> 11) * 3600
            + i64::from(self.time >> 5 & 63) * 60
            + i64::from(self.time & 31) * 2
            + i64::from(self.hundredths / 100);
        days(year, i64::from(month), i64::from(day)) * 86_400 + of_day
    }
}

impl fmt::Display for DosTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = ((self.date >> 9) + 1980, self.date >> 5 & 15, self.date & 31);
        let (hour, minute) = (self.time >> 11, self.time >> 5 & 63);
        let second = (self.time & 31) * 2 + u16::from(self.hundredths / 100);
        write!(f, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        let time = DosTime::from_unix(seconds);
        assert_eq!(time.to_string(), expected);
        assert_eq!(time.to_unix(), seconds.clamp(FIRST, LAST));
    }

    #[test]
    fn times_of_the_calendar() {
        check(1_700_000_001, "2023-11-14T22:13:21");
        check(951_782_400, "2000-02-29T00:00:00");
        check(951_868_799, "2000-02-29T23:59:59");
        check(4_107_542_400, "2100-03-01T00:00:00");
    }

    #[test]
    fn times_before_and_after_all_are_moved() {
        check(0, "1980-01-01T00:00:00");
        check(i64::MIN, "1980-01-01T00:00:00");
        check(FIRST + 1, "1980-01-01T00:00:01");
        check(i64::MAX, "2107-12-31T23:59:59");
    }
}
