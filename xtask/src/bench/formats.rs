//! Disks in the formats of hypervisors, beside `qemu-img convert`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::squashfs::make_root;
use super::{Context, command, make_directory, missing, remove, write};

/// The disk's size, in MiB: there is room that is zero behind the files.
const SIZE: u64 = 4000;
/// How much of the peer's time we may take.
const GOAL: f64 = 1.0;
/// The memory that our writers may take, in bytes.
const MEMORY_GOAL: u64 = 256 << 20;
const UUID: &str = "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b06";

/// Measures `mkimg` writing a file system of programs as each format, and `qemu-img`.
pub(crate) fn formats(context: &Context, n_runs: usize) -> Result<Report, String> {
    let files = context.scratch("squashfs")?;
    let (_, n_bytes) = make_root(context, &files)?;
    let scratch = context.scratch("formats")?;
    make_disk(context, &files, &scratch)?;
    let lacking = missing("qemu-img", "qemu-utils");
    let out = scratch.join("out");
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (name, format, theirs) in cases() {
        let spec = json!({ "kind": "convert", "input": "disk.raw", "from": "raw", "output": "out/ours", "format": format });
        write(&scratch.join("convert.json"), &spec.to_string())?;
        let afresh = |path: &'static str| {
            let out = &out;
            move |_| {
                make_directory(out)?;
                remove(&out.join(path))
            }
        };
        let ours = Task::new(context.program("mkimg"), &scratch).args(["convert.json"]);
        let mut cases = vec![Case::new("mkimg", ours).prepare(afresh("ours"))];
        if lacking.is_none() {
            let mut task = Task::new("qemu-img", &scratch).args(["convert", "-f", "raw", "-O"]);
            for word in theirs.split_whitespace().chain(["disk.raw", "out/theirs"]) {
                task = task.arg(word);
            }
            cases.push(Case::new("qemu-img", task).prepare(afresh("theirs")));
        }
        let samples = in_turns(&scratch, &mut cases, n_runs)?;
        let ours =
            Row::of(&format!("mkimg, {name}"), &samples[0]).goal(Goal::Ratio(GOAL)).memory(MEMORY_GOAL);
        match samples.get(1) {
            Some(samples) => {
                let peer = Row::of(&format!("qemu-img, {name}"), samples);
                let [our_size, peer_size] = [taken(&out.join("ours"))?, taken(&out.join("theirs"))?];
                let (megabytes, ratio) = (our_size as f64 / 1e6, our_size as f64 / peer_size as f64);
                notes.push(format!("{name}: takes {megabytes:.1} MB, {ratio:.3} of the peer's"));
                rows.extend([ours.against(&peer), peer]);
            }
            None => rows.push(ours),
        }
    }
    remove(&out)?;
    notes.extend(lacking);
    let n_megabytes = n_bytes / 1_000_000;
    Ok(Report {
        name: "formats",
        title: format!(
            "a disk of {SIZE} MiB with {n_megabytes} MB of this machine's programs, {n_runs} runs"
        ),
        rows,
        notes,
    })
}

/// Returns each format: its name, what we are told, and what `qemu-img` is.
fn cases() -> Vec<(&'static str, Value, &'static str)> {
    let qcow2 = |compression: &str| json!({ "kind": "qcow2", "compression": compression });
    vec![
        ("qcow2", qcow2("none"), "qcow2"),
        ("qcow2 zlib", qcow2("zlib"), "qcow2 -c"),
        ("qcow2 zstd", qcow2("zstd"), "qcow2 -c -o compression_type=zstd"),
        ("vdi", json!({ "kind": "vdi", "uuid": UUID }), "vdi"),
        ("vmdk", json!({ "kind": "vmdk", "uuid": UUID }), "vmdk"),
        (
            "vmdk, stream",
            json!({ "kind": "vmdk", "variant": "stream-optimized", "uuid": UUID }),
            "vmdk -o subformat=streamOptimized",
        ),
        ("vhd", json!({ "kind": "vhd", "uuid": UUID, "epoch": 0 }), "vpc -o force_size=on"),
        ("vhdx", json!({ "kind": "vhdx", "uuid": UUID }), "vhdx"),
    ]
}

/// Makes the disk, unless it is there: a file system of the layer.
fn make_disk(context: &Context, files: &Path, scratch: &Path) -> Result<(), String> {
    if scratch.join("disk.raw").exists() {
        return Ok(());
    }
    let spec = json!({
        "kind": "ext4", "output": "disk.raw", "epoch": 0, "layers": [files.join("layer.tar")], "size": SIZE << 20,
        "uuid": UUID, "hash_seed": UUID,
    });
    write(&scratch.join("ext4.json"), &spec.to_string())?;
    command(Command::new(context.program("mkimg")).current_dir(scratch).arg("ext4.json")).map(drop)
}

/// Returns how much room a file takes: formats differ in where they have holes.
fn taken(path: &Path) -> Result<u64, String> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path)
        .map(|metadata| metadata.blocks() * 512)
        .map_err(|error| format!("could not find `{}`: {error}", path.display()))
}
