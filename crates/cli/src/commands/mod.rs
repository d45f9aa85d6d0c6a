//! The commands, one file each: what they do, put together from the other crates.

mod build;
mod clean;
mod config;
mod diff;
mod doctor;
mod explain;
mod extract;
mod fetch;
mod gc;
mod init;
mod inspect;
mod lock;
mod log;
mod measure;
mod plan;
mod report;
mod run;
mod shell;
mod size;
mod test;
mod update;
mod verify;
mod watch;
mod xbuild;

use clap::CommandFactory as _;

use crate::args::{Cli, Command, Global};
use crate::failure::Failure;
use crate::signals;
use crate::ui::Ui;
use crate::workspace::Caches;

/// Runs the command.
pub(crate) fn run(cli: &Cli, ui: &Ui) -> Result<(), Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Build(targets) => healing(global, ui, || build::run(global, ui, targets)),
        Command::Test(tests) => healing(global, ui, || test::run(global, ui, tests)),
        Command::Verify(targets) => verify::run(global, ui, targets),
        Command::Run { machine, dry_run: true, gdb } => run::dry(global, ui, machine.as_deref(), *gdb),
        Command::Run { machine, dry_run: false, gdb } => run::run(global, ui, machine.as_deref(), *gdb),
        Command::Watch { stop: true, .. } => watch::daemon::stop(global, ui),
        Command::Watch { daemon: true, .. } => watch::daemon::start(global, ui),
        Command::Watch { answer: true, .. } => watch::daemon::answer(global, ui),
        Command::Watch { names, run, .. } => watch::run(global, ui, names, run.as_deref()),
        Command::Inspect { what, recursive, raw } => {
            inspect::run(global, ui, what.as_deref(), inspect::How { recursive: *recursive, raw: *raw })
        }
        Command::Extract { what, place } => extract::run(ui, global, what, place),
        Command::Size { what, against, html, depth, lines } => {
            let how = size::How {
                against: against.as_deref(),
                html: html.as_deref(),
                text: ::report::size::TextOptions { depth: *depth, lines: *lines },
            };
            size::run(global, ui, what, how)
        }
        Command::Report { file } => report::run(global, ui, file.as_deref()),
        Command::Diff { a, b, ignore } => diff::run(global, ui, a, b, ignore),
        Command::Update(arguments) => update::run(global, ui, arguments),
        Command::Measure(options) => measure::run(global, ui, options),
        Command::Xbuild(options) => healing(global, ui, || xbuild::run(global, ui, options)),
        Command::Init { list: true, .. } => init::list(global, ui),
        Command::Init { place, from, list: false } => init::run(global, ui, place.as_deref(), from),
        Command::Plan(targets) => plan::run(global, ui, targets),
        Command::Explain { target } => explain::run(global, ui, target),
        Command::Shell { target, failed: _, command } => shell::run(global, ui, target.as_deref(), command),
        Command::Config { target, diff, command } => match (target, diff.as_slice()) {
            (_, [before, after]) => config::diff(global, ui, before, after),
            (target, _) => config::edit(global, ui, target.as_deref().unwrap_or_default(), command),
        },
        Command::Log { target: Some(target) } => log::of_step(global, ui, target),
        Command::Log { target: None } => log::of_build(global, ui),
        Command::Lock { update } => lock::run(global, ui, *update),
        Command::Fetch(targets) => fetch::run(global, ui, targets),
        Command::Doctor { scrub } => doctor::run(global, ui, *scrub),
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

/// Does `work`. When it fails for something in the cache that is damaged, verifies all of the cache, which
/// removes what is not as it should be, and does it once more.
fn healing(global: &Global, ui: &Ui, work: impl Fn() -> Result<(), Failure>) -> Result<(), Failure> {
    match work() {
        Err(failure) if failure.cache_is_damaged => {
            ui.failure(&failure);
            ui.note("the cache is damaged: all of it is verified, then this is tried once more");
            let caches = Caches::open_until(global, signals::cancel_flag()?)?;
            let scrubbed = caches.store.scrub().map_err(Failure::store)?;
            ui.note(&scrub_text(&scrubbed));
            work()
        }
        done => done,
    }
}

/// Returns what verifying the cache found.
fn scrub_text(scrubbed: &cas::Scrubbed) -> String {
    match (scrubbed.damaged.len(), scrubbed.n_broken_records) {
        (0, 0) => format!("{} files are whole", scrubbed.n_checked),
        (n_damaged, n_broken) => format!(
            "of {} files {n_damaged} were damaged and are removed, with {n_broken} results that relied on what is \
             not there",
            scrubbed.n_checked
        ),
    }
}
