//! What can be different where a step runs.
//!
//! Time zone, locale, home and search path are not among it: every command names them itself.

use std::num::NonZeroUsize;

use sandbox::Variation;
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
    /// The user's number.
    User,
    /// The permissions that new files lack.
    Umask,
}

impl Aspect {
    /// All of them, what is most often the cause first.
    pub(crate) const ALL: [Aspect; 6] = [
        Aspect::Clock,
        Aspect::DirectoryOrder,
        Aspect::Processors,
        Aspect::User,
        Aspect::Host,
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
            Aspect::User => "do not let `id` or `whoami` reach the result",
            Aspect::Umask => "set modes with `install -m` or `chmod`",
        }
    }

    /// Makes it different in `variation`.
    pub(crate) fn vary(self, variation: &mut Variation) {
        match self {
            Aspect::Clock => variation.clock_ahead = 398 * 86400 + 5 * 3600 + 43 * 60 + 21,
            Aspect::DirectoryOrder => variation.reversed_directories = true,
            Aspect::Processors => variation.processors = Some(NonZeroUsize::MIN),
            Aspect::Host => variation.hostname = Some("elsewhere".to_owned()),
            Aspect::User => variation.build_user = Some(4711),
            Aspect::Umask => variation.umask = Some(0o077),
        }
    }
}
