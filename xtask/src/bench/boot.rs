//! From the start of QEMU to what a guest says first: ours beside the same QEMU with the same command line alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, write};

/// What the guest says before it powers itself off.
const BANNER: &str = "hello from the guest";
/// How much longer ours may take, in seconds.
const GOAL: f64 = 0.100;

/// A machine with so small a guest that there is nothing but starting it, and its QEMU as a program for this
/// machine.
const PROJECT: &str = r#"
[stack]
name = "boot"

[source.files]
path = "files"

[env.vm]
distro   = "debian:bookworm"
packages = ["qemu-system-arm"]

[target.guest]
kind    = "command"
env     = "vm"
sources = ["files"]
run     = 'cp src/files/guest.bin "$OUT"'
outputs = ["guest.bin"]

[target.qemu]
kind    = "command"
env     = "vm"
outputs = ["bin", "lib"]
run     = '''
mkdir "$OUT/bin" "$OUT/lib" "$OUT/lib/programs"
file=$(command -v qemu-system-aarch64)
cp -L "$file" "$OUT/lib/programs/"
for library in $(ldd "$file" | grep -o '/[^ ]*'); do
  cp -Lf "$library" "$OUT/lib/"
done
printf '%s\n' '#!/bin/sh' 'lib=$(dirname "$0")/../lib' \
  'exec "$lib"/ld-linux-*.so.* --library-path "$lib" "$lib/programs/qemu-system-aarch64" "$@"' \
  > "$OUT/bin/qemu-system-aarch64"
chmod 755 "$OUT/bin/qemu-system-aarch64"
'''

[machine.vm]
arch   = "arm64"
env    = "vm"
memory = "256M"
accel  = "tcg"

[machine.vm.regions]
guest = { raw = "guest", at = "0x40200000", entry = true }
"#;

/// Measures a boot by `runvm`, by `bootwright run`, and by QEMU alone.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("boot")?;
    let project = scratch.join("project");
    make_directory(&project.join("files"))?;
    write(&project.join("bootwright.toml"), PROJECT)?;
    let guest = project.join("files/guest.bin");
    fs::write(&guest, guest_code())
        .map_err(|error| format!("could not write `{}`: {error}", guest.display()))?;
    let bootwright = || {
        let mut command = Command::new(context.program("bootwright"));
        command.current_dir(&project).arg("--cache").arg(scratch.join("cache"));
        command
    };
    command(bootwright().args(["build", "qemu", "guest"]))?;
    let bare = arguments(&command(bootwright().args(["run", "--dry-run", "--json"]))?)?;

    let path = format!("PATH={}:/usr/bin:/bin", project.join("out/qemu/bin").display());
    let with_qemu = || Task::new("env", &scratch).arg(path.clone());
    let logs = scratch.join("logs");
    make_directory(&logs)?;
    write(&scratch.join("boot.json"), &specification(&project).to_string())?;
    let runvm = with_qemu().arg(context.program("runvm")).args(["boot", "boot.json", "logs"]);
    let whole = Task::new(context.program("bootwright"), &project)
        .arg("--cache")
        .arg(scratch.join("cache"))
        .args(["run"]);
    let alone = bare.into_iter().fold(with_qemu(), Task::arg);
    let mut cases = [
        Case::new("runvm", runvm),
        Case::new("bootwright run", whole).says(BANNER),
        Case::new("qemu-system-aarch64", alone).says(BANNER),
    ];
    let samples = in_turns(&scratch, &mut cases, n_runs)?;
    let mut rows: Vec<Row> =
        cases.iter().zip(&samples).map(|(case, samples)| Row::of(case.name, samples)).collect();
    let peer = rows.pop().ok_or("nothing was measured")?;
    let mut rows: Vec<Row> =
        rows.into_iter().map(|row| row.against(&peer).goal(Goal::Longer(GOAL))).collect();
    rows.push(peer);
    let title = format!("an arm64 guest of a few instructions, on TCG, {n_runs} runs");
    Ok(Report { name: "boot", title, rows, notes: Vec::new() })
}

/// Returns the command line that `run --dry-run --json` printed.
fn arguments(text: &str) -> Result<Vec<String>, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("`run --dry-run --json` printed no JSON: {error}"))?;
    let program = value["program"].as_str();
    let arguments = value["arguments"].as_array().into_iter().flatten().map(Value::as_str);
    let words: Option<Vec<String>> =
        std::iter::once(program).chain(arguments).map(|word| word.map(str::to_owned)).collect();
    words.ok_or_else(|| format!("`run --dry-run --json` printed no command line: {text}"))
}

/// Returns what `runvm` is told: the machine of the project, and what to wait for.
fn specification(project: &Path) -> Value {
    let guest = project.join("out/guest/guest.bin");
    json!({
        "machine": {
            "arch": "arm64", "cpus": 1, "memory_mib": 256, "accelerator": "tcg",
            "regions": [{
                "name": "guest", "content": { "raw": guest }, "place": { "at": "0x40200000" }, "entry": {},
            }],
        },
        "script": [{ "expect": BANNER }],
        "ending": "power-off",
        "timeout_seconds": 60,
    })
}

/// Writes the banner to the PL011 of QEMU's `virt`, then powers the machine off.
fn guest_code() -> Vec<u8> {
    const CODE: [u32; 9] = [
        0xd2a1_2001, // mov x1, 0x09000000
        0x1000_0100, // adr x0, 32 bytes on: behind the code
        0x3840_1402, // ldrb w2, [x0], 1
        0x3400_0062, // cbz w2, 12 bytes on
        0x3900_0022, // strb w2, [x1]
        0x17ff_fffd, // b 12 bytes back
        0x52b0_8000, // mov w0, 0x84000000
        0x7280_0100, // movk w0, 8: SYSTEM_OFF of PSCI
        0xd400_0002, // hvc 0
    ];
    let mut bytes: Vec<u8> = CODE.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(BANNER.as_bytes());
    bytes.extend(b"\n\0");
    bytes
}
