//! `build`: makes targets and puts them into `out/`.

use std::path::Path;

use cas::Digest;
use engine::Outcome;
use recipe::Goal;
use serde_json::json;

use super::measure;
use crate::args::{Global, Reported};
use crate::artifacts::OUT;
use crate::failure::{Blame, Failure};
use crate::prepared::Prepared;
use crate::session::Session;
use crate::ui::{Ui, bytes, seconds};
use crate::{artifacts, budgets, build_report, goals};

/// Makes the targets. What succeeded is put into `out/` also when something else failed.
pub(crate) fn run(global: &Global, ui: &Ui, arguments: &Reported) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let wanted = goals::targets(&session.stack, &arguments.targets.names)?;
    let done = goals_of(&session, &wanted, arguments.report.as_deref())?;
    let has_failed = done.has_failed;
    // The process ends: that gives the memory of a large graph back faster than piece by piece.
    std::mem::forget(done);
    if has_failed { Err(Failure::told(Blame::Build)) } else { Ok(()) }
}

/// What came of targets.
pub(crate) struct Done {
    /// Whether some were not made; that has been told.
    pub(crate) has_failed: bool,
    _prepared: Prepared,
    _outcome: Outcome,
}

/// Makes the targets that are wanted in a session, and writes a report on it if asked to.
pub(crate) fn goals_of(
    session: &Session<'_>,
    wanted: &[Goal],
    report: Option<&Path>,
) -> Result<Done, Failure> {
    let (global, ui) = (session.global, session.ui);
    let prepared = session.prepare(wanted)?;
    let names: Vec<_> = wanted
        .iter()
        .filter_map(|goal| match goal {
            Goal::Target(name) => Some(name),
            _ => None,
        })
        .collect();
    let of_names: Vec<_> = names.iter().map(|name| &prepared.lowered.targets[*name].steps).collect();
    let steps: Vec<_> = of_names.iter().copied().flatten().copied().collect();
    let built = session.build(&prepared, &steps)?;
    session.tell_notes(&prepared, &built)?;

    let mut stats = session.state.exported_stats();
    let (mut reported, mut tainted, mut made, mut images) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (name, steps) in names.iter().zip(of_names) {
        let outputs = steps.iter().map(|step| Some(built.outcome.result(*step)?.output));
        let Some(outputs) = outputs.collect::<Option<Vec<_>>>() else { continue };
        let directory = session.root.join(OUT).join(name.as_str());
        let is_tainted = steps.iter().any(|step| prepared.lowered.graph.is_tainted(*step));
        let files = artifacts::export(&session.caches.store, &outputs, is_tainted, &directory, &mut stats)?;
        tainted.extend(is_tainted.then(|| format!("`{name}`")));
        if !global.json {
            for file in &files {
                ui.print(&format!("{OUT}/{name}/{}  {}\n", file.path, bytes(file.size)));
            }
        }
        reported.push(
            json!({ "target": name.as_str(), "directory": directory, "files": files, "tainted": is_tainted }),
        );
        let is_image = |file: &&artifacts::Artifact| file.path.ends_with(".igvm");
        for file in files.iter().filter(is_image) {
            let store = &session.caches.store;
            let has = |output: &Digest| artifacts::file_at(store, output, &file.path).is_some();
            if let Some(idx) = outputs.iter().position(has) {
                let origin = measure::Origin {
                    caches: &session.caches,
                    state: &session.state,
                    graph: &prepared.lowered.graph,
                    step: steps[idx],
                    file: file.path.clone(),
                };
                images.push((directory.join(&file.path), origin));
            }
        }
        made.push((name.as_str(), files));
    }
    stats.save().map_err(Failure::machine)?;
    session.keep(&prepared, &built)?;

    let counts = built.outcome.counts();
    budgets::tell(session, &prepared, &built)?;
    if counts.failed == 0 {
        session.remember_outputs(&prepared, &built)?;
    }
    build_report::keep(session, &prepared, &built, &made, report)?;
    if global.json {
        ui.print_json(&json!({
            "version": 1,
            "targets": reported,
            "steps": { "ran": counts.ran, "remembered": counts.hits, "failed": counts.failed, "skipped": counts.skipped },
            "seconds": built.wall.as_secs_f64(),
        }));
    }
    if !tainted.is_empty() {
        ui.note(&format!("made with --incremental, so not for others: {}", tainted.join(", ")));
    }
    measure::after_build(global, ui, &session.root, &images)?;
    let has_failed = counts.failed > 0;
    ui.note(&match (has_failed, counts.ran) {
        (true, _) => format!(
            "{} failed, {} skipped, {} ran, {} remembered, {}",
            counts.failed,
            counts.skipped,
            counts.ran,
            counts.hits,
            seconds(built.wall)
        ),
        (false, 0) => {
            format!("nothing to do: all {} steps are remembered, {}", counts.hits, seconds(session.elapsed()))
        }
        (false, _) => format!("{} ran, {} remembered, {}", counts.ran, counts.hits, seconds(built.wall)),
    });
    Ok(Done { has_failed, _prepared: prepared, _outcome: built.outcome })
}
