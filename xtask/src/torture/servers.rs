//! Archives that misbehave.

use super::Numbers;
use super::archive::Fault;
use super::world::{N_VARIANTS, World, succeeded, told};

/// Builds from nothing with an archive that misbehaves for a while or for good: the build finishes, or fails and says
/// so; never with wrong bytes.
pub(crate) fn bad(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let variant = numbers.below(N_VARIANTS);
    let (fault, recovers) = *numbers.one_of(&Fault::ALL);
    // One that stalls is waited for, half a minute each time.
    let is_slow = fault == Fault::Stall;
    if is_slow && numbers.below(8) != 0 {
        return Ok(());
    }
    world.wipe_cache()?;
    world.clean(0)?;
    let for_good = !is_slow && !recovers && numbers.below(2) == 0;
    let n_requests = if for_good { usize::MAX } else { 1 + numbers.below(2) as usize };
    world.archive.set_fault(Some((fault, if is_slow { 1 } else { n_requests })));
    let n_before = world.archive.n_requests();
    let output = world.run(&["build"], 0, variant);
    world.archive.set_fault(None);
    let output = output?;
    let context = |error: String| format!("{fault:?} for {n_requests} requests, variant {variant}: {error}");
    if world.archive.n_requests() == n_before {
        return Err(context("nothing was asked for".to_owned()));
    }
    match output.status.code() {
        Some(0) if for_good => return Err(context("it came to an end without an archive".to_owned())),
        Some(0) => {}
        Some(3) if String::from_utf8_lossy(&output.stderr).contains("error: could not fetch") => {}
        _ => return Err(context(told(&output))),
    }
    if !for_good && fault == Fault::Recovers {
        succeeded(&output).map_err(context)?;
    }
    if output.status.success() {
        world.check_results(0, variant).map_err(context)?;
    }
    world.check_store().map_err(context)?;
    world.build_right(0, variant).map_err(context)
}
