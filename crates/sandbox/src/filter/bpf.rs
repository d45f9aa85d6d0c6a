//! Assembles classic BPF programs for seccomp (Documentation/userspace-api/seccomp_filter.rst).

use libc::sock_filter;

/// A finished program.
pub(crate) type Program = Vec<sock_filter>;

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The kernel executes it.
    Allow,
    /// It returns this error number; 0 is success.
    Return(u16),
    /// The listener answers it.
    Ask,
    /// The tracer is told before the kernel executes it.
    Trace,
    /// The process is killed by SIGSYS.
    Kill,
}

/// A condition on the lower 32 bits of an argument. The kernel itself looks at no more of the arguments
/// that the rules name: they are `int`s, modes, and flags.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    /// Of the bits of the mask, any is set.
    AnyOf { argument: u8, mask: u32 },
    /// The bits of the mask are exactly these.
    Equal { argument: u8, mask: u32, value: u32 },
    /// The bits of the mask are others.
    NotEqual { argument: u8, mask: u32, value: u32 },
}

/// Says what becomes of one system call when all conditions hold. When they do not, later rules decide.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) call: libc::c_long,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action,
}

impl Rule {
    /// A rule without conditions.
    pub(crate) fn always(call: libc::c_long, action: Action) -> Self {
        Self { call, conditions: Vec::new(), action }
    }

    /// A rule with one condition.
    pub(crate) fn when(call: libc::c_long, condition: Condition, action: Action) -> Self {
        Self { call, conditions: vec![condition], action }
    }
}

/// The machine whose system call numbers we mean (`AUDIT_ARCH_…` of linux/audit.h).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
/// The machine whose system call numbers we mean (`AUDIT_ARCH_…` of linux/audit.h).
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets into `struct seccomp_data`. Both machines are little-endian: an argument's lower half is first.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const fn argument_offset(argument: u8) -> u32 {
    16 + 8 * argument as u32
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | libc::BPF_K | test) as u16, jt, jf, k }
}

fn answer(action: Action) -> sock_filter {
    let value = match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Return(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
        Action::Ask => libc::SECCOMP_RET_USER_NOTIF,
        Action::Trace => libc::SECCOMP_RET_TRACE,
        Action::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    statement(libc::BPF_RET | libc::BPF_K, value)
}

/// Assembles a program: the first rule that holds decides, and without one the call is allowed.
///
/// `foreign` decides calls in another machine's convention (32-bit programs), whose numbers mean other
/// calls; `unknown` those above `last_known`, among them all of x32.
pub(crate) fn assemble(rules: &[Rule], foreign: Action, last_known: u32, unknown: Action) -> Program {
    let mut program = vec![
        load(MACHINE),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(foreign),
        load(NUMBER),
        jump(libc::BPF_JGT, last_known, 0, 1),
        answer(unknown),
    ];
    for rule in rules {
        let mut block = Vec::new();
        for condition in &rule.conditions {
            // Where a condition fails, the jump goes to the end of the block; how far, is known below.
            match *condition {
                Condition::AnyOf { argument, mask } => {
                    block.push(load(argument_offset(argument)));
                    block.push(jump(libc::BPF_JSET, mask, 0, u8::MAX));
                }
                Condition::Equal { argument, mask, value } => {
                    block.push(load(argument_offset(argument)));
                    block.push(statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask));
                    block.push(jump(libc::BPF_JEQ, value, 0, u8::MAX));
                }
                Condition::NotEqual { argument, mask, value } => {
                    block.push(load(argument_offset(argument)));
                    block.push(statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask));
                    block.push(jump(libc::BPF_JEQ, value, u8::MAX, 0));
                }
            }
        }
        block.push(answer(rule.action));
        if !rule.conditions.is_empty() {
            // The accumulator holds an argument by now, and the next rule wants the number.
            block.push(load(NUMBER));
        }
        let len = block.len();
        let end = if rule.conditions.is_empty() { len } else { len - 1 };
        for (idx, instruction) in block.iter_mut().enumerate() {
            let distance =
                u8::try_from(end - idx.min(end - 1) - 1).expect("a rule has a handful of conditions");
            for target in [&mut instruction.jt, &mut instruction.jf] {
                if *target == u8::MAX {
                    *target = distance;
                }
            }
        }
        let number = u32::try_from(rule.call).expect("system call numbers are small");
        let over = u8::try_from(len).expect("a rule has a handful of conditions");
        program.push(jump(libc::BPF_JEQ, number, 0, over));
        program.extend(block);
    }
    program.push(answer(Action::Allow));
    program
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs `program` as the kernel would.
    pub(crate) fn interpret(program: &[sock_filter], machine: u32, call: i64, arguments: &[u64]) -> Action {
        let mut accumulator = 0_u32;
        let mut at = 0;
        loop {
            let instruction = program[at];
            at += 1;
            let (code, k) = (u32::from(instruction.code), instruction.k);
            if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                accumulator = match k {
                    NUMBER => call as u32,
                    MACHINE => machine,
                    _ => arguments.get((k as usize - 16) / 8).copied().unwrap_or(0) as u32,
                };
            } else if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K {
                accumulator &= k;
            } else if code == libc::BPF_RET | libc::BPF_K {
                return [Action::Allow, Action::Ask, Action::Trace, Action::Kill]
                    .into_iter()
                    .find(|&action| answer(action).k == k)
                    .unwrap_or(Action::Return(k as u16));
            } else {
                let holds = match code & 0xf0 {
                    libc::BPF_JEQ => accumulator == k,
                    libc::BPF_JGT => accumulator > k,
                    libc::BPF_JSET => accumulator & k != 0,
                    test => panic!("{test}"),
                };
                at += usize::from(if holds { instruction.jt } else { instruction.jf });
            }
        }
    }

    pub(crate) fn native(program: &[sock_filter], call: i64, arguments: &[u64]) -> Action {
        interpret(program, ARCHITECTURE, call, arguments)
    }

    #[test]
    fn the_first_rule_that_holds_decides() {
        let rules = [
            Rule {
                call: 5,
                conditions: vec![
                    Condition::AnyOf { argument: 0, mask: 6 },
                    Condition::NotEqual { argument: 1, mask: 0xff, value: 9 },
                ],
                action: Action::Return(1),
            },
            Rule::when(5, Condition::Equal { argument: 1, mask: 0xff, value: 9 }, Action::Ask),
            Rule::always(5, Action::Return(0)),
            Rule::always(6, Action::Return(2)),
        ];
        let program = assemble(&rules, Action::Kill, 100, Action::Return(38));
        let check = |call, arguments: &[u64], expected| {
            assert_eq!(native(&program, call, arguments), expected, "{call} {arguments:?}");
        };
        check(5, &[2, 0], Action::Return(1));
        check(5, &[2, 0x109], Action::Ask);
        check(5, &[1, 9], Action::Ask);
        check(5, &[1, 0], Action::Return(0));
        check(6, &[], Action::Return(2));
        check(7, &[], Action::Allow);
        check(101, &[], Action::Return(38));
        check(0x4000_0005, &[2, 0], Action::Return(38));
        assert_eq!(interpret(&program, 0x4000_0003, 5, &[]), Action::Kill);
    }
}
