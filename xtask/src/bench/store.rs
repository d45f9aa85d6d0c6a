//! The store: files into it, and trees out of it for a step, beside the tools that do the like.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::images::Random;
use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, remove};

const N_SMALL: usize = 10_000;
const N_DIRECTORIES: usize = 100;
/// The size of the one large file.
const LARGE: u64 = 2_000_000_000;
/// How much of the time of `sha256sum` and `cp` it may take.
const PUT_GOAL: f64 = 1.3;

const N_STAGED: usize = 60_000;
/// In which a tree is to be staged that was staged before, in seconds.
const STAGE_GOAL: f64 = 0.050;

/// Measures copying 10,000 small files and one of 2 GB into an empty store.
pub(crate) fn put(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("store")?;
    let program = context.example("cas", "store")?;
    let failed = |error: io::Error| format!("could not make the files to store: {error}");
    let n_bytes = small_files(&scratch.join("small"), N_SMALL, N_DIRECTORIES).map_err(failed)?;
    large_file(&scratch.join("large")).map_err(failed)?;

    let ours = Task::new(program, &scratch).args(["put", "store", "small", "large"]);
    let script = "find small -type f -print0 | xargs -0 sha256sum >sums; sha256sum large >>sums; \
                  cp --recursive small copy; cp large copy/large";
    let theirs = Task::new("sh", &scratch).args(["-euc", script]);
    let (store, copy) = (scratch.join("store"), scratch.join("copy"));
    let mut cases = [
        Case::new("put", ours).prepare(|_| remove(&store)),
        Case::new("sha256sum and cp", theirs).prepare(|_| remove(&copy)),
    ];
    let samples = in_turns(&scratch, &mut cases, n_runs)?;
    let peer = Row::of("sha256sum and cp", &samples[1]);
    let rows = vec![Row::of("put", &samples[0]).against(&peer).goal(Goal::Ratio(PUT_GOAL)), peer];
    for path in [&store, &copy, &scratch.join("large")] {
        remove(path)?;
    }
    Ok(Report {
        name: "store",
        title: format!(
            "{N_SMALL} files of {} MB and one of {} MB into an empty store, {n_runs} runs",
            n_bytes / 1_000_000,
            LARGE / 1_000_000
        ),
        rows,
        notes: Vec::new(),
    })
}

/// Measures checking out a tree as a lower layer of sandboxes: the first time, and when it is there for all.
pub(crate) fn stage(context: &Context, n_runs: usize) -> Result<Report, String> {
    let scratch = context.scratch("stage")?;
    let program = context.example("cas", "store")?;
    let (store, copy) = (scratch.join("store"), scratch.join("copy"));
    small_files(&scratch.join("tree"), N_STAGED, N_STAGED / 40)
        .map_err(|error| format!("could not make the tree to stage: {error}"))?;
    let digest = command(Command::new(&program).arg("put").arg(&store).arg(scratch.join("tree")))?;
    let digest = digest.trim();

    let ours = || Task::new(&program, &scratch).args(["stage", "store", digest]);
    let theirs = Task::new("cp", &scratch).args(["--archive", "--link", "tree", "copy"]);
    let unstage = |_| {
        remove(&store.join("trees"))?;
        make_directory(&store.join("trees"))
    };
    let mut cases = [
        Case::new("staged the first time", ours()).prepare(unstage).says("staged"),
        Case::new("staged before", ours()).says("staged"),
        Case::new("cp --link", theirs).prepare(|_| remove(&copy)),
    ];
    let samples = in_turns(&scratch, &mut cases, n_runs)?;
    let peer = Row::of("cp --link", &samples[2]);
    let row = |idx: usize| Row::of(cases[idx].name, &samples[idx]).against(&peer);
    let rows = vec![row(0), row(1).goal(Goal::Seconds(STAGE_GOAL)), peer];
    remove(&copy)?;
    Ok(Report {
        name: "stage",
        title: format!("a tree of {N_STAGED} files, {n_runs} runs"),
        rows,
        notes: Vec::new(),
    })
}

/// Makes files of the sizes that a Debian system has, unless they are there, and returns their bytes.
fn small_files(directory: &Path, n_files: usize, n_directories: usize) -> io::Result<u64> {
    let mut random = Random::new();
    let noise: Vec<u8> = (0..(256 << 10)).map(|_| random.below(256) as u8).collect();
    let is_made = directory.join(format!("{}", n_directories - 1)).join(format!("{}", n_files - 1)).exists();
    let mut n_bytes = 0;
    for idx in 0..n_files {
        let parent: PathBuf = directory.join(format!("{}", idx % n_directories));
        if idx < n_directories {
            fs::create_dir_all(&parent)?;
        }
        let most = 128 << random.below(9);
        let size = most / 2 + random.below(most / 2);
        let start = random.below(noise.len() - size);
        if !is_made {
            // No two are the same.
            let mut file = File::create(parent.join(format!("{idx}")))?;
            file.write_all(&idx.to_le_bytes())?;
            file.write_all(&noise[start..start + size])?;
        }
        n_bytes += size as u64 + 8;
    }
    Ok(n_bytes)
}

fn large_file(path: &Path) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == LARGE) {
        return Ok(());
    }
    let mut random = Random::new();
    let noise: Vec<u8> = (0..1_000_000).map(|_| random.below(256) as u8).collect();
    let mut file = File::create(path)?;
    for idx in 0..LARGE / 1_000_000 {
        // Blocks that differ: none of this may be easier to store than what people store.
        file.write_all(&noise[(idx as usize % 4096)..])?;
        file.write_all(&noise[..(idx as usize % 4096)])?;
    }
    Ok(())
}
