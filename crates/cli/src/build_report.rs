//! What is kept of a build beside its events, and the report on both.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use cas::Digest;
use engine::{Change, End, Event, EventKind, Input, Reason, StepOutcome};
use report::build::{Artifact, Build, Fate, Log, Run, Step};
use serde::{Deserialize, Serialize};

use crate::artifacts;
use crate::built::Built;
use crate::failure::{Failure, io};
use crate::prepared::Prepared;
use crate::project_state::ProjectState;
use crate::session::Session;
use crate::workspace::Caches;

/// How much of a log is in a report.
const LOG: usize = 64 << 10;
/// How much of all logs is.
const LOGS: usize = 8 << 20;

/// What is kept of a build beside its events.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    name: String,
    steps: Vec<RecordedStep>,
    artifacts: Vec<RecordedArtifact>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedStep {
    label: String,
    after: Vec<usize>,
    fate: RecordedFate,
    /// What was remembered of it.
    action: Option<Digest>,
    log: Option<Digest>,
    /// What it read of others, of those that ran: where, and the label of what made it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    made: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RecordedFate {
    Remembered,
    Ran,
    Failed,
    Unready(String),
    Skipped(String),
    NotStarted,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedArtifact {
    target: String,
    path: String,
    size: u64,
    sha256: String,
}

/// Keeps what came of a build in which something ran, and writes the page about it that was asked for.
pub(crate) fn keep(
    session: &Session<'_>,
    prepared: &Prepared,
    built: &Built<'_>,
    files: &[(&str, Vec<artifacts::Artifact>)],
    page: Option<&Path>,
) -> Result<(), Failure> {
    let counts = built.outcome.counts();
    if page.is_some() || counts.ran + counts.failed > 0 {
        record(session, prepared, built, files)?;
    }
    match page {
        Some(page) => write(&session.caches, &session.state, page),
        None => Ok(()),
    }
}

/// Keeps what came of a build.
fn record(
    session: &Session<'_>,
    prepared: &Prepared,
    built: &Built<'_>,
    files: &[(&str, Vec<artifacts::Artifact>)],
) -> Result<(), Failure> {
    let graph = &prepared.lowered.graph;
    let places: BTreeMap<_, _> =
        built.outcome.steps().enumerate().map(|(place, (step, _))| (step, place)).collect();
    let steps = built.outcome.steps().map(|(id, outcome)| {
        let step = graph.step(id);
        let (fate, action, log) = match outcome {
            StepOutcome::Hit { action, result } => {
                (RecordedFate::Remembered, Some(*action), Some(result.log))
            }
            StepOutcome::Ran { action, result } => (RecordedFate::Ran, Some(*action), Some(result.log)),
            StepOutcome::Failed { action, result, .. } => {
                (RecordedFate::Failed, Some(*action), Some(result.log))
            }
            StepOutcome::Unready { problem } => (RecordedFate::Unready(problem.to_string()), None, None),
            StepOutcome::Skipped { because } => {
                (RecordedFate::Skipped(graph.step(*because).label.clone()), None, None)
            }
            StepOutcome::NotStarted => (RecordedFate::NotStarted, None, None),
        };
        let ran = matches!(fate, RecordedFate::Ran | RecordedFate::Failed);
        let made = step.inputs.iter().filter(|_| ran).filter_map(|placement| match &placement.input {
            Input::Output { step, .. } => Some((placement.path.clone(), graph.step(*step).label.clone())),
            _ => None,
        });
        let mut after: Vec<usize> =
            graph.producers(id).iter().filter_map(|producer| places.get(producer)).copied().collect();
        after.sort_unstable();
        RecordedStep { label: step.label.clone(), after, fate, action, log, made: made.collect() }
    });
    let artifacts = files.iter().flat_map(|(target, files)| {
        files.iter().map(|file| RecordedArtifact {
            target: (*target).to_owned(),
            path: file.path.clone(),
            size: file.size,
            sha256: file.sha256.clone(),
        })
    });
    let record = Record {
        name: session.stack.name.to_string(),
        steps: steps.collect(),
        artifacts: artifacts.collect(),
    };
    let path = session.state.build_record();
    let text = serde_json::to_vec(&record).expect("labels and digests can be encoded");
    cas::replace_file(&path, &text).map_err(io(format!("write `{}`", path.display())))
}

/// Returns what is known of the last build.
pub(crate) fn of_last(caches: &Caches, state: &ProjectState) -> Result<Build, Failure> {
    let events = events(state)?;
    let mut told = Told::new(read_record(state)?);
    let start = events.first().map(|event| event.at).unwrap_or_default();
    for event in &events {
        told.apply(event, event.at.saturating_sub(start));
    }
    let end = events.last().map(|event| event.at.saturating_sub(start)).unwrap_or_default();
    let Told { mut build, read, open, .. } = told;
    for (place, (start, slot)) in open.into_values() {
        build.steps[place].runs.push(Run { start, end, slot });
    }
    if build.wall.is_zero() {
        build.wall = end;
    }
    let history = state.history()?;
    let mut order: Vec<usize> = (0..build.steps.len()).collect();
    // When there is too much of logs, those of failures are worth most.
    order.sort_by_key(|place| (build.steps[*place].fate != Fate::Failed, *place));
    let mut left = LOGS;
    for place in order {
        let (step, read) = (&mut build.steps[place], &read[place]);
        if !matches!(step.fate, Fate::Ran | Fate::Failed) || step.runs.is_empty() {
            continue;
        }
        let reason = why(caches, &history, &step.label, &read.made);
        step.why =
            if step.why.is_empty() { reason } else { format!("{}\nit ran because {reason}", step.why) };
        step.log = read.log.and_then(|log| read_log(caches, &log, &mut left));
    }
    Ok(build)
}

fn read_record(state: &ProjectState) -> Result<Record, Failure> {
    let path = state.build_record();
    match fs::read(&path) {
        // What another version wrote is as good as nothing.
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Record::default()),
        Err(error) => Err(io(format!("read `{}`", path.display()))(error)),
    }
}

/// What else is known of a step.
#[derive(Default)]
struct Read {
    log: Option<Digest>,
    made: Vec<(String, String)>,
}

/// A build as far as it was told.
struct Told {
    build: Build,
    /// For each of its steps.
    read: Vec<Read>,
    places: BTreeMap<String, usize>,
    /// What was started and did not end, by label: which step, when and where.
    open: BTreeMap<String, (usize, (Duration, u32))>,
}

impl Told {
    fn new(record: Record) -> Told {
        let mut told = Told {
            build: Build {
                name: if record.name.is_empty() { "the project".to_owned() } else { record.name },
                end: "it is still running, or was killed".to_owned(),
                ..Build::default()
            },
            read: Vec::new(),
            places: BTreeMap::new(),
            open: BTreeMap::new(),
        };
        for recorded in record.steps {
            let (fate, why) = match recorded.fate {
                RecordedFate::Remembered => (Fate::Remembered, String::new()),
                RecordedFate::Ran => (Fate::Ran, String::new()),
                RecordedFate::Failed => (Fate::Failed, String::new()),
                RecordedFate::Unready(problem) => (Fate::Failed, problem),
                RecordedFate::Skipped(because) => (Fate::Skipped, format!("`{because}` failed")),
                RecordedFate::NotStarted => (Fate::Skipped, "the build ended before".to_owned()),
            };
            let place = told.place(&recorded.label);
            told.read[place] = Read { log: recorded.log, made: recorded.made };
            let step = &mut told.build.steps[place];
            (step.fate, step.why, step.after) = (fate, why, recorded.after);
            step.action = recorded.action.map(|action| action.to_string());
        }
        told.build.artifacts = record
            .artifacts
            .into_iter()
            .map(|RecordedArtifact { target, path, size, sha256 }| Artifact { target, path, size, sha256 })
            .collect();
        told
    }

    /// Returns the place of a step, which is a new one if nothing was known of it.
    fn place(&mut self, label: &str) -> usize {
        if let Some(place) = self.places.get(label) {
            return *place;
        }
        let place = self.build.steps.len();
        self.places.insert(label.to_owned(), place);
        self.read.push(Read::default());
        self.build.steps.push(Step {
            label: label.to_owned(),
            after: Vec::new(),
            fate: Fate::Skipped,
            why: String::new(),
            action: None,
            runs: Vec::new(),
            cpu: Duration::ZERO,
            peak_memory: 0,
            log: None,
        });
        place
    }

    fn close(&mut self, label: &str, end: Duration) {
        if let Some((place, (start, slot))) = self.open.remove(label) {
            self.build.steps[place].runs.push(Run { start, end, slot });
        }
    }

    fn apply(&mut self, event: &Event, at: Duration) {
        match &event.kind {
            EventKind::Began { steps, jobs } => (self.build.needed, self.build.jobs) = (*steps, *jobs),
            EventKind::Started { label, slot, .. } => {
                let place = self.place(label);
                self.open.insert(label.clone(), (place, (at, *slot)));
            }
            EventKind::Retried { label, .. } => self.close(label, at),
            EventKind::Ended { label, action, exit_code, log, usage, .. } => {
                self.close(label, at);
                let place = self.place(label);
                self.read[place].log = Some(*log);
                let step = &mut self.build.steps[place];
                step.action = Some(action.to_string());
                step.cpu += usage.cpu;
                step.peak_memory = step.peak_memory.max(usage.peak_memory);
                if *exit_code == 0 {
                    step.fate = Fate::Ran;
                } else {
                    (step.fate, step.why) = (Fate::Failed, format!("failed with exit code {exit_code}"));
                }
            }
            EventKind::Unready { label, problem } => {
                let place = self.place(label);
                let step = &mut self.build.steps[place];
                (step.fate, step.why) = (Fate::Failed, problem.clone());
            }
            EventKind::Skipped { label, because } => {
                let place = self.place(label);
                self.build.steps[place].why = format!("`{because}` failed");
            }
            EventKind::Finished { end } => {
                let end = match end {
                    End::Done => "done",
                    End::Failed => "failed",
                    End::Cancelled => "interrupted",
                    End::Error => "given up: this machine could not go on",
                };
                (self.build.end, self.build.wall) = (end.to_owned(), at);
            }
            EventKind::Hit { .. } | EventKind::Lost { .. } | EventKind::Estimated { .. } => {}
        }
    }
}

/// Returns why a step last ran: what differed from its run before that.
fn why(caches: &Caches, history: &engine::History, label: &str, made: &[(String, String)]) -> String {
    let reason = match history.runs(label) {
        [] => Reason::NotRecorded,
        [_] => Reason::RanFirst,
        [.., before, last] if before.action == last.action => match before.exit_code {
            0 => Reason::RanAgain,
            exit_code => Reason::FailedBefore { exit_code },
        },
        [.., before, last] => {
            // What cannot be read any more is not known, and the report is good without.
            let unknown =
                |_| engine::Difference { changes: vec![Change::Unknown], ..engine::Difference::default() };
            let mut difference =
                engine::diff_actions(&caches.store, &before.action, &last.action).unwrap_or_else(unknown);
            for change in &mut difference.changes {
                if let Change::Path { path, from, .. } = change {
                    let is_from = |(place, _): &&(String, String)| {
                        path.strip_prefix(place.as_str())
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    };
                    *from = made.iter().find(is_from).map(|(_, label)| label.clone());
                }
            }
            Reason::Changed { before: before.action, difference }
        }
    };
    reason.in_full().trim_end().to_owned()
}

/// Returns the end of a log; nothing if it is not stored any more.
fn read_log(caches: &Caches, log: &Digest, left: &mut usize) -> Option<Log> {
    let mut file = caches.store.open_blob(log).ok()?;
    let length = log.size().min(LOG.min(*left) as u64);
    let mut left_out = log.size() - length;
    file.seek(SeekFrom::Start(left_out)).ok()?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    *left -= bytes.len();
    // What is cut begins with a whole line.
    if left_out > 0
        && let Some(line) = bytes.iter().position(|byte| *byte == b'\n')
    {
        bytes.drain(..=line);
        left_out += line as u64 + 1;
    }
    Some(Log { text: String::from_utf8_lossy(&bytes).into_owned(), left_out })
}

/// Writes the page about the last build.
pub(crate) fn write(caches: &Caches, state: &ProjectState, path: &Path) -> Result<(), Failure> {
    let page = report::build::page(&of_last(caches, state)?);
    let failed = || io(format!("write `{}`", path.display()));
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(failed())?;
    }
    fs::write(path, page).map_err(failed())
}

/// Returns the events of the last build.
pub(crate) fn events(state: &ProjectState) -> Result<Vec<Event>, Failure> {
    let path = state.event_log();
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::project("nothing was built here yet"),
        _ => io(format!("read `{}`", path.display()))(error),
    })?;
    engine::parse_event_log(&text).map_err(|error| {
        Failure::machine(error)
            .help(format!("another version wrote `{}`: the next build replaces it", path.display()))
    })
}
