//! EROFS images of files that compress as those of a system do, beside `mkfs.erofs`.

use serde_json::{Value, json};

use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::squashfs::{make_root, size};
use super::{Context, make_directory, missing, remove, write};

/// How much of the peer's time we may take.
const GOAL: f64 = 1.0;
/// The memory that our writer may take, in bytes.
const MEMORY_GOAL: u64 = 256 << 20;
const UUID: &str = "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b06";

/// A compressor, how large its clusters are, and what `mkfs.erofs` is told to have the same.
const CASES: [(&str, Option<u32>, &[&str]); 5] = [
    ("none", None, &[]),
    ("lz4", Some(4096), &["-zlz4", "-C4096"]),
    ("lz4", Some(65536), &["-zlz4", "-C65536"]),
    ("lz4hc", Some(65536), &["-zlz4hc,9", "-C65536"]),
    ("zstd", Some(65536), &["-zzstd,3", "-C65536"]),
];

/// Measures `mkimg` writing EROFS with each compressor, and `mkfs.erofs`.
pub(crate) fn erofs(context: &Context, n_runs: usize) -> Result<Report, String> {
    let files = context.scratch("squashfs")?;
    let (n_files, n_bytes) = make_root(context, &files)?;
    let scratch = context.scratch("erofs")?;
    let lacking = missing("mkfs.erofs", "erofs-utils");
    let out = scratch.join("out");
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (name, cluster, theirs) in CASES {
        let mut spec = json!({
            "kind": "erofs", "output": "out/ours", "epoch": 0, "uuid": UUID, "compression": name,
            "layers": [files.join("layer.tar")],
        });
        if let Some(cluster) = cluster {
            spec["cluster_size"] = Value::from(cluster);
        }
        write(&scratch.join("erofs.json"), &spec.to_string())?;
        let afresh = |path: &'static str| {
            let out = &out;
            move |_| {
                make_directory(out)?;
                remove(&out.join(path))
            }
        };
        let ours = Task::new(context.program("mkimg"), &scratch).args(["erofs.json"]);
        let mut cases = vec![Case::new("mkimg", ours).prepare(afresh("ours"))];
        // Packages of some systems know no Zstandard.
        let is_known = !theirs.iter().any(|word| word.starts_with("-zzstd")) || knows_zstd();
        if lacking.is_none() && is_known {
            let mut task = Task::new("mkfs.erofs", &scratch).args(["--quiet", "--all-root", "-U", UUID]);
            for word in theirs {
                task = task.arg(*word);
            }
            let tree = files.join("tree").display().to_string();
            cases.push(Case::new("mkfs.erofs", task.arg("out/theirs").arg(tree)).prepare(afresh("theirs")));
        }
        let samples = in_turns(&scratch, &mut cases, n_runs)?;
        let title =
            cluster.map_or_else(|| name.to_owned(), |size| format!("{name}, clusters of {} KiB", size >> 10));
        let ours =
            Row::of(&format!("mkimg, {title}"), &samples[0]).goal(Goal::Ratio(GOAL)).memory(MEMORY_GOAL);
        let our_size = size(&out.join("ours"))?;
        let megabytes = our_size as f64 / 1e6;
        match samples.get(1) {
            Some(samples) => {
                let peer = Row::of(&format!("mkfs.erofs, {title}"), samples);
                let ratio = our_size as f64 / size(&out.join("theirs"))? as f64;
                notes.push(format!("{title}: {megabytes:.1} MB, {ratio:.3} of the peer's size"));
                rows.extend([ours.against(&peer), peer]);
            }
            None => {
                notes.push(format!("{title}: {megabytes:.1} MB"));
                rows.push(ours);
            }
        }
    }
    remove(&out)?;
    notes.extend(lacking);
    let n_megabytes = n_bytes / 1_000_000;
    Ok(Report {
        name: "erofs",
        title: format!("{n_megabytes} MB of this machine's programs in {n_files} files, {n_runs} runs"),
        rows,
        notes,
    })
}

/// Says whether this machine's `mkfs.erofs` lists Zstandard among its compressors.
fn knows_zstd() -> bool {
    std::process::Command::new("mkfs.erofs")
        .arg("--help")
        .output()
        .is_ok_and(|output| [output.stdout, output.stderr].concat().windows(4).any(|word| word == b"zstd"))
}
