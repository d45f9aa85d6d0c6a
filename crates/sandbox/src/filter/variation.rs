//! The system calls that a variation changes on their way.

use super::bpf::{Action, Condition, Program, Rule, assemble};
use crate::Variation;

/// The clocks that tell the time of day (linux/time.h).
pub(crate) const TIME_OF_DAY: [i32; 3] = [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI];

/// Returns the filter of a variation, to be installed besides the sandbox's own: it has the tracer told of
/// the calls that `crate::init`'s tracer changes, and allows all others.
pub(crate) fn variation(variation: &Variation) -> Program {
    let mut rules = Vec::new();
    if variation.clock_ahead != 0 {
        rules.push(Rule::always(libc::SYS_gettimeofday, Action::Trace));
        #[cfg(target_arch = "x86_64")]
        rules.push(Rule::always(libc::SYS_time, Action::Trace));
        let is_clock = |clock: i32| Condition::Equal { argument: 0, mask: u32::MAX, value: clock as u32 };
        for clock in TIME_OF_DAY {
            rules.push(Rule::when(libc::SYS_clock_gettime, is_clock(clock), Action::Trace));
        }
        // Waiting until a time of day: what the caller means by it is ahead, too.
        let until = |argument, mask| Condition::AnyOf { argument, mask };
        let realtime = until(1, libc::FUTEX_CLOCK_REALTIME as u32);
        rules.push(Rule::when(libc::SYS_futex, realtime, Action::Trace));
        rules.push(Rule {
            call: libc::SYS_clock_nanosleep,
            conditions: vec![is_clock(libc::CLOCK_REALTIME), until(1, libc::TIMER_ABSTIME as u32)],
            action: Action::Trace,
        });
    }
    if variation.reversed_directories {
        rules.push(Rule::always(libc::SYS_getdents64, Action::Trace));
        #[cfg(target_arch = "x86_64")]
        rules.push(Rule::always(libc::SYS_getdents, Action::Trace));
    }
    // What is foreign or unknown, the sandbox's filter decides.
    assemble(&rules, Action::Allow, u32::MAX, Action::Allow)
}

#[cfg(test)]
mod tests {
    use super::super::bpf::tests::native;
    use super::*;

    #[test]
    fn only_what_varies_is_traced() {
        let clock = Variation { clock_ahead: 1, ..Variation::default() };
        let order = Variation { reversed_directories: true, ..Variation::default() };
        let check = |call, arguments: &[u64], of_clock, of_order| {
            assert_eq!(native(&variation(&clock), call, arguments), of_clock, "{call}");
            assert_eq!(native(&variation(&order), call, arguments), of_order, "{call}");
        };
        let (allow, trace) = (Action::Allow, Action::Trace);
        check(libc::SYS_gettimeofday, &[], trace, allow);
        check(libc::SYS_clock_gettime, &[libc::CLOCK_REALTIME as u64], trace, allow);
        check(libc::SYS_clock_gettime, &[libc::CLOCK_MONOTONIC as u64], allow, allow);
        let wait = (libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG) as u64;
        check(libc::SYS_futex, &[0, wait], allow, allow);
        check(libc::SYS_futex, &[0, wait | libc::FUTEX_CLOCK_REALTIME as u64], trace, allow);
        check(libc::SYS_clock_nanosleep, &[0, 1], trace, allow);
        check(libc::SYS_clock_nanosleep, &[0, 0], allow, allow);
        check(libc::SYS_getdents64, &[], allow, trace);
    }
}
