//! FAT images, and whole disks, beside the tools that everybody uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::images::{Random, Root};
use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, missing, remove, write};

/// The files of the EFI system partition: so many, of so many bytes.
const N_FILES: usize = 100;
const FILE_LEN: usize = 1_000_000;
/// The sizes of the images, in MiB.
const ESP_SIZE: u64 = 128;
const ROOT_SIZE: u64 = 2000;
/// The memory that our writers may take, in bytes.
const MEMORY_GOAL: u64 = 256 << 20;

/// Measures `mkimg` writing FAT, and `mkfs.vfat` with `mcopy`.
pub(crate) fn fat(context: &Context, n_runs: usize) -> Result<Report, String> {
    let esp = Esp::make(context)?;
    write(&esp.scratch.join("fat.json"), &fat_spec("esp.tar").to_string())?;
    let ours = Task::new(context.program("mkimg"), &esp.scratch).args(["fat.json"]);
    let script = format!(
        "mkfs.vfat -C out/theirs.fat {} >/dev/null; mcopy -s -i out/theirs.fat esp/* ::/",
        ESP_SIZE << 10
    );
    let theirs = Task::new("sh", &esp.scratch).args(["-euc", &script]);
    let lacking = missing("mkfs.vfat", "dosfstools").or(missing("mcopy", "mtools"));
    let mut report = compare(
        &esp.scratch,
        ours,
        Case::new("mkfs.vfat, mcopy", theirs),
        lacking,
        (Goal::Ratio(0.5), n_runs),
    )?;
    report.name = "fat";
    report.title = format!("{N_FILES} files of {FILE_LEN} bytes, {n_runs} runs");
    Ok(report)
}

/// Measures `mkimg` writing FAT, ext4 and a disk of both, and `genimage` doing the same.
pub(crate) fn disk(context: &Context, n_runs: usize) -> Result<Report, String> {
    let esp = Esp::make(context)?;
    let root = Root::make(context)?;
    let scratch = context.scratch("disks")?;
    let layer = root.scratch.join("layer.tar");
    let specs = [
        ("fat.json", fat_spec(&esp.scratch.join("esp.tar").to_string_lossy())),
        (
            "ext4.json",
            json!({
                "kind": "ext4", "output": "out/root.ext4", "epoch": 0, "layers": [layer],
                "size": ROOT_SIZE << 20, "uuid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b01",
                "hash_seed": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b02",
            }),
        ),
        (
            "disk.json",
            json!({
                "kind": "disk", "output": "out/ours.raw", "size": (ESP_SIZE + ROOT_SIZE + 10) << 20,
                "table": { "kind": "gpt", "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b03" },
                "partitions": [
                    { "name": "esp", "type": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "size": "min",
                      "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b04", "file": "out/ours.fat" },
                    { "name": "root", "type": "0fc63daf-8483-4772-8e79-3d69d8477de4", "size": "grow",
                      "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b05", "file": "out/root.ext4" },
                ],
            }),
        ),
    ];
    let mkimg = context.program("mkimg");
    let mut script = String::new();
    for (name, spec) in specs {
        write(&scratch.join(name), &spec.to_string())?;
        script += &format!("'{}' {name}; ", mkimg.display());
    }
    let ours = Task::new("sh", &scratch).args(["-euc", &script]);

    let config = format!(
        "image theirs.fat {{ vfat {{ files = {{ \"EFI\" }} }} size = {ESP_SIZE}M }}\n\
         image theirs.ext4 {{ ext4 {{ use-mke2fs = true }} size = {ROOT_SIZE}M }}\n\
         image theirs.raw {{\n  hdimage {{ partition-table-type = \"gpt\" }}\n  size = {}M\n  \
         partition esp {{ image = \"theirs.fat\" partition-type-uuid = \"c12a7328-f81f-11d2-ba4b-00a0c93ec93b\" }}\n  \
         partition root {{ image = \"theirs.ext4\" partition-type-uuid = \"0fc63daf-8483-4772-8e79-3d69d8477de4\" }}\n}}\n",
        ESP_SIZE + ROOT_SIZE + 10
    );
    write(&scratch.join("genimage.cfg"), &config)?;
    let theirs = Task::new("genimage", &scratch)
        .args(["--config", "genimage.cfg", "--tmppath", "out/tmp", "--outputpath", "out", "--inputpath"])
        .arg(esp.scratch.join("esp"))
        .arg("--rootpath")
        .arg(root.scratch.join("tree"));
    let lacking = missing("genimage", "genimage").or(missing("mkfs.vfat", "dosfstools"));
    let lacking = lacking.or(missing("mcopy", "mtools")).or(missing("mke2fs", "e2fsprogs"));
    let mut report =
        compare(&scratch, ours, Case::new("genimage", theirs), lacking, (Goal::Ratio(0.7), n_runs))?;
    report.name = "disk";
    report.title = format!(
        "a disk with an EFI system partition of {ESP_SIZE} MiB and a root of {ROOT_SIZE} MiB, {n_runs} runs"
    );
    report.notes.push("genimage copies the root before it makes a file system of it".to_owned());
    Ok(report)
}

fn fat_spec(layer: &str) -> serde_json::Value {
    json!({
        "kind": "fat", "output": "out/ours.fat", "epoch": 0, "layers": [layer], "size": ESP_SIZE << 20,
        "volume_id": 1,
    })
}

/// The files of an EFI system partition, as a layer for us and as files for our peers.
struct Esp {
    scratch: PathBuf,
}

impl Esp {
    /// Makes them, or takes those that were made before. They are the same everywhere.
    fn make(context: &Context) -> Result<Esp, String> {
        let scratch = context.scratch("esp")?;
        make_directory(&scratch.join("out"))?;
        if !scratch.join("esp.tar").exists() {
            fill(&scratch.join("esp"))
                .map_err(|error| format!("could not make the files to write: {error}"))?;
            let spec = json!({ "kind": "layer", "output": "esp.tar", "epoch": 0, "trees": ["esp"] });
            write(&scratch.join("layer.json"), &spec.to_string())?;
            command(Command::new(context.program("mkimg")).current_dir(&scratch).arg("layer.json"))?;
        }
        Ok(Esp { scratch })
    }
}

/// Writes kernels and their like, which no file system makes smaller.
fn fill(tree: &Path) -> std::io::Result<()> {
    let mut random = Random::new();
    for idx in 0..N_FILES {
        let directory = tree.join(format!("EFI/Linux of number {}", idx % 10));
        fs::create_dir_all(&directory)?;
        let noise: Vec<u8> = (0..FILE_LEN).map(|_| random.below(256) as u8).collect();
        fs::write(directory.join(format!("kernel number {idx}.efi")), noise)?;
    }
    Ok(())
}

fn compare(
    scratch: &Path,
    ours: Task,
    peer: Case<'_>,
    lacking: Option<String>,
    (goal, n_runs): (Goal, usize),
) -> Result<Report, String> {
    let out = scratch.join("out");
    let start_over = |_| {
        remove(&out)?;
        make_directory(&out)
    };
    let mut cases = vec![Case::new("mkimg", ours).prepare(start_over)];
    if lacking.is_none() {
        cases.push(peer.prepare(start_over));
    }
    let samples = in_turns(scratch, &mut cases, n_runs)?;
    let ours = Row::of("mkimg", &samples[0]).goal(goal).memory(MEMORY_GOAL);
    let rows = match samples.get(1) {
        Some(samples) => {
            let peer = Row::of(cases[1].name, samples);
            vec![ours.against(&peer), peer]
        }
        None => vec![ours],
    };
    remove(&out)?;
    Ok(Report { name: "", title: String::new(), rows, notes: lacking.into_iter().collect() })
}
