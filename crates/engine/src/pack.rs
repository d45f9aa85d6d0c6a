//! Which of the steps that could run is started next: the one with the longest way to the end of the build,
//! unless its expected memory does not fit beside what runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use cas::Digest;

/// How far behind the first step we look for one that fits.
const LOOK_AHEAD: usize = 64;

/// Steps that could run.
pub(crate) struct Queue {
    waiting: BinaryHeap<Waiting>,
    jobs: usize,
    memory: Option<u64>,
    n_running: usize,
    memory_used: u64,
    /// How often the first step was passed over. It must not be for ever.
    n_passed_over: usize,
}

/// A step that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waiting {
    /// The time from its start to the end of the build when nothing has to wait.
    pub(crate) priority: Duration,
    /// Of two with equal priority the one that was added to the graph first.
    pub(crate) node: Reverse<u32>,
    /// The memory it is expected to need at its peak.
    pub(crate) memory: u64,
    /// The digest of its action.
    pub(crate) action: Digest,
}

impl Queue {
    pub(crate) fn new(jobs: usize, memory: Option<u64>) -> Queue {
        let jobs = jobs.max(1);
        Queue { waiting: BinaryHeap::new(), jobs, memory, n_running: 0, memory_used: 0, n_passed_over: 0 }
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    pub(crate) fn n_running(&self) -> usize {
        self.n_running
    }

    /// Returns what to expect of a step that never ran: an even share.
    pub(crate) fn memory_share(&self) -> u64 {
        self.memory.map_or(0, |memory| memory / self.jobs as u64)
    }

    /// Takes the next step to start, if one may be started now, and counts it as running.
    pub(crate) fn take(&mut self) -> Option<Waiting> {
        if self.n_running >= self.jobs {
            return None;
        }
        let first = self.waiting.pop()?;
        if self.fits(first) {
            self.n_passed_over = 0;
            return Some(self.start(first));
        }
        let mut skipped = vec![first];
        let mut found = None;
        if self.n_passed_over < 2 * self.jobs {
            while skipped.len() < LOOK_AHEAD
                && let Some(next) = self.waiting.pop()
            {
                if self.fits(next) {
                    self.n_passed_over += 1;
                    found = Some(self.start(next));
                    break;
                }
                skipped.push(next);
            }
        }
        self.waiting.extend(skipped);
        found
    }

    /// Counts a step that was taken as ended.
    pub(crate) fn release(&mut self, memory: u64) {
        self.n_running -= 1;
        self.memory_used -= memory;
    }

    fn fits(&self, step: Waiting) -> bool {
        let Some(memory) = self.memory else { return true };
        self.n_running == 0 || self.memory_used.saturating_add(step.memory) <= memory
    }

    fn start(&mut self, step: Waiting) -> Waiting {
        self.n_running += 1;
        self.memory_used = self.memory_used.saturating_add(step.memory);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(node: u32, seconds: u64, memory: u64) -> Waiting {
        Waiting {
            priority: Duration::from_secs(seconds),
            node: Reverse(node),
            memory,
            action: Digest::of(b""),
        }
    }

    fn take_all(queue: &mut Queue) -> Vec<u32> {
        std::iter::from_fn(|| queue.take()).map(|taken| taken.node.0).collect()
    }

    #[test]
    fn longest_way_first_then_order_of_the_graph() {
        let mut queue = Queue::new(9, None);
        for (node, seconds) in [(0, 1), (1, 5), (2, 1), (3, 9)] {
            queue.push(waiting(node, seconds, 0));
        }
        assert_eq!(take_all(&mut queue), [3, 1, 0, 2]);
    }

    #[test]
    fn jobs_are_a_limit() {
        let mut queue = Queue::new(2, None);
        for node in 0..3 {
            queue.push(waiting(node, 1, 0));
        }
        assert_eq!(take_all(&mut queue), [0, 1]);
        queue.release(0);
        assert_eq!(take_all(&mut queue), [2]);
    }

    #[test]
    fn step_that_does_not_fit_waits_and_a_smaller_one_goes_first() {
        let mut queue = Queue::new(4, Some(100));
        for (node, seconds, memory) in [(0, 9, 60), (1, 8, 60), (2, 7, 30)] {
            queue.push(waiting(node, seconds, memory));
        }
        assert_eq!(take_all(&mut queue), [0, 2]);
        queue.release(60);
        assert_eq!(take_all(&mut queue), [1]);
    }

    #[test]
    fn step_larger_than_the_budget_runs_alone() {
        let mut queue = Queue::new(4, Some(100));
        queue.push(waiting(0, 9, 1000));
        queue.push(waiting(1, 8, 1));
        assert_eq!(take_all(&mut queue), [0]);
        queue.release(1000);
        assert_eq!(take_all(&mut queue), [1]);
    }

    #[test]
    fn large_step_is_not_passed_over_for_ever() {
        let mut queue = Queue::new(2, Some(100));
        queue.push(waiting(0, 1, 60));
        assert_eq!(take_all(&mut queue), [0]);
        queue.push(waiting(1, 9, 90));
        for node in 2..20 {
            queue.push(waiting(node, 1, 10));
        }
        let mut n_before = 0;
        while let Some(taken) = queue.take() {
            n_before += 1;
            queue.release(taken.memory);
        }
        assert_eq!(n_before, 4);
        queue.release(60);
        assert_eq!(queue.take().unwrap().node.0, 1);
    }
}
