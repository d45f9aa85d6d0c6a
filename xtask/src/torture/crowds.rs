//! Many steps at once, steps that leave crowds behind, steps that want more memory than there is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::Numbers;
use super::world::{ENVIRONMENT, World, succeeded, told};

/// A word on the command line of orphans, which no other process has.
const ORPHAN: &str = "98765.4321";

/// Has one crowd after the other.
pub(crate) fn crowd(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    match numbers.below(3) {
        0 => five_hundred_steps(world, numbers),
        1 => a_thousand_orphans(world, numbers),
        _ => too_much_memory(world, numbers),
    }
}

const HEAD: &str = "[stack]\nname = \"crowd\"\n";

fn target(name: &str, script: &str) -> String {
    format!(
        "[target.{name}]\nkind = \"command\"\nenv = \"small\"\nrun = [\"/bin/busybox\", \"sh\", \"-euc\", '''{script}''']\n"
    )
}

fn five_hundred_steps(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let salt = numbers.below(1 << 30);
    let targets: String = (0..500)
        .map(|number| target(&format!("t{number}"), &format!("echo {salt} {number} > $OUT/f")))
        .collect();
    let project = project(world, &format!("{HEAD}{ENVIRONMENT}{targets}"))?;
    let output = run(world, &project, &["build", "-j", "16"])?;
    succeeded(&output)?;
    for number in 0..500 {
        let path = project.join(format!("out/t{number}/f"));
        let text = fs::read_to_string(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
        if text != format!("{salt} {number}\n") {
            return Err(format!("`{}` holds `{text}`", path.display()));
        }
    }
    world.check_nothing_runs()?;
    world.check_store()
}

fn a_thousand_orphans(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let salt = numbers.below(1 << 30);
    // With parents that are gone, in sessions of their own, deaf to what can be ignored.
    let script = format!(
        "trap '' TERM HUP INT; i=0; while [ $i -lt 1000 ]; do (busybox setsid busybox sleep {ORPHAN} &); i=$((i+1)); done\n\
         echo {salt} > $OUT/f"
    );
    let project = project(world, &format!("{HEAD}{ENVIRONMENT}{}", target("orphans", &script)))?;
    succeeded(&run(world, &project, &["build"])?)?;
    world.check_nothing_runs()?;
    let left = fs::read_dir("/proc").into_iter().flatten().flatten().filter(|process| {
        fs::read(process.path().join("cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == ORPHAN.as_bytes()))
    });
    match left.count() {
        0 => Ok(()),
        n_left => Err(format!("{n_left} orphans are left")),
    }
}

fn too_much_memory(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let salt = numbers.below(1 << 30);
    let Some(group) = Group::make() else {
        println!("crowds: no control group can be made here, so that memory does not run out");
        return Ok(());
    };
    // `tail` keeps what may be the last line, and this one has no end.
    let script = format!("echo {salt}; busybox tail /dev/zero");
    let project = project(world, &format!("{HEAD}{ENVIRONMENT}{}", target("greedy", &script)))?;
    let mut command = std::process::Command::new("sh");
    let enter = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
    let inner = world.command_in(&project, &["build"]);
    command.args(["-c", enter]).arg(&group.path).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr);
    let expected =
        output.status.code() == Some(1) && text.contains("`greedy`") && text.contains("out of memory");
    if !expected {
        return Err(format!("a step that ran out of memory was not reported as such: {}", told(&output)));
    }
    world.check_nothing_runs()?;
    world.check_store()
}

fn project(world: &World, recipe: &str) -> Result<PathBuf, String> {
    let project = world.cache.with_file_name("crowd");
    super::world::remove(&project)?;
    fs::create_dir_all(&project).map_err(|error| error.to_string())?;
    fs::write(project.join("bootwright.toml"), recipe).map_err(|error| error.to_string())?;
    Ok(project)
}

fn run(world: &World, project: &Path, arguments: &[&str]) -> Result<Output, String> {
    world
        .command_in(project, arguments)
        .output()
        .map_err(|error| format!("could not start bootwright: {error}"))
}

/// A control group with little memory, for as long as this is kept.
struct Group {
    path: PathBuf,
}

impl Group {
    fn make() -> Option<Group> {
        const LIMIT: &str = "150000000";
        let top = Path::new("/sys/fs/cgroup");
        let is_old = top.join("memory/memory.limit_in_bytes").exists();
        let path = if is_old { top.join("memory") } else { top.to_owned() };
        let path = path.join(format!("bootwright-torture-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let group = Group { path };
        let limit = if is_old { "memory.limit_in_bytes" } else { "memory.max" };
        fs::write(group.path.join(limit), LIMIT).ok()?;
        // Without this, a machine with swap takes its time.
        let swap = if is_old { ("memory.memsw.limit_in_bytes", LIMIT) } else { ("memory.swap.max", "0") };
        let _ = fs::write(group.path.join(swap.0), swap.1);
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}
