//! `size`: what takes up an image, and what grew.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use recipe::{Goal, Name};
use report::size::{Image, TextOptions};

use crate::args::Global;
use crate::failure::{Blame, Failure, io};
use crate::goals;
use crate::session::Session;
use crate::sizes;
use crate::ui::Ui;
use crate::workspace::find_root;

/// What is shown of an image, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How<'a> {
    /// What it is compared with.
    pub(crate) against: Option<&'a OsStr>,
    /// Where the page goes.
    pub(crate) html: Option<&'a Path>,
    /// How much the terminal shows.
    pub(crate) text: TextOptions,
}

/// What the last image of a target is called.
const LAST: &str = "the last build";

/// Shows what takes up the target or image that `what` names.
pub(crate) fn run(global: &Global, ui: &Ui, what: &OsStr, how: How<'_>) -> Result<(), Failure> {
    let (image, last) = match target(global, ui, what)? {
        Some((session, name)) => of_target(&session, &name)?,
        None => (sizes::of_path(global, what)?, None),
    };
    let before = match how.against {
        Some(against) => Some(sizes::of_path(global, against)?),
        None => last,
    };
    if let Some(path) = how.html {
        fs::write(path, report::size::page(&image, before.as_ref()))
            .map_err(io(format!("write `{}`", path.display())))?;
    }
    if global.json {
        ui.print_json(&report::size::json(&image, before.as_ref()));
    } else {
        ui.print(&report::size::text(&image, before.as_ref(), how.text));
    }
    Ok(())
}

/// Returns the target that `what` names, with its project; nothing if it names an image.
fn target<'a>(global: &'a Global, ui: &'a Ui, what: &OsStr) -> Result<Option<(Session<'a>, Name)>, Failure> {
    let looks_like_a_path = what.as_bytes().iter().any(|byte| matches!(byte, b'/' | b':' | b'.'));
    if looks_like_a_path {
        return Ok(None);
    }
    let is_file = || {
        let directory = global.directory.as_deref().unwrap_or(Path::new(""));
        directory.join(what).exists()
    };
    if find_root(global.directory.as_deref()).is_err() && is_file() {
        return Ok(None);
    }
    let session = Session::open(global, ui)?;
    match goals::targets(&session.stack, &[what.to_string_lossy().into_owned()]) {
        Ok(goals) => {
            let name = goals.into_iter().find_map(|goal| match goal {
                Goal::Target(name) => Some(name),
                _ => None,
            });
            Ok(name.map(|name| (session, name)))
        }
        Err(_) if is_file() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Builds a target, and measures it and what it came to before.
fn of_target(session: &Session<'_>, name: &Name) -> Result<(Image, Option<Image>), Failure> {
    let prepared = session.prepare(&[Goal::Target(name.clone())])?;
    let target = &prepared.lowered.targets[name];
    let Some(main) = &target.main else {
        return Err(Failure::project(format!("`{name}` leaves no single file"))
            .help(format!("build it, and name one of its files: `out/{name}/…`")));
    };
    // What is over its budgets is what one wants to look into: they are not checked.
    let steps = &target.steps[..1];
    let built = session.build_to_look(&prepared, steps)?;
    let Some(output) = built.outcome.result(steps[0]).map(|result| result.output) else {
        return Err(Failure::told(Blame::Build));
    };
    let store = &session.caches.store;
    let gone = || Failure::machine(format!("`{main}` of `{name}` is not stored any more"));
    let mut image = sizes::of_output(store, name.as_str(), &output, main)?.ok_or_else(gone)?;
    let (lowered, outcome) = (&prepared.lowered, &built.outcome);
    sizes::name_layers(&mut image, store, &session.stack, lowered, outcome, name);
    let mut last = match session.state.earlier_output(name.as_str(), &output) {
        Some(earlier) => sizes::of_output(store, LAST, &earlier, main)?,
        None => None,
    };
    // Of which layers it was made is not known any more.
    if let Some(last) = &mut last {
        last.adopt_packages(&image);
    }
    session.remember_outputs(&prepared, &built)?;
    Ok((image, last))
}
