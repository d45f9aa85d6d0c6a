//! The machine that runs beside a `watch`: started anew when it became another one, or given new files while it runs.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use cas::{Digest, Node, Store as _};
use engine::{Placement, Requirements, Step, StepId};
use recipe::{Goal, Name};
use vm::agent::{Agent, AgentError};

use crate::failure::{Failure, io};
use crate::prepared::Prepared;
use crate::session::Session;
use crate::ui::{Ui, some};

/// How long a guest may take to answer; one that starts does not answer yet.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many names of what was pushed are shown.
const SHOWN: usize = 3;

/// A machine whose parts are all built.
pub(super) struct Ready {
    name: Name,
    prepared: Prepared,
    step: StepId,
    /// What would run: it is another one when anything of the machine is.
    action: Digest,
    has_agent: bool,
    files: Files,
}

/// Files that are to be in a guest, by path.
type Files = BTreeMap<String, GuestFile>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GuestFile {
    digest: Digest,
    mode: u32,
    owner: (u32, u32),
}

/// Files that a running guest does not have yet.
pub(super) struct Push {
    name: Name,
    /// Only what is new.
    files: Files,
    then: Option<String>,
}

/// What became of a machine's parts.
pub(super) enum Made {
    /// It can run.
    Ready(Box<Ready>),
    /// All that has to be done is to push something into it.
    Push(Push),
}

/// Builds all that a machine needs. `None` when that failed, which has been told.
pub(super) fn ready(session: &Session<'_>, name: &Name) -> Result<Option<Ready>, Failure> {
    let mut prepared = session.prepare(&[Goal::Machine(name.clone())])?;
    let machine = prepared.lowered.machines[name].clone();
    let has_agent = machine.machine.agent.is_some();
    let mut arguments = machine.arguments;
    if has_agent {
        arguments.extend(["--agent".to_owned(), local::SOCKET.to_string()]);
    }
    let step = prepared.lowered.graph.add_step(Step {
        label: format!("run {name}"),
        arguments,
        environment: machine.environment,
        inputs: machine.inputs,
        requirements: machine.requirements,
    });
    let built = session.build(&prepared, &prepared.lowered.graph.producers(step))?;
    if built.outcome.counts().failed > 0 {
        return Ok(None);
    }
    session.tell_notes(&prepared, &built)?;
    session.keep(&prepared, &built)?;
    let action = session.action(&prepared, step)?.action;
    let Some(files) = files(session, &mut prepared, name)? else { return Ok(None) };
    Ok(Some(Ready { name: name.clone(), prepared, step, action, has_agent, files }))
}

/// Builds the files that are pushed into a machine, and no more. `None` when that failed, which has been told.
fn files(session: &Session<'_>, prepared: &mut Prepared, name: &Name) -> Result<Option<Files>, Failure> {
    let pushed = prepared.lowered.machines[name].push.clone();
    if pushed.is_empty() {
        return Ok(Some(Files::new()));
    }
    let placements = pushed.iter().enumerate();
    let inputs = placements.map(|(idx, file)| Placement { path: idx.to_string(), input: file.input.clone() });
    // It never runs: what it would read are the files.
    let step = prepared.lowered.graph.add_step(Step {
        label: format!("push {name}"),
        arguments: vec!["true".to_owned()],
        environment: Arc::default(),
        inputs: inputs.collect(),
        requirements: Requirements::default(),
    });
    let built = session.build(prepared, &prepared.lowered.graph.producers(step))?;
    if built.outcome.counts().failed > 0 {
        return Ok(None);
    }
    let root = session.action(prepared, step)?.input_root;
    let root = session.caches.store.read_directory(&root).map_err(Failure::store)?;
    let mut files = Files::new();
    for (idx, file) in pushed.into_iter().enumerate() {
        let Some(Node::File { digest, executable }) = root.entries.get(&idx.to_string()) else {
            let message = format!("what machine `{name}` has in `push` for `{}` is no file", file.path);
            return Err(Failure::project(message));
        };
        let mode = file.mode.unwrap_or(if *executable { 0o755 } else { 0o644 });
        files.insert(file.path, GuestFile { digest: *digest, mode, owner: file.owner });
    }
    Ok(Some(files))
}

/// Runs one machine at a time, beside everything else.
pub(super) struct Runner<'s, 'e> {
    scope: &'s Scope<'s, 'e>,
    ui: &'s Ui,
    /// Becomes true when the user wants to stop.
    stop: Arc<AtomicBool>,
    running: Option<Running<'s>>,
}

struct Running<'s> {
    action: Digest,
    cancel: Arc<AtomicBool>,
    thread: ScopedJoinHandle<'s, ()>,
    /// Who talks to its agent, until that did not answer.
    agent: Option<Agent>,
    /// What is in it, of what is pushed.
    files: Files,
}

impl Running<'_> {
    fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }
}

impl<'s, 'e> Runner<'s, 'e> {
    pub(super) fn new(scope: &'s Scope<'s, 'e>, ui: &'s Ui, stop: Arc<AtomicBool>) -> Runner<'s, 'e> {
        Runner { scope, ui, stop, running: None }
    }

    /// Builds what has to be pushed into the machine that runs; if that is nothing, or there is none, all that the machine
    /// needs. `None` when that failed, which has been told.
    pub(super) fn make(&self, session: &Session<'_>, name: &Name) -> Result<Option<Made>, Failure> {
        let running = self.running.as_ref().filter(|running| running.is_alive() && running.agent.is_some());
        if let Some(running) = running {
            let mut prepared = session.prepare(&[Goal::Machine(name.clone())])?;
            let Some(mut files) = files(session, &mut prepared, name)? else { return Ok(None) };
            files.retain(|path, file| running.files.get(path) != Some(file));
            if !files.is_empty() {
                let then = prepared.lowered.machines[name].then.clone();
                return Ok(Some(Made::Push(Push { name: name.clone(), files, then })));
            }
        }
        Ok(ready(session, name)?.map(|ready| Made::Ready(Box::new(ready))))
    }

    /// Pushes files into the guest. Returns whether they are there; otherwise it has to start anew.
    pub(super) fn push(&mut self, session: &Session<'_>, push: &Push) -> bool {
        let Some(running) = &mut self.running else { return false };
        let Some(agent) = &mut running.agent else { return false };
        let Push { name, files, then } = push;
        match pushed(session, agent, files) {
            Ok(()) => {}
            Err(failure) => {
                running.agent = None;
                if !self.stop.load(Ordering::Relaxed) {
                    self.ui.failure(&failure);
                }
                return false;
            }
        }
        let names: Vec<String> = files.keys().cloned().collect();
        running.files.extend(files.clone());
        self.ui.note(&format!("pushed {} into machine `{name}`", some(&names, SHOWN)));
        if let Some(then) = then {
            match agent.shell(then, &[]) {
                Ok(ended) if ended.code == 0 => {}
                Ok(ended) => self.ui.report(&format!(
                    "error: `{then}` failed in machine `{name}` with exit code {}\n{}",
                    ended.code, ended.printed
                )),
                Err(AgentError::Cancelled) => {}
                Err(error) => self.ui.failure(&Failure::machine(error)),
            }
        }
        true
    }

    /// Runs the machine in place of the one that runs, unless it is the same.
    pub(super) fn update(&mut self, session: Session<'s>, ready: Ready) -> Result<(), Failure> {
        let is_same = |running: &Running<'_>| {
            running.action == ready.action
                && running.is_alive()
                && (running.agent.is_some() || !ready.has_agent)
        };
        if self.running.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let was_alive = self.running.as_ref().is_some_and(Running::is_alive);
        self.stop();
        let ui = self.ui;
        let Ready { name, prepared, step, action, has_agent, files } = ready;
        let sockets = has_agent.then(UnixStream::pair).transpose();
        let (ours, theirs) = sockets.map_err(io("make a socket for the guest's agent"))?.unzip();
        ui.note(&match was_alive {
            true => format!("machine `{name}` starts anew"),
            false => format!("machine `{name}` starts"),
        });
        let cancel = Arc::clone(&session.cancel);
        let thread = self.scope.spawn(move || {
            let socket = theirs.as_ref().map(|socket| socket.as_fd());
            let ended = session.enter_beside(&prepared, step, socket);
            if session.cancel.load(Ordering::Relaxed) {
                return;
            }
            match ended {
                Ok(0) => {
                    ui.note(&format!("machine `{name}` has ended; it starts again after the next build"))
                }
                Ok(code) => ui.note(&format!("machine `{name}` ended with exit code {code}")),
                Err(failure) => ui.failure(&failure),
            }
        });
        let agent = ours.map(|socket| Agent::new(socket, Arc::clone(&self.stop)));
        self.running = Some(Running { action, cancel, thread, agent, files });
        Ok(())
    }

    /// Ends the machine that runs.
    pub(super) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.cancel.store(true, Ordering::Relaxed);
            running.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }
}

fn pushed(session: &Session<'_>, agent: &mut Agent, files: &Files) -> Result<(), Failure> {
    let failed = |error: AgentError| {
        let is_silent = matches!(error, AgentError::Silent);
        let failure = Failure::machine(error);
        if is_silent {
            failure.help("the guest needs `qemu-guest-agent` and the driver `virtio_console`")
        } else {
            failure
        }
    };
    agent.sync(PATIENCE).map_err(failed)?;
    for (path, file) in files {
        let bytes = session.caches.store.read(&file.digest).map_err(Failure::store)?;
        agent.push(path, &bytes, file.mode, file.owner).map_err(failed)?;
    }
    Ok(())
}
