//! What of the scripts' work goes into the result.
//!
//! Left out is what differs between two runs (random, times, identities of one machine) and what only
//! configuring itself needed. Decided by path alone, so that the list can be read and tested.

/// What becomes of a changed path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is kept as it is.
    Keep,
    /// It is kept with these contents instead of its own.
    With(&'static str),
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
    ("etc/machine-id", Verdict::With("")),
    ("etc/shadow", Verdict::Shadow),
    ("etc/.updated", Verdict::Drop),
    ("etc/group-", Verdict::Drop),
    ("etc/gshadow-", Verdict::Drop),
    ("etc/passwd-", Verdict::Drop),
    ("etc/shadow-", Verdict::Drop),
    ("etc/subgid-", Verdict::Drop),
    ("etc/subuid-", Verdict::Drop),
    // What `/var/lock` points to, for systems that start nothing which makes it.
    ("run/lock", Verdict::Keep),
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

/// Made at random when a package is configured, and meant for one machine; those that a package has are kept.
const SECRETS: &[(&str, Verdict)] = &[
    ("etc/bind/rndc.key", Verdict::Drop),
    // So the service makes it when it first starts; without the file it does not start.
    ("etc/iscsi/initiatorname.iscsi", Verdict::With("GenerateName=yes\n")),
    ("etc/munge/munge.key", Verdict::Drop),
    ("etc/nvme/hostid", Verdict::Drop),
    ("etc/nvme/hostnqn", Verdict::Drop),
    ("etc/ssl/certs/ssl-cert-snakeoil.pem", Verdict::Drop),
    ("etc/ssl/private/ssl-cert-snakeoil.key", Verdict::Drop),
    ("etc/unbound/unbound_control.key", Verdict::Drop),
    ("etc/unbound/unbound_control.pem", Verdict::Drop),
    ("etc/unbound/unbound_server.key", Verdict::Drop),
    ("etc/unbound/unbound_server.pem", Verdict::Drop),
];

/// Files that belong to a group other than root's on every Debian system. systemd-sysusers writes them anew, and
/// gives the copy the group only if it sees that it has another; but what is emulated, it does not see.
const GROUPS: &[(&str, u32)] = &[("etc/gshadow", SHADOW), ("etc/shadow", SHADOW)];

/// The group `shadow`; base-passwd has the number.
const SHADOW: u32 = 42;

/// Returns the group of the file `path`, which was found with the group `found`.
pub(super) fn group_of(path: &[u8], found: u32) -> u32 {
    match GROUPS.iter().find(|(exact, _)| exact.as_bytes() == path) {
        Some((_, group)) if found == 0 => *group,
        _ => found,
    }
}

/// Files that programs write-protect when they make them.
const PROTECTED: &[&str] = &["etc/machine-id", "etc/udev/hwdb.bin", "usr/lib/udev/hwdb.bin"];

/// Returns the mode of the new file `path`, which was found with the mode `found`.
///
/// The trees that scripts see may have nothing writable, whatever the packages say. So what was copied with
/// its mode and then edited (`/etc/shells`) is write-protected as hardly anything is on purpose.
pub(super) fn mode_of_new_file(path: &[u8], found: u32) -> u32 {
    match found {
        0o444 if !PROTECTED.iter().any(|exact| exact.as_bytes() == path) => 0o644,
        0o555 => 0o755,
        _ => found,
    }
}

/// Returns what becomes of the changed path `path`; `is_packaged` says that a package has something there.
pub(super) fn verdict(path: &[u8], is_packaged: bool) -> Verdict {
    if let Some((_, verdict)) = PATHS.iter().find(|(exact, _)| exact.as_bytes() == path) {
        return *verdict;
    }
    if let Some((_, verdict)) = SECRETS.iter().find(|(secret, _)| secret.as_bytes() == path)
        && !is_packaged
    {
        return *verdict;
    }
    let (directory, name) = split(path);
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

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Says whether a new symbolic link at `path` is but another name of a file beside it that is dropped: certificates
/// have such, called by their hash. Links from elsewhere, as configurations have them, are kept: the machine's own file
/// will be there.
pub(super) fn is_name_of_secret(path: &[u8], target: &[u8]) -> bool {
    let directory = split(path).0;
    let (above, name) = split(target.strip_prefix(b"./").unwrap_or(target));
    let is_beside = match target.first() {
        Some(b'/') => above.strip_prefix(b"/") == Some(directory),
        _ => above.is_empty(),
    };
    is_beside && SECRETS.iter().any(|(secret, _)| split(secret.as_bytes()) == (directory, name))
}

/// Says whether a text has a private key in PEM's form (RFC 7468, section 10, and what OpenSSL and PGP call theirs).
pub(super) fn has_private_key(text: &[u8]) -> bool {
    let is_begin = |line: &[u8]| {
        line.starts_with(b"-----BEGIN ")
            && line.windows(12).any(|part| part == b"PRIVATE KEY-" || part == b"PRIVATE KEY ")
    };
    text.split(|byte| *byte == b'\n').any(is_begin)
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
            ("etc/machine-id", Verdict::With("")),
            ("etc/ssh/ssh_host_rsa_key", Verdict::Drop),
            ("etc/iscsi/initiatorname.iscsi", Verdict::With("GenerateName=yes\n")),
            ("etc/ssh/sshd_config", Verdict::Keep),
            ("etc/ld.so.cache", Verdict::Keep),
            ("run/lock", Verdict::Keep),
            ("run/lock/x", Verdict::Drop),
            ("run", Verdict::Keep),
            ("running/x", Verdict::Keep),
            ("var/lib/dpkg/status", Verdict::Keep),
            ("var/lib/dpkg/status-old", Verdict::Drop),
            ("var/lib/dpkg/info/x-old", Verdict::Keep),
            ("var/log/dpkg.log", Verdict::Drop),
            ("var/log/wtmp", Verdict::KeepIfEmpty),
            ("var/log/apt/x", Verdict::KeepIfEmpty),
            ("etc/ssl/private/ssl-cert-snakeoil.key", Verdict::Drop),
            ("etc/ssl/certs/ssl-cert-snakeoil.pem", Verdict::Drop),
            ("etc/ssl/certs/ca-certificates.crt", Verdict::Keep),
            ("etc/nvme/hostid", Verdict::Drop),
            ("etc/unbound/unbound_server.pem", Verdict::Drop),
            ("etc/unbound/unbound.conf", Verdict::Keep),
        ];
        for (path, expected) in cases {
            assert_eq!(verdict(path.as_bytes(), false), expected, "{path}");
        }
        // What a package has there is not something that a run left behind.
        assert_eq!(verdict(b"var/cache/man/x", true), Verdict::Keep);
        assert_eq!(verdict(b"etc/munge/munge.key", true), Verdict::Keep);
    }

    #[test]
    fn names_of_secrets() {
        let cases = [
            ("etc/ssl/certs/0123abcd.0", "ssl-cert-snakeoil.pem", true),
            ("etc/ssl/certs/0123abcd", "/etc/ssl/certs/ssl-cert-snakeoil.pem", true),
            ("etc/ssl/certs/0123abcd", "./ssl-cert-snakeoil.pem", true),
            ("etc/ssl/certs/0123abcd", "ca.pem", false),
            ("etc/ssl/certs/0123abcd", "/ssl-cert-snakeoil.pem", false),
            ("etc/dovecot/private/dovecot.pem", "/etc/ssl/certs/ssl-cert-snakeoil.pem", false),
            ("etc/ssl/ssl-cert-snakeoil.pem", "certs/ssl-cert-snakeoil.pem", false),
        ];
        for (path, target, expected) in cases {
            assert_eq!(is_name_of_secret(path.as_bytes(), target.as_bytes()), expected, "{path} -> {target}");
        }
    }

    #[test]
    fn private_keys() {
        let has = |text: &str| has_private_key(text.as_bytes());
        assert!(has("-----BEGIN PRIVATE KEY-----\nMC4\n"));
        assert!(has("# made today\n-----BEGIN RSA PRIVATE KEY-----\r\n"));
        assert!(has("-----BEGIN PGP PRIVATE KEY BLOCK-----"));
        assert!(!has("-----BEGIN CERTIFICATE-----\n"));
        assert!(!has("grep -- '-----BEGIN PRIVATE KEY-----'\n"));
    }

    #[test]
    fn modes_of_new_files() {
        assert_eq!(mode_of_new_file(b"etc/shells", 0o444), 0o644);
        assert_eq!(mode_of_new_file(b"usr/local/bin/x", 0o555), 0o755);
        assert_eq!(mode_of_new_file(b"etc/udev/hwdb.bin", 0o444), 0o444);
        assert_eq!(mode_of_new_file(b"etc/sudoers", 0o440), 0o440);
    }

    #[test]
    fn groups() {
        assert_eq!(group_of(b"etc/shadow", 0), 42);
        assert_eq!(group_of(b"etc/shadow", 7), 7);
        assert_eq!(group_of(b"etc/passwd", 0), 0);
    }

    #[test]
    fn shadow_days() {
        let shadow = b"root:*:20778:0:99999:7:::\nnew:!:0:0:::::\nnone:*::0:::::\nshort:x\n";
        let expected = b"root:*:19000:0:99999:7:::\nnew:!:0:0:::::\nnone:*::0:::::\nshort:x\n";
        assert_eq!(shadow_with_day(shadow, 19000), expected);
    }
}
