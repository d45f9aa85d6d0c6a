//! A file of a root of 1.5 GB is changed: new images of it, beside `mksquashfs` of the same files, and images updated in
//! place.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{Case, Task, in_turns, in_turns_without_warm_up};
use super::report::{Goal, Report, Row};
use super::squashfs::{make_root, size};
use super::{Context, command, copy, make_directory, missing, remove, use_memory, watch, write};

/// How often it is measured what takes no minutes.
const N_SHORT: usize = 5;
/// Of the time of `mksquashfs` alone.
const BUILD_RATIO: f64 = 0.05;
/// From the edit to all images, in seconds.
const BUILD_GOAL: f64 = 1.5;
/// Nothing to do, in seconds.
const NOTHING_GOAL: f64 = 0.05;
/// In place, in seconds.
const UPDATE_GOAL: f64 = 0.5;

/// The files of the machine's programs, and one that is edited, in the middle of them by name.
const PROJECT: &str = r#"[stack]
name = "update"

[target.base]
kind     = "rootfs"
overlays = ["tree"]

[target.rootfs]
kind     = "rootfs"
layers   = ["base"]
overlays = ["edited"]

[target.root]
kind     = "filesystem"
type     = "squashfs"
rootfs   = "rootfs"
squashfs = { compression = "xz" }

[target.live]
kind    = "disk"
formats = { qcow2 = {} }

[[target.live.partitions]]
name   = "root"
type   = "linux"
size   = "512M"
target = "root"

[[target.live.partitions]]
name = "persist"
type = "linux"
size = "64M"
"#;
const EDITED: &str = "edited/usr/lib/edited";

/// What is left to do when nobody has to find out anything: three images are written and hashed, and two of them are copied
/// to where people look for them.
const COPY: &str = "set -e; mkdir copies exported; \
    cp project/out/root/root.squashfs project/out/live/live.raw project/out/live/live.qcow2 copies; \
    openssl sha256 copies/*; \
    cp copies/live.* exported";

/// Measures a build after an edit, one after none, and updates of a raw disk and of a qcow2.
pub(crate) fn run(context: &Context, n_runs: usize) -> Result<Report, String> {
    let root = context.scratch("squashfs")?;
    let (n_files, n_bytes) = make_root(context, &root)?;
    let scratch = context.scratch("update")?;
    let project = scratch.join("project");
    make_directory(&project.join("edited/usr/lib"))?;
    write(&project.join("bootwright.toml"), PROJECT)?;
    copy_tree(&root.join("tree"), &project.join("tree"))?;
    let bootwright = |words: &[&str]| {
        let mut bootwright = Command::new(context.program("bootwright"));
        bootwright.current_dir(&project).arg("--cache").arg(scratch.join("cache")).args(words);
        command(&mut bootwright)
    };
    let task = |words: &[&str]| {
        let task =
            Task::new(context.program("bootwright"), &project).arg("--cache").arg(scratch.join("cache"));
        words.iter().fold(task, |task, word| task.arg(*word))
    };
    // Each edit is one that was never built.
    let count = Cell::new(
        fs::read_to_string(scratch.join("count")).ok().and_then(|text| text.parse().ok()).unwrap_or(0_u64),
    );
    let edit = || {
        count.set(count.get() + 1);
        write(&scratch.join("count"), &count.get().to_string())?;
        write(&project.join(EDITED), &format!("edit {}\n", count.get()).repeat(500))
    };
    edit()?;
    bootwright(&["build", "live", "root"])?;
    use_memory(&scratch.join("zeros"))?;

    let copies = ["copies", "exported"].map(|name| scratch.join(name));
    let remove_copies = || copies.iter().try_for_each(|copies| remove(copies));
    let mut cases = vec![Case::new("bootwright build", task(&["build", "live"])).prepare(|_| edit())];
    // Debian's `sha256sum` takes four times as long.
    let no_openssl = missing("openssl", "openssl");
    if no_openssl.is_none() {
        let copy = Task::new("sh", &scratch).args(["-c", COPY]);
        cases.push(Case::new("cp, openssl", copy).prepare(|_| remove_copies()));
    }
    let ours = in_turns(&scratch, &mut cases, N_SHORT)?;
    drop(cases);
    remove_copies()?;
    let mut built =
        Row::of("one file edited: squashfs, raw, qcow2", &ours[0]).goal(Goal::Seconds(BUILD_GOAL));
    let copied = ours.get(1).map(|copied| Row::of("cp and openssl sha256 of these images", copied));
    if let Some(copied) = &copied {
        built = built.against(copied);
    }
    let mut rows = vec![built];
    rows.extend(copied);

    let no_mksquashfs = missing("mksquashfs", "squashfs-tools");
    if no_mksquashfs.is_none() {
        let theirs = Task::new("mksquashfs", &project).args([
            "tree",
            "edited",
            "../theirs",
            "-noappend",
            "-quiet",
            "-no-progress",
            "-all-root",
            "-comp",
            "xz",
        ]);
        let out = scratch.join("theirs");
        let mut cases = [
            Case::new("bootwright build", task(&["build", "live"])).prepare(|_| edit()),
            Case::new("mksquashfs", theirs).prepare(|_| remove(&out)),
        ];
        let samples = in_turns_without_warm_up(&scratch, &mut cases, n_runs)?;
        let peer = Row::of("mksquashfs, xz", &samples[1]);
        let beside = Row::of("the same, in turns with mksquashfs", &samples[0]);
        rows.push(beside.against(&peer).goal(Goal::Ratio(BUILD_RATIO)));
        rows.push(peer);
        remove(&out)?;
    }

    let mut cases = [Case::new("bootwright build", task(&["build", "live"])).says("nothing to do")];
    let nothing = in_turns(&scratch, &mut cases, N_SHORT)?;
    rows.push(Row::of("nothing edited", &nothing[0]).goal(Goal::Seconds(NOTHING_GOAL)));
    watch(|words| bootwright(words).map(drop), &["build", "live"])?;
    let watched = in_turns(&scratch, &mut cases, N_SHORT);
    bootwright(&["watch", "--stop"])?;
    rows.push(Row::of("nothing edited, watched", &watched?[0]).goal(Goal::Seconds(NOTHING_GOAL)));

    for name in ["live.raw", "live.qcow2"] {
        let image = scratch.join(name);
        let built = project.join("out/live").join(name);
        // What the image was, and then the target that it is to be.
        let prepare = |_| {
            copy(&built, &image)?;
            edit()?;
            bootwright(&["build", "live"]).map(drop)
        };
        let path = image.to_string_lossy().into_owned();
        let mut cases = [Case::new("update", task(&["update", &path, "--with", "live"])).prepare(prepare)];
        let samples = in_turns(&scratch, &mut cases, N_SHORT)?;
        let label = format!("update {name} in place");
        rows.push(Row::of(&label, &samples[0]).goal(Goal::Seconds(UPDATE_GOAL)));
        if name == "live.raw" {
            same(&image, &built)?;
        }
        remove(&image)?;
    }
    let image = size(&project.join("out/live/live.raw"))?;
    let mut notes =
        vec![format!("the raw disk has {} MB, of which the squashfs is what it is", image / 1_000_000)];
    notes.extend(no_openssl.into_iter().chain(no_mksquashfs));
    Ok(Report {
        name: "update",
        title: format!("a root of {} MB in {n_files} files, {N_SHORT} runs", n_bytes / 1_000_000),
        rows,
        notes,
    })
}

/// Copies a directory, once. Files that have other names are looked at each time, since nobody is told what is done to them by
/// these.
fn copy_tree(from: &Path, to: &PathBuf) -> Result<(), String> {
    if to.exists() {
        return Ok(());
    }
    command(Command::new("cp").arg("--archive").arg(from).arg(to)).map(drop)
}

/// Fails unless both files have the same bytes.
fn same(one: &Path, other: &Path) -> Result<(), String> {
    command(Command::new("cmp").arg(one).arg(other)).map(drop)
}
