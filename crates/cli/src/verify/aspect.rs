//! What can be different where a step runs.

use std::num::NonZeroUsize;

use local::Variation;
use serde::Serialize;

/// One thing that differs from machine to machine, or from day to day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Aspect {
    /// The time of day: 398 days and some hours ahead, so that day, month, year, week day and the rest differ.
    Clock,
    /// The order in which directories are listed.
    DirectoryOrder,
    /// One processor instead of all, the last one; and another number of jobs.
    Processors,
    /// The host's name.
    Host,
    /// The user's number, name and home.
    User,
    /// The time zone.
    TimeZone,
    /// The locale: POSIX, without UTF-8.
    Locale,
    /// The permissions that new files lack.
    Umask,
}

impl Aspect {
    /// All of them, what is most often the cause first.
    pub(crate) const ALL: [Aspect; 8] = [
        Aspect::Clock,
        Aspect::DirectoryOrder,
        Aspect::Processors,
        Aspect::User,
        Aspect::Host,
        Aspect::TimeZone,
        Aspect::Locale,
        Aspect::Umask,
    ];

    /// Returns what differs, to go on after "depends on".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Aspect::Clock => "the clock",
            Aspect::DirectoryOrder => "the order of directories",
            Aspect::Processors => "the processors",
            Aspect::Host => "the host name",
            Aspect::User => "the user",
            Aspect::TimeZone => "the time zone",
            Aspect::Locale => "the locale",
            Aspect::Umask => "the umask",
        }
    }

    /// Returns what to do about a step that depends on it.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Aspect::Clock => "take times from $SOURCE_DATE_EPOCH instead",
            Aspect::DirectoryOrder => "sort what is listed: `sort`, `tar --sort=name`, `ls` without -U",
            Aspect::Processors => "do not let `nproc` or the order in which jobs end reach the result",
            Aspect::Host => "do not let `hostname` reach the result",
            Aspect::User => "do not let `whoami`, `id` or $HOME reach the result",
            Aspect::TimeZone => "set TZ in the step's `environment`",
            Aspect::Locale => "set LC_ALL in the step's `environment`",
            Aspect::Umask => "set modes with `install -m` or `chmod`",
        }
    }

    /// Makes it different in `variation`.
    pub(crate) fn vary(self, variation: &mut Variation) {
        let sandbox = &mut variation.sandbox;
        let mut set = |name: &str, value: &str| {
            variation.environment.push((name.to_owned(), value.to_owned()));
        };
        match self {
            Aspect::Clock => sandbox.clock_ahead = 398 * 86400 + 5 * 3600 + 43 * 60 + 21,
            Aspect::DirectoryOrder => sandbox.reversed_directories = true,
            Aspect::Processors => sandbox.processors = Some(NonZeroUsize::MIN),
            Aspect::Host => sandbox.hostname = Some("elsewhere".to_owned()),
            Aspect::User => {
                sandbox.build_user = Some(4711);
                set("USER", "somebody");
                set("LOGNAME", "somebody");
                set("HOME", "/tmp");
            }
            // Without a database of time zones this is understood, too (POSIX 8.3): 13:45 hours ahead of UTC.
            Aspect::TimeZone => set("TZ", "VRF-13:45"),
            Aspect::Locale => {
                set("LANG", "C");
                set("LC_ALL", "C");
            }
            Aspect::Umask => sandbox.umask = Some(0o077),
        }
    }
}
