//! What of the scripts' work goes into the result.
//!
//! Left out is what differs between two runs (random, times, identities of one machine) and what only
//! configuring itself needed. Decided by path alone, so that the list can be read and tested.

/// What becomes of a changed path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is kept as it is.
    Keep,
    /// It is kept without its contents.
    Empty,
    /// It is kept if it is a directory or has no contents.
    KeepIfEmpty,
    /// It is kept with the days of its password changes set to the day of the epoch.
    Shadow,
    /// It and everything below is as if nothing had happened to it.
    Drop,
}

/// Exactly these.
const PATHS: &[(&str, Verdict)] = &[
    // machine-id(5): empty, it is made at the first boot, each machine its own.
    ("etc/machine-id", Verdict::Empty),
    ("etc/shadow", Verdict::Shadow),
    ("etc/.updated", Verdict::Drop),
    ("etc/group-", Verdict::Drop),
    ("etc/gshadow-", Verdict::Drop),
    ("etc/passwd-", Verdict::Drop),
    ("etc/shadow-", Verdict::Drop),
    ("etc/subgid-", Verdict::Drop),
    ("etc/subuid-", Verdict::Drop),
    ("usr/sbin/policy-rc.d", Verdict::Drop),
    ("var/.updated", Verdict::Drop),
    ("var/cache/ldconfig/aux-cache", Verdict::Drop),
    ("var/lib/dbus/machine-id", Verdict::Drop),
    ("var/lib/dpkg/lock", Verdict::Drop),
    ("var/lib/dpkg/lock-frontend", Verdict::Drop),
    ("var/lib/dpkg/triggers/Lock", Verdict::Drop),
    ("var/lib/systemd/credential.secret", Verdict::Drop),
    ("var/lib/systemd/random-seed", Verdict::Drop),
    ("var/lib/urandom/random-seed", Verdict::Drop),
];

/// Everything in these directories that packages do not have.
const DIRECTORIES: &[(&str, Verdict)] = &[
    ("dev", Verdict::Drop),
    ("proc", Verdict::Drop),
    ("run", Verdict::Drop),
    ("sys", Verdict::Drop),
    ("tmp", Verdict::Drop),
    // Indexes with the times of what they index; the programs make them again when they need them.
    ("var/cache/apt", Verdict::Drop),
    ("var/cache/fontconfig", Verdict::Drop),
    ("var/cache/man", Verdict::Drop),
    ("var/lib/apt/lists", Verdict::Drop),
    ("var/lib/dpkg/updates", Verdict::Drop),
    ("var/log", Verdict::KeepIfEmpty),
    ("var/tmp", Verdict::Drop),
];

/// Files in a directory whose names begin and end like this: key pairs that each machine has to make for
/// itself, and copies that the programs make before they change something.
const PATTERNS: &[(&str, &str, &str)] = &[
    ("etc/ssh", "ssh_host_", ""),
    ("var/cache/debconf", "", "-old"),
    ("var/lib/dpkg", "", "-old"),
    ("var/log", "", ".log"),
];

/// Returns what becomes of the changed path `path`; `is_packaged` says that a package has something there.
pub(super) fn verdict(path: &[u8], is_packaged: bool) -> Verdict {
    if let Some((_, verdict)) = PATHS.iter().find(|(exact, _)| exact.as_bytes() == path) {
        return *verdict;
    }
    let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b""[..], path),
    };
    let matches = |(inside, begin, end): &&(&str, &str, &str)| {
        directory == inside.as_bytes() && name.starts_with(begin.as_bytes()) && name.ends_with(end.as_bytes())
    };
    if PATTERNS.iter().any(|pattern| matches(&pattern)) {
        return Verdict::Drop;
    }
    let is_in =
        |inside: &str| path.strip_prefix(inside.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'));
    match DIRECTORIES.iter().find(|(inside, _)| is_in(inside)) {
        Some((_, verdict)) if !is_packaged => *verdict,
        _ => Verdict::Keep,
    }
}

/// Returns `/etc/shadow` with every day of a password change set to `day`. Day 0, which asks for a new
/// password, and an empty field stay.
pub(super) fn shadow_with_day(shadow: &[u8], day: i64) -> Vec<u8> {
    let day = day.to_string().into_bytes();
    let line = |line: &[u8]| {
        let mut fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        if fields.len() > 2 && !matches!(fields[2], b"" | b"0") {
            fields[2] = &day;
        }
        fields.join(&b':')
    };
    let lines: Vec<Vec<u8>> = shadow.split(|byte| *byte == b'\n').map(line).collect();
    lines.join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let cases = [
            ("etc/passwd", Verdict::Keep),
            ("etc/passwd-", Verdict::Drop),
            ("etc/machine-id", Verdict::Empty),
            ("etc/ssh/ssh_host_rsa_key", Verdict::Drop),
            ("etc/ssh/sshd_config", Verdict::Keep),
            ("etc/ld.so.cache", Verdict::Keep),
            ("run/lock/x", Verdict::Drop),
            ("run", Verdict::Keep),
            ("running/x", Verdict::Keep),
            ("var/lib/dpkg/status", Verdict::Keep),
            ("var/lib/dpkg/status-old", Verdict::Drop),
            ("var/lib/dpkg/info/x-old", Verdict::Keep),
            ("var/log/dpkg.log", Verdict::Drop),
            ("var/log/wtmp", Verdict::KeepIfEmpty),
            ("var/log/apt/x", Verdict::KeepIfEmpty),
        ];
        for (path, expected) in cases {
            assert_eq!(verdict(path.as_bytes(), false), expected, "{path}");
        }
        // What a package has there is not something that a run left behind.
        assert_eq!(verdict(b"var/cache/man/x", true), Verdict::Keep);
    }

    #[test]
    fn shadow_days() {
        let shadow = b"root:*:20778:0:99999:7:::\nnew:!:0:0:::::\nnone:*::0:::::\nshort:x\n";
        let expected = b"root:*:19000:0:99999:7:::\nnew:!:0:0:::::\nnone:*::0:::::\nshort:x\n";
        assert_eq!(shadow_with_day(shadow, 19000), expected);
    }
}
