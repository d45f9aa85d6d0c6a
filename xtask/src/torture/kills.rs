//! Builds that are killed or interrupted at random moments.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::Numbers;
use super::world::{N_VARIANTS, World, told};

/// What is running when the kill comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// A build with an empty cache: fetch, unpack, configure, build.
    Cold,
    /// A build that has its packages.
    Warm,
    /// Only the downloads.
    Fetch,
    /// A collection, beside a build that goes on.
    Collection,
    /// One of two builds in one cache; the other goes on.
    OneOfTwo,
    /// Two builds and a collection, all of which are killed.
    All,
}

const VICTIMS: [Victim; 9] = [
    Victim::Cold,
    Victim::Cold,
    Victim::Warm,
    Victim::Warm,
    Victim::Warm,
    Victim::Fetch,
    Victim::Collection,
    Victim::OneOfTwo,
    Victim::All,
];

/// Kills something at a random moment; then the store is whole, what was finished is remembered, and the next
/// build comes to the same bytes.
pub(crate) fn kill(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let victim = *numbers.one_of(&VICTIMS);
    let variant = numbers.below(N_VARIANTS);
    let what = format!("after kill -9 ({victim:?}, variant {variant})");
    let context = |error: String| format!("{what}: {error}");
    if matches!(victim, Victim::Cold | Victim::Fetch) {
        world.wipe_cache()?;
    }
    if numbers.below(3) == 0 {
        world.clean(0)?;
    }
    // A warm build takes about a third of a cold one.
    let span = if matches!(victim, Victim::Cold | Victim::OneOfTwo | Victim::All) {
        world.cold
    } else {
        world.cold / 3
    };
    let delay = numbers.part_of(span);
    let other = (variant + 1) % N_VARIANTS;
    let survivor = match victim {
        Victim::Cold | Victim::Warm => {
            world.forget_events()?;
            kill_after(vec![world.start(&["build"], 0, variant)?], delay)?;
            None
        }
        Victim::Fetch => {
            kill_after(vec![world.start(&["fetch"], 0, variant)?], delay)?;
            None
        }
        Victim::Collection => {
            let build = world.start(&["build"], 0, variant)?;
            kill_after(vec![world.start(&["gc", "--keep", "0"], 1, 0)?], delay / 4)?;
            Some((build, 0, variant))
        }
        Victim::OneOfTwo => {
            let build = world.start(&["build"], 1, other)?;
            kill_after(vec![world.start(&["build"], 0, variant)?], delay)?;
            Some((build, 1, other))
        }
        Victim::All => {
            let all = [("build", 0, variant), ("build", 1, other)];
            let mut children = Vec::new();
            for (command, project, variant) in all {
                children.push(world.start(&[command], project, variant)?);
            }
            children.push(world.start(&["gc", "--keep", "0"], 1, 0)?);
            kill_after(children, delay)?;
            None
        }
    };
    if let Some((mut child, project, variant)) = survivor {
        let status = child.wait().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(context(format!("the build beside it ended with {status}")));
        }
        world.check_results(project, variant).map_err(context)?;
    }
    world.check_nothing_runs().map_err(context)?;
    if matches!(victim, Victim::Cold | Victim::Warm) {
        let finished = world.finished_steps();
        let again = world.planned_steps(0, variant).map_err(context)?;
        if let Some(lost) = finished.intersection(&again).next() {
            return Err(context(format!("`{lost}` had ended, and would run again")));
        }
    }
    world.check_store().map_err(context)?;
    world.build_right(0, variant).map_err(context)
}

fn kill_after(mut children: Vec<Child>, delay: Duration) -> Result<(), String> {
    std::thread::sleep(delay);
    for child in &mut children {
        // One that has ended by itself was too quick for us.
        let _ = child.kill();
    }
    children.iter_mut().try_for_each(|child| child.wait().map(drop)).map_err(|error| error.to_string())
}

/// Interrupts a build at a random moment, as ctrl-C on a terminal does; then nothing of it is left.
pub(crate) fn interrupt(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let variant = numbers.below(N_VARIANTS);
    if numbers.below(2) == 0 {
        world.wipe_cache()?;
    } else {
        world.clean(0)?;
    }
    let delay = numbers.part_of(world.cold);
    let signal = *numbers.one_of(&["-INT", "-TERM", "-HUP"]);
    let mut command = world.command(&["build"], 0, variant);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
    let child = child.map_err(|error| format!("could not start bootwright: {error}"))?;
    std::thread::sleep(delay);
    let sent = Instant::now();
    let _ = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .stderr(std::process::Stdio::null())
        .status();
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let context =
        |error: String| format!("after {signal} {} ms into variant {variant}: {error}", delay.as_millis());
    if sent.elapsed() > Duration::from_secs(30) {
        return Err(context(format!("it took {:?} to end", sent.elapsed())));
    }
    // Before the signal is listened to it ends the process, as it ends any other.
    let fine = matches!(output.status.code(), Some(0 | 1) | None);
    if !fine
        || output.status.code() == Some(1) && !String::from_utf8_lossy(&output.stderr).contains("interrupted")
    {
        return Err(context(told(&output)));
    }
    world.check_nothing_runs().map_err(context)?;
    world.check_store().map_err(context)?;
    world.build_right(0, variant).map_err(context)
}
