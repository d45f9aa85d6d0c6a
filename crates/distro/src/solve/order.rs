//! Why each package is there, and in which order packages can be installed.

use std::collections::{BTreeMap, BTreeSet};

use super::provider::{Archive, RelationsOf};
use super::{Chosen, Reason, Recommends, Roots, With};
use crate::packages::PackageId;

/// The packages each chosen package needs, as indexes into the chosen ones.
struct Edges {
    /// These must be configured before the package is even unpacked.
    before_unpacking: Vec<Vec<usize>>,
    /// All it needs, the former included.
    needs: Vec<Vec<usize>>,
    recommends: Vec<Vec<usize>>,
}

/// Orders `chosen` so that what a package needs comes before it: first what the essential packages need, then the rest of
/// the base, then what the first wanted package needs besides, and so on. One more wanted package at the end thus leaves the order of the others
/// as it was.
///
/// Packages that nothing in `roots` leads to are dropped: the search may have picked them for a choice that it
/// then unmade. Cycles are broken where that leaves every `Pre-Depends` satisfied if possible.
pub(super) fn installation(
    archive: &Archive<'_>,
    roots: &Roots,
    chosen: &BTreeSet<PackageId>,
    recommends: Recommends,
) -> Vec<Chosen> {
    let ids: Vec<PackageId> = chosen.iter().copied().collect();
    let edges = edges(archive, &ids);
    let reasons = reasons(archive, roots, &ids, &edges, recommends);
    // The version chosen may be another one than the preferred one that the roots name.
    let of_slot: BTreeMap<_, usize> =
        ids.iter().enumerate().map(|(idx, &id)| (archive.universe.slot(id), idx)).collect();
    let place = |id: &PackageId| of_slot.get(&archive.universe.slot(*id)).copied();
    let base = roots.base.iter().filter_map(|(id, with)| Some((place(id)?, *with)));
    let wanted = roots.wanted.iter().enumerate();
    let wanted = wanted.filter_map(|(wanted_idx, id)| Some((place(id)?, With::Wanted(wanted_idx))));
    let starts: Vec<_> = base.chain(wanted).collect();
    order(&edges, &starts)
        .into_iter()
        .filter_map(|(idx, with)| reasons[idx].map(|reason| Chosen { id: ids[idx], reason, with }))
        .collect()
}

fn edges(archive: &Archive<'_>, ids: &[PackageId]) -> Edges {
    let mut edges = Edges { before_unpacking: Vec::new(), needs: Vec::new(), recommends: Vec::new() };
    let position: BTreeMap<PackageId, usize> = ids.iter().enumerate().map(|(idx, &id)| (id, idx)).collect();
    for &id in ids {
        let package = archive.universe.package(id);
        let architecture = archive.universe.architecture(id);
        // What could not be read cannot have been chosen.
        let relations = RelationsOf::read(&package, architecture).unwrap_or_default();
        let targets = |groups: &[crate::depends::Group<'_>]| -> Vec<usize> {
            let first_chosen = |group| {
                let satisfying = archive.satisfying(group, architecture);
                satisfying.iter().find_map(|candidate| position.get(candidate).copied())
            };
            groups.iter().filter_map(first_chosen).collect()
        };
        let before_unpacking = targets(&relations.needs[..relations.n_pre_depends]);
        edges.before_unpacking.push(before_unpacking);
        edges.needs.push(targets(&relations.needs));
        edges.recommends.push(targets(&relations.recommends));
    }
    edges
}

/// The nearest reason for each package, breadth first from the roots; none for what they do not lead to.
fn reasons(
    archive: &Archive<'_>,
    roots: &Roots,
    ids: &[PackageId],
    edges: &Edges,
    recommends: Recommends,
) -> Vec<Option<Reason>> {
    // The version chosen may be another one than the preferred one that the roots name.
    let root_slots: BTreeMap<_, Reason> =
        roots.packages.iter().map(|(&id, &reason)| (archive.universe.slot(id), reason)).collect();
    let mut reasons: Vec<Option<Reason>> =
        ids.iter().map(|&id| root_slots.get(&archive.universe.slot(id)).copied()).collect();
    let mut reached: Vec<usize> = (0..ids.len()).filter(|&idx| reasons[idx].is_some()).collect();
    let mut n_followed = 0;
    let mut n_recommended = 0;
    loop {
        if let Some(&idx) = reached.get(n_followed) {
            n_followed += 1;
            for &target in &edges.needs[idx] {
                if reasons[target].is_none() {
                    reasons[target] = Some(Reason::NeededBy(ids[idx]));
                    reached.push(target);
                }
            }
        } else if let Some(&idx) = reached.get(n_recommended).filter(|_| recommends == Recommends::Follow) {
            n_recommended += 1;
            for &target in &edges.recommends[idx] {
                if reasons[target].is_none() {
                    reasons[target] = Some(Reason::RecommendedBy(ids[idx]));
                    reached.push(target);
                }
            }
        } else {
            return reasons;
        }
    }
}

/// Returns all packages, each with what the first of `starts` says that needs it. What none of them needs, because it
/// is only recommended, comes last and belongs to the last one.
fn order(edges: &Edges, starts: &[(usize, With)]) -> Vec<(usize, With)> {
    let last = starts.last().map_or(With::Essential, |(_, with)| *with);
    let rest = (0..edges.needs.len()).map(|idx| (idx, last));
    let starts = starts.iter().copied().chain(rest);
    let components = components(&edges.needs, starts).into_iter();
    components
        .flat_map(|(component, with)| within(component, edges).into_iter().map(move |idx| (idx, with)))
        .collect()
}

/// Strongly connected components of what `starts` lead to, what is needed before what needs it (Tarjan, without
/// recursion), each with what comes with the first start that leads to it.
fn components<T: Copy>(
    edges: &[Vec<usize>],
    starts: impl Iterator<Item = (usize, T)>,
) -> Vec<(Vec<usize>, T)> {
    const UNVISITED: usize = usize::MAX;
    let mut index = vec![UNVISITED; edges.len()];
    let mut low = vec![0; edges.len()];
    let mut on_stack = vec![false; edges.len()];
    let (mut stack, mut calls, mut result) = (Vec::new(), Vec::new(), Vec::new());
    let mut n_visited = 0;
    for (start, label) in starts {
        if index[start] != UNVISITED {
            continue;
        }
        calls.push((start, 0));
        while let Some((node, edge_idx)) = calls.pop() {
            if edge_idx == 0 {
                index[node] = n_visited;
                low[node] = n_visited;
                n_visited += 1;
                stack.push(node);
                on_stack[node] = true;
            } else {
                let child = edges[node][edge_idx - 1];
                low[node] = low[node].min(low[child]);
            }
            let mut edge_idx = edge_idx;
            let unvisited = loop {
                let Some(&target) = edges[node].get(edge_idx) else { break None };
                edge_idx += 1;
                if index[target] == UNVISITED {
                    break Some(target);
                }
                if on_stack[target] {
                    low[node] = low[node].min(index[target]);
                }
            };
            if let Some(target) = unvisited {
                calls.push((node, edge_idx));
                calls.push((target, 0));
            } else if low[node] == index[node] {
                let start =
                    stack.iter().rposition(|&other| other == node).expect("a visited node is stacked");
                let component = stack.split_off(start);
                component.iter().for_each(|&member| on_stack[member] = false);
                result.push((component, label));
            }
        }
    }
    result
}

/// Orders packages that all need one another: next is always the one with the fewest `Pre-Depends` still to
/// come, then the fewest `Depends`, then the first by name.
fn within(mut component: Vec<usize>, edges: &Edges) -> Vec<usize> {
    if component.len() == 1 {
        return component;
    }
    component.sort_unstable();
    let members: BTreeSet<usize> = component.iter().copied().collect();
    let inside = |targets: &[usize]| -> BTreeSet<usize> {
        targets.iter().copied().filter(|t| members.contains(t)).collect()
    };
    let mut missing: BTreeMap<usize, (BTreeSet<usize>, BTreeSet<usize>)> = component
        .iter()
        .map(|&idx| (idx, (inside(&edges.before_unpacking[idx]), inside(&edges.needs[idx]))))
        .collect();
    let mut needed_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (&idx, (_, needs)) in &missing {
        for &target in needs {
            needed_by.entry(target).or_default().push(idx);
        }
    }
    let mut waiting: BTreeSet<(usize, usize, usize)> =
        missing.iter().map(|(&idx, (before, needs))| (before.len(), needs.len(), idx)).collect();
    let mut result = Vec::with_capacity(component.len());
    while let Some((_, _, next)) = waiting.pop_first() {
        result.push(next);
        missing.remove(&next);
        for &idx in needed_by.get(&next).map_or(&[][..], Vec::as_slice) {
            if let Some((before, needs)) = missing.get_mut(&idx) {
                waiting.remove(&(before.len(), needs.len(), idx));
                before.remove(&next);
                needs.remove(&next);
                waiting.insert((before.len(), needs.len(), idx));
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(needs: &[&[usize]], before_unpacking: &[(usize, usize)], expected: &[usize]) {
        let mut edges = Edges {
            before_unpacking: vec![Vec::new(); needs.len()],
            needs: needs.iter().map(|targets| targets.to_vec()).collect(),
            recommends: Vec::new(),
        };
        for &(package, target) in before_unpacking {
            edges.before_unpacking[package].push(target);
            edges.needs[package].push(target);
        }
        let order: Vec<usize> = order(&edges, &[]).into_iter().map(|(idx, _)| idx).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn what_is_wanted_later_comes_later() {
        let needs: [&[usize]; 6] = [&[], &[0], &[1], &[], &[3, 0], &[]];
        let edges = Edges {
            before_unpacking: vec![Vec::new(); needs.len()],
            needs: needs.iter().map(|targets| targets.to_vec()).collect(),
            recommends: Vec::new(),
        };
        let [first, second] = [0, 1].map(With::Wanted);
        let starts = [(1, With::Essential), (4, first), (2, second)];
        let expected =
            [(0, With::Essential), (1, With::Essential), (3, first), (4, first), (2, second), (5, second)];
        assert_eq!(order(&edges, &starts), expected);
        // Without the last one, the others are the same.
        assert_eq!(order(&edges, &starts[..2])[..4], expected[..4]);
    }

    #[test]
    fn what_is_needed_comes_first() {
        check(&[&[1], &[2], &[]], &[], &[2, 1, 0]);
        check(&[&[], &[0], &[0, 1]], &[], &[0, 1, 2]);
    }

    #[test]
    fn cycles_keep_pre_depends() {
        // libc6 and libgcc need one another; what pre-depends on libc6 comes after it.
        check(&[&[1], &[0]], &[], &[0, 1]);
        check(&[&[2], &[], &[1]], &[(1, 0)], &[0, 1, 2]);
        check(&[&[], &[2], &[1]], &[(0, 1)], &[1, 2, 0]);
    }

    #[test]
    fn what_needs_a_cycle_comes_after_all_of_it() {
        check(&[&[1], &[2], &[3], &[1]], &[], &[1, 3, 2, 0]);
    }

    #[test]
    fn a_long_chain_does_not_recurse() {
        let needs: Vec<Vec<usize>> =
            (0..100_000).map(|idx| if idx == 0 { vec![] } else { vec![idx - 1] }).collect();
        assert_eq!(components(&needs, (0..needs.len()).map(|idx| (idx, ()))).len(), 100_000);
    }
}
