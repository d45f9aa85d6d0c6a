//! `runvm map` as a program: what it writes, and what it says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::Command;

/// Runs `runvm map` on an arm64 machine with 64 MiB and a file `hv` of 4 KiB, and returns its exit code, what it
/// said, and `map.txt`.
fn run(regions: &str) -> (Option<i32>, String, Option<String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("hv"), [0; 4096]).unwrap();
    let machine = format!(r#"{{"arch":"arm64","cpus":1,"memory_mib":64,"regions":[{regions}]}}"#);
    fs::write(path("machine.json"), machine).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runvm"))
        .args(["map", "machine.json", "out/map"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let drawing = fs::read_to_string(path("out/map/map.txt")).ok();
    assert_eq!(drawing.is_some(), path("out/map/map.json").exists());
    (output.status.code(), String::from_utf8(output.stderr).unwrap(), drawing)
}

const HYPERVISOR: &str = r#"{"name":"hv","content":{"raw":"hv"},"place":{"at":"0x40000000"},"entry":{}}"#;

#[test]
fn a_map_is_written_as_json_and_as_a_drawing() {
    let (code, stderr, drawing) = run(HYPERVISOR);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let expected = "\
┌────────────┬────────────┬──────────┬──────────┬────────────┐
│ start      │ end        │     size │ region   │ content    │
├────────────┼────────────┼──────────┼──────────┼────────────┤
│ 0x40000000 │ 0x44000000 │   64 MiB │ RAM      │            │
│ 0x40000000 │ 0x40001000 │    4 KiB │   hv     │ raw, entry │
│ 0x40001000 │ 0x44000000 │ 63.9 MiB │   (free) │            │
└────────────┴────────────┴──────────┴──────────┴────────────┘
the first processor starts in hv at 0x40000000
";
    assert_eq!(drawing.unwrap(), expected);
}

#[test]
fn a_wrong_map_is_told_with_all_problems_and_its_drawing() {
    let guest = r#"{"name":"guest","content":{"reserved":"64M"},"place":{"at":"0x40001000"},"inside":"hw","declared":"bootwright.toml:7"}"#;
    let linux = r#"{"name":"linux","content":{"reserved":"64M"},"place":{"after":"hv"}}"#;
    let (code, stderr, drawing) = run(&format!("{HYPERVISOR},{guest},{linux}"));
    assert_eq!((code, drawing), (Some(1), None));
    let start = "error: the address map of the machine has 2 problems\n┌──";
    assert!(stderr.starts_with(start), "{stderr}");
    let end = "┘\nthe first processor starts in hv at 0x40000000
- `guest` is placed inside `hw`, which is no region
  bootwright.toml:7: `guest`
  help: did you mean `hv`?
- `linux` at 0x40001000..0x44001000 (64 MiB, reserved memory, after `hv`) reaches past the end of RAM at \
               0x44000000: 4 KiB are missing
  help: a machine with 65 MiB has enough
";
    assert!(stderr.ends_with(end), "{stderr}");
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let (code, stderr, _) = run(&HYPERVISOR.replace(r#""raw":"hv""#, r#""elf":"elf""#));
    let expected = "error: could not find out what is to be loaded
- could not read `elf` of region `hv`: No such file or directory (os error 2)
";
    assert_eq!((code, stderr.as_str()), (Some(1), expected));
}
