//! What earlier runs say about the rest of a build: which step is urgent, and how long it will take.

use std::time::Duration;

use crate::action::Usage;
use crate::graph::Graph;
use crate::history::History;
use crate::needs::Needs;

/// What a step that never ran is taken to need when it is decided which one comes first: then the one that most others
/// wait for does.
const UNKNOWN: Duration = Duration::from_secs(1);
/// And a merge.
const MERGE: Duration = Duration::from_millis(1);

/// Expectations for every needed node. Made at the first step that has to run: when nothing has to, nobody
/// asks.
pub(crate) struct Estimates {
    usage: Vec<Option<Usage>>,
    /// The time from the start of a node to the end of the build when nothing has to wait.
    path: Vec<Duration>,
    /// The same, with [`UNKNOWN`] for each step that never ran.
    urgency: Vec<Duration>,
    /// The nodes, longest path first.
    by_path: Vec<u32>,
    /// Every node of `by_path` before this one is running or done.
    n_behind: usize,
    left: Vec<bool>,
    cpu_left: Duration,
    n_unknown: u32,
}

impl Estimates {
    /// Returns the expectations for the nodes of `needs` for which `is_left` holds.
    pub(crate) fn new(
        graph: &Graph,
        needs: &Needs,
        history: &History,
        is_left: impl Fn(u32) -> bool,
    ) -> Estimates {
        let n_nodes = needs.n_producers.len();
        let mut estimates = Estimates {
            usage: vec![None; n_nodes],
            path: vec![Duration::ZERO; n_nodes],
            urgency: vec![Duration::ZERO; n_nodes],
            by_path: needs.order.clone(),
            n_behind: 0,
            left: vec![false; n_nodes],
            cpu_left: Duration::ZERO,
            n_unknown: 0,
        };
        for &node in needs.order.iter().rev() {
            let after = |of: &[Duration]| {
                needs
                    .dependents(node)
                    .iter()
                    .map(|dependent| of[*dependent as usize])
                    .max()
                    .unwrap_or_default()
            };
            let (mut path, mut urgency) = (after(&estimates.path), after(&estimates.urgency));
            let node_idx = node as usize;
            if is_left(node) {
                estimates.left[node_idx] = true;
                if needs.step(node).is_none() {
                    urgency = urgency.saturating_add(MERGE);
                }
                if let Some(step) = needs.step(node) {
                    let usage = history.expected(&graph.step(step).label);
                    estimates.usage[node_idx] = usage;
                    urgency = urgency.saturating_add(usage.map_or(UNKNOWN, |usage| usage.wall));
                    match usage {
                        Some(usage) => {
                            path = path.saturating_add(usage.wall);
                            estimates.cpu_left = estimates.cpu_left.saturating_add(usage.cpu);
                        }
                        None => estimates.n_unknown += 1,
                    }
                }
            }
            estimates.path[node_idx] = path;
            estimates.urgency[node_idx] = urgency;
        }
        estimates.by_path.sort_by_key(|node| std::cmp::Reverse(estimates.path[*node as usize]));
        estimates
    }

    /// Returns what is expected of the node.
    pub(crate) fn usage(&self, node: u32) -> Option<Usage> {
        self.usage[node as usize]
    }

    /// Returns how much there is to do from the start of the node to the end of the build, one thing after the other.
    pub(crate) fn urgency(&self, node: u32) -> Duration {
        self.urgency[node as usize]
    }

    /// Returns how many steps that never ran are left.
    pub(crate) fn n_unknown(&self) -> u32 {
        self.n_unknown
    }

    /// Takes the node off what is left to do.
    pub(crate) fn finish(&mut self, node: u32, needs: &Needs) {
        if !std::mem::take(&mut self.left[node as usize]) || needs.step(node).is_none() {
            return;
        }
        match self.usage[node as usize] {
            Some(usage) => self.cpu_left = self.cpu_left.saturating_sub(usage.cpu),
            None => self.n_unknown -= 1,
        }
    }

    /// Returns the time to the end of the build. `running` are nodes and how long each has been running.
    ///
    /// No build is faster than its longest chain of steps, nor than all its work on all its processors.
    pub(crate) fn time_left(
        &mut self,
        running: impl Iterator<Item = (u32, Duration)>,
        jobs: usize,
    ) -> Duration {
        let mut longest = Duration::ZERO;
        let mut cpu_left = self.cpu_left;
        let mut is_running: Vec<u32> = Vec::new();
        for (node, elapsed) in running {
            is_running.push(node);
            let usage = self.usage[node as usize].unwrap_or_default();
            let elapsed = elapsed.min(usage.wall);
            longest = longest.max(self.path[node as usize].saturating_sub(elapsed));
            if !usage.wall.is_zero() {
                cpu_left = cpu_left
                    .saturating_sub(usage.cpu.mul_f64(elapsed.as_secs_f64() / usage.wall.as_secs_f64()));
            }
        }
        while let Some(&node) = self.by_path.get(self.n_behind) {
            if self.left[node as usize] && !is_running.contains(&node) {
                longest = longest.max(self.path[node as usize]);
                break;
            }
            self.n_behind += 1;
        }
        longest.max(cpu_left / u32::try_from(jobs).unwrap_or(u32::MAX).max(1))
    }
}
