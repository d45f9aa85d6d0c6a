//! What a build tells: its timeline, its events again, the results that programs read.

use crate::harness::{Project, unique};

/// `word` tells this project's steps from those of other tests.
fn project(word: &str) -> Project {
    Project::new(&format!(
        "[stack]\nname = \"told\"\n[env.small]\ndistro = \"debian:bookworm\"\n[target.made]\nkind = \"command\"\n\
         env = \"small\"\nrun = \"echo {word} {} > $OUT/made\"\n[target.broken]\nkind = \"command\"\nenv = \"small\"\n\
         inputs = {{ made = \"made\" }}\nrun = \"exit 3\"\n",
        unique()
    ))
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The boxes of a timeline by name.
fn boxes(trace: &str) -> Vec<(String, u64)> {
    let trace = json(trace);
    let events = trace["traceEvents"].as_array().unwrap();
    let complete = events.iter().filter(|event| event["ph"] == "X");
    complete
        .map(|event| (event["name"].as_str().unwrap().to_owned(), event["dur"].as_u64().unwrap()))
        .collect()
}

#[test]
fn the_last_build_is_told_again() {
    let project = project("again");
    project.fail(&["log"], 2, &["nothing was built here yet"]);
    let trace = project.path().join("trace.json");
    let words = ["build", "-k", "--trace", trace.to_str().unwrap()];
    project.fail(&words, 1, &["`broken` failed with exit code 3"]);

    let live = boxes(&project.read("trace.json"));
    assert!(live.iter().any(|(name, microseconds)| name == "made" && *microseconds > 0), "{live:?}");
    assert!(live.iter().any(|(name, _)| name == "broken"), "{live:?}");

    let again = project.path().join("again.json");
    let told = project.succeed(&["log", "--trace", again.to_str().unwrap()]).stdout;
    let names = |boxes: &[(String, u64)]| boxes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&boxes(&project.read("again.json"))), names(&live));
    for expected in [
        " began: ",
        "  started made\n",
        "  ended made after ",
        "  failed: broken after ",
        " 1 failed, 0 skipped\n",
    ] {
        assert!(told.contains(expected), "not told: {expected}\n{told}");
    }
    let events = json(&project.succeed(&["log", "--json"]).stdout);
    let events = events["events"].as_array().unwrap().clone();
    assert_eq!(
        (&events[0]["event"], &events.last().unwrap()["event"]),
        (&"began".into(), &"finished".into())
    );

    // The last build is the last one, also when it had nothing to do.
    project.succeed(&["build", "made"]);
    let told = project.succeed(&["log"]).stdout;
    assert!(told.ends_with("done: 0 ran, 0 failed, 0 skipped\n"), "{told}");
}

#[test]
fn programs_read_results() {
    let project = project("json");
    let built = json(&project.succeed(&["build", "made", "--json"]).stdout);
    assert_eq!(built["targets"][0]["files"][0]["path"], "made");
    assert_eq!(built["steps"]["failed"], 0);
    let plan = json(&project.succeed(&["plan", "broken", "--json"]).stdout);
    assert_eq!(plan["plan"]["steps"].as_array().unwrap().last().unwrap()["fate"], "runs");
    let log = json(&project.succeed(&["log", "made", "--json"]).stdout);
    assert_eq!((&log["label"], &log["log"]), (&"made".into(), &"".into()));
    assert!(json(&project.succeed(&["explain", "made", "--json"]).stdout)["explanation"].is_object());
    assert_eq!(json(&project.succeed(&["lock", "--json"]).stdout)["changed"], false);
    assert!(json(&project.succeed(&["fetch", "--json"]).stdout)["fetched"].is_number());
    assert_eq!(json(&project.succeed(&["doctor", "--json"]).stdout)["can_build"], true);
    assert_eq!(json(&project.succeed(&["gc", "--keep", "365d", "--json"]).stdout)["version"], 1);
    assert_eq!(json(&project.succeed(&["clean", "--json"]).stdout)["removed"], true);
    // Progress is for programs, too: each line has a version.
    let mut command = project.command(&["build", "made"]);
    let ran = crate::harness::run(command.env("PROGRESS", "json"));
    assert!(ran.stderr.lines().all(|line| json(line)["version"] == 1), "{}", ran.stderr);
}
