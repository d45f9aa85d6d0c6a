//! Sandboxes that are not like others.

use std::num::NonZeroUsize;
use std::time::{SystemTime, UNIX_EPOCH};

use sandbox::{Exit, User, Variation};

use crate::harness::{Test, World};

pub(crate) const TESTS: &[Test] = &[
    ("another_host_and_user", another_host_and_user),
    ("another_time_of_day", another_time_of_day),
    ("waiting_until_a_time_of_day", waiting_until_a_time_of_day),
    ("directories_in_reverse", directories_in_reverse),
    ("one_processor", one_processor),
    ("traced_programs_live_and_die_as_others", traced_programs_live_and_die_as_others),
];

const YEAR: u64 = 365 * 86400;
const SIGTERM: i32 = rustix::process::Signal::TERM.as_raw();

fn run(user: User, variation: Variation, script: &str) -> (Exit, String) {
    let mut world = World::shell(user, script);
    world.sandbox.variation = variation;
    let (ended, printed) = world.run();
    (ended.exit, printed)
}

#[track_caller]
fn check(user: User, variation: &Variation, script: &str, printed: &str) {
    assert_eq!(run(user, variation.clone(), script), (Exit::Code(0), printed.to_owned()), "{script}");
}

/// Everything that is done by tracing.
fn traced() -> Variation {
    Variation { clock_ahead: YEAR, reversed_directories: true, ..Variation::default() }
}

fn another_host_and_user() {
    let variation = Variation {
        hostname: Some("elsewhere".to_owned()),
        build_user: Some(4711),
        umask: Some(0o077),
        ..Variation::default()
    };
    check(User::Build, &variation, "hostname; id -u; id -g; umask", "elsewhere\n4711\n4711\n0077\n");
    check(User::Root, &variation, "hostname; id -u; id -g; umask", "elsewhere\n0\n0\n0077\n");
}

fn another_time_of_day() {
    let variation = Variation { clock_ahead: YEAR, ..Variation::default() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (user, script) in [
        (User::Build, "date +%s"),
        (User::Root, "date +%s"),
        (User::Build, "perl -e 'print time'"),
        (User::Build, "perl -MTime::HiRes=gettimeofday -e 'print((gettimeofday())[0])'"),
        // A process of a process, after a fork.
        (User::Build, "(sh -c 'true; (date +%s); true')"),
    ] {
        let (exit, printed) = run(user, variation.clone(), script);
        let seen: u64 = printed.trim().parse().unwrap_or_else(|_| panic!("{script}: {printed}"));
        assert_eq!(exit, Exit::Code(0));
        assert!((now + YEAR..now + YEAR + 600).contains(&seen), "{script}: {seen} at {now}");
    }
    // What counts from the start of the machine goes on as it is.
    let script = "perl -MTime::HiRes=clock_gettime,CLOCK_MONOTONIC -e 'print int clock_gettime(CLOCK_MONOTONIC)'; \
                  echo; cut -d. -f1 /proc/uptime";
    let (_, printed) = run(User::Build, variation, script);
    let seconds: Vec<i64> = printed.lines().map(|line| line.parse().unwrap()).collect();
    assert!((seconds[0] - seconds[1]).abs() < 600, "{printed}");
}

fn waiting_until_a_time_of_day() {
    let script = "timeout 30 perl -MTime::HiRes=clock_nanosleep,CLOCK_REALTIME,TIMER_ABSTIME -e \
                  'clock_nanosleep(CLOCK_REALTIME, (time + 1) * 1e9, TIMER_ABSTIME); print time > $ARGV[0], qq(\\n)' \
                  $(($(date +%s) - 1))";
    check(User::Build, &traced(), script, "1\n");
}

fn directories_in_reverse() {
    let script = "mkdir d; cd d; i=0; while [ $i -lt 300 ]; do : > f$i; i=$((i+1)); done; ls -U";
    let (_, forward) = run(User::Build, Variation::default(), script);
    let (exit, backward) =
        run(User::Build, Variation { reversed_directories: true, ..Variation::default() }, script);
    assert_eq!(exit, Exit::Code(0), "{backward}");
    let mut lines: Vec<&str> = backward.lines().collect();
    assert_eq!(lines.len(), 300);
    assert_ne!(forward, backward);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 300);
    // Reading in several pieces and removing meanwhile.
    check(User::Build, &traced(), "mkdir d; touch d/a d/b; mkdir d/c; rm -r d; ls", "tools\n");
}

fn one_processor() {
    let variation = Variation { processors: Some(NonZeroUsize::MIN), ..Variation::default() };
    check(User::Build, &variation, "nproc", "1\n");
}

fn traced_programs_live_and_die_as_others() {
    let check = |script, exit, printed: &str| {
        assert_eq!(run(User::Build, traced(), script), (exit, printed.to_owned()), "{script}");
    };
    check("exit 3", Exit::Code(3), "");
    check("kill -TERM $$", Exit::Signal(SIGTERM), "");
    check("trap 'echo caught' USR1; kill -USR1 $$; echo on", Exit::Code(0), "caught\non\n");
    check("sh -c 'kill -STOP $$; echo went on' & sleep 0.3; kill -CONT $!; wait", Exit::Code(0), "went on\n");
    check("sleep 1000 & kill $!; wait $! 2>/dev/null || echo $?", Exit::Code(0), "143\n");
    // What is left when the command ends, is killed.
    check("sleep 1000 & exit 0", Exit::Code(0), "");
    check("seq 200 | xargs -P 8 -n 1 sh -c 'date +%s > /dev/null; echo x' | wc -l", Exit::Code(0), "200\n");
    assert_eq!(run(User::Build, traced(), "/etc/lower").0, Exit::Code(126));
}
