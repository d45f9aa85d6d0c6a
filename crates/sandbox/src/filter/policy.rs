//! The system calls that no command in a sandbox may make.
//!
//! Namespaces keep a command from what is not in its world; this keeps it from parts of the kernel that know
//! no namespaces, or that have let too many through.

use super::bpf::{Action, Condition, Program, Rule, assemble};
use crate::User;

const NOT_PERMITTED: Action = Action::Return(libc::EPERM as u16);
/// What programs take for an old kernel; they then do without.
const NOT_THERE: Action = Action::Return(libc::ENOSYS as u16);

/// The last system call of Linux 6.18 (`file_setattr`), which this list was written for. Later ones are not
/// there. The x32 convention sets bit 30 of the number, so it is not there either.
const LAST_KNOWN: u32 = 469;

/// Numbered alike on all machines; missing in libc.
const OPEN_TREE_ATTR: libc::c_long = 467;

/// Nothing that a build does, neither as root.
const FORBIDDEN: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// What programs try first and do without. The flags of `clone3` are in memory, out of a filter's sight.
const MISSING: &[libc::c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_io_uring_setup];

/// What only root of the sandbox may do.
const ROOT_ONLY: &[libc::c_long] = &[
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_pivot_root,
    libc::SYS_umount2,
];

/// A time namespace, by `unshare` only: for `clone` the bit is part of the signal.
const NEW_TIME: u32 = 0x80;
const ANY_NAMESPACE: u32 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u32;
/// With a user namespace of its own, a command could have a cgroup namespace of its own, mount the cgroup
/// file system, and there freeze or kill its cgroup: ours.
const NO_NAMESPACE_FOR_ROOT: u32 = (libc::CLONE_NEWCGROUP | libc::CLONE_NEWNET | libc::CLONE_NEWUSER) as u32;

/// Pushes input into a terminal; the console's own ways to do so; protocols on a terminal.
const TERMINAL_CONTROL: [u32; 3] = [0x5412, 0x541c, 0x5423];

/// Returns the filter for commands of `user`.
pub(crate) fn policy(user: User) -> Program {
    let mut rules = Vec::new();
    rules.extend(FORBIDDEN.iter().map(|&call| Rule::always(call, NOT_PERMITTED)));
    rules.extend(MISSING.iter().map(|&call| Rule::always(call, NOT_THERE)));
    let namespaces = match user {
        User::Build => {
            rules.extend(ROOT_ONLY.iter().map(|&call| Rule::always(call, NOT_PERMITTED)));
            ANY_NAMESPACE
        }
        User::Root => NO_NAMESPACE_FOR_ROOT,
    };
    let flags = |mask| Condition::AnyOf { argument: 0, mask };
    rules.push(Rule::when(libc::SYS_clone, flags(namespaces), NOT_PERMITTED));
    rules.push(Rule::when(libc::SYS_unshare, flags(namespaces | NEW_TIME), NOT_PERMITTED));
    for value in TERMINAL_CONTROL {
        let command = Condition::Equal { argument: 1, mask: u32::MAX, value };
        rules.push(Rule::when(libc::SYS_ioctl, command, NOT_PERMITTED));
    }
    rules.extend(sockets());
    assemble(&rules, Action::Kill, LAST_KNOWN, NOT_THERE)
}

/// Sockets of the families that programs of a build talk to themselves through. Among the others are such
/// as know no namespaces (vsock reaches the hypervisor) and such as only ever were a way into the kernel.
fn sockets() -> Vec<Rule> {
    let family = |value: i32| Condition::Equal { argument: 0, mask: u32::MAX, value: value as u32 };
    let no_route = Condition::NotEqual { argument: 2, mask: u32::MAX, value: libc::NETLINK_ROUTE as u32 };
    let call = libc::SYS_socket;
    let not_supported = Action::Return(libc::EPROTONOSUPPORT as u16);
    let mut rules =
        vec![Rule { call, conditions: vec![family(libc::AF_NETLINK), no_route], action: not_supported }];
    for internet in [libc::AF_INET, libc::AF_INET6] {
        // Beyond streams, datagrams and raw sockets; the flags of a type are in higher bits.
        let other_type = Condition::AnyOf { argument: 1, mask: 0xc };
        rules.push(Rule { call, conditions: vec![family(internet), other_type], action: not_supported });
        // To be asked for one of the others, the kernel loads modules.
        let known = [0, libc::IPPROTO_ICMP, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMPV6];
        let is_other =
            known.map(|protocol| Condition::NotEqual { argument: 2, mask: u32::MAX, value: protocol as u32 });
        let conditions = [&[family(internet)][..], &is_other].concat();
        rules.push(Rule { call, conditions, action: not_supported });
    }
    for known in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
        rules.push(Rule::when(call, family(known), Action::Allow));
    }
    rules.push(Rule::always(call, Action::Return(libc::EAFNOSUPPORT as u16)));
    // The kernel makes both sockets of a pair before it asks whether the family has pairs at all.
    let pair = libc::SYS_socketpair;
    rules.push(Rule::when(pair, family(libc::AF_UNIX), Action::Allow));
    rules.push(Rule::always(pair, Action::Return(libc::EAFNOSUPPORT as u16)));
    rules
}

#[cfg(test)]
mod tests {
    use super::super::bpf::tests::native;
    use super::*;

    #[track_caller]
    fn check(call: i64, arguments: &[u64], build: Action, root: Action) {
        assert_eq!(native(&policy(User::Build), call, arguments), build);
        assert_eq!(native(&policy(User::Root), call, arguments), root);
    }

    #[test]
    fn namespaces_and_mounts_are_for_root_and_some_for_nobody() {
        let (allow, deny) = (Action::Allow, NOT_PERMITTED);
        check(libc::SYS_mount, &[], deny, allow);
        check(libc::SYS_unshare, &[libc::CLONE_NEWNS as u64], deny, allow);
        check(libc::SYS_unshare, &[libc::CLONE_NEWUSER as u64], deny, deny);
        check(libc::SYS_unshare, &[u64::from(NEW_TIME)], deny, deny);
        check(libc::SYS_unshare, &[libc::CLONE_FS as u64], allow, allow);
        check(libc::SYS_clone, &[libc::SIGCHLD as u64], allow, allow);
        check(libc::SYS_clone, &[(libc::CLONE_NEWPID | libc::SIGCHLD) as u64], deny, allow);
        check(libc::SYS_clone3, &[], NOT_THERE, NOT_THERE);
        check(libc::SYS_keyctl, &[], deny, deny);
        check(i64::from(LAST_KNOWN) + 1, &[], NOT_THERE, NOT_THERE);
    }

    #[test]
    fn arguments_are_compared_in_their_lower_half() {
        // The kernel ignores the upper half of an `unsigned int`, so a filter that compares it is passed by.
        let deny = NOT_PERMITTED;
        check(libc::SYS_ioctl, &[0, 0x5412], deny, deny);
        check(libc::SYS_ioctl, &[0, 0xffff_ffff_0000_5412], deny, deny);
        check(libc::SYS_ioctl, &[0, 0x5413], Action::Allow, Action::Allow);
    }

    #[test]
    fn only_usual_sockets() {
        let no_family = Action::Return(libc::EAFNOSUPPORT as u16);
        let no_protocol = Action::Return(libc::EPROTONOSUPPORT as u16);
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = family as u64;
            let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64;
            for (kind, protocol) in [(1, 6), (2, 17), (3, 1), (2 | flags, 0), (3, 58)] {
                check(libc::SYS_socket, &[family, kind, protocol], Action::Allow, Action::Allow);
            }
            // SCTP, DCCP, L2TP, MPTCP.
            for (kind, protocol) in [(1, 132), (5, 0), (5 | flags, 132), (6, 0), (6, 33), (2, 115), (1, 262)]
            {
                check(libc::SYS_socket, &[family, kind, protocol], no_protocol, no_protocol);
            }
        }
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
            check(libc::SYS_socket, &[family as u64, 1, 0], Action::Allow, Action::Allow);
        }
        check(libc::SYS_socket, &[libc::AF_VSOCK as u64, 1, 0], no_family, no_family);
        check(libc::SYS_socket, &[libc::AF_PACKET as u64, 1, 0], no_family, no_family);
        check(libc::SYS_socket, &[libc::AF_ALG as u64, 1, 0], no_family, no_family);
        check(libc::SYS_socket, &[libc::AF_NETLINK as u64, 3, 12], no_protocol, no_protocol);
        check(libc::SYS_socketpair, &[libc::AF_UNIX as u64, 1, 0], Action::Allow, Action::Allow);
        check(libc::SYS_socketpair, &[libc::AF_TIPC as u64, 1, 0], no_family, no_family);
    }
}
