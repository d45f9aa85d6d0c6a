//! What the length of a build depended on.

use std::time::Duration;

use super::Step;

/// Returns the critical path: the chain of steps that ended last, each with the one that it waited for longest, from
/// the first to the last. Had one of them been faster, so might the build have been.
pub fn critical_path(steps: &[Step]) -> Vec<usize> {
    let end = |at: usize| steps.get(at).and_then(|step| step.runs.last()).map(|run| run.end);
    // Of each step the one before it that ended last and ran; what was remembered is looked through.
    let mut waits: Vec<Option<(Duration, usize)>> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let mut latest: Option<(Duration, usize)> = None;
        for before in step.after.iter().copied().filter(|before| *before < at) {
            let candidate = match end(before) {
                Some(end) => Some((end, before)),
                None => waits.get(before).copied().flatten(),
            };
            if candidate > latest {
                latest = candidate;
            }
        }
        waits.push(latest);
    }
    let last = (0..steps.len()).filter_map(|at| Some((end(at)?, at))).max();
    let mut path = Vec::new();
    let mut next = last.map(|(_, at)| at);
    while let Some(at) = next {
        path.push(at);
        next = waits.get(at).copied().flatten().map(|(_, before)| before);
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::super::{Fate, Run};
    use super::*;

    fn step(after: &[usize], run: Option<(u64, u64)>) -> Step {
        let run = run.map(|(start, end)| Run {
            start: Duration::from_secs(start),
            end: Duration::from_secs(end),
            slot: 0,
        });
        Step {
            label: String::new(),
            after: after.to_vec(),
            fate: Fate::Ran,
            why: String::new(),
            action: None,
            runs: run.into_iter().collect(),
            cpu: Duration::ZERO,
            peak_memory: 0,
            log: None,
        }
    }

    #[test]
    fn the_path_goes_through_what_was_waited_for() {
        let steps = [
            step(&[], Some((0, 9))),
            step(&[], Some((0, 2))),
            step(&[0, 1], None),
            step(&[1], Some((2, 20))),
            step(&[2], Some((9, 30))),
            step(&[], Some((0, 29))),
        ];
        assert_eq!(critical_path(&steps), [0, 4]);
        assert_eq!(critical_path(&steps[..4]), [1, 3]);
        assert_eq!(critical_path(&[]), [0; 0]);
        // What refers forwards is no order: it is not followed.
        assert_eq!(critical_path(&[step(&[0], Some((0, 1)))]), [0]);
    }
}
