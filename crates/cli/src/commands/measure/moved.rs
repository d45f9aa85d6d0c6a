//! Which input had a digest move: what changed since the last build whose image measured as expected.

use std::collections::BTreeMap;

use cas::{Digest, Store as _};
use engine::{ActionCache as _, Explanation, Graph, Known, Options, StepId, explain_since};
use launch::lock::{Expected, Lock, expected};
use launch::{File, PlatformKind, ZeroPages};

use crate::artifacts;
use crate::failure::Failure;
use crate::project_state::ProjectState;
use crate::workspace::Caches;

/// How many earlier images are measured to find one.
const MOST_MEASURED: usize = 16;

/// What an image was made with.
pub(in crate::commands) struct Origin<'a> {
    /// Store and caches.
    pub(in crate::commands) caches: &'a Caches,
    /// What is known of earlier builds.
    pub(in crate::commands) state: &'a ProjectState,
    /// What was built.
    pub(in crate::commands) graph: &'a Graph,
    /// The step that made the image.
    pub(in crate::commands) step: StepId,
    /// The name of the file in its output.
    pub(in crate::commands) file: String,
}

/// Returns why the image called `name` is another one than it was when it measured as `lock` expects; none if no build
/// is remembered in which it did.
pub(super) fn explain(
    origin: &Origin<'_>,
    name: &str,
    lock: &Lock,
    zeros: ZeroPages,
) -> Result<Option<Explanation>, Failure> {
    let Some(platforms) = lock.images.get(name) else { return Ok(None) };
    let history = origin.state.history()?;
    let cache = origin.caches.action_cache();
    let store = &origin.caches.store;
    let runs = history.runs(&origin.graph.step(origin.step).label).iter().rev();
    let mut seen: Vec<Digest> = Vec::new();
    for run in runs.filter(|run| run.exit_code == 0) {
        let Some(result) = cache.get(&run.action).map_err(Failure::machine)? else { continue };
        let Some(image) = artifacts::file_at(store, &result.output, &origin.file) else { continue };
        if seen.contains(&image) || seen.len() == MOST_MEASURED {
            continue;
        }
        seen.push(image);
        if store.read(&image).is_ok_and(|bytes| measures_as(&bytes, platforms, zeros)) {
            let known = Known { store, cache: &cache, history: &history };
            let explained =
                explain_since(origin.graph, origin.step, &run.action, &known, &Options::default());
            return explained.map(Some).map_err(Failure::machine);
        }
    }
    Ok(None)
}

fn measures_as(bytes: &[u8], platforms: &BTreeMap<PlatformKind, Expected>, zeros: ZeroPages) -> bool {
    let Ok(file) = File::parse(bytes) else { return false };
    platforms
        .iter()
        .all(|(kind, wanted)| expected(&file, *kind, zeros).is_ok_and(|found| found.digest == wanted.digest))
}
