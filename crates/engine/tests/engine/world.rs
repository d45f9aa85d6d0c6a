//! The world that the tests build in, and graphs in few words.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cas::{Digest, Store};
use engine::{
    Event, EventKind, Executor, ExecutorError, Graph, History, Input, Known, Options, Outcome, Placement,
    Request, Requirements, Run, RunError, Step, StepId, StepOutcome, World,
};
use testkit::{EvictingStore, MemoryActionCache, Produced, ScriptedExecutor, describe_tree, make_tree};

/// A store, a cache and what was told of the last build.
#[derive(Default)]
pub(crate) struct TestWorld {
    pub(crate) store: EvictingStore,
    pub(crate) cache: MemoryActionCache,
    pub(crate) history: History,
    pub(crate) options: Options,
    pub(crate) cancel: AtomicBool,
    pub(crate) last_events: Mutex<Vec<Event>>,
}

impl TestWorld {
    /// Builds with the script [`obey`].
    pub(crate) fn build(&self, graph: &Graph, wanted: &[StepId]) -> Outcome {
        self.build_with(graph, wanted, &self.executor()).expect("the machine works")
    }

    pub(crate) fn build_with(
        &self,
        graph: &Graph,
        wanted: &[StepId],
        executor: &dyn Executor,
    ) -> Result<Outcome, RunError> {
        let ticks = Cell::new(0);
        let clock = || {
            ticks.set(ticks.get() + 1);
            Duration::from_millis(ticks.get())
        };
        let world =
            World { store: &self.store, cache: &self.cache, executor, history: &self.history, clock: &clock };
        let mut events = Vec::new();
        let outcome =
            engine::run(graph, wanted, &world, &self.options, &self.cancel, &mut |event| events.push(event));
        *self.last_events.lock().unwrap() = events;
        outcome
    }

    /// Builds, and remembers in the history what ran.
    pub(crate) fn build_and_record(&mut self, graph: &Graph, wanted: &[StepId]) -> Outcome {
        let outcome = self.build(graph, wanted);
        self.history = self.history_after();
        outcome
    }

    pub(crate) fn known(&self) -> Known<'_> {
        Known { store: &self.store, cache: &self.cache, history: &self.history }
    }

    pub(crate) fn executor(&self) -> ScriptedExecutor<'_> {
        ScriptedExecutor::new(&self.store, |request| obey(&self.store, request))
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.last_events.lock().unwrap().clone()
    }

    /// Returns the events of the last build that tell of steps, one word and a label each.
    pub(crate) fn told(&self) -> Vec<String> {
        self.last_events.lock().unwrap().iter().filter_map(tell).collect()
    }

    fn history_after(&self) -> History {
        let mut lines = self.history.compact();
        lines.extend(
            self.last_events.lock().unwrap().iter().filter_map(Run::of_event).map(|run| run.to_line()),
        );
        History::new(lines)
    }

    pub(crate) fn file(&self, content: &str) -> Input {
        let digest = self.store.write(content.as_bytes()).unwrap();
        Input::File { digest, executable: false }
    }

    pub(crate) fn tree(&self, entries: &[(&str, &str)]) -> Input {
        Input::Tree(make_tree(&self.store, entries))
    }

    pub(crate) fn read(&self, outcome: &Outcome, step: StepId) -> String {
        describe_tree(&self.store, &outcome.result(step).expect("the step succeeded").output)
    }
}

fn tell(event: &Event) -> Option<String> {
    match &event.kind {
        EventKind::Hit { label, .. } => Some(format!("hit {label}")),
        EventKind::Ended { label, exit_code: 0, .. } => Some(format!("ran {label}")),
        EventKind::Ended { label, exit_code, .. } => Some(format!("failed {label} with {exit_code}")),
        EventKind::Retried { label, error } => Some(format!("retried {label}: {error}")),
        EventKind::Unready { label, problem } => Some(format!("unready {label}: {problem}")),
        EventKind::Skipped { label, because } => Some(format!("skipped {label} because of {because}")),
        EventKind::Lost { label } => Some(format!("lost {}", label.as_deref().unwrap_or("a merged tree"))),
        EventKind::Finished { end } => Some(format!("{end:?}")),
        EventKind::Began { .. } | EventKind::Started { .. } | EventKind::Estimated { .. } => None,
    }
}

/// Does what the commands of the tests do: `list` leaves a listing of its input tree as `out/list`, `const TEXT`
/// leaves the text as `out/const`, `copy` leaves its input tree, `exit CODE` fails, `die` has the machine fail.
pub(crate) fn obey(store: &dyn Store, request: &Request<'_>) -> Result<Produced, ExecutorError> {
    let arguments: Vec<&str> = request.command.arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list"] => Ok(Produced::default().file("list", describe_tree(store, &request.input_root))),
        ["copy"] => {
            let listing = describe_tree(store, &request.input_root);
            let entries = listing.lines().filter_map(|line| line.split_once(' '));
            Ok(entries.fold(Produced::default(), |produced, (path, content)| produced.file(path, content)))
        }
        ["const", text] => Ok(Produced::default().file("const", *text)),
        ["exit", code] => Ok(Produced::default().exit_code(code.parse().unwrap()).log("it did not work")),
        ["die"] => Err(machine_error("start the sandbox")),
        _ => panic!("`{}` has an unknown command {arguments:?}", request.label),
    }
}

pub(crate) fn machine_error(doing: &str) -> ExecutorError {
    ExecutorError::Machine {
        doing: doing.to_owned(),
        help: None,
        source: std::io::Error::from(std::io::ErrorKind::StorageFull).into(),
    }
}

pub(crate) fn step(label: &str, arguments: &[&str], inputs: Vec<Placement>) -> Step {
    Step {
        label: label.to_owned(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        environment: Arc::default(),
        inputs,
        requirements: Requirements::default(),
    }
}

pub(crate) fn at(path: &str, input: Input) -> Placement {
    Placement { path: path.to_owned(), input }
}

pub(crate) fn output(step: StepId, path: &str) -> Input {
    Input::Output { step, path: path.to_owned() }
}

/// What came of the step, in a word.
pub(crate) fn word(outcome: &Outcome, step: StepId) -> &'static str {
    match outcome.step(step) {
        None => "unneeded",
        Some(StepOutcome::Hit { .. }) => "hit",
        Some(StepOutcome::Ran { .. }) => "ran",
        Some(StepOutcome::Failed { .. }) => "failed",
        Some(StepOutcome::Unready { .. }) => "unready",
        Some(StepOutcome::Skipped { .. }) => "skipped",
        Some(StepOutcome::NotStarted) => "not started",
    }
}

/// Returns the action of a step that has one.
pub(crate) fn action(outcome: &Outcome, step: StepId) -> Digest {
    match outcome.step(step) {
        Some(
            StepOutcome::Hit { action, .. }
            | StepOutcome::Ran { action, .. }
            | StepOutcome::Failed { action, .. },
        ) => *action,
        other => panic!("{other:?} has no action"),
    }
}
