//! The commands, one file each: what they do, put together from the other crates.

mod build;
pub(crate) mod clean;
mod doctor;
mod explain;
mod fetch;
mod gc;
mod lock;
mod log;
mod plan;
mod run;
mod shell;
mod test;
mod verify;

use clap::CommandFactory as _;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::ui::Ui;

/// Runs the command.
pub(crate) fn run(cli: &Cli, ui: &Ui) -> Result<(), Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Build(targets) => build::run(global, ui, targets),
        Command::Test(tests) => test::run(global, ui, tests),
        Command::Verify(targets) => verify::run(global, ui, targets),
        Command::Run { machine, dry_run } => run::run(global, ui, machine.as_deref(), *dry_run),
        Command::Plan(targets) => plan::run(global, ui, targets),
        Command::Explain { target } => explain::run(global, ui, target),
        Command::Shell { target, failed: _, command } => shell::run(global, ui, target.as_deref(), command),
        Command::Log { target: Some(target) } => log::of_step(global, ui, target),
        Command::Log { target: None } => log::of_build(global, ui),
        Command::Lock { update } => lock::run(global, ui, *update),
        Command::Fetch(targets) => fetch::run(global, ui, targets),
        Command::Doctor => doctor::run(global, ui),
        Command::Gc { keep } => gc::run(global, ui, *keep),
        Command::Clean => clean::run(global, ui),
        Command::Schema => {
            ui.print(&recipe::schema());
            Ok(())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "bootwright", &mut script);
            ui.print(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}
