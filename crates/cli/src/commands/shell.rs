//! `shell`: enters the sandbox of a step.

use std::num::NonZeroUsize;

use local::Interactive;

use crate::args::Global;
use crate::builder::executor_failure;
use crate::enter::with_console;
use crate::failure::{Blame, Failure};
use crate::session::Session;
use crate::ui::Ui;
use crate::workspace::Caches;
use crate::{environment, signals};

/// Enters the sandbox of `target`'s step, fresh, with its inputs in place; without a target, the one that the
/// last failed step left. Fails when what runs there does, as a shell does whose last command failed.
pub(crate) fn run(global: &Global, ui: &Ui, target: Option<&str>, command: &[String]) -> Result<(), Failure> {
    let what = if command.is_empty() { Interactive::Shell } else { Interactive::Other(command) };
    let code = match target {
        Some(target) => {
            let session = Session::open(global, ui)?;
            let (prepared, step) = session.prepare_step(target)?;
            session.enter(&prepared, step, what)?
        }
        None => {
            let caches = Caches::open(global)?;
            let executor = caches.executor(NonZeroUsize::MIN, None)?;
            let Some(failed) = executor.failed_sandboxes().map_err(executor_failure)?.into_iter().next()
            else {
                return Err(Failure::project("no failed step's sandbox is kept")
                    .help("`bootwright shell TARGET` enters a fresh one"));
            };
            ui.note(&format!("entering the sandbox that `{}` left", failed.label()));
            let cancel = signals::cancel_flag()?;
            with_console(&cancel, |console| {
                executor.enter_failed(&failed, what, &environment::terminal(), console)
            })
            .map_err(executor_failure)?
        }
    };
    if code == 0 { Ok(()) } else { Err(Failure::told(Blame::Build)) }
}
