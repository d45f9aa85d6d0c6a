//! Who watches a project in the background, for the builds that are started by hand.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use cas::{Server, Watcher, Watches};
use recipe::FILE_NAME;
use rustix::process::{Signal, kill_process, setsid};

use super::failure;
use crate::args::Global;
use crate::environment::Clock;
use crate::failure::{Failure, io};
use crate::project_state::ProjectState;
use crate::signals;
use crate::ui::Ui;
use crate::workspace::{Caches, find_root};

/// When nobody asked for so long, nobody will.
const IDLE: Duration = Duration::from_secs(8 * 3600);
/// How often it looks whether it should end.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long it may take until it has ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it says once it answers.
const READY: &str = "ready";

fn state(global: &Global) -> Result<ProjectState, Failure> {
    let root = find_root(global.directory.as_deref())?;
    ProjectState::open(&Caches::open(global)?.root, &root)
}

/// Starts a process that answers what changed, and returns once it does.
pub(crate) fn start(global: &Global, ui: &Ui) -> Result<(), Failure> {
    let root = find_root(global.directory.as_deref())?;
    let caches = Caches::open(global)?.root;
    let program = std::env::current_exe().map_err(io("find the program that is running"))?;
    let mut child = Command::new(program)
        .arg("-C")
        .arg(&root)
        .arg("--cache")
        .arg(&caches)
        .args(["watch", "--answer"])
        .current_dir(&root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io("start a process in the background"))?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        // Nothing is said when it fails.
        let _read = BufReader::new(output).read_line(&mut line);
    }
    if line.trim_end() == READY {
        ui.note(&format!(
            "process {} watches `{}`: builds look only at what changed; `bootwright watch --stop` ends it",
            child.id(),
            root.display()
        ));
        return Ok(());
    }
    let mut said = String::new();
    if let Some(mut error) = child.stderr.take() {
        let _read = error.read_to_string(&mut said);
    }
    let said = said.trim().trim_start_matches("error: ").to_owned();
    Err(Failure::machine(if said.is_empty() {
        "the process in the background ended".to_owned()
    } else {
        said
    }))
}

/// Answers what changed until the user wants an end, the project is gone or nobody asks any more.
///
/// Sources are watched from when a build first asks for them.
pub(crate) fn answer(global: &Global, ui: &Ui) -> Result<(), Failure> {
    let stop = signals::cancel_flag()?;
    let root = find_root(global.directory.as_deref())?;
    let watches = Watches::new().map_err(failure)?;
    let server = Server::start(&state(global)?.watcher_socket(), &watches).map_err(failure)?;
    // The terminal may go. Who is the first of a session already has none.
    let _was_first = setsid();
    ui.print(&format!("{READY}\n"));
    let clock = Clock::start();
    let (mut n_questions, mut asked) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) && root.join(FILE_NAME).exists() {
        if server.n_questions() != n_questions {
            (n_questions, asked) = (server.n_questions(), clock.elapsed());
        }
        if clock.elapsed() - asked > IDLE {
            break;
        }
        thread::sleep(INTERVAL);
    }
    Ok(())
}

/// Ends the process that watches the project.
pub(crate) fn stop(global: &Global, ui: &Ui) -> Result<(), Failure> {
    let socket = state(global)?.watcher_socket();
    let Some(process) = Watcher::at(&socket).process() else {
        ui.note("nobody watches this project");
        return Ok(());
    };
    match kill_process(process, Signal::TERM) {
        Ok(()) => {
            let clock = Clock::start();
            // Whoever starts another one next must not meet this one.
            while Server::is_there(&socket) {
                if clock.elapsed() > PATIENCE {
                    let message = format!("process {process} was told to end and did not");
                    return Err(Failure::machine(message).help(format!("`kill -9 {process}` ends it")));
                }
                thread::sleep(Duration::from_millis(10));
            }
            ui.note(&format!("process {process} does not watch this project any more"));
            Ok(())
        }
        Err(errno) => Err(io(format!("end process {process}"))(errno.into())),
    }
}
