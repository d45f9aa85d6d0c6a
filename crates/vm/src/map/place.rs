//! Gives each region its address, by the rules: an address, behind another region, or the first gap.

use std::collections::{BTreeMap, BTreeSet};

use super::arrangement::{Arrangement, MOST_DEPTH, lowest, what};
use super::problem::Problem;
use super::{Board, Measured};
use crate::number;
use crate::spec::{AddressRange, Content, Place};
use crate::suggest;

/// How long a name may be.
const LONGEST_NAME: usize = 32;

/// How far the placing of one region has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Placed(AddressRange),
    /// Something is wrong with it, which has been said.
    Lost,
}

/// Places what can be placed, and adds what keeps the others from it to `problems`.
pub(super) fn place<'a>(
    board: &Board,
    regions: &'a [Measured<'a>],
    problems: &mut Vec<Problem>,
) -> Arrangement<'a> {
    let mut placing = Placing::new(board, regions, problems);
    placing.run();
    placing.report_cycles();
    let mut arrangement = Arrangement { regions, parents: placing.parents, ranges: Vec::new() };
    arrangement.ranges.extend(placing.states.iter().map(|state| match state {
        State::Placed(range) => Some(*range),
        State::Waiting | State::Lost => None,
    }));
    // Only when all are judged they lose their places: depths are counted along the parents.
    let is_deep = |idx: &usize| arrangement.ranges[*idx].is_some() && arrangement.depth(*idx) > MOST_DEPTH;
    let deep: Vec<usize> = (0..regions.len()).filter(is_deep).collect();
    for region_idx in deep {
        let region = regions[region_idx].region.name.clone();
        problems.push(Problem::Deep { region, most: MOST_DEPTH });
        arrangement.ranges[region_idx] = None;
    }
    arrangement
}

struct Placing<'a, 'b> {
    board: &'b Board,
    regions: &'a [Measured<'a>],
    parents: Vec<Option<usize>>,
    /// The region that each is placed after.
    anchors: Vec<Option<usize>>,
    states: Vec<State>,
    problems: &'b mut Vec<Problem>,
}

impl<'a, 'b> Placing<'a, 'b> {
    /// Finds out which regions are meant by the names.
    fn new(board: &'b Board, regions: &'a [Measured<'a>], problems: &'b mut Vec<Problem>) -> Placing<'a, 'b> {
        let mut names = BTreeMap::new();
        for (region_idx, Measured { region, .. }) in regions.iter().enumerate() {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if region.name.is_empty()
                || region.name.len() > LONGEST_NAME
                || !region.name.bytes().all(is_plain)
            {
                problems.push(Problem::Name { name: region.name.clone() });
            } else if names.contains_key(region.name.as_str()) {
                problems.push(Problem::SameName { name: region.name.clone() });
            } else {
                names.insert(region.name.as_str(), region_idx);
            }
        }
        let n_regions = regions.len();
        let mut placing = Placing {
            board,
            regions,
            parents: vec![None; n_regions],
            anchors: vec![None; n_regions],
            states: vec![State::Waiting; n_regions],
            problems,
        };
        for region_idx in 0..n_regions {
            let region = regions[region_idx].region;
            if let Some(parent) = &region.inside {
                placing.parents[region_idx] = placing.look_up(&names, region_idx, "inside", parent);
            }
            if let Place::After(anchor) = &region.place {
                placing.anchors[region_idx] = placing.look_up(&names, region_idx, "after", anchor);
            }
            if let Some(parent_idx) = placing.parents[region_idx]
                && !matches!(regions[parent_idx].region.content, Content::Reserved(_))
            {
                let parent = regions[parent_idx].region;
                let content = parent.content.word();
                placing.lose(
                    region_idx,
                    Problem::Parent { region: region.name.clone(), parent: parent.name.clone(), content },
                );
            }
        }
        placing
    }

    fn look_up(
        &mut self,
        names: &BTreeMap<&str, usize>,
        region_idx: usize,
        relation: &'static str,
        name: &str,
    ) -> Option<usize> {
        let found = names.get(name).copied();
        if found.is_none() {
            let own = self.regions[region_idx].region.name.as_str();
            let known: Vec<&str> = names.keys().copied().filter(|known| *known != own).collect();
            let help = suggest::help(name, &known);
            let (region, name) = (own.to_owned(), name.to_owned());
            self.lose(region_idx, Problem::Unknown { region, relation, name, help });
        }
        found
    }

    fn lose(&mut self, region_idx: usize, problem: Problem) {
        self.states[region_idx] = State::Lost;
        self.problems.push(problem);
    }

    /// Places regions until no more can be: those in gaps only when nothing else is left, so that a gap is
    /// one.
    fn run(&mut self) {
        loop {
            let mut is_stuck = true;
            let mut first_free = None;
            for region_idx in 0..self.regions.len() {
                if self.states[region_idx] != State::Waiting {
                    continue;
                }
                let needed = [self.parents[region_idx], self.anchors[region_idx]];
                let needed: Vec<State> = needed.into_iter().flatten().map(|idx| self.states[idx]).collect();
                if needed.contains(&State::Lost) {
                    self.states[region_idx] = State::Lost;
                    is_stuck = false;
                } else if needed.contains(&State::Waiting) {
                } else if self.is_free(region_idx) {
                    first_free = first_free.or(Some(region_idx));
                } else {
                    self.settle(region_idx);
                    is_stuck = false;
                }
            }
            match (is_stuck, first_free) {
                (false, _) => {}
                (true, Some(region_idx)) => self.settle(region_idx),
                (true, None) => return,
            }
        }
    }

    fn is_free(&self, region_idx: usize) -> bool {
        let measured = &self.regions[region_idx];
        measured.region.place == Place::Free && measured.extent.address.is_none()
    }

    /// Decides about one region of which all that it depends on has a place.
    fn settle(&mut self, region_idx: usize) {
        let Measured { region, extent } = self.regions[region_idx];
        if let (Some(address), Some(place)) = (extent.address, other_place(&region.place, extent.address)) {
            let (region, origin) = (region.name.clone(), what(&region.content));
            // It lies where it is linked all the same, and may get in the way of others there.
            self.problems.push(Problem::Linked { region, place, origin, address });
        }
        let start = match (extent.address, &region.place, self.anchors[region_idx]) {
            (Some(address), ..) => Ok(address),
            (None, Place::At(address), _) => Ok(*address),
            (None, _, Some(anchor_idx)) => {
                let end = match self.states[anchor_idx] {
                    State::Placed(range) => range.end,
                    State::Waiting | State::Lost => 0,
                };
                let from = region.within.map_or(end, |within| end.max(within.start));
                lowest(from, &self.regions[region_idx])
                    .ok_or_else(|| ("addresses after that region".to_owned(), u64::MAX - from))
            }
            (None, ..) => self.first_gap(region_idx),
        };
        match start {
            Ok(start) => {
                self.states[region_idx] = State::Placed(AddressRange::new(start, extent.size));
            }
            Err((place, largest)) => {
                let (region, size, origin) = (region.name.clone(), extent.size, what(&region.content));
                self.lose(region_idx, Problem::NoRoom { region, size, origin, place, largest });
            }
        }
    }

    /// Returns the lowest address for a region at which it overlaps none of those placed beside it; else
    /// where there is no room, and how much is in one piece.
    fn first_gap(&self, region_idx: usize) -> Result<u64, (String, u64)> {
        let measured = &self.regions[region_idx];
        let parent = self.parents[region_idx].and_then(|parent_idx| match self.states[parent_idx] {
            State::Placed(range) => Some((range, self.regions[parent_idx].region)),
            State::Waiting | State::Lost => None,
        });
        let (name, mut domains) = match (parent, &measured.region.content) {
            (Some((range, parent)), _) => (format!("`{}`", parent.name), vec![range]),
            (None, Content::Device(_)) => (
                "the device windows".to_owned(),
                self.board.windows.iter().map(|window| window.range).collect(),
            ),
            (None, _) => ("RAM".to_owned(), self.board.memory.clone()),
        };
        let name = match &measured.region.within {
            Some(within) => {
                domains = domains.iter().filter_map(|domain| domain.intersection(within)).collect();
                format!("{name} within {within}")
            }
            None => name,
        };
        let beside = (0..self.regions.len()).filter(|idx| self.parents[*idx] == self.parents[region_idx]);
        let mut taken: Vec<AddressRange> = beside
            .filter_map(|idx| match self.states[idx] {
                State::Placed(range) => Some(range),
                State::Waiting | State::Lost => None,
            })
            .collect();
        taken.sort_by_key(|range| (range.start, range.end));
        let mut largest = 0;
        for domain in domains {
            let mut cursor = domain.start;
            for next in taken.iter().chain([&AddressRange { start: domain.end, end: u64::MAX }]) {
                let gap = AddressRange { start: cursor, end: next.start.min(domain.end) };
                largest = largest.max(gap.size());
                let end = |start: u64| start.checked_add(measured.extent.size);
                if let Some(start) = lowest(cursor, measured)
                    && end(start).is_some_and(|end| end <= gap.end)
                {
                    return Ok(start);
                }
                cursor = cursor.max(next.end);
            }
        }
        Err((name, largest))
    }

    /// Says of everything that still waits which regions it waits for in a circle.
    fn report_cycles(&mut self) {
        let mut seen = BTreeSet::new();
        for first_idx in 0..self.regions.len() {
            if self.states[first_idx] != State::Waiting {
                continue;
            }
            let mut path = vec![first_idx];
            loop {
                let last_idx = path[path.len() - 1];
                let next = [self.parents[last_idx], self.anchors[last_idx]]
                    .into_iter()
                    .flatten()
                    .find(|idx| self.states[*idx] == State::Waiting);
                let Some(next_idx) = next else { break };
                if let Some(at) = path.iter().position(|idx| *idx == next_idx) {
                    let mut cycle = path.split_off(at);
                    let lowest =
                        cycle.iter().enumerate().min_by_key(|(_, idx)| **idx).map_or(0, |(at, _)| at);
                    cycle.rotate_left(lowest);
                    cycle.push(cycle[0]);
                    if seen.insert(cycle.clone()) {
                        let name = |idx: &usize| self.regions[*idx].region.name.clone();
                        self.problems.push(Problem::Cycle { regions: cycle.iter().map(name).collect() });
                    }
                    break;
                }
                path.push(next_idx);
            }
        }
    }
}

/// Returns the words for a place that is not the given address.
fn other_place(place: &Place, address: Option<u64>) -> Option<String> {
    match place {
        Place::Free => None,
        Place::At(at) if Some(*at) == address => None,
        Place::At(at) => Some(format!("at {}", number::hex(*at))),
        Place::After(anchor) => Some(format!("after `{anchor}`")),
    }
}
