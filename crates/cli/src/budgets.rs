//! What grew, of targets that are over their budgets.

use engine::StepOutcome;
use recipe::{Budgets, Name};
use report::size::{Growth, Image, grown_below};

use crate::built::Built;
use crate::failure::Failure;
use crate::prepared::Prepared;
use crate::session::Session;
use crate::sizes;

/// How many files are named.
const NAMED: usize = 5;

/// Tells what grew since the last build, in what is over its budgets. The step that found it has said by how much.
/// Returns whether something is over.
pub(crate) fn tell(session: &Session<'_>, prepared: &Prepared, built: &Built<'_>) -> Result<bool, Failure> {
    let mut is_over = false;
    for (name, step) in &prepared.lowered.budgets {
        if let Some(StepOutcome::Failed { .. }) = built.outcome.step(*step) {
            is_over = true;
            if let Some(text) = grown(session, prepared, built, name)? {
                session.ui.report(&text);
            }
        }
    }
    Ok(is_over)
}

fn grown(
    session: &Session<'_>,
    prepared: &Prepared,
    built: &Built<'_>,
    name: &Name,
) -> Result<Option<String>, Failure> {
    // The layers of a root file system are not made into an image to be weighed.
    let Some(target) = prepared.lowered.targets.get(name) else { return Ok(None) };
    let (Some(main), Some(step)) = (&target.main, target.steps.first()) else { return Ok(None) };
    let Some(output) = built.outcome.result(*step).map(|result| result.output) else { return Ok(None) };
    let Some(budgets) = session.stack.targets.get(name).and_then(|target| Budgets::of(&target.value)) else {
        return Ok(None);
    };
    let Some(earlier) = session.state.earlier_output(name.as_str(), &output) else { return Ok(None) };
    let store = &session.caches.store;
    let measured = |called: &str, output| sizes::of_output(store, called, output, main);
    // A disk of which nothing is known but its size has no files that grew.
    let (Ok(Some(mut now)), Ok(Some(before))) =
        (measured(name.as_str(), &output), measured("the last build", &earlier))
    else {
        return Ok(None);
    };
    sizes::name_layers(&mut now, store, &session.stack, &prepared.lowered, &built.outcome, name);
    let growth = Growth::of(&now, &before);
    let mut text = String::new();
    for path in exceeded(&now, budgets) {
        let grown = grown_below(&growth, path, NAMED);
        let what = if path.is_empty() { name.as_str() } else { path };
        text.push_str(&match grown.as_str() {
            "" => format!("  nothing in `{what}` grew since the last build\n"),
            grown => format!("  what grew in `{what}` since the last build:\n{grown}"),
        });
    }
    text.push_str(&format!("  everything in it: bootwright size {name}\n"));
    Ok(Some(text))
}

/// Returns the paths that are over their budgets; an empty one is the whole.
fn exceeded<'b>(image: &Image, budgets: Budgets<'b>) -> Vec<&'b str> {
    let mut paths = Vec::new();
    if budgets.max_size.is_some_and(|most| image.size > most.bytes()) {
        paths.push("");
    }
    for (path, most) in budgets.directories {
        let is_below = |file: &str| {
            file.strip_prefix(path.in_layer()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let files = image.files.iter().filter(|file| is_below(&file.path));
        if files.map(|file| file.stored).sum::<u64>() > most.bytes() {
            paths.push(path.as_str());
        }
    }
    paths
}
