//! squashfs images of files that compress as those of a system do, beside `mksquashfs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::measure::{Case, Task, in_turns_without_warm_up};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, missing, remove, write};

/// How many bytes of files are taken.
const N_BYTES: u64 = 1_500_000_000;
/// Where they are taken from, in this order.
const FROM: [&str; 4] = ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share"];
/// The memory that our writer may take, in bytes.
const MEMORY_GOAL: u64 = 256 << 20;

/// A compressor.
struct Compressor {
    /// What both call the benchmark.
    benchmark: &'static str,
    /// What we call it.
    name: &'static str,
    /// What `mksquashfs` calls it.
    words: &'static [&'static str],
    /// How much of its time we may take.
    goal: f64,
}

/// Measures `mkimg` writing squashfs with gzip, and `mksquashfs`.
pub(crate) fn gzip(context: &Context, n_runs: usize) -> Result<Report, String> {
    let gzip = Compressor { benchmark: "squashfs-gzip", name: "gzip", words: &["gzip"], goal: 0.4 };
    squashfs(context, n_runs, &gzip)
}

/// Does the same with LZ4.
pub(crate) fn lz4(context: &Context, n_runs: usize) -> Result<Report, String> {
    squashfs(
        context,
        n_runs,
        &Compressor { benchmark: "squashfs-lz4", name: "lz4", words: &["lz4"], goal: 1.0 },
    )
}

/// Does the same with LZ4 that tries hard.
pub(crate) fn lz4hc(context: &Context, n_runs: usize) -> Result<Report, String> {
    let lz4hc = Compressor { benchmark: "squashfs-lz4hc", name: "lz4hc", words: &["lz4", "-Xhc"], goal: 1.0 };
    squashfs(context, n_runs, &lz4hc)
}

/// Does the same with Zstandard.
pub(crate) fn zstd(context: &Context, n_runs: usize) -> Result<Report, String> {
    let zstd = Compressor { benchmark: "squashfs-zstd", name: "zstd", words: &["zstd"], goal: 1.0 };
    squashfs(context, n_runs, &zstd)
}

/// Does the same with xz.
pub(crate) fn xz(context: &Context, n_runs: usize) -> Result<Report, String> {
    squashfs(context, n_runs, &Compressor { benchmark: "squashfs-xz", name: "xz", words: &["xz"], goal: 1.0 })
}

fn squashfs(context: &Context, n_runs: usize, compressor: &Compressor) -> Result<Report, String> {
    let Compressor { benchmark, name, words, goal } = compressor;
    let scratch = context.scratch("squashfs")?;
    let (n_files, n_bytes) = make_root(context, &scratch)?;
    let missing = missing("mksquashfs", "squashfs-tools");
    let out = scratch.join("out");
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    let spec = json!({
        "kind": "squashfs", "output": "out/ours", "epoch": 0, "layers": ["layer.tar"], "compression": name,
    });
    write(&scratch.join("squashfs.json"), &spec.to_string())?;
    let ours = Task::new(context.program("mkimg"), &scratch).args(["squashfs.json"]);
    let afresh = |path: &'static str| {
        let out = &out;
        move |_| {
            make_directory(out)?;
            remove(&out.join(path))
        }
    };
    let mut cases = vec![Case::new("mkimg", ours).prepare(afresh("ours"))];
    if missing.is_none() {
        let mut theirs = Task::new("mksquashfs", &scratch).args([
            "tree",
            "out/theirs",
            "-noappend",
            "-quiet",
            "-no-progress",
            "-all-root",
            "-comp",
        ]);
        for word in *words {
            theirs = theirs.arg(*word);
        }
        cases.push(Case::new("mksquashfs", theirs).prepare(afresh("theirs")));
    }
    // Some take minutes, of which what is read for the first time is no large part.
    let samples = in_turns_without_warm_up(&scratch, &mut cases, n_runs)?;
    let ours = Row::of(&format!("mkimg, {name}"), &samples[0]).goal(Goal::Ratio(*goal)).memory(MEMORY_GOAL);
    match samples.get(1) {
        Some(samples) => {
            let peer = Row::of(&format!("mksquashfs, {name}"), samples);
            let [our_size, peer_size] = [size(&out.join("ours"))?, size(&out.join("theirs"))?];
            let (megabytes, ratio) = (our_size as f64 / 1e6, our_size as f64 / peer_size as f64);
            notes.push(format!("{name}: {megabytes:.1} MB, {ratio:.3} of the peer's size"));
            rows.extend([ours.against(&peer), peer]);
        }
        None => rows.push(ours),
    }
    remove(&out)?;
    notes.extend(missing);
    let n_megabytes = n_bytes / 1_000_000;
    Ok(Report {
        name: benchmark,
        title: format!("{n_megabytes} MB of this machine's programs in {n_files} files, {n_runs} runs"),
        rows,
        notes,
    })
}

/// Returns how large a file is.
pub(super) fn size(path: &Path) -> Result<u64, String> {
    fs::metadata(path)
        .map(|metadata| metadata.len())
        .map_err(|error| format!("could not find `{}`: {error}", path.display()))
}

/// Copies files of this machine to `tree` and makes `layer.tar` of them, or takes what was made before. Returns how
/// many files and bytes there are.
///
/// Noise or text that a program makes up would say nothing about compressors, so each machine has a root of its own.
pub(super) fn make_root(context: &Context, scratch: &Path) -> Result<(u64, u64), String> {
    let made = scratch.join("made.json");
    let known: Option<(u64, u64)> =
        fs::read_to_string(&made).ok().and_then(|text| serde_json::from_str(&text).ok());
    if let Some(known) = known {
        return Ok(known);
    }
    let tree = scratch.join("tree");
    remove(&tree)?;
    let (mut n_files, mut n_bytes) = (0, 0);
    let mut pending: Vec<PathBuf> = FROM.iter().rev().map(PathBuf::from).collect();
    while let Some(path) = pending.pop() {
        let failed = |error: std::io::Error| format!("could not copy `{}`: {error}", path.display());
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).map_err(failed)?;
            let mut entries: Vec<PathBuf> = entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()
                .map_err(failed)?;
            entries.sort_unstable_by(|a, b| b.cmp(a));
            pending.extend(entries);
        } else if metadata.is_file() && n_bytes + metadata.len() <= N_BYTES {
            let copy = tree.join(path.strip_prefix("/").unwrap_or(&path));
            make_directory(copy.parent().unwrap_or(&tree))?;
            fs::copy(&path, &copy).map_err(failed)?;
            n_files += 1;
            n_bytes += metadata.len();
        }
    }
    let spec = json!({ "kind": "layer", "output": "layer.tar", "epoch": 0, "trees": ["tree"] });
    write(&scratch.join("layer.json"), &spec.to_string())?;
    command(Command::new(context.program("mkimg")).current_dir(scratch).arg("layer.json"))?;
    write(&made, &json!([n_files, n_bytes]).to_string())?;
    Ok((n_files, n_bytes))
}
