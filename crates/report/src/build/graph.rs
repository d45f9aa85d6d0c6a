//! Drawing the graph of steps: columns from what needs nothing to what nothing needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Fate, Step};
use crate::page::Escaped;

/// A box: a step, or several of one kind with one fate.
struct Node {
    name: String,
    fate: Fate,
    column: usize,
    is_critical: bool,
    /// The step that a click leads to.
    step: usize,
}

/// From how many steps of one kind on they are one box.
const GROUP: usize = 4;
/// More boxes than this nobody looks through: what was remembered and touches nothing else is left out.
const MOST: usize = 120;
const WIDTH: usize = 190;
const HEIGHT: usize = 30;
const ACROSS: usize = 60;
const DOWN: usize = 10;
const MARGIN: usize = 14;
/// How many characters fit into a box.
const CHARACTERS: usize = 25;

/// Returns the graph as a drawing, and how many steps are not in it.
pub(super) fn draw(steps: &[Step], critical: &[usize]) -> (String, usize) {
    let columns = columns(steps);
    let critical: BTreeSet<usize> = critical.iter().copied().collect();
    let mut shown: Vec<bool> = vec![true; steps.len()];
    let (mut nodes, mut places) = group(steps, &columns, &critical, &shown);
    if nodes.len() > MOST {
        shown = with_neighbours(steps);
        (nodes, places) = group(steps, &columns, &critical, &shown);
    }
    let mut edges: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (at, step) in steps.iter().enumerate() {
        let ends = step.after.iter().filter_map(|before| Some((places.get(before)?, places.get(&at)?)));
        edges.extend(ends.map(|(before, after)| (*before, *after)));
    }
    edges.retain(|(before, after)| before != after);
    let n_hidden = shown.iter().filter(|shown| !**shown).count();
    (svg(&nodes, &edges), n_hidden)
}

/// Returns the column of each step: behind all that it reads.
fn columns(steps: &[Step]) -> Vec<usize> {
    let mut columns: Vec<usize> = Vec::with_capacity(steps.len());
    for step in steps {
        let before = step.after.iter().filter_map(|before| columns.get(*before)).max();
        columns.push(before.map_or(0, |column| column + 1));
    }
    columns
}

/// Returns which steps ran, or read what ran, or are read by it.
fn with_neighbours(steps: &[Step]) -> Vec<bool> {
    let is_told = |step: &Step| step.fate != Fate::Remembered;
    let mut shown: Vec<bool> = steps.iter().map(is_told).collect();
    for step in steps {
        for before in &step.after {
            if is_told(step)
                && let Some(shown) = shown.get_mut(*before)
            {
                *shown = true;
            }
        }
    }
    shown
}

/// Returns the boxes, and in which each step is.
fn group(
    steps: &[Step],
    columns: &[usize],
    critical: &BTreeSet<usize>,
    shown: &[bool],
) -> (Vec<Node>, BTreeMap<usize, usize>) {
    let mut alike: BTreeMap<(usize, Fate, &str), Vec<usize>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (at, step) in steps.iter().enumerate().filter(|(at, _)| shown[*at]) {
        match step.label.split_once(' ') {
            Some((kind, _)) if !critical.contains(&at) => {
                alike.entry((columns[at], step.fate, kind)).or_default().push(at);
            }
            _ => alone.push(at),
        }
    }
    let (mut nodes, mut places) = (Vec::new(), BTreeMap::new());
    for ((column, fate, kind), members) in alike {
        if members.len() < GROUP {
            alone.extend(members);
            continue;
        }
        places.extend(members.iter().map(|at| (*at, nodes.len())));
        let name = format!("{kind} × {}", members.len());
        nodes.push(Node { name, fate, column, is_critical: false, step: members[0] });
    }
    alone.sort_unstable();
    for at in alone {
        places.insert(at, nodes.len());
        let (name, fate) = (steps[at].label.clone(), steps[at].fate);
        nodes.push(Node { name, fate, column: columns[at], is_critical: critical.contains(&at), step: at });
    }
    (nodes, places)
}

fn svg(nodes: &[Node], edges: &BTreeSet<(usize, usize)>) -> String {
    // Columns in which nothing is drawn take no room.
    let used: BTreeSet<usize> = nodes.iter().map(|node| node.column).collect();
    let column_of: BTreeMap<usize, usize> =
        used.into_iter().enumerate().map(|(place, column)| (column, place)).collect();
    let mut heights: Vec<usize> = vec![0; column_of.len()];
    let mut at: Vec<(usize, usize)> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let column = column_of[&node.column];
        at.push((MARGIN + column * (WIDTH + ACROSS), MARGIN + heights[column] * (HEIGHT + DOWN)));
        heights[column] += 1;
    }
    let width = 2 * MARGIN + column_of.len().max(1) * (WIDTH + ACROSS) - ACROSS;
    let height = 2 * MARGIN + heights.into_iter().max().unwrap_or(1).max(1) * (HEIGHT + DOWN) - DOWN;
    let mut text = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" \
         aria-label=\"Graph of steps\">\n"
    );
    for (before, after) in edges {
        let (from, to) = (at[*before], at[*after]);
        let (x, y) = (from.0 + WIDTH, from.1 + HEIGHT / 2);
        let (end_x, end_y) = (to.0, to.1 + HEIGHT / 2);
        let middle = x.midpoint(end_x);
        let class =
            if nodes[*before].is_critical && nodes[*after].is_critical { " class=\"critical\"" } else { "" };
        // Writing to a string never fails.
        let _ = writeln!(text, "<path{class} d=\"M{x} {y}C{middle} {y} {middle} {end_y} {end_x} {end_y}\"/>");
    }
    for (node, (x, y)) in nodes.iter().zip(at) {
        let critical = if node.is_critical { " critical" } else { "" };
        let name = Escaped(&node.name);
        let _ = writeln!(
            text,
            "<a href=\"#s{}\" class=\"{}{critical}\" aria-label=\"{name}, {}{}\"><title>{name}</title>\
             <rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"5\"/>\
             <text x=\"{}\" y=\"{}\">{}</text></a>",
            node.step,
            node.fate.name(),
            node.fate.name(),
            if node.is_critical { ", on the critical path" } else { "" },
            x + 8,
            y + HEIGHT / 2 + 4,
            Escaped(&short(&node.name))
        );
    }
    text.push_str("</svg>\n");
    text
}

/// Returns a name that fits into a box.
fn short(name: &str) -> String {
    if name.chars().count() <= CHARACTERS {
        return name.to_owned();
    }
    name.chars().take(CHARACTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn step(label: &str, after: &[usize], fate: Fate) -> Step {
        Step {
            label: label.to_owned(),
            after: after.to_vec(),
            fate,
            why: String::new(),
            action: None,
            runs: Vec::new(),
            cpu: Duration::ZERO,
            peak_memory: 0,
            log: None,
        }
    }

    #[test]
    fn steps_of_one_kind_are_one_box() {
        let mut steps: Vec<Step> =
            (0..5).map(|number| step(&format!("unpack {number}"), &[], Fate::Remembered)).collect();
        steps.push(step("root", &[0, 1, 2, 3, 4], Fate::Ran));
        steps.push(step("disk <1>", &[5], Fate::Ran));
        let (drawn, n_hidden) = draw(&steps, &[5, 6]);
        assert_eq!(n_hidden, 0);
        assert_eq!(drawn.matches("<rect").count(), 3, "{drawn}");
        assert!(drawn.contains("unpack × 5") && drawn.contains("disk &lt;1&gt;"));
        assert_eq!(drawn.matches("<path").count(), 2);
        assert_eq!(drawn.matches("<path class=\"critical\"").count(), 1);
    }

    #[test]
    fn of_many_steps_those_that_ran_are_shown() {
        let mut steps: Vec<Step> =
            (0..500).map(|number| step(&format!("s{number}"), &[], Fate::Remembered)).collect();
        steps.push(step("last", &[7, 9], Fate::Failed));
        let (drawn, n_hidden) = draw(&steps, &[]);
        assert_eq!((drawn.matches("<rect").count(), n_hidden), (3, 498));
        assert!(draw(&[], &[]).0.starts_with("<svg"));
    }
}
