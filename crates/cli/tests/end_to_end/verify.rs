//! Steps that are not reproducible are found, and what they depend on is named.

use crate::harness::{Project, unique};

/// A project with one target that runs `script`.
fn project(script: &str) -> Project {
    Project::new(&format!(
        "[stack]\nname = \"verify\"\n\n[env.tools]\ndistro = \"debian:bookworm\"\n\n\
         [target.thing]\nkind = \"command\"\nenv = \"tools\"\n\
         environment = {{ UNIQUE = \"{}\" }}\nrun = '''\n{script}\n'''\n",
        unique()
    ))
}

/// Checks that a step which runs `script` is found, with a report that has each of `expected`.
#[track_caller]
fn check(script: &str, expected: &[&str]) {
    let ran = project(script).run(&["verify"]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    for text in ["`thing` is not reproducible"].iter().chain(expected) {
        assert!(ran.stdout.contains(text), "not said: {text}\n{}\n{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn what_a_step_depends_on_is_named() {
    check("date +%Y > $OUT/stamp", &["depends on the clock\n", "stamp: from byte", "SOURCE_DATE_EPOCH"]);
    check(
        "mkdir d; touch d/a d/b d/c; ls -U d > $OUT/list",
        &["depends on the order of directories\n", "list: from byte 0 on"],
    );
    check("nproc > $OUT/count", &["depends on the processors\n"]);
    check("hostname > $OUT/host", &["depends on the host name\n", "`bootwright\\n`, then `elsewhere\\n`"]);
    check("id -u > $OUT/user", &["depends on the user\n", "`1000\\n`, then `4711\\n`"]);
    check("umask > $OUT/mask", &["depends on the umask\n"]);
    check("cat /proc/sys/kernel/random/uuid > $OUT/uuid", &["it differs each time it runs\n"]);
    check(
        "test $(id -u) = 1000 || { echo nobody expects this user; exit 7; }; touch $OUT/x",
        &["depends on the user\n", "it failed with exit code 7", "| nobody expects this user"],
    );
}

#[test]
fn programs_that_wait_until_a_time_of_day_do_not_wait_a_year() {
    // A condition variable waits until a time of day; so does a sleep of Perl's library and coreutils'.
    let script = "timeout 20 sleep 0.1\n\
                  timeout 20 perl -MTime::HiRes=clock_nanosleep,CLOCK_REALTIME,TIMER_ABSTIME -e \
                  'clock_nanosleep(CLOCK_REALTIME, (time + 1) * 1e9, TIMER_ABSTIME)'\n\
                  echo done > $OUT/done";
    let ran = project(script).succeed(&["verify", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["different"].as_array().map(Vec::len), Some(0), "{found}");
    assert_eq!(found["same"], found["steps"], "{found}");
}

#[test]
fn the_quickstart_is_reproducible() {
    let project = Project::copy_of("examples/quickstart");
    let ran = project.succeed(&["verify", "disk", "initrd", "kernel"]);
    let steps = ran.stdout.split(' ').next().unwrap().parse::<u32>().unwrap();
    assert!(steps > 100 && ran.stdout.contains(&format!("{steps} of {steps} steps")), "{}", ran.stdout);
}
