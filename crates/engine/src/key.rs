//! From a step whose inputs are known to its action, and from the parts of a merge to theirs.

use std::borrow::Cow;

use cas::{Digest, Directory, Node};

use crate::action::{Command, encode_action, encode_command};
use crate::executor::Placed;
use crate::graph::{Graph, Input, Placement, Requirements, Step, StepId};
use crate::merge::{Part, overlay};
use crate::needs::{placements, selection};
use crate::scheme::{ShortcutWriter, scheme};
use crate::select::Selection;
use crate::tree::{Blobs, TreeError, Trees};

/// Where every step finds its output directory, relative to the input root.
const OUTPUT_PATH: &str = "build/out";
/// The command of the actions under which merged trees are remembered. The number is to be raised when
/// [`crate::merge::merge`] gives another tree for the same parts.
const MERGE_COMMAND: [&str; 2] = ["merge", "1"];

/// Why the inputs of a step could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A step did not leave what another one reads.
    #[error("`{producer}` left nothing at `{path}` in its output directory")]
    NoOutput {
        /// The label of the step that should have left it.
        producer: String,
        /// The path in its output directory.
        path: String,
        /// Some of what it did leave there.
        found: Vec<String>,
    },
    /// A tree could not be read, or the placements do not make one.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What is known of steps and merges: the digest of the tree that each one left.
pub(crate) struct Outputs {
    /// Steps first, then merges.
    digests: Vec<Option<Digest>>,
    n_steps: usize,
    /// Whether a node had one and then another: it was made again, and came out differently.
    pub(crate) have_changed: bool,
}

impl Outputs {
    pub(crate) fn new(graph: &Graph) -> Outputs {
        let n_steps = graph.steps.len();
        Outputs { digests: vec![None; n_steps + graph.merges.len()], n_steps, have_changed: false }
    }

    pub(crate) fn get(&self, node: u32) -> Option<Digest> {
        self.digests[node as usize]
    }

    pub(crate) fn set(&mut self, node: u32, output: Digest) {
        let earlier = self.digests[node as usize].replace(output);
        self.have_changed |= earlier.is_some_and(|earlier| earlier != output);
    }
}

/// The key of a step, and what it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) action: Digest,
    pub(crate) input_root: Digest,
}

/// Computes keys. What it would take to run the action is left in [`Keys::blobs`] until the next one.
pub(crate) struct Keys<'a> {
    graph: &'a Graph,
    pub(crate) trees: Trees<'a>,
    pub(crate) blobs: Blobs,
    shortcut: Vec<u8>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(graph: &'a Graph, trees: Trees<'a>) -> Keys<'a> {
        Keys { graph, trees, blobs: Blobs::default(), shortcut: Vec::new() }
    }

    /// Returns the shortcut to the action of a node: the digest of all that the action is computed from. All
    /// producers must be known to `outputs`.
    pub(crate) fn shortcut(&mut self, node: u32, outputs: &Outputs) -> Digest {
        let mut writer = ShortcutWriter::begin(&mut self.shortcut);
        writer.digest(scheme());
        let step = self.graph.steps.get(node as usize);
        writer.text(if step.is_some() { "step" } else { "merge" });
        if let Some(step) = step {
            writer.texts(step.arguments.iter().map(String::as_str));
            writer.texts(step.environment.iter().flat_map(|(name, value)| [name.as_str(), value]));
            let platform = platform_of(&step.requirements);
            writer.texts(platform.iter().flat_map(|(name, value)| [name.as_ref(), value]));
        } else if let Some(selection) = selection(self.graph, node) {
            writer.texts(selection.words());
        }
        for placement in placements(self.graph, node) {
            writer.text(&placement.path);
            let known = |node: u32| outputs.get(node).expect("a node is looked at after what it reads");
            match &placement.input {
                Input::Tree(digest) => writer.input(0, digest),
                Input::File { digest, executable: false } => writer.input(1, digest),
                Input::File { digest, executable: true } => writer.input(2, digest),
                Input::Merged(merge) => writer.input(3, &known((outputs.n_steps + merge.0 as usize) as u32)),
                Input::Output { step, path } => {
                    writer.input(4, &known(step.0));
                    writer.text(path);
                }
            }
        }
        Digest::of(&self.shortcut)
    }

    /// Returns the placements with every input resolved. All producers must be known to `outputs`.
    pub(crate) fn resolve(
        &mut self,
        placements: &'a [Placement],
        outputs: &Outputs,
    ) -> Result<Vec<Part<'a>>, InputError> {
        // One more for the output directory.
        let mut parts = Vec::with_capacity(placements.len() + 1);
        for placement in placements {
            let node = match &placement.input {
                Input::Tree(digest) => Node::Directory { digest: *digest },
                Input::File { digest, executable } => Node::File { digest: *digest, executable: *executable },
                Input::Merged(merge) => {
                    let digest = outputs.get((outputs.n_steps + merge.0 as usize) as u32);
                    Node::Directory { digest: digest.expect("a node is resolved after what it reads") }
                }
                Input::Output { step, path } => {
                    let root = outputs.get(step.0).expect("a node is resolved after what it reads");
                    match self.trees.lookup(&root, path)? {
                        Some(node) => node,
                        None => return Err(self.no_output(*step, path, &root)),
                    }
                }
            };
            parts.push(Part { path: &placement.path, node });
        }
        Ok(parts)
    }

    fn no_output(&mut self, step: StepId, path: &str, root: &Digest) -> InputError {
        let found =
            self.trees.directory(root).map(|directory| directory.entries.keys().take(8).cloned().collect());
        InputError::NoOutput {
            producer: self.graph.step(step).label.clone(),
            path: path.to_owned(),
            found: found.unwrap_or_default(),
        }
    }

    /// Returns the key of the step that reads `parts`.
    pub(crate) fn step(&mut self, step: &Step, parts: &mut Vec<Part<'a>>) -> Result<Key, InputError> {
        self.blobs.clear();
        let empty = self.blobs.push_empty();
        // Servers want the working directory to be part of the input root, and none of them makes the
        // output directory itself.
        parts.push(Part { path: OUTPUT_PATH, node: Node::Directory { digest: empty } });
        let input_root = overlay(&mut self.trees, parts, &mut self.blobs);
        parts.pop();
        let input_root = input_root?;
        let platform = platform_of(&step.requirements);
        let platform: Vec<(&str, &str)> =
            platform.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
        let environment = step.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let command =
            self.blobs.push(|buffer| encode_command(buffer, &step.arguments, environment, &platform));
        let action = self.blobs.push(|buffer| encode_action(buffer, &command, &input_root, &platform));
        Ok(Key { action, input_root })
    }

    /// Returns the key under which what `selection` takes of the merged tree of `parts` is remembered: that of the
    /// command `merge` with the words of the selection over an input root that holds each part, at its path, in a numbered directory.
    pub(crate) fn merge(
        &mut self,
        parts: &[Part<'_>],
        selection: Option<&Selection>,
    ) -> Result<Key, InputError> {
        self.blobs.clear();
        let mut root = Directory::default();
        for (part_idx, part) in parts.iter().enumerate() {
            let node = if part.path.is_empty() {
                part.node.clone()
            } else {
                let digest = overlay(&mut self.trees, std::slice::from_ref(part), &mut self.blobs)?;
                Node::Directory { digest }
            };
            root.entries.insert(format!("{part_idx:06}"), node);
        }
        let input_root = self.blobs.push(|buffer| buffer.extend(root.encode()));
        let words = selection.into_iter().flat_map(Selection::words);
        let arguments: Vec<String> = MERGE_COMMAND.into_iter().chain(words).map(str::to_owned).collect();
        let command = self.blobs.push(|buffer| encode_command(buffer, &arguments, std::iter::empty(), &[]));
        let action = self.blobs.push(|buffer| encode_action(buffer, &command, &input_root, &[]));
        Ok(Key { action, input_root })
    }
}

/// Returns the command of the step as it is encoded.
pub(crate) fn command_of(step: &Step) -> Command {
    let platform = platform_of(&step.requirements);
    Command {
        arguments: step.arguments.clone(),
        environment: step.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        platform: platform.into_iter().map(|(name, value)| (name.into_owned(), value.to_owned())).collect(),
    }
}

/// Returns the requirements as properties, sorted by name.
fn platform_of(requirements: &Requirements) -> Vec<(Cow<'static, str>, &str)> {
    let mut properties: Vec<(Cow<'static, str>, &str)> = requirements
        .kept
        .iter()
        .map(|kept| (format!("kept:{}", kept.name).into(), kept.at.as_str()))
        .collect();
    properties.sort();
    let flags = [("kvm", requirements.kvm), ("root", requirements.root)];
    let flags = flags.into_iter().filter(|(_, is_set)| *is_set);
    properties.extend(flags.map(|(name, _)| (Cow::Borrowed(name), "true")));
    properties
}

/// Returns the parts as executors are given them.
pub(crate) fn placed(parts: &[Part<'_>]) -> Vec<Placed> {
    parts.iter().map(|part| Placed { path: part.path.to_owned(), node: part.node.clone() }).collect()
}
