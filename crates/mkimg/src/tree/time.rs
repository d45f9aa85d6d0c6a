//! Moments, small enough to have millions of them.

use std::fmt;

/// A moment between 1901 and 2310, to the nanosecond.
///
/// Trees have millions of them, so one takes eight bytes: the seconds after the earliest in the upper 34 bits, the
/// nanoseconds in the lower 30.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The earliest second: that of ext4.
    pub const MIN_SECONDS: i64 = -(1 << 31);
    /// The latest second. ext4 goes on until 2446, but `e2fsck` takes what is later than this for a mistake of old
    /// kernels with times before 1970.
    pub const MAX_SECONDS: i64 = (3 << 32) - (1 << 31) - 1;

    /// Returns the moment `seconds` and `nanoseconds` after 1970, if it is one of these.
    pub fn new(seconds: i64, nanoseconds: u32) -> Option<Timestamp> {
        let fits = (Timestamp::MIN_SECONDS..=Timestamp::MAX_SECONDS).contains(&seconds)
            && nanoseconds < 1_000_000_000;
        fits.then(|| Timestamp::pack(seconds, nanoseconds))
    }

    /// Returns the moment that is closest to `seconds` after 1970.
    pub fn saturating(seconds: i64) -> Timestamp {
        Timestamp::pack(seconds.clamp(Timestamp::MIN_SECONDS, Timestamp::MAX_SECONDS), 0)
    }

    pub(crate) fn pack(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp((seconds - Timestamp::MIN_SECONDS).cast_unsigned() << 30 | u64::from(nanoseconds))
    }

    /// Returns the whole seconds after 1970.
    pub fn seconds(self) -> i64 {
        (self.0 >> 30).cast_signed() + Timestamp::MIN_SECONDS
    }

    /// Returns the nanoseconds after the whole second.
    pub fn nanoseconds(self) -> u32 {
        (self.0 & 0x3fff_ffff) as u32
    }
}

impl Default for Timestamp {
    fn default() -> Timestamp {
        Timestamp::pack(0, 0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}+{:09}", self.seconds(), self.nanoseconds())
    }
}

/// Returns year, month and day of the day that is `days` after the first of 1970. Years are of the calendar that is
/// usual now, also where it was not yet.
pub fn civil(days: i64) -> (i64, i64, i64) {
    // Years that begin in March have their leap day last, so that months have one pattern.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Returns how many days after the first of 1970 a day is.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}
