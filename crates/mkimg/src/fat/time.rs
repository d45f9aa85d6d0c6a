//! Times as FAT has them: of a calendar, in steps of two seconds, from 1980 on. They are UTC here.

use std::fmt;

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
}

/// Returns year, month and day of the day that is `days` after the first of 1970, which is not before that.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years that begin in March have their leap day last, so that months have one pattern.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
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
        assert_eq!(DosTime::from_unix(seconds).to_string(), expected);
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
