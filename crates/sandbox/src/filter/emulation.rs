//! The system calls that root emulation answers.

use super::bpf::{Action, Condition, Program, Rule, assemble};

/// Numbered alike on all machines; missing in libc.
const SETXATTRAT: libc::c_long = 463;
/// Numbered alike on all machines; missing in libc.
const REMOVEXATTRAT: libc::c_long = 466;

/// Answered by the supervisor, which records what was asked for.
const RECORDED: &[libc::c_long] = &[
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_renameat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];

/// Succeed without effect. There is only one user to be, and what the layer becomes is not kept by syncing
/// the file system that it was made on.
const IGNORED: &[libc::c_long] = &[
    libc::SYS_capset,
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setuid,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_msync,
    libc::SYS_sync,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
];

/// Returns the filter of an emulation, to be installed besides the sandbox's own.
pub(crate) fn emulation() -> Program {
    let mut rules = Vec::new();
    rules.extend(RECORDED.iter().map(|&call| Rule::always(call, Action::Ask)));
    rules.extend(IGNORED.iter().map(|&call| Rule::always(call, Action::Return(0))));
    // The same with memory for arguments; programs fall back to the older ones.
    for call in [SETXATTRAT, REMOVEXATTRAT] {
        rules.push(Rule::always(call, Action::Return(libc::ENOSYS as u16)));
    }
    let device = |argument, value| Condition::Equal { argument, mask: libc::S_IFMT, value };
    for kind in [libc::S_IFCHR, libc::S_IFBLK] {
        rules.push(Rule::when(libc::SYS_mknodat, device(2, kind), Action::Ask));
        #[cfg(target_arch = "x86_64")]
        rules.push(Rule::when(libc::SYS_mknod, device(1, kind), Action::Ask));
    }
    // Only such as replace something: without flags.
    let replaces = Condition::Equal { argument: 4, mask: u32::MAX, value: 0 };
    rules.push(Rule::when(libc::SYS_renameat2, replaces, Action::Ask));
    // What is foreign or unknown, the sandbox's filter decides.
    assemble(&rules, Action::Allow, u32::MAX, Action::Allow)
}

#[cfg(test)]
mod tests {
    use super::super::bpf::tests::native;
    use super::*;

    #[test]
    fn asks_for_devices_only() {
        let program = emulation();
        let check =
            |call, arguments: &[u64], expected| assert_eq!(native(&program, call, arguments), expected);
        check(libc::SYS_mknodat, &[0, 0, u64::from(libc::S_IFCHR | 0o644)], Action::Ask);
        check(libc::SYS_mknodat, &[0, 0, u64::from(libc::S_IFIFO | 0o644)], Action::Allow);
        check(libc::SYS_mknodat, &[0, 0, 0o644], Action::Allow);
        check(libc::SYS_fchownat, &[], Action::Ask);
        check(libc::SYS_renameat2, &[0, 0, 0, 0, 0], Action::Ask);
        check(libc::SYS_renameat2, &[0, 0, 0, 0, 1], Action::Allow);
        check(libc::SYS_fsync, &[], Action::Return(0));
        check(libc::SYS_openat, &[], Action::Allow);
    }
}
