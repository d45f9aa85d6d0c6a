//! From a stack, its lock and what was fetched to the graph of actions. Pure: the same in, the same out.

mod boot;
mod budgets;
mod cargo;
mod device_tree;
mod erofs;
mod formats;
mod igvm;
mod images;
mod iso;
mod kernel;
mod loaders;
mod machine_disks;
mod packages;
mod sources;
mod squashfs;
mod targets;
mod xbuild;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cas::Digest;
use engine::{Graph, Input, MergeId, Placement, Requirements, Step, StepId};
use serde::Serialize;

use crate::check;

use crate::lock::Lock;
use crate::needs::{Closure, FileIn, Goal, Needs, closure, needs};
use crate::scalar::{Name, ProjectPath, TargetRef};
use crate::{Problem, Source, Spanned, Stack};
pub(crate) use cargo::build_std;
use packages::Packages;

/// What was fetched and imported for [`Needs`].
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The sources, unpacked where they are archives; without source packages, which steps put together.
    pub sources: BTreeMap<Name, Imported>,
    /// When sources were made, in seconds since 1970, of those of which it is known: a git commit, the newest file of
    /// an archive.
    pub dates: BTreeMap<Name, i64>,
    /// The files and directories of the project.
    pub paths: BTreeMap<ProjectPath, Imported>,
    /// The files of sources that say what more is needed, of those that are there.
    pub texts: BTreeMap<FileIn, String>,
    /// The tree of the crates that each `Cargo.lock` names ([`crate::crates`]).
    pub crates: BTreeMap<FileIn, Digest>,
    /// The tools that run in steps: `mkimg`, `pkgroot` and `runvm`, static executables.
    pub tools: BTreeMap<String, Digest>,
}

/// What steps may use of their last run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Nothing: everything is made of its inputs alone.
    #[default]
    Nothing,
    /// The directories that they keep ([`engine::Kept`]), such as those of objects: for people who change a file and
    /// want to see what comes of it.
    Kept,
}

/// Something that is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// A directory: the digest of its root `Directory`.
    Tree(Digest),
    /// A file.
    File {
        /// Its content.
        digest: Digest,
        /// Whether it may be executed.
        executable: bool,
    },
}

/// What a stack comes to.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The actions.
    pub graph: Graph,
    /// What each target leaves, of those that the goals stand on.
    pub targets: BTreeMap<Name, TargetOutput>,
    /// The files of targets that several steps make, and the step of each.
    formats: BTreeMap<Name, Vec<(String, StepId)>>,
    /// The root file system of each environment that the goals stand on.
    pub environments: BTreeMap<Name, MergeId>,
    /// The steps that check the budgets of targets. They leave nothing.
    pub budgets: BTreeMap<Name, StepId>,
    /// The kernels that are built, of those that the goals stand on.
    pub kernels: BTreeMap<Name, KernelOutput>,
    /// The machines that the goals stand on.
    pub machines: BTreeMap<Name, MachineOutput>,
    /// The step that writes what lies where in a machine, `map.txt` and `map.json`, of those with regions.
    pub maps: BTreeMap<Name, StepId>,
    /// The step of each wanted test: it succeeds when the test does, and leaves logs.
    pub tests: BTreeMap<Name, StepId>,
    /// What has to be in the store before anything runs: the specifications that steps read, and their
    /// scripts.
    pub blobs: Vec<Vec<u8>>,
}

/// What a target leaves.
#[derive(Clone, Debug)]
pub struct TargetOutput {
    /// The steps that make it, the main one first, and those that check the budgets of all that it stands on: what their
    /// output directories have is the target's, and no two of them have the same.
    pub steps: Vec<StepId>,
    /// The file that the target is mostly about, in the output directory, if it is about one.
    pub main: Option<String>,
}

impl Lowered {
    /// Returns the step that leaves a file of a target, if that has several steps.
    fn step_of_file(&self, target: &Name, path: &str) -> Option<StepId> {
        let first = path.split('/').next().unwrap_or(path);
        self.formats.get(target)?.iter().find(|(file, _)| file == first).map(|(_, step)| *step)
    }
}

/// A kernel that is built, and how to change its configuration.
#[derive(Clone, Debug)]
pub struct KernelOutput {
    /// The step that makes its configuration: the files `config` and `defconfig`.
    pub config: StepId,
    /// A step, not in the graph, with which somebody at a terminal changes that configuration. What is added to its
    /// arguments is run instead of the kernel's menus. It leaves `config` and `changes`: the lines that lead there.
    pub edit: Step,
}

/// A machine, ready to be run: the inputs of `runvm console in/boot.json`.
#[derive(Clone, Debug)]
pub struct MachineOutput {
    /// What to put into the sandbox.
    pub inputs: Vec<Placement>,
    /// The command line.
    pub arguments: Vec<String>,
    /// The environment of the command.
    pub environment: Arc<BTreeMap<String, String>>,
    /// What it needs of this machine.
    pub requirements: Requirements,
    /// What `in/boot.json` says.
    pub machine: vm::spec::Machine,
    /// What is pushed into its guest when that runs.
    pub push: Vec<Pushed>,
    /// What a shell in the guest runs then.
    pub then: Option<String>,
}

/// A file that is pushed into a running guest.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Its path in the guest.
    pub path: String,
    /// The file.
    pub input: Input,
    /// Its permission bits, unless they depend on whether it is executable where it comes from.
    pub mode: Option<u32>,
    /// The numbers of its owner and group.
    pub owner: (u32, u32),
}

/// Where steps find what they read, relative to the root.
const TOOLS: &str = "build/tools";
const INPUTS: &str = "build/in";
const SOURCES: &str = "build/src";
const CACHES: &str = "build/cache";
/// The output directory as a step sees it.
const OUT: &str = "/build/out";

/// The home directory of commands: what they leave there is forgotten.
const COMMAND_HOME: &str = "/tmp";

/// Returns the environment variables of every command of an environment.
fn command_environment(stack: &Stack) -> BTreeMap<String, String> {
    let variables = [
        ("HOME", COMMAND_HOME),
        ("LANG", "C.UTF-8"),
        ("OUT", OUT),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("SOURCE_DATE_EPOCH", &stack.epoch.to_string()),
        ("TZ", "UTC"),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the actions for `goals`, and where each goal is found among them.
///
/// `resolved` must have what [`needs`] of the same goals lists, and the tools. Fails with all that is
/// not locked, or is not there, or is a file where a directory is needed.
pub fn lower(
    stack: &Stack,
    lock: &Lock,
    resolved: &Resolved,
    goals: &[Goal],
    reuse: Reuse,
) -> Result<Lowered, Vec<Problem>> {
    let needs = needs(stack, goals);
    let mut problems = lock.check(&needs);
    for (path, place) in &needs.paths {
        if !resolved.paths.contains_key(path) {
            problems.push(Problem::at(place, format!("there is no `{}` in the project", path.as_str())));
        }
    }
    for (name, source) in &needs.sources {
        match &source.value {
            // What is made by a step is not fetched before.
            Source::Debian(_) => {}
            _ if resolved.sources.contains_key(name) => {}
            Source::Path(missing) => {
                let path = missing.path.as_str();
                let problem = format!("there is no `{path}` in the project, which is the source `{name}`");
                problems.push(Problem::at(&missing.path.place, problem));
            }
            _ => problems.push(Problem::at(&source.place, format!("source `{name}` was not fetched"))),
        }
    }
    for tool in ["kbuild", "mkimg", "pkgroot", "runvm"] {
        if !resolved.tools.contains_key(tool) {
            problems.push(Problem::nowhere(format!("the tool `{tool}` is missing")));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let closure = closure(stack, goals);
    let mut lowering = Lowering {
        stack,
        lock,
        resolved,
        reuse,
        needs: &needs,
        packages: Packages::default(),
        source_steps: sources::Steps::default(),
        rootfs: BTreeMap::new(),
        disks: BTreeMap::new(),
        labels: BTreeSet::new(),
        problems: Vec::new(),
        lowered: Lowered::default(),
        environment: Arc::new(command_environment(stack)),
    };
    lowering.all(&closure, goals);
    crate::problem::tidy(&mut lowering.problems);
    if lowering.problems.is_empty() { Ok(lowering.lowered) } else { Err(lowering.problems) }
}

struct Lowering<'a> {
    stack: &'a Stack,
    lock: &'a Lock,
    resolved: &'a Resolved,
    reuse: Reuse,
    needs: &'a Needs,
    packages: Packages,
    source_steps: sources::Steps,
    /// The layers of each root file system, bottom first.
    rootfs: BTreeMap<Name, Vec<Layer>>,
    /// The steps that make disks of machines, by their labels.
    disks: BTreeMap<String, StepId>,
    labels: BTreeSet<String>,
    problems: Vec<Problem>,
    lowered: Lowered,
    /// The environment variables of every command.
    environment: Arc<BTreeMap<String, String>>,
}

/// A layer: a tar file that a step makes.
#[derive(Clone, Debug)]
struct Layer {
    /// What it is, for the name under which steps see it.
    name: String,
    input: Input,
}

impl<'a> Lowering<'a> {
    fn all(&mut self, closure: &Closure<'a>, goals: &[Goal]) {
        for name in &closure.environments {
            let merge = self.environment(name);
            self.lowered.environments.insert((*name).clone(), merge);
        }
        for name in &closure.targets {
            self.target(name);
        }
        for goal in goals {
            // A root file system that is only part of an image is never made into one file.
            if let Goal::Target(name) = goal
                && self.stack.targets.contains_key(name)
            {
                self.output(name);
            }
        }
        for name in &closure.targets {
            self.budgets(name);
        }
        for goal in goals {
            if let Goal::Target(name) = goal {
                self.checked(name);
            }
        }
        for name in &closure.machines {
            // The machine of a test is made for it, and nothing is pushed into its guest.
            if goals.iter().any(|goal| matches!(goal, Goal::Machine(of) if of == *name)) {
                self.machine(name);
            }
        }
        for name in &closure.tests {
            self.test(name);
        }
    }

    /// Keeps `value` as a JSON file for a step and returns it as an input.
    fn json(&mut self, value: &impl Serialize) -> Input {
        let mut text = serde_json::to_vec_pretty(value).expect("specifications have no maps with odd keys");
        text.push(b'\n');
        self.blob(text)
    }

    /// Keeps `bytes` as a file for a step and returns it as an input.
    fn blob(&mut self, bytes: Vec<u8>) -> Input {
        let digest = Digest::of(&bytes);
        if !self.lowered.blobs.contains(&bytes) {
            self.lowered.blobs.push(bytes);
        }
        Input::File { digest, executable: false }
    }

    /// Returns an empty directory as an input.
    fn empty_directory(&mut self) -> Input {
        match self.blob(cas::Directory::default().encode()) {
            Input::File { digest, .. } => Input::Tree(digest),
            other => other,
        }
    }

    /// Adds a step that runs one of our tools, which need no environment.
    fn tool_step(
        &mut self,
        label: String,
        arguments: &[&str],
        inputs: Vec<Placement>,
        requirements: Requirements,
    ) -> StepId {
        let mut all = vec![self.tool(arguments[0])];
        all.extend(inputs);
        let program = format!("tools/{}", arguments[0]);
        let arguments =
            std::iter::once(program).chain(arguments[1..].iter().map(|argument| (*argument).to_owned()));
        self.step(Step {
            label,
            arguments: arguments.collect(),
            environment: Arc::default(),
            inputs: all,
            requirements,
        })
    }

    /// Returns the placement of one of our tools.
    fn tool(&self, name: &str) -> Placement {
        Placement {
            path: format!("{TOOLS}/{name}"),
            input: Input::File { digest: self.resolved.tools[name], executable: true },
        }
    }

    /// Adds a step; a label that another step has already is told apart by a number.
    fn step(&mut self, mut step: Step) -> StepId {
        let label = step.label.clone();
        let mut number = 2;
        while !self.labels.insert(step.label.clone()) {
            step.label = format!("{label} ({number})");
            number += 1;
        }
        self.lowered.graph.add_step(step)
    }

    /// Returns what a reference to a target means.
    fn reference(&mut self, reference: &TargetRef) -> Input {
        let main_step = self.output(&reference.target);
        let main = || check::main_file(&reference.target, &self.stack.targets[&reference.target]);
        let path = reference.path.clone().or_else(main).unwrap_or_default();
        let step = self.lowered.step_of_file(&reference.target, &path).unwrap_or(main_step);
        Input::Output { step, path }
    }

    /// Returns a file of the project, or reports that it is a directory.
    fn project_file(&mut self, path: &Spanned<ProjectPath>) -> (Input, bool) {
        match self.resolved.paths[&path.value] {
            Imported::File { digest, executable } => (Input::File { digest, executable }, executable),
            Imported::Tree(digest) => {
                self.problems.push(
                    Problem::at(&path.place, format!("`{}` is a directory", path.as_str()))
                        .help("a whole directory is laid over with `overlays`"),
                );
                (Input::Tree(digest), false)
            }
        }
    }

    /// Returns a directory of the project, or reports that it is a file.
    fn project_directory(&mut self, path: &Spanned<ProjectPath>) -> Input {
        match self.resolved.paths[&path.value] {
            Imported::Tree(digest) => Input::Tree(digest),
            Imported::File { digest, executable } => {
                self.problems.push(
                    Problem::at(&path.place, format!("`{}` is a file", path.as_str()))
                        .help("an overlay is a directory; single files are listed in `files`"),
                );
                Input::File { digest, executable }
            }
        }
    }
}

fn timeout(timeout: Option<Duration>) -> Requirements {
    Requirements { timeout, ..Requirements::default() }
}

/// Returns the layers as inputs in that directory, and their paths relative to the working directory.
fn place_layers(directory: &str, layers: &[Layer]) -> (Vec<Placement>, Vec<String>) {
    let places = layers.iter().enumerate().map(|(idx, layer)| {
        let path = format!("in/{directory}/{idx:04}-{}.tar", layer.name);
        (Placement { path: format!("build/{path}"), input: layer.input.clone() }, path)
    });
    places.unzip()
}
