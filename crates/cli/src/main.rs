//! The program `bootwright`: arguments in, a command run, an exit code out.

mod archives;
mod args;
mod artifacts;
mod budgets;
mod build_report;
mod builder;
mod built;
mod commands;
mod differences;
mod download;
mod enter;
mod environment;
mod failure;
mod fetch;
mod goals;
mod image;
mod imports;
mod lock;
mod prepared;
mod project_state;
mod relay;
mod session;
mod signals;
mod sizes;
mod sources;
mod templates;
mod tools;
mod ui;
mod unpack;
mod verify;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // A sandbox is made by running this very program again.
    sandbox::init::run_if_requested();
    environment::allow_open_files();
    let cli = args::Cli::parse();
    let ui = ui::Ui::new(cli.global.progress);
    match commands::run(&cli, &ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failure(&failure);
            ExitCode::from(failure.blame as u8)
        }
    }
}
