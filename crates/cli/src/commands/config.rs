//! `config`: changes the configuration of a kernel, or compares two.

use std::fs;
use std::path::Path;

use cas::{Digest, Node, Store as _};
use engine::StepId;
use kconfig::{Change, Values};
use recipe::{Goal, Kernel, Name, Target, suggest};
use serde_json::json;

use crate::args::Global;
use crate::failure::{Blame, Failure, io};
use crate::prepared::Prepared;
use crate::session::Session;
use crate::ui::Ui;

/// Has the user change the configuration of the kernel `target` in the kernel's own menus, or by `command`, and puts
/// what was changed into the last file that its `config` names.
///
/// What was changed is printed if it cannot be kept.
pub(crate) fn edit(global: &Global, ui: &Ui, target: &str, command: &[String]) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let (name, kernel) = find_kernel(&session, target)?;
    let goals = [Goal::Target(name.clone())];
    let mut prepared = session.prepare(&goals)?;
    let output = prepared.lowered.kernels[&name].clone();
    let before = config_of(&session, &prepared, output.config)?;
    let mut edit = output.edit;
    let arguments = edit.arguments.iter().chain(command).cloned();
    edit.arguments = arguments.collect();
    let step = prepared.lowered.graph.add_step(edit);
    let (code, left) = session.enter_for_output(&prepared, step)?;
    if code != 0 {
        return Err(Failure::told(Blame::Build));
    }
    let lines = file(&session, &left, "changes")?;
    let wanted = Values::parse(&file(&session, &left, "config")?);
    let changes = kconfig::diff(&Values::parse(&before), &wanted);
    if changes.is_empty() {
        ui.note("nothing was changed");
        return print(global, ui, &changes, None);
    }
    let Some(fragment) = kernel.last_fragment() else {
        if global.json {
            print(global, ui, &changes, None)?;
        } else {
            ui.print(&lines);
        }
        ui.note(&format!(
            "no file of the project is part of this configuration: put these lines into one, and name it last, as in \
             `config = [\"./{name}.config\"]`"
        ));
        return Ok(());
    };
    let path = session.root.join(fragment.as_str());
    if let Err(failure) = write(&path, &lines) {
        // Half an hour in a menu is not to be lost to a full disk.
        ui.print(&lines);
        return Err(failure.help("what was changed is on standard output"));
    }
    ui.note(&format!("wrote {} lines to `{}`", lines.lines().count(), fragment.as_str()));
    print(global, ui, &changes, Some(fragment.as_str()))?;

    // What comes later in `config` may say otherwise.
    let prepared = session.prepare(&goals)?;
    let now = config_of(&session, &prepared, prepared.lowered.kernels[&name].config)?;
    for Change { symbol, before, after } in kconfig::diff(&wanted, &Values::parse(&now)) {
        let [wanted, now] = [before, after].map(|value| value.unwrap_or_else(|| "n".to_owned()));
        ui.note(&format!(
            "{symbol} is {now} and not {wanted} as chosen: something later in `config` says so"
        ));
    }
    Ok(())
}

/// Prints the symbols in which two configurations differ: those of kernels of the project, or files.
pub(crate) fn diff(global: &Global, ui: &Ui, before: &str, after: &str) -> Result<(), Failure> {
    let before = any(global, ui, before)?;
    let after = any(global, ui, after)?;
    let changes = kconfig::diff(&Values::parse(&before), &Values::parse(&after));
    print(global, ui, &changes, None)
}

fn print(global: &Global, ui: &Ui, changes: &[Change], fragment: Option<&str>) -> Result<(), Failure> {
    if global.json {
        let changes: Vec<_> = changes
            .iter()
            .map(|Change { symbol, before, after }| {
                json!({ "symbol": symbol, "before": before, "after": after })
            })
            .collect();
        ui.print_json(&json!({ "version": 1, "changes": changes, "fragment": fragment }));
    } else {
        ui.print(&changes.iter().map(|change| format!("{change}\n")).collect::<String>());
    }
    Ok(())
}

/// Returns the configuration of the kernel of that name, else the file of that path.
fn any(global: &Global, ui: &Ui, name: &str) -> Result<String, Failure> {
    if name.contains(['/', '.']) {
        return fs::read_to_string(name)
            .map_err(|error| Failure { blame: Blame::Project, ..io(format!("read `{name}`"))(error) });
    }
    let session = Session::open(global, ui)?;
    let (name, _) = find_kernel(&session, name)?;
    let prepared = session.prepare(&[Goal::Target(name.clone())])?;
    config_of(&session, &prepared, prepared.lowered.kernels[&name].config)
}

/// Returns the kernel of that name, which must be one that is built from its source.
fn find_kernel<'s>(session: &'s Session<'_>, name: &str) -> Result<(Name, &'s Kernel), Failure> {
    let kernels = session.stack.targets.iter().filter_map(|(name, target)| match &target.value {
        Target::Kernel(kernel) => Some((name, kernel)),
        _ => None,
    });
    if let Some((name, kernel)) = kernels.clone().find(|(known, _)| known.as_str() == name) {
        return Ok((name.clone(), kernel));
    }
    let known: Vec<&str> = kernels.map(|(name, _)| name.as_str()).collect();
    Err(Failure::project(format!("the project builds no kernel `{name}`"))
        .help(suggest::help(name, "kernels", known)))
}

/// Makes the configuration and returns its text.
fn config_of(session: &Session<'_>, prepared: &Prepared, step: StepId) -> Result<String, Failure> {
    let built = session.build(prepared, &[step])?;
    match built.outcome.result(step) {
        Some(result) => file(session, &result.output, "config"),
        None => Err(Failure::told(Blame::Build)),
    }
}

/// Returns the text of a file at the top of a tree.
fn file(session: &Session<'_>, tree: &Digest, name: &str) -> Result<String, Failure> {
    let store = &session.caches.store;
    match store.read_directory(tree).map_err(Failure::store)?.entries.get(name) {
        Some(Node::File { digest, .. }) => {
            let bytes = store.read(digest).map_err(Failure::store)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => Err(Failure::new(Blame::Build, format!("there is no `{name}` among what was left"))),
    }
}

/// Brings these lines into the file, which keeps everything else.
fn write(path: &Path, lines: &str) -> Result<(), Failure> {
    // A link stays one.
    let path = fs::canonicalize(path).map_err(io(format!("find `{}`", path.display())))?;
    // Read only now: somebody may have changed it in an editor meanwhile.
    let text = fs::read_to_string(&path).map_err(io(format!("read `{}`", path.display())))?;
    let updated = kernel::update_fragment(&text, lines);
    cas::replace_file(&path, updated.as_bytes()).map_err(io(format!("write `{}`", path.display())))
}
