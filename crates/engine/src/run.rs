//! The loop: takes what is wanted and ready, looks it up, and has run what is not remembered.
//!
//! One thread owns all state; steps and merges run on others and send back what became of them. A step that
//! is rebuilt to the same bytes gives its dependents the same keys, so they are not: nothing here compares
//! outputs.

use std::cmp::Reverse;
mod faults;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use cas::{Digest, Store};

use crate::action::ActionResult;
use crate::estimate::Estimates;
use crate::events::{End, Event, EventKind};
use crate::executor::{ActionCache, Execution, Executor, ExecutorError};
use crate::graph::{Graph, StepId};
use crate::history::History;
use crate::key::{InputError, Key, Keys, Outputs, command_of, placed};
use crate::merge::Part;
use crate::needs::{Needs, placements, selection};
use crate::outcome::{Outcome, RunError, StepOutcome};
use crate::pack::{Queue, Waiting};
use crate::tree::{DigestMap, TreeError, Trees, is_stored};
use crate::worker::{self, Bench, Done, Job, JobEnd, JobError, Work};

/// Everything outside of the engine.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Where blobs are.
    pub store: &'a dyn Store,
    /// Remembers results.
    pub cache: &'a dyn ActionCache,
    /// Runs actions.
    pub executor: &'a dyn Executor,
    /// What is known of earlier runs.
    pub history: &'a History,
    /// A monotonic clock, for events.
    pub clock: &'a dyn Fn() -> Duration,
}

/// How to build.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many steps may run at once; at least one does.
    pub jobs: usize,
    /// How many bytes of memory the running steps may be expected to use together. A step that needs more
    /// runs alone.
    pub memory: Option<u64>,
    /// Whether to go on with what does not need a step that failed.
    pub keep_going: bool,
    /// Steps that run although their results are remembered.
    pub force: BTreeSet<StepId>,
    /// How often a step is tried again that the machine could not run.
    pub retries: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options { jobs: 1, memory: None, keep_going: false, force: BTreeSet::new(), retries: 1 }
    }
}

/// Makes the outputs of `wanted`, running only what is needed for them and not remembered.
///
/// A command that fails is part of the outcome: its dependents are skipped, its result is not remembered,
/// and without `keep_going` nothing new is started. Once `cancel` is true nothing new is started either, and
/// the executor is relied on to end what runs.
///
/// Fails when the machine could not do it, after everything that was running has ended.
///
/// # Panics
/// When the executor panics, or when `wanted` names steps of another graph.
pub fn run(
    graph: &Graph,
    wanted: &[StepId],
    world: &World<'_>,
    options: &Options,
    cancel: &AtomicBool,
    events: &mut dyn FnMut(Event),
) -> Result<Outcome, RunError> {
    let (job_sender, job_receiver) = mpsc::channel();
    let (done_sender, done_receiver) = mpsc::channel();
    let job_receiver = Mutex::new(job_receiver);
    let bench = Bench { store: world.store, cache: world.cache, executor: world.executor, cancel };
    std::thread::scope(|scope| {
        let jobs = &job_receiver;
        let mut add_thread = || {
            let done_sender = done_sender.clone();
            scope.spawn(move || worker::work(bench, jobs, &done_sender));
        };
        let needs = Needs::of(graph, wanted);
        let n_nodes = needs.n_producers.len();
        let mut build = Build {
            graph,
            world,
            options,
            cancel,
            events,
            keys: Keys::new(graph, Trees::new(world.store)),
            outputs: Outputs::new(graph),
            status: vec![Status::Waiting; n_nodes],
            n_awaited: needs.n_producers.clone(),
            outcomes: std::iter::repeat_with(|| None).take(graph.steps.len()).collect(),
            needs,
            ready: VecDeque::new(),
            queue: Queue::new(options.jobs, options.memory),
            in_flight: DigestMap::default(),
            running: Vec::new(),
            attempts: HashMap::new(),
            estimates: None,
            estimated: None,
            revived: HashMap::new(),
            has_failed: false,
            error: None,
            n_threads: 0,
            add_thread: &mut add_thread,
            jobs: job_sender,
            done: done_receiver,
        };
        build.run();
        build.finish()
    })
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Something that it reads is not known yet, or it is about to be looked at.
    Waiting,
    /// It is to run, runs, or waits for the same action of another node.
    InFlight,
    /// Its output is known.
    Known,
    /// It has no output: it or something that it reads failed.
    Gone,
}

struct Build<'a, 'r> {
    graph: &'a Graph,
    world: &'r World<'a>,
    options: &'r Options,
    cancel: &'r AtomicBool,
    events: &'r mut dyn FnMut(Event),
    keys: Keys<'a>,
    outputs: Outputs,
    needs: Needs,
    status: Vec<Status>,
    /// By node: how many of its placements are not known yet.
    n_awaited: Vec<u32>,
    outcomes: Vec<Option<StepOutcome>>,
    /// Nodes whose inputs are known, to be looked up.
    ready: VecDeque<u32>,
    queue: Queue,
    /// Actions that are to run or do, and who else waits for the same one.
    in_flight: DigestMap<Vec<u32>>,
    running: Vec<Running>,
    attempts: HashMap<u32, u32>,
    estimates: Option<Estimates>,
    /// What the last event of that kind said.
    estimated: Option<(Duration, u32)>,
    /// Nodes whose remembered results were incomplete, and who waits for them to be made again.
    revived: HashMap<u32, Vec<u32>>,
    has_failed: bool,
    error: Option<RunError>,
    n_threads: usize,
    add_thread: &'r mut dyn FnMut(),
    jobs: Sender<Job<'a>>,
    done: Receiver<Done>,
}

struct Running {
    node: u32,
    action: Digest,
    slot: u32,
    memory: u64,
    since: Duration,
}

impl<'a> Build<'a, '_> {
    fn run(&mut self) {
        self.emit(EventKind::Began {
            steps: self.needs.n_steps() as u32,
            jobs: u32::try_from(self.options.jobs.max(1)).unwrap_or(u32::MAX),
        });
        for &node in &self.needs.order {
            if self.n_awaited[node as usize] == 0 {
                self.ready.push_back(node);
            }
        }
        loop {
            while !self.is_stopping()
                && let Some(node) = self.ready.pop_front()
            {
                self.look_up(node);
            }
            while !self.is_stopping()
                && let Some(waiting) = self.queue.take()
            {
                self.start(waiting);
            }
            // A step that could not be started may have made others ready.
            if !self.is_stopping() && !self.ready.is_empty() {
                continue;
            }
            if self.queue.n_running() == 0 {
                return;
            }
            self.estimate();
            let done = self.done.recv().expect("a worker reports each job, even when it panics");
            if matches!(done.end, JobEnd::Panicked) {
                return;
            }
            self.end(done);
        }
    }

    fn finish(mut self) -> Result<Outcome, RunError> {
        let mut n_not_started = 0;
        for node in &self.needs.order {
            if let Some(step) = self.needs.step(*node) {
                self.outcomes[step.0 as usize].get_or_insert_with(|| {
                    n_not_started += 1;
                    StepOutcome::NotStarted
                });
            }
        }
        let end = match (&self.error, self.has_failed, n_not_started) {
            (Some(_), ..) => End::Error,
            // Nobody wants to hear what else follows from a failure after having stopped it.
            (None, true, 1..) if self.cancel.load(Ordering::Relaxed) => End::Cancelled,
            (None, true, _) => End::Failed,
            (None, false, 0) => End::Done,
            (None, false, _) => End::Cancelled,
        };
        self.emit(EventKind::Finished { end });
        match self.error {
            Some(error) => Err(error),
            None => Ok(Outcome { end, steps: self.outcomes }),
        }
    }

    fn is_stopping(&self) -> bool {
        self.error.is_some()
            || (self.has_failed && !self.options.keep_going)
            || self.cancel.load(Ordering::Relaxed)
    }

    fn emit(&mut self, kind: EventKind) {
        (self.events)(Event { at: (self.world.clock)(), kind });
    }

    fn label(&self, step: StepId) -> String {
        self.graph.step(step).label.clone()
    }

    /// Computes the key of a node whose inputs are known, and looks up its result.
    fn look_up(&mut self, node: u32) {
        let is_forced = self.revived.contains_key(&node)
            || self.needs.step(node).is_some_and(|step| self.options.force.contains(&step));
        if !is_forced {
            let shortcut = self.keys.shortcut(node, &self.outputs);
            if let Some((action, result)) = self.world.cache.recall(&shortcut) {
                return self.hit(node, action, result);
            }
        }
        let Some((_, key)) = self.prepare(node) else { return };
        if !is_forced {
            match self.remembered(&key.action) {
                Ok(Some(result)) => {
                    self.learn(node, &key.action, &result);
                    return self.hit(node, key.action, result);
                }
                Ok(None) => {}
                Err(error) => return self.stop(node, error),
            }
        }
        self.status[node as usize] = Status::InFlight;
        if let Some(others) = self.in_flight.get_mut(&key.action) {
            others.push(node);
            return;
        }
        self.in_flight.insert(key.action, Vec::new());
        self.enqueue(node, key.action);
    }

    /// Returns the parts and the key of a node, unless they cannot be had: then that has been dealt with.
    fn prepare(&mut self, node: u32) -> Option<(Vec<Part<'a>>, Key)> {
        let graph = self.graph;
        let step = self.needs.step(node);
        let prepared = self.keys.resolve(placements(graph, node), &self.outputs).and_then(|mut parts| {
            let key = match step {
                Some(step) => self.keys.step(graph.step(step), &mut parts)?,
                None => self.keys.merge(&parts, selection(self.graph, node))?,
            };
            Ok((parts, key))
        });
        match prepared {
            Ok(prepared) => Some(prepared),
            Err(InputError::Tree(error)) if error.is_missing() => {
                self.revive_producers(node, JobError::Tree(error));
                None
            }
            Err(InputError::Tree(error @ TreeError::Store(_))) => {
                self.stop(node, JobError::Tree(error));
                None
            }
            Err(problem) => {
                self.unready(node, problem);
                None
            }
        }
    }

    /// Returns what is remembered of the action, if all of it is still there.
    fn remembered(&self, action: &Digest) -> Result<Option<ActionResult>, JobError> {
        let result = self.world.cache.get(action).map_err(JobError::Cache)?;
        let Some(result) = result.filter(|result| result.exit_code == 0) else { return Ok(None) };
        let stored = |digest| is_stored(self.world.store, digest);
        let is_there = stored(&result.output).and_then(|output| Ok(output && stored(&result.log)?));
        Ok(is_there.map_err(|error| JobError::Tree(error.into()))?.then_some(result))
    }

    fn hit(&mut self, node: u32, action: Digest, result: ActionResult) {
        self.outputs.set(node, result.output);
        if let Some(step) = self.needs.step(node) {
            self.outcomes[step.0 as usize] = Some(StepOutcome::Hit { action, result });
            let label = self.label(step);
            self.emit(EventKind::Hit { label, action });
        }
        self.known(node);
    }

    /// Has the cache find the result at once when the node is looked up the next time.
    fn learn(&mut self, node: u32, action: &Digest, result: &ActionResult) {
        // What it was made of may be something else by now than what a shortcut would be told of.
        if self.outputs.have_changed {
            return;
        }
        let shortcut = self.keys.shortcut(node, &self.outputs);
        self.world.cache.learn(&shortcut, action, result);
    }

    /// The output of `node` is known: what waited only for that is ready.
    fn known(&mut self, node: u32) {
        self.status[node as usize] = Status::Known;
        if let Some(estimates) = &mut self.estimates {
            estimates.finish(node, &self.needs);
        }
        match self.revived.get_mut(&node) {
            // Whoever does not wait for it again had been told the first time.
            Some(waiting) => {
                for dependent in std::mem::take(waiting) {
                    self.n_awaited[dependent as usize] -= 1;
                    if self.n_awaited[dependent as usize] == 0 {
                        self.ready.push_back(dependent);
                    }
                }
            }
            None => {
                for &dependent in self.needs.dependents(node) {
                    self.n_awaited[dependent as usize] -= 1;
                    if self.n_awaited[dependent as usize] == 0 {
                        self.ready.push_back(dependent);
                    }
                }
            }
        }
    }

    /// Has a node run as soon as its turn comes.
    fn enqueue(&mut self, node: u32, action: Digest) {
        if self.estimates.is_none() {
            let is_left = |node: u32| !matches!(self.status[node as usize], Status::Known | Status::Gone);
            self.estimates = Some(Estimates::new(self.graph, &self.needs, self.world.history, is_left));
        }
        let Some(estimates) = &self.estimates else { return };
        let memory = match self.needs.step(node) {
            // Merges hold a few directories at a time.
            None => 0,
            Some(_) => match estimates.usage(node) {
                Some(usage) => usage.peak_memory,
                None => self.queue.memory_share(),
            },
        };
        self.queue.push(Waiting { priority: estimates.urgency(node), node: Reverse(node), memory, action });
    }

    fn start(&mut self, waiting: Waiting) {
        let Reverse(node) = waiting.node;
        let prepared = self.prepare(node);
        let Some((parts, key)) = prepared.filter(|(_, key)| key.action == waiting.action) else {
            // Something that it reads went missing since, or was made anew and differently.
            self.queue.release(waiting.memory);
            for node in self.same_action(node, &waiting.action) {
                if self.status[node as usize] == Status::InFlight {
                    self.status[node as usize] = Status::Waiting;
                    self.ready.push_back(node);
                }
            }
            return;
        };
        let graph = self.graph;
        let work = match self.needs.step(node) {
            None => Work::Merge { selection: selection(graph, node) },
            Some(step) => {
                let step = graph.step(step);
                Work::Step {
                    label: &step.label,
                    requirements: &step.requirements,
                    command: command_of(step),
                    input_root: key.input_root,
                }
            }
        };
        let slot =
            (0..).find(|slot| self.running.iter().all(|running| running.slot != *slot)).unwrap_or_default();
        let since = (self.world.clock)();
        self.running.push(Running { node, action: key.action, slot, memory: waiting.memory, since });
        if let Some(step) = self.needs.step(node) {
            let attempt = self.attempts.get(&node).copied().unwrap_or(0) + 1;
            let expected = self.estimates.as_ref().and_then(|estimates| estimates.usage(node));
            let expected = expected.map(|usage| usage.wall);
            let label = self.label(step);
            self.emit(EventKind::Started { label, action: key.action, slot, attempt, expected });
        }
        if self.n_threads < self.running.len() {
            (self.add_thread)();
            self.n_threads += 1;
        }
        let blobs = std::mem::take(&mut self.keys.blobs);
        let job = Job { node, action: key.action, blobs, placed: placed(&parts), work };
        self.jobs.send(job).expect("the receiver lives as long as the threads");
    }

    fn end(&mut self, done: Done) {
        let running_idx = self.running.iter().position(|running| running.node == done.node);
        let Running { node, action, memory, .. } =
            self.running.swap_remove(running_idx.expect("what ended was running"));
        self.queue.release(memory);
        match done.end {
            JobEnd::Executed(execution) => self.executed(node, action, execution),
            JobEnd::Merged(result) => {
                for node in self.same_action(node, &action) {
                    self.learn(node, &action, &result);
                    self.outputs.set(node, result.output);
                    self.known(node);
                }
            }
            JobEnd::Failed(JobError::Executor(ExecutorError::Cancelled)) if self.is_stopping() => {
                self.in_flight.remove(&action);
            }
            JobEnd::Failed(error) if error.is_missing() => {
                for node in self.same_action(node, &action) {
                    self.status[node as usize] = Status::Waiting;
                    // Its own inputs are those of all the others.
                    self.revive_producers(node, faults::missing_again(&error));
                }
            }
            JobEnd::Failed(JobError::Tree(problem)) if !matches!(problem, TreeError::Store(_)) => {
                for other in self.same_action(node, &action).into_iter().skip(1) {
                    self.status[other as usize] = Status::Waiting;
                    self.ready.push_back(other);
                }
                self.unready(node, InputError::Tree(problem));
            }
            JobEnd::Failed(error) => self.retry(node, action, error),
            JobEnd::Panicked => unreachable!("the loop ends at a panic"),
        }
    }

    /// Returns the node and those that waited for the same action, which is no longer in flight.
    fn same_action(&mut self, node: u32, action: &Digest) -> Vec<u32> {
        let mut nodes = vec![node];
        nodes.extend(self.in_flight.remove(action).unwrap_or_default());
        nodes
    }

    fn executed(&mut self, node: u32, action: Digest, execution: Execution) {
        let Execution { result, kept } = execution;
        let Some(step) = self.needs.step(node) else { return };
        let label = self.label(step);
        self.emit(EventKind::Ended {
            label,
            action,
            exit_code: result.exit_code,
            output: result.output,
            log: result.log,
            usage: result.usage,
            kept: kept.clone(),
        });
        let nodes = self.same_action(node, &action);
        if result.exit_code == 0 {
            for node in &nodes {
                self.learn(*node, &action, &result);
            }
            self.outputs.set(node, result.output);
            self.outcomes[step.0 as usize] = Some(StepOutcome::Ran { action, result: result.clone() });
            self.known(node);
            for other in &nodes[1..] {
                self.hit(*other, action, result.clone());
            }
            return;
        }
        self.outcomes[step.0 as usize] = Some(StepOutcome::Failed { action, result, kept });
        self.give_up(node, step);
        for &other in &nodes[1..] {
            self.skip(other, step);
            self.give_up(other, step);
        }
    }

    fn estimate(&mut self) {
        let now = (self.world.clock)();
        let Some(estimates) = &mut self.estimates else { return };
        let running = self.running.iter().map(|running| (running.node, now.saturating_sub(running.since)));
        let left = estimates.time_left(running, self.options.jobs);
        let estimated = (left, estimates.n_unknown());
        if self.estimated.replace(estimated) != Some(estimated) {
            let (left, unknown) = estimated;
            self.emit(EventKind::Estimated { left, unknown });
        }
    }
}
