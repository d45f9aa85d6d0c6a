//! `verify`: runs every step of targets again under other circumstances, and compares their bytes.

use std::collections::BTreeSet;

use serde_json::json;

use crate::args::{Global, Targets};
use crate::failure::{Blame, Failure};
use crate::goals;
use crate::session::Session;
use crate::ui::Ui;
use crate::verify::{Aspect, Cause, Finding, How};

/// Builds the targets, unless that is done, and then every step of them once more.
pub(crate) fn run(global: &Global, ui: &Ui, targets: &Targets) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let wanted = goals::targets(&session.stack, &targets.names)?;
    let prepared = session.prepare(&wanted)?;
    let steps = prepared.steps();
    let built = session.build(&prepared, &steps)?;
    if built.outcome.counts().failed > 0 {
        return Err(Failure::told(Blame::Build));
    }
    session.keep(&prepared, &built)?;

    let all: BTreeSet<_> = built.outcome.steps().map(|(step, _)| step).collect();
    let findings = session.again(&prepared, &steps, &all)?;
    let n_same = all.len() - findings.len();
    if global.json {
        ui.print_json(&json!({
            "version": 1, "steps": all.len(), "same": n_same, "different": findings, "varied": Aspect::ALL,
        }));
    } else {
        for finding in &findings {
            ui.print(&describe(finding));
        }
        let varied = Aspect::ALL.map(Aspect::name).join(", ");
        ui.print(&format!("{n_same} of {} steps gave the same bytes\n", all.len()));
        ui.note(&format!("what was different: {varied}"));
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::told(Blame::Build)) }
}

fn describe(finding: &Finding) -> String {
    let mut text = format!("`{}` is not reproducible", finding.step);
    match &finding.cause {
        Some(Cause::Itself) => text.push_str(": it differs each time it runs"),
        Some(Cause::Several) => text.push_str(": it depends on several things that changed together"),
        Some(Cause::Aspects(aspects)) => {
            let names: Vec<_> = aspects.iter().map(|aspect| aspect.name()).collect();
            text.push_str(&format!(": it depends on {}", names.join(" and on ")));
        }
        None => text.push_str("; what it depends on was searched for in other steps only"),
    }
    text.push('\n');
    match &finding.how {
        How::Files { files, more } => {
            for file in files {
                for detail in &file.details {
                    text.push_str(&format!("  {}: {detail}\n", file.path));
                }
            }
            if *more > 0 {
                text.push_str(&format!("  and {more} more files\n"));
            }
        }
        How::Failed { exit_code, log } => {
            text.push_str(&format!("  it failed with exit code {exit_code}\n"));
            for line in log.lines() {
                text.push_str(&format!("  | {line}\n"));
            }
        }
    }
    if let Some(Cause::Aspects(aspects)) = &finding.cause {
        for aspect in aspects {
            text.push_str(&format!("  help: {}\n", aspect.help()));
        }
    }
    if finding.cause == Some(Cause::Itself) {
        text.push_str("  help: look for random numbers, addresses, process numbers and times\n");
    }
    text
}
