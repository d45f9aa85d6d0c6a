//! What is to be built: steps and merged trees, each standing only on earlier ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cas::Digest;

use crate::needs::Needs;
use crate::select::Selection;

/// The directory, relative to the input root, in which every step starts.
pub const WORKING_DIRECTORY: &str = "build";
/// The directory, relative to [`WORKING_DIRECTORY`], that holds what a step made when it ends.
pub const OUTPUT_DIRECTORY: &str = "out";

/// Steps and merged trees. An input can only name what was added before, so there are no cycles.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) steps: Vec<Step>,
    pub(crate) merges: Vec<Merge>,
}

/// A tree that is made of others without running anything.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    pub(crate) parts: Vec<Placement>,
    /// What is taken of them; everything without it.
    pub(crate) selection: Option<Selection>,
}

/// A step of the graph it was added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub(crate) u32);

/// A merged tree of the graph it was added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MergeId(pub(crate) u32);

/// A command and what it reads: one action once all its inputs are known.
#[derive(Clone, Debug)]
pub struct Step {
    /// Names the step to people and to the history: `kernel`, `env.tools/configure`. Unique in a graph.
    pub label: String,
    /// The command line. The program is looked up in the sandbox: a path relative to
    /// [`WORKING_DIRECTORY`] if it has a slash, else through `PATH`.
    pub arguments: Vec<String>,
    /// The whole environment of the command: nothing is added but what the sandbox fixes. Of thousands of
    /// steps most have the same, which is then there once.
    pub environment: Arc<BTreeMap<String, String>>,
    /// The input root, from the bottom up; see [`Placement`].
    pub inputs: Vec<Placement>,
    /// What the step needs of the machine.
    pub requirements: Requirements,
}

/// Puts an input into a tree. Where two placements give the same path, directories are merged and of
/// anything else the later one wins. An entry named `.wh.NAME` (an OCI whiteout) removes `NAME` of earlier
/// placements, `.wh..wh..opq` everything earlier in its directory.
///
/// A merged tree ([`Graph::add_merge`]) has no whiteouts left. In the inputs of a step they act and vanish in
/// the directories that placements share; a directory from one placement alone is linked as it is, unread.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Where, relative to the tree's root, without leading or trailing slash; empty for the root itself.
    pub path: String,
    /// What.
    pub input: Input,
}

/// Something that a step reads.
#[derive(Clone, Debug)]
pub enum Input {
    /// A tree that is in the store.
    Tree(Digest),
    /// A file that is in the store.
    File {
        /// Its content.
        digest: Digest,
        /// Whether it may be executed.
        executable: bool,
    },
    /// What an earlier step left in its output directory: the whole of it when `path` is empty, else the
    /// file or directory at that path in it. Symbolic links on the way are followed, within the output.
    Output {
        /// The step.
        step: StepId,
        /// A path in its output directory.
        path: String,
    },
    /// An earlier merged tree.
    Merged(MergeId),
}

/// What a step needs of the machine that runs it. Part of the action's key, save for `earlier` and `timeout`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Run as user 0 of the sandbox's user namespace, with every capability in it.
    pub root: bool,
    /// Give it `/dev/kvm` when this machine has a usable one.
    pub kvm: bool,
    /// Directories that it finds as its last run left them.
    pub kept: Vec<Kept>,
    /// The name under which an executor may remember what of its output its next runs can take over: those of the same
    /// step, after an edit. What it makes must not depend on that, so this is for tools that see to it themselves.
    pub earlier: Option<String>,
    /// Kill it after this long.
    pub timeout: Option<Duration>,
}

/// A directory that a step keeps from run to run, such as one of object files. What the step makes then depends on
/// more than its inputs, and is only as good as the decision what of it may be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name, which no other directory of the project has: one that a file can have.
    pub name: String,
    /// The absolute path at which the step finds it, empty at first.
    pub at: String,
}

impl Graph {
    /// Adds a step and returns its name.
    ///
    /// # Panics
    /// When an input names a step or merge of another graph that has more of them: a bug of the caller.
    pub fn add_step(&mut self, step: Step) -> StepId {
        self.check(&step.inputs);
        self.steps.push(step);
        StepId(self.steps.len() as u32 - 1)
    }

    /// Adds the tree that results when `parts` are placed one after another.
    ///
    /// # Panics
    /// As [`Graph::add_step`].
    pub fn add_merge(&mut self, parts: Vec<Placement>) -> MergeId {
        self.merge(Merge { parts, selection: None })
    }

    /// Adds what `selection` takes of a tree. A step that reads only that is not run again when anything else of the
    /// tree changes.
    ///
    /// # Panics
    /// As [`Graph::add_step`].
    pub fn add_selection(&mut self, tree: Input, selection: Selection) -> MergeId {
        let parts = vec![Placement { path: String::new(), input: tree }];
        self.merge(Merge { parts, selection: Some(selection) })
    }

    fn merge(&mut self, merge: Merge) -> MergeId {
        self.check(&merge.parts);
        self.merges.push(merge);
        MergeId(self.merges.len() as u32 - 1)
    }

    fn check(&self, placements: &[Placement]) {
        for placement in placements {
            match placement.input {
                Input::Output { step, .. } => assert!((step.0 as usize) < self.steps.len()),
                Input::Merged(merge) => assert!((merge.0 as usize) < self.merges.len()),
                Input::Tree(_) | Input::File { .. } => {}
            }
        }
    }

    /// Says whether what `step` makes depends on a directory that was kept from earlier runs, its own or that of a
    /// step which it needs.
    pub fn is_tainted(&self, step: StepId) -> bool {
        let needed = Needs::of(self, &[step]).order;
        needed
            .iter()
            .filter_map(|node| self.steps.get(*node as usize))
            .any(|step| !step.requirements.kept.is_empty())
    }

    /// Returns the step.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0 as usize]
    }

    /// Returns all steps in the order in which they were added.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = (StepId, &Step)> {
        self.steps.iter().enumerate().map(|(idx, step)| (StepId(idx as u32), step))
    }
}
