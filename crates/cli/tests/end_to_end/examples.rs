//! Every example does what its comments say.

use crate::harness::{Project, unique};

#[test]
fn quickstart_boots_and_a_second_run_does_nothing() {
    let project = Project::copy_of("examples/quickstart");
    let cmdline = format!("panic=-1 boot={}", unique());
    project.write("bootwright.toml", &project.read("bootwright.toml").replace("panic=-1", &cmdline));
    let first = project.succeed(&["test"]);
    assert!(first.stdout.ends_with("1 passed, 0 failed\n"), "{}", first.stdout);

    let second = project.succeed(&["test"]);
    assert!(second.stdout.ends_with("1 passed, 0 failed\n"), "{}", second.stdout);
    assert!(second.stderr.contains("nothing to do"), "{}", second.stderr);

    // What the guest ran on, if not on KVM, is all that there is to note, and it was said.
    let log = project.succeed(&["log", "boots"]);
    assert!(log.stdout.contains("TCG") || log.stdout.is_empty(), "{}", log.stdout);
    for line in log.stdout.lines() {
        let said = line.replacen("note: ", "note: boots: ", 1);
        assert!(first.stderr.contains(&said), "not said: {said}\n{}", first.stderr);
    }
}

#[test]
fn a_changed_file_rebuilds_what_it_must_and_explain_names_it() {
    let project = Project::copy_of("examples/quickstart");
    project.succeed(&["build", "disk"]);
    let recipe =
        project.read("bootwright.toml").replace("packages installed:", &format!("packages {}:", unique()));
    project.write("bootwright.toml", &recipe);

    let plan = project.succeed(&["plan", "disk", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let steps = plan["plan"]["steps"].as_array().unwrap();
    let running: Vec<&str> = steps
        .iter()
        .filter(|step| step["fate"] != "remembered")
        .map(|step| step["label"].as_str().unwrap())
        .collect();
    assert_eq!(running, ["rootfs/files", "disk"]);

    let explained = project.succeed(&["explain", "disk"]);
    assert!(explained.stdout.contains("rootfs/files"), "{}", explained.stdout);

    let built = project.succeed(&["build", "disk", "--json"]);
    let built: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
    assert_eq!(built["steps"]["ran"], 2, "{built}");
}

#[test]
fn the_command_line_of_a_machine_can_be_seen() {
    let project = Project::copy_of("examples/quickstart");
    let shown = project.succeed(&["run", "--dry-run"]);
    assert!(shown.stdout.starts_with("qemu-system-x86_64 -nodefaults"), "{}", shown.stdout);
    assert!(shown.stdout.contains("-append 'console=ttyS0 quiet panic=-1'"), "{}", shown.stdout);
}
