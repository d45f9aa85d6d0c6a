//! Steps that are not reproducible are found, and what they depend on is named.

use crate::harness::{Project, unique};

/// A project with a target for each script, by name.
fn project(scripts: &[(&str, &str)]) -> Project {
    let mut recipe = "[stack]\nname = \"verify\"\n\n[env.tools]\ndistro = \"debian:bookworm\"\n".to_owned();
    for (name, script) in scripts {
        recipe.push_str(&format!(
            "\n[target.{name}]\nkind = \"command\"\nenv = \"tools\"\n\
             environment = {{ UNIQUE = \"{}\" }}\nrun = '''\n{script}\n'''\n",
            unique()
        ));
    }
    Project::new(&recipe)
}

/// What a step does, and what is said about it.
const STEPS: &[(&str, &str, &str)] = &[
    (
        "clock",
        "date +%Y > $OUT/stamp",
        "`clock` is not reproducible: it depends on the clock\n  stamp: from byte 3 on: ",
    ),
    (
        "order",
        "mkdir d; touch d/a d/b d/c; ls -U d > $OUT/list",
        "`order` is not reproducible: it depends on the order of directories\n  list: from byte 0 on: ",
    ),
    ("count", "nproc > $OUT/count", "`count` is not reproducible: it depends on the processors\n"),
    (
        "host",
        "hostname > $OUT/host",
        "depends on the host name\n  host: from byte 0 on: `bootwright\\n`, then `elsewhere\\n`\n",
    ),
    ("user", "id -u > $OUT/user", "depends on the user\n  user: from byte 0 on: `1000\\n`, then `4711\\n`\n"),
    ("mask", "umask > $OUT/mask", "`mask` is not reproducible: it depends on the umask\n"),
    (
        "chance",
        "cat /proc/sys/kernel/random/uuid > $OUT/uuid",
        "`chance` is not reproducible: it differs each time it runs\n  uuid: from byte ",
    ),
    (
        "picky",
        "test $(id -u) = 1000 || { echo nobody expects this user; exit 7; }; touch $OUT/x",
        "`picky` is not reproducible: it depends on the user\n  it failed with exit code 7\n  | nobody expects this user\n",
    ),
    // What is in an image that differs is named.
    (
        "archive",
        "mkdir -p a/etc; hostname > a/etc/issue; echo same > a/etc/same; tar --mtime=@0 --sort=name --owner=0 --group=0 --mode=0644 -C a -cf $OUT/a.tar etc",
        "depends on the host name\n  a.tar: `etc/issue`: `bootwright`, then `elsewhere`\n",
    ),
    // What every command says itself is the same everywhere.
    ("fine", "date -d @0 +%H > $OUT/hour; echo $LANG $HOME $PATH > $OUT/variables", ""),
];

#[test]
fn what_a_step_depends_on_is_named() {
    let scripts: Vec<(&str, &str)> = STEPS.iter().map(|(name, script, _)| (*name, *script)).collect();
    let ran = project(&scripts).run(&["verify"]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    for (_, _, expected) in STEPS {
        assert!(ran.stdout.contains(expected), "not said: {expected}\n{}\n{}", ran.stdout, ran.stderr);
    }
    assert_eq!(ran.stdout.matches("not reproducible").count(), STEPS.len() - 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("help: take times from $SOURCE_DATE_EPOCH instead\n"), "{}", ran.stdout);
}

#[test]
fn programs_that_wait_until_a_time_of_day_do_not_wait_a_year() {
    // A condition variable waits until a time of day; so does a sleep of Perl's library and coreutils'.
    let script = "timeout 20 sleep 0.1\n\
                  timeout 20 perl -MTime::HiRes=clock_nanosleep,CLOCK_REALTIME,TIMER_ABSTIME -e \
                  'clock_nanosleep(CLOCK_REALTIME, (time + 1) * 1e9, TIMER_ABSTIME)'\n\
                  echo done > $OUT/done";
    let ran = project(&[("waiting", script)]).succeed(&["verify", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["different"].as_array().map(Vec::len), Some(0), "{found}");
    assert_eq!(found["same"], found["steps"], "{found}");
}

#[test]
fn the_quickstart_is_reproducible() {
    let project = Project::copy_of("examples/quickstart");
    let ran = project.succeed(&["verify", "disk", "initrd", "kernel"]);
    let steps = ran.stdout.split(' ').next().unwrap().parse::<u32>().unwrap();
    assert!(steps > 50 && ran.stdout.contains(&format!("{steps} of {steps} steps")), "{}", ran.stdout);
}
