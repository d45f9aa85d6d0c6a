//! Why there was no sandbox, and what can be done about it.

use std::fs;
use std::io;
use std::process::ExitStatus;

/// Why a command could not be run in a sandbox. A command that fails is no error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine does not give us namespaces.
    #[error("could not {doing}: this machine does not let this user have namespaces")]
    Unavailable {
        /// What was being done to what.
        doing: String,
        /// What the machine's administrator can do about it.
        help: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Setting up the sandbox failed.
    #[error("could not {doing} for a sandbox")]
    SetUp {
        /// What was being done to what.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The processes that guard the sandbox were killed from outside, or are broken.
    #[error("the sandbox ended without a result (its guard: {status})")]
    Lost {
        /// How the guard ended.
        status: ExitStatus,
    },
}

impl Error {
    /// Returns what the reader can do about it.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Unavailable { help, .. } => Some(help),
            Self::SetUp { .. } | Self::Lost { .. } => None,
        }
    }

    pub(crate) fn set_up(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::SetUp { doing: doing.into(), source: source.into() }
    }

    /// Makes the error of what the init reported. `privileged` says that the step that failed is one of
    /// those that only a user with working namespaces can do.
    pub(crate) fn reported(doing: String, errno: i32, privileged: bool) -> Self {
        let source = io::Error::from_raw_os_error(errno);
        let refused =
            matches!(errno, libc::EPERM | libc::EACCES | libc::ENOSPC | libc::ENOSYS | libc::EINVAL);
        if privileged && refused {
            let help = unavailable_help(&Sysctls::read(), errno);
            Self::Unavailable { doing, help, source }
        } else {
            Self::SetUp { doing, source }
        }
    }
}

/// The settings that forbid user namespaces, as far as this kernel has them.
#[derive(Debug, Default)]
struct Sysctls {
    unprivileged_userns_clone: Option<u64>,
    max_user_namespaces: Option<u64>,
    apparmor_restrict_unprivileged_userns: Option<u64>,
}

impl Sysctls {
    fn read() -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        Self {
            unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            apparmor_restrict_unprivileged_userns: number(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            ),
        }
    }
}

/// Says which setting forbids namespaces and how to change it.
fn unavailable_help(sysctls: &Sysctls, errno: i32) -> String {
    if sysctls.unprivileged_userns_clone == Some(0) {
        return "the sysctl `kernel.unprivileged_userns_clone` is 0; as root: \
                `sysctl -w kernel.unprivileged_userns_clone=1`"
            .to_owned();
    }
    if sysctls.max_user_namespaces == Some(0) {
        return "the sysctl `user.max_user_namespaces` is 0; as root: \
                `sysctl -w user.max_user_namespaces=15000`"
            .to_owned();
    }
    if sysctls.apparmor_restrict_unprivileged_userns == Some(1) {
        return "AppArmor forbids it (`kernel.apparmor_restrict_unprivileged_userns` is 1). As root, give \
                the program a profile in `/etc/apparmor.d/bootwright`: \
                `abi <abi/4.0>, include <tunables/global> profile bootwright /PATH/TO/bootwright \
                flags=(unconfined) { userns, }`, then `apparmor_parser -r /etc/apparmor.d/bootwright`; \
                or for every program: `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
            .to_owned();
    }
    match errno {
        libc::ENOSPC => "too many namespaces exist, or are nested too deeply; as root: \
                         `sysctl -w user.max_user_namespaces=15000` (and likewise \
                         `user.max_mnt_namespaces`, `user.max_net_namespaces`, …)"
            .to_owned(),
        libc::ENOSYS | libc::EINVAL => "the kernel has no user namespaces or is older than 5.12; it needs \
                                        CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS and overlayfs"
            .to_owned(),
        _ => {
            "inside a container, allow them from outside: `--security-opt seccomp=unconfined --security-opt \
              apparmor=unconfined --security-opt systempaths=unconfined` (Docker), `--security-opt \
              unmask=ALL` (Podman)"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sysctls: &Sysctls, errno: i32, expected: &str) {
        let help = unavailable_help(sysctls, errno);
        assert!(help.contains(expected), "{help}");
    }

    #[test]
    fn names_what_forbids_namespaces() {
        let debian = Sysctls { unprivileged_userns_clone: Some(0), ..Sysctls::default() };
        check(&debian, libc::EPERM, "sysctl -w kernel.unprivileged_userns_clone=1");
        let none = Sysctls { max_user_namespaces: Some(0), ..Sysctls::default() };
        check(&none, libc::ENOSPC, "sysctl -w user.max_user_namespaces");
        let ubuntu = Sysctls {
            max_user_namespaces: Some(100),
            apparmor_restrict_unprivileged_userns: Some(1),
            ..Sysctls::default()
        };
        check(&ubuntu, libc::EACCES, "flags=(unconfined) { userns, }");
        check(&Sysctls::default(), libc::EPERM, "--security-opt seccomp=unconfined");
        check(&Sysctls::default(), libc::EINVAL, "CONFIG_USER_NS");
    }

    #[test]
    fn a_refusal_is_unavailable_only_for_privileged_steps() {
        let error = Error::reported("make namespaces".to_owned(), libc::EPERM, true);
        assert!(matches!(error, Error::Unavailable { .. }) && error.help().is_some());
        let error = Error::reported("mount the overlay at `/`".to_owned(), libc::EPERM, false);
        assert_eq!(error.to_string(), "could not mount the overlay at `/` for a sandbox");
    }
}
