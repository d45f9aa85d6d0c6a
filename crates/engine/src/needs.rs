//! What is needed of a graph, in which order, and who waits for whom.
//!
//! Steps and merges are both nodes here: steps first, then merges.

use crate::graph::{Graph, Input, Placement, StepId};
use crate::select::Selection;

/// The part of a graph that the wanted steps need.
pub(crate) struct Needs {
    /// Every needed node, each after everything that it reads.
    pub(crate) order: Vec<u32>,
    /// By node: how many of its placements read another node.
    pub(crate) n_producers: Vec<u32>,
    /// By node: where its dependents start in `dependents`; one more for the end of the last.
    starts: Vec<u32>,
    dependents: Vec<u32>,
    n_steps: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    Open,
    Done,
}

impl Needs {
    /// Returns what `wanted` needs.
    pub(crate) fn of(graph: &Graph, wanted: &[StepId]) -> Needs {
        let n_nodes = graph.steps.len() + graph.merges.len();
        let mut order = Vec::new();
        let mut marks = vec![Mark::Unseen; n_nodes];
        let mut stack: Vec<u32> = wanted.iter().rev().map(|step| step.0).collect();
        while let Some(&node) = stack.last() {
            match marks[node as usize] {
                Mark::Unseen => {
                    marks[node as usize] = Mark::Open;
                    // The first input is to be looked at first.
                    let unseen = producers(graph, node).filter(|node| marks[*node as usize] == Mark::Unseen);
                    let first = stack.len();
                    stack.extend(unseen);
                    stack[first..].reverse();
                }
                Mark::Open => {
                    marks[node as usize] = Mark::Done;
                    order.push(node);
                    stack.pop();
                }
                Mark::Done => {
                    stack.pop();
                }
            }
        }
        let mut n_producers = vec![0; n_nodes];
        let mut starts = vec![0; n_nodes + 1];
        for &node in &order {
            for producer in producers(graph, node) {
                n_producers[node as usize] += 1;
                starts[producer as usize + 1] += 1;
            }
        }
        for node in 0..n_nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut dependents = vec![0; starts[n_nodes] as usize];
        for &node in &order {
            for producer in producers(graph, node) {
                dependents[next[producer as usize] as usize] = node;
                next[producer as usize] += 1;
            }
        }
        Needs { order, n_producers, starts, dependents, n_steps: graph.steps.len() as u32 }
    }

    /// Returns who reads `node`: once per placement that does.
    pub(crate) fn dependents(&self, node: u32) -> &[u32] {
        &self.dependents[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    /// Returns how many steps are needed.
    pub(crate) fn n_steps(&self) -> usize {
        self.order.iter().filter(|node| **node < self.n_steps).count()
    }

    /// Returns the step that a node is, unless it is a merge.
    pub(crate) fn step(&self, node: u32) -> Option<StepId> {
        (node < self.n_steps).then_some(StepId(node))
    }
}

/// Returns the nodes that `node` reads, once per placement.
pub(crate) fn producers(graph: &Graph, node: u32) -> impl Iterator<Item = u32> {
    let n_steps = graph.steps.len() as u32;
    placements(graph, node).iter().filter_map(move |placement| match placement.input {
        Input::Output { step, .. } => Some(step.0),
        Input::Merged(merge) => Some(n_steps + merge.0),
        Input::Tree(_) | Input::File { .. } => None,
    })
}

/// Returns what `node` puts together.
pub(crate) fn placements(graph: &Graph, node: u32) -> &[Placement] {
    match graph.steps.get(node as usize) {
        Some(step) => &step.inputs,
        None => &graph.merges[node as usize - graph.steps.len()].parts,
    }
}

/// Returns what a merge takes of its parts, if it leaves anything out. Steps take all.
pub(crate) fn selection(graph: &Graph, node: u32) -> Option<&Selection> {
    let merge_idx = (node as usize).checked_sub(graph.steps.len())?;
    graph.merges[merge_idx].selection.as_ref()
}
