//! One more package in an environment of some 300.

use std::path::Path;

use super::bootstrap::{bootwright, start_over};
use super::measure::{Case, Task, in_turns};
use super::report::{Goal, Report, Row};
use super::{Context, command, make_directory, remove, write};

/// What somebody wants who compiles kernels and emulators; with all that it needs, some 270 packages.
const PACKAGES: &[&str] = &[
    "build-essential",
    "bison",
    "flex",
    "libssl-dev",
    "libelf-dev",
    "python3",
    "git",
    "cmake",
    "meson",
    "rsync",
    "cpio",
    "kmod",
    "curl",
    "file",
    "gdb",
    "ninja-build",
    "autoconf",
    "automake",
    "libtool",
    "pkg-config",
    "gettext",
    "libglib2.0-dev",
    "libpixman-1-dev",
    "python3-sphinx",
    "libncurses-dev",
    "device-tree-compiler",
    "libslirp-dev",
    "libcap-ng-dev",
    "swig",
    "strace",
    "ccache",
];
/// What is added, another one in each run, and is one package only.
const ADDED: &[&str] =
    &["bc", "ed", "tree", "pv", "time", "psmisc", "lsof", "netcat-openbsd", "patchutils", "sharutils"];
/// From start to end, in seconds.
const GOAL: f64 = 2.0;

/// Measures `build` of a step in the environment after a package was added, locked and downloaded. The environment
/// without it is there.
///
/// The first time, packages are downloaded.
pub(crate) fn add_package(context: &Context, n_runs: usize) -> Result<Report, String> {
    if n_runs >= ADDED.len() {
        return Err(format!("there are packages for {} runs only", ADDED.len() - 1));
    }
    let scratch = context.scratch("add-package")?;
    let [fetched, project, old] = ["fetched", "project", "old"].map(|name| scratch.join(name));
    make_directory(&fetched)?;
    for n_added in 0..=n_runs {
        write_project(&fetched, &[PACKAGES, &ADDED[n_added..=n_added]].concat())?;
        command(&mut bootwright(context, &fetched, "fetch"))?;
    }
    start_over(&fetched, &project, &old)?;
    write_project(&project, PACKAGES)?;
    command(&mut bootwright(context, &project, "build"))?;
    let lock = std::fs::read_to_string(project.join("bootwright.lock"))
        .map_err(|error| format!("could not read the lock: {error}"))?;
    let n_packages = lock.matches("filename = ").count();

    let task = Task::new(context.program("bootwright"), &project).arg("--cache").arg(project.join("cache"));
    let task = task.args(["--offline", "--locked", "build"]);
    let case = Case::new("add a package", task).prepare(|run| {
        write_project(&project, &[PACKAGES, &ADDED[run..=run]].concat())?;
        command(&mut bootwright(context, &project, "fetch")).map(drop)
    });
    let samples = in_turns(&scratch, &mut [case], n_runs)?;
    for path in [&project, &old] {
        remove(path)?;
    }
    let row = Row::of("build with one more package", &samples[0]).goal(Goal::Seconds(GOAL));
    Ok(Report {
        name: "add-package",
        title: format!("one more package in an environment of {n_packages}, {n_runs} runs"),
        rows: vec![row],
        notes: Vec::new(),
    })
}

fn write_project(directory: &Path, packages: &[&str]) -> Result<(), String> {
    let text = format!(
        "[stack]\nname = \"add-package\"\n\n\
         [env.tools]\ndistro   = \"debian:bookworm\"\npackages = {packages:?}\n\n\
         [target.uses]\nkind = \"command\"\nenv  = \"tools\"\nrun  = \"make --version > out/version\"\n"
    );
    write(&directory.join("bootwright.toml"), &text)
}
