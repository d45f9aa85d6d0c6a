//! Images of a root file system of some 1.5 GB, beside the tools that everybody uses.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, missing, remove, write};

/// The size of the ext4 images, in MiB.
const SIZE: u64 = 2000;
const N_DIRECTORIES: usize = 400;
const N_FILES: usize = 48_000;
const N_LARGE: usize = 480;
const N_LINKS: usize = 4000;
/// The memory that our writers may take, in bytes.
const MEMORY_GOAL: u64 = 128 << 20;

/// Measures `mkimg` writing ext4 and `mke2fs -d`.
pub(crate) fn ext4(context: &Context, n_runs: usize) -> Result<Report, String> {
    let root = Root::make(context)?;
    let spec = json!({
        "kind": "ext4", "output": "out/ours.ext4", "epoch": 0, "layers": ["layer.tar"], "size": SIZE << 20,
        "uuid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b01", "hash_seed": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b02",
    });
    let path = root.scratch.join("ext4.json");
    write(&path, &spec.to_string())?;
    let ours = Task::new(context.program("mkimg"), &root.scratch).args(["ext4.json"]);
    let theirs = Task::new("mke2fs", &root.scratch)
        .args(["-q", "-F", "-t", "ext4", "-d", "tree", "out/theirs.ext4"])
        .arg(format!("{SIZE}M"));
    root.compare("ext4", ours, Case::new("mke2fs -d", theirs), missing("mke2fs", "e2fsprogs"), n_runs)
}

/// Measures `mkimg` writing an initramfs without compression and `cpio -o`.
pub(crate) fn cpio(context: &Context, n_runs: usize) -> Result<Report, String> {
    let root = Root::make(context)?;
    let spec = json!({
        "kind": "initramfs", "output": "out/ours.cpio", "epoch": 0, "layers": ["layer.tar"],
        "compression": "none",
    });
    write(&root.scratch.join("cpio.json"), &spec.to_string())?;
    let ours = Task::new(context.program("mkimg"), &root.scratch).args(["cpio.json"]);
    let script = "cd tree && find . -print0 | LC_ALL=C sort -z \
                  | cpio --null --quiet --create --format=newc --owner=0:0 >../out/theirs.cpio";
    let theirs = Task::new("sh", &root.scratch).args(["-euc", script]);
    root.compare("cpio", ours, Case::new("cpio -o", theirs), missing("cpio", "cpio"), n_runs)
}

/// Measures `mkimg` writing ISO 9660 with Rock Ridge and Joliet, and `xorriso` as `mkisofs`.
pub(crate) fn iso(context: &Context, n_runs: usize) -> Result<Report, String> {
    let root = Root::make(context)?;
    let spec = json!({
        "kind": "iso", "output": "out/ours.iso", "epoch": 0, "layers": ["layer.tar"], "volume_id": "BENCH",
    });
    write(&root.scratch.join("iso.json"), &spec.to_string())?;
    let ours = Task::new(context.program("mkimg"), &root.scratch).args(["iso.json"]);
    let theirs = Task::new("xorriso", &root.scratch).args([
        "-as",
        "mkisofs",
        "-quiet",
        "-R",
        "-J",
        "-V",
        "BENCH",
        "-o",
        "out/theirs.iso",
        "tree",
    ]);
    let peer = Case::new("xorriso -as mkisofs", theirs);
    root.compare("iso", ours, peer, missing("xorriso", "xorriso"), n_runs)
}

/// A root file system, as a layer for us and as files for our peers.
pub(super) struct Root {
    pub(super) scratch: PathBuf,
    n_bytes: u64,
}

impl Root {
    /// Makes it, or takes the one that was made before. It is the same everywhere.
    pub(super) fn make(context: &Context) -> Result<Root, String> {
        let scratch = context.scratch("images")?;
        make_directory(&scratch.join("out"))?;
        let size = scratch.join(format!("size-{SIZE}"));
        if let Some(n_bytes) = fs::read_to_string(&size).ok().and_then(|text| text.parse().ok()) {
            return Ok(Root { scratch, n_bytes });
        }
        remove(&scratch.join("tree"))?;
        let n_bytes = fill(&scratch.join("tree"))
            .map_err(|error| format!("could not make the root file system to write: {error}"))?;
        let spec = json!({ "kind": "layer", "output": "layer.tar", "epoch": 0, "trees": ["tree"] });
        write(&scratch.join("layer.json"), &spec.to_string())?;
        command(Command::new(context.program("mkimg")).current_dir(&scratch).arg("layer.json"))?;
        write(&size, &n_bytes.to_string())?;
        Ok(Root { scratch, n_bytes })
    }

    fn compare(
        &self,
        name: &'static str,
        ours: Task,
        peer: Case<'_>,
        missing: Option<String>,
        n_runs: usize,
    ) -> Result<Report, String> {
        let out = self.scratch.join("out");
        let start_over = |_| {
            remove(&out)?;
            make_directory(&out)
        };
        let mut cases = vec![Case::new("mkimg", ours).prepare(start_over)];
        if missing.is_none() {
            cases.push(peer.prepare(start_over));
        }
        let samples = in_turns(&self.scratch, &mut cases, n_runs)?;
        let ours = Row::of("mkimg", &samples[0]).goal(Goal::Ratio(1.0)).memory(MEMORY_GOAL);
        let rows = match samples.get(1) {
            Some(samples) => {
                let peer = Row::of(cases[1].name, samples);
                vec![ours.against(&peer), peer]
            }
            None => vec![ours],
        };
        remove(&out)?;
        let n_megabytes = self.n_bytes / 1_000_000;
        Ok(Report {
            name,
            title: format!("a root of {n_megabytes} MB in {} files, {n_runs} runs", N_FILES + N_LARGE),
            rows,
            notes: missing.into_iter().collect(),
        })
    }
}

/// Writes files of the sizes that a Debian system has: most of them small, most bytes in large ones. Returns
/// how many bytes that are.
fn fill(tree: &Path) -> std::io::Result<u64> {
    let mut random = Random::new();
    let noise: Vec<u8> = (0..(4 << 20)).map(|_| random.below(256) as u8).collect();
    let directories: Vec<PathBuf> =
        (0..N_DIRECTORIES).map(|idx| tree.join(format!("usr/share/{}/{idx}", idx % 20))).collect();
    for directory in &directories {
        fs::create_dir_all(directory)?;
    }
    let mut n_bytes = 0;
    for idx in 0..N_FILES + N_LARGE {
        // Between 64 bytes and 64 KiB, each doubling as likely as any other.
        let size = if idx < N_FILES {
            let most = 128 << random.below(10);
            most / 2 + random.below(most / 2)
        } else {
            (1 << 20) + random.below(2 << 20)
        };
        let start = random.below(noise.len() - size);
        let mut file = fs::File::create(directories[idx % N_DIRECTORIES].join(format!("file-{idx}")))?;
        file.write_all(&noise[start..start + size])?;
        n_bytes += size as u64;
    }
    for idx in 0..N_LINKS {
        symlink(format!("file-{idx}"), directories[idx % N_DIRECTORIES].join(format!("link-{idx}")))?;
    }
    Ok(n_bytes)
}

/// The same numbers in every run (xorshift64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Random {
        Random(0x0b00_7b00_7b00_7b00)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}
