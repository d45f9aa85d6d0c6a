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

#[test]
fn device_trees_out_of_nothing_and_out_of_source() {
    let project = Project::copy_of("examples/device-tree");
    // What the compiler has to say is said, and is no error.
    let board = project.read("boards/board.dts");
    project.write("boards/board.dts", &format!("{board}/ {{ led@7 {{ label = \"{}\"; }}; }};\n", unique()));
    let built = project.succeed(&["build"]);
    assert!(built.stderr.contains("note: board/source: in/source/0/board.dts:"), "{}", built.stderr);
    assert!(built.stderr.contains("Warning (unit_address_vs_reg): /led@7"), "{}", built.stderr);
    let source = project.read("out/board/board.dts");
    assert!(source.contains("sensor@48") && !source.contains("__symbols__"), "{source}");
    assert!(project.read("out/guest/guest.dts").contains("virtio@a003e00"));

    let overlay = project.read("boards/sensor.dtso");
    project.write("boards/sensor.dtso", &overlay.replace("&i2c", "&i2d"));
    project.fail(&["build", "board"], 1, &["it refers to `&i2d`", "did you mean `i2c`?"]);
    project.write("boards/sensor.dtso", &overlay);
    project.write("boards/board.dts", &board.replace("status = \"okay\";", "reg = <1>;"));
    project.fail(
        &["build", "board"],
        1,
        &["`reg` of `/soc/serial@1000` should be entries of 2 cells (1 + 1)"],
    );
    project.write("boards/board.dts", &board.replace("soc.dtsi", "sok.dtsi"));
    project.fail(
        &["build", "board"],
        1,
        &["sok.dtsi: No such file", "list the directory that has it in `includes`"],
    );
    project.write("boards/board.dts", &board.replace("&uart {", "&uart {{"));
    project.fail(&["build", "board"], 1, &["`dtc` does not accept `in/source/0/board.dts`", "board.dts:10"]);
}
