//! Looking into images, and comparing them, beside the tools that everybody uses.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::measure::{Case, Task, in_turns, in_turns_without_warm_up};
use super::report::{Goal, Report, Row};
use super::squashfs::make_root;
use super::{Context, command, make_directory, missing, remove, write};

/// How many files are listed.
const N_FILES: usize = 200_000;
/// How many of them have to be listed in a second.
const PER_SECOND: usize = 200_000;
/// How long it may take to say what is in a disk, in seconds.
const TOP: f64 = 0.05;
/// How much of `diffoscope`'s time a comparison may take.
const GOAL: f64 = 0.1;
const UUID: &str = "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b07";

/// Measures `bootwright inspect` of a disk, and of file systems with many files.
pub(crate) fn inspect(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("look")?;
    make_many(context, &scratch)?;
    let bootwright = || Task::new(context.program("bootwright"), &scratch).args(["inspect"]);
    let mut rows = Vec::new();

    let mut cases = [Case::new("top", bootwright().args(["disk.raw"]))];
    let samples = in_turns(&scratch, &mut cases, n_runs)?;
    rows.push(Row::of("inspect of a disk of 2 GB", &samples[0]).goal(Goal::Seconds(TOP)));

    let lacking = missing("unsquashfs", "squashfs-tools");
    let all = Goal::Seconds(N_FILES as f64 / PER_SECOND as f64);
    for (image, peer) in [("many.squashfs", lacking.is_none()), ("many.ext4", false)] {
        let mut cases = vec![Case::new("inspect", bootwright().args([image, "--recursive"]))];
        if peer {
            let task = Task::new("unsquashfs", &scratch).args(["-lls", image]);
            cases.push(Case::new("unsquashfs", task));
        }
        let samples = in_turns(&scratch, &mut cases, n_runs)?;
        let ours = Row::of(&format!("inspect --recursive {image}"), &samples[0]).goal(all);
        match samples.get(1) {
            Some(samples) => {
                let peer = Row::of("unsquashfs -lls", samples);
                rows.extend([ours.against(&peer), peer]);
            }
            None => rows.push(ours),
        }
    }
    let title = format!("{N_FILES} files, {n_runs} runs");
    Ok(Report { name: "inspect", title, rows, notes: lacking.into_iter().collect() })
}

/// Measures `bootwright diff` of two squashfs images that differ in a file, and `diffoscope`.
pub(crate) fn diff(context: &Context, n_runs: usize) -> Result<Report, String> {
    let files = context.scratch("squashfs")?;
    let (n_files, n_bytes) = make_root(context, &files)?;
    let scratch = context.scratch("diff")?;
    let changed = json!({
        "kind": "layer", "output": "changed.tar", "epoch": 0,
        "entries": [{ "path": "usr/bin/changed", "type": "file", "text": "one" }],
    });
    for (name, spec) in [
        ("changed", changed),
        ("a", squashfs("a.squashfs", &[&files.join("layer.tar")])),
        ("b", squashfs("b.squashfs", &[&files.join("layer.tar"), Path::new("changed.tar")])),
    ] {
        mkimg(context, &scratch, name, &spec)?;
    }
    // Both say by 1 that there is a difference.
    let differs = |program: &str| {
        let script =
            format!("code=0; {program} a.squashfs b.squashfs >found || code=$?; test $code = 1; cat found");
        Task::new("sh", &scratch).args(["-euc", &script])
    };
    let ours = context.program("bootwright").display().to_string() + " diff";
    let reading = Task::new("sh", &scratch).args(["-euc", "cat a.squashfs b.squashfs | wc -c"]);
    let mut cases =
        vec![Case::new("diff", differs(&ours)).says("usr/bin/changed"), Case::new("cat", reading)];
    let samples = in_turns(&scratch, &mut cases, n_runs)?;
    let read = Row::of("cat of both", &samples[1]);
    let mut rows = Vec::new();
    let lacking = missing("diffoscope", "diffoscope-minimal");
    if lacking.is_none() {
        let mut cases = vec![
            Case::new("diff", differs(&ours)).says("usr/bin/changed"),
            Case::new("diffoscope", differs("diffoscope")).says("usr/bin/changed"),
        ];
        let samples = in_turns_without_warm_up(&scratch, &mut cases, 1)?;
        let peer = Row::of("diffoscope, one run", &samples[1]);
        rows.extend([Row::of("diff, one run", &samples[0]).against(&peer).goal(Goal::Ratio(GOAL)), peer]);
    }
    rows.extend([Row::of("diff", &samples[0]).against(&read).goal(Goal::Ratio(1.0)), read]);
    let n_megabytes = n_bytes / 1_000_000;
    Ok(Report {
        name: "diff",
        title: format!(
            "two squashfs images of {n_megabytes} MB in {n_files} files, one more in the second, {n_runs} runs"
        ),
        rows,
        notes: lacking.into_iter().collect(),
    })
}

fn squashfs(output: &str, layers: &[&Path]) -> serde_json::Value {
    json!({ "kind": "squashfs", "output": output, "epoch": 0, "layers": layers, "compression": "zstd" })
}

/// Has `mkimg` make something, unless it is there.
fn mkimg(context: &Context, scratch: &Path, name: &str, spec: &serde_json::Value) -> Result<(), String> {
    let output = spec["output"].as_str().unwrap_or_default();
    if scratch.join(output).exists() {
        return Ok(());
    }
    let file = format!("{name}.json");
    write(&scratch.join(&file), &spec.to_string())?;
    command(Command::new(context.program("mkimg")).current_dir(scratch).arg(&file)).map(drop)
}

/// Makes file systems with many files, and a disk with one of them.
fn make_many(context: &Context, scratch: &Path) -> Result<(), String> {
    let tree = scratch.join("tree");
    if !scratch.join("many.tar").exists() {
        remove(&tree)?;
        for idx in 0..N_FILES {
            let directory = tree.join(format!("directory-{}", idx / 500));
            if idx % 500 == 0 {
                make_directory(&directory)?;
            }
            let path = directory.join(format!("file-{idx}"));
            fs::write(&path, idx.to_string())
                .map_err(|error| format!("could not write `{}`: {error}", path.display()))?;
        }
    }
    let layer = json!({ "kind": "layer", "output": "many.tar", "epoch": 0, "trees": ["tree"] });
    let ext4 = json!({
        "kind": "ext4", "output": "many.ext4", "epoch": 0, "layers": ["many.tar"], "size": 1_u64 << 30, "uuid": UUID,
        "hash_seed": UUID, "inodes": N_FILES + 2000,
    });
    let disk = json!({
        "kind": "disk", "output": "disk.raw", "size": 2_u64 << 30, "table": { "kind": "gpt", "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b09" },
        "partitions": [
            { "name": "root", "type": "0fc63daf-8483-4772-8e79-3d69d8477de4", "guid": UUID, "size": "min",
              "file": "many.squashfs" },
            { "name": "data", "type": "0fc63daf-8483-4772-8e79-3d69d8477de4", "size": "grow", "file": "many.ext4",
              "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b08" },
        ],
    });
    mkimg(context, scratch, "layer", &layer)?;
    mkimg(context, scratch, "squashfs", &squashfs("many.squashfs", &[Path::new("many.tar")]))?;
    mkimg(context, scratch, "ext4", &ext4)?;
    mkimg(context, scratch, "disk", &disk)?;
    remove(&tree)
}
