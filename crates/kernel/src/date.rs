//! As what time a kernel is built: that of its source.

use std::fs;

use crate::Error;
use crate::spec::{BuildSpec, Date};

const CHANGELOG: &str = "debian/changelog";
const SECONDS_PER_DAY: i64 = 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Returns the time in seconds since 1970.
///
/// Fails when it is to be that of Debian's changelog and there is none in the source.
pub(crate) fn of(spec: &BuildSpec) -> Result<i64, Error> {
    match spec.date {
        Date::Seconds(seconds) => Ok(seconds),
        Date::Changelog => {
            let path = spec.linux.source.join(CHANGELOG);
            let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
            changelog_date(&text).ok_or(Error::NoDate { path })
        }
    }
}

/// Returns the date of the newest entry, which comes first (deb-changelog(5)): ` -- NAME <ADDRESS>  DATE`.
fn changelog_date(text: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(" -- "))?;
    parse(line.rsplit_once(">  ")?.1)
}

/// Reads `Thu, 03 Jul 2025 11:22:33 +0200` (RFC 5322, 3.3).
fn parse(date: &str) -> Option<i64> {
    let (_weekday, date) = date.trim().split_once(", ")?;
    let [day, month, year, time, zone] = date.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let [hours, minutes, seconds] = time.split(':').collect::<Vec<_>>().try_into().ok()?;
    let number = |text: &str, end: i64| {
        let is_number = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| is_number && *number < end)
    };
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let offset = sign * (number(zone.get(1..3)?, 24)? * 3600 + number(zone.get(3..)?, 60)? * 60);
    let days = days_since_1970(number(year, 10_000)?, i64::try_from(month).ok()? + 1, number(day, 32)?);
    let time = number(hours, 24)? * 3600 + number(minutes, 60)? * 60 + number(seconds, 61)?;
    Some(days * SECONDS_PER_DAY + time - offset)
}

/// Writes a time as `date` does, which is what kernels say of themselves: `Thu Jul  3 09:22:33 UTC 2025`.
pub(crate) fn as_date_prints(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = civil(days);
    // 1970 began with a Thursday.
    let weekday = WEEKDAYS[usize::try_from((days + 4).rem_euclid(7)).unwrap_or_default()];
    let month = MONTHS[usize::try_from(month - 1).unwrap_or_default()];
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{weekday} {month} {day:2} {hours:02}:{minutes:02}:{seconds:02} UTC {year}")
}

/// Years that begin with March end with the leap day, and their months are as long as 153 days in five.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// Returns year, month and day.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A date as a changelog has it, and as `date` prints it.
    #[track_caller]
    fn check(date: &str, seconds: Option<i64>, printed: &str) {
        let entry = format!("linux (6.1-1) x; urgency=low\n\n  * Text\n\n -- A <a@b>  {date}\n\nolder\n");
        assert_eq!(changelog_date(&entry), seconds);
        assert_eq!(seconds.map(as_date_prints).unwrap_or_default(), printed);
    }

    #[test]
    fn dates_are_read_and_written() {
        check("Thu, 03 Jul 2025 11:22:33 +0200", Some(1_751_534_553), "Thu Jul  3 09:22:33 UTC 2025");
        check("Thu, 01 Jan 1970 00:00:00 +0000", Some(0), "Thu Jan  1 00:00:00 UTC 1970");
        check("Wed, 31 Dec 1969 23:00:00 -0030", Some(-1800), "Wed Dec 31 23:30:00 UTC 1969");
        check("Thu, 29 Feb 2024 23:59:59 +0000", Some(1_709_251_199), "Thu Feb 29 23:59:59 UTC 2024");
        check("Wed, 01 Mar 2000 00:00:00 +0000", Some(951_868_800), "Wed Mar  1 00:00:00 UTC 2000");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for wrong in [
            "",
            "yesterday",
            "Thu, 03 Jul 2025 11:22:33",
            "Thu, 03 Jul 2025 11:22 +0200",
            "Thu, 03 Jux 2025 11:22:33 +0200",
            "Thu, 03 Jul 2025 11:22:33 é200",
            "Thu, 03 Jul 99999999999999999999 11:22:33 +0200",
            "Thu, 99 Jul 2025 11:22:33 +0200",
        ] {
            check(wrong, None, "");
        }
        assert_eq!(changelog_date("no entry\n"), None);
    }
}
